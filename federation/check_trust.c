/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is trusted for what: the names that tls fields and identity maps give are looked up, and no trust domain may be
 * two parties'.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "federation/check.h"
#include "federation/syntax.h"
#include "platform/text.h"

struct trust {
	struct check *check;
	const struct legacy_pki_spec *list; /* the federation's, none without one */
	uint32_t n_list;
	struct name_map pkis;    /* name ─▶ index in list */
	struct name_map domains; /* of others, federated with or not ─▶ line */
	struct name_map maps;    /* trust domain ─▶ line of its IdentityMap */
	struct name_map rules;   /* what a rule takes ─▶ index in taken */
	struct origin *taken;    /* of the first rule that does */
	uint32_t n_taken;
	struct text key; /* reused */
};

void
check_needs_identity(struct check *check, struct origin at, const char *what)
{
	const struct model_federation *federation = check->model->federation;

	if (federation == NULL || federation->identity_uncertain || federation->identity.kind != OWN_IDENTITY_NONE)
		return;
	report_error(check->report, at, PN_NO_IDENTITY,
		     "ISTIO_MUTUAL for \"%s\" needs an SVID of our own, and the Federation has no spec.identity", what);
}

/* Who the embedded CA makes us, in our own trust domain. */
static void
check_own_id(struct check *check)
{
	struct model_federation *federation = check->model->federation;
	struct identity_spec *identity = &federation->identity;
	struct text id = {0};
	size_t length;

	if (identity->kind != OWN_IDENTITY_EMBEDDED || federation->trust_domain.length == 0 ||
	    federation->cluster_id.length == 0)
		return;
	if (identity->spiffe_id.length == 0) {
		text_print(&id, "spiffe://%s/gateway/%s", federation->trust_domain.bytes, federation->cluster_id.bytes);
		const char *wrong = syntax_spiffe_id(id.bytes, id.length);
		if (wrong != NULL)
			report_error(check->report, identity->origin, PN_BAD_SPIFFE_ID,
				     "the gateway would be \"%s\", which %s; say who by spiffeID",
				     quote(id.bytes, id.length).text, wrong);
		identity->spiffe_id = text_pool_add(&check->model->names, id.bytes, id.length);
		text_free(&id);
		return;
	}
	const char *domain = syntax_spiffe_domain(identity->spiffe_id.bytes, &length);
	if (length != federation->trust_domain.length || memcmp(domain, federation->trust_domain.bytes, length) != 0)
		report_error(check->report, identity->origin, PN_FOREIGN_DOMAIN,
			     "spiffeID \"%s\" is outside our own trust domain \"%s\"", QUOTE(identity->spiffe_id),
			     federation->trust_domain.bytes);
}

static void
index_federation(struct trust *trust)
{
	const struct model_federation *federation = trust->check->model->federation;
	uint32_t *value;

	trust->list = federation->pkis;
	trust->n_list = federation->n_pkis;
	for (uint32_t i = 0; i < federation->n_pkis; i++) {
		name_map_add(&trust->pkis, federation->pkis[i].name.bytes, federation->pkis[i].name.length, NULL,
			     &value);
		*value = i;
	}
	for (uint32_t i = 0; i < federation->n_domains; i++) {
		const struct federated_domain *domain = &federation->domains[i];
		name_map_add(&trust->domains, domain->trust_domain.bytes, domain->trust_domain.length, NULL, &value);
		*value = domain->origin.line;
		if (name_equal(domain->trust_domain, federation->trust_domain))
			report_error(trust->check->report, domain->origin, PN_DUPLICATE_DOMAIN,
				     "\"%s\" is our own trust domain; list only the others",
				     domain->trust_domain.bytes);
	}
	for (const struct model_cluster *cluster = federation->clusters; cluster != NULL; cluster = cluster->next) {
		struct name domain = cluster->trust_domain;
		if (domain.length > 0 && !name_equal(domain, federation->trust_domain) &&
		    name_map_add(&trust->domains, domain.bytes, domain.length, NULL, &value))
			*value = cluster->origin.line;
	}
}

static const struct legacy_pki_spec *
find_pki(const struct trust *trust, const char *name, size_t length)
{
	uint32_t index;

	return name_map_find(&trust->pkis, name, length, &index) ? &trust->list[index] : NULL;
}

/* A name means the legacy PKI of that name, or of that name with "-cacert" behind it, as Istio names a secret's
 * authorities; else ca.crt of the credential. */
