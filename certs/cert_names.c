/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/cert_names.h"

#include <string.h>
#include <strings.h>

#include "certs/dns_name.h"

static const char SPIFFE[] = "spiffe:";

static bool
has_nul(const ASN1_STRING *text)
{
	int length = ASN1_STRING_length(text);

	return length > 0 && memchr(ASN1_STRING_get0_data(text), '\0', (size_t)length) != NULL;
}

/* Of an otherName, whose value may be anything: text in an encoding of which NUL bytes are no part. */
static bool
other_has_nul(const OTHERNAME *other)
{
	switch (ASN1_TYPE_get(other->value)) {
	case V_ASN1_UTF8STRING:
	case V_ASN1_IA5STRING:
	case V_ASN1_PRINTABLESTRING:
	case V_ASN1_VISIBLESTRING:
	case V_ASN1_GENERALSTRING:
	case V_ASN1_NUMERICSTRING:
	case V_ASN1_T61STRING:
		return has_nul(other->value->value.asn1_string);
	default:
		return false;
	}
}

static struct peer_bytes
view(const ASN1_STRING *text)
{
	return (struct peer_bytes){(const char *)ASN1_STRING_get0_data(text), (uint32_t)ASN1_STRING_length(text)};
}

static bool
begins_spiffe(struct peer_bytes text)
{
	return text.length >= sizeof(SPIFFE) - 1 && strncasecmp(text.bytes, SPIFFE, sizeof(SPIFFE) - 1) == 0;
}

static void
add_dns(struct cert_names *names, struct peer_bytes name)
{
	/* The decoded names are this structure's own, so they can be changed where they are. */
	char *text = (char *)name.bytes;

	for (uint32_t i = 0; i < name.length; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] = (char)(text[i] - 'A' + 'a');
	if (dns_name_is_host(text, name.length) || dns_name_is_wildcard(text, name.length))
		names->dns[names->n_dns++] = name;
}

static enum cert_error
add_ip(struct cert_names *names, struct peer_bytes bytes)
{
	struct ip_addr *addr = &names->ips[names->n_ips];
	uint32_t v4;

	if (bytes.length == sizeof(v4)) {
		memcpy(&v4, bytes.bytes, sizeof(v4));
		*addr = ip_addr_from_v4(v4);
	} else if (bytes.length == sizeof(addr->bytes)) {
		memcpy(addr->bytes, bytes.bytes, sizeof(addr->bytes));
		/* Another spelling of an IPv4 address is none. */
		if (ip_addr_is_v4(addr))
			return CERT_NONE;
	} else {
		return CERT_SAN_MALFORMED;
	}
	names->n_ips++;
	return CERT_NONE;
}

static enum cert_error
add_name(struct cert_names *names, const GENERAL_NAME *name)
{
	int type;
	const void *value = GENERAL_NAME_get0_value(name, &type);

	switch (type) {
	case GEN_URI:
		if (has_nul(value))
			return CERT_SAN_NUL;
		if (names->n_uris++ == 0)
			names->uri = view(value);
		return CERT_NONE;
	case GEN_DNS:
	case GEN_EMAIL:
		if (has_nul(value))
			return CERT_SAN_NUL;
		if (begins_spiffe(view(value)))
			names->misplaced = true;
		if (type == GEN_DNS)
			add_dns(names, view(value));
		return CERT_NONE;
	case GEN_IPADD:
		return add_ip(names, view(value));
	case GEN_OTHERNAME:
		return other_has_nul(value) ? CERT_SAN_NUL : CERT_NONE;
	default:
		return CERT_NONE;
	}
}

enum cert_error
cert_names_read(const X509 *cert, struct cert_names *names)
{
	int critical;

	names->n_uris = names->n_dns = names->n_ips = 0;
	names->uri = (struct peer_bytes){0};
	names->misplaced = false;
	names->owned = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
	if (names->owned == NULL)
		/* -1: there are none; -2: twice; else: there are some, and they can't be read. */
		return critical == -1 ? CERT_NONE : critical == -2 ? CERT_CERT_EXTENSIONS : CERT_SAN_MALFORMED;
	if (sk_GENERAL_NAME_num(names->owned) > CERT_NAMES_MAX)
		return CERT_SAN_MANY;
	enum cert_error error = CERT_NONE;
	for (int i = 0; i < sk_GENERAL_NAME_num(names->owned) && error == CERT_NONE; i++)
		error = add_name(names, sk_GENERAL_NAME_value(names->owned, i));
	return error;
}

void
cert_names_free(struct cert_names *names)
{
	GENERAL_NAMES_free(names->owned);
	names->owned = NULL;
}

static bool
subtrees_have_nul(const STACK_OF(GENERAL_SUBTREE) *subtrees)
{
	for (int i = 0; i < sk_GENERAL_SUBTREE_num(subtrees); i++) {
		int type;
		const void *value = GENERAL_NAME_get0_value(sk_GENERAL_SUBTREE_value(subtrees, i)->base, &type);
		if ((type == GEN_DNS || type == GEN_EMAIL || type == GEN_URI) && has_nul(value))
			return true;
	}
	return false;
}

enum cert_error
cert_names_constraints(const X509 *ca)
{
	int critical;
	NAME_CONSTRAINTS *constraints = X509_get_ext_d2i(ca, NID_name_constraints, &critical, NULL);
	enum cert_error error = CERT_NONE;

	if (constraints == NULL)
		return critical == -1 ? CERT_NONE : CERT_CERT_EXTENSIONS;
	if (subtrees_have_nul(constraints->permittedSubtrees) || subtrees_have_nul(constraints->excludedSubtrees))
		error = CERT_NAME_CONSTRAINT_NUL;
	NAME_CONSTRAINTS_free(constraints);
	return error;
}
