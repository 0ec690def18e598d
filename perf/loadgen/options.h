/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line.
 */
#ifndef POSTERN_PERF_LOADGEN_OPTIONS_H
#define POSTERN_PERF_LOADGEN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "perf/loadgen/play.h"

struct options {
	struct play_config play;
	bool reflect;          /* the mode that isn't play's: reflect.h */
	const char *wan, *lan; /* DPDK devices "NAME,ARGUMENTS"; both NULL: a ring between the two sides */
	uint32_t wan_station, lan_station, lan_subject; /* addresses, network order; 0: none */
	uint32_t core;
	uint32_t clients, servers; /* first addresses, host order */
	uint32_t n_servers;        /* addresses */
	uint32_t slots;            /* client connections that take turns: connect */
	uint32_t target;           /* network order, as the ports */
	uint16_t target_port, server_port;
	const char *sni; /* a name, several with commas, or one with %u for 0 to sni_count - 1 */
	uint32_t sni_count;
	uint32_t packets; /* buffers */
	uint32_t mtu;
	uint32_t receive_window;
	bool timestamps, verify_all;
	const char *json;  /* file, "-" for standard output; NULL: none */
	const char *label; /* what the run is called in its report */
};

/* False when there is nothing to be run: *status is what the process should end with, and what is wrong was said. */
bool options_read(int argc, char **argv, struct options *options, int *status);

#endif
