/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libyaml hands over a stream of events; a stack of open containers turns it into a tree. A finished node goes to the
 * container on top: into a sequence as it is, into a mapping first as a key and then, with that key, as a value.
 */
#include "federation/yaml_tree.h"

#include <assert.h>
#include <string.h>
#include <yaml.h>

enum { FEW_KEYS = 16 }; /* up to here, comparing each with each is cheaper than a map */

struct frame {
	struct yaml_node *container, *last;
	struct yaml_node *key; /* of the value to come */
};

struct builder {
	struct arena *arena;
	struct report *report;
	const char *file;
	uint32_t first_line, end_line;
	uint32_t n_nodes;
	unsigned depth;
	struct frame stack[YAML_TREE_DEPTH_MAX];
	struct yaml_node *root;
};

static struct origin
at_mark(const struct builder *builder, const yaml_mark_t *mark)
{
	return (struct origin){.file = builder->file,
			       .line = builder->first_line + (uint32_t)mark->line,
			       .column = (uint32_t)mark->column + 1};
}

/* The code point at bytes, and how many bytes it takes; 0 when it isn't UTF-8 (RFC 3629). */
static size_t
decode_utf8(const unsigned char *bytes, size_t left, uint32_t *point)
{
	static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char lead = bytes[0];
	size_t n = lead < 0x80                   ? 1
		   : lead >= 0xc2 && lead < 0xe0 ? 2
		   : (lead & 0xf0) == 0xe0       ? 3
		   : (lead & 0xf8) == 0xf0       ? 4
						 : 0;

	if (n == 0 || n > left)
		return 0;
	*point = n == 1 ? lead : lead & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (bytes[i] & 0x3f);
	}
	return *point < smallest[n] || *point > 0x10ffff || (*point >= 0xd800 && *point < 0xe000) ? 0 : n;
}

/* What YAML 1.1 section 5.1 calls printable, and the byte order mark. */
static bool
is_printable(uint32_t point)
{
	return point == '\t' || point == '\n' || point == '\r' || (point >= 0x20 && point < 0x7f) || point == 0x85 ||
	       (point >= 0xa0 && point < 0xfffe) || point >= 0x10000;
}

/* libyaml decodes ahead of what it parses; looking first puts this error where it belongs and before no other. */
static bool
check_text(struct builder *builder, const struct source_document *document)
{
	const unsigned char *bytes = (const unsigned char *)document->bytes;
	struct origin at = {.file = builder->file, .line = document->first_line, .column = 1};
	size_t next_line = source_next_line(document->bytes, document->length, 0);

	for (size_t i = 0; i < document->length;) {
		uint32_t point;
		size_t n = decode_utf8(bytes + i, document->length - i, &point);
		if (n == 0) {
			report_error(builder->report, at, PN_NOT_TEXT, "byte 0x%02x is not UTF-8 text", bytes[i]);
			return false;
		}
		if (!is_printable(point)) {
			report_error(builder->report, at, PN_NOT_TEXT, "the control character U+%04X is not allowed",
				     point);
			return false;
		}
		i += n;
		at.column++;
		if (i >= next_line) {
			at.line++;
			at.column = 1;
			next_line = source_next_line(document->bytes, document->length, i);
		}
	}
	return true;
}

static struct yaml_node *
new_node(struct builder *builder, enum yaml_tree_kind kind, const yaml_event_t *event)
{
	struct yaml_node *node = arena_alloc(builder->arena, sizeof(*node));
	struct origin at = at_mark(builder, &event->start_mark);
	node->kind = kind;
	node->line = at.line;
	node->column = at.column;
	return node;
}

static void
add_pair(struct builder *builder, struct frame *frame, struct yaml_node *value)
{
	struct yaml_node *key = frame->key;
	frame->key = NULL;
	if (key->kind == TREE_BROKEN)
		return;
	if (key->kind != TREE_SCALAR) {
		report_error(builder->report, yaml_node_origin(key, builder->file), PN_KEY_NOT_TEXT,
			     "a key must be plain text, not a list or a mapping");
		return;
	}
	if (key->plain && strcmp(key->text, "<<") == 0) {
		report_error(builder->report, yaml_node_origin(key, builder->file), PN_ALIAS,
			     "merge keys are not supported; write the fields out");
		return;
	}
	value->key = key;
	if (frame->last == NULL)
		frame->container->first = value;
	else
		frame->last->next = value;
	frame->last = value;
	frame->container->length++;
}

