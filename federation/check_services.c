/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "federation/check.h"
#include "platform/text.h"

/* So many endpoints of the greatest weight still sum to 32 bits. */
enum { ENDPOINTS_MAX = 65536 };

static void *
allocate(size_t n, size_t size)
{
	void *memory = calloc(n + 1, size);
	if (memory == NULL)
		abort();
	return memory;
}

uint32_t
check_find_service(const struct model *model, struct name host)
{
	struct host_walk walk = host_walk_begin(host.bytes, host.length);
	uint32_t index;

	while (host_walk_next(&walk)) {
		if (name_map_find(&model->hosts, walk.key, walk.length, &index))
			return index;
	}
	return MODEL_NONE;
}

struct quoted
check_suggest_host(struct check *check, struct name host)
{
	struct quoted suggestion = {""};
	struct model *model = check->model;

	if (model->n_services > check->suggest_budget)
		return suggestion;
	check->suggest_budget -= model->n_services;
	if (check->host_names == NULL) {
		check->host_names = allocate(model->n_services, sizeof(*check->host_names));
		for (uint32_t i = 0; i < model->n_services; i++)
			check->host_names[i] = model->services[i].host.bytes;
	}
	const char *closest = text_closest(host.bytes, check->host_names);
	if (closest != NULL)
		snprintf(suggestion.text, sizeof(suggestion.text), "; did you mean \"%s\"?", closest);
	return suggestion;
}

void
check_free(struct check *check)
{
	free(check->host_names);
}

/* One service for each host. */
static void
make_services(struct check *check)
{
	struct model *model = check->model;
	uint32_t n = 0;

	for (const struct model_service_entry *entry = model->entries; entry != NULL; entry = entry->next)
		n += entry->hosts.n;
	model->services = arena_array(&model->arena, n, sizeof(*model->services));
	for (const struct model_service_entry *entry = model->entries; entry != NULL; entry = entry->next) {
		for (uint32_t i = 0; i < entry->hosts.n; i++) {
			const struct model_mention *host = &entry->hosts.list[i];
			struct host_walk walk = host_walk_begin(host->name.bytes, host->name.length);
			uint32_t *index;
			if (!name_map_add(&model->hosts, walk.key, walk.length, NULL, &index)) {
				const struct origin *first = &model->services[*index].origin;
				report_error(check->report, host->origin, PN_DUPLICATE_HOST,
					     "host \"%s\" is a service already, at %s:%u", host->name.bytes,
					     first->file, first->line);
				continue;
			}
			*index = model->n_services;
			model->services[model->n_services++] =
				(struct model_service){.host = host->name, .entry = entry, .origin = host->origin};
		}
	}
}

static int
compare_ports(const void *left, const void *right)
{
	const struct model_port *a = left, *b = right;
	return (int)a->number - (int)b->number;
}

static int
compare_subsets(const void *left, const void *right)
{
	const struct model_subset *a = left, *b = right;
	return strcmp(a->name.name.bytes, b->name.name.bytes);
}

/* The order that the snapshot has its backends in. */
static void
sort_parts(struct model *model)
{
	for (struct model_service_entry *entry = model->entries; entry != NULL; entry = entry->next) {
		if (entry->n_ports > 1)
			qsort(entry->ports, entry->n_ports, sizeof(*entry->ports), compare_ports);
	}
	for (struct model_rule *rule = model->rules; rule != NULL; rule = rule->next) {
		if (rule->n_subsets > 1)
			qsort(rule->subsets, rule->n_subsets, sizeof(*rule->subsets), compare_subsets);
	}
}

static struct model_rule *
find_rule(const struct name_map *map, struct model_rule *const *rules, struct name host)
{
	struct host_walk walk = host_walk_begin(host.bytes, host.length);
	uint32_t index;

	while (host_walk_next(&walk)) {
		if (name_map_find(map, walk.key, walk.length, &index))
			return rules[index];
	}
	return NULL;
}

