/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second opinion: lwIP (lwip_stack.h) is client and endpoint around a real worker.
 *
 *   lwIP's client ── lossy link ── gateway (rig.h) ── lossy link ── lwIP's server
 *
 * Its state is the process's own and can't be made anew, hence a program of its own. Checked: each stream arrives whole
 * and as it was sent, both ways, FIN included; the gateway keeps nothing.
 *
 * Usage: lwip_peer --seeds A..B
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/lwip_stack.h"
#include "tests/sim/rig.h"
#include "tests/unit/random.h"

enum {
	MEGABYTES = 96,
	STREAM_MAX = 60000,
	FLIGHTS_MAX = 1024,
	PATIENCE_MS = 900000,
	CALM_MS = 20000,
	TIME_WAIT_MS = 130000,
	CLIENT_HOST = 10,
	SERVER_HOST = 11,
	LISTEN_PORT = 443,
	ETHERNET = 14
};

struct flight {
	uint64_t at;
	bool to_gate, used;
	unsigned device;
	uint16_t length;
	uint8_t frame[RIG_FRAME];
};

static struct rig rig;
static struct flight flights[FLIGHTS_MAX];
static uint64_t starts_at[LWIP_STACK_CONNECTIONS_MAX];
static unsigned n_connections, n_started;
static uint64_t seed, random_state, begin_ms;
static uint32_t loss, delay_ms[RIG_DEVICES];
static bool failed;

static void
fail(const char *what)
{
	if (!failed)
		printf("sim: lwip seed %llu: %s\n", (unsigned long long)seed, what);
	failed = true;
}

static void
launch(unsigned device, bool to_gate, const uint8_t *frame, uint16_t length)
{
	bool calm = rig.now_ms - begin_ms > CALM_MS;
	unsigned i = 0;

	if (!calm && random_below(&random_state, 65536) < loss)
		return;
	while (i < FLIGHTS_MAX && flights[i].used)
		i++;
	if (i == FLIGHTS_MAX)
		return; /* lost, as in a full queue */
	uint32_t jitter = !calm && random_below(&random_state, 10) == 0 ? random_below(&random_state, 30) : 0;
	flights[i].at = rig.now_ms + delay_ms[device] + jitter;
	flights[i].to_gate = to_gate;
	flights[i].used = true;
	flights[i].device = device;
	flights[i].length = length;
	memcpy(flights[i].frame, frame, length);
}

/* An IP packet that lwIP sends out of an interface. */
static void
from_lwip(unsigned device, const uint8_t *packet, uint16_t length)
{
	uint8_t frame[RIG_FRAME];
	bool v4 = packet[0] >> 4 == 4;

	memcpy(frame, rig.devices[device].mac, 6);
	memcpy(frame + 6, (const uint8_t[6]){2, 0, 0, 0, 0, device == RIG_WAN ? CLIENT_HOST : SERVER_HOST}, 6);
	frame[12] = v4 ? 0x08 : 0x86;
	frame[13] = v4 ? 0x00 : 0xdd;
	memcpy(frame + ETHERNET, packet, length);
	launch(device, true, frame, (uint16_t)(length + ETHERNET));
}

static void
drain(void)
{
	uint8_t frame[RIG_FRAME];
	uint16_t length;

	for (unsigned device = 0; device < RIG_DEVICES; device++)
		while ((length = rig_next_frame(&rig, device, frame)) != 0)
			launch(device, false, frame, length);
}

static bool
all_over(void)
{
	for (unsigned i = 0; i < n_connections; i++)
		if (i >= n_started || lwip_stack_outcome(i) == LWIP_STACK_GOES_ON)
			return false;
	return rig_is_empty(&rig);
}

static void
turn(void)
{
	rig_time(&rig, rig.now_ms + 1);
	drain();
	if (rig.now_ms % LWIP_STACK_TICK_MS == 0)
		lwip_stack_tick();
	while (n_started < n_connections && starts_at[n_started] <= rig.now_ms) {
		uint32_t client = LWIP_STACK_PREAMBLE + random_below(&random_state, STREAM_MAX);
		uint32_t server = LWIP_STACK_PREAMBLE + random_below(&random_state, STREAM_MAX);
		lwip_stack_connect(n_started++, random_below(&random_state, 2) == 0, LISTEN_PORT, client, server);
	}
	for (unsigned i = 0; i < FLIGHTS_MAX; i++) {
		struct flight *flight = &flights[i];
		if (!flight->used || flight->at > rig.now_ms)
			continue;
		flight->used = false;
		if (flight->to_gate)
			rig_receive_frame(&rig, flight->device, flight->frame, flight->length);
		else
			lwip_stack_input(flight->device, flight->frame + ETHERNET,
					 (uint16_t)(flight->length - ETHERNET));
		drain();
	}
}

