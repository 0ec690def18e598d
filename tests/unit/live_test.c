/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/live.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/tcp_options.h"
#include "tests/unit/unit.h"

static const struct snapshot EMPTY;

static uint32_t
get(struct live *live, char kind, const char *name)
{
	return live_slot_get(live, kind, name, strlen(name));
}

static void
test_names(void)
{
	struct live *live = live_create(1, LIVE_SLOTS_MAX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(live);

	uint32_t a = get(live, 'e', "a"), b = get(live, 'e', "b"), other_kind = get(live, 'b', "a");
	CU_ASSERT_NOT_EQUAL(a, 0);
	CU_ASSERT_NOT_EQUAL(a, b);
	CU_ASSERT_NOT_EQUAL(a, other_kind);
	CU_ASSERT_EQUAL(get(live, 'e', "a"), a);
	CU_ASSERT_EQUAL(live_slot_get(live, 'e', "ab", 1), a);
	struct snapshot_slots slots = live_snapshot_slots(live);
	CU_ASSERT_EQUAL(slots.get(slots.context, 'b', "a", 1), other_kind);
	CU_ASSERT_STRING_EQUAL(live_name(live, b), "b");
	CU_ASSERT_EQUAL(live_kind(live, other_kind), 'b');
	CU_ASSERT_EQUAL(live_used(live), 3);
	CU_ASSERT_STRING_EQUAL(live_name(live, 0), "");
	CU_ASSERT_STRING_EQUAL(live_name(live, 77), "");
	CU_ASSERT_EQUAL(live_kind(live, UINT32_MAX), 0);
	CU_ASSERT_STRING_EQUAL(live_label(live, a, LIVE_SERVICE), "");
	live_free(live);
}

/* The index grows, and every name keeps its slot. */
static void
test_many(void)
{
	enum { N = 20000 };
	struct live *live = live_create(2, LIVE_SLOTS_MAX);
	unsigned wrong = 0, walked = 0;
	char name[32];

	CU_ASSERT_PTR_NOT_NULL_FATAL(live);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 1; i <= N; i++) {
			snprintf(name, sizeof(name), "host-%u", i);
			wrong += get(live, 'e', name) != i;
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
	for (uint32_t slot = live_next(live, 0); slot != 0; slot = live_next(live, slot))
		walked++;
	CU_ASSERT_EQUAL(walked, N);
	live_free(live);
}

static void
test_full(void)
{
	struct live *live = live_create(1, 3);
	CU_ASSERT_PTR_NOT_NULL_FATAL(live);
	CU_ASSERT_NOT_EQUAL(get(live, 'e', "a"), 0);
	CU_ASSERT_NOT_EQUAL(get(live, 'e', "b"), 0);
	CU_ASSERT_EQUAL(get(live, 'e', "c"), 0);
	CU_ASSERT_NOT_EQUAL(get(live, 'e', "b"), 0);
	live_free(live);
}

static void
test_counters(void)
{
	struct live *live = live_create(3, 16);
	struct live_counters sum;

	CU_ASSERT_PTR_NOT_NULL_FATAL(live);
	uint32_t slot = get(live, 'e', "a");
	for (unsigned i = 0; i < 3; i++)
		live_counters(live, i)[slot] = (struct live_counters){.opened = 10 + i,
								      .closed = 4,
								      .failed = 1,
								      .sent = 1000,
								      .received = 1ull << 40,
								      .active = 6 + i};
	live_sum(live, slot, &sum);
	CU_ASSERT_EQUAL(sum.opened, 33);
	CU_ASSERT_EQUAL(sum.closed, 12);
	CU_ASSERT_EQUAL(sum.failed, 3);
	CU_ASSERT_EQUAL(sum.sent, 3000);
	CU_ASSERT_EQUAL(sum.received, 3ull << 40);
	CU_ASSERT_EQUAL(sum.active, 21);
	CU_ASSERT_EQUAL(live_active(live, slot), 21);
	*live_cursor(live, 1, slot) = 5;
	CU_ASSERT_EQUAL(*live_cursor(live, 0, slot), 0);
	live_free(live);
}

static void
test_profiles(void)
{
	static const struct tcp_profile cases[] = {
		{1460, 7, true, true, true, true, 65535},
		{1440, 0, true, false, true, true, 0},
		{0, TCP_WSCALE_NONE, false, true, true, true, 1},
		{65535, 14, false, false, true, true, 512},
	};
	struct live *live = live_create(1, 16);
	struct tcp_profile profile;

	CU_ASSERT_PTR_NOT_NULL_FATAL(live);
	uint32_t slot = get(live, 'e', "a");
	CU_ASSERT_FALSE(live_profile(live, slot, &profile));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		live_profile_set(live, slot, &cases[i]);
		CU_ASSERT_TRUE_FATAL(live_profile(live, slot, &profile));
		CU_ASSERT_EQUAL(profile.mss, cases[i].mss);
		CU_ASSERT_EQUAL(profile.wscale, cases[i].wscale);
		CU_ASSERT_EQUAL(profile.sack, cases[i].sack);
		CU_ASSERT_EQUAL(profile.timestamps, cases[i].timestamps);
		CU_ASSERT_EQUAL(profile.window, cases[i].window);
	}
	CU_ASSERT_FALSE(live_profile(live, slot + 1, &profile));
	live_free(live);
}