/* Gives each service the DestinationRule of its host, or of the longest wildcard that covers it. */
static void
assign_rules(struct check *check)
{
	struct model *model = check->model;
	struct name_map map = {0};
	uint32_t n = 0;

	for (struct model_rule *rule = model->rules; rule != NULL; rule = rule->next)
		n++;
	struct model_rule **rules = allocate(n, sizeof(struct model_rule *));
	n = 0;
	for (struct model_rule *rule = model->rules; rule != NULL; rule = rule->next) {
		uint32_t *index;
		if (rule->host_uncertain)
			continue;
		struct host_walk walk = host_walk_begin(rule->host.name.bytes, rule->host.name.length);
		if (!name_map_add(&map, walk.key, walk.length, NULL, &index)) {
			const struct origin *first = &rules[*index]->host.origin;
			report_error(check->report, rule->host.origin, PN_DUPLICATE_RULE,
				     "a second DestinationRule for \"%s\"; the first is at %s:%u",
				     rule->host.name.bytes, first->file, first->line);
			rules[*index]->subsets_uncertain = true;
			rule->used = true;
			continue;
		}
		*index = n;
		rules[n++] = rule;
	}
	for (uint32_t i = 0; i < model->n_services; i++) {
		struct model_rule *rule = find_rule(&map, rules, model->services[i].host);
		model->services[i].rule = rule;
		if (rule != NULL)
			rule->used = true;
	}
	for (uint32_t i = 0; i < n && !model->opaque && !model->hosts_uncertain; i++) {
		if (!rules[i]->used)
			report_error(check->report, rules[i]->host.origin, PN_NO_SUCH_HOST,
				     "no ServiceEntry has the host \"%s\"%s", rules[i]->host.name.bytes,
				     check_suggest_host(check, rules[i]->host.name).text);
	}
	free(rules);
	name_map_free(&map);
}

/* Clusters by network, each network's in a chain. */
static void
index_clusters(struct check *check, struct name_map *networks, struct model_cluster ***clusters)
{
	struct model_federation *federation = check->model->federation;
	struct name_map ids = {0};
	uint32_t n = 0, *line, *index;

	for (struct model_cluster *cluster = federation->clusters; cluster != NULL; cluster = cluster->next)
		n++;
	*clusters = allocate(n, sizeof(struct model_cluster *));
	n = 0;
	for (struct model_cluster *cluster = federation->clusters; cluster != NULL; cluster = cluster->next) {
		if (name_equal(cluster->id.name, federation->cluster_id)) {
			report_error(check->report, cluster->id.origin, PN_DUPLICATE_CLUSTER,
				     "clusterID \"%s\" is this cluster's own; list only the others",
				     cluster->id.name.bytes);
		} else if (!name_map_add(&ids, cluster->id.name.bytes, cluster->id.name.length, NULL, &line)) {
			report_error(check->report, cluster->id.origin, PN_DUPLICATE_CLUSTER,
				     "a second cluster \"%s\"; the first is on line %u", cluster->id.name.bytes, *line);
			continue;
		} else {
			*line = cluster->id.origin.line;
		}
		if (name_map_add(networks, cluster->network.name.bytes, cluster->network.name.length, NULL, &index)) {
			*index = n;
			(*clusters)[n++] = cluster;
			continue;
		}
		cluster->next_in_network = (*clusters)[*index]->next_in_network;
		(*clusters)[*index]->next_in_network = cluster;
	}
	name_map_free(&ids);
}

struct networks {
	struct name_map map; /* name ─▶ index in chains */
	struct model_cluster **chains;
};

static struct quoted
suggest_network(struct check *check, struct name network)
{
	struct quoted suggestion = {""};
	const char *nearest = NULL;

	for (const struct model_cluster *cluster = check->model->federation->clusters;
	     cluster != NULL && nearest == NULL && check->suggest_budget > 0; cluster = cluster->next) {
		check->suggest_budget--;
		const char *const names[] = {cluster->network.name.bytes, NULL};
		nearest = text_closest(network.bytes, names);
	}
	if (nearest != NULL)
		snprintf(suggestion.text, sizeof(suggestion.text), "; did you mean \"%s\"?", nearest);
	return suggestion;
}

/* An endpoint in another network whose gateways are known is reached through them, its own address or not, as Istio
 * does; one without address can't be reached otherwise. */
