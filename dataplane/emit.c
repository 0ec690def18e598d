/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/emit.h"

#include <netinet/in.h>
#include <rte_mbuf.h>

#include "dataplane/checksum.h"
#include "dataplane/mbuf_queue.h"

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_IPV6 = 0x86dd };

uint8_t
emit_ip_header(uint8_t *at, const struct ip_addr *source, const struct ip_addr *destination, uint8_t protocol,
	       uint16_t length, uint8_t dscp)
{
	if (ip_addr_is_v4(source)) {
		/* Made up in registers, of whole words: bytes written and read back as words would be waited for. */
		uint32_t total = (uint32_t)length + IPV4_HEADER_LENGTH;
		uint32_t words[5] = {htonl(UINT32_C(0x45000000) | (uint32_t)dscp << 16 | total), htonl(0x4000),
				     htonl((uint32_t)EMIT_TTL << 24 | (uint32_t)protocol << 16), source->words[3],
				     destination->words[3]};
		uint64_t sum = (uint64_t)words[0] + words[1] + words[2] + words[3] + words[4];
		words[2] |= htonl((uint16_t)~ntohs(checksum_fold(sum)));
		memcpy(at, words, sizeof(words));
		return IPV4_HEADER_LENGTH;
	}
	uint32_t version = htonl(UINT32_C(0x60000000) | (uint32_t)dscp << 20);
	uint16_t payload = htons(length);
	memcpy(at, &version, 4);
	memcpy(at + 4, &payload, 2);
	at[6] = protocol;
	at[7] = EMIT_TTL;
	memcpy(at + 8, source->bytes, 16);
	memcpy(at + 24, destination->bytes, 16);
	return IPV6_HEADER_LENGTH;
}

/* Writes the TCP segment with its checksum; ports in network order. Returns its length. */
static uint16_t
write_tcp(uint8_t *at, const struct ip_addr *source, const struct ip_addr *destination, uint16_t source_port,
	  uint16_t destination_port, const struct emit_segment *segment)
{
	uint16_t header_length = (uint16_t)(TCP_HEADER_LENGTH + segment->options_length);
	uint16_t length = (uint16_t)(header_length + segment->payload_length);
	uint32_t seq = htonl(segment->seq), ack = htonl(segment->ack);
	uint16_t window = htons(segment->window);

	memcpy(at, &source_port, 2);
	memcpy(at + 2, &destination_port, 2);
	memcpy(at + 4, &seq, 4);
	memcpy(at + 8, &ack, 4);
	at[12] = (uint8_t)(header_length / 4 << 4);
	at[13] = segment->flags;
	memcpy(at + 14, &window, 2);
	memset(at + 16, 0, 4);
	if (segment->options_length != 0)
		memcpy(at + TCP_HEADER_LENGTH, segment->options, segment->options_length);
	if (segment->payload != NULL)
		memcpy(at + header_length, segment->payload, segment->payload_length);
	else if (segment->payload_length != 0)
		mbuf_queue_copy(segment->queued, segment->payload_offset, at + header_length, segment->payload_length);

	uint64_t sum = checksum_pseudo(source, destination, IP_PROTO_TCP, length) + checksum_sum(at, length);
	uint16_t checksum = (uint16_t)~checksum_fold(sum);
	memcpy(at + 16, &checksum, 2);
	return length;
}

/* Makes mbuf hold an IP packet with the segment, ahead_room bytes of head room before it. Source and destination are of
 * one family. */
static void
write_packet(struct rte_mbuf *mbuf, const struct ip_addr *source, const struct ip_addr *destination,
	     uint16_t source_port, uint16_t destination_port, const struct emit_segment *segment)
{
	rte_pktmbuf_reset(mbuf);
	uint8_t *ip = rte_pktmbuf_mtod(mbuf, uint8_t *);
	uint8_t ip_length = ip_addr_is_v4(source) ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
	uint16_t tcp_length = write_tcp(ip + ip_length, source, destination, source_port, destination_port, segment);

	emit_ip_header(ip, source, destination, IP_PROTO_TCP, tcp_length, 0);
	mbuf->data_len = (uint16_t)(ip_length + tcp_length);
	mbuf->pkt_len = mbuf->data_len;
}

void
emit_reply(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf,
	   const struct emit_segment *segment)
{
	const struct net_port *port = &worker->net->ports[packet->port];
	uint8_t stranger_mac[6];
	memcpy(stranger_mac, rte_pktmbuf_mtod(mbuf, const uint8_t *) + 6, 6);

	write_packet(mbuf, &packet->destination, &packet->source, packet->destination_port, packet->source_port,
		     segment);
	uint8_t *ethernet = (uint8_t *)rte_pktmbuf_prepend(mbuf, port->header_length);
	uint16_t type = htons(packet->v4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
	memcpy(ethernet, stranger_mac, 6);
	memcpy(ethernet + 6, port->mac, 6);
	if (port->vlan != 0) {
		uint16_t tag[2] = {htons(0x8100), htons(port->vlan)};
		memcpy(ethernet + 12, tag, 4);
	}
	memcpy(ethernet + port->header_length - 2, &type, 2);
	worker_transmit(worker, port->device, mbuf);
}

void
emit_reset_stranger(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, enum reason reason)
{
	if ((packet->flags & TCP_RST) != 0) {
		worker_drop(worker, mbuf, reason);
		return;
	}
	if (worker->rst_allowance == 0) {
		worker_drop(worker, mbuf, REASON_RST_LIMITED);
		return;
	}
	worker->rst_allowance--;
	worker->stats->rsts_sent++;
	worker_count(worker, reason);

	struct emit_segment rst = {.flags = TCP_RST};
	if ((packet->flags & TCP_ACK) != 0) {
		rst.seq = packet->ack;
	} else {
		rst.flags |= TCP_ACK;
		rst.ack = packet->seq + packet_seq_length(packet);
	}
	emit_reply(worker, packet, mbuf, &rst);
}

struct neighbour *
emit_neighbour(struct worker *worker, struct flow_leg *leg)
{
	struct neighbour *neighbour = neighbour_get(&worker->neighbours, leg->hop);
	if (neighbour != NULL)
		return neighbour;

	uint8_t port;
	struct ip_addr via;
	if (!net_route_find(worker->net, &leg->peer, &port, &via)) {
		worker_count(worker, REASON_NO_ROUTE);
		return NULL;
	}
	leg->hop = neighbour_hop(worker, port, &via);
	if (leg->hop == 0) {
		worker_count(worker, REASON_NEIGHBOUR_TABLE_FULL);
		return NULL;
	}
	return neighbour_get(&worker->neighbours, leg->hop);
}

bool
emit_to_peer(struct worker *worker, struct flow_leg *leg, const struct emit_segment *segment)
{
	struct neighbour *neighbour = emit_neighbour(worker, leg);
	if (neighbour == NULL)
		return false;
	struct rte_mbuf *mbuf = worker_mbuf(worker);
	if (mbuf == NULL)
		return false;
	write_packet(mbuf, &worker->net->addresses[leg->local_addr].addr, &leg->peer, leg->local_port, leg->peer_port,
		     segment);
	neighbour_send(worker, neighbour, mbuf);
	return true;
}

void
emit_reset_peer(struct worker *worker, struct flow_leg *leg, uint32_t seq, uint32_t ack)
{
	struct emit_segment rst = {.flags = TCP_RST | TCP_ACK, .seq = seq, .ack = ack};
	if (emit_to_peer(worker, leg, &rst))
		worker->stats->rsts_sent++;
}
