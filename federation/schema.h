/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a document's tree by tables.
 *
 * An object's schema lists the fields that are read, with their shape, and the names of those that the kind has but the
 * gateway doesn't support yet. schema_read reports all that doesn't fit, and hands out the values that do. A
 * value that isn't handed out is absent, null, or wrong and already reported: readers ask no further.
 */
#ifndef POSTERN_FEDERATION_SCHEMA_H
#define POSTERN_FEDERATION_SCHEMA_H

#include "federation/model.h"
#include "federation/yaml_tree.h"

enum { SCHEMA_FIELDS_MAX = 12 };

enum schema_shape { SHAPE_TEXT, SHAPE_NUMBER, SHAPE_LIST, SHAPE_MAPPING };

struct schema_field {
	const char *name;
	enum schema_shape shape;
	bool required;
};

struct schema {
	const char *what; /* "Gateway spec.servers[].port", for messages */
	const struct schema_field *fields;
	unsigned n_fields;              /* at most SCHEMA_FIELDS_MAX */
	const char *const *unsupported; /* NULL-terminated; NULL: none. "!name": never will be, for it makes unsafe */
};

struct reader {
	struct model *model;
	struct report *report;
	const char *file;
};

static inline struct origin
reader_origin(const struct reader *reader, const struct yaml_node *node)
{
	return yaml_node_origin(node, reader->file);
}

/* values: one for each field. False when anything at this level was wrong. A node that isn't a mapping is. */
bool schema_read(struct reader *reader, const struct yaml_node *node, const struct schema *schema,
		 const struct yaml_node **values);

/* Whether a value is none: empty, "~" or "null". */
bool schema_is_null(const struct yaml_node *node);

/* Whether a value by itself, such as an element of a list, has a shape; reported otherwise. what: "hosts[]". */
bool schema_shape(struct reader *reader, const struct yaml_node *node, enum schema_shape shape, const char *what);

/* "Gatewy" in names (NULL-terminated)? Gives `; did you mean "Gateway"?` for the end of a message, or nothing. */
struct suggestion {
	char text[96];
};
struct suggestion schema_suggest(const struct reader *reader, const char *word, const char *const *names);

/* Names of a kind, each with a check of syntax.h. False, and reported with code, when it isn't right; *name is then
 * empty. */
typedef const char *syntax_check(const char *text, size_t length);
bool schema_name(struct reader *reader, const struct yaml_node *node, syntax_check *check, enum federation_code code,
		 const char *what, struct name *name);

/* A host, or a pattern where wildcards may be; kept lower-case. */
bool schema_host(struct reader *reader, const struct yaml_node *node, bool wildcards, struct name *host);

/* A whole number from least to most. */
bool schema_number(struct reader *reader, const struct yaml_node *node, int64_t least, int64_t most,
		   enum federation_code code, const char *what, int64_t *number);
bool schema_port(struct reader *reader, const struct yaml_node *node, uint16_t *port);

/* An address that a host may have: not malformed, not a martian. */
bool schema_address(struct reader *reader, const struct yaml_node *node, struct ip_addr *address);

/* The path of a file or folder, ready to be opened; what: "path of an anchor". */
bool schema_path(struct reader *reader, const struct yaml_node *node, const char *what, struct name *path);
/* Each of a list. False, and *n is less than the list's length, when one was wrong. In the snapshot's arena. */
bool schema_paths(struct reader *reader, const struct yaml_node *list, const char *what, const struct name **paths,
		  uint32_t *n);

/* A duration in milliseconds. */
bool schema_duration(struct reader *reader, const struct yaml_node *node, const char *what, uint32_t *milliseconds);

/* A list of subjectAltNames, of these kinds: DNS names, kept lower-case, and SPIFFE IDs. In the snapshot's arena. */
enum { NAMES_DNS = 1, NAMES_SPIFFE = 2 };
bool schema_expected_names(struct reader *reader, const struct yaml_node *list, unsigned kinds,
			   const struct expected_name **names, uint32_t *n);

/* A mapping of label names to values. False when any was wrong; the right ones are in *labels all the same. */
bool schema_labels(struct reader *reader, const struct yaml_node *node, struct model_labels *labels);

/* The choice whose name is the text, else reported; choices after the first n_supported are named as not supported yet.
 */
bool schema_choice(struct reader *reader, const struct yaml_node *node, const char *const *choices,
		   unsigned n_supported, const char *what, unsigned *choice);

#endif