static void
add_node(struct builder *builder, struct yaml_node *node)
{
	if (builder->depth == 0) {
		builder->root = node;
		return;
	}
	struct frame *frame = &builder->stack[builder->depth - 1];
	assert(frame->container != NULL);
	if (frame->container->kind == TREE_MAPPING) {
		if (frame->key == NULL)
			frame->key = node;
		else
			add_pair(builder, frame, node);
		return;
	}
	if (frame->last == NULL)
		frame->container->first = node;
	else
		frame->last->next = node;
	frame->last = node;
	frame->container->length++;
}

static void
report_duplicate(struct builder *builder, const struct yaml_node *key, uint32_t first_line)
{
	report_error(builder->report, yaml_node_origin(key, builder->file), PN_DUPLICATE_KEY,
		     "duplicate key \"%s\"; the first is on line %u", quote(key->text, key->length).text, first_line);
}

/* Drops all but the first of equal keys, so that only this error is given for them. */
static void
check_keys(struct builder *builder, struct yaml_node *mapping)
{
	struct name_map seen = {0};
	assert(mapping != NULL);
	struct yaml_node **link = &mapping->first;
	bool few = mapping->length <= FEW_KEYS;

	while (*link != NULL) {
		const struct yaml_node *key = (*link)->key;
		uint32_t first_line = 0;
		if (few) {
			for (const struct yaml_node *other = mapping->first; other != *link; other = other->next) {
				if (other->key->length == key->length &&
				    memcmp(other->key->text, key->text, key->length) == 0)
					first_line = other->key->line;
			}
		} else {
			uint32_t *line;
			if (name_map_add(&seen, key->text, key->length, NULL, &line))
				*line = key->line;
			else
				first_line = *line;
		}
		if (first_line == 0) {
			link = &(*link)->next;
			continue;
		}
		report_duplicate(builder, key, first_line);
		*link = (*link)->next;
		mapping->length--;
	}
	name_map_free(&seen);
}

static void
check_properties(struct builder *builder, const yaml_event_t *event, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor != NULL)
		report_error(builder->report, at_mark(builder, &event->start_mark), PN_ALIAS,
			     "anchors and aliases are not supported; write the value out where it is needed");
	if (tag != NULL)
		report_error(builder->report, at_mark(builder, &event->start_mark), PN_TAG,
			     "explicit tags are not supported; quote a value to make it text");
}

static bool
open_container(struct builder *builder, enum yaml_tree_kind kind, const yaml_event_t *event)
{
	if (builder->depth == YAML_TREE_DEPTH_MAX) {
		report_error(builder->report, at_mark(builder, &event->start_mark), PN_TOO_DEEP,
			     "nested deeper than %d levels", YAML_TREE_DEPTH_MAX);
		return false;
	}
	builder->stack[builder->depth++] = (struct frame){.container = new_node(builder, kind, event)};
	return true;
}

static void
add_scalar(struct builder *builder, const yaml_event_t *event)
{
	struct yaml_node *node = new_node(builder, TREE_SCALAR, event);
	const char *text = (const char *)event->data.scalar.value;
	size_t length = event->data.scalar.length;

	if (memchr(text, '\0', length) != NULL) {
		report_error(builder->report, yaml_node_origin(node, builder->file), PN_NOT_TEXT,
			     "text must not contain a NUL");
		node->kind = TREE_BROKEN;
	}
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && event->data.scalar.tag == NULL;
	node->text = arena_copy(builder->arena, text, length);
	node->length = (uint32_t)length;
	add_node(builder, node);
}

