/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a spliced packet costs: the worker alone, in process, no kernel and no driver in the way.
 *
 * Method. Real connections are made through the worker (SYN, cookie, ACK with a ClientHello, SYN to the endpoint,
 * SYN-ACK), so the flow table is as it would be. Then bursts of 32 frames are built, each for a flow and a direction
 * drawn at random, and only the worker's work on them is timed: parsing, checksum verification in software, lookup,
 * tracking, rewriting, transmission into a buffer. Each figure is the median over batches of bursts. The packets' own
 * bytes are in the cache, as they are after a copying driver; the flow records are wherever a random choice among so
 * many leaves them.
 */
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/rig.h"

enum { BATCHES = 31, BURSTS_PER_BATCH = 2000, BURST = WORKER_BURST, MBUFS = 8192 };

/* What both ends of a connection know; 24 bytes, apart from the worker's memory. */
struct peer {
	uint32_t client_seq, client_ack, endpoint_seq, endpoint_ack;
	uint16_t local_port;
};

static struct rig rig;
static struct peer *peers;

static struct segment
client_segment(uint32_t i, uint8_t flags)
{
	struct segment segment = {
		.source = rig_addr("192.0.2.2"),
		.destination = rig_addr("192.0.2.1"),
		.source_port = (uint16_t)(1024 + i % 60000),
		.destination_port = 443,
		.flags = flags,
		.window = 65535,
	};
	segment.source.bytes[15] = (uint8_t)(2 + i / 60000);
	return segment;
}

static bool
next_of(unsigned device, struct segment *segment, uint8_t *frame)
{
	if (rig_next(&rig, device, segment, frame))
		return true;
	fprintf(stderr, "splice_bench: the worker sent nothing\n");
	return false;
}

static void
forget_sent(void)
{
	for (unsigned i = 0; i < RIG_DEVICES; i++) {
		struct rig_queue *sent = &rig.sent[i];
		while (sent->head != sent->tail)
			rte_pktmbuf_free(sent->mbufs[sent->head++ % RIG_QUEUE]);
	}
}

static bool
make_connection(uint32_t i)
{
	static const uint8_t syn_options[8] = {2, 4, 5, 0xb4, 1, 3, 3, 7};
	static const uint8_t hello[64];
	uint8_t frame[2048];
	struct segment out, in = client_segment(i, TCP_SYN);

	forget_sent(); /* what the connection before was told last */
	in.options_length = sizeof(syn_options);
	memcpy(in.options, syn_options, sizeof(syn_options));
	in.seq = i * 7919;
	rig_receive(&rig, RIG_WAN, &in);
	if (!next_of(RIG_WAN, &out, frame))
		return false;
	in.options_length = 0;
	in.flags = TCP_ACK | TCP_PSH;
	in.seq++;
	in.ack = out.seq + 1;
	in.payload = hello;
	in.payload_length = sizeof(hello);
	/* One endpoint has 49,000 ports: as many endpoints as it takes. */
	rig.dials[0].addr = rig_addr("198.51.100.10");
	rig.dials[0].addr.bytes[15] = (uint8_t)(10 + i / 40000);
	rig_receive(&rig, RIG_WAN, &in);
	if (!next_of(RIG_LAN, &out, frame))
		return false;
	struct segment syn_ack = {
		.source = out.destination,
		.destination = out.source,
		.source_port = out.destination_port,
		.destination_port = out.source_port,
		.seq = i * 104729,
		.ack = out.seq + 1,
		.flags = TCP_SYN | TCP_ACK,
		.window = 65535,
		.options_length = sizeof(syn_options),
	};
	memcpy(syn_ack.options, syn_options, sizeof(syn_options));
	rig_receive(&rig, RIG_LAN, &syn_ack);
	peers[i] = (struct peer){in.seq + sizeof(hello), in.ack, syn_ack.seq + 1, 0, out.source_port};
	if (!next_of(RIG_LAN, &out, frame))
		return false;
	peers[i].endpoint_ack = out.seq + sizeof(hello);

	/* A first byte back, so that the client's MAC is asked for and known as well. */
	struct segment reply = syn_ack;
	reply.flags = TCP_ACK | TCP_PSH;
	reply.options_length = 0;
	reply.seq = peers[i].endpoint_seq++;
	reply.ack = peers[i].endpoint_ack;
	reply.payload = hello;
	reply.payload_length = 1;
	rig_receive(&rig, RIG_LAN, &reply);
	peers[i].client_ack++;
	return next_of(RIG_WAN, &out, frame);
}

