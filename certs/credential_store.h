/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The credentials that a federation names (tls.credentialName), each in its folder ROOT/NAME/ (credential_file.h).
 *
 * The control thread says which names are wanted, polls, and takes the set that is in force: an immutable,
 * reference-counted table by name, for other threads to look into without a lock. A set is made anew when, and only
 * when, a credential in it came, went or was replaced.
 *
 *	control thread                                        any other thread
 *	credential_store_want(names of the snapshot)
 *	each second: credential_store_poll ─▶ true ─▶ credential_set_take(store->set) ─▶ published ─▶
 *credential_set_find
 */
#ifndef POSTERN_CERTS_CREDENTIAL_STORE_H
#define POSTERN_CERTS_CREDENTIAL_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/credential_file.h"

/* Immutable, counted by references; sorted by name. */
struct credential_set {
	atomic_uint refs;
	uint64_t generation; /* grows with each set of the store */
	size_t n;
	struct credential_entry {
		const char *name; /* in the set's block */
		struct credential *credential;
	} entries[];
};

/* The credential of that name, or NULL; the set's reference holds it. Any thread, no lock. */
const struct credential *credential_set_find(const struct credential_set *set, const char *name);
struct credential_set *credential_set_take(const struct credential_set *set);
/* NULL is fine. */
void credential_set_drop(const struct credential_set *set);

/* One name that is wanted, for the log and for posternctl. */
struct credential_status {
	char *name, *directory;
	struct credential_watch watch;
};

/* Control thread only. */
struct credential_store {
	char *root;
	struct credential_set *set; /* in force; never NULL */
	struct credential_status **wanted;
	size_t n_wanted;
	OSSL_LIB_CTX *libctx;
	/* Told of each change while polling; may be NULL. */
	void (*changed)(void *context, const struct credential_status *status, enum credential_change change);
	void *context;
};

/* root: copied. False when OpenSSL can't give it a context. */
bool credential_store_open(struct credential_store *store, const char *root);
/* Whom the federation names now, each once or more. Those there already are kept as they are; others are let go. Reads
 * nothing: poll does. */
void credential_store_want(struct credential_store *store, const char *const *names, size_t n);
/* Looks at all folders. True when store->set is another one. now_ns: CLOCK_REALTIME. */
bool credential_store_poll(struct credential_store *store, int64_t now_ns);
void credential_store_close(struct credential_store *store);

#endif
