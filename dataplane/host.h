/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What isn't Postern's is the host's: by the tap of the port, when postern.conf gives it one. The host sees untagged
 * frames, and shares the port's MAC and addresses: Postern answers ARP, ND and echo for both, and hands the host a copy
 * of the answers that others give, because the host asks for its own neighbours through us.
 */
#ifndef POSTERN_DATAPLANE_HOST_H
#define POSTERN_DATAPLANE_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/reason.h"

struct packet;
struct rte_mbuf;
struct worker;

/* A received frame, unchanged since packet_parse, goes to the tap of packet->port; without a tap it is dropped for
 * reason. Takes the mbuf. */
void host_deliver(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, enum reason reason);

/* The same with a copy; nothing happens where there is no tap. The mbuf stays the caller's. */
void host_copy(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf);

/* Frames that came in by a tap, an index in net.devices, go out by its port. Takes the mbufs. */
void host_forward(struct worker *worker, uint8_t tap, struct rte_mbuf **mbufs, uint16_t n);

#endif