static uint32_t
random_32(void)
{
	static uint64_t state = 88172645463325252u;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void
fill(struct rte_mbuf *mbuf, uint32_t flow, unsigned leg, const uint8_t *payload, uint16_t payload_length)
{
	struct peer *peer = &peers[flow];
	struct segment segment;

	if (leg == LEG_CLIENT) {
		segment = client_segment(flow, TCP_ACK);
		segment.seq = peer->client_seq;
		segment.ack = peer->client_ack;
		peer->client_seq += payload_length;
		peer->endpoint_ack += payload_length;
	} else {
		segment = (struct segment){.source = rig.dials[0].addr,
					   .destination = rig.net.addresses[2].addr,
					   .source_port = 8443,
					   .flags = TCP_ACK,
					   .window = 65535};
		segment.source.bytes[15] = (uint8_t)(10 + flow / 40000);
		segment.destination_port = peer->local_port;
		segment.seq = peer->endpoint_seq;
		segment.ack = peer->endpoint_ack;
		peer->endpoint_seq += payload_length;
		peer->client_ack += payload_length;
	}
	segment.payload = payload;
	segment.payload_length = payload_length;
	mbuf->data_len =
		rig_build(&rig, leg == LEG_CLIENT ? RIG_WAN : RIG_LAN, &segment, rte_pktmbuf_mtod(mbuf, uint8_t *));
	mbuf->pkt_len = mbuf->data_len;
}

static void
measure(uint32_t flows, uint16_t payload_length)
{
	static uint8_t payload[1460];
	static double batches[BATCHES];
	struct rte_mbuf *mbufs[BURST];
	uint64_t sent = rig.stats.tx_packets[RIG_WAN] + rig.stats.tx_packets[RIG_LAN];

	for (unsigned batch = 0; batch < BATCHES; batch++) {
		uint64_t cycles = 0;
		for (unsigned burst = 0; burst < BURSTS_PER_BATCH; burst++) {
			unsigned leg = burst & 1;
			for (unsigned i = 0; i < BURST; i++) {
				mbufs[i] = rte_pktmbuf_alloc(rig.worker.pool);
				fill(mbufs[i], (uint32_t)((uint64_t)random_32() * flows >> 32), leg, payload,
				     payload_length);
			}
			uint64_t begin = rte_rdtsc_precise();
			worker_input(&rig.worker, mbufs,
				     worker_arrived(&rig.worker, leg == LEG_CLIENT ? RIG_WAN : RIG_LAN, mbufs, BURST,
						    rig.now_ms));
			worker_flush(&rig.worker);
			cycles += rte_rdtsc_precise() - begin;
			forget_sent();
		}
		batches[batch] = (double)cycles / (BURSTS_PER_BATCH * BURST);
	}
	unsigned n = BATCHES;
	sent = rig.stats.tx_packets[RIG_WAN] + rig.stats.tx_packets[RIG_LAN] - sent;
	qsort(batches, n, sizeof(batches[0]), compare);
	double cycles = batches[n / 2];
	printf("%9u flows  %4u bytes  %7.1f ns  %7.0f cycles  (best batch %.1f ns, worst %.1f ns; %.2f %% sent on)\n",
	       flows, payload_length, cycles * 1e9 / (double)rte_get_tsc_hz(), cycles,
	       batches[0] * 1e9 / (double)rte_get_tsc_hz(), batches[n - 1] * 1e9 / (double)rte_get_tsc_hz(),
	       100.0 * (double)sent / ((double)n * BURSTS_PER_BATCH * BURST));
}

int
main(int argc, char **argv)
{
	static const uint32_t sizes[] = {1, 10000, 1000000};
	static const uint16_t payloads[] = {64, 1460};
	uint32_t most = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;

	if (!rig_start_eal(128))
		return 1;
	rig_open(&rig, most + 16, MBUFS);
	peers = calloc(most, sizeof(*peers));
	if (peers == NULL)
		return 1;
	printf("one worker, one thread; TSC %.2f GHz; medians; both directions in turn; %s\n",
	       (double)rte_get_tsc_hz() / 1e9, "TCP checksums verified in software");

	uint32_t made = 0;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && sizes[i] <= most; i++) {
		uint64_t begin = rte_rdtsc_precise();
		uint32_t first = made;
		for (; made < sizes[i]; made++)
			if (!make_connection(made))
				return 1;
		double seconds = (double)(rte_rdtsc_precise() - begin) / (double)rte_get_tsc_hz();
		if (made - first > 1000)
			printf("%9u connections made in %.2f s: %.0f a second with the bench's own building and "
			       "checking of frames\n",
			       made - first, seconds, (made - first) / seconds);
		for (unsigned j = 0; j < sizeof(payloads) / sizeof(payloads[0]); j++)
			measure(sizes[i], payloads[j]);
	}
	printf("memory: %zu bytes of record and %.1f of hash for each connection\n", sizeof(struct flow),
	       (double)flow_table_bytes(most) / most - sizeof(struct flow));
	return 0;
}
