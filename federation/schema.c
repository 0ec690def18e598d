/* SPDX-License-Identifier: Apache-2.0 */
#include "federation/schema.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "federation/syntax.h"
#include "platform/text.h"

/* What a plain scalar is to the YAML that Kubernetes reads: text unless it looks like something else. */
enum scalar { SCALAR_TEXT, SCALAR_NUMBER, SCALAR_BOOLEAN, SCALAR_NULL };

enum { LONGEST_WORD = 5 }; /* of those that mean a boolean or null: "false" */

static bool
is_one_of(const char *text, const char *const *names)
{
	for (; *names != NULL; names++) {
		if (strcmp(text, *names) == 0)
			return true;
	}
	return false;
}

static bool
looks_like_number(const char *text)
{
	static const char *const specials[] = {".inf", ".Inf", ".INF", "+.inf", "-.inf", ".nan", ".NaN", ".NAN", NULL};
	const char *end = text + strspn(text, "+-");
	size_t sign = (size_t)(end - text);
	bool digits = false;

	if (is_one_of(text, specials))
		return true;
	if (sign > 1)
		return false;
	if (end[0] == '0' && (end[1] == 'x' || end[1] == 'o' || end[1] == 'b'))
		return end[2] != '\0' && strspn(end + 2, "0123456789abcdefABCDEF_") == strlen(end + 2);
	for (; (*end >= '0' && *end <= '9') || *end == '_' || *end == '.'; end++)
		digits = digits || (*end >= '0' && *end <= '9');
	if (!digits || (text[sign] == '_' || strchr(text, '.') != strrchr(text, '.')))
		return false;
	if (*end == 'e' || *end == 'E') {
		end++;
		end += *end == '+' || *end == '-';
		if (*end == '\0')
			return false;
		end += strspn(end, "0123456789");
	}
	return *end == '\0';
}

static enum scalar
scalar_of(const struct yaml_node *node)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const booleans[] = {"true", "True", "TRUE", "false", "False", "FALSE", "yes",
					       "Yes",  "YES",  "no",   "No",    "NO",    "on",    "On",
					       "ON",   "off",  "Off",  "OFF",   NULL};

	if (!node->plain)
		return SCALAR_TEXT;
	if (node->length <= LONGEST_WORD && is_one_of(node->text, nulls))
		return SCALAR_NULL;
	if (node->length <= LONGEST_WORD && is_one_of(node->text, booleans))
		return SCALAR_BOOLEAN;
	return looks_like_number(node->text) ? SCALAR_NUMBER : SCALAR_TEXT;
}

bool
schema_is_null(const struct yaml_node *node)
{
	return node->kind == TREE_SCALAR && scalar_of(node) == SCALAR_NULL;
}

static const char *
describe(const struct yaml_node *node)
{
	static const char *const scalars[] = {[SCALAR_TEXT] = "text",
					      [SCALAR_NUMBER] = "a number",
					      [SCALAR_BOOLEAN] = "a boolean",
					      [SCALAR_NULL] = "nothing"};

	switch (node->kind) {
	case TREE_SEQUENCE:
		return "a list";
	case TREE_MAPPING:
		return "a mapping";
	default:
		return scalars[scalar_of(node)];
	}
}

static bool
has_shape(const struct yaml_node *node, enum schema_shape shape)
{
	switch (shape) {
	case SHAPE_LIST:
		return node->kind == TREE_SEQUENCE;
	case SHAPE_MAPPING:
		return node->kind == TREE_MAPPING;
	case SHAPE_NUMBER:
		return node->kind == TREE_SCALAR && scalar_of(node) == SCALAR_NUMBER;
	default:
		return node->kind == TREE_SCALAR && scalar_of(node) == SCALAR_TEXT;
	}
}

