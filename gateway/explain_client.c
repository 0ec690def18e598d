/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/explain_client.h"

#include <string.h>

bool
explain_client_parse(const char *from, const char *address, const char *interface, struct explain_client *client,
		     struct text *error)
{
	const char *slash = strchr(from, '/');

	*client = (struct explain_client){.interface = interface};
	if (address != NULL) {
		client->has_address = ip_addr_parse(address, &client->address);
		if (!client->has_address) {
			text_print(error, "\"%s\" is no address", address);
			return false;
		}
	}
	if (strncmp(from, "spiffe:", 7) == 0) {
		enum cert_error wrong = spiffe_id_parse(from, strlen(from), &client->id);
		if (wrong == CERT_NONE && spiffe_id_is_root(&client->id))
			wrong = CERT_SPIFFE_PATH_ROOT;
		if (wrong != CERT_NONE)
			text_print(error, "\"%s\" is no SPIFFE ID: %s", from, cert_error_meaning(wrong));
		client->claim = EXPLAIN_ID;
		return wrong == CERT_NONE;
	}
	if (slash == NULL && ip_addr_parse(from, &client->address)) {
		client->claim = EXPLAIN_ADDRESS;
		client->has_address = true;
		return true;
	}
	if (slash == NULL || slash == from || slash[1] == '\0' || strchr(slash + 1, '/') != NULL) {
		text_print(error, "\"%s\" is neither spiffe://TRUST-DOMAIN/PATH, LEGACY-PKI/DNS-NAME, nor an address",
			   from);
		return false;
	}
	client->claim = EXPLAIN_CERTIFICATE;
	client->pki = (struct name){from, (uint32_t)(slash - from)};
	client->dns = slash + 1;
	return true;
}

static struct peer_identity *
identity_of(enum peer_kind kind, const struct spiffe_id *id, const struct explain_client *client)
{
	struct peer_bytes dns = {client->dns, client->dns == NULL ? 0 : (uint32_t)strlen(client->dns)};
	const struct peer_identity_source source = {
		.kind = kind,
		.role = PEER_CLIENT,
		.id = id == NULL ? (struct spiffe_id){0} : *id,
		.pki = {client->pki.bytes, client->pki.length},
		.dns = &dns,
		.n_dns = client->dns != NULL,
		.not_after = INT64_MAX,
		.leaf_not_after = INT64_MAX,
	};
	return peer_identity_new(&source);
}

/* Whether a rule can give an ID: what stands for {dns.label} is the same label wherever it does. */
static bool
rule_gives(const struct identity_rule_spec *rule, const struct spiffe_id *id)
{
	static const char label[] = "{dns.label}";
	const size_t label_length = sizeof(label) - 1;
	const char *template = rule->spiffe_id.bytes, *at = id->text, *end = id->text + id->length, *first = NULL;
	size_t found_length = 0;

	for (const char *next; (next = strstr(template, label)) != NULL; template = next + label_length) {
		size_t before = (size_t)(next - template);
		if ((size_t)(end - at) < before || memcmp(at, template, before) != 0)
			return false;
		at += before;
		if (first == NULL) {
			const char *after = next + label_length;
			const char *stop = *after == '\0' ? end : memchr(at, *after, (size_t)(end - at));
			if (stop == NULL || stop == at)
				return false;
			first = at;
			found_length = (size_t)(stop - at);
		}
		if ((size_t)(end - at) < found_length || memcmp(at, first, found_length) != 0)
			return false;
		at += found_length;
	}
	return strlen(template) == (size_t)(end - at) && memcmp(template, at, (size_t)(end - at)) == 0 &&
	       memchr(first == NULL ? end : first, '/', found_length) == NULL;
}

/* The client says which ID a map has given him. */
static void
assume_rule(const struct snapshot *snapshot, enum identity_from from, const struct legacy_pki_spec *pki,
	    const struct explain_client *client, struct explain_who *who)
{
	for (uint32_t i = 0; i < snapshot->n_identity_rules && who->rule == NULL; i++) {
		const struct identity_rule_spec *rule = &snapshot->identity_rules[i];
		if (rule->from == from && rule->pki == pki && rule_gives(rule, &client->id))
			who->rule = rule;
	}
	if (who->rule == NULL)
		return;
	who->identity = identity_of(from == IDENTITY_FROM_LEGACY ? PEER_LEGACY : PEER_NETWORK, &client->id, client);
	who->why = "if it is the client that the rule is about";
}

static void
refuse(struct explain_who *who, enum reason reason, const char *why)
{
	who->refused = reason;
	who->why = why;
}

/* A plaintext client is who sits there. */
static void
place(const struct snapshot *snapshot, const struct identity_map *map, const struct explain_client *client,
      struct explain_who *who)
{
	uint32_t rule = UINT32_MAX;

	if (client->claim == EXPLAIN_ID)
		assume_rule(snapshot, IDENTITY_FROM_NETWORK, NULL, client, who);
	if (who->identity != NULL)
		return;
	if (client->interface != NULL && client->has_address) {
		identity_map_network(map, client->interface, &client->address, &rule, NULL);
	} else if (client->has_address) {
		who->why = "if it comes in by the interface that the rule names";
		for (uint32_t i = 0; i < map->n && rule == UINT32_MAX; i++) {
			if (map->rules[i].interface != NULL)
				identity_map_network(map, map->rules[i].interface, &client->address, &rule, NULL);
		}
	}
	if (rule == UINT32_MAX || rule >= map->n) {
		who->why = "no rule says who a plaintext client from there is";
		return;
	}
	who->rule = &snapshot->identity_rules[rule];
	who->identity = peer_identity_take(map->rules[rule].network);
}

