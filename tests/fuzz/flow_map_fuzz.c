/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what the process before left. By the first byte of an input:
 *
 *   bit 0 set     the rest is a file: flow_map_check, with a checksum that fits if bit 1 is set
 *   bit 0 clear   the rest are flow records, which 1 to 4 workers (bits 2 and 3) adopt from a table that is otherwise
 * in order; then packets come for some of them, and all are ended
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "dataplane/flow_map.h"
#include "platform/crc32c.h"
#include "platform/text.h"
#include "tests/sim/rig.h"

enum { FLOWS = 64, PACKETS = 2048, MEGABYTES = 64, LINGER_MS = 100 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rig rig;

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static void
check_file(const uint8_t *bytes, size_t length, bool with_checksum)
{
	static const uint8_t boot_id[FLOW_MAP_ID_BYTES] = {1};
	struct flow_map_header *file = malloc(length + 1);
	struct text why = {0};

	memcpy(file, bytes, length);
	if (with_checksum && length >= sizeof(*file))
		file->checksum = crc32c(file, offsetof(struct flow_map_header, checksum));
	if (flow_map_check(file, length, boot_id, &why)) {
		const uint8_t *last = flow_map_table(file, file->n_workers - 1);
		check(why.length == 0);
		check(last + flow_table_bytes(file->capacity) == (const uint8_t *)file + length);
	} else {
		check(why.length != 0);
	}
	text_free(&why);
	free(file);
}

/* A segment that the peer of a leg may have sent. */
static void
send_something(const struct flow_leg *leg, unsigned device)
{
	struct segment segment = {
		.source = leg->peer,
		.destination = rig.net.addresses[leg->local_addr].addr,
		.source_port = ntohs(leg->peer_port),
		.destination_port = ntohs(leg->local_port),
		.seq = leg->seq_end,
		.ack = leg->ack,
		.flags = 0x10,
		.window = 1000,
		.payload = (const uint8_t *)leg,
		.payload_length = sizeof(*leg),
	};
	rig_receive(&rig, device, &segment);
}

static void
adopt(const uint8_t *bytes, size_t length, unsigned n_workers)
{
	uint32_t n = length / sizeof(struct flow) < FLOWS ? (uint32_t)(length / sizeof(struct flow)) : FLOWS;

	rig_open(&rig, FLOWS, PACKETS);
	rig.conf.flow.close_linger_ms = LINGER_MS;
	for (uint32_t i = 0; i < n; i++)
		flow_table_alloc(&rig.worker.flows);
	memcpy(flow_table_get(&rig.worker.flows, 1), bytes, n * sizeof(struct flow));
	rig_restart(&rig, n_workers);
	check(rig_adopted_well(&rig));
	for (unsigned w = 0; w < n_workers; w++)
		for (uint32_t i = 1; i <= flow_table_touched(&rig.workers[w].flows) && i <= 4; i++) {
			const struct flow *flow = flow_table_get(&rig.workers[w].flows, i);
			for (unsigned leg = 0; leg < LEG_COUNT && flow->state != FLOW_FREE; leg++)
				send_something(&flow->leg[leg], leg == LEG_CLIENT ? RIG_WAN : RIG_LAN);
		}
	rig_advance(&rig, ADOPT_FAREWELL_MS + 2);
	for (unsigned w = 0; w < n_workers; w++) {
		rig.running = w;
		worker_abort_all(&rig.workers[w], REASON_SHUTDOWN);
	}
	rig_settle(&rig);
	rig_advance(&rig, LINGER_MS + 16);
	check(rig_is_empty(&rig));
	check(rig_close(&rig) == 0);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	check(rig_start_eal(MEGABYTES));
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if ((data[0] & 1) != 0)
		check_file(data + 1, size - 1, (data[0] & 2) != 0);
	else
		adopt(data + 1, size - 1, 1 + (data[0] >> 2 & 3));
	return 0;
}
