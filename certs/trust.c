/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/trust.h"

#include <stdlib.h>
#include <string.h>

#include "certs/spiffe_id.h"
#include "certs/trust_parts.h"

struct trust *
trust_new(uint64_t generation)
{
	struct trust *trust = calloc(1, sizeof(*trust));

	if (trust != NULL) {
		atomic_init(&trust->refs, 1);
		trust->generation = generation;
	}
	return trust;
}

struct trust *
trust_take(const struct trust *trust)
{
	struct trust *counted = (struct trust *)trust;

	atomic_fetch_add_explicit(&counted->refs, 1, memory_order_relaxed);
	return counted;
}

void
trust_drop(const struct trust *trust)
{
	struct trust *counted = (struct trust *)trust;

	if (counted == NULL || atomic_fetch_sub_explicit(&counted->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < counted->n_domains; i++) {
		free(counted->domains[i].name);
		bundle_drop(counted->domains[i].bundle);
	}
	for (uint32_t i = 0; i < counted->n_pkis; i++) {
		free(counted->pkis[i].name);
		bundle_drop(counted->pkis[i].anchors);
		crl_drop(counted->pkis[i].crls);
	}
	free(counted->domains);
	free(counted->pkis);
	free(counted->keys);
	free(counted->local);
	free(counted);
}

uint64_t
trust_generation(const struct trust *trust)
{
	return trust->generation;
}

/* Domains are few while a trust is built, and sorted once it is sealed. */
static int
compare_names(const char *a, size_t a_length, const char *b, size_t b_length)
{
	int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

	return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

const struct trust_domain *
trust_find_domain(const struct trust *trust, const char *name, size_t length)
{
	uint32_t low = 0, high = trust->n_domains;

	if (!trust->sealed) {
		for (uint32_t i = 0; i < trust->n_domains; i++)
			if (compare_names(trust->domains[i].name, trust->domains[i].length, name, length) == 0)
				return &trust->domains[i];
		return NULL;
	}
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct trust_domain *domain = &trust->domains[middle];
		int order = compare_names(domain->name, domain->length, name, length);
		if (order == 0)
			return domain;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct trust_pki *
trust_find_pki(const struct trust *trust, const char *name)
{
	for (uint32_t i = 0; i < trust->n_pkis; i++)
		if (strcmp(trust->pkis[i].name, name) == 0)
			return &trust->pkis[i];
	return NULL;
}

bool
trust_has_domain(const struct trust *trust, const char *domain, size_t length)
{
	return trust_find_domain(trust, domain, length) != NULL;
}

bool
trust_has_pki(const struct trust *trust, const char *name)
{
	return trust_find_pki(trust, name) != NULL;
}

enum cert_error
trust_add_domain(struct trust *trust, const char *domain, size_t length, const struct bundle *bundle)
{
	enum cert_error error = spiffe_domain_check(domain, length);

	if (error != CERT_NONE)
		return error;
	if (trust_find_domain(trust, domain, length) != NULL)
		return CERT_DOMAIN_TWICE;
	struct trust_domain *domains = realloc(trust->domains, (trust->n_domains + 1) * sizeof(*domains));
	if (domains == NULL)
		return CERT_MEMORY;
	trust->domains = domains;
	char *name = strndup(domain, length);
	if (name == NULL)
		return CERT_MEMORY;
	domains[trust->n_domains++] =
		(struct trust_domain){.name = name, .length = length, .bundle = bundle_take(bundle)};
	return CERT_NONE;
}

enum cert_error
trust_add_pki(struct trust *trust, const char *name, const struct bundle *anchors, const struct crl_list *crls,
	      enum trust_revocation revocation)
{
	if (trust_find_pki(trust, name) != NULL)
		return CERT_PKI_TWICE;
	struct trust_pki *pkis = realloc(trust->pkis, (trust->n_pkis + 1) * sizeof(*pkis));
	if (pkis == NULL)
		return CERT_MEMORY;
	trust->pkis = pkis;
	char *copy = strdup(name);
	if (copy == NULL)
		return CERT_MEMORY;
	pkis[trust->n_pkis++] = (struct trust_pki){.name = copy,
						   .anchors = bundle_take(anchors),
						   .crls = crls != NULL ? crl_take(crls) : NULL,
						   .revocation = revocation};
	return CERT_NONE;
}

enum cert_error
trust_set_local(struct trust *trust, const char *domain, size_t length)
{
	char *copy = strndup(domain, length);

	if (copy == NULL)
		return CERT_MEMORY;
	free(trust->local);
	trust->local = copy;
	trust->local_length = length;
	return CERT_NONE;
}

static int
order_domains(const void *a, const void *b)
{
	const struct trust_domain *first = a, *second = b;

	return compare_names(first->name, first->length, second->name, second->length);
}

static int
order_keys(const void *a, const void *b)
{
	const struct trust_key *first = a, *second = b;
	int order = memcmp(first->spki_sha256, second->spki_sha256, 32);

	return order != 0 ? order : (first->domain > second->domain) - (first->domain < second->domain);
}

/* Leaves out authorities that say of themselves that they are another configured domain's. */
static void
leave_out_foreign(struct trust *trust, uint32_t d)
{
	struct trust_domain *domain = &trust->domains[d];

	for (uint32_t a = 0; a < domain->bundle->n_authorities; a++) {
		const struct bundle_authority *authority = &domain->bundle->authorities[a];
		struct spiffe_id id;
		if (authority->spiffe_id == NULL ||
		    spiffe_id_parse(authority->spiffe_id, authority->spiffe_id_length, &id) != CERT_NONE ||
		    spiffe_id_in_domain(&id, domain->name, domain->length))
			continue;
		const struct trust_domain *other = trust_find_domain(trust, spiffe_id_domain(&id), id.domain_length);
		if (other == NULL)
			continue;
		domain->left_out[a] = CERT_AUTHORITY_FOREIGN;
		domain->left_out_for[a] = (uint32_t)(other - trust->domains);
	}
}

/* keys[0..n) are the authorities of one key, sorted by domain. Returns the domain that keeps it, UINT32_MAX when it is
 * in dispute. */
static uint32_t
leave_out_shared(struct trust *trust, const struct trust_key *keys, uint32_t n)
{
	uint32_t first = keys[0].domain, last = keys[n - 1].domain;
	const struct trust_domain *local =
		trust->local != NULL ? trust_find_domain(trust, trust->local, trust->local_length) : NULL;
	uint32_t owner = UINT32_MAX;

	if (first == last)
		return first;
	for (uint32_t i = 0; i < n; i++)
		if (local == &trust->domains[keys[i].domain])
			owner = keys[i].domain;
	for (uint32_t i = 0; i < n; i++) {
		if (keys[i].domain == owner)
			continue;
		struct trust_domain *domain = &trust->domains[keys[i].domain];
		domain->left_out[keys[i].authority] = CERT_AUTHORITY_SHARED;
		domain->left_out_for[keys[i].authority] =
			owner != UINT32_MAX ? owner : (keys[i].domain == first ? last : first);
	}
	return owner;
}

void
trust_seal(struct trust *trust)
{
	uint32_t n = 0;

	if (trust->n_domains > 1)
		qsort(trust->domains, trust->n_domains, sizeof(*trust->domains), order_domains);
	trust->sealed = true;
	for (uint32_t d = 0; d < trust->n_domains; d++) {
		leave_out_foreign(trust, d);
		n += trust->domains[d].bundle->n_authorities;
	}
	if (n == 0)
		return;
	trust->keys = calloc(n, sizeof(*trust->keys));
	if (trust->keys == NULL)
		abort();
	n = 0;
	for (uint32_t d = 0; d < trust->n_domains; d++)
		for (uint32_t a = 0; a < trust->domains[d].bundle->n_authorities; a++)
			if (trust->domains[d].left_out[a] == CERT_NONE)
				trust->keys[n++] =
					(struct trust_key){trust->domains[d].bundle->authorities[a].spki_sha256, d, a};
	qsort(trust->keys, n, sizeof(*trust->keys), order_keys);
	for (uint32_t begin = 0, end; begin < n; begin = end) {
		for (end = begin + 1; end < n; end++)
			if (memcmp(trust->keys[begin].spki_sha256, trust->keys[end].spki_sha256, 32) != 0)
				break;
		uint32_t owner = leave_out_shared(trust, trust->keys + begin, end - begin);
		for (uint32_t i = begin; i < end; i++)
			if (owner == UINT32_MAX || trust->keys[i].domain == owner)
				trust->keys[trust->n_keys++] = trust->keys[i];
	}
}

const struct trust_domain *
trust_key_elsewhere(const struct trust *trust, const uint8_t spki_sha256[32], const struct trust_domain *own)
{
	uint32_t low = 0, high = trust->n_keys;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (memcmp(trust->keys[middle].spki_sha256, spki_sha256, 32) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < trust->n_keys && memcmp(trust->keys[low].spki_sha256, spki_sha256, 32) == 0; low++)
		if (&trust->domains[trust->keys[low].domain] != own)
			return &trust->domains[trust->keys[low].domain];
	return NULL;
}

void
trust_warnings(const struct trust *trust, void (*warn)(void *context, const struct trust_warning *warning),
	       void *context)
{
	for (uint32_t d = 0; d < trust->n_domains; d++) {
		const struct trust_domain *domain = &trust->domains[d];
		for (uint32_t a = 0; a < domain->bundle->n_authorities; a++) {
			if (domain->left_out[a] == CERT_NONE)
				continue;
			struct trust_warning warning = {
				.error = domain->left_out[a],
				.domain = domain->name,
				.other = trust->domains[domain->left_out_for[a]].name,
				.spki_sha256 = domain->bundle->authorities[a].spki_sha256,
			};
			warn(context, &warning);
		}
	}
}

void
trust_slot_publish(struct trust_slot *slot, struct trust *trust)
{
	pthread_mutex_lock(&slot->lock);
	struct trust *before = slot->trust;
	slot->trust = trust;
	atomic_store_explicit(&slot->generation, trust != NULL ? trust->generation : 0, memory_order_release);
	pthread_mutex_unlock(&slot->lock);
	trust_drop(before);
}
