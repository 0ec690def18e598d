/* SPDX-License-Identifier: Apache-2.0 */
#include "federation/policy.h"

#include <string.h>

enum { VALUES_MAX = 2 };

struct value {
	const char *bytes;
	uint32_t length;
};

/* The facts as the fields' values. A field without one is absent: no pattern matches it, "*" neither. */
struct query {
	struct value values[POLICY_FIELDS][VALUES_MAX];
	unsigned n_values[POLICY_FIELDS];
	char address[POLICY_ADDRESS_BYTES], port[2], listener_port[2];
	bool proved;  /* there is a principal */
	bool foreign; /* and it is of another trust domain */
};

static void
add_value(struct query *query, enum policy_field field, const char *bytes, uint32_t length)
{
	query->values[field][query->n_values[field]++] = (struct value){bytes, length};
}

/* Namespace and account of a principal that is TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT and nothing else. path: from its
 * first '/'. */
static void
add_account(struct query *query, const char *path, uint32_t length)
{
	const char *end = path + length;

	if (length < 4 || memcmp(path, "/ns/", 4) != 0)
		return;
	const char *space = path + 4;
	const char *space_end = memchr(space, '/', (size_t)(end - space));
	if (space_end == NULL || space_end == space || end - space_end <= 4 || memcmp(space_end, "/sa/", 4) != 0 ||
	    memchr(space_end + 4, '/', (size_t)(end - space_end - 4)) != NULL)
		return;
	add_value(query, POLICY_NAMESPACE, space, (uint32_t)(space_end - space));
	add_value(query, POLICY_ACCOUNT, path, length);
}

static void
add_principal(struct query *query, struct name trust_domain, const char *principal, uint32_t length)
{
	if (length == 0)
		return;
	const char *path = memchr(principal, '/', length);
	uint32_t domain = path == NULL ? length : (uint32_t)(path - principal);
	query->proved = true;
	query->foreign =
		domain != trust_domain.length || memcmp(principal, trust_domain.bytes, trust_domain.length) != 0;
	add_value(query, POLICY_PRINCIPAL, principal, length);
	if (path != NULL)
		add_account(query, path, length - domain);
}

static void
put_port(char bytes[2], uint16_t port)
{
	bytes[0] = (char)(port >> 8);
	bytes[1] = (char)port;
}

static void
query_init(struct query *query, const struct policy_set *set, const struct policy_facts *facts)
{
	query->proved = false;
	query->foreign = false;
	memset(query->n_values, 0, sizeof(query->n_values));
	add_principal(query, set->trust_domain, facts->principal, facts->principal_length);
	add_value(query, POLICY_ADDRESS, query->address, policy_address_bytes(&facts->address, query->address));
	put_port(query->port, facts->port);
	put_port(query->listener_port, facts->listener->port);
	add_value(query, POLICY_PORT, query->port, 2);
	add_value(query, POLICY_HOST, facts->service->host.bytes, facts->service->host.length);
	if (facts->sni_length > 0) {
		add_value(query, POLICY_HOST, facts->sni, facts->sni_length);
		add_value(query, POLICY_SNI, facts->sni, facts->sni_length);
	}
}

/* Whether a pattern of the set takes a value, by a use that may speak of the caller. */
static bool
takes(const struct pattern_set *patterns, const struct value *value, bool foreign)
{
	struct pattern_walk walk = pattern_walk_begin(patterns, value->bytes, value->length);
	const struct pattern_node *node;

	while ((node = pattern_walk_next(&walk)) != NULL) {
		for (uint32_t i = 0; i < node->n_uses; i++)
			if (!node->uses[i].local || !foreign)
				return true;
	}
	return false;
}

static bool
condition_holds(const struct policy_condition *condition, const struct query *query)
{
	bool taken = false;

	for (unsigned i = 0; i < query->n_values[condition->field] && !taken; i++)
		taken = takes(&condition->patterns, &query->values[condition->field][i], query->foreign);
	return taken != condition->negated;
}

static bool
entry_matches(const struct policy_entry *entry, const struct query *query, const struct policy_condition *known)
{
	for (unsigned i = 0; i < POLICY_GROUPS; i++) {
		const struct policy_group *group = entry->groups[i];
		for (uint32_t j = 0; j < group->n; j++)
			if (&group->list[j] != known && !condition_holds(&group->list[j], query))
				return false;
	}
	return true;
}

/* The first rules, in the files' order, that match. */
struct found {
	const struct policy_rule *rule;  /* any */
	const struct policy_rule *named; /* one that names principals */
};

static bool
comes_before(const struct policy_rule *rule, const struct policy_rule *found)
{
	return found == NULL || rule->number < found->number;
}

static void
try_entry(const struct policy_entry *entry, const struct query *query, struct found *found)
{
	bool first = comes_before(entry->rule, found->rule);
	bool first_named = entry->names && comes_before(entry->rule, found->named);

	if ((!first && !first_named) || !entry_matches(entry, query, entry->key))
		return;
	if (first)
		found->rule = entry->rule;
	if (first_named)
		found->named = entry->rule;
}

static void
search_field(const struct policy_matcher *matcher, enum policy_field field, const struct query *query,
	     struct found *found)
{
	const struct pattern_node *node;

	for (unsigned i = 0; i < query->n_values[field]; i++) {
		const struct value *value = &query->values[field][i];
		struct pattern_walk walk = pattern_walk_begin(&matcher->keys[field], value->bytes, value->length);
		while ((node = pattern_walk_next(&walk)) != NULL) {
			for (uint32_t k = 0; k < node->n_uses; k++)
				if (!node->uses[k].local || !query->foreign)
					try_entry(&matcher->entries[node->uses[k].use], query, found);
		}
	}
}

