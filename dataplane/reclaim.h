/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where room comes from when there is none: holds for ClientHellos, records for connections.
 *
 * Whoever fills our tables on purpose takes long; a legitimate client doesn't. Its hello follows its ACK at once, its
 * endpoint answers, it answers its endpoint. So the newcomer that has something to say gets its room.
 *
 * A hold comes from the connection that has waited longest for its hello; passed over, and waiting from anew, are those
 * whose source has fewer such than the average: a slow client isn't pushed out by another's many. If nobody waits for a
 * hello, it comes from the connection whose endpoint has been silent longest, when that is RECLAIM_SILENT_MS.
 *
 * The same goes for the large buffers, which fewer can have: in turn, from one that waits for the rest of its hello.
 *
 * A record comes from a connection that has closed and lingers; else it comes with a hold; else from a connection whose
 * client has said nothing since its hello, for RECLAIM_IDLE_S. Never from one in use. Records are looked at
 * RECLAIM_RECORDS at a time, going round: the work for one packet is bounded.
 *
 * A bridge comes from a connection that has closed, or from one whose TLS handshake has led to nothing yet.
 *
 * Packet buffers come from a bridge whose receivers take nothing of what waits for them.
 *
 * What is given up before we acknowledged a byte is given up in silence. It was soft state: the client repeats its
 * bytes, they carry the cookie still, and the connection begins where it was. Only who took longer than a cookie lasts
 * gets a RST then. Behind a plain listener it may have no bytes, and is told. For the same reason a bare ACK gets no
 * room when it is short: if data follow, they bring the cookie as well.
 */
#ifndef POSTERN_DATAPLANE_RECLAIM_H
#define POSTERN_DATAPLANE_RECLAIM_H

#include "dataplane/worker.h"

enum {
	RECLAIM_LOOK = 32,
	RECLAIM_RECORDS = 32,
	RECLAIM_SILENT_MS = 1000,
	RECLAIM_STUCK_MS = 2000,
	RECLAIM_IDLE_S = 10
};

/* Makes sure of a hold and a record for a newcomer; urgent: at the cost of others. REASON_NONE, or what there is no
 * room in: REASON_HOLD_POOL_EMPTY, REASON_FLOW_TABLE_FULL. */
enum reason reclaim_room(struct worker *worker, bool urgent);

/* Makes sure of a large buffer for a hold that grows, at the cost of another that waits for the rest of its hello.
 * False when there is none. */
bool reclaim_large(struct worker *worker, uint32_t hold_index);

/* Gives up a bridge for a newcomer: one that has closed and lingers; else, of those that it looks at, the oldest whose
 * client hasn't got as far as an endpoint. False when there is none. */
bool reclaim_bridge(struct worker *worker);

/* Packet buffers run short: looks at some bridges, and gives up one that has some and hasn't got rid of any for
 * RECLAIM_STUCK_MS, by looks like this. Not from hooks. */
void reclaim_packets(struct worker *worker);

/* The place in hold_pool.crowd of a client: of its address, or of its /64. */
uint16_t reclaim_source(const struct worker *worker, const struct ip_addr *client);

#endif
