/* SPDX-License-Identifier: Apache-2.0 */
/* The last step of a load: from the checked model to the snapshot; and what a snapshot keeps besides its public face.
 */
#ifndef POSTERN_FEDERATION_COMPILE_H
#define POSTERN_FEDERATION_COMPILE_H

#include "federation/arena.h"
#include "federation/diagnostics.h"
#include "federation/model.h"

struct listener_maps {
	struct name_map routes;  /* pattern's key ─▶ index in snapshot_maps.routes */
	struct name_map servers; /* TERMINATE: pattern's key ─▶ index in the listener's tls */
	uint64_t *admitted;      /* AUTO_PASSTHROUGH: a bit for each service that may be reached */
};

struct snapshot_maps {
	struct arena arena;              /* the snapshot itself, texts and all arrays of known size */
	struct name_map hosts;           /* pattern's key ─▶ index in services */
	struct listener_maps *listeners; /* by listener's index */
	const struct route *routes;
	struct endpoint *endpoints; /* on the heap, because their number shows only when all are made */
	uint32_t n_listeners;
};

/* maps: with the arena that the model's names are in. Takes them, and maps out of the model. Errors are possible here
 * still: slots may run out. The snapshot is then made all the same, and for the caller to free. */
struct snapshot *compile_model(struct model *model, struct snapshot_maps *maps, const struct snapshot_slots *slots,
			       struct report *report);

/* compile_trust.c: identity, trust domains, PKIs, credentials and identity maps, into the snapshot. */
void compile_trust(struct model *model, struct snapshot *snapshot, struct arena *arena);
/* How the servers of a listener end TLS, one for each. */
const struct listener_tls *compile_listener_tls(const struct model_listener *from, struct arena *arena);
/* How TLS is begun with a port of a service, by their policy. */
const struct backend_tls *compile_backend_tls(const struct model_service_entry *entry, const struct model_port *port,
					      const struct model_policy *policy, struct arena *arena);

/* A name that was never set is the empty text, which can be printed as well. */
static inline struct name
name_or_empty(struct name name)
{
	if (name.bytes == NULL)
		name.bytes = "";
	return name;
}

/* Frees maps and all that is in them, the snapshot included. */
void snapshot_maps_free(struct snapshot_maps *maps);

#endif
