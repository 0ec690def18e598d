/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Linux interface under an af_packet or af_xdp device: what must be so of it, and made so, before frames can be
 * taken from it as they were on the wire. Control, at start only.
 */
#ifndef POSTERN_DATAPLANE_INTERFACE_H
#define POSTERN_DATAPLANE_INTERFACE_H

#include <stdbool.h>
#include <stdint.h>

struct text;

/* Whether name exists, is up, and has the MTU of port; else error says what is wrong, and the command that mends it,
 * without a line break. */
bool interface_check(const char *name, const char *port, uint16_t mtu, struct text *error);

/* Switches off what would make the kernel hand us frames that never were on the wire: GRO and LRO, which join several
 * in one, and, with vlan, the taking off of tags, which af_xdp loses. Says in the log what it changed, and what only
 * the operator can change: checksums and segmentation at the other end of a veth pair. False when it must not, and
 * error says how. */
bool interface_offloads_off(const char *name, bool vlan, struct text *error);

/* Lets all multicast frames in for as long as the returned socket is open: ND needs its groups, and neither driver can
 * ask for them. −1 when it can't be had, which matters only on hardware that filters. */
int interface_all_multicast(const char *name);

#endif
