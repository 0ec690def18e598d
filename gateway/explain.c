/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "federation/syntax.h"
#include "gateway/authorize.h"
#include "gateway/explain_client.h"
#include "gateway/keyring_book.h"
#include "gateway/target.h"

struct explainer {
	const struct snapshot *snapshot;
	const struct live *live;
	const struct identity_map *map;
	const struct explain_client *client;
	const char *listener; /* asked for; NULL: any */
	const char *host;     /* asked for, lower-case; "": it was an address of ours */
	struct ip_addr local; /* then */
	uint16_t port;
	json_t *ways;
	enum reason fault; /* why the listeners on the port lead nowhere */
	bool allowed;      /* some way leads to some destination */
};

static json_t *
name_json(struct name name)
{
	return name.length == 0 ? json_null() : json_stringn(name.bytes, name.length);
}

static json_t *
origin_json(const struct origin *origin)
{
	struct text text = {0};

	if (origin->file == NULL)
		return json_null();
	text_print(&text, "%s:%" PRIu32 ":%" PRIu32, origin->file, origin->line, origin->column);
	json_t *json = json_string(text.bytes);
	text_free(&text);
	return json != NULL ? json : json_null(); /* a path may be no UTF-8 */
}

static json_t *
pair_json(struct name space, struct name name)
{
	return json_sprintf("%s/%s", space.bytes, name.bytes);
}

static json_t *
rule_json(const struct policy_rule *rule)
{
	if (rule == NULL)
		return json_null();
	json_t *json = json_object();
	json_object_set_new(json, "name", pair_json(rule->space, rule->name));
	json_object_set_new(json, "action", json_string(rule->action == POLICY_ALLOW ? "ALLOW" : "DENY"));
	json_object_set_new(json, "at", origin_json(&rule->origin));
	return json;
}

static json_t *
gap_json(const struct policy_gap *gap)
{
	if (gap->rule == NULL)
		return json_null();
	json_t *json = rule_json(gap->rule), *fails = json_array();
	for (uint32_t i = 0; i < gap->n_failed && i < POLICY_GAP_MAX; i++) {
		json_t *fail = json_object();
		json_object_set_new(fail, "condition", json_string(gap->failed[i]->name));
		json_object_set_new(fail, "at", origin_json(&gap->failed[i]->origin));
		json_array_append_new(fails, fail);
	}
	json_object_set_new(json, "fails", fails);
	json_object_set_new(json, "must_name_client", json_boolean(gap->unnamed));
	return json;
}

static const char *
outcome_text(enum policy_outcome outcome)
{
	static const char *const texts[] = {
		[POLICY_ALLOWED] = "an ALLOW rule matches",
		[POLICY_ALLOWED_BY_DEFAULT] = "the client is of our own trust domain, and no ALLOW policy applies",
		[POLICY_DENIED] = "a DENY rule matches",
		[POLICY_NOT_ALLOWED] = "ALLOW policies apply, this one first, and no rule of theirs matches",
		[POLICY_NOT_NAMED] = "the client is of another trust domain, and no ALLOW rule that matches names it",
		[POLICY_NOT_PROVED] = "the client has no SPIFFE ID, and no ALLOW rule matches",
	};
	return texts[outcome];
}

static json_t *
endpoints_json(const struct explainer *explainer, const struct backend *backend)
{
	char buffer[IP_ENDPOINT_TEXT_MAX];
	json_t *list = json_array();

	for (uint32_t i = 0; i < backend->n_endpoints; i++) {
		const struct endpoint *endpoint = backend->endpoints[i];
		if (endpoint->weight == 0)
			continue;
		json_t *json = json_object();
		json_object_set_new(json, "address",
				    json_string(ip_endpoint_format(&endpoint->addr, endpoint->port, buffer)));
		json_object_set_new(json, "workload",
				    name_json(endpoint->is_gateway ? endpoint->cluster : endpoint->workload));
		json_object_set_new(json, "weight", json_integer(endpoint->weight));
		json_object_set_new(json, "active",
				    explainer->live == NULL
					    ? json_null()
					    : json_integer(live_active(explainer->live, endpoint->live)));
		json_object_set_new(json, "at", origin_json(&endpoint->origin));
		json_array_append_new(list, json);
	}
	return list;
}

