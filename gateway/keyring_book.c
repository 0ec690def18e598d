/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/keyring_book.h"

#include <stdlib.h>
#include <string.h>

#include "platform/text.h"

static size_t
room(struct name name)
{
	return (size_t)name.length + 1;
}

static const char *
keep(char **at, struct name name)
{
	const char *kept = *at;

	memcpy(*at, name.bytes, name.length);
	(*at)[name.length] = '\0';
	*at += room(name);
	return kept;
}

struct peer_book *
keyring_book(const struct snapshot *snapshot)
{
	struct peer_book *book = calloc(1, sizeof(*book));
	size_t texts = 0, list = (snapshot->n_identity_rules + 1ul) * sizeof(struct identity_rule);

	for (uint32_t i = 0; i < snapshot->n_identity_rules; i++) {
		const struct identity_rule_spec *spec = &snapshot->identity_rules[i];
		texts += room(spec->dns) + room(spec->interface) + room(spec->spiffe_id) +
			 room(spec->map->trust_domain) + 32 + (spec->pki == NULL ? 0 : room(spec->pki->name));
	}
	struct identity_rule *rules = calloc(1, list + texts);
	if (book == NULL || rules == NULL)
		abort(); /* as in platform/text.c */
	char *at = (char *)rules + list;
	for (uint32_t i = 0; i < snapshot->n_identity_rules; i++) {
		const struct identity_rule_spec *spec = &snapshot->identity_rules[i];
		struct identity_rule *rule = &rules[i];
		rule->source = spec->source;
		rule->spiffe_id = keep(&at, spec->spiffe_id);
		rule->trust_domain = keep(&at, spec->map->trust_domain);
		if (spec->from == IDENTITY_FROM_NETWORK) {
			rule->interface = keep(&at, spec->interface);
			if (identity_rule_network(rule) != CERT_NONE)
				abort();
			continue;
		}
		rule->legacy_pki = keep(&at, spec->pki->name);
		if (spec->dns.length != 0)
			rule->dns = keep(&at, spec->dns);
		if (spec->has_spki) {
			rule->spki_sha256 = memcpy(at, spec->spki_sha256, sizeof(spec->spki_sha256));
			at += sizeof(spec->spki_sha256);
		}
	}
	*book = (struct peer_book){1, {rules, snapshot->n_identity_rules}, rules};
	return book;
}

void
keyring_pki_name(const struct credential_spec *credential, struct text *name)
{
	text_print(name, "credential:%s", credential->path.bytes);
}

bool
keyring_owns(const char *const *domains, const char *domain)
{
	for (; *domains != NULL; domains++)
		if (strcmp(*domains, domain) == 0)
			return true;
	return false;
}
