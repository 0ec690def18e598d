/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/loadgen/wire.h"

#include <arpa/inet.h>
#include <rte_branch_prediction.h>
#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "perf/loadgen/link.h"

enum {
	IP_AT = LINK_ETHERNET,
	IP_LENGTH = 20,
	TCP_LENGTH = 20,
	TTL = 64,
	PROTOCOL_TCP = 6,
	MSS_DEFAULT = 536, /* RFC 9293 section 3.7.1 */
	WSCALE_MAX = 14,
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_WSCALE = 3,
	OPTION_SACK_PERMITTED = 4,
	OPTION_TIMESTAMPS = 8
};

static inline uint16_t
load_16(const uint8_t *at)
{
	uint16_t value;
	memcpy(&value, at, 2);
	return value;
}

static inline uint32_t
load_32(const uint8_t *at)
{
	uint32_t value;
	memcpy(&value, at, 4);
	return value;
}

static uint64_t
pseudo_sum(uint32_t source, uint32_t destination, uint32_t tcp_length)
{
	return (uint64_t)source + destination + htons(PROTOCOL_TCP) + htons((uint16_t)tcp_length);
}

static bool
parse_options(const uint8_t *at, uint32_t length, struct segment *segment)
{
	/* What nearly every segment has: NOP NOP TIMESTAMPS, and nothing else. */
	if (length == WIRE_TIMESTAMPS && load_32(at) == htonl(0x0101080a)) {
		segment->timestamps = true;
		segment->tsval = ntohl(load_32(at + 4));
		return true;
	}
	while (length != 0 && at[0] != OPTION_END) {
		if (at[0] == OPTION_NOP) {
			at++;
			length--;
			continue;
		}
		if (length < 2 || at[1] < 2 || at[1] > length)
			return false;
		if (at[0] == OPTION_MSS && at[1] == 4) {
			segment->mss = ntohs(load_16(at + 2));
		} else if (at[0] == OPTION_WSCALE && at[1] == 3) {
			segment->scales = true;
			segment->wscale = at[2] < WSCALE_MAX ? at[2] : WSCALE_MAX;
		} else if (at[0] == OPTION_TIMESTAMPS && at[1] == 10) {
			segment->timestamps = true;
			segment->tsval = ntohl(load_32(at + 2));
		}
		length -= at[1];
		at += at[1];
	}
	return true;
}

enum wire_kind
wire_parse(const uint8_t *frame, uint32_t length, bool verify, struct segment *segment)
{
	const uint8_t *ip = frame + IP_AT;

	if (unlikely(length < LINK_ETHERNET))
		return WIRE_DAMAGED;
	if (unlikely(load_16(frame + 12) != htons(0x0800)))
		return load_16(frame + 12) == htons(0x0806) ? WIRE_ARP : WIRE_FOREIGN;
	if (unlikely(length < WIRE_HEADERS || ip[0] != 0x45))
		return length < WIRE_HEADERS ? WIRE_DAMAGED : WIRE_FOREIGN;
	if (unlikely(ip[9] != PROTOCOL_TCP || (load_16(ip + 6) & htons(0x3fff)) != 0))
		return WIRE_FOREIGN;

	uint32_t total = ntohs(load_16(ip + 2)), tcp_length = total - IP_LENGTH;
	const uint8_t *tcp = ip + IP_LENGTH;
	uint32_t header = (uint32_t)(tcp[12] >> 4) * 4;
	if (unlikely(total > length - LINK_ETHERNET || total < IP_LENGTH + TCP_LENGTH || header < TCP_LENGTH ||
		     header > tcp_length))
		return WIRE_DAMAGED;
	segment->source = load_32(ip + 12);
	segment->destination = load_32(ip + 16);
	if (verify && (checksum_fold(checksum_sum(ip, IP_LENGTH)) != 0xffff ||
		       checksum_fold(pseudo_sum(segment->source, segment->destination, tcp_length) +
				     checksum_sum(tcp, tcp_length)) != 0xffff))
		return WIRE_DAMAGED;
	segment->source_port = load_16(tcp);
	segment->destination_port = load_16(tcp + 2);
	segment->seq = ntohl(load_32(tcp + 4));
	segment->ack = ntohl(load_32(tcp + 8));
	segment->flags = tcp[13];
	segment->window = ntohs(load_16(tcp + 14));
	segment->length = (uint16_t)(tcp_length - header);
	segment->payload = tcp + header;
	segment->mss = MSS_DEFAULT;
	segment->wscale = 0;
	segment->timestamps = segment->scales = false;
	return parse_options(tcp + TCP_LENGTH, header - TCP_LENGTH, segment) ? WIRE_TCP : WIRE_DAMAGED;
}

