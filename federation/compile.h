/* SPDX-License-Identifier: Apache-2.0 */
/* The last step of a load: from the checked model to the snapshot; and what a snapshot keeps besides its public face.
 */
#ifndef POSTERN_FEDERATION_COMPILE_H
#define POSTERN_FEDERATION_COMPILE_H

#include "federation/arena.h"
#include "federation/diagnostics.h"
#include "federation/model.h"

struct listener_maps {
	struct name_map routes; /* PASSTHROUGH: pattern's key ─▶ index in snapshot_maps.routes */
	uint64_t *admitted;     /* AUTO_PASSTHROUGH: a bit for each service that may be reached */
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

/* Frees maps and all that is in them, the snapshot included. */
void snapshot_maps_free(struct snapshot_maps *maps);

#endif