/* A way under explanation. */
struct way {
	const struct listener *listener;
	const char *sni; /* "" when there is none, or any */
	struct explain_who who;
};

static void
set_refused(json_t *json, enum reason reason, const char *because)
{
	json_object_set_new(json, "verdict", json_string("refused"));
	json_object_set_new(json, "reason", json_string(reason_text(reason)));
	json_object_set_new(json, "because", json_string(because));
}

/* What the policies say of a destination. */
static void
judge(struct explainer *explainer, const struct way *way, const struct backend *backend, json_t *json)
{
	const struct authorize_facts facts = {.identity = way->who.identity,
					      .client = explainer->client->address,
					      .listener = way->listener,
					      .service = backend->service,
					      .port = backend->port,
					      .sni = way->sni,
					      .sni_length = (uint16_t)strlen(way->sni)};
	const struct policy_facts asked = authorize_policy_facts(&facts);
	struct policy_verdict verdict;
	struct policy_gap gap = {0};

	enum reason reason = authorize(explainer->snapshot, &facts, &verdict);
	json_object_set_new(json, "policy", rule_json(verdict.rule));
	if (reason == REASON_NONE) {
		json_object_set_new(json, "verdict", json_string("allowed"));
		json_object_set_new(json, "because", json_string(outcome_text(verdict.outcome)));
		explainer->allowed = true;
		return;
	}
	set_refused(json, reason, outcome_text(verdict.outcome));
	if (reason == REASON_AUTHZ_DENIED)
		return;
	policy_nearest(explainer->snapshot->policies, &asked, &gap);
	json_object_set_new(json, "nearest", gap_json(&gap));
	if (asked.principal_length > 0)
		json_object_set_new(
			json, "suggestion",
			json_sprintf("principals: [ \"%.*s\" ]", (int)asked.principal_length, asked.principal));
}

static json_t *
destination_json(struct explainer *explainer, const struct way *way, const struct backend *backend, double share)
{
	bool bridged = way->listener->mode == LISTENER_TERMINATE || way->listener->mode == LISTENER_PLAIN;
	json_t *json = json_object();

	json_object_set_new(json, "service", name_json(backend->service->host));
	json_object_set_new(json, "namespace", name_json(backend->service->space));
	json_object_set_new(json, "port", json_integer(backend->port));
	json_object_set_new(json, "subset", name_json(backend->subset));
	json_object_set_new(json, "share", json_real(share));
	json_object_set_new(json, "at", origin_json(&backend->service->origin));
	json_object_set_new(json, "endpoints", endpoints_json(explainer, backend));
	if (way->who.refused != REASON_NONE) {
		set_refused(json, way->who.refused, way->who.why);
	} else if (bridged) {
		judge(explainer, way, backend, json);
	} else {
		json_object_set_new(json, "verdict", json_string("passed"));
		json_object_set_new(json, "because",
				    json_string("it is passed through unread; policies are its endpoint's matter"));
		explainer->allowed = true;
	}
	/* It would be found out last. */
	if (backend->total_weight == 0 && strcmp(json_string_value(json_object_get(json, "verdict")), "refused") != 0)
		set_refused(json, REASON_NO_ENDPOINT, reason_meaning(REASON_NO_ENDPOINT));
	return json;
}

static json_t *
listener_json(const struct listener *listener, const struct listener_tls *tls)
{
	static const char *const modes[] = {[LISTENER_PASSTHROUGH] = "PASSTHROUGH",
					    [LISTENER_AUTO_PASSTHROUGH] = "AUTO_PASSTHROUGH",
					    [LISTENER_TERMINATE] = "TLS",
					    [LISTENER_TCP] = "TCP",
					    [LISTENER_PLAIN] = "TCP, bridged"};
	static const char *const tls_modes[] = {[TLS_MODE_DISABLE] = "DISABLE",
						[TLS_MODE_SIMPLE] = "SIMPLE",
						[TLS_MODE_MUTUAL] = "MUTUAL",
						[TLS_MODE_ISTIO_MUTUAL] = "ISTIO_MUTUAL"};
	json_t *json = json_object();

	json_object_set_new(json, "gateway", name_json(listener->gateway));
	json_object_set_new(json, "port", json_integer(listener->port));
	json_object_set_new(json, "name", name_json(listener->port_name));
	json_object_set_new(json, "mode", json_string(tls != NULL ? tls_modes[tls->mode] : modes[listener->mode]));
	json_object_set_new(json, "at", origin_json(tls != NULL ? &tls->origin : &listener->origin));
	return json;
}