static struct anchors_spec
find_anchors(struct trust *trust, const struct model_mention *mention)
{
	const struct legacy_pki_spec *pki = find_pki(trust, mention->name.bytes, mention->name.length);

	if (pki == NULL) {
		trust->key.length = 0;
		text_print(&trust->key, "%s-cacert", mention->name.bytes);
		pki = find_pki(trust, trust->key.bytes, trust->key.length);
	}
	if (pki != NULL)
		return (struct anchors_spec){.kind = ANCHORS_LEGACY_PKI, .pki = pki};
	struct credential_spec *credential = model_credential(trust->check->model, mention);
	credential->needs_ca = true;
	return (struct anchors_spec){.kind = ANCHORS_CREDENTIAL, .credential = credential};
}

static void
resolve_tls(struct trust *trust, struct model_tls *tls, bool server)
{
	if (tls->mode == TLS_MODE_DISABLE)
		return;
	if (tls->mode == TLS_MODE_ISTIO_MUTUAL) {
		tls->anchors.kind = ANCHORS_FEDERATION;
		return;
	}
	if (server || tls->mode == TLS_MODE_MUTUAL) {
		struct credential_spec *presented = model_credential(trust->check->model, &tls->credential);
		presented->needs_chain = true;
		tls->presented = presented;
	}
	if (!server || tls->mode == TLS_MODE_MUTUAL)
		tls->anchors = find_anchors(trust, tls->ca.name.length > 0 ? &tls->ca : &tls->credential);
}

static void
resolve_policy(struct trust *trust, struct model_policy *policy)
{
	if (policy->tls != NULL && !policy->tls->uncertain)
		resolve_tls(trust, policy->tls, false);
	for (uint32_t i = 0; i < policy->n_ports; i++) {
		struct model_tls *tls = policy->ports[i].policy.tls;
		if (tls != NULL && !tls->uncertain)
			resolve_tls(trust, tls, false);
	}
}

static void
resolve_all(struct trust *trust)
{
	struct model *model = trust->check->model;

	for (struct model_gateway *gateway = model->gateways; gateway != NULL; gateway = gateway->next) {
		for (struct model_server *server = gateway->servers; server != NULL; server = server->next) {
			if (server->uncertain || server->mode != LISTENER_TERMINATE)
				continue;
			resolve_tls(trust, &server->tls, true);
			if (server->tls.mode == TLS_MODE_ISTIO_MUTUAL)
				check_needs_identity(trust->check, server->tls.origin, server->port_name.bytes);
		}
	}
	for (struct model_rule *rule = model->rules; rule != NULL; rule = rule->next) {
		resolve_policy(trust, &rule->policy);
		for (uint32_t i = 0; i < rule->n_subsets; i++)
			resolve_policy(trust, &rule->subsets[i].policy);
	}
}

static struct quoted
suggest_pki(const struct trust *trust, struct name name)
{
	struct quoted suggestion = {""};
	const char *nearest = NULL;

	if (trust->list == NULL)
		return suggestion;
	for (uint32_t i = 0; i < trust->n_list && nearest == NULL && trust->check->suggest_budget > 0; i++) {
		const char *const names[] = {trust->list[i].name.bytes, NULL};
		trust->check->suggest_budget--;
		nearest = text_closest(name.bytes, names);
	}
	if (nearest != NULL)
		snprintf(suggestion.text, sizeof(suggestion.text), "; did you mean \"%s\"?", nearest);
	return suggestion;
}

static void
resolve_pki(struct trust *trust, struct model_identity_rule *rule)
{
	const struct model_federation *federation = trust->check->model->federation;

	if (rule->rule.from != IDENTITY_FROM_LEGACY || federation == NULL)
		return;
	rule->rule.pki = find_pki(trust, rule->pki.name.bytes, rule->pki.name.length);
	if (rule->rule.pki == NULL && !federation->pkis_uncertain)
		report_error(trust->check->report, rule->pki.origin, PN_NO_SUCH_PKI,
			     "the Federation has no legacy PKI \"%s\"%s", rule->pki.name.bytes,
			     suggest_pki(trust, rule->pki.name).text);
}

/* Keys of what a rule takes. Two are alike when the rules are, so covering is looked for by making the rule wider in
 * each way that another may be. */
static void
legacy_key(struct text *key, const struct identity_rule_spec *rule, struct name pki, const char *dns, size_t length,
	   bool pinned)
{
	key->length = 0;
	text_print(key, "L%s %.*s ", pki.bytes, (int)length, dns);
	if (pinned)
		text_add(key, (const char *)rule->spki_sha256, sizeof(rule->spki_sha256));
}

static void
network_key(struct text *key, const struct identity_rule_spec *rule, unsigned length)
{
	struct ip_addr addr = rule->source.addr;
	unsigned kept = length + (ip_addr_is_v4(&addr) ? 96u : 0u);

	for (unsigned byte = 0; byte < sizeof(addr.bytes); byte++)
		addr.bytes[byte] &= kept >= 8 * byte + 8 ? 0xff : kept <= 8 * byte ? 0 : (uint8_t) ~(0xffu >> kept % 8);
	key->length = 0;
	text_print(key, "N%s %u ", rule->interface.bytes, kept);
	text_add(key, (const char *)addr.bytes, sizeof(addr.bytes));
}