bool
schema_shape(struct reader *reader, const struct yaml_node *node, enum schema_shape shape, const char *what)
{
	static const char *const expected[] = {[SHAPE_TEXT] = "text",
					       [SHAPE_NUMBER] = "a whole number",
					       [SHAPE_LIST] = "a list",
					       [SHAPE_MAPPING] = "a mapping"};
	const char *advice = "";

	if (node->kind == TREE_BROKEN)
		return false;
	if (has_shape(node, shape))
		return true;
	if (shape == SHAPE_TEXT && node->kind == TREE_SCALAR && scalar_of(node) != SCALAR_NULL)
		advice = "; put it in quotes";
	else if (shape == SHAPE_NUMBER && node->kind == TREE_SCALAR && !node->plain &&
		 node->text[strspn(node->text, "0123456789")] == '\0')
		advice = "; take the quotes away";
	else if (shape == SHAPE_LIST && node->kind == TREE_SCALAR && scalar_of(node) == SCALAR_TEXT)
		advice = "; put it in brackets";
	report_error(reader->report, reader_origin(reader, node), PN_WRONG_TYPE, "%s must be %s, not %s%s", what,
		     expected[shape], describe(node), advice);
	return false;
}

struct suggestion
schema_suggest(const struct reader *reader, const char *word, const char *const *names)
{
	struct suggestion suggestion = {""};

	/* Nobody will see it. */
	if (reader->report->errors_cut)
		return suggestion;
	const char *closest = text_closest(word, names);
	if (closest != NULL)
		snprintf(suggestion.text, sizeof(suggestion.text), "; did you mean \"%s\"?", closest);
	return suggestion;
}

/* A misspelt field counts as present: one error is enough. */
static void
report_unknown_field(struct reader *reader, const struct yaml_node *key, const struct schema *schema, bool *present)
{
	const char *names[SCHEMA_FIELDS_MAX + 1] = {NULL};

	if (schema->unsupported != NULL && is_one_of(key->text, schema->unsupported)) {
		report_error(reader->report, reader_origin(reader, key), PN_UNSUPPORTED_FIELD,
			     "field \"%s\" of %s is not supported yet", key->text, schema->what);
		return;
	}
	for (const char *const *name = schema->unsupported; name != NULL && *name != NULL; name++) {
		if ((*name)[0] != '!' || strcmp(*name + 1, key->text) != 0)
			continue;
		report_error(reader->report, reader_origin(reader, key), PN_REFUSED_FIELD,
			     "field \"%s\" of %s is refused: it would switch off what protects the connection",
			     key->text, schema->what);
		return;
	}
	for (unsigned i = 0; i < schema->n_fields; i++)
		names[i] = schema->fields[i].name;
	report_error(reader->report, reader_origin(reader, key), PN_UNKNOWN_FIELD, "unknown field \"%s\" in %s%s",
		     quote(key->text, key->length).text, schema->what, schema_suggest(reader, key->text, names).text);
	const char *meant = text_closest(key->text, names);
	for (unsigned i = 0; i < schema->n_fields; i++)
		present[i] = present[i] || meant == schema->fields[i].name;
}

static bool
take_field(struct reader *reader, const struct yaml_node *value, const struct schema *schema,
	   const struct yaml_node **values, bool *present)
{
	char what[160];

	for (unsigned i = 0; i < schema->n_fields; i++) {
		const struct schema_field *field = &schema->fields[i];
		if (strcmp(field->name, value->key->text) != 0)
			continue;
		present[i] = true;
		snprintf(what, sizeof(what), "field \"%s\" of %s", field->name, schema->what);
		/* An empty value is none, as in Kubernetes. */
		if (schema_is_null(value) && field->required)
			report_error(reader->report, reader_origin(reader, value->key), PN_MISSING_FIELD,
				     "%s is required, and has no value", what);
		if (schema_is_null(value))
			return !field->required;
		if (!schema_shape(reader, value, field->shape, what))
			return false;
		values[i] = value;
		return true;
	}
	report_unknown_field(reader, value->key, schema, present);
	return false;
}

bool
schema_read(struct reader *reader, const struct yaml_node *node, const struct schema *schema,
	    const struct yaml_node **values)
{
	bool present[SCHEMA_FIELDS_MAX] = {false};
	bool right = true;

	for (unsigned i = 0; i < schema->n_fields; i++)
		values[i] = NULL;
	if (!schema_shape(reader, node, SHAPE_MAPPING, schema->what))
		return false;
	for (const struct yaml_node *value = node->first; value != NULL; value = value->next)
		right = take_field(reader, value, schema, values, present) && right;
	for (unsigned i = 0; i < schema->n_fields; i++) {
		if (!schema->fields[i].required || present[i])
			continue;
		report_error(reader->report, reader_origin(reader, node), PN_MISSING_FIELD,
			     "%s lacks the required field \"%s\"", schema->what, schema->fields[i].name);
		right = false;
	}
	return right;
}