/* A client without SACK makes us send a SYN without it: that its answer has none says nothing about the endpoint. */
static void
test_profile_keeps_what_was_not_asked(void)
{
	static const struct tcp_profile whole = {1460, 7, true, true, true, true, 100};
	static const struct tcp_profile unasked = {1400, 8, false, false, false, false, 200};
	struct live *live = live_create(1, 16);
	struct tcp_profile profile;

	CU_ASSERT_PTR_NOT_NULL_FATAL(live);
	uint32_t slot = get(live, 'e', "a");
	live_profile_set(live, slot, &unasked);
	CU_ASSERT_TRUE_FATAL(live_profile(live, slot, &profile));
	CU_ASSERT_FALSE(profile.asked_sack || profile.asked_timestamps);
	live_profile_set(live, slot, &whole);
	live_profile_set(live, slot, &unasked);
	CU_ASSERT_TRUE_FATAL(live_profile(live, slot, &profile));
	CU_ASSERT_TRUE(profile.asked_sack && profile.sack && profile.asked_timestamps && profile.timestamps);
	CU_ASSERT_EQUAL(profile.mss, 1400);
	CU_ASSERT_EQUAL(profile.window, 200);
	live_free(live);
}

/* A slot goes only after two snapshots without it, without connections, and then LIVE_HOLD_MS of peace. */
static void
test_release(void)
{
	struct live *live = live_create(2, 16);
	struct tcp_profile profile = {.mss = 1460};
	struct live_counters sum;

	CU_ASSERT_PTR_NOT_NULL_FATAL(live);
	uint32_t gone = get(live, 'e', "gone"), stays = get(live, 'e', "stays");
	live_commit(live, &EMPTY);
	live_counters(live, 1)[gone] = (struct live_counters){.opened = 1, .active = 1};
	live_profile_set(live, gone, &profile);
	*live_cursor(live, 1, gone) = 9;

	uint64_t now = 0; /* a clock that has just begun counts, too */
	for (unsigned commits = 0; commits < 2; commits++) {
		CU_ASSERT_EQUAL(live_sweep(live, now), 0);
		CU_ASSERT_EQUAL(live_sweep(live, now += LIVE_HOLD_MS), 0);
		get(live, 'e', "stays");
		live_commit(live, &EMPTY);
	}
	CU_ASSERT_EQUAL(live_sweep(live, now += LIVE_HOLD_MS), 0); /* a connection is active */
	CU_ASSERT_EQUAL(live_sweep(live, now += LIVE_HOLD_MS), 0);
	live_counters(live, 1)[gone].active = 0;
	CU_ASSERT_EQUAL(live_sweep(live, now), 0);
	CU_ASSERT_EQUAL(live_sweep(live, now + LIVE_HOLD_MS - 1), 0);
	live_counters(live, 0)[gone].active = 1; /* once more: the time begins anew */
	CU_ASSERT_EQUAL(live_sweep(live, now += LIVE_HOLD_MS), 0);
	live_counters(live, 0)[gone].active = 0;
	CU_ASSERT_EQUAL(live_sweep(live, now), 0);
	CU_ASSERT_STRING_EQUAL(live_name(live, gone), "gone");
	CU_ASSERT_EQUAL(live_sweep(live, now + LIVE_HOLD_MS), 1);
	CU_ASSERT_STRING_EQUAL(live_name(live, gone), "");
	CU_ASSERT_EQUAL(live_used(live), 1);
	CU_ASSERT_EQUAL(live_next(live, 0), stays);

	/* The number comes back under another name, clean; the old name gets another one. */
	CU_ASSERT_EQUAL(get(live, 'b', "new"), gone);
	CU_ASSERT_FALSE(live_profile(live, gone, &profile));
	live_sum(live, gone, &sum);
	CU_ASSERT_EQUAL(sum.opened, 0);
	CU_ASSERT_EQUAL(*live_cursor(live, 1, gone), 0);
	CU_ASSERT_EQUAL(get(live, 'e', "stays"), stays);
	CU_ASSERT_NOT_EQUAL(get(live, 'e', "gone"), gone);
	live_free(live);
}

