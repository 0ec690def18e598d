/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/coverage.h"

#include <stdio.h>

static uint64_t met[SITUATIONS], reasons[REASON_COUNT];

static const char *const SITUATION_TEXTS[SITUATIONS] = {
#define X(constant, text) [MET_##constant] = (text),
	SITUATION_LIST(X)
#undef X
};

/* Reasons that the fixed seeds must bring about. */
static const enum reason MUST[] = {
	REASON_TCP_CHECKSUM,
	REASON_TCP_WINDOW,
	REASON_TCP_STATE,
	REASON_COOKIE_BAD,
	REASON_NO_LISTENER,
	REASON_LISTENER_DRAINING,
	REASON_FLOW_TABLE_FULL,
	REASON_HOLD_POOL_EMPTY,
	REASON_HANDOVER_FULL,
	REASON_PACKET_POOL_EMPTY,
	REASON_NEIGHBOUR_TABLE_FULL,
	REASON_TX_FULL,
	REASON_HELLO_NOT_TLS,
	REASON_HELLO_TOO_LARGE,
	REASON_HELLO_TIMEOUT,
	REASON_CLIENT_CLOSED,
	REASON_CLIENT_RESET,
	REASON_SNI_MISSING,
	REASON_SNI_NO_MATCH,
	REASON_SNI_NOT_ISTIO,
	REASON_SERVICE_UNKNOWN,
	REASON_NO_ENDPOINT,
	REASON_MAX_CONNECTIONS,
	REASON_CONNECT_TIMEOUT,
	REASON_CONNECT_REFUSED,
	REASON_CONNECT_UNREACHABLE,
	REASON_BRIDGE_POOL_EMPTY,
	REASON_CLOSED,
	REASON_RESET_BY_CLIENT,
	REASON_RESET_BY_ENDPOINT,
	REASON_IDLE_TIMEOUT,
	REASON_HALF_CLOSED_TIMEOUT,
	REASON_RECLAIMED,
	REASON_ADOPT_HELD,
	REASON_ADOPT_BRIDGED,
};

void
coverage_count(uint64_t situations)
{
	for (unsigned i = 0; i < SITUATIONS; i++)
		met[i] += situations >> i & 1;
}

void
coverage_take_reasons(const struct rig *rig)
{
	for (unsigned i = 0; i < REASON_COUNT; i++)
		reasons[i] += rig_reason_count(rig, (enum reason)i);
}

void
coverage_print(void)
{
	printf("connections by situation:\n");
	for (unsigned i = 0; i < SITUATIONS; i++)
		printf("%12llu  %s\n", (unsigned long long)met[i], SITUATION_TEXTS[i]);
	printf("packets and connections by reason:\n");
	for (unsigned i = 1; i < REASON_COUNT; i++)
		if (reasons[i] != 0)
			printf("%12llu  %s\n", (unsigned long long)reasons[i], reason_text((enum reason)i));
}

bool
coverage_is_whole(void)
{
	bool whole = true;

	for (unsigned i = 0; i < SITUATIONS; i++)
		if (met[i] == 0) {
			printf("sim: never met: %s\n", SITUATION_TEXTS[i]);
			whole = false;
		}
	for (unsigned i = 0; i < sizeof(MUST) / sizeof(MUST[0]); i++)
		if (reasons[MUST[i]] == 0) {
			printf("sim: never counted: %s\n", reason_text(MUST[i]));
			whole = false;
		}
	return whole;
}
