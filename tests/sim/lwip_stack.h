/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lwIP, a TCP by others, as a client and a server of one process, between two interfaces that carry IP.
 *
 * Debian's lwIP is built for a thread of its own (NO_SYS 0), but its raw interface needs none: nothing here starts one,
 * and without it lwIP doesn't ask who calls. Its timers are turned by calling lwip_stack_tick every 250 ms of virtual
 * time. It has neither SACK nor timestamps, its window scale is 1, its MSS 1460.
 *
 * Its headers have names that ours have too; so this one shows none of either.
 */
#ifndef POSTERN_TESTS_SIM_LWIP_STACK_H
#define POSTERN_TESTS_SIM_LWIP_STACK_H

#include <stdbool.h>
#include <stdint.h>

enum {
	LWIP_STACK_TICK_MS = 250,
	LWIP_STACK_CONNECTIONS_MAX = 8,
	LWIP_STACK_PREAMBLE = 4, /* of each stream, at least so long: whose it is */
	LWIP_STACK_SERVER_PORT = 8443
};

/* Once in a process. output takes what lwIP sends out of an interface: 0 the client's, 1 the server's. */
void lwip_stack_open(void (*output)(unsigned interface, const uint8_t *packet, uint16_t length));
/* An IP packet that arrives. */
void lwip_stack_input(unsigned interface, const uint8_t *packet, uint16_t length);
void lwip_stack_tick(void);

/* Forgets the connections of before. */
void lwip_stack_begin(unsigned n_connections);
/* Connects to the gateway. The client is to say so many bytes, the server so many, and each closes behind its last. */
void lwip_stack_connect(unsigned number, bool v6, uint16_t port, uint32_t client_length, uint32_t server_length);

enum lwip_stack_outcome {
	LWIP_STACK_GOES_ON,
	LWIP_STACK_COMPLETE, /* both have got everything, and the other's FIN */
	LWIP_STACK_RESET,
	LWIP_STACK_WRONG /* bytes came that weren't sent, or a FIN before the end */
};

enum lwip_stack_outcome lwip_stack_outcome(unsigned number);
/* Prints where both ends are. */
void lwip_stack_describe(unsigned number);

#endif
