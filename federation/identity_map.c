/* SPDX-License-Identifier: Apache-2.0 */
/* kind: IdentityMap: which SPIFFE ID a client has that can't prove one. */
#include <string.h>

#include "federation/documents.h"
#include "federation/syntax.h"
#include "platform/text.h"

enum { SPEC_TRUST_DOMAIN, SPEC_RULES, SPEC_FIELDS };
static const struct schema_field spec_fields[] = {
	[SPEC_TRUST_DOMAIN] = {"trustDomain", SHAPE_TEXT, true},
	[SPEC_RULES] = {"rules", SHAPE_LIST, true},
};
static const struct schema spec_schema = {"IdentityMap spec", spec_fields, SPEC_FIELDS, NULL};

enum { RULE_FROM, RULE_ID, RULE_FIELDS };
static const struct schema_field rule_fields[] = {
	[RULE_FROM] = {"from", SHAPE_MAPPING, true},
	[RULE_ID] = {"spiffeID", SHAPE_TEXT, true},
};
static const struct schema rule_schema = {"IdentityMap spec.rules[]", rule_fields, RULE_FIELDS, NULL};

enum { FROM_PKI, FROM_DNS, FROM_SPKI, FROM_INTERFACE, FROM_SOURCE, FROM_FIELDS };
static const struct schema_field from_fields[] = {
	[FROM_PKI] = {"legacyPKI", SHAPE_TEXT, false},     [FROM_DNS] = {"dns", SHAPE_TEXT, false},
	[FROM_SPKI] = {"spkiSHA256", SHAPE_TEXT, false},   [FROM_INTERFACE] = {"interface", SHAPE_TEXT, false},
	[FROM_SOURCE] = {"sourceCIDR", SHAPE_TEXT, false},
};
static const struct schema from_schema = {"IdentityMap spec.rules[].from", from_fields, FROM_FIELDS, NULL};

static const char label_template[] = "{dns.label}";
enum { LABEL_TEMPLATE = sizeof(label_template) - 1 };

static void
read_dns(struct reader *reader, const struct yaml_node *node, struct identity_rule_spec *rule)
{
	if (!schema_host(reader, node, true, &rule->dns))
		return;
	/* A certificate's wildcard, and so ours, is one label; all of "*.com" is nobody's to give away. */
	const char *dot = rule->dns.bytes[0] == '*' ? strchr(rule->dns.bytes + 1, '.') : NULL;
	if (rule->dns.bytes[0] == '*' && (dot == NULL || strchr(dot + 1, '.') == NULL))
		report_error(reader->report, reader_origin(reader, node), PN_BAD_WILDCARD,
			     "\"%s\" is too wide to be an identity; \"*.\" and a name of two labels is the widest",
			     rule->dns.bytes);
}

static void
read_legacy(struct reader *reader, const struct yaml_node *from, const struct yaml_node **values,
	    struct model_identity_rule *to)
{
	struct identity_rule_spec *rule = &to->rule;

	rule->from = IDENTITY_FROM_LEGACY;
	to->pki.origin = reader_origin(reader, values[FROM_PKI]);
	schema_name(reader, values[FROM_PKI], syntax_dns_subdomain, PN_BAD_NAME, "legacyPKI", &to->pki.name);
	if (values[FROM_DNS] == NULL && values[FROM_SPKI] == NULL)
		report_error(reader->report, reader_origin(reader, from), PN_MISSING_FIELD,
			     "%s lacks dns, spkiSHA256 or both: a whole PKI isn't one identity", from_schema.what);
	if (values[FROM_DNS] != NULL)
		read_dns(reader, values[FROM_DNS], rule);
	const struct yaml_node *pin = values[FROM_SPKI];
	if (pin == NULL)
		return;
	rule->has_spki = true;
	const char *wrong = syntax_sha256(pin->text, pin->length, rule->spki_sha256);
	if (wrong != NULL)
		report_error(reader->report, reader_origin(reader, pin), PN_BAD_PIN, "spkiSHA256 \"%s\" %s",
			     quote(pin->text, pin->length).text, wrong);
}

static void
read_source(struct reader *reader, const struct yaml_node *node, struct ip_prefix *source)
{
	char text[IP_PREFIX_TEXT_MAX];

	if (!ip_prefix_parse(node->text, source)) {
		report_error(reader->report, reader_origin(reader, node), PN_BAD_PREFIX,
			     "sourceCIDR \"%s\" is not an address, \"/\" and a length",
			     quote(node->text, node->length).text);
		return;
	}
	struct ip_prefix whole = *source;
	unsigned kept = source->length + (ip_addr_is_v4(&source->addr) ? 96u : 0u);
	for (unsigned bit = kept; bit < 128; bit++)
		whole.addr.bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	if (!ip_addr_equal(&whole.addr, &source->addr))
		report_error(reader->report, reader_origin(reader, node), PN_BAD_PREFIX,
			     "sourceCIDR %s has bits set behind its length; the network is %s", node->text,
			     ip_prefix_format(&whole, text));
}

static void
read_network(struct reader *reader, const struct yaml_node *from, const struct yaml_node **values,
	     struct identity_rule_spec *rule)
{
	rule->from = IDENTITY_FROM_NETWORK;
	/* An address alone proves nothing where it could have come in anywhere. */
	if (values[FROM_INTERFACE] == NULL || values[FROM_SOURCE] == NULL)
		report_error(reader->report, reader_origin(reader, from), PN_MISSING_FIELD,
			     "%s has only one of interface and sourceCIDR, and needs both", from_schema.what);
	if (values[FROM_INTERFACE] != NULL)
		schema_name(reader, values[FROM_INTERFACE], syntax_port_name, PN_BAD_IDENTIFIER, "interface",
			    &rule->interface);
	if (values[FROM_SOURCE] != NULL)
		read_source(reader, values[FROM_SOURCE], &rule->source);
}

