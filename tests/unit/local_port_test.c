/* SPDX-License-Identifier: Apache-2.0 */
/* Ports towards endpoints: each worker's own, none twice while it is in use, and none soon again. */
#include "dataplane/local_port.h"

#include <arpa/inet.h>

#include "dataplane/packet.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

static struct rig rig;

static struct flow_key
key_of(const char *peer)
{
	return (struct flow_key){.peer = rig_addr(peer), .peer_port = htons(8443), .local_addr = 2};
}

static void
test_owner(void)
{
	for (uint16_t n = 1; n <= 5; n++) {
		rig_open(&rig, 64, 4096);
		rig.worker.n_workers = n;
		for (uint16_t id = 0; id < n; id++) {
			rig.worker.id = id;
			for (unsigned i = 0; i < 2000; i++) {
				struct flow_key key = key_of("198.51.100.10");
				CU_ASSERT_TRUE_FATAL(local_port_choose(&rig.worker, &key));
				CU_ASSERT_TRUE_FATAL(ntohs(key.local_port) >= 16384);
				CU_ASSERT_EQUAL_FATAL(local_port_owner(key.local_port, n), id);
			}
		}
		CU_ASSERT_EQUAL(rig_close(&rig), 0);
	}
}

static void
test_all_before_any_again(void)
{
	/* Ranges that begin and end anywhere; the counter goes round several times (it once had 16 bits, and began anew
	 * too soon). */
	static const struct {
		uint16_t first, last, workers, id, span;
	} cases[] = {{16384, 65535, 1, 0, 49152},
		     {1024, 2047, 1, 0, 1024},
		     {1025, 2051, 4, 1, 257},
		     {1025, 2051, 4, 0, 256}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static uint32_t used_at[65536];
		memset(used_at, 0, sizeof(used_at));
		rig_open(&rig, 64, 4096);
		rig.conf.flow.local_port_first = cases[i].first;
		rig.conf.flow.local_port_last = cases[i].last;
		rig.worker.n_workers = cases[i].workers;
		rig.worker.id = cases[i].id;
		bool early = false, outside = false;
		for (uint32_t n = 1; n <= 200000; n++) {
			struct flow_key key = key_of("2001:db8:2::10");
			CU_ASSERT_TRUE_FATAL(local_port_choose(&rig.worker, &key));
			uint16_t port = ntohs(key.local_port);
			outside |= port < cases[i].first || port > cases[i].last;
			early |= used_at[port] != 0 && n - used_at[port] < cases[i].span;
			used_at[port] = n;
		}
		CU_ASSERT_FALSE(outside);
		CU_ASSERT_FALSE(early);
		CU_ASSERT_EQUAL(rig_close(&rig), 0);
	}
}