static const struct origin *
find_taken(const struct trust *trust)
{
	uint32_t index;

	return name_map_find(&trust->rules, trust->key.bytes, trust->key.length, &index) ? &trust->taken[index] : NULL;
}

/* An earlier rule for all that this one is for, or NULL; the rule's own key is in trust->key at the end. */
static const struct origin *
find_wider(struct trust *trust, const struct model_identity_rule *from)
{
	const struct identity_rule_spec *rule = &from->rule;
	const struct origin *wider = NULL;

	if (rule->from == IDENTITY_FROM_NETWORK) {
		for (unsigned length = 0; length <= rule->source.length; length++) {
			network_key(&trust->key, rule, length);
			wider = wider != NULL ? wider : find_taken(trust);
		}
		return wider;
	}
	const char *dot = strchr(rule->dns.bytes == NULL ? "" : rule->dns.bytes, '.');
	struct text star = {0};
	text_print(&star, "*%s", dot == NULL ? "" : dot);
	for (unsigned pinned = 0; pinned <= (rule->has_spki ? 1u : 0u); pinned++) {
		legacy_key(&trust->key, rule, from->pki.name, "", 0, pinned == 1);
		wider = wider != NULL ? wider : find_taken(trust);
		legacy_key(&trust->key, rule, from->pki.name, star.bytes, star.length, pinned == 1);
		wider = wider != NULL || dot == NULL ? wider : find_taken(trust);
		legacy_key(&trust->key, rule, from->pki.name, rule->dns.bytes == NULL ? "" : rule->dns.bytes,
			   rule->dns.length, pinned == 1);
		wider = wider != NULL ? wider : find_taken(trust);
	}
	text_free(&star);
	return wider;
}

static void
take_rule(struct trust *trust, const struct model_identity_rule *rule)
{
	const char **kept;
	uint32_t *index;

	const struct origin *wider = find_wider(trust, rule);
	if (wider != NULL)
		report_warning(trust->check->report, rule->rule.origin, PN_UNREACHABLE_RULE,
			       "this rule never decides: the one at %s:%u takes all that it would", wider->file,
			       wider->line);
	if (!name_map_add(&trust->rules, trust->key.bytes, trust->key.length, &kept, &index))
		return;
	*kept = arena_copy(&trust->check->model->arena, trust->key.bytes, trust->key.length);
	*index = trust->n_taken;
	trust->taken[trust->n_taken++] = rule->rule.origin;
}

/* What a map gives away must be ours to give: our own trust domain, or one that nobody else speaks for. */
static void
check_map_domain(struct trust *trust, const struct model_identity_map *map)
{
	const struct model_mention *domain = &map->trust_domain;
	uint32_t line, *first;

	if (domain->name.length == 0)
		return;
	if (!name_map_add(&trust->maps, domain->name.bytes, domain->name.length, NULL, &first))
		report_error(trust->check->report, domain->origin, PN_DUPLICATE_DOMAIN,
			     "trust domain \"%s\" is another IdentityMap's, on line %u", domain->name.bytes, *first);
	else
		*first = domain->origin.line;
	if (name_map_find(&trust->domains, domain->name.bytes, domain->name.length, &line))
		report_error(trust->check->report, domain->origin, PN_FOREIGN_DOMAIN,
			     "trust domain \"%s\" is another party's, on line %u: its own authorities say who is in it",
			     domain->name.bytes, line);
}

static void
check_maps(struct trust *trust)
{
	struct model *model = trust->check->model;
	size_t n = 0;

	for (const struct model_identity_map *map = model->identity_maps; map != NULL; map = map->next)
		n += map->n_rules;
	trust->taken = calloc(n + 1, sizeof(*trust->taken));
	if (trust->taken == NULL)
		abort();
	for (struct model_identity_map *map = model->identity_maps; map != NULL; map = map->next) {
		check_map_domain(trust, map);
		for (uint32_t i = 0; i < map->n_rules; i++) {
			resolve_pki(trust, &map->rules[i]);
			take_rule(trust, &map->rules[i]);
		}
	}
	free(trust->taken);
}

void
check_trust(struct check *check)
{
	struct trust trust = {.check = check};

	if (check->model->federation != NULL) {
		check_own_id(check);
		index_federation(&trust);
	}
	resolve_all(&trust);
	check_maps(&trust);
	name_map_free(&trust.pkis);
	name_map_free(&trust.domains);
	name_map_free(&trust.maps);
	name_map_free(&trust.rules);
	text_free(&trust.key);
}
