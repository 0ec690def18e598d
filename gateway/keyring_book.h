/* SPDX-License-Identifier: Apache-2.0 */
/* What the keyring makes of the federation's words for certs/: the book of identities, names of PKIs. */
#ifndef POSTERN_GATEWAY_KEYRING_BOOK_H
#define POSTERN_GATEWAY_KEYRING_BOOK_H

#include <stdbool.h>

#include "federation/snapshot.h"
#include "gateway/peer_proof.h"

struct text;

/* The identity maps' rules, in their order: the same indexes as in the snapshot. With one reference. Rules were checked
 * when the file was; one that certs/ refuses all the same ends the process, for it would be passed over. */
struct peer_book *keyring_book(const struct snapshot *snapshot);

/* What the CA certificates beside a credential are called in the trust: no legacy PKI can have that name. */
void keyring_pki_name(const struct credential_spec *credential, struct text *name);

/* Whether domain is in the list, which ends with NULL. */
bool keyring_owns(const char *const *domains, const char *domain);

#endif