static void
resolve_endpoint(struct check *check, const struct networks *networks, struct model_endpoint *endpoint)
{
	const struct model_federation *federation = check->model->federation;
	struct name network = endpoint->network.name;
	const struct model_cluster *chain = NULL;
	bool gateways = false, uncertain = false;
	uint32_t index;

	if (endpoint->uncertain)
		return;
	if (network.length == 0) {
		if (!endpoint->has_address)
			report_error(check->report, endpoint->origin, PN_ADDRESS_NEEDED,
				     "an endpoint needs an address, or the network of another cluster");
		return;
	}
	if (federation == NULL || federation->network_uncertain)
		return;
	if (name_equal(network, federation->network)) {
		if (!endpoint->has_address)
			report_error(check->report, endpoint->network.origin, PN_ADDRESS_NEEDED,
				     "network \"%s\" is this cluster's own, so the endpoint needs an address",
				     network.bytes);
		return;
	}
	if (name_map_find(&networks->map, network.bytes, network.length, &index))
		chain = networks->chains[index];
	for (const struct model_cluster *cluster = chain; cluster != NULL; cluster = cluster->next_in_network) {
		gateways = gateways || cluster->n_gateways > 0;
		uncertain = uncertain || cluster->gateways_uncertain;
	}
	if (gateways)
		endpoint->via = chain;
	else if (endpoint->has_address || federation->clusters_uncertain || uncertain)
		return;
	else if (chain == NULL)
		report_error(check->report, endpoint->network.origin, PN_NO_SUCH_NETWORK,
			     "no cluster of the Federation is in network \"%s\"%s", network.bytes,
			     suggest_network(check, network).text);
	else
		report_error(check->report, endpoint->network.origin, PN_NO_NETWORK_GATEWAY,
			     "no cluster in network \"%s\" has a gateway, so this endpoint can't be reached",
			     network.bytes);
}

static void
resolve_endpoints(struct check *check)
{
	struct model *model = check->model;
	struct networks networks = {0};

	if (model->federation != NULL)
		index_clusters(check, &networks.map, &networks.chains);
	for (struct model_workload *workload = model->workloads; workload != NULL; workload = workload->next)
		resolve_endpoint(check, &networks, &workload->endpoint);
	for (struct model_service_entry *entry = model->entries; entry != NULL; entry = entry->next) {
		for (uint32_t i = 0; i < entry->n_endpoints; i++)
			resolve_endpoint(check, &networks, entry->endpoints[i]);
	}
	name_map_free(&networks.map);
	free(networks.chains);
}

/* The endpoint's name for a port must be one of the service's. WorkloadEntries may serve several services, so theirs
 * aren't asked. */
static void
check_port_names(struct check *check, const struct model_service_entry *entry, const struct model_endpoint *endpoint)
{
	for (uint32_t i = 0; i < endpoint->n_ports; i++) {
		const struct model_mention *name = &endpoint->ports[i].name;
		const char *suggestion = NULL;
		bool found = false;
		for (uint32_t j = 0; j < entry->n_ports && !found; j++) {
			const char *const names[] = {entry->ports[j].name.bytes, NULL};
			found = name_equal(entry->ports[j].name, name->name);
			if (found || suggestion != NULL || check->suggest_budget == 0)
				continue;
			check->suggest_budget--;
			suggestion = text_closest(name->name.bytes, names);
		}
		if (found)
			continue;
		report_error(check->report, name->origin, PN_NO_SUCH_PORT_NAME,
			     "the service has no port named \"%s\"%s%s%s", name->name.bytes,
			     suggestion == NULL ? "" : "; did you mean \"", suggestion == NULL ? "" : suggestion,
			     suggestion == NULL ? "" : "\"?");
	}
}

struct address_key {
	struct ip_addr addr;
	uint16_t port;
};
enum { ADDRESS_KEY_BYTES = sizeof(struct ip_addr) + sizeof(uint16_t) };

static void
check_duplicate_endpoints(struct check *check, const struct model_service_entry *entry, const struct model_port *port)
{
	struct address_key *keys = allocate(entry->n_endpoints, sizeof(*keys));
	struct name_map seen = {0};

	for (uint32_t i = 0; i < entry->n_endpoints; i++) {
		const struct model_endpoint *endpoint = entry->endpoints[i];
		char text[IP_ENDPOINT_TEXT_MAX];
		uint32_t *first;
		if (endpoint->uncertain || !endpoint->has_address || endpoint->via != NULL)
			continue;
		keys[i] = (struct address_key){.addr = endpoint->addr, .port = model_endpoint_port(endpoint, port)};
		if (name_map_add(&seen, (const char *)&keys[i], ADDRESS_KEY_BYTES, NULL, &first)) {
			*first = i;
			continue;
		}
		const struct origin *other = &entry->endpoints[*first]->origin;
		report_error(check->report, endpoint->origin, PN_DUPLICATE_ENDPOINT,
			     "endpoint %s is in this service already, at %s:%u",
			     ip_endpoint_format(&keys[i].addr, keys[i].port, text), other->file, other->line);
	}
	name_map_free(&seen);
	free(keys);
}

/* WorkloadEntries by namespace and label: "namespace\0key\0value" to a chain. A selector looks through the shortest
 * chain of its labels only. */
struct label_entry {
	struct model_workload *workload;
	uint32_t next; /* MODEL_NONE: the last */
};

