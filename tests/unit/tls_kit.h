/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of TLS share: certificates made on the spot, a table of hooks whose answers the test sets, two
 * sessions back to back in memory.
 *
 * One pool of packets for all; kit_done says whether every buffer has come back.
 */
#ifndef POSTERN_TESTS_UNIT_TLS_KIT_H
#define POSTERN_TESTS_UNIT_TLS_KIT_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/tls_engine.h"
#include "gateway/tls_session.h"
#include "tests/sim/rig.h"

enum { KIT_PACKETS = 8191, KIT_CHAIN_MAX = 8, KIT_NOW = 1800000000 };

enum kit_key { KIT_P256, KIT_P384, KIT_ED25519, KIT_RSA, KIT_KEYS };

/* A certificate with its key, and what is sent with it. */
struct kit_cert {
	X509 *certificate;
	EVP_PKEY *key;
	uint8_t *der[KIT_CHAIN_MAX];
	struct tls_bytes chain[KIT_CHAIN_MAX], key_der;
	unsigned n_chain;
	struct tls_credential credential;
};

/* The owner of a session. */
struct kit_side {
	struct tls_session session;
	char peer[64];    /* common name of whom verify or restore found */
	unsigned n_chain; /* certificates that verify saw */
	struct mbuf_queue plain;
};

/* What the hooks answer, and what they were asked. */
struct kit_trust {
	enum reason verdict;
	uint64_t generation;
	bool stale; /* restore: no */
	size_t saves_too_much;
	unsigned n_verified, n_restored;
};

static struct rte_mempool *kit_pool;
static struct kit_trust kit_trust;
static struct tls_io kit_io;

static inline void
kit_check(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "kit: %s\n", what);
	ERR_print_errors_fp(stderr);
	abort();
}