static void
test_taken(void)
{
	rig_open(&rig, 2048, 4096);
	rig.conf.flow.local_port_first = 20000;
	rig.conf.flow.local_port_last = 20009;
	struct flow_key key = key_of("198.51.100.10");
	for (unsigned i = 0; i < 10; i++) {
		CU_ASSERT_TRUE(local_port_choose(&rig.worker, &key));
		uint32_t index = flow_table_alloc(&rig.worker.flows);
		struct flow_leg *leg = &flow_table_get(&rig.worker.flows, index)->leg[LEG_ENDPOINT];
		leg->peer = key.peer;
		leg->peer_port = key.peer_port;
		leg->local_addr = key.local_addr;
		leg->local_port = key.local_port;
		CU_ASSERT_EQUAL(flow_table_find(&rig.worker.flows, &key), 0);
		CU_ASSERT_TRUE(flow_table_insert(&rig.worker.flows, index, LEG_ENDPOINT));
	}
	CU_ASSERT_FALSE(local_port_choose(&rig.worker, &key));
	/* Another endpoint, another port of the same, another address of ours: all free. */
	struct flow_key others[] = {key_of("198.51.100.11"), key, key};
	others[1].peer_port = htons(8444);
	others[2].local_addr = 3;
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_TRUE(local_port_choose(&rig.worker, &others[i]));
	/* One is given back, and found. */
	uint16_t port = flow_table_get(&rig.worker.flows, 4)->leg[LEG_ENDPOINT].local_port;
	flow_table_remove(&rig.worker.flows, 4, LEG_ENDPOINT);
	CU_ASSERT_TRUE(local_port_choose(&rig.worker, &key));
	CU_ASSERT_EQUAL(key.local_port, port);
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

static void
test_range_without_ours(void)
{
	rig_open(&rig, 64, 4096);
	rig.conf.flow.local_port_first = 20000;
	rig.conf.flow.local_port_last = 20002;
	rig.worker.n_workers = 8;
	rig.worker.id = 5;
	struct flow_key key = key_of("198.51.100.10");
	CU_ASSERT_FALSE(local_port_choose(&rig.worker, &key));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

static void
test_beginning_is_secret(void)
{
	/* Where the range is entered depends on the endpoint and on the secret. */
	uint16_t ports[4];

	rig_open(&rig, 64, 4096);
	for (unsigned i = 0; i < 4; i++) {
		struct flow_key key = key_of(i & 1 ? "198.51.100.10" : "198.51.100.11");
		rig.worker.port_secret[0] = i >> 1;
		CU_ASSERT_TRUE(local_port_choose(&rig.worker, &key));
		ports[i] = key.local_port;
		for (unsigned j = 0; j < i; j++)
			CU_ASSERT_NOT_EQUAL(ports[i], ports[j]);
	}
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

/* A port that a listener has as well: what an endpoint sends there was taken for a client's, and went to the worker
 * that its addresses hash to. */
static void
test_listeners_port(void)
{
	rig_open(&rig, 64, 4096);
	rig.conf.flow.local_port_first = 20000;
	rig.conf.flow.local_port_last = 20003;
	rig.listen_port = 20002;
	struct flow_key key = key_of("198.51.100.10");
	for (unsigned i = 0; i < 20; i++) {
		CU_ASSERT_TRUE(local_port_choose(&rig.worker, &key));
		CU_ASSERT_NOT_EQUAL(ntohs(key.local_port), 20002);
	}
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

/* All ports are taken; one by a connection that has ended and lingers. */
static void
test_lingering(void)
{
	static struct talk talks[11];

	rig_open(&rig, 64, 4096);
	rig.conf.flow.local_port_first = 20000;
	rig.conf.flow.local_port_last = 20009;
	for (unsigned i = 0; i < 11; i++) {
		talk_init(&talks[i], &rig, false, false);
		talks[i].side[LEG_CLIENT].port = (uint16_t)(1000 + i);
	}
	for (unsigned i = 0; i < 10; i++)
		CU_ASSERT_TRUE(talk_connect(&talks[i]));
	CU_ASSERT_FALSE(talk_connect(&talks[10]));
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_LOCAL_PORTS], 1);
	CU_ASSERT_TRUE(talk_hear_reset(&talks[10], LEG_CLIENT));

	talk_say(&talks[4], LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear(&talks[4], LEG_ENDPOINT));
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 1);
	talk_init(&talks[10], &rig, false, false);
	CU_ASSERT_TRUE(talk_connect(&talks[10]));
	CU_ASSERT_EQUAL(talks[10].side[LEG_ENDPOINT].gate_port, talks[4].side[LEG_ENDPOINT].gate_port);
	CU_ASSERT_EQUAL(rig.stats.states[FLOW_CLOSING], 0);
	for (unsigned i = 0; i < 11; i++)
		if (i != 4)
			CU_ASSERT_TRUE(talk_exchange(&talks[i], 10));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"owner", test_owner},
		{"all before any again", test_all_before_any_again},
		{"taken", test_taken},
		{"a range without ours", test_range_without_ours},
		{"the beginning is secret", test_beginning_is_secret},
		{"a listener's port", test_listeners_port},
		{"a lingering connection's", test_lingering},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("local_port", tests) : 1;
}