/* False when the document can't be read further, which is then reported. */
static bool
take_event(struct builder *builder, const yaml_event_t *event)
{
	if (++builder->n_nodes > YAML_TREE_NODES_MAX) {
		report_error(builder->report, at_mark(builder, &event->start_mark), PN_TOO_MANY_NODES,
			     "more than %d values in one document; split it", YAML_TREE_NODES_MAX);
		return false;
	}
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		check_properties(builder, event, event->data.scalar.anchor, event->data.scalar.tag);
		add_scalar(builder, event);
		return true;
	case YAML_ALIAS_EVENT:
		check_properties(builder, event, event->data.alias.anchor, NULL);
		add_node(builder, new_node(builder, TREE_BROKEN, event));
		return true;
	case YAML_SEQUENCE_START_EVENT:
		check_properties(builder, event, event->data.sequence_start.anchor, event->data.sequence_start.tag);
		return open_container(builder, TREE_SEQUENCE, event);
	case YAML_MAPPING_START_EVENT:
		check_properties(builder, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
		return open_container(builder, TREE_MAPPING, event);
	case YAML_MAPPING_END_EVENT:
		check_keys(builder, builder->stack[builder->depth - 1].container);
		add_node(builder, builder->stack[--builder->depth].container);
		return true;
	case YAML_SEQUENCE_END_EVENT:
		builder->depth--;
		add_node(builder, builder->stack[builder->depth].container);
		return true;
	default:
		return true;
	}
}

static bool
is_tab(const struct builder *builder, struct origin at)
{
	for (size_t i = 0; i < builder->report->n_sources; i++) {
		if (builder->report->sources[i].name != builder->file)
			continue;
		size_t length;
		const char *line = source_line(&builder->report->sources[i], at.line, &length);
		return line != NULL && at.column <= length && line[at.column - 1] == '\t';
	}
	return false;
}

static void
report_syntax(const struct builder *builder, const yaml_parser_t *parser)
{
	struct origin at = at_mark(builder, &parser->problem_mark);
	const char *problem = parser->problem == NULL ? "not YAML" : parser->problem;

	/* A quote or bracket that is never closed: where it begins says more than where the document ends. */
	if (parser->context != NULL && at.line >= builder->end_line) {
		report_error(builder->report, at_mark(builder, &parser->context_mark), PN_YAML_SYNTAX,
			     "%s before the document's end, %s that begins here", problem, parser->context);
	} else if (strstr(problem, "<document start>") != NULL) {
		report_error(builder->report, at, PN_YAML_SYNTAX,
			     "the document has ended before this; another begins with \"---\"");
	} else if (is_tab(builder, at)) {
		report_error(builder->report, at, PN_YAML_SYNTAX, "a tab can't indent YAML; use spaces");
	} else if (parser->context != NULL) {
		struct origin begin = at_mark(builder, &parser->context_mark);
		report_error(builder->report, at, PN_YAML_SYNTAX, "%s, %s that began on line %u, column %u", problem,
			     parser->context, begin.line, begin.column);
	} else {
		report_error(builder->report, at, PN_YAML_SYNTAX, "%s", problem);
	}
}

/* False at the first thing that ends the document early. */
static bool
take_events(struct builder *builder, yaml_parser_t *parser)
{
	for (;;) {
		yaml_event_t event;
		if (yaml_parser_parse(parser, &event) == 0) {
			report_syntax(builder, parser);
			return false;
		}
		bool last = event.type == YAML_STREAM_END_EVENT;
		bool taken = take_event(builder, &event);
		yaml_event_delete(&event);
		if (!taken || last)
			return taken;
	}
}

const struct yaml_node *
yaml_tree_parse(struct arena *arena, const struct source_document *document, const char *file, struct report *report,
		bool *empty)
{
	struct builder builder = {.arena = arena,
				  .report = report,
				  .file = file,
				  .first_line = document->first_line,
				  .end_line = document->end_line};
	yaml_parser_t parser;

	*empty = false;
	if (!check_text(&builder, document))
		return NULL;
	if (yaml_parser_initialize(&parser) == 0)
		abort();
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)document->bytes, document->length);
	if (!take_events(&builder, &parser))
		builder.root = NULL;
	else if (builder.root == NULL ||
		 (builder.root->kind == TREE_SCALAR && builder.root->plain && builder.root->length == 0))
		*empty = true;
	yaml_parser_delete(&parser);
	return *empty ? NULL : builder.root;
}