/* The last snapshot but one still counts: a worker may be reading it. */
static void
test_two_snapshots(void)
{
	struct live *live = live_create(1, 16);

	CU_ASSERT_PTR_NOT_NULL_FATAL(live);
	get(live, 'e', "gone");
	live_commit(live, &EMPTY);
	live_commit(live, &EMPTY);
	live_sweep(live, 0);
	CU_ASSERT_EQUAL(live_sweep(live, LIVE_HOLD_MS), 0);
	live_commit(live, &EMPTY);
	live_sweep(live, LIVE_HOLD_MS);
	CU_ASSERT_EQUAL(live_sweep(live, 2 * LIVE_HOLD_MS), 1);
	live_free(live);
}

/* A load that fails names slots and isn't committed: they age with the commits that follow, and the ones in force
 * don't. */
static void
test_failed_load(void)
{
	struct live *live = live_create(1, 16);

	CU_ASSERT_PTR_NOT_NULL_FATAL(live);
	get(live, 'e', "in force");
	live_commit(live, &EMPTY);
	for (unsigned i = 0; i < 10; i++)
		get(live, 'e', "only in the broken file");
	live_sweep(live, 1);
	CU_ASSERT_EQUAL(live_sweep(live, 1 + LIVE_HOLD_MS), 0);
	for (unsigned i = 0; i < 3; i++) {
		get(live, 'e', "in force");
		live_commit(live, &EMPTY);
	}
	live_sweep(live, 2 + LIVE_HOLD_MS);
	CU_ASSERT_EQUAL(live_sweep(live, 2 + 2 * LIVE_HOLD_MS), 1);
	CU_ASSERT_STRING_EQUAL(live_name(live, live_next(live, 0)), "in force");
	live_free(live);
}

/* Nothing counts the connections of a listener. */
static void
test_listeners_stay(void)
{
	struct live *live = live_create(1, 16);

	CU_ASSERT_PTR_NOT_NULL_FATAL(live);
	get(live, 'l', "east-west:15443");
	for (unsigned i = 0; i < 4; i++)
		live_commit(live, &EMPTY);
	live_sweep(live, 0);
	CU_ASSERT_EQUAL(live_sweep(live, LIVE_HOLD_MS), 0);
	CU_ASSERT_EQUAL(live_used(live), 1);
	live_free(live);
}

