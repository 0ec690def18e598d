/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/loadgen/link.h"

#include <arpa/inet.h>
#include <rte_branch_prediction.h>
#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/net.h"

enum { ETHERNET_ARP = 0x0806, ARP_REQUEST = 1, ARP_REPLY = 2, FRAME_MIN = 60 };

struct __attribute__((packed)) arp_frame {
	uint8_t destination[6], source[6];
	uint16_t type;
	uint16_t hardware, protocol;
	uint8_t hardware_length, protocol_length;
	uint16_t operation;
	uint8_t sender_mac[6];
	uint32_t sender;
	uint8_t target_mac[6];
	uint32_t target;
};

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

void
link_init(struct link *link, struct device *device, struct rte_mempool *pool, uint32_t station)
{
	*link = (struct link){.device = device, .pool = pool, .station = station};
	memcpy(link->mac, device->mac, sizeof(link->mac));
}

struct rte_mbuf *
link_packet(struct link *link)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(link->pool);

	if (unlikely(mbuf == NULL))
		link->stats.tx_no_buffer++;
	return mbuf;
}

void
link_flush(struct link *link)
{
	uint16_t sent = 0;

	while (sent < link->n_out) {
		uint16_t left = (uint16_t)(link->n_out - sent), n = left < LINK_BURST ? left : LINK_BURST;
		uint64_t bytes = 0;
		for (uint16_t i = 0; i < n; i++)
			bytes += link->out[sent + i]->pkt_len;
		uint16_t taken = link->device->tx(link->device, 0, link->out + sent, n);
		link->stats.tx_frames += taken;
		sent += taken;
		if (unlikely(taken < n)) {
			for (uint16_t i = 0; i < n - taken; i++)
				bytes -= link->out[sent + i]->pkt_len;
			link->stats.tx_bytes += bytes;
			break;
		}
		link->stats.tx_bytes += bytes;
	}
	link->n_out -= sent;
	if (link->n_out != 0 && sent != 0)
		memmove(link->out, link->out + sent, link->n_out * sizeof(link->out[0]));
}

void
link_send(struct link *link, struct rte_mbuf *mbuf)
{
	if (unlikely(link->n_out == LINK_OUT)) {
		link_flush(link);
		if (link->n_out == LINK_OUT) {
			link->stats.tx_dropped++;
			rte_pktmbuf_free(mbuf);
			return;
		}
	}
	link->out[link->n_out++] = mbuf;
}

static void
send_arp(struct link *link, uint16_t operation, const uint8_t *to, uint32_t sender, const uint8_t *target_mac,
	 uint32_t target)
{
	static const uint8_t unknown[6];
	struct rte_mbuf *mbuf = link_packet(link);

	if (mbuf == NULL)
		return;
	struct arp_frame *arp = rte_pktmbuf_mtod(mbuf, struct arp_frame *);
	mbuf->data_len = FRAME_MIN;
	mbuf->pkt_len = FRAME_MIN;
	memset((void *)arp, 0, FRAME_MIN);
	memcpy(arp->destination, to, 6);
	memcpy(arp->source, link->mac, 6);
	arp->type = htons(ETHERNET_ARP);
	arp->hardware = htons(1);
	arp->protocol = htons(0x0800);
	arp->hardware_length = 6;
	arp->protocol_length = 4;
	arp->operation = htons(operation);
	memcpy(arp->sender_mac, link->mac, 6);
	arp->sender = sender;
	memcpy(arp->target_mac, target_mac == NULL ? unknown : target_mac, 6);
	arp->target = target;
	link_send(link, mbuf);
}

void
link_ask(struct link *link, uint32_t address)
{
	send_arp(link, ARP_REQUEST, broadcast, link->station, NULL, address);
}

void
link_arp_input(struct link *link, const uint8_t *frame, uint32_t length)
{
	struct arp_frame arp;

	if (length < sizeof(arp)) {
		link->stats.rx_damaged++;
		return;
	}
	memcpy(&arp, frame, sizeof(arp));
	if (arp.hardware != htons(1) || arp.protocol != htons(0x0800)) {
		link->stats.rx_foreign++;
		return;
	}
	/* Neither a probe for the subject's own address nor its announcement (RFC 5227) is a question to us. */
	if (arp.sender == 0 || arp.sender == arp.target)
		return;
	memcpy(link->subject_mac, arp.sender_mac, 6);
	link->subject_known = true;
	if (arp.operation == htons(ARP_REQUEST))
		send_arp(link, ARP_REPLY, arp.sender_mac, arp.target, arp.sender_mac, arp.sender);
}
