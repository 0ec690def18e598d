/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/identity_map.h"

#include <stdlib.h>
#include <string.h>

#include "certs/dns_name.h"

static const char LABEL[] = "{dns.label}";
enum { LABEL_LENGTH = sizeof(LABEL) - 1 };

/* Puts label in the place of each {dns.label}. Returns the length; more than size - 1 when it didn't fit. */
static size_t
expand(const char *template, const char *label, size_t label_length, char *to, size_t size)
{
	size_t n = 0;

	while (*template != '\0') {
		bool here = strncmp(template, LABEL, LABEL_LENGTH) == 0;
		size_t length = here ? label_length : 1;
		if (length >= size - n)
			return size;
		memcpy(to + n, here ? label : template, length);
		n += length;
		template += here ? LABEL_LENGTH : 1;
	}
	to[n] = '\0';
	return n;
}

static enum cert_error
make_id(const struct identity_rule *rule, const char *label, size_t label_length, char text[SPIFFE_ID_MAX + 1],
	struct spiffe_id *id)
{
	size_t length = expand(rule->spiffe_id, label, label_length, text, SPIFFE_ID_MAX + 1);
	enum cert_error error = spiffe_id_parse(text, length, id);

	if (error == CERT_NONE && spiffe_id_is_root(id))
		error = CERT_SPIFFE_PATH_ROOT;
	/* A template can't reach into the domain, or the rule wouldn't stand; this is where an identity is born, so it
	 * is looked at again. */
	if (error == CERT_NONE && !spiffe_id_in_domain(id, rule->trust_domain, strlen(rule->trust_domain)))
		error = CERT_MAP_RULE_DOMAIN;
	return error;
}

/* Whether there are braces besides {dns.label}. */
static bool
has_stray_braces(const char *template)
{
	while ((template = strpbrk(template, "{}")) != NULL) {
		if (strncmp(template, LABEL, LABEL_LENGTH) != 0)
			return true;
		template += LABEL_LENGTH;
	}
	return false;
}

static bool
prefix_is_clean(const struct ip_prefix *prefix)
{
	unsigned bits = prefix->length + (ip_addr_is_v4(&prefix->addr) ? 96u : 0u);

	for (unsigned bit = bits; bit < 128; bit++)
		if (prefix->addr.bytes[bit / 8] & 0x80 >> bit % 8)
			return false;
	return true;
}

enum cert_error
identity_rule_check(const struct identity_rule *rule, const char *const *taken, unsigned n)
{
	char text[SPIFFE_ID_MAX + 1];
	struct spiffe_id id;
	bool wildcard = false;

	if ((rule->legacy_pki == NULL) == (rule->interface == NULL))
		return CERT_MAP_RULE_EMPTY;
	if (rule->legacy_pki != NULL) {
		if (rule->dns == NULL)
			return CERT_MAP_RULE_DNS;
		wildcard = dns_name_is_wildcard(rule->dns, strlen(rule->dns));
		if (!wildcard && !dns_name_is_host(rule->dns, strlen(rule->dns)))
			return CERT_MAP_RULE_DNS;
	} else if (rule->dns != NULL || rule->spki_sha256 != NULL) {
		return CERT_MAP_RULE_EMPTY;
	} else if (!prefix_is_clean(&rule->source)) {
		return CERT_MAP_RULE_CIDR;
	}

	if (has_stray_braces(rule->spiffe_id) || (!wildcard && strchr(rule->spiffe_id, '{') != NULL))
		return CERT_MAP_RULE_TEMPLATE;
	enum cert_error error = make_id(rule, "a", 1, text, &id);
	if (error != CERT_NONE)
		return error;
	/* With another label it must still be the same domain. */
	error = make_id(rule, "b", 1, text, &id);
	if (error != CERT_NONE)
		return error;
	for (unsigned i = 0; i < n; i++)
		if (spiffe_id_in_domain(&id, taken[i], strlen(taken[i])))
			return CERT_MAP_DOMAIN_TAKEN;
	return CERT_NONE;
}