static json_t *
who_json(const struct explain_who *who)
{
	json_t *json = json_object();
	const struct spiffe_id *id = who->identity == NULL ? NULL : &who->identity->id;

	json_object_set_new(json, "spiffe_id", id == NULL ? json_null() : json_stringn(id->text, id->length));
	json_object_set_new(json, "trust_domain",
			    id == NULL ? json_null() : json_stringn(spiffe_id_domain(id), id->domain_length));
	json_object_set_new(json, "map",
			    who->rule == NULL ? json_null() : pair_json(who->rule->map->space, who->rule->map->name));
	json_object_set_new(json, "at", who->rule == NULL ? json_null() : origin_json(&who->rule->origin));
	json_object_set_new(json, "remark", who->why == NULL ? json_null() : json_string(who->why));
	return json;
}

/* Explains where a listener leads. only: of the destinations, those of this service and port, by whatever name one
 * gets there; NULL: all. */
static void
add_way(struct explainer *explainer, const struct listener *listener, const char *sni, const struct target *target,
	const struct backend *only)
{
	struct way way = {.listener = listener, .sni = sni};
	json_t *json = json_object(), *destinations = json_array();
	const struct listener_tls *tls =
		only != NULL ? listener->tls : listener_server(explainer->snapshot, listener, sni, strlen(sni));

	explain_who(explainer->snapshot, explainer->map, listener, tls, explainer->client, &way.who);
	json_object_set_new(json, "listener", listener_json(listener, tls));
	json_object_set_new(json, "server_name", sni[0] == '\0' ? json_null() : json_string(sni));
	json_object_set_new(json, "client", who_json(&way.who));
	json_object_set_new(json, "route", target->route == NULL ? json_null() : origin_json(&target->route->origin));
	if (target->backend != NULL)
		json_array_append_new(destinations, destination_json(explainer, &way, target->backend, 1));
	for (uint32_t i = 0; target->route != NULL && i < target->route->n_backends; i++) {
		const struct weighted_backend *weighted = &target->route->backends[i];
		uint32_t weight = weighted->weight - (i == 0 ? 0 : weighted[-1].weight);
		if (only != NULL &&
		    (weighted->backend->service != only->service || weighted->backend->port != only->port))
			continue;
		json_array_append_new(destinations, destination_json(explainer, &way, weighted->backend,
								     (double)weight / target->route->total_weight));
	}
	json_object_set_new(json, "destinations", destinations);
	json_array_append_new(explainer->ways, json);
	explain_who_end(&way.who);
}

/* --- which ways there are ---------------------------------------------------------------------------------------- */

static bool
is_wanted(const struct explainer *explainer, const struct listener *listener)
{
	char port[8];

	snprintf(port, sizeof(port), "%u", listener->port);
	return explainer->listener == NULL || strcmp(explainer->listener, listener->gateway.bytes) == 0 ||
	       strcmp(explainer->listener, port) == 0 || strcmp(explainer->listener, listener->port_name.bytes) == 0;
}

static bool
takes_names(const struct listener *listener)
{
	return listener->mode == LISTENER_PASSTHROUGH || listener->mode == LISTENER_TERMINATE;
}

/* By the name that was asked for. */
static bool
add_by_name(struct explainer *explainer, const struct listener *listener)
{
	struct text sni = {0};

	if (listener->mode == LISTENER_AUTO_PASSTHROUGH)
		text_print(&sni, "outbound_.%u_._.%s", explainer->port, explainer->host);
	else
		text_print(&sni, "%s", takes_names(listener) ? explainer->host : "");
	const struct target target = target_find(explainer->snapshot, listener, sni.bytes, sni.length);
	bool leads = target.reason == REASON_NONE;
	if (leads)
		add_way(explainer, listener, sni.bytes, &target, NULL);
	else if (listener->port == explainer->port || explainer->listener != NULL)
		explainer->fault = target.reason;
	text_free(&sni);
	return leads;
}