bool
schema_name(struct reader *reader, const struct yaml_node *node, syntax_check *check, enum federation_code code,
	    const char *what, struct name *name)
{
	*name = (struct name){0};
	if (!schema_shape(reader, node, SHAPE_TEXT, what))
		return false;
	const char *wrong = check(node->text, node->length);
	if (wrong != NULL) {
		report_error(reader->report, reader_origin(reader, node), code, "%s \"%s\" %s", what,
			     quote(node->text, node->length).text, wrong);
		return false;
	}
	*name = text_pool_add(&reader->model->names, node->text, node->length);
	return true;
}

bool
schema_host(struct reader *reader, const struct yaml_node *node, bool wildcards, struct name *host)
{
	bool wildcard = false;

	*host = (struct name){0};
	if (!schema_shape(reader, node, SHAPE_TEXT, "a host"))
		return false;
	const char *wrong = syntax_host_pattern(node->text, node->length, &wildcard);
	if (wrong != NULL) {
		report_error(reader->report, reader_origin(reader, node), wildcard ? PN_BAD_WILDCARD : PN_BAD_HOST,
			     "host \"%s\" %s%s", quote(node->text, node->length).text, wrong,
			     wildcard ? "; a wildcard is \"*\" or \"*.\" and a host name" : "");
		return false;
	}
	if (node->text[0] == '*' && !wildcards) {
		report_error(reader->report, reader_origin(reader, node), PN_BAD_WILDCARD,
			     "host \"%s\" must not be a wildcard here", quote(node->text, node->length).text);
		return false;
	}
	*host = text_pool_add_lower(&reader->model->names, node->text, node->length);
	return true;
}

bool
schema_number(struct reader *reader, const struct yaml_node *node, int64_t least, int64_t most,
	      enum federation_code code, const char *what, int64_t *number)
{
	const char *digits = node->text;

	if (!schema_shape(reader, node, SHAPE_NUMBER, what))
		return false;
	digits += *digits == '-';
	size_t n = strspn(digits, "0123456789");
	if (digits[n] != '\0' || (n > 1 && digits[0] == '0')) {
		report_error(reader->report, reader_origin(reader, node), PN_WRONG_TYPE,
			     "%s must be a whole number in decimal, not %s", what,
			     quote(node->text, node->length).text);
		return false;
	}
	/* Eighteen digits can't overflow, and more can't be in range. */
	int64_t value = n > 18 ? INT64_MAX : strtoll(node->text, NULL, 10);
	if (value < least || value > most) {
		report_error(reader->report, reader_origin(reader, node), code, "%s %s is not from %lld to %lld", what,
			     quote(node->text, node->length).text, (long long)least, (long long)most);
		return false;
	}
	*number = value;
	return true;
}

bool
schema_port(struct reader *reader, const struct yaml_node *node, uint16_t *port)
{
	int64_t number;
	if (!schema_number(reader, node, 1, UINT16_MAX, PN_BAD_PORT, "port", &number))
		return false;
	*port = (uint16_t)number;
	return true;
}

bool
schema_address(struct reader *reader, const struct yaml_node *node, struct ip_addr *address)
{
	if (!ip_addr_parse(node->text, address)) {
		report_error(reader->report, reader_origin(reader, node), PN_BAD_ADDRESS,
			     "\"%s\" is not an IPv4 or IPv6 address", quote(node->text, node->length).text);
		return false;
	}
	if (ip_addr_is_martian(address)) {
		report_error(reader->report, reader_origin(reader, node), PN_MARTIAN,
			     "%s is a loopback, multicast, broadcast or unspecified address", node->text);
		return false;
	}
	return true;
}

bool
schema_path(struct reader *reader, const struct yaml_node *node, const char *what, struct name *path)
{
	*path = (struct name){.bytes = ""};
	if (!schema_shape(reader, node, SHAPE_TEXT, what))
		return false;
	if (node->length == 0 || node->length >= PATH_MAX) {
		report_error(reader->report, reader_origin(reader, node), PN_BAD_PATH, "%s \"%s\" is %s", what,
			     quote(node->text, node->length).text,
			     node->length == 0 ? "empty" : "longer than a path can be");
		return false;
	}
	*path = model_path(reader->model, reader->file, node->text);
	return true;
}

