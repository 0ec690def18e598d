/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/loadgen/run.h"

#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dataplane/net.h"

enum {
	SUBJECT_WAIT_MS = 15000,
	SUBJECT_ASK_MS = 100,
	SAMPLE_EVERY = 64 /* received segments, of which one has its checksums verified */
};

static double
seconds_of(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* A burst of one side. Returns how many frames there were. */
static uint32_t
receive(struct run *run, enum tcp_side side)
{
	struct link *link = &run->links[side];
	struct rte_mbuf *mbufs[RUN_BURST];
	struct segment segments[RUN_BURST];
	uint32_t n_segments = 0;
	uint16_t n = link->device->rx(link->device, 0, mbufs, RUN_BURST);

	if (n == 0)
		return 0;
	play_now(&run->play, rte_rdtsc());
	run->load.bursts++;
	run->load.full_bursts += n == RUN_BURST;
	link->stats.rx_frames += n;
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *frame = rte_pktmbuf_mtod(mbufs[i], const uint8_t *);
		uint32_t length = mbufs[i]->data_len;
		bool verify = run->tcp.config.verify_all || ++run->sampled % SAMPLE_EVERY == 0;
		link->stats.rx_bytes += mbufs[i]->pkt_len;
		switch (wire_parse(frame, length, verify, &segments[n_segments])) {
		case WIRE_TCP:
			n_segments++;
			break;
		case WIRE_ARP:
			link_arp_input(link, frame, length);
			break;
		case WIRE_FOREIGN:
			link->stats.rx_foreign++;
			break;
		case WIRE_DAMAGED:
			link->stats.rx_damaged++;
			break;
		}
	}
	tcp_input(&run->tcp, side, segments, n_segments);
	rte_pktmbuf_free_bulk(mbufs, n);
	return n;
}

bool
run_find_subject(struct run *run, uint32_t subject, uint32_t lan_subject, volatile const sig_atomic_t *stop)
{
	uint64_t per_ms = rte_get_tsc_hz() / 1000, began = rte_rdtsc(), asked = 0;
	struct link *wan = &run->links[TCP_CLIENT], *lan = &run->links[TCP_SERVER];

	while (!wan->subject_known || (lan_subject != 0 && !lan->subject_known)) {
		uint64_t now = rte_rdtsc();
		if (*stop || now - began > SUBJECT_WAIT_MS * per_ms) {
			fprintf(stderr, "loadgen: the subject doesn't answer ARP on the %s\n",
				wan->subject_known ? "lan" : "wan");
			return false;
		}
		if (now - asked > SUBJECT_ASK_MS * per_ms) {
			asked = now;
			link_ask(wan, subject);
			if (lan_subject != 0)
				link_ask(lan, lan_subject);
		}
		(void)receive(run, TCP_CLIENT);
		(void)receive(run, TCP_SERVER);
		link_flush(wan);
		link_flush(lan);
	}
	return true;
}

static struct run_counts
count(const struct run *run)
{
	struct run_counts counts = {.load = run->load};

	counts.load.cpu_s = seconds_of(CLOCK_THREAD_CPUTIME_ID);
	counts.load.wall_s = seconds_of(CLOCK_MONOTONIC);
	for (unsigned side = 0; side < TCP_SIDES; side++) {
		counts.links[side] = run->links[side].stats;
		counts.tcp[side] = run->tcp.stats[side];
	}
	return counts;
}

/* Begins and ends the measurement where play does. */
static void
follow_phase(struct run *run, enum play_phase before)
{
	if (run->play.phase == before)
		return;
	if (run->play.phase == PLAY_MEASURING) {
		run->before = count(run);
	} else if (before == PLAY_MEASURING) {
		struct run_counts after = count(run);
		run->measured = run_counts_between(&run->before, &after);
	}
}

void
run_play(struct run *run, volatile const sig_atomic_t *stop)
{
	uint64_t per_ms = run->play.hz / 1000, before = rte_rdtsc();

	while (run->play.phase != PLAY_OVER) {
		uint64_t now = rte_rdtsc();
		enum play_phase phase = run->play.phase;
		run->load.cycles += now - before;
		before = now;

		uint32_t work = receive(run, TCP_CLIENT) + receive(run, TCP_SERVER);
		work += play_run(&run->play, now);
		tcp_time(&run->tcp, (uint32_t)(now / per_ms));
		link_flush(&run->links[TCP_CLIENT]);
		link_flush(&run->links[TCP_SERVER]);
		if (work != 0)
			run->load.busy_cycles += rte_rdtsc() - now;
		if (unlikely(*stop))
			play_stop(&run->play);
		follow_phase(run, phase);
	}
}

struct run_counts
run_counts_between(const struct run_counts *before, const struct run_counts *after)
{
	/* All of it is uint64_t but for two doubles at the end. */
	enum { WORDS = sizeof(struct run_counts) / sizeof(uint64_t) };
	struct run_counts grown = *after;
	uint64_t words[WORDS], old[WORDS];

	memcpy(words, after, sizeof(words));
	memcpy(old, before, sizeof(old));
	for (unsigned i = 0; i < WORDS; i++)
		words[i] -= old[i];
	memcpy(&grown, words, sizeof(grown));
	grown.load.cpu_s = after->load.cpu_s - before->load.cpu_s;
	grown.load.wall_s = after->load.wall_s - before->load.wall_s;
	return grown;
}

const char *
run_saturation(const struct run_counts *measured)
{
	const struct run_load *load = &measured->load;

	for (unsigned side = 0; side < TCP_SIDES; side++)
		if (measured->links[side].tx_no_buffer != 0)
			return "it ran out of packet buffers";
	if (load->cpu_s < 0.95 * load->wall_s)
		return "others used its core";
	if ((double)load->busy_cycles > 0.95 * (double)load->cycles)
		return "it was busy all the time";
	if ((double)load->full_bursts > 0.1 * (double)load->bursts &&
	    (double)load->busy_cycles > 0.8 * (double)load->cycles)
		return "more had come in than it took at once";
	return NULL;
}
