/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process may die between any two instructions. Here conversations go through a worker whose flow table is write-
 * protected: each store faults, is let pass alone by the processor's trap flag, and what the table is then is kept.
 * That is all that a successor could ever find. Afterwards each of these is adopted: a flow must be what it was before
 * the packet that was being worked on or what it was after it, never damaged, never half of something.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "dataplane/packet.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

enum { FLOWS = 4, PACKETS = 1024, MOMENTS_MAX = 4096, TRAP_FLAG = 0x100, STEP_MS = 160 };

/* What a successor makes of the record of the conversation. */
enum fate { NOTHING, FORGOTTEN, HELD, SPLICED, CLOSING, WRONG };

struct moment {
	unsigned step; /* number of the packet that was being worked on */
	enum fate fate;
	uint32_t touched;
	struct flow flows[FLOWS];
};

static struct rig rig;
static struct moment *moments;
static unsigned n_moments, step;

/* --- every store ---------------------------------------------------------------------------------------------------
 */

static void
protect(bool on)
{
	if (mprotect(rig.table_memory[0], rig.table_bytes, on ? PROT_READ : PROT_READ | PROT_WRITE) != 0)
		abort();
}

/* Without what adoption makes anew. */
static void
keep_moment(void)
{
	struct moment *moment = &moments[n_moments];

	moment->step = step;
	moment->touched = flow_table_touched(&rig.worker.flows);
	memcpy(moment->flows, flow_table_get(&rig.worker.flows, 1), sizeof(moment->flows));
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow *flow = &moment->flows[i];
		flow->timer_next = flow->timer_prev = flow->timer_at = flow->timer_armed = 0;
		flow->leg[LEG_CLIENT].hop = flow->leg[LEG_ENDPOINT].hop = 0;
	}
	if (n_moments != 0 && moment[-1].step == step && moment[-1].touched == moment->touched &&
	    memcmp(moment[-1].flows, moment->flows, sizeof(moment->flows)) == 0)
		return;
	if (++n_moments == MOMENTS_MAX)
		abort();
}

static void
on_store(int number, siginfo_t *info, void *context)
{
	uint8_t *at = info->si_addr, *table = rig.table_memory[0];
	ucontext_t *interrupted = context;

	if (at < table || at >= table + rig.table_bytes) {
		signal(number, SIG_DFL); /* a fault of the program's own: it comes again, and ends it */
		return;
	}
	protect(false);
	interrupted->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void
on_stored(int number, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;

	(void)number, (void)info;
	interrupted->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
	keep_moment();
	protect(true);
}

/* --- conversations -------------------------------------------------------------------------------------------------
 */

/* What was before is settled: the next packet is another step. */
static void
settled(void)
{
	keep_moment();
	step++;
	keep_moment();
}

static void
say(struct talk *talk, unsigned leg, uint8_t flags, uint16_t length)
{
	talk_say(talk, leg, flags, NULL, length);
	settled();
}

static void
hear(struct talk *talk, unsigned leg)
{
	CU_ASSERT_TRUE(talk_hear(talk, leg));
}

static void
wait_ms(uint32_t ms)
{
	rig.now_ms += ms;
	worker_time(&rig.worker, rig.now_ms);
	worker_flush(&rig.worker);
	rig_settle(&rig);
	settled();
}

/* The client's hello in two parts; trickled: the first is acknowledged, and is the gateway's to deliver. */
static void
connect_slowly(struct talk *talk, bool trickled)
{
	talk_say(talk, LEG_CLIENT, TCP_SYN, NULL, 0);
	hear(talk, LEG_CLIENT);
	talk->side[LEG_CLIENT].ack = talk->heard.seq + 1;
	talk->side[LEG_CLIENT].timestamps_on = true;
	talk->side[LEG_CLIENT].tsecr = talk_get_32(talk_option(&talk->heard, 8) + 2);
	say(talk, LEG_CLIENT, TCP_ACK, 0);
	say(talk, LEG_CLIENT, TCP_ACK, TALK_HELLO / 2);
	if (trickled) {
		wait_ms(STEP_MS);
		hear(talk, LEG_CLIENT);
	}
	say(talk, LEG_CLIENT, TCP_ACK, TALK_HELLO / 2);
	CU_ASSERT_TRUE(talk_hear_syn(talk));
	talk_answer(talk);
	settled();
	hear(talk, LEG_ENDPOINT);
}

static void
exchange(struct talk *talk)
{
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		say(talk, leg, TCP_ACK, 100);
		hear(talk, leg_other(leg));
		say(talk, leg_other(leg), TCP_ACK, 0);
		hear(talk, leg);
	}
}