static void
read_from(struct reader *reader, const struct yaml_node *node, struct model_identity_rule *to)
{
	const struct yaml_node *values[FROM_FIELDS];

	if (!schema_read(reader, node, &from_schema, values))
		return;
	bool network = values[FROM_INTERFACE] != NULL || values[FROM_SOURCE] != NULL;
	bool certificate = values[FROM_PKI] != NULL || values[FROM_DNS] != NULL || values[FROM_SPKI] != NULL;
	if (network && certificate)
		report_error(reader->report, reader_origin(reader, node), PN_EXCLUSIVE,
			     "a rule is for certificates (legacyPKI, dns, spkiSHA256) or for a network (interface, "
			     "sourceCIDR), not for both");
	else if (network)
		read_network(reader, node, values, &to->rule);
	else if (values[FROM_PKI] != NULL)
		read_legacy(reader, node, values, to);
	else
		report_error(reader->report, reader_origin(reader, node), PN_MISSING_FIELD,
			     "%s lacks legacyPKI, or interface and sourceCIDR", from_schema.what);
}

static bool
in_domain(const char *id, struct name trust_domain)
{
	size_t length;
	const char *domain = syntax_spiffe_domain(id, &length);

	return length == trust_domain.length && memcmp(domain, trust_domain.bytes, length) == 0;
}

/* What the text comes to with the longest label in the template's place must be an ID, and in the map's trust domain.
 */
static void
check_id(struct reader *reader, const struct model_identity_map *map, const struct yaml_node *node,
	 const struct text *filled)
{
	const char *wrong = syntax_spiffe_id(filled->bytes, filled->length);

	if (wrong != NULL)
		report_error(reader->report, reader_origin(reader, node), PN_BAD_SPIFFE_ID, "spiffeID \"%s\" %s",
			     quote(node->text, node->length).text, wrong);
	else if (map->trust_domain.name.length > 0 && !in_domain(filled->bytes, map->trust_domain.name))
		report_error(reader->report, reader_origin(reader, node), PN_FOREIGN_DOMAIN,
			     "spiffeID \"%s\" is outside this map's trust domain \"%s\"",
			     quote(node->text, node->length).text, map->trust_domain.name.bytes);
}

static void
read_id(struct reader *reader, const struct model_identity_map *map, const struct yaml_node *node,
	struct identity_rule_spec *rule)
{
	struct text filled = {0};
	const char *mark = strstr(node->text, label_template);
	const char *after = mark == NULL ? node->text + node->length : mark + LABEL_TEMPLATE;
	size_t before = mark == NULL ? node->length : (size_t)(mark - node->text);

	text_add(&filled, node->text, before);
	for (unsigned i = 0; mark != NULL && i < SYNTAX_LABEL_MAX; i++)
		text_add(&filled, "a", 1);
	text_print(&filled, "%s", after);
	if (memchr(filled.bytes, '{', filled.length) != NULL)
		report_error(reader->report, reader_origin(reader, node), PN_BAD_TEMPLATE,
			     "spiffeID \"%s\" has a template that is not one \"{dns.label}\"",
			     quote(node->text, node->length).text);
	else if (mark != NULL && (rule->dns.length == 0 || rule->dns.bytes[0] != '*'))
		report_error(reader->report, reader_origin(reader, node), PN_BAD_TEMPLATE,
			     "spiffeID \"%s\" asks for the label that a wildcard stands for, and from.dns is none",
			     quote(node->text, node->length).text);
	else
		check_id(reader, map, node, &filled);
	rule->spiffe_id = text_pool_add(&reader->model->names, node->text, node->length);
	text_free(&filled);
}

static void
read_rules(struct reader *reader, const struct yaml_node *list, struct model_identity_map *map)
{
	documents_not_empty(reader, list, "rules of an IdentityMap");
	map->rules = arena_array(&reader->model->arena, list->length, sizeof(*map->rules));
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		const struct yaml_node *values[RULE_FIELDS];
		struct model_identity_rule *rule = &map->rules[map->n_rules];
		size_t raised = reader->report->n_raised;
		*rule = (struct model_identity_rule){.rule.origin = reader_origin(reader, node)};
		schema_read(reader, node, &rule_schema, values);
		if (values[RULE_FROM] != NULL)
			read_from(reader, values[RULE_FROM], rule);
		/* Whether a template may be there depends on the other half. */
		if (values[RULE_ID] != NULL && reader->report->n_raised == raised)
			read_id(reader, map, values[RULE_ID], &rule->rule);
		if (reader->report->n_raised == raised)
			map->n_rules++;
	}
}

void
identity_map_read(struct reader *reader, const struct model_meta *meta, const struct yaml_node *spec)
{
	const struct yaml_node *values[SPEC_FIELDS];
	struct model *model = reader->model;
	struct model_identity_map *map = arena_alloc(&model->arena, sizeof(*map));

	schema_read(reader, spec, &spec_schema, values);
	map->meta = *meta;
	if (values[SPEC_TRUST_DOMAIN] != NULL) {
		map->trust_domain.origin = reader_origin(reader, values[SPEC_TRUST_DOMAIN]);
		schema_name(reader, values[SPEC_TRUST_DOMAIN], syntax_trust_domain, PN_BAD_TRUST_DOMAIN, "trust domain",
			    &map->trust_domain.name);
	}
	if (values[SPEC_RULES] != NULL)
		read_rules(reader, values[SPEC_RULES], map);
	if (!documents_claim(reader, "IdentityMap", meta))
		return;
	*model->identity_maps_end = map;
	model->identity_maps_end = &map->next;
}
