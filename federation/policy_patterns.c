/* SPDX-License-Identifier: Apache-2.0 */
#include "federation/policy_patterns.h"

#include <stdlib.h>
#include <string.h>

#include "federation/syntax.h"
#include "platform/text.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* Takes a leading or a trailing '*' off. What is left must be of the alphabet; *pattern's bytes are what is left, kept
 * in lower case if so asked. */
static bool
read_shape(struct reader *reader, const struct yaml_node *node, const char *field, const char *alphabet, bool lower,
	   enum federation_code code, struct pattern *pattern)
{
	const char *text = node->text;
	size_t length = node->length;

	pattern->shape = PATTERN_EXACT;
	if (length > 0 && text[length - 1] == '*') {
		pattern->shape = PATTERN_PREFIX;
		length--;
	} else if (length > 0 && text[0] == '*') {
		pattern->shape = PATTERN_SUFFIX;
		text++;
		length--;
	}
	if (memchr(text, '*', length) != NULL) {
		report_error(reader->report, reader_origin(reader, node), PN_BAD_WILDCARD,
			     "%s \"%s\": a wildcard is one '*', at the beginning or at the end", field,
			     quote(node->text, node->length).text);
		return false;
	}
	if (node->length == 0 || strspn(text, alphabet) < length) {
		report_error(reader->report, reader_origin(reader, node), code, "%s \"%s\" %s", field,
			     quote(node->text, node->length).text,
			     node->length == 0 ? "is empty" : "has a character that can't be in it");
		return false;
	}
	struct text_pool *names = &reader->model->names;
	struct name kept = lower ? text_pool_add_lower(names, text, length) : text_pool_add(names, text, length);
	pattern->bytes = kept.bytes;
	pattern->bits = kept.length * 8;
	return true;
}

/* What is wrong with the path of a SPIFFE ID, from its first '/' (SPIFFE-ID section 2.2). */
static const char *
wrong_path(const char *path, bool whole)
{
	while (*path == '/') {
		size_t length = strcspn(++path, "/");
		bool last = path[length] == '\0';
		if (length == 0 && (!last || whole))
			return "has an empty segment in its path";
		if ((!last || whole) &&
		    ((length == 1 && path[0] == '.') || (length == 2 && strncmp(path, "..", 2) == 0)))
			return "has a \".\" or \"..\" in its path";
		path += length;
	}
	return NULL;
}

static const char *
wrong_principal(const struct pattern *pattern)
{
	const char *text = pattern->bytes, *slash = strchr(text, '/');

	if (pattern->shape == PATTERN_SUFFIX || pattern->bits == 0)
		return slash == NULL ? NULL : wrong_path(slash, true);
	if (slash == NULL && pattern->shape == PATTERN_PREFIX)
		return "must not end within the trust domain, which others may begin with: write \"TRUST-DOMAIN/*\"";
	if (slash == NULL)
		return "is no principal: TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT, or another path";
	const char *wrong = syntax_trust_domain(text, (size_t)(slash - text));
	return wrong != NULL ? wrong : wrong_path(slash, pattern->shape == PATTERN_EXACT);
}

bool
policy_principal_read(struct reader *reader, const struct yaml_node *node, const char *field, struct name space,
		      struct pattern *pattern)
{
	const char *wrong;

	(void)space;
	if (strncmp(node->text, "spiffe:", 7) == 0) {
		wrong = "is written without its scheme \"spiffe://\"";
	} else {
		if (!read_shape(reader, node, field, LOWER UPPER DIGITS ".-_/", false, PN_BAD_PRINCIPAL, pattern))
			return false;
		wrong = wrong_principal(pattern);
	}
	if (wrong != NULL) {
		report_error(reader->report, reader_origin(reader, node), PN_BAD_PRINCIPAL, "%s \"%s\" %s", field,
			     quote(node->text, node->length).text, wrong);
		return false;
	}
	pattern->local = pattern->shape == PATTERN_SUFFIX || pattern->bits == 0;
	return true;
}