static void
close_both(struct talk *talk)
{
	for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
		say(talk, leg, TCP_ACK | TCP_FIN, 0);
		hear(talk, leg_other(leg));
		say(talk, leg_other(leg), TCP_ACK, 0);
		hear(talk, leg);
	}
}

static void
plain(struct talk *talk)
{
	connect_slowly(talk, false);
	exchange(talk);
	close_both(talk);
	wait_ms(rig.conf.flow.close_linger_ms + STEP_MS);
}

static void
trickled(struct talk *talk)
{
	connect_slowly(talk, true);
	wait_ms(400); /* the held bytes are repeated */
	hear(talk, LEG_ENDPOINT);
	say(talk, LEG_ENDPOINT, TCP_ACK, 0);
	hear(talk, LEG_CLIENT);
	exchange(talk);
	close_both(talk);
	/* The client's port begins anew while the old connection lingers. */
	talk->side[LEG_CLIENT].seq += 1000000;
	talk->side[LEG_CLIENT].ack = 0;
	talk->side[LEG_CLIENT].timestamps_on = false;
	say(talk, LEG_CLIENT, TCP_SYN, 0);
}

static void
refused(struct talk *talk)
{
	rig.n_dials = 2;
	rig.dials[1].addr = talk->side[LEG_ENDPOINT].addr;
	CU_ASSERT_TRUE(talk_open(talk));
	settled();
	say(talk, LEG_CLIENT, TCP_ACK, TALK_HELLO);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_TRUE(talk_hear_syn(talk));
		say(talk, LEG_ENDPOINT, TCP_RST | TCP_ACK, 0);
	}
	CU_ASSERT_TRUE(talk_hear_reset(talk, LEG_CLIENT));
}

static void
reset(struct talk *talk)
{
	connect_slowly(talk, false);
	exchange(talk);
	say(talk, LEG_CLIENT, TCP_RST | TCP_ACK, 0);
	hear(talk, LEG_ENDPOINT);
	wait_ms(rig.conf.flow.close_linger_ms + STEP_MS);
}

static void
reset_while_held(struct talk *talk)
{
	connect_slowly(talk, true);
	say(talk, LEG_CLIENT, TCP_RST | TCP_ACK, 0);
	hear(talk, LEG_ENDPOINT);
}

static void
stopped(struct talk *talk)
{
	connect_slowly(talk, false);
	exchange(talk);
	worker_abort_all(&rig.worker, REASON_SHUTDOWN);
	settled();
}

/* --- what becomes of it --------------------------------------------------------------------------------------------
 */

static enum fate
adopt(struct moment *moment, struct flow *adopted)
{
	const struct flow_adoption *adoption = &rig.adoption;
	enum fate fate = NOTHING;

	rig_open(&rig, FLOWS, PACKETS);
	for (uint32_t i = 0; i < moment->touched; i++)
		flow_table_alloc(&rig.worker.flows);
	memcpy(flow_table_get(&rig.worker.flows, 1), moment->flows, sizeof(moment->flows));
	rig_restart(&rig, 1);
	if (adoption->damaged + adoption->address + adoption->full != 0 || adoption->found > 1 ||
	    !rig_adopted_well(&rig))
		fate = WRONG;
	else if (adoption->found != 0)
		fate = adoption->spliced != 0   ? SPLICED
		       : adoption->closing != 0 ? CLOSING
		       : adoption->held != 0    ? HELD
						: FORGOTTEN;
	if (fate == SPLICED || fate == CLOSING)
		*adopted = *flow_table_get(&rig.worker.flows, 1);
	rig_close(&rig);
	return fate;
}

