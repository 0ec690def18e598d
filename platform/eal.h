/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPDK's environment, started from postern.conf: lcores, memory, devices, and the pool of packets.
 *
 * An lcore is DPDK's number for a thread that is pinned to a core. Ours are:
 *
 *	lcore 0		the main thread, on cores.main
 *	lcore 1..n	worker 0..n-1, on cores.workers
 *
 * so on a box of one core two lcores share it ("--lcores 0@0,1@0"). The threads of lcores 1..n exist after eal_start
 *and sleep until rte_eal_remote_launch gives them their work.
 *
 * What DPDK logs goes to our log, scope "dpdk". Its telemetry socket, its shared configuration and secondary processes
 * are off: they race, collide between containers, and cost start-up time; posternctl has its own socket.
 */
#ifndef POSTERN_PLATFORM_EAL_H
#define POSTERN_PLATFORM_EAL_H

#include <stdbool.h>

#include "platform/conf.h"

struct rte_mempool;
struct text; /* platform/text.h */

enum {
	EAL_MAIN_LCORE = 0,
	EAL_PACKET_CACHE = 256, /* packets that a worker keeps of the pool for itself */
	EAL_ARGUMENTS_MAX = 24 + 2 * CONF_PORTS_MAX
};

static inline unsigned
eal_worker_lcore(unsigned worker)
{
	return worker + 1;
}

/* Arguments for rte_eal_init, on the heap; list ends with NULL. */
struct eal_arguments {
	char *list[EAL_ARGUMENTS_MAX + 1];
	unsigned n;
};

/* What eal_start would tell DPDK. prefix: of its files, unique on the host. */
void eal_arguments_make(const struct conf *conf, const char *prefix, struct eal_arguments *arguments);
void eal_arguments_free(struct eal_arguments *arguments);

struct eal {
	struct rte_mempool *packets; /* conf->memory.packets mbufs of conf_packet_room bytes behind the headroom */
	int packets_fd;              /* memory that they are in, for a successor; -1: DPDK's own */
	unsigned n_workers;          /* lcores 1..n_workers */
	struct eal_arguments arguments;
};

/* Starts DPDK and makes the pool. Once in a process. Pins the calling thread to cores.main, and it is lcore 0 from then
 * on. Devices are probed, not configured: rte_eth_dev_get_port_by_name finds them by conf's names. Returns false and
 * says in error, in words for the operator and without a line break, what is missing and what to do. Until then nothing
 * but memory and descriptors was taken, and the process should end. packets_fd: packets_fd of the program that this one
 * replaces in its process, or any descriptor, which is left alone, or -1. */
bool eal_start(const struct conf *conf, int packets_fd, struct eal *eal, struct text *error);

/* Frees the pool and DPDK's files. Workers have returned and ports are closed. */
void eal_stop(struct eal *eal);

#endif
