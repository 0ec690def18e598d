/* SPDX-License-Identifier: Apache-2.0 */
/* AuthorizationPolicies between reading and compiling: the part of model.h that is theirs. */
#ifndef POSTERN_FEDERATION_POLICY_MODEL_H
#define POSTERN_FEDERATION_POLICY_MODEL_H

#include "federation/model.h"
#include "federation/policy.h"

enum policy_target_kind { POLICY_TARGET_GATEWAY, POLICY_TARGET_SERVICE_ENTRY, POLICY_TARGET_SERVICE };

/* One of targetRefs: an object in the policy's own namespace. */
struct model_policy_target {
	enum policy_target_kind kind;
	struct model_mention name;
};

struct model_policy_condition {
	enum policy_field field;
	const char *name; /* as the file calls it: "notPrincipals", "when source.ip values" */
	bool negated;
	struct pattern *patterns; /* at least one */
	uint32_t n_patterns;
	struct origin origin;
};

/* Conditions that must all hold. */
struct model_policy_group {
	struct model_policy_condition *list;
	uint32_t n;
};

/* One of sources, one of operations, and when. A rule without `from` has one source without conditions; the same for
 * `to`. */
struct model_policy_rule {
	struct model_policy_group *sources, *operations, when;
	uint32_t n_sources, n_operations;
	struct origin origin;
	struct model_policy_rule *next;
};

struct model_authorization {
	struct model_meta meta;
	enum policy_action action;
	struct model_policy_target *targets; /* none: the namespace, or everything */
	uint32_t n_targets;
	bool has_targets; /* the file has some, if only wrong ones */
	struct model_policy_rule *rules;
	struct model_authorization *next;
};

#endif
