/* SPDX-License-Identifier: Apache-2.0 */
/* Too many SYNs: which are answered, and that it ends with the backlog. */
#include "dataplane/syn_shed.h"

#include "dataplane/packet.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

static struct rig rig;
static struct talk talk;

static void
begin(void)
{
	rig_open(&rig, 64, 4096);
	talk_init(&talk, &rig, false, false);
}

static void
end(void)
{
	rig_advance(&rig, 10000);
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

static unsigned
answers(void)
{
	uint8_t frame[RIG_FRAME];
	struct segment segment;
	unsigned n = 0;

	while (rig_next(&rig, RIG_WAN, &segment, frame))
		n += segment.flags == (TCP_SYN | TCP_ACK);
	return n;
}

/* Bursts of so many SYNs from addresses that nobody knows; or from one, when it isn't NULL. Returns how many were
 * answered. */
static unsigned
flood(unsigned bursts, uint16_t burst, const char *from)
{
	struct segment syns[WORKER_BURST];
	static uint32_t stranger;
	unsigned n = 0;

	for (unsigned i = 0; i < bursts; i++) {
		for (uint16_t j = 0; j < burst; j++) {
			syns[j] = talk_segment(&talk, LEG_CLIENT, TCP_SYN);
			syns[j].source = rig_addr(from != NULL ? from : "192.0.2.5");
			if (from == NULL)
				syns[j].source.words[3] = (stranger++ << 8) | 11; /* 11.…, in network order */
			syns[j].source_port = (uint16_t)(2000 + i);
		}
		rig_receive_burst(&rig, RIG_WAN, syns, burst);
		n += answers();
	}
	return n;
}

enum { FULL = SYN_SHED_BACKLOG / WORKER_BURST };

static void
test_backlog(void)
{
	begin();
	/* As long as bursts aren't full, there is no backlog, whatever comes. */
	CU_ASSERT_EQUAL(flood(200, WORKER_BURST - 1, NULL), 200 * (WORKER_BURST - 1));
	CU_ASSERT_EQUAL(flood(FULL - 1, WORKER_BURST, NULL), (FULL - 1) * WORKER_BURST);
	CU_ASSERT_EQUAL(flood(1, 1, NULL), 1);
	CU_ASSERT_EQUAL(flood(FULL, WORKER_BURST, NULL), SYN_SHED_BACKLOG);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_SYN_SHED], 0);
	unsigned n = flood(500, WORKER_BURST, NULL);
	CU_ASSERT_TRUE(n > 700 && n < 1300); /* one of 16: 1000 */
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_SYN_SHED], 500 * WORKER_BURST - n);
	/* The other device has no backlog, and doesn't end this one. */
	struct segment syn = talk_segment(&talk, LEG_CLIENT, TCP_SYN);
	syn.source = rig_addr("198.51.100.9");
	rig_receive(&rig, RIG_LAN, &syn);
	CU_ASSERT_EQUAL(rig_waiting(&rig, RIG_LAN), 1);
	CU_ASSERT_TRUE(flood(10, WORKER_BURST, NULL) < 10 * WORKER_BURST);
	/* It is over with the first burst that isn't full. */
	CU_ASSERT_EQUAL(flood(8, WORKER_BURST - 1, NULL), 8 * (WORKER_BURST - 1));
	end();
}

static void
test_known(void)
{
	unsigned n;

	begin();
	CU_ASSERT_TRUE(talk_connect(&talk)); /* 192.0.2.2 is known from now on */
	flood(FULL, WORKER_BURST, NULL);
	CU_ASSERT_EQUAL(flood(4, WORKER_BURST, "192.0.2.2"), 4 * WORKER_BURST);
	CU_ASSERT_TRUE(flood(4, WORKER_BURST, "192.0.2.3") < 2 * WORKER_BURST);
	/* Not without limit, or its address would be the one to forge. */
	n = flood(100, WORKER_BURST, "192.0.2.2");
	CU_ASSERT_TRUE(n >= SYN_SHED_KNOWN - 4 * WORKER_BURST && n < 600);
	rig_advance(&rig, 100);
	CU_ASSERT_EQUAL(flood(4, WORKER_BURST, "192.0.2.2"), 4 * WORKER_BURST);
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	/* It is forgotten by and by. */
	rig_advance(&rig, SYN_SHED_FORGET_MS);
	flood(FULL, WORKER_BURST, NULL);
	CU_ASSERT_TRUE(flood(4, WORKER_BURST, "192.0.2.2") < 2 * WORKER_BURST);
	end();
}

/* Of two addresses in one slot the first keeps it as long as it is of use. */
static void
test_slot(void)
{
	struct worker *worker = &rig.worker;
	struct ip_addr first = rig_addr("192.0.2.2"), second = first;
	uint32_t backlog = SYN_SHED_BACKLOG;
	unsigned n;

	begin();
	syn_shed_learn(worker, &first);
	unsigned slot = 0;
	while (worker->shed.known[slot].tag == 0)
		slot++;
	uint32_t tag = worker->shed.known[slot].tag;
	for (n = 0; n < 1000000 && worker->shed.known[slot].tag == tag; n++) {
		second.words[3] = n * 2654435761u;
		if (n % 1000 == 0)
			syn_shed_learn(worker, &first);
		if (ip_addr_equal(&first, &second))
			continue;
		syn_shed_learn(worker, &second);
	}
	CU_ASSERT_EQUAL(n, 1000000);
	worker->clock_ms += SYN_SHED_KEEP_MS;
	for (n = 0; n < 1000000 && worker->shed.known[slot].tag == tag; n++) {
		second.words[3] = n * 2654435761u;
		syn_shed_learn(worker, &second);
	}
	CU_ASSERT_TRUE(n < 1000000);
	/* An IPv6 client is its network. */
	first = rig_addr("2001:db8:1:2::7");
	syn_shed_learn(worker, &first);
	first = rig_addr("2001:db8:1:2:3:4:5:6");
	worker->shed.backlog = &backlog;
	CU_ASSERT_TRUE(syn_shed_admits(worker, &first));
	CU_ASSERT_EQUAL(backlog, SYN_SHED_BACKLOG + 1);
	end();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"backlog", test_backlog},
		{"known clients", test_known},
		{"two in one slot", test_slot},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("syn_shed", tests) : 1;
}