/* By the service that was asked for, whatever name a route to it has. */
static void
add_by_service(struct explainer *explainer, const struct listener *listener)
{
	/* Of several servers it depends on the name how TLS ends. */
	if (listener->mode == LISTENER_TERMINATE && listener->n_tls != 1)
		return;
	for (uint32_t i = 0; i < listener->n_routes; i++) {
		const struct target target = {.route = listener->routes[i]};
		for (uint32_t k = 0; k < target.route->n_backends; k++) {
			const struct backend *backend = target.route->backends[k].backend;
			if (backend->port != explainer->port ||
			    strcmp(backend->service->host.bytes, explainer->host) != 0)
				continue;
			add_way(explainer, listener, "", &target, backend);
			break;
		}
	}
}

static void
add_ways(struct explainer *explainer)
{
	const struct snapshot *snapshot = explainer->snapshot;

	if (explainer->host[0] == '\0') {
		const struct listener *listener = snapshot_listener(snapshot, &explainer->local, explainer->port);
		if (listener != NULL && is_wanted(explainer, listener))
			add_by_name(explainer, listener);
		return;
	}
	for (uint16_t i = 0; i < snapshot->n_listeners; i++) {
		const struct listener *listener = &snapshot->listeners[i];
		bool by_name = listener->mode == LISTENER_AUTO_PASSTHROUGH || listener->port == explainer->port;
		if (!is_wanted(explainer, listener) || (by_name && add_by_name(explainer, listener)))
			continue;
		add_by_service(explainer, listener);
	}
}

/* "HOST:PORT"; host is kept in lower case, without a trailing dot. */
static bool
parse_to(const char *to, struct explainer *explainer, char host[SYNTAX_HOST_MAX + 1], struct text *error)
{
	const char *colon = strrchr(to, ':');
	size_t length = colon == NULL ? 0 : (size_t)(colon - to);

	host[0] = '\0';
	explainer->host = host;
	if (ip_endpoint_parse(to, &explainer->local, &explainer->port) && explainer->port != 0)
		return true;
	if (length > 0 && to[length - 1] == '.')
		length--;
	unsigned long port = colon != NULL && strspn(colon + 1, "0123456789") == strlen(colon + 1)
				     ? strtoul(colon + 1, NULL, 10)
				     : 0;
	if (port == 0 || port > UINT16_MAX || syntax_host(to, length) != NULL) {
		text_print(error, "\"%s\" is neither HOST:PORT nor ADDRESS:PORT", to);
		return false;
	}
	explainer->port = (uint16_t)port;
	for (size_t i = 0; i < length; i++)
		host[i] = (char)(to[i] >= 'A' && to[i] <= 'Z' ? to[i] + ('a' - 'A') : to[i]);
	host[length] = '\0';
	return true;
}

json_t *
explain(const struct snapshot *snapshot, const struct live *live, const struct explain_query *query, struct text *error)
{
	char host[SYNTAX_HOST_MAX + 1];
	struct explain_client client;
	struct explainer explainer = {.snapshot = snapshot,
				      .live = live,
				      .client = &client,
				      .listener = query->listener,
				      .fault = REASON_NO_LISTENER};

	if (!explain_client_parse(query->from, query->address, query->interface, &client, error) ||
	    !parse_to(query->to, &explainer, host, error))
		return NULL;
	struct peer_book *book = keyring_book(snapshot);
	explainer.map = &book->map;
	explainer.ways = json_array();
	add_ways(&explainer);
	peer_book_drop(book);
	json_t *document = json_object();
	json_object_set_new(document, "from", json_string(query->from));
	json_object_set_new(document, "to", json_string(query->to));
	json_object_set_new(document, "allowed", json_boolean(explainer.allowed));
	if (json_array_size(explainer.ways) == 0) {
		json_object_set_new(document, "reason", json_string(reason_text(explainer.fault)));
		json_object_set_new(document, "because", json_string(reason_meaning(explainer.fault)));
	}
	json_object_set_new(document, "ways", explainer.ways);
	return document;
}
