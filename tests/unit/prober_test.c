/* SPDX-License-Identifier: Apache-2.0 */
/* Which endpoints are asked for their TCP options, by what is known of them. */
#include "gateway/prober.h"

#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <string.h>

#include "dataplane/probe.h"
#include "tests/sim/rig.h"
#include "tests/unit/unit.h"

static struct rte_ring *ring;
static struct live *live;
static struct prober prober;
static struct endpoint endpoint;
static const struct snapshot snapshot = {.endpoints = &endpoint, .n_endpoints = 1};

static void
begin(void)
{
	ring = rte_ring_create_elem("probes", sizeof(struct probe_request), 16, SOCKET_ID_ANY, 0);
	live = live_create(1, 16);
	CU_ASSERT_PTR_NOT_NULL_FATAL(ring);
	CU_ASSERT_PTR_NOT_NULL_FATAL(live);
	CU_ASSERT_TRUE_FATAL(prober_init(&prober, live));
	endpoint = (struct endpoint){.port = 8443, .live = live_slot_get(live, 'e', "a", 1)};
}

static void
end(void)
{
	prober_free(&prober);
	live_free(live);
	rte_ring_free(ring);
}

/* Whether the endpoint is asked in that second. */
static bool
asks(uint32_t now_s)
{
	struct probe_request request;

	prober_tick(&prober, &snapshot, &ring, 1, now_s);
	bool asked = rte_ring_dequeue_elem(ring, &request, sizeof(request)) == 0;
	CU_ASSERT_TRUE(!asked || (request.endpoint == endpoint.live && request.port == 8443));
	return asked;
}

static void
test_once_a_minute(void)
{
	begin();
	CU_ASSERT_TRUE(asks(1000));
	CU_ASSERT_FALSE(asks(1001));
	CU_ASSERT_FALSE(asks(1059));
	CU_ASSERT_TRUE(asks(1060));
	CU_ASSERT_FALSE(asks(1061));
	end();
}

/* What an endpoint lacks, the gateway stops offering, so no client's connection would tell that it has it again. An
 * endpoint that had lost SACK was without it for good. */
static void
test_what_is_known(void)
{
	static const struct {
		bool asked_sack, sack, asked_timestamps, timestamps, asks;
	} cases[] = {
		{true, true, true, true, false},  {true, false, true, true, true},  {true, true, true, false, true},
		{false, false, true, true, true}, {true, true, false, false, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct tcp_profile profile = {.mss = 1460,
						    .asked_sack = cases[i].asked_sack,
						    .sack = cases[i].sack,
						    .asked_timestamps = cases[i].asked_timestamps,
						    .timestamps = cases[i].timestamps};

		begin();
		live_profile_set(live, endpoint.live, &profile);
		CU_ASSERT_EQUAL(asks(1000), cases[i].asks);
		CU_ASSERT_EQUAL(asks(1060), cases[i].asks);
		end();
	}
}

static void
test_nothing_in_force(void)
{
	begin();
	prober_tick(&prober, NULL, &ring, 1, 1000);
	CU_ASSERT_EQUAL(rte_ring_count(ring), 0);
	end();
}

static const CU_TestInfo tests[] = {
	{"once a minute", test_once_a_minute},
	{"what is known", test_what_is_known},
	{"nothing in force", test_nothing_in_force},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	if (!rig_start_eal(64))
		return 1;
	return unit_run("prober", tests);
}
