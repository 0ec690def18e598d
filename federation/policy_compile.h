/* SPDX-License-Identifier: Apache-2.0 */
/* AuthorizationPolicies: from the model to struct policy_set. */
#ifndef POSTERN_FEDERATION_POLICY_COMPILE_H
#define POSTERN_FEDERATION_POLICY_COMPILE_H

#include "federation/check.h"
#include "federation/compile.h"

/* What targetRefs name, and whether a policy applies to anything. After check_services and check_routes. */
void check_policies(struct check *check);

/* Made in the arena of maps; services and listeners of the snapshot are there already, from model's in the same
 * order. */
const struct policy_set *policy_compile(const struct model *model, const struct snapshot *snapshot,
					struct arena *arena);

#endif
