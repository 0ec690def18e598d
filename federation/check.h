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

/* Comparisons that all suggestions of a load may take together: a misspelt host among 100,000 is worth no minute. */
enum { CHECK_SUGGEST_BUDGET = 200000 };

struct check {
	struct model *model;
	struct report *report;
	const char **host_names; /* NULL-terminated; made when first needed */
	uint32_t suggest_budget;
};

/* Services, their rules, endpoints and networks; then listeners and routes. */
void check_services(struct check *check);
void check_routes(struct check *check);
void check_free(struct check *check);

/* `; did you mean "…"?` for a host, or nothing. */
struct quoted check_suggest_host(struct check *check, struct name host);

/* The service that a host means: its own, or else the wildcard that covers it. MODEL_NONE: none. */
uint32_t check_find_service(const struct model *model, struct name host);

/* Whether a listener's hosts admit a host, or the whole of a pattern, to documents of a namespace. */
bool check_admits(const struct model_listener *listener, struct name host, struct name space);

#endif