bool
policy_namespace_read(struct reader *reader, const struct yaml_node *node, const char *field, struct name space,
		      struct pattern *pattern)
{
	(void)space;
	if (!read_shape(reader, node, field, LOWER DIGITS "-", false, PN_BAD_NAME, pattern))
		return false;
	const char *wrong = pattern->shape == PATTERN_EXACT ? syntax_dns_label(node->text, node->length) : NULL;
	if (wrong != NULL) {
		report_error(reader->report, reader_origin(reader, node), PN_BAD_NAME, "%s \"%s\" %s", field,
			     quote(node->text, node->length).text, wrong);
		return false;
	}
	pattern->local = true;
	return true;
}

bool
policy_account_read(struct reader *reader, const struct yaml_node *node, const char *field, struct name space,
		    struct pattern *pattern)
{
	const char *account = node->text, *wrong = NULL;
	const char *slash = strchr(node->text, '/');

	if (slash != NULL) {
		wrong = syntax_dns_label(node->text, (size_t)(slash - node->text));
		account = slash + 1;
	}
	if (wrong == NULL)
		wrong = syntax_dns_subdomain(account, strlen(account));
	if (wrong != NULL) {
		report_error(reader->report, reader_origin(reader, node),
			     strchr(node->text, '*') != NULL ? PN_BAD_WILDCARD : PN_BAD_NAME, "%s \"%s\" %s", field,
			     quote(node->text, node->length).text,
			     strchr(node->text, '*') != NULL ? "must not have a wildcard" : wrong);
		return false;
	}
	struct text path = {0};
	if (slash != NULL)
		text_print(&path, "/ns/%.*s/sa/%s", (int)(slash - node->text), node->text, account);
	else
		text_print(&path, "/ns/%s/sa/%s", space.bytes, account);
	struct name kept = text_pool_add(&reader->model->names, path.bytes, path.length);
	text_free(&path);
	*pattern =
		(struct pattern){.bytes = kept.bytes, .bits = kept.length * 8, .shape = PATTERN_EXACT, .local = true};
	return true;
}

bool
policy_address_read(struct reader *reader, const struct yaml_node *node, const char *field, struct name space,
		    struct pattern *pattern)
{
	struct ip_prefix prefix;

	(void)space;
	if (!ip_prefix_parse(node->text, &prefix)) {
		if (!ip_addr_parse(node->text, &prefix.addr)) {
			report_error(reader->report, reader_origin(reader, node), PN_BAD_ADDRESS,
				     "%s \"%s\" is neither an address nor a prefix of one", field,
				     quote(node->text, node->length).text);
			return false;
		}
		prefix.length = ip_addr_is_v4(&prefix.addr) ? 32 : 128;
	}
	char bytes[POLICY_ADDRESS_BYTES];
	uint32_t length = policy_address_bytes(&prefix.addr, bytes);
	*pattern = (struct pattern){.bytes = arena_copy(reader->model->names.arena, bytes, length),
				    .bits = 8 + prefix.length,
				    .shape = PATTERN_PREFIX};
	return true;
}

bool
policy_port_read(struct reader *reader, const struct yaml_node *node, const char *field, struct name space,
		 struct pattern *pattern)
{
	size_t digits = strspn(node->text, DIGITS);
	unsigned long port = digits == node->length && digits <= 5 ? strtoul(node->text, NULL, 10) : 0;

	(void)space;
	if (port == 0 || port > UINT16_MAX || node->text[0] == '0') {
		report_error(reader->report, reader_origin(reader, node), PN_BAD_PORT,
			     "%s \"%s\" is no port from 1 to 65535", field, quote(node->text, node->length).text);
		return false;
	}
	const char bytes[2] = {(char)(port >> 8), (char)port};
	*pattern = (struct pattern){
		.bytes = arena_copy(reader->model->names.arena, bytes, 2), .bits = 16, .shape = PATTERN_EXACT};
	return true;
}

bool
policy_host_read(struct reader *reader, const struct yaml_node *node, const char *field, struct name space,
		 struct pattern *pattern)
{
	(void)space;
	pattern->local = false;
	if (!read_shape(reader, node, field, LOWER UPPER DIGITS "-._", true, PN_BAD_HOST, pattern))
		return false;
	if (pattern->shape != PATTERN_EXACT)
		return true;
	const char *wrong = syntax_host(node->text, node->length);
	if (wrong == NULL)
		return true;
	report_error(reader->report, reader_origin(reader, node), PN_BAD_HOST, "%s \"%s\" %s", field,
		     quote(node->text, node->length).text, wrong);
	return false;
}
