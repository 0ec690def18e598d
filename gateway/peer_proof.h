/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is at the other end of a TLS session: what is demanded, what was proved, and the check between the two.
 *
 *   demand (keyring.h, bridge_session.c) ──┐
 *   the peer's chain ──────────────────────┴─▶ verify.h ─▶ identity_map.h ─▶ proof
 *
 * A demand is immutable, counted by references, and complete: it outlives the snapshot that it was made from, because a
 * handshake may be under way when that is replaced. The check runs on handshake threads, each with a trust_view of its
 * own; peer_proof_hooks gives TLS what it asks for.
 *
 * A client that proved to be somebody of a legacy PKI gets its SPIFFE ID from the identity map here, and, where the
 * embedded CA owns the mapped trust domain, a certificate to be presented in its name (terms). Both happen here,
 * because both may cost a signature.
 *
 * Resumption. A ticket holds the peer's certificates, and they are verified again when it comes back: from the cache of
 * verified chains as a rule, but by the trust, the time, the revocation lists and the map of that moment.
 */
#ifndef POSTERN_GATEWAY_PEER_PROOF_H
#define POSTERN_GATEWAY_PEER_PROOF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "certs/cert_error.h"
#include "certs/identity.h"
#include "certs/identity_map.h"
#include "certs/issuer.h"
#include "certs/trust.h"
#include "dataplane/reason.h"
#include "gateway/tls_engine.h"
#include "platform/text.h"

struct peer_register;

/* The identity maps of one federation, for as long as somebody may ask them. Immutable, counted by references. */
struct peer_book {
	atomic_uint refs;
	struct identity_map map;
	void *memory; /* the rules' texts */
};
struct peer_book *peer_book_take(struct peer_book *book);
void peer_book_drop(struct peer_book *book);

/* Whose word counts. */
enum peer_anchors {
	PEER_ANCHORS_DOMAINS, /* the bundle of the trust domain that its SPIFFE ID names */
	PEER_ANCHORS_PKI      /* a PKI of that name in the trust; clients of it are mapped */
};

struct peer_demand {
	atomic_uint refs;
	enum peer_anchors anchors;
	enum peer_role role; /* the peer's */
	const char *pki;     /* of ANCHORS_PKI */
	/* One of these, exactly: SPIFFE IDs, or host names. */
	const char *const *names;
	unsigned n_names;
	/* Without names, of a server with a SPIFFE ID: domain/ns/space/sa/account; account "": any. */
	const char *domain, *space, *account;
	struct peer_book *book;  /* a reference; NULL: clients aren't mapped */
	struct issuer *issuer;   /* NULL: nobody is issued anything */
	const char *const *owns; /* the trust domains that it has, NULL-terminated */
	struct text policy;      /* all of the above but for maps and issuing, for what may be resumed */
	void *memory;
};

/* What a demand is made of; everything is copied. */
struct peer_demand_source {
	enum peer_anchors anchors;
	enum peer_role role;
	const char *pki;
	const char *const *names;
	unsigned n_names;
	const char *domain, *space, *account;
	struct peer_book *book; /* NULL: clients aren't mapped */
	struct issuer *issuer;
	const char *const *owns;
};
/* With one reference. */
struct peer_demand *peer_demand_new(const struct peer_demand_source *source);
struct peer_demand *peer_demand_take(struct peer_demand *demand);
void peer_demand_drop(struct peer_demand *demand);

/* What a session's peer has proved; the owner of its tls_session. All zero but demand at first. */
struct peer_proof {
	struct peer_demand *demand;     /* a reference; NULL: no certificate is asked for */
	struct peer_identity *identity; /* mapped, where there is a map; NULL: nothing proved */
	struct peer_record *record;     /* of what was verified, in the register; NULL like identity */
	struct tls_terms *terms;        /* for speaking in a mapped client's name; NULL: nothing was issued */
	enum cert_error error;          /* why it was refused */
};
/* Nothing is proved any more; the demand stays. */
void peer_proof_forget(struct peer_proof *proof, struct peer_register *peers);
/* Gives back everything. */
void peer_proof_close(struct peer_proof *proof, struct peer_register *peers);

/* The terms on which a client speaks who presents that credential. With one reference; NULL: OpenSSL can't take it. */
struct tls_terms *peer_proof_terms(const struct credential *credential);

/* For tls_engine.h: a thread's view follows slot; what is proved is entered in peers. Both outlive the engines. */
struct peer_proof_context {
	struct trust_slot *slot;
	struct peer_register *peers;
};
void peer_proof_hooks(struct peer_proof_context *context, struct tls_hooks *hooks);

/* What a refusal is called where packets are counted. */
enum reason peer_proof_reason(enum cert_error error);

#endif
