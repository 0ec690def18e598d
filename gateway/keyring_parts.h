/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keyring.c, keyring_identity.c and keyring_trust.c share: a set in the making.
 *
 * Two occasions. A federation is loaded: whatever is wrong refuses it. Files changed under the federation in force
 * (before isn't NULL): what is wrong is told, and the same thing of the set before is used in its place, so that one
 * certificate that went bad doesn't keep a revocation list or another's rotation from coming into force.
 */
#ifndef POSTERN_GATEWAY_KEYRING_PARTS_H
#define POSTERN_GATEWAY_KEYRING_PARTS_H

#include "certs/bundle.h"
#include "certs/credential.h"
#include "certs/crl.h"
#include "gateway/keyring.h"

/* An embedded CA. One that the federation no longer names is kept to the end: sessions may still point to it. */
struct keyring_issuer {
	struct keyring_issuer *next;
	char *folder;
	char **owns; /* NULL-terminated */
	uint32_t lifetime_s;
	struct issuer *issuer;
};

/* What a set was made of: references, by the snapshot's indexes. NULL where there is none. */
struct keyring_parts {
	struct credential **credentials; /* with a chain */
	struct bundle **cas;             /* ca.crt of credentials that somebody verifies by */
	struct bundle **domains;         /* federated */
	struct bundle **anchors;         /* of legacy PKIs */
	struct crl_list **crls;
	struct credential *own;
	struct keyring_issuer *issuer; /* the keyring's */
};

struct loading {
	const struct snapshot *snapshot;
	struct key_set *set;
	struct keyring_parts *parts;        /* the set's */
	const struct key_set *in_force;     /* for the same snapshot; NULL: a federation is loaded */
	const struct keyring_parts *before; /* its parts; NULL likewise */
	struct keyring_issuer **issuers;    /* the keyring's list */
	struct text *error;
	int64_t now;
	bool failed;
};

/* calloc, with room for one more, or the end of the process. */
void *keyring_allocate(size_t n, size_t size);

/* Adds a line to error: where it is written (NULL: nowhere), and what is wrong. The set can't be used. */
void keyring_complain(struct loading *loading, const struct origin *origin, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same of what the set before has a good one of: then only told. */
void keyring_remark(struct loading *loading, const struct origin *origin, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The set is to be made anew at that time at the latest. */
void keyring_renew_at(struct loading *loading, int64_t at);

/* keyring_identity.c: our own SVID, the embedded CA, the credentials with a chain. */
void keyring_load_identity(struct loading *loading);
/* An SVID of the embedded CA, with one reference; NULL when there was an error. */
struct credential *keyring_issue(struct loading *loading, const struct origin *origin, const char *spiffe_id);
void keyring_issuers_free(struct keyring_issuer *issuers);

/* keyring_trust.c: makes, fills and seals set->trust. */
void keyring_load_trust(struct loading *loading, uint64_t generation);

#endif
