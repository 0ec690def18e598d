/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What documents say of each other: resolved into the model, or reported.
 *
 * Everything is found by maps: a federation of 100,000 services is checked in time that grows with its size, not its
 * square. What is reported missing is only what couldn't be in a part that was unreadable (the `uncertain` flags of
 * model.h).
 */
#ifndef POSTERN_FEDERATION_CHECK_H
#define POSTERN_FEDERATION_CHECK_H

#include "federation/diagnostics.h"
#include "federation/model.h"

/* Hosts of listeners that wildcards of tcp routes may be compared with, all together: seconds, not hours. */
enum { CHECK_HOSTS_BUDGET = 50 * 1000 * 1000 };

/* Comparisons that all suggestions of a load may take together: a misspelt host among 100,000 is worth no minute. */
enum { CHECK_SUGGEST_BUDGET = 200000 };

struct check {
	struct model *model;
	struct report *report;
	const char **host_names; /* NULL-terminated; made when first needed */
	uint32_t suggest_budget, hosts_budget;
};

/* In this order: services, their rules, endpoints and networks; trust domains, PKIs, credentials and identity maps;
 * listeners; routes. */
void check_services(struct check *check);
void check_trust(struct check *check);
void check_listeners(struct check *check);
void check_routes(struct check *check);
void check_free(struct check *check);

/* Makes room for one more of list's n items. */
void *check_grow(void *list, uint32_t n, uint32_t *capacity, size_t size);

/* `; did you mean "…"?` for a host, or nothing. */
struct quoted check_suggest_host(struct check *check, struct name host);

/* The service that a host means: its own, or else the wildcard that covers it. MODEL_NONE: none. */
uint32_t check_find_service(const struct model *model, struct name host);

/* Reports, at a mention, that ISTIO_MUTUAL is wanted and we are nobody. */
void check_needs_identity(struct check *check, struct origin at, const char *what);

/* Resolves a destination, or reports that it is nothing. */
void check_find_destination(struct check *check, struct model_destination *destination);
/* Whether a route's destinations, once resolved, suit listeners of a mode; asked once for each mode. */
void check_destinations(struct check *check, struct model_route *route, enum listener_mode mode);

/* Whether a listener's hosts admit a host, or the whole of a pattern, to documents of a namespace. */
bool check_admits(const struct model_listener *listener, struct name host, struct name space);

#endif