/* What a splice is made of, and never changes. */
static bool
same_splice(const struct flow *a, const struct flow *b)
{
	for (unsigned i = 0; i < LEG_COUNT; i++) {
		const struct flow_leg *x = &a->leg[i], *y = &b->leg[i];
		const uint8_t still = (uint8_t) ~(LEG_FIN | LEG_FIN_ACKED | LEG_ACTIVE | LEG_HASHED | LEG_HELD);
		if (!ip_addr_equal(&x->peer, &y->peer) || x->peer_port != y->peer_port ||
		    x->local_port != y->local_port || x->local_addr != y->local_addr || x->wscale != y->wscale ||
		    x->announced != y->announced || x->seq_delta != y->seq_delta || x->ts_delta != y->ts_delta ||
		    x->mss != y->mss || ((x->flags ^ y->flags) & still) != 0)
			return false;
	}
	return a->endpoint == b->endpoint && a->service == b->service && a->listener == b->listener &&
	       flow_opened(a) == flow_opened(b);
}

static void
judge(const char *name)
{
	static struct flow adopted[MOMENTS_MAX];
	unsigned fates[WRONG] = {0};

	for (unsigned i = 0; i < n_moments; i++)
		moments[i].fate = adopt(&moments[i], &adopted[i]);
	for (unsigned begin = 0, end; begin < n_moments; begin = end) {
		for (end = begin + 1; end < n_moments && moments[end].step == moments[begin].step; end++)
			;
		enum fate before = moments[begin].fate, after = moments[end - 1].fate;
		for (unsigned i = begin; i < end; i++) {
			enum fate fate = moments[i].fate;
			/* A stop ends a flow and lets go of it at once. */
			bool passing = before == SPLICED && fate == CLOSING && after == NOTHING;
			bool right = fate != WRONG && (fate == before || fate == after || passing);
			if (right && fate == SPLICED && after == SPLICED)
				right = same_splice(&adopted[i], &adopted[end - 1]);
			else if (right && fate == SPLICED)
				right = same_splice(&adopted[i], &adopted[begin]);
			if (!right)
				printf("%s: moment %u of step %u: fate %d, before %d, after %d\n", name, i - begin,
				       moments[i].step, (int)fate, (int)before, (int)after);
			CU_ASSERT_TRUE(right);
			if (fate != WRONG)
				fates[fate]++;
		}
	}
	printf("%s: %u moments in %u steps: nothing %u, forgotten %u, held %u, spliced %u, closing %u\n", name,
	       n_moments, step, fates[NOTHING], fates[FORGOTTEN], fates[HELD], fates[SPLICED], fates[CLOSING]);
}

static void
watch(const char *name, void (*converse)(struct talk *talk))
{
	struct sigaction store = {.sa_sigaction = on_store, .sa_flags = SA_SIGINFO};
	struct sigaction stored = {.sa_sigaction = on_stored, .sa_flags = SA_SIGINFO};
	struct talk talk;

	moments = mmap(NULL, MOMENTS_MAX * sizeof(*moments), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CU_ASSERT_FATAL(moments != MAP_FAILED);
	n_moments = step = 0;
	rig_open(&rig, FLOWS, PACKETS);
	talk_init(&talk, &rig, false, false);
	sigaction(SIGSEGV, &store, NULL);
	sigaction(SIGTRAP, &stored, NULL);
	keep_moment();
	protect(true);
	converse(&talk);
	protect(false);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
	rig_close(&rig);
	CU_ASSERT_TRUE(n_moments > 20);
	judge(name);
	munmap(moments, MOMENTS_MAX * sizeof(*moments));
}

static void
test_every_store(void)
{
	watch("plain", plain);
	watch("trickled", trickled);
	watch("refused", refused);
	watch("reset", reset);
	watch("reset while held", reset_while_held);
	watch("stopped", stopped);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {{"every store", test_every_store}, CU_TEST_INFO_NULL};

	return rig_start_eal(64) ? unit_run("flow_adopt_kill", tests) : 1;
}