static void
open_world(void)
{
	uint64_t now_ms = rig.now_ms; /* lwIP's clock goes on */

	/* The gateway begins anew with the same ports, and lwIP has no mind for RFC 6191: its TIME-WAITs must be over.
	 */
	for (unsigned i = 0; i < TIME_WAIT_MS / LWIP_STACK_TICK_MS; i++)
		lwip_stack_tick();
	random_state = seed;
	random_state = random_64(&random_state); /* mixed, as in scenario.c */
	bool v6 = random_below(&random_state, 2) == 0;
	rig_open(&rig, 256, 4096);
	if (now_ms > rig.now_ms)
		rig_time(&rig, now_ms);
	rig.listen_port = LISTEN_PORT;
	rig.hello_length = LWIP_STACK_PREAMBLE;
	rig.offer = (struct listener_offer){.live = 1, .sack = true};
	rig.dials[0] = (struct dial){.addr = rig_addr(v6 ? "2001:db8:2::b" : "198.51.100.11"),
				     .port = LWIP_STACK_SERVER_PORT,
				     .endpoint = 2,
				     .service = 10,
				     .connect_timeout_ms = 60000};
	begin_ms = rig.now_ms;
	loss = random_below(&random_state, 2) == 0 ? 0 : random_below(&random_state, 2000);
	for (unsigned i = 0; i < RIG_DEVICES; i++)
		delay_ms[i] = 1 + random_below(&random_state, 20);
	n_connections = 1 + random_below(&random_state, LWIP_STACK_CONNECTIONS_MAX);
	n_started = 0;
	lwip_stack_begin(n_connections);
	for (unsigned i = 0; i < n_connections; i++)
		starts_at[i] = (i == 0 ? rig.now_ms : starts_at[i - 1]) + random_below(&random_state, 300);
	for (unsigned i = 0; i < FLIGHTS_MAX; i++)
		flights[i].used = false;
}

static void
fail_without_end(void)
{
	const struct flow_table *flows = &rig.worker.flows;

	fail("no end");
	for (unsigned i = 0; i < n_connections; i++)
		if (lwip_stack_outcome(i) == LWIP_STACK_GOES_ON)
			lwip_stack_describe(i);
	for (uint32_t i = 1; i <= flow_table_touched(flows); i++)
		if (flow_table_get(flows, i)->state != FLOW_FREE)
			printf("  flow %u: %s\n", i, flow_state_text(flow_table_get(flows, i)->state));
}

static void
run(void)
{
	struct flow_event event;

	open_world();
	while (!failed && !all_over()) {
		turn();
		if (rig.now_ms - begin_ms > PATIENCE_MS)
			fail_without_end();
	}
	while (rig_event(&rig, &event))
		if (event.reason != REASON_CLOSED)
			fail(reason_text((enum reason)event.reason));
	for (unsigned i = 0; i < n_connections; i++)
		if (lwip_stack_outcome(i) != LWIP_STACK_COMPLETE)
			fail(lwip_stack_outcome(i) == LWIP_STACK_RESET ? "a connection was reset"
								       : "other bytes than were sent");
	uint64_t now_ms = rig.now_ms;
	if (rig_close(&rig) != 0)
		fail("packet buffers were lost");
	rig.now_ms = now_ms;
}

int
main(int argc, char **argv)
{
	unsigned long long first, last, total = 0;

	if (argc != 3 || strcmp(argv[1], "--seeds") != 0 || sscanf(argv[2], "%llu..%llu", &first, &last) != 2) {
		fputs("usage: lwip_peer --seeds A..B\n", stderr);
		return 2;
	}
	if (!rig_start_eal(MEGABYTES))
		return 2;
	lwip_stack_open(from_lwip);
	for (seed = first; seed <= last && !failed; seed++) {
		run();
		total += n_connections;
	}
	if (!failed)
		printf("sim: lwip seeds %llu..%llu: %llu connections, all complete\n", first, last, total);
	return failed;
}