static inline void
kit_start(void)
{
	kit_trust = (struct kit_trust){.generation = 1};
	if (kit_pool != NULL)
		return;
	kit_check(rig_start_eal(128), "EAL");
	kit_pool = rte_pktmbuf_pool_create("tls", KIT_PACKETS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	kit_check(kit_pool != NULL, "pool");
	kit_io.pool = kit_pool;
}

/* How many buffers are missing. */
static inline unsigned
kit_lost(void)
{
	return rte_mempool_in_use_count(kit_pool);
}

/* --- certificates --- */

static inline EVP_PKEY *
kit_key_new(enum kit_key kind)
{
	switch (kind) {
	case KIT_P256:
		return EVP_EC_gen("P-256");
	case KIT_P384:
		return EVP_EC_gen("P-384");
	case KIT_ED25519:
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	default:
		return EVP_RSA_gen(2048);
	}
}

static inline void
kit_extension(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	kit_check(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, "extension");
	X509_EXTENSION_free(extension);
}

/* Signed by issuer, or by itself; sent with the issuer's chain if the issuer isn't a root. names: "DNS:a,DNS:b" or
 * NULL. comment_bytes: makes it so much longer. */
static inline void
kit_cert_make(struct kit_cert *cert, const char *name, enum kit_key kind, const struct kit_cert *issuer,
	      const char *names, size_t comment_bytes)
{
	static long serial = 1;
	X509 *x = X509_new();

	*cert = (struct kit_cert){.certificate = x, .key = kit_key_new(kind)};
	kit_check(cert->key != NULL, "key");
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(issuer == NULL ? x : issuer->certificate));
	X509_set_pubkey(x, cert->key);
	kit_extension(x, NID_basic_constraints, names == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (names != NULL && names[0] != '\0')
		kit_extension(x, NID_subject_alt_name, names);
	if (comment_bytes != 0) {
		char *comment = malloc(comment_bytes + 1);
		memset(comment, 'c', comment_bytes);
		comment[comment_bytes] = '\0';
		kit_extension(x, NID_netscape_comment, comment);
		free(comment);
	}
	EVP_PKEY *signer = issuer == NULL ? cert->key : issuer->key;
	const EVP_MD *digest = EVP_PKEY_is_a(signer, "ED25519") ? NULL : EVP_sha256();
	kit_check(X509_sign(x, signer, digest) > 0, "signature");

	int n = i2d_X509(x, &cert->der[0]);
	cert->chain[cert->n_chain++] = (struct tls_bytes){cert->der[0], (size_t)n};
	for (unsigned i = 0; issuer != NULL && issuer->n_chain + 1 < KIT_CHAIN_MAX && i < issuer->n_chain; i++)
		cert->chain[cert->n_chain++] = issuer->chain[i];
	uint8_t *key_der = NULL;
	n = i2d_PrivateKey(cert->key, &key_der);
	cert->key_der = (struct tls_bytes){key_der, (size_t)n};
	cert->credential =
		(struct tls_credential){.chain = cert->chain, .n_chain = cert->n_chain, .key = cert->key_der};
}

static inline void
kit_cert_free(struct kit_cert *cert)
{
	X509_free(cert->certificate);
	EVP_PKEY_free(cert->key);
	OPENSSL_free(cert->der[0]);
	OPENSSL_free((void *)(uintptr_t)cert->key_der.bytes);
	*cert = (struct kit_cert){0};
}

/* --- hooks --- */

static inline uint64_t
kit_generation(void *thread)
{
	return ((struct kit_trust *)thread)->generation;
}

static inline void *
kit_thread_open(void *context, OSSL_LIB_CTX *libctx)
{
	(void)libctx;
	return context;
}

static inline enum reason
kit_verify(void *thread, struct tls_session *session, STACK_OF(X509) *chain, int64_t now)
{
	struct kit_trust *trust = thread;
	struct kit_side *side = session->owner;
	(void)now;

	trust->n_verified++;
	side->n_chain = (unsigned)sk_X509_num(chain);
	X509_NAME_get_text_by_NID(X509_get_subject_name(sk_X509_value(chain, 0)), NID_commonName, side->peer,
				  sizeof(side->peer));
	return trust->verdict;
}

static inline size_t
kit_save(const struct tls_session *session, uint8_t *to, size_t room)
{
	const struct kit_side *side = session->owner;
	size_t length = strlen(side->peer);

	if (kit_trust.saves_too_much != 0)
		return kit_trust.saves_too_much;
	if (length <= room)
		memcpy(to, side->peer, length);
	return length;
}

static inline bool
kit_restore(void *thread, struct tls_session *session, const uint8_t *bytes, size_t length, int64_t now)
{
	struct kit_trust *trust = thread;
	struct kit_side *side = session->owner;
	(void)now;

	trust->n_restored++;
	snprintf(side->peer, sizeof(side->peer), "%.*s", (int)length, (const char *)bytes);
	return !trust->stale;
}

static const struct tls_hooks kit_hooks = {.thread_open = kit_thread_open,
					   .generation = kit_generation,
					   .verify = kit_verify,
					   .save = kit_save,
					   .restore = kit_restore,
					   .context = &kit_trust};

static inline struct tls_engine *
kit_engine(void)
{
	static const uint8_t seed[TLS_TICKET_SEED] = {7};
	struct tls_engine *engine = tls_engine_new(&kit_hooks, seed, KIT_NOW);

	kit_check(engine != NULL, "engine");
	return engine;
}

/* --- two sides --- */

static inline void
kit_open(struct kit_side *side, struct tls_terms *terms, const char *server_name, const char *alpn)
{
	struct tls_ask ask = {.server_name = server_name,
			      .alpn = (const uint8_t *)alpn,
			      .alpn_length = (uint16_t)(alpn == NULL ? 0 : strlen(alpn))};

	*side = (struct kit_side){0};
	tls_session_open(&side->session, terms, &ask, side);
}

static inline void
kit_close(struct kit_side *side)
{
	mbuf_queue_clear(&side->plain);
	tls_session_close(&side->session);
}

/* n bytes at most go from one to the other. Returns how many. */
static inline uint32_t
kit_carry(struct kit_side *from, struct kit_side *to, uint32_t n)
{
	uint8_t bytes[4096];
	uint32_t carried = 0;

	while (carried < n) {
		uint32_t piece = n - carried < sizeof(bytes) ? n - carried : sizeof(bytes);
		uint32_t got = mbuf_queue_read(&from->session.bio.out, bytes, piece);
		if (got == 0)
			break;
		kit_check(mbuf_queue_write(&to->session.bio.in, kit_pool, bytes, got) == got, "room");
		carried += got;
	}
	return carried;
}

/* One step of a handshake as the pool does it: with spare buffers, and without the pool. */
static inline enum tls_progress
kit_step(struct kit_side *side, struct tls_engine *engine)
{
	struct tls_session *session = &side->session;

	tls_bio_lend(&session->bio, kit_pool, 8192);
	session->bio.pool = NULL;
	session->progress = (uint8_t)tls_session_handshake(session, engine);
	tls_bio_reclaim(&session->bio);
	return session->progress;
}

/* Takes both through the handshake, with the bytes in pieces of `cut`, until both are done, one has failed, or neither
 * gets on. True: both are established. */
static inline bool
kit_handshake(struct kit_side *client, struct kit_side *server, struct tls_engine *engine, uint32_t cut)
{
	kit_step(client, engine);
	for (;;) {
		uint32_t moved = kit_carry(client, server, cut);
		if (moved != 0 && !server->session.established && server->session.progress != TLS_FAILED)
			kit_step(server, engine);
		uint32_t back = kit_carry(server, client, cut);
		if (back != 0 && !client->session.established && client->session.progress != TLS_FAILED)
			kit_step(client, engine);
		bool wants = client->session.progress == TLS_WANT_ROOM || server->session.progress == TLS_WANT_ROOM;
		if (client->session.progress == TLS_WANT_ROOM)
			kit_step(client, engine);
		if (server->session.progress == TLS_WANT_ROOM)
			kit_step(server, engine);
		if (moved + back == 0 && !wants)
			return client->session.established && server->session.established;
	}
}

static inline struct tls_terms *
kit_server_terms(const struct kit_cert *cert, enum tls_verify verify, enum tls_version oldest, enum tls_version newest)
{
	struct tls_terms *terms = tls_terms_new(&(struct tls_terms_source){.role = TLS_SERVER,
									   .verify = verify,
									   .oldest = oldest,
									   .newest = newest,
									   .credentials = &cert->credential,
									   .n_credentials = 1,
									   .policy = "listener"});
	kit_check(terms != NULL, "server's terms");
	return terms;
}

/* cert: NULL: none. */
static inline struct tls_terms *
kit_client_terms(const struct kit_cert *cert, const char *policy)
{
	struct tls_terms *terms =
		tls_terms_new(&(struct tls_terms_source){.role = TLS_CLIENT,
							 .verify = TLS_VERIFY_REQUIRED,
							 .oldest = TLS_1_2,
							 .newest = TLS_1_3,
							 .credentials = cert == NULL ? NULL : &cert->credential,
							 .n_credentials = cert != NULL,
							 .policy = policy});
	kit_check(terms != NULL, "client's terms");
	return terms;
}

/* Puts n bytes of a pattern behind what side has to write; writes it; lets the other read it in one piece of `cut`
 * after the other. True: it came whole. */
static inline bool
kit_talk(struct kit_side *from, struct kit_side *to, uint32_t n, uint32_t cut)
{
	uint8_t *sent = malloc(n), *got = malloc(n);
	enum tls_progress progress = TLS_WANT_INPUT;

	for (uint32_t i = 0; i < n; i++)
		sent[i] = (uint8_t)(i * 7 + (i >> 8));
	mbuf_queue_write(&from->plain, kit_pool, sent, n);
	bool fine = tls_session_write(&from->session, &kit_io, &from->plain) == TLS_DONE;
	while (kit_carry(from, to, cut) != 0 && progress == TLS_WANT_INPUT)
		progress = tls_session_read(&to->session, &kit_io, &to->plain, n + 1);
	fine &= progress == TLS_WANT_INPUT && to->plain.bytes == n;
	fine &= mbuf_queue_read(&to->plain, got, n) == n && memcmp(sent, got, n) == 0;
	free(sent);
	free(got);
	return fine;
}

#endif