static void
map_certificate(const struct snapshot *snapshot, const struct identity_map *map, const struct explain_client *client,
		struct explain_who *who)
{
	struct peer_identity *proved = identity_of(PEER_LEGACY, NULL, client);
	struct identity_match match;
	enum cert_error error = proved == NULL ? CERT_MEMORY : identity_map_legacy(map, proved, &match);

	if (error != CERT_MAP_NO_RULE && error != CERT_MEMORY)
		who->rule = &snapshot->identity_rules[match.rule];
	if (error == CERT_NONE)
		who->identity = peer_identity_map(proved, &match.id, match.dns);
	else if (error == CERT_MAP_PIN)
		refuse(who, REASON_TLS_PEER_IDENTITY, "unless it is the public key that the rule pins");
	else
		refuse(who, REASON_TLS_PEER_IDENTITY, cert_error_meaning(error));
	peer_identity_drop(proved);
}

static bool
domain_known(const struct snapshot *snapshot, const struct spiffe_id *id)
{
	if (spiffe_id_in_domain(id, snapshot->trust_domain.bytes, snapshot->trust_domain.length))
		return true;
	for (uint32_t i = 0; i < snapshot->n_domains; i++) {
		struct name domain = snapshot->domains[i].trust_domain;
		if (spiffe_id_in_domain(id, domain.bytes, domain.length))
			return true;
	}
	return false;
}

/* subjectAltNames of the listener, by what the client's certificate says. */
static bool
name_expected(const struct listener_tls *tls, const struct explain_client *client)
{
	for (uint32_t i = 0; i < tls->n_names; i++) {
		struct name name = tls->names[i].text;
		const char *has = client->claim == EXPLAIN_ID ? client->id.text : client->dns;
		size_t length = client->claim == EXPLAIN_ID ? client->id.length : strlen(client->dns);
		if (name.length == length && memcmp(name.bytes, has, length) == 0)
			return true;
	}
	return tls->n_names == 0;
}

static void
authenticate(const struct snapshot *snapshot, const struct identity_map *map, const struct listener_tls *tls,
	     const struct explain_client *client, struct explain_who *who)
{
	const struct anchors_spec *anchors = &tls->clients;

	if (anchors->kind == ANCHORS_NONE) {
		who->why = "clients aren't asked for a certificate here";
		return;
	}
	if (client->claim == EXPLAIN_ADDRESS) {
		refuse(who, REASON_TLS_CLIENT_CERTIFICATE_MISSING, "clients must present a certificate here");
		return;
	}
	if (anchors->kind == ANCHORS_LEGACY_PKI && client->claim == EXPLAIN_ID) {
		assume_rule(snapshot, IDENTITY_FROM_LEGACY, anchors->pki, client, who);
		if (who->identity == NULL)
			refuse(who, REASON_TLS_PEER_UNTRUSTED,
			       "clients must present a certificate of the legacy PKI here, and no rule gives one that "
			       "ID");
		return;
	}
	if (anchors->kind != ANCHORS_FEDERATION && client->claim == EXPLAIN_ID) {
		refuse(who, REASON_TLS_PEER_UNTRUSTED, "SPIFFE IDs count for nothing here");
		return;
	}
	if (anchors->kind == ANCHORS_FEDERATION) {
		if (client->claim != EXPLAIN_ID)
			refuse(who, REASON_TLS_PEER_UNTRUSTED, "clients must present a SPIFFE ID here");
		else if (!domain_known(snapshot, &client->id))
			refuse(who, REASON_TLS_PEER_UNTRUSTED, cert_error_meaning(CERT_DOMAIN_UNKNOWN));
		else
			who->identity = identity_of(PEER_SPIFFE, &client->id, client);
	} else if (anchors->kind == ANCHORS_CREDENTIAL) {
		who->why = "if the credential's ca.crt vouches for it; such a client has no SPIFFE ID";
	} else if (client->pki.length != anchors->pki->name.length ||
		   memcmp(client->pki.bytes, anchors->pki->name.bytes, client->pki.length) != 0) {
		refuse(who, REASON_TLS_PEER_UNTRUSTED, "clients must present a certificate of another legacy PKI here");
	} else {
		map_certificate(snapshot, map, client, who);
	}
	if (who->refused == REASON_NONE && !name_expected(tls, client))
		refuse(who, REASON_TLS_PEER_IDENTITY, "subjectAltNames of the Gateway's server lack the client's name");
}

void
explain_who(const struct snapshot *snapshot, const struct identity_map *map, const struct listener *listener,
	    const struct listener_tls *tls, const struct explain_client *client, struct explain_who *who)
{
	*who = (struct explain_who){0};
	if (listener->mode == LISTENER_PLAIN)
		place(snapshot, map, client, who);
	else if (listener->mode != LISTENER_TERMINATE)
		who->why = "its TLS passes through: who it is is the endpoint's to find out";
	else if (tls == NULL)
		refuse(who, REASON_SNI_NO_MATCH, "no server of the Gateway has that name among its hosts");
	else
		authenticate(snapshot, map, tls, client, who);
}

void
explain_who_end(struct explain_who *who)
{
	peer_identity_drop(who->identity);
	who->identity = NULL;
}
