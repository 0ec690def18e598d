/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is trusted, at one moment: a bundle for each trust domain, anchors and revocation lists for each legacy PKI.
 *
 * Built by control, then sealed, immutable, counted by references; read by every thread through a struct trust_view of
 * its own, which has OpenSSL's form of it (X509 objects in that thread's OSSL_LIB_CTX), made when it is first
 * needed, and the cache of verified chains. A change of anything (bundle, CRL, PKI) is a new struct trust with a higher
 * generation; bundles and lists that didn't change are shared with the one before.
 *
 *	struct trust *trust = trust_new(generation);
 *	trust_add_domain(trust, "core.telco.example", 18, bundle); …
 *	trust_add_pki(trust, "corp", anchors, crls, TRUST_REVOCATION_REQUIRED); …
 *	trust_seal(trust);                       ask trust_warnings
 *	trust_slot_publish(&slot, trust);        threads: trust_view_follow(view, &slot) before they verify
 *
 * Roots are never pooled: a chain is verified with the authorities of the one trust domain that its SPIFFE ID names. So
 * that this means something, no key may speak for two domains. trust_seal leaves out
 *	an authority whose own SPIFFE ID (SPIRE writes it into its CAs) names another domain that is configured: bundles
 *were swapped, or somebody claims another's CA. Its true domain keeps it. CERT_AUTHORITY_FOREIGN an authority whose key
 *other domains have too, in all of them but the local one, which keeps its own. CERT_AUTHORITY_SHARED and verification
 *refuses a chain that passes through a CA which is another domain's authority: a root of A's that signed B's CA doesn't
 *let B speak for A. CERT_CHAIN_FOREIGN
 */
#ifndef POSTERN_CERTS_TRUST_H
#define POSTERN_CERTS_TRUST_H

#include <openssl/types.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/bundle.h"
#include "certs/cert_error.h"
#include "certs/crl.h"

/* What a legacy PKI's revocation lists decide. */
enum trust_revocation {
	TRUST_REVOCATION_OFF,       /* no list is looked at */
	TRUST_REVOCATION_IF_LISTED, /* a CA without a (current) list of its own revokes nobody: fails open */
	TRUST_REVOCATION_REQUIRED   /* each CA of a chain, its root's subordinates included, must have a current list */
};

struct trust;

/* With one reference, the caller's; NULL when there is no memory. generation: not 0, and another for each that is
 * published; views tell them apart by it. */
struct trust *trust_new(uint64_t generation);
/* Both take a reference to what they are given, and copy names. Only before trust_seal. CERT_DOMAIN_TWICE,
 * CERT_PKI_TWICE, the errors of spiffe_domain_check, CERT_MEMORY. crls may be NULL. */
enum cert_error trust_add_domain(struct trust *trust, const char *domain, size_t length, const struct bundle *bundle);
enum cert_error trust_add_pki(struct trust *trust, const char *name, const struct bundle *anchors,
			      const struct crl_list *crls, enum trust_revocation revocation);
/* Which of the domains is our own; the name is copied. Before trust_seal. */
enum cert_error trust_set_local(struct trust *trust, const char *domain, size_t length);
/* Without memory the process ends, as elsewhere in control. */
void trust_seal(struct trust *trust);

struct trust *trust_take(const struct trust *trust);
void trust_drop(const struct trust *trust);
uint64_t trust_generation(const struct trust *trust);
bool trust_has_domain(const struct trust *trust, const char *domain, size_t length);
bool trust_has_pki(const struct trust *trust, const char *name);

/* An authority that was left out. */
struct trust_warning {
	enum cert_error error;      /* CERT_AUTHORITY_SHARED or CERT_AUTHORITY_FOREIGN */
	const char *domain, *other; /* of the sealed trust, NUL-terminated: left out of domain because of other */
	const uint8_t *spki_sha256; /* 32 bytes */
};
/* Calls for each; after trust_seal. */
void trust_warnings(const struct trust *trust, void (*warn)(void *context, const struct trust_warning *warning),
		    void *context);

/* Where control publishes what is in force. The lock is held for a few instructions, and only when the generation
 * changed. All zeroes but the mutex: TRUST_SLOT_INITIALIZER. */
struct trust_slot {
	pthread_mutex_t lock;
	struct trust *trust;
	_Atomic uint64_t generation;
};
#define TRUST_SLOT_INITIALIZER                                                                                         \
	{                                                                                                              \
		.lock = PTHREAD_MUTEX_INITIALIZER                                                                      \
	}

/* Takes over the caller's reference to trust (sealed, or NULL to publish none) and drops that of the one before. */
void trust_slot_publish(struct trust_slot *slot, struct trust *trust);
/* The generation in force, 0 when none: what a connection compares with the one that it was last verified under. */
static inline uint64_t
trust_slot_generation(struct trust_slot *slot)
{
	return atomic_load_explicit(&slot->generation, memory_order_acquire);
}

/* --- one thread's view --- */
struct trust_view;

enum { TRUST_VIEW_CACHE = 1024 /* verified chains that a view remembers */ };

/* libctx: the thread's, must outlive the view; NULL is the process's default one. NULL when there is no memory. */
struct trust_view *trust_view_new(OSSL_LIB_CTX *libctx);
void trust_view_free(struct trust_view *view);
/* Sees to it that the view shows what the slot has; the cache is emptied when that changed. Cheap otherwise. */
void trust_view_follow(struct trust_view *view, struct trust_slot *slot);
/* The same, for whoever has no slot. Takes a reference of its own. NULL: nothing is trusted. */
void trust_view_set(struct trust_view *view, const struct trust *trust);
/* 0 when it shows nothing. */
uint64_t trust_view_generation(const struct trust_view *view);

struct trust_view_stats {
	uint64_t hits, misses, evictions;
};
const struct trust_view_stats *trust_view_stats(const struct trust_view *view);

#endif