enum cert_error
identity_rule_network(struct identity_rule *rule)
{
	struct peer_identity_source source = {
		.kind = PEER_NETWORK, .role = PEER_CLIENT, .not_after = INT64_MAX, .leaf_not_after = INT64_MAX};
	enum cert_error error = spiffe_id_parse(rule->spiffe_id, strlen(rule->spiffe_id), &source.id);

	if (error == CERT_NONE && (rule->network = peer_identity_new(&source)) == NULL)
		error = CERT_MEMORY;
	return error;
}

/* Whether one of the peer's names matches the rule; if so, what ID comes of it. Two names may match a wildcard: fine as
 * long as they give one ID. */
static bool
rule_matches(const struct identity_rule *rule, const struct peer_identity *peer, struct identity_match *match,
	     enum cert_error *error)
{
	bool matches = false;

	*error = CERT_NONE;
	if (rule->legacy_pki == NULL || peer->pki.length != strlen(rule->legacy_pki) ||
	    memcmp(peer->pki.bytes, rule->legacy_pki, peer->pki.length) != 0)
		return false;
	for (unsigned i = 0; i < peer->n_dns && *error == CERT_NONE; i++) {
		const struct peer_bytes *name = &peer->dns[i];
		size_t label;
		if (!dns_name_match(rule->dns, strlen(rule->dns), name->bytes, name->length, &label))
			continue;
		if (!matches) {
			match->dns = *name;
			*error = make_id(rule, name->bytes, label, match->text, &match->id);
		} else if (strstr(rule->spiffe_id, LABEL) != NULL &&
			   (name->length != match->dns.length ||
			    memcmp(name->bytes, match->dns.bytes, name->length) != 0)) {
			*error = CERT_MAP_AMBIGUOUS;
		}
		matches = true;
	}
	if (matches && *error == CERT_NONE && rule->spki_sha256 != NULL &&
	    memcmp(rule->spki_sha256, peer->spki_sha256, 32) != 0)
		*error = CERT_MAP_PIN;
	return matches;
}

/* The next rule behind match's that matches too and says something else. */
static uint32_t
find_another(const struct identity_map *map, const struct peer_identity *peer, const struct identity_match *match)
{
	struct identity_match other;
	enum cert_error error;

	for (uint32_t i = match->rule + 1; i < map->n; i++)
		if (rule_matches(&map->rules[i], peer, &other, &error) &&
		    (error != CERT_NONE || !spiffe_id_equal(&other.id, &match->id)))
			return i;
	return UINT32_MAX;
}

enum cert_error
identity_map_legacy(const struct identity_map *map, const struct peer_identity *peer, struct identity_match *match)
{
	enum cert_error error, result = CERT_MAP_NO_RULE;

	match->rule = match->also = UINT32_MAX;
	match->dns = (struct peer_bytes){0};
	match->id = (struct spiffe_id){0};
	if (peer->kind != PEER_LEGACY)
		return CERT_MAP_NO_RULE;
	for (uint32_t i = 0; i < map->n; i++) {
		/* Somebody has a name that is pinned to another key: only a rule that pins his can still be his. */
		if (result == CERT_MAP_PIN && map->rules[i].spki_sha256 == NULL)
			continue;
		if (!rule_matches(&map->rules[i], peer, match, &error))
			continue;
		match->rule = i;
		result = error;
		if (error != CERT_MAP_PIN)
			break;
	}
	if (result == CERT_NONE)
		match->also = find_another(map, peer, match);
	else
		match->id = (struct spiffe_id){0};
	return result;
}

static bool
network_matches(const struct identity_rule *rule, const char *interface, const struct ip_addr *source)
{
	return rule->interface != NULL && strcmp(rule->interface, interface) == 0 &&
	       ip_prefix_contains(&rule->source, source);
}

enum cert_error
identity_map_network(const struct identity_map *map, const char *interface, const struct ip_addr *source,
		     uint32_t *rule, uint32_t *also)
{
	uint32_t first = 0;

	while (first < map->n && !network_matches(&map->rules[first], interface, source))
		first++;
	if (first == map->n)
		return CERT_MAP_NO_RULE;
	*rule = first;
	if (also != NULL) {
		*also = UINT32_MAX;
		for (uint32_t i = first + 1; i < map->n && *also == UINT32_MAX; i++)
			if (network_matches(&map->rules[i], interface, source) &&
			    strcmp(map->rules[i].spiffe_id, map->rules[first].spiffe_id) != 0)
				*also = i;
	}
	return CERT_NONE;
}