struct label_index {
	struct name_map map; /* ─▶ index in chains */
	struct label_chain {
		uint32_t first, n;
	} * chains;
	uint32_t n_chains;
	struct label_entry *entries;
	uint32_t n_entries;
};

static void
label_key(struct text *key, struct name space, const struct model_label *label)
{
	key->length = 0;
	text_add(key, space.bytes, space.length + 1);
	text_add(key, label->key.bytes, label->key.length + 1);
	text_add(key, label->value.bytes, label->value.length);
}

static void
index_labels(struct check *check, struct label_index *index)
{
	struct model *model = check->model;
	struct text key = {0};
	size_t n = 0;

	for (struct model_workload *workload = model->workloads; workload != NULL; workload = workload->next)
		n += workload->endpoint.labels.n;
	index->chains = allocate(n, sizeof(*index->chains));
	index->entries = allocate(n, sizeof(*index->entries));
	for (struct model_workload *workload = model->workloads; workload != NULL; workload = workload->next) {
		for (uint32_t i = 0; i < workload->endpoint.labels.n; i++) {
			const char **kept;
			uint32_t *chain;
			label_key(&key, workload->meta.space, &workload->endpoint.labels.list[i]);
			if (name_map_add(&index->map, key.bytes, key.length, &kept, &chain)) {
				*kept = arena_copy(&model->arena, key.bytes, key.length);
				*chain = index->n_chains++;
				index->chains[*chain].first = MODEL_NONE;
			}
			index->entries[index->n_entries] =
				(struct label_entry){.workload = workload, .next = index->chains[*chain].first};
			index->chains[*chain].first = index->n_entries++;
			index->chains[*chain].n++;
		}
	}
	text_free(&key);
}

static void
select_workloads(struct check *check, const struct label_index *index, struct model_service_entry *entry)
{
	struct label_chain shortest = {.n = UINT32_MAX};
	struct text key = {0};
	bool none = false;

	for (uint32_t i = 0; i < entry->selector.n; i++) {
		uint32_t chain;
		label_key(&key, entry->meta.space, &entry->selector.list[i]);
		if (!name_map_find(&index->map, key.bytes, key.length, &chain))
			none = true;
		else if (index->chains[chain].n < shortest.n)
			shortest = index->chains[chain];
	}
	text_free(&key);
	if (!none) {
		entry->endpoints = arena_array(&check->model->arena, shortest.n, sizeof(struct model_endpoint *));
		/* Chains run from the last to the first; fill from the end to keep the files' order. */
		uint32_t at = shortest.n;
		for (uint32_t i = shortest.first; i != MODEL_NONE; i = index->entries[i].next) {
			struct model_workload *workload = index->entries[i].workload;
			if (model_labels_match(&entry->selector, &workload->endpoint.labels))
				entry->endpoints[--at] = &workload->endpoint;
		}
		entry->endpoints += at;
		entry->n_endpoints = shortest.n - at;
	}
	if (entry->n_endpoints == 0 && !check->model->workloads_uncertain && !check->model->opaque)
		report_warning(check->report, entry->selector_origin, PN_NO_ENDPOINT,
			       "no WorkloadEntry in namespace \"%s\" has these labels", entry->meta.space.bytes);
}

static void
check_entries(struct check *check)
{
	struct model *model = check->model;
	struct label_index index = {0};

	index_labels(check, &index);
	for (struct model_service_entry *entry = model->entries; entry != NULL; entry = entry->next) {
		if (entry->has_selector)
			select_workloads(check, &index, entry);
		if (entry->n_endpoints > ENDPOINTS_MAX) {
			report_error(check->report, entry->meta.origin, PN_BAD_COUNT,
				     "a service can't have more than %d endpoints", ENDPOINTS_MAX);
			continue;
		}
		for (uint32_t i = 0; i < entry->n_endpoints && !entry->has_selector && !entry->ports_uncertain; i++)
			check_port_names(check, entry, entry->endpoints[i]);
		for (uint32_t i = 0; i < entry->n_ports && entry->n_endpoints > 1; i++) {
			size_t raised = check->report->n_raised;
			check_duplicate_endpoints(check, entry, &entry->ports[i]);
			if (check->report->n_raised != raised)
				break;
		}
	}
	name_map_free(&index.map);
	free(index.chains);
	free(index.entries);
}

void
check_services(struct check *check)
{
	sort_parts(check->model);
	make_services(check);
	assign_rules(check);
	resolve_endpoints(check);
	check_entries(check);
}