/* Removal from the index under collisions: of 500 names, half go, the rest must all be found. */
static void
test_release_many(void)
{
	enum { N = 500 };
	struct live *live = live_create(1, N + 1);
	uint32_t slots[N] = {0};
	char name[32];
	unsigned wrong = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(live);
	for (unsigned commits = 0; commits < 4; commits++) {
		for (unsigned i = 0; i < N; i++) {
			if (commits > 0 && i % 2 == 0)
				continue;
			snprintf(name, sizeof(name), "host-%u", i);
			uint32_t slot = get(live, 'e', name);
			wrong += commits > 0 && slot != slots[i];
			slots[i] = slot;
		}
		live_commit(live, &EMPTY);
	}
	live_sweep(live, 0);
	CU_ASSERT_EQUAL(live_sweep(live, LIVE_HOLD_MS), N / 2);
	for (unsigned i = 1; i < N; i += 2) {
		snprintf(name, sizeof(name), "host-%u", i);
		wrong += get(live, 'e', name) != slots[i];
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(live_used(live), N / 2);
	live_free(live);
}

#define NAME(text)                                                                                                     \
	{                                                                                                              \
		text, sizeof(text) - 1                                                                                 \
	}

static void
test_labels(void)
{
	struct live *live = live_create(1, 16);
	CU_ASSERT_PTR_NOT_NULL_FATAL(live);

	struct endpoint endpoint = {.live = get(live, 'e', "payments/10.0.0.1:8443"),
				    .workload = NAME("pay-1"),
				    .cluster = NAME("core-1"),
				    .version = NAME("v1")};
	const struct endpoint *endpoints[] = {&endpoint};
	struct service service = {
		.host = NAME("payments.bank.svc.cluster.local"), .name = NAME("payments"), .space = NAME("bank")};
	struct backend backend = {
		.service = &service, .live = get(live, 'b', "payments:8443"), .endpoints = endpoints, .n_endpoints = 1};
	const struct backend *backends[] = {&backend};
	struct listener listener = {.live = get(live, 'l', "east-west:15443"), .gateway = NAME("default/east-west")};
	struct snapshot snapshot = {.listeners = &listener, .n_listeners = 1, .backends = backends, .n_backends = 1};

	live_commit(live, &snapshot);
	CU_ASSERT_STRING_EQUAL(live_label(live, endpoint.live, LIVE_WORKLOAD), "pay-1");
	CU_ASSERT_STRING_EQUAL(live_label(live, endpoint.live, LIVE_SERVICE), "payments.bank.svc.cluster.local");
	CU_ASSERT_STRING_EQUAL(live_label(live, endpoint.live, LIVE_VERSION), "v1");
	CU_ASSERT_STRING_EQUAL(live_label(live, endpoint.live, LIVE_APP), "");
	CU_ASSERT_STRING_EQUAL(live_label(live, backend.live, LIVE_SERVICE_NAMESPACE), "bank");
	CU_ASSERT_STRING_EQUAL(live_label(live, backend.live, LIVE_WORKLOAD), "");
	CU_ASSERT_STRING_EQUAL(live_label(live, listener.live, LIVE_GATEWAY), "default/east-west");
	CU_ASSERT_STRING_EQUAL(live_name(live, endpoint.live), "payments/10.0.0.1:8443");

	/* They follow the next snapshot, and stay when one doesn't name the slot. */
	endpoint.workload = (struct name)NAME("a-much-longer-name-of-a-workload");
	endpoint.version = (struct name){NULL, 0};
	live_commit(live, &snapshot);
	live_commit(live, &EMPTY);
	CU_ASSERT_STRING_EQUAL(live_label(live, endpoint.live, LIVE_WORKLOAD), "a-much-longer-name-of-a-workload");
	CU_ASSERT_STRING_EQUAL(live_label(live, endpoint.live, LIVE_VERSION), "");
	CU_ASSERT_STRING_EQUAL(live_name(live, endpoint.live), "payments/10.0.0.1:8443");
	live_free(live);
}

static const CU_TestInfo tests[] = {
	{"names", test_names},
	{"many names", test_many},
	{"full", test_full},
	{"counters", test_counters},
	{"profiles", test_profiles},
	{"a profile keeps what was not asked", test_profile_keeps_what_was_not_asked},
	{"release", test_release},
	{"the last two snapshots", test_two_snapshots},
	{"a load that failed", test_failed_load},
	{"listeners stay", test_listeners_stay},
	{"release of many", test_release_many},
	{"labels", test_labels},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("live", tests);
}
