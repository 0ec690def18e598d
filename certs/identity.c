/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/identity.h"

#include <stdlib.h>
#include <string.h>

/* Lays texts one behind another into the block, each with a NUL. */
struct writer {
	char *at;
};

static struct peer_bytes
write_bytes(struct writer *writer, struct peer_bytes bytes)
{
	struct peer_bytes written = {writer->at, bytes.length};

	if (bytes.length != 0)
		memcpy(writer->at, bytes.bytes, bytes.length);
	writer->at[bytes.length] = '\0';
	writer->at += bytes.length + 1;
	return written;
}

static size_t
size_of_list(const struct peer_bytes *list, unsigned n)
{
	size_t size = 0;

	for (unsigned i = 0; i < n; i++)
		size += list[i].length + 1;
	return size + n * sizeof(*list);
}

static void
copy_digest(uint8_t to[32], const uint8_t *from)
{
	if (from != NULL)
		memcpy(to, from, 32);
}

struct peer_identity *
peer_identity_new(const struct peer_identity_source *source)
{
	size_t size = sizeof(struct peer_identity) + size_of_list(source->dns, source->n_dns) +
		      size_of_list(source->certs, source->n_certs) + source->n_ips * sizeof(struct ip_addr) +
		      source->id.length + source->pki.length + source->uri.length + source->matched_dns.length + 4;
	struct peer_identity *identity = calloc(1, size);
	if (identity == NULL)
		return NULL;

	/* Arrays first: they want alignment, texts don't. */
	struct ip_addr *ips = (struct ip_addr *)(identity + 1);
	struct peer_bytes *dns = (struct peer_bytes *)(ips + source->n_ips);
	struct peer_bytes *certs = dns + source->n_dns;
	struct writer writer = {(char *)(certs + source->n_certs)};

	for (unsigned i = 0; i < source->n_ips; i++)
		ips[i] = source->ips[i];
	for (unsigned i = 0; i < source->n_dns; i++)
		dns[i] = write_bytes(&writer, source->dns[i]);
	for (unsigned i = 0; i < source->n_certs; i++)
		certs[i] = write_bytes(&writer, source->certs[i]);
	identity->id = source->id;
	identity->id.text = write_bytes(&writer, (struct peer_bytes){source->id.text, source->id.length}).bytes;
	identity->pki = write_bytes(&writer, source->pki);
	identity->uri = write_bytes(&writer, source->uri);
	identity->matched_dns = write_bytes(&writer, source->matched_dns);

	atomic_init(&identity->refs, 1);
	identity->kind = (uint8_t)source->kind;
	identity->role = (uint8_t)source->role;
	identity->ips = ips;
	identity->dns = dns;
	identity->certs = certs;
	identity->n_ips = (uint16_t)source->n_ips;
	identity->n_dns = (uint16_t)source->n_dns;
	identity->n_certs = (uint16_t)source->n_certs;
	copy_digest(identity->chain_sha256, source->chain_sha256);
	copy_digest(identity->leaf_sha256, source->leaf_sha256);
	copy_digest(identity->spki_sha256, source->spki_sha256);
	identity->not_before = source->not_before;
	identity->not_after = source->not_after;
	identity->leaf_not_after = source->leaf_not_after;
	identity->generation = source->generation;
	return identity;
}

struct peer_identity *
peer_identity_map(const struct peer_identity *proved, const struct spiffe_id *id, struct peer_bytes matched_dns)
{
	return peer_identity_new(&(struct peer_identity_source){
		.kind = proved->kind,
		.role = proved->role,
		.id = *id,
		.pki = proved->pki,
		.uri = proved->uri,
		.matched_dns = matched_dns,
		.dns = proved->dns,
		.certs = proved->certs,
		.ips = proved->ips,
		.n_dns = proved->n_dns,
		.n_ips = proved->n_ips,
		.n_certs = proved->n_certs,
		.chain_sha256 = proved->chain_sha256,
		.leaf_sha256 = proved->leaf_sha256,
		.spki_sha256 = proved->spki_sha256,
		.not_before = proved->not_before,
		.not_after = proved->not_after,
		.leaf_not_after = proved->leaf_not_after,
		.generation = proved->generation,
	});
}

struct peer_identity *
peer_identity_take(const struct peer_identity *identity)
{
	/* Counting isn't changing what it says. */
	struct peer_identity *counted = (struct peer_identity *)identity;

	atomic_fetch_add_explicit(&counted->refs, 1, memory_order_relaxed);
	return counted;
}

void
peer_identity_drop(const struct peer_identity *identity)
{
	struct peer_identity *counted = (struct peer_identity *)identity;

	if (counted != NULL && atomic_fetch_sub_explicit(&counted->refs, 1, memory_order_acq_rel) == 1)
		free(counted);
}
