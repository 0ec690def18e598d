/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One YAML document as a tree of nodes that know where they stand, made from libyaml's events.
 *
 * What makes a configuration file mean something else than it seems to is refused here: duplicate keys, anchors,
 * aliases, merge keys, tags. So is what makes a small file large: depth and number of nodes are bounded.
 */
#ifndef POSTERN_FEDERATION_YAML_TREE_H
#define POSTERN_FEDERATION_YAML_TREE_H

#include "federation/arena.h"
#include "federation/diagnostics.h"

enum { YAML_TREE_DEPTH_MAX = 32, YAML_TREE_NODES_MAX = 1 << 20 };

enum yaml_tree_kind {
	TREE_SCALAR,
	TREE_SEQUENCE,
	TREE_MAPPING,
	TREE_BROKEN /* already reported; readers pass it over in silence */
};

struct yaml_node {
	enum yaml_tree_kind kind;
	bool plain;                  /* a scalar without quotes */
	uint32_t line, column;       /* in the file, from 1; column in characters */
	uint32_t length;             /* a scalar's bytes, without NUL; a sequence's or mapping's children */
	const char *text;            /* a scalar's, with a NUL after it and none in it */
	const struct yaml_node *key; /* of a mapping's child */
	struct yaml_node *first, *next;
};

/* Reads a document into arena. NULL when it isn't YAML, which is then reported, or when it is empty (*empty). Errors
 * that leave the tree readable are reported too. file: as origins name it. */
const struct yaml_node *yaml_tree_parse(struct arena *arena, const struct source_document *document, const char *file,
					struct report *report, bool *empty);

static inline struct origin
yaml_node_origin(const struct yaml_node *node, const char *file)
{
	return (struct origin){.file = file, .line = node->line, .column = node->column};
}

#endif