bool
schema_paths(struct reader *reader, const struct yaml_node *list, const char *what, const struct name **paths,
	     uint32_t *n)
{
	struct name *read = arena_array(reader->model->names.arena, list->length, sizeof(*read));

	*paths = read;
	*n = 0;
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		if (schema_path(reader, node, what, &read[*n]))
			(*n)++;
	}
	return *n == list->length;
}

bool
schema_duration(struct reader *reader, const struct yaml_node *node, const char *what, uint32_t *milliseconds)
{
	const char *wrong = syntax_duration(node->text, node->length, milliseconds);

	if (wrong != NULL)
		report_error(reader->report, reader_origin(reader, node), PN_BAD_DURATION, "%s \"%s\" %s", what,
			     quote(node->text, node->length).text, wrong);
	return wrong == NULL;
}

static bool
read_expected_name(struct reader *reader, const struct yaml_node *node, unsigned kinds, struct expected_name *name)
{
	if (!schema_shape(reader, node, SHAPE_TEXT, "a subjectAltName"))
		return false;
	name->is_spiffe_id = strchr(node->text, ':') != NULL;
	if ((kinds & (name->is_spiffe_id ? NAMES_SPIFFE : NAMES_DNS)) == 0) {
		report_error(reader->report, reader_origin(reader, node),
			     name->is_spiffe_id ? PN_BAD_HOST : PN_BAD_SPIFFE_ID,
			     name->is_spiffe_id
				     ? "subjectAltName \"%s\" is not a host; only ISTIO_MUTUAL knows SPIFFE IDs"
				     : "subjectAltName \"%s\" is not a SPIFFE ID, and ISTIO_MUTUAL knows no others",
			     quote(node->text, node->length).text);
		return false;
	}
	return name->is_spiffe_id
		       ? schema_name(reader, node, syntax_spiffe_id, PN_BAD_SPIFFE_ID, "subjectAltName", &name->text)
		       : schema_host(reader, node, false, &name->text);
}

bool
schema_expected_names(struct reader *reader, const struct yaml_node *list, unsigned kinds,
		      const struct expected_name **names, uint32_t *n)
{
	struct expected_name *read = arena_array(reader->model->names.arena, list->length, sizeof(*read));

	*names = read;
	*n = 0;
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		if (read_expected_name(reader, node, kinds, &read[*n]))
			(*n)++;
	}
	return *n == list->length;
}

bool
schema_labels(struct reader *reader, const struct yaml_node *node, struct model_labels *labels)
{
	struct model_label *list = arena_array(&reader->model->arena, node->length, sizeof(*list));
	bool right = true;

	labels->list = list;
	labels->n = 0;
	for (const struct yaml_node *value = node->first; value != NULL; value = value->next) {
		struct model_label *label = &list[labels->n];
		bool key = schema_name(reader, value->key, syntax_label_key, PN_BAD_LABEL, "label name", &label->key);
		bool text = schema_name(reader, value, syntax_label_value, PN_BAD_LABEL, "label value", &label->value);
		if (key && text)
			labels->n++;
		right = right && key && text;
	}
	return right;
}

bool
schema_choice(struct reader *reader, const struct yaml_node *node, const char *const *choices, unsigned n_supported,
	      const char *what, unsigned *choice)
{
	for (unsigned i = 0; choices[i] != NULL; i++) {
		if (strcmp(choices[i], node->text) != 0)
			continue;
		if (i < n_supported) {
			*choice = i;
			return true;
		}
		report_error(reader->report, reader_origin(reader, node), PN_UNSUPPORTED_VALUE,
			     "%s %s is not supported yet", what, node->text);
		return false;
	}
	struct text expected = {0};
	for (unsigned i = 0; i < n_supported; i++)
		text_print(&expected, "%s%s", i == 0 ? "" : i + 1 == n_supported ? " or " : ", ", choices[i]);
	struct suggestion suggestion = schema_suggest(reader, node->text, choices);
	report_error(reader->report, reader_origin(reader, node), PN_UNKNOWN_VALUE, "%s must be %s, not \"%s\"%s", what,
		     expected.bytes, quote(node->text, node->length).text, suggestion.text);
	text_free(&expected);
	return false;
}
