/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long it takes to adopt the flows of the process before.
 *
 * Method. One process's file of flow records is made on a tmpfs, with so many established connections: each of an
 * address and port of its own, towards four endpoints. Then what box_start does is done and timed: the file is checked
 * and mapped, a new one made, the records adopted into it by one worker, and the new one renamed into its place. Beside
 * it, in the same run, the records are copied as they are into a new file, which is what the memory alone costs.
 * Medians.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/flow_map.h"
#include "platform/text.h"
#include "tests/sim/rig.h"

enum { RUNS = 5, PACKETS = 1024, MEGABYTES = 64 };

static const char directory[] = "/dev/shm/postern-adopt-bench";

static struct rig rig;
static struct text error, refused;

__attribute__((noreturn)) static void
give_up(void)
{
	fprintf(stderr, "adopt_bench: %s\n", error.bytes == NULL ? "cannot go on" : error.bytes);
	exit(1);
}

static uint64_t
cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct flow_map_shape
shape_for(uint32_t flows)
{
	struct flow_map_shape shape = {.n_workers = 1, .capacity = flows, .n_addresses = rig.net.n_addresses};

	for (unsigned i = 0; i < shape.n_addresses; i++)
		shape.addresses[i] = rig.net.addresses[i].addr;
	return shape;
}

static void
open_map(struct flow_map *map, uint32_t flows)
{
	struct flow_map_shape shape = shape_for(flows);

	if (!flow_map_lock(map, directory, 0, &error) || !flow_map_open(map, &shape, &refused, &error))
		give_up();
}

/* A connection as the splice leaves it, all in its middle. */
static void
fill(struct flow *flow, uint32_t i)
{
	flow->leg[LEG_CLIENT] = (struct flow_leg){.peer = rig_addr("192.0.2.2"),
						  .peer_port = htons((uint16_t)(1024 + i % 60000)),
						  .local_port = htons(443),
						  .mss = 1460,
						  .state = FLOW_SPLICED};
	flow->leg[LEG_CLIENT].peer.bytes[14] = (uint8_t)(2 + i / 60000);
	flow->leg[LEG_ENDPOINT] = (struct flow_leg){.peer = rig_addr("198.51.100.10"),
						    .peer_port = htons((uint16_t)(8443 + i / 45000)),
						    .local_port = htons((uint16_t)(20000 + i % 45000)),
						    .local_addr = 2,
						    .mss = 1460,
						    .state = FLOW_SPLICED};
	flow->leg[LEG_ENDPOINT].peer.bytes[15] = (uint8_t)(10 + i % 4);
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		flow->leg[leg].edge = 65535;
	flow->endpoint = 2 + i % 4;
	flow->service = 10;
	flow->listener = 1;
	flow->state = FLOW_SPLICED;
}

static void
leave_behind(uint32_t flows)
{
	struct flow_map map;
	struct flow_table table;

	open_map(&map, flows);
	flow_table_init(&table, flow_map_table(map.header, 0), flows, map.header->secrets.hash);
	for (uint32_t i = 0; i < flows; i++)
		fill(flow_table_get(&table, flow_table_alloc(&table)), i);
	if (!flow_map_publish(&map, &error))
		give_up();
	flow_map_close(&map);
}

static uint32_t
same_slot(void *context, char kind, uint32_t slot)
{
	(void)context, (void)kind;
	return slot;
}

static double
adopt_ms(uint32_t flows)
{
	static const struct flow_adopt_names names = {NULL, same_slot};
	struct worker *workers[1] = {&rig.worker};
	struct flow_adopt_source source;
	struct flow_adoption adoption;
	struct flow_map map;

	rig_open(&rig, 64, PACKETS);
	uint64_t begin_us = cpu_us();
	open_map(&map, flows);
	if (map.before == NULL)
		give_up();
	flow_table_init(&rig.worker.flows, flow_map_table(map.header, 0), flows, map.header->secrets.hash);
	flow_adopt_source_init(&source, map.before);
	flow_adopt(&adoption, &source, workers, &names, rig.now_ms);
	if (!flow_map_publish(&map, &error))
		give_up();
	double ms = (double)(cpu_us() - begin_us) / 1000;
	if (adoption.spliced != flows) {
		fprintf(stderr, "adopt_bench: %u of %u were adopted, %u damaged\n", adoption.spliced, flows,
			adoption.damaged);
		exit(1);
	}
	flow_adopt_free(&adoption, workers, 1);
	flow_map_close(&map);
	rig_close(&rig);
	return ms;
}

static double
copy_ms(uint32_t flows)
{
	size_t bytes = (size_t)flows * sizeof(struct flow);
	char path[64];

	rig_open(&rig, 64, PACKETS);
	snprintf(path, sizeof(path), "%s/copy", directory);
	uint64_t begin_us = cpu_us();
	struct flow_map map;
	open_map(&map, flows);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	void *to = MAP_FAILED;
	if (fd >= 0 && ftruncate(fd, (off_t)bytes) == 0)
		to = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (to == MAP_FAILED || map.before == NULL)
		give_up();
	memcpy(to, (const uint8_t *)flow_map_table(map.before, 0) + map.before->table_bytes - bytes, bytes);
	double ms = (double)(cpu_us() - begin_us) / 1000;
	munmap(to, bytes);
	close(fd);
	unlink(path);
	flow_map_close(&map);
	rig_close(&rig);
	return ms;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void
remove_all(void)
{
	static const char *const names[] = {"flows", "flows.new", "lock"};
	char path[64];

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	rmdir(directory);
}

int
main(void)
{
	static const uint32_t sizes[] = {100, 10000, 100000, 1000000};

	if (!rig_start_eal(MEGABYTES))
		return 1;
	rig_open(&rig, 64, PACKETS);
	rig_close(&rig);
	printf("%9s %12s %12s %16s %14s\n", "flows", "adoption", "a flow", "copy alone", "adoption/copy");
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		double adoption[RUNS], copy[RUNS];
		remove_all();
		leave_behind(sizes[i]);
		for (unsigned run = 0; run < RUNS; run++) {
			copy[run] = copy_ms(sizes[i]);
			adoption[run] = adopt_ms(sizes[i]);
		}
		qsort(adoption, RUNS, sizeof(adoption[0]), compare);
		qsort(copy, RUNS, sizeof(copy[0]), compare);
		double median = adoption[RUNS / 2], plain = copy[RUNS / 2];
		printf("%9u %9.2f ms %9.0f ns %13.2f ms %14.1f\n", sizes[i], median, median * 1e6 / sizes[i], plain,
		       median / plain);
	}
	remove_all();
	return 0;
}
