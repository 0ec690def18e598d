/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the control socket, as seen by the server: each takes arguments and returns an answer, which makes itself
 * in pieces (control.h says why).
 */
#ifndef POSTERN_GATEWAY_CONTROL_ANSWER_H
#define POSTERN_GATEWAY_CONTROL_ANSWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/box.h"
#include "gateway/control.h"
#include "gateway/control_rates.h"
#include "platform/metrics.h"
#include "platform/text.h"

enum {
	CONTROL_PIECE = 65536, /* bytes that a piece aims at */
	CONTROL_STEPS = 4096,  /* records that a piece looks at */
	CONTROL_LIMIT = 1000   /* records of a list when the client names no limit */
};

/* What commands work on. */
struct control_context {
	const struct box *box;
	const struct metrics *metrics;
	struct control_callbacks callbacks;
	struct control_rates rates;
};

struct control_answer {
	/* Adds the next piece to out; it may be empty. False: that was the last one. */
	bool (*more)(struct control_answer *answer, struct text *out);
	void (*end)(struct control_answer *answer); /* frees it, at any time */
};

/* Carries a command out. NULL: it wasn't, and error says why. arguments is an object. */
typedef struct control_answer *control_begin(struct control_context *context, const json_t *arguments,
					     struct text *error);

struct control_command {
	const char *name;
	const char *const *arguments; /* that it knows; ends with NULL */
	control_begin *begin;
};

/* control_status.c */
control_begin control_status, control_drops, control_metrics, control_reload, control_drain, control_upgrade;
/* control_bridging.c: status's part about TLS that ends here; null while nothing was bridged yet. */
json_t *control_bridging_json(const struct box *box);
/* control_lists.c */
control_begin control_listeners, control_services, control_endpoints;
/* control_flows.c */
control_begin control_flows;
/* control_explain.c */
control_begin control_explain;

/* The command of a request line (without the line feed, length bytes), carried out. NULL, and error, when it isn't. */
struct control_answer *control_request(struct control_context *context, const char *line, size_t length,
				       struct text *error);

/* Adds {"error":"…"} and a line feed. */
void control_error(const struct text *error, struct text *out);

/* An answer that is document, which it takes. */
struct control_answer *control_document(json_t *document);

/*
 * A list of records, to be the first member of a command's own struct. The command sets step and end; control_list_init
 * sets the rest.
 */
struct control_list {
	struct control_answer answer;
	/* Looks at the next thing there is: false at the end; true and *record, or *record = NULL when it isn't shown.
	 */
	bool (*step)(struct control_list *list, json_t **record);
	const struct control_context *context;
	const char *name;
	uint64_t generation; /* of the snapshot at the beginning, which the list walks over; 0: none */
	uint64_t limit;      /* records; 0: all */
	uint64_t shown;
	bool begun;
};

/* of_snapshot: step reads the snapshot, so the list ends when another one is in force. */
void control_list_init(struct control_list *list, const struct control_context *context, const char *name,
		       uint64_t limit, bool of_snapshot);

/* Arguments. Each leaves *value alone when there is none of that name, and returns false, with error, when it has
 * another type or can't be read. Texts belong to arguments. */
bool control_argument_text(const json_t *arguments, const char *name, const char **value, struct text *error);
bool control_argument_u64(const json_t *arguments, const char *name, uint64_t *value, struct text *error);
bool control_argument_bool(const json_t *arguments, const char *name, bool *value, struct text *error);
/* "192.0.2.1" or "192.0.2.0/24"; an address alone is a prefix of full length. */
bool control_argument_prefix(const json_t *arguments, const char *name, struct ip_prefix *value, struct text *error);

/* Values of records. */
json_t *control_json_name(struct name name); /* null when empty */
json_t *control_json_text(const char *text); /* null when empty */
json_t *control_json_u64(uint64_t value);
json_t *control_json_addr(const struct ip_addr *addr);
json_t *control_json_endpoint(const struct ip_addr *addr, uint16_t port); /* host order */
json_t *control_json_time(uint64_t wall_ms);                              /* "2026-01-02T03:04:05.678Z" */
/* Adds active, opened, closed, failed, sent, received of a live slot to record. */
void control_json_counters(json_t *record, const struct live *live, uint32_t slot);

#endif
