/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The peers that are connected now, by the exact certificates that they proved themselves with: what has to be looked
 * at again when the trust changes, and where workers read what came of it.
 *
 *   handshake thread: peer_register_enter ─▶ record ◀─ peer_register_check: main thread, when the trust has changed
 *   worker, every SESSION_SWEEP_MS for each of its sessions: record->verdict
 *
 * So a chain is verified again once, however many connections it has, and never on a worker. Entering and leaving take
 * a mutex for a hash look-up; reading a verdict takes nothing.
 *
 * Nobody slips through. The trust is published before peer_register_check begins. Who enters after the check has passed
 * his bucket therefore sees, when he has entered, that another trust is in force than the one he was verified under,
 * and is verified again (peer_proof.c).
 */
#ifndef POSTERN_GATEWAY_PEER_REGISTER_H
#define POSTERN_GATEWAY_PEER_REGISTER_H

#include <stdatomic.h>
#include <stdint.h>

#include "gateway/peer_proof.h"

struct peer_record {
	struct peer_record *next;
	uint32_t refs;                  /* under the register's mutex */
	struct peer_identity *identity; /* as it was verified, a reference */
	struct peer_identity *mapped;   /* as the map gave it, a reference; NULL: there was none to ask */
	_Atomic uint32_t verdict;       /* enum cert_error; not CERT_NONE: no longer */
};

struct peer_register;

struct peer_register *peer_register_new(void);
void peer_register_free(struct peer_register *peers);

/* The record of that proof: identity as it was verified, and what the map made of it (NULL: there was none to ask). One
 * reference more. Any thread. NULL: no memory. */
struct peer_record *peer_register_enter(struct peer_register *peers, struct peer_identity *identity,
					const struct identity_match *match);
/* Any thread. NULL is fine. */
void peer_register_leave(struct peer_register *peers, struct peer_record *record);

/* Main thread: looks at each record again, under what view shows now, and by the map of book (NULL: as it was). A
 * certificate that has only expired since is left to the grace period. Returns how many fell. now: Unix seconds. */
unsigned peer_register_check(struct peer_register *peers, struct trust_view *view, const struct peer_book *book,
			     int64_t now);

uint32_t peer_register_count(struct peer_register *peers);

#endif
