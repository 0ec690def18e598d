/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody who wants the connections broken, and doesn't see them.
 *
 * He knows all addresses and ports, and is a station of both networks, so he can send what he likes to the gateway in
 * anybody's name; he knows no sequence numbers. Guessing blindly, he'd hit something once in a million seeds, so he is
 * given numbers that are near the right ones, and kept from those that a host by itself would have to obey:
 *
 *   RST, RST-ACK      any number in the window but the ones that are exact
 *   SYN, SYN-ACK      any number but the one that the sender's own had
 *   data, FIN, ACK    a good sequence number with a bad acknowledgment, or the other way round;
 *                     repeats with other contents
 *   fragments         of which the first would be a good segment
 *   odd packets       from the gateway's own addresses
 *   ICMP errors       that quote what isn't under way: too big, unreachable
 *   ARP, ND           claims of all kinds that a client's or endpoint's address is his
 *
 * Where the gateway runs short of what it takes to ask its neighbours, he stays away. What must hold is what must hold
 * without him (audit.h). What the gateway passes on of his is its receiver's to judge; his own frames alone are not
 * audited.
 */
#ifndef POSTERN_TESTS_SIM_ATTACKER_H
#define POSTERN_TESTS_SIM_ATTACKER_H

#include <stdint.h>

/* Whether he is part of this world, and how diligent he is: drawn from the seed, apart from all else. */
void attacker_open(uint64_t seed);
/* When he acts next; PEER_NEVER: not any more. */
uint64_t attacker_due(void);
void attacker_act(void);

#endif