/* Writes the options as words, which are quick to sum afterwards. Returns how many. */
static uint32_t
write_options(const struct wire_out *out, uint32_t *words)
{
	uint32_t n = 0;

	if (unlikely((out->flags & WIRE_SYN) != 0)) {
		words[n++] = htonl((uint32_t)OPTION_MSS << 24 | 4 << 16 | out->mss);
		if (out->timestamps)
			words[n++] =
				htonl((uint32_t)OPTION_SACK_PERMITTED << 24 | 2 << 16 | OPTION_TIMESTAMPS << 8 | 10);
		else
			words[n++] =
				htonl((uint32_t)OPTION_NOP << 24 | OPTION_NOP << 16 | OPTION_SACK_PERMITTED << 8 | 2);
	} else if (out->timestamps) {
		words[n++] = htonl(0x0101080a);
	}
	if (out->timestamps) {
		words[n++] = htonl(out->tsval);
		words[n++] = htonl(out->tsecr);
	}
	if (unlikely((out->flags & WIRE_SYN) != 0))
		words[n++] = htonl((uint32_t)OPTION_NOP << 24 | OPTION_WSCALE << 16 | 3 << 8 | out->wscale);
	return n;
}

bool
wire_send(struct link *link, const struct wire_out *out)
{
	struct rte_mbuf *mbuf = link_packet(link);
	uint32_t tcp[15], ports;
	uint64_t sum = 0;

	if (unlikely(mbuf == NULL))
		return false;
	uint32_t n_options = write_options(out, tcp + 5), header = TCP_LENGTH + 4 * n_options;
	uint32_t total = IP_LENGTH + header + out->length;
	uint8_t *frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
	mbuf->data_len = (uint16_t)(LINK_ETHERNET + total);
	mbuf->pkt_len = mbuf->data_len;

	memcpy(frame, link->subject_mac, 6);
	memcpy(frame + 6, link->mac, 6);
	uint16_t type = htons(0x0800);
	memcpy(frame + 12, &type, 2);

	uint32_t ip[5] = {htonl(UINT32_C(0x45000000) | total), htonl(0x4000), htonl(TTL << 24 | PROTOCOL_TCP << 16),
			  out->source, out->destination};
	ip[2] |= (uint32_t)(uint16_t)~checksum_fold((uint64_t)ip[0] + ip[1] + ip[2] + ip[3] + ip[4]) << 16;
	memcpy(frame + IP_AT, ip, sizeof(ip));

	uint8_t *at = frame + IP_AT + IP_LENGTH;
	memcpy(&ports, (const uint16_t[]){out->source_port, out->destination_port}, 4);
	tcp[0] = ports;
	tcp[1] = htonl(out->seq);
	tcp[2] = htonl(out->ack);
	tcp[3] = htonl(header << 26 | (uint32_t)out->flags << 16 | out->window);
	tcp[4] = 0;
	if (out->length != 0)
		sum = stream_write(out->stream, out->stamp, out->at, out->length, at + header);
	sum += pseudo_sum(out->source, out->destination, header + out->length);
	for (uint32_t i = 0; i < 5 + n_options; i++)
		sum += tcp[i];
	tcp[4] = (uint16_t)~checksum_fold(sum);
	memcpy(at, tcp, header);
	link_send(link, mbuf);
	return true;
}