static void
search(const struct policy_matcher *matcher, const struct query *query, struct found *found)
{
	for (enum policy_field field = 0; field < POLICY_FIELDS; field++)
		if (!pattern_set_is_empty(&matcher->keys[field]))
			search_field(matcher, field, query, found);
	for (uint32_t i = 0; i < matcher->n_walked; i++)
		try_entry(&matcher->entries[matcher->walked[i]], query, found);
}

/* The two sides that have a say: the Gateway, and the service. */
enum { SIDE_GATEWAY, SIDE_SERVICE, SIDES };

struct side {
	const struct policy_index *indexes[POLICY_INDEXES]; /* NULL: none */
	struct found found;                                 /* among ALLOW rules */
	const struct policy_rule *first;                    /* ALLOW policy that applies */
};

static void
take_side(struct query *query, unsigned side)
{
	query->values[POLICY_PORT][0].bytes = side == SIDE_GATEWAY ? query->listener_port : query->port;
}

static void
search_side(struct side *side, enum policy_action action, const struct query *query, struct found *found)
{
	for (unsigned i = 0; i < POLICY_INDEXES; i++) {
		if (side->indexes[i] == NULL)
			continue;
		const struct policy_matcher *matcher = &side->indexes[i]->matchers[action];
		search(matcher, query, found);
		if (action == POLICY_ALLOW && matcher->first != NULL && comes_before(matcher->first, side->first))
			side->first = matcher->first;
	}
}

static void
sides_init(struct side sides[SIDES], const struct policy_set *set, const struct policy_facts *facts)
{
	memset(sides, 0, SIDES * sizeof(*sides));
	sides[SIDE_GATEWAY].indexes[0] = set->listeners[facts->listener->index];
	memcpy(sides[SIDE_SERVICE].indexes, set->scopes[facts->service - set->services].indexes,
	       sizeof(sides[SIDE_SERVICE].indexes));
}

static struct policy_verdict
evaluate(struct side sides[SIDES], struct query *query)
{
	struct found denied = {0}, allowed = {0};

	for (unsigned i = 0; i < SIDES; i++) {
		take_side(query, i);
		search_side(&sides[i], POLICY_DENY, query, &denied);
	}
	if (denied.rule != NULL)
		return (struct policy_verdict){POLICY_DENIED, denied.rule};
	for (unsigned i = 0; i < SIDES; i++) {
		struct side *side = &sides[i];
		take_side(query, i);
		search_side(side, POLICY_ALLOW, query, &side->found);
		if (side->first != NULL && side->found.rule == NULL)
			return (struct policy_verdict){POLICY_NOT_ALLOWED, side->first};
		/* What the service says is told rather than what its gateway does. */
		if (side->found.rule != NULL)
			allowed.rule = side->found.rule;
		if (side->found.named != NULL)
			allowed.named = side->found.named;
	}
	if (query->foreign)
		return allowed.named != NULL ? (struct policy_verdict){POLICY_ALLOWED, allowed.named}
					     : (struct policy_verdict){POLICY_NOT_NAMED, NULL};
	if (allowed.rule != NULL)
		return (struct policy_verdict){POLICY_ALLOWED, allowed.rule};
	return (struct policy_verdict){query->proved ? POLICY_ALLOWED_BY_DEFAULT : POLICY_NOT_PROVED, NULL};
}

struct policy_verdict
policy_evaluate(const struct policy_set *set, const struct policy_facts *facts)
{
	struct side sides[SIDES];
	struct query query;

	query_init(&query, set, facts);
	sides_init(sides, set, facts);
	return evaluate(sides, &query);
}

/* How far a failed condition is from holding. A rule about somebody else is further away than one that has something
 * against what this client does. */
static uint32_t
distance(const struct policy_condition *condition)
{
	return condition->field == POLICY_PRINCIPAL || condition->field == POLICY_ACCOUNT ||
			       condition->field == POLICY_NAMESPACE
		       ? 3
		       : 2;
}

static void
measure_gap(const struct policy_entry *entry, const struct query *query, struct policy_gap *nearest)
{
	struct policy_gap gap = {.rule = entry->rule, .unnamed = query->foreign && !entry->names};

	gap.distance = gap.unnamed ? 3 : 0;

	for (unsigned i = 0; i < POLICY_GROUPS; i++) {
		const struct policy_group *group = entry->groups[i];
		for (uint32_t j = 0; j < group->n; j++) {
			if (condition_holds(&group->list[j], query))
				continue;
			if (gap.n_failed < POLICY_GAP_MAX)
				gap.failed[gap.n_failed] = &group->list[j];
			gap.n_failed++;
			gap.distance += distance(&group->list[j]);
		}
	}
	if (nearest->rule == NULL || gap.distance < nearest->distance)
		*nearest = gap;
}

void
policy_nearest(const struct policy_set *set, const struct policy_facts *facts, struct policy_gap *gap)
{
	struct side sides[SIDES];
	struct query query;

	*gap = (struct policy_gap){0};
	query_init(&query, set, facts);
	sides_init(sides, set, facts);
	struct policy_verdict verdict = evaluate(sides, &query);
	for (unsigned i = 0; i < SIDES; i++) {
		/* Of a side that has no objection no rule would help. */
		if (verdict.outcome == POLICY_NOT_ALLOWED && (sides[i].first == NULL || sides[i].found.rule != NULL))
			continue;
		take_side(&query, i);
		for (unsigned k = 0; k < POLICY_INDEXES; k++) {
			if (sides[i].indexes[k] == NULL)
				continue;
			const struct policy_matcher *matcher = &sides[i].indexes[k]->matchers[POLICY_ALLOW];
			for (uint32_t j = 0; j < matcher->n_entries; j++)
				measure_gap(&matcher->entries[j], &query, gap);
		}
	}
}
