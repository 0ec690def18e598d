/* SPDX-License-Identifier: Apache-2.0 */
/* Where routes go: the service, port and subset that a destination means, and whether they suit who asks for them. */
#include <stdlib.h>
#include <string.h>

#include "federation/check.h"
#include "platform/text.h"

static uint32_t
find_subset(const struct model_rule *rule, struct name subset)
{
	for (uint32_t i = 0; rule != NULL && i < rule->n_subsets; i++) {
		if (name_equal(rule->subsets[i].name.name, subset))
			return i;
	}
	return MODEL_NONE;
}

static void
resolve_subset(struct check *check, struct model_destination *destination, const struct model_service *service)
{
	const struct model_rule *rule = service->rule;
	const struct model_mention *subset = &destination->subset;

	destination->subset_index = MODEL_NONE;
	if (subset->name.length == 0)
		return;
	destination->subset_index = find_subset(rule, subset->name);
	if (destination->subset_index != MODEL_NONE)
		return;
	if (check->model->opaque || check->model->rules_uncertain || (rule != NULL && rule->subsets_uncertain))
		return;
	const char *nearest = NULL;
	for (uint32_t i = 0; rule != NULL && i < rule->n_subsets && nearest == NULL && check->suggest_budget > 0; i++) {
		const char *const names[] = {rule->subsets[i].name.name.bytes, NULL};
		check->suggest_budget--;
		nearest = text_closest(subset->name.bytes, names);
	}
	report_error(check->report, subset->origin, PN_NO_SUCH_SUBSET, "%s for \"%s\"%s \"%s\"%s%s%s",
		     rule == NULL ? "there is no DestinationRule" : "the DestinationRule", service->host.bytes,
		     rule == NULL ? " to define subset" : " has no subset", subset->name.bytes,
		     nearest == NULL ? "" : "; did you mean \"", nearest == NULL ? "" : nearest,
		     nearest == NULL ? "" : "\"?");
}

static void
report_no_port(struct check *check, const struct model_destination *destination, const struct model_service *service)
{
	const struct model_service_entry *entry = service->entry;
	struct text ports = {0};

	for (uint32_t i = 0; i < entry->n_ports; i++)
		text_print(&ports, "%s%u",
			   i == 0                    ? ""
			   : i + 1 == entry->n_ports ? " and "
						     : ", ",
			   entry->ports[i].number);
	if (destination->port == 0)
		report_error(check->report, destination->port_origin, PN_NO_SUCH_PORT,
			     "\"%s\" has the ports %s; say which by port.number", service->host.bytes, ports.bytes);
	else
		report_error(check->report, destination->port_origin, PN_NO_SUCH_PORT,
			     "\"%s\" has no port %u; it has %s", service->host.bytes, destination->port,
			     ports.bytes == NULL ? "none" : ports.bytes);
	text_free(&ports);
}

static void
resolve_port(struct check *check, struct model_destination *destination, const struct model_service *service)
{
	const struct model_service_entry *entry = service->entry;

	destination->port_index = MODEL_NONE;
	for (uint32_t i = 0; i < entry->n_ports; i++) {
		if (entry->ports[i].number == destination->port || (destination->port == 0 && entry->n_ports == 1))
			destination->port_index = i;
	}
	if (destination->port_index == MODEL_NONE && !entry->ports_uncertain)
		report_no_port(check, destination, service);
}

void
check_find_destination(struct check *check, struct model_destination *destination)
{
	struct model *model = check->model;

	destination->service = MODEL_NONE;
	if (destination->uncertain)
		return;
	destination->service = check_find_service(model, destination->host.name);
	if (destination->service == MODEL_NONE) {
		if (!model->hosts_uncertain && !model->opaque)
			report_error(check->report, destination->host.origin, PN_NO_SUCH_HOST,
				     "no ServiceEntry has the host \"%s\"%s", destination->host.name.bytes,
				     check_suggest_host(check, destination->host.name).text);
		return;
	}
	const struct model_service *service = &model->services[destination->service];
	resolve_port(check, destination, service);
	resolve_subset(check, destination, service);
}

static void
check_passed_through(struct check *check, const struct model_destination *destination, const struct model_port *port,
		     const struct model_policy *policy)
{
	const struct origin *at = &destination->host.origin;
	const char *host = destination->host.name.bytes;
	enum tls_mode mode = policy->tls == NULL || policy->tls->uncertain ? TLS_MODE_DISABLE : policy->tls->mode;

	if (mode != TLS_MODE_DISABLE)
		report_error(check->report, *at, PN_NOT_BRIDGED,
			     "the client's TLS is passed through to \"%s\", and its DestinationRule would have it "
			     "wrapped in ours, %s:%u",
			     host, policy->tls->origin.file, policy->tls->origin.line);
	if (policy->has_proxy)
		report_error(check->report, *at, PN_NOT_BRIDGED,
			     "the client's TLS is passed through to \"%s\", and its DestinationRule wants a PROXY "
			     "header before it, %s:%u",
			     host, policy->proxy_origin.file, policy->proxy_origin.line);
	if (!model_port_is_tls(port) && port->protocol != PROTOCOL_TCP)
		report_warning(check->report, destination->port_origin, PN_PLAINTEXT_PORT,
			       "port %u of \"%s\" is of a plaintext protocol, and what is passed through is TLS",
			       port->number, host);
}

static void
check_bridged(struct check *check, const struct model_destination *destination, const struct model_port *port,
	      const struct model_policy *policy, enum listener_mode mode)
{
	const struct model_service_entry *entry = check->model->services[destination->service].entry;

	if (policy->tls != NULL && policy->tls->uncertain)
		return;
	if (model_tls_mode(policy, entry, port) == TLS_MODE_ISTIO_MUTUAL)
		check_needs_identity(check, destination->host.origin, destination->host.name.bytes);
	/* What we have decrypted must not leave in the clear because a line is missing. */
	if (mode == LISTENER_TERMINATE && policy->tls == NULL && entry->external && model_port_is_tls(port))
		report_error(check->report, destination->port_origin, PN_TLS_UNSAID,
			     "port %u of \"%s\" is of TLS, which we have ended, and no DestinationRule says by "
			     "trafficPolicy.tls how to begin it again",
			     port->number, destination->host.name.bytes);
}

void
check_destinations(struct check *check, struct model_route *route, enum listener_mode mode)
{
	if (route->seen_by_mode[mode])
		return;
	route->seen_by_mode[mode] = true;
	for (uint32_t i = 0; i < route->n_destinations; i++) {
		const struct model_destination *destination = &route->destinations[i];
		if (destination->service == MODEL_NONE || destination->port_index == MODEL_NONE)
			continue;
		const struct model_service *service = &check->model->services[destination->service];
		const struct model_port *port = &service->entry->ports[destination->port_index];
		const struct model_subset *subset = destination->subset_index == MODEL_NONE
							    ? NULL
							    : &service->rule->subsets[destination->subset_index];
		struct model_policy policy = model_policy_for(service->rule, subset, port->number);
		if (mode == LISTENER_PASSTHROUGH)
			check_passed_through(check, destination, port, &policy);
		else
			check_bridged(check, destination, port, &policy, mode);
	}
}
