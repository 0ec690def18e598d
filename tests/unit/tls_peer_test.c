/* SPDX-License-Identifier: Apache-2.0 */
/* Our sessions against OpenSSL as it is, over BIOs of its own, as client and as server; and against peers that
 * misbehave. */
#include "tests/unit/tls_kit.h"
#include "tests/unit/unit.h"

static struct kit_cert root, certs[KIT_KEYS];
static struct tls_engine *engine;
static struct kit_side ours;
static SSL_CTX *context;
static SSL *theirs;

static int
trust_anybody(int fine, X509_STORE_CTX *store)
{
	(void)fine;
	(void)store;
	return 1;
}

/* Opens both: ours as role, theirs as the other. Their context can still be changed until open_theirs. */
static void
begin(enum tls_role role, const struct kit_cert *cert, enum tls_version oldest, enum tls_version newest)
{
	struct tls_terms *terms;

	kit_start();
	if (root.certificate == NULL) {
		kit_cert_make(&root, "root", KIT_P256, NULL, NULL, 0);
		root.n_chain = 0;
		for (unsigned k = 0; k < KIT_KEYS; k++)
			kit_cert_make(&certs[k], "cert", k, &root, "DNS:cert.example", 0);
	}
	engine = kit_engine();
	cert = cert == NULL ? &certs[KIT_P256] : cert;
	terms = tls_terms_new(&(struct tls_terms_source){.role = role,
							 .verify = TLS_VERIFY_REQUIRED,
							 .oldest = oldest,
							 .newest = newest,
							 .credentials = &cert->credential,
							 .n_credentials = 1});
	kit_open(&ours, terms, "cert.example", NULL);
	tls_terms_drop(terms);
	context = SSL_CTX_new(role == TLS_SERVER ? TLS_client_method() : TLS_server_method());
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, trust_anybody);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_use_certificate(context, certs[KIT_RSA].certificate);
	SSL_CTX_use_PrivateKey(context, certs[KIT_RSA].key);
}

static void
open_theirs(void)
{
	theirs = SSL_new(context);
	SSL_set_bio(theirs, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	if (ours.session.terms->role == TLS_SERVER)
		SSL_set_connect_state(theirs);
	else
		SSL_set_accept_state(theirs);
}

static void
end(void)
{
	kit_close(&ours);
	SSL_free(theirs);
	SSL_CTX_free(context);
	theirs = NULL;
	tls_engine_free(engine);
	ERR_clear_error();
	CU_ASSERT_EQUAL(kit_lost(), 0);
}

static uint32_t
to_theirs(void)
{
	uint8_t bytes[4096];
	uint32_t n, total = 0;

	for (; (n = mbuf_queue_read(&ours.session.bio.out, bytes, sizeof(bytes))) != 0; total += n)
		BIO_write(SSL_get_rbio(theirs), bytes, (int)n);
	return total;
}

static uint32_t
to_ours(void)
{
	uint8_t bytes[4096];
	uint32_t total = 0;
	int n;

	for (; (n = BIO_read(SSL_get_wbio(theirs), bytes, sizeof(bytes))) > 0; total += (uint32_t)n)
		mbuf_queue_write(&ours.session.bio.in, kit_pool, bytes, (uint32_t)n);
	return total;
}

static enum tls_progress
read_ours(void)
{
	return tls_session_read(&ours.session, &kit_io, &ours.plain, 1 << 20);
}

/* Until both are established, or neither gets on. Ours takes at most `steps` steps. */
static bool
handshake(unsigned steps)
{
	bool moved = true;

	if (ours.session.terms->role == TLS_CLIENT)
		kit_step(&ours, engine);
	while (moved) {
		moved = to_theirs() != 0;
		SSL_do_handshake(theirs);
		if (to_ours() != 0 && !ours.session.established && ours.session.progress != TLS_FAILED && steps > 0) {
			kit_step(&ours, engine);
			steps--;
			moved = true;
		}
	}
	return ours.session.established && SSL_is_init_finished(theirs);
}

static void
test_talk(void)
{
	static uint8_t sent[100000], got[sizeof(sent)];

	for (unsigned i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 3);
	for (unsigned role = TLS_SERVER; role <= TLS_CLIENT; role++)
		for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
			for (unsigned key = 0; key < KIT_KEYS; key++) {
				size_t n = 0, total = 0;
				begin(role, &certs[key], version, version);
				open_theirs();
				CU_ASSERT_TRUE(handshake(10));
				CU_ASSERT_STRING_EQUAL(ours.peer, "cert");
				CU_ASSERT_EQUAL(SSL_write_ex(theirs, sent, sizeof(sent), &n), 1);
				to_ours();
				CU_ASSERT_EQUAL(read_ours(), TLS_WANT_INPUT);
				CU_ASSERT_EQUAL(mbuf_queue_peek(&ours.plain, 0, got, sizeof(got)), sizeof(got));
				CU_ASSERT_EQUAL(memcmp(sent, got, sizeof(sent)), 0);
				CU_ASSERT_EQUAL(tls_session_write(&ours.session, &kit_io, &ours.plain), TLS_DONE);
				CU_ASSERT_EQUAL(tls_session_finish(&ours.session, &kit_io), TLS_DONE);
				to_theirs();
				memset(got, 0, sizeof(got));
				while (SSL_read_ex(theirs, got + total, sizeof(got) - total, &n) == 1)
					total += n;
				CU_ASSERT_EQUAL(total, sizeof(sent));
				CU_ASSERT_EQUAL(memcmp(sent, got, sizeof(sent)), 0);
				CU_ASSERT_EQUAL(SSL_get_shutdown(theirs), SSL_RECEIVED_SHUTDOWN);
				SSL_shutdown(theirs);
				to_ours();
				CU_ASSERT_EQUAL(read_ours(), TLS_CLOSED);
				end();
			}
}

/* Q6: a peer that asks for a renegotiation is refused by an alert and its connection is over; as client and as server.
 */
static void
test_renegotiation(void)
{
	for (unsigned role = TLS_SERVER; role <= TLS_CLIENT; role++) {
		begin(role, NULL, TLS_1_2, TLS_1_2);
		open_theirs();
		CU_ASSERT_TRUE(handshake(10));
		CU_ASSERT_EQUAL(SSL_renegotiate(theirs), 1);
		SSL_do_handshake(theirs);
		CU_ASSERT_TRUE(to_ours() > 0);
		CU_ASSERT_EQUAL(read_ours(), TLS_FAILED);
		CU_ASSERT_EQUAL(ours.session.reason, REASON_TLS_RENEGOTIATION);
		CU_ASSERT_STRING_EQUAL(tls_alert_text(ours.session.alert_sent), "no_renegotiation");
		CU_ASSERT_TRUE(to_theirs() > 0);
		end();
	}
}

/* Updates of keys, each of which asks for one of ours, are answered; a flood of them is the end. */
static void
test_key_updates(void)
{
	uint8_t got[200];
	size_t n;

	begin(TLS_SERVER, NULL, TLS_1_3, TLS_1_3);
	open_theirs();
	CU_ASSERT_TRUE(handshake(10));
	for (unsigned i = 0; i < sizeof(got); i++) {
		uint8_t byte = (uint8_t)i;
		CU_ASSERT_EQUAL(SSL_key_update(theirs, SSL_KEY_UPDATE_REQUESTED), 1);
		CU_ASSERT_EQUAL(SSL_write_ex(theirs, &byte, 1, &n), 1);
		to_ours();
		CU_ASSERT_EQUAL(read_ours(), TLS_WANT_INPUT);
	}
	CU_ASSERT_EQUAL(ours.plain.bytes, sizeof(got));
	CU_ASSERT_EQUAL(tls_session_write(&ours.session, &kit_io, &ours.plain), TLS_DONE);
	to_theirs();
	while (SSL_read_ex(theirs, got, sizeof(got), &n) != 1 && BIO_pending(SSL_get_rbio(theirs)) != 0)
		;
	CU_ASSERT_EQUAL(n, sizeof(got));

	for (unsigned i = 0; i < TLS_CHATTER_MAX; i++) {
		SSL_key_update(theirs, SSL_KEY_UPDATE_REQUESTED);
		SSL_write_ex(theirs, "x", 1, &n);
	}
	to_ours();
	CU_ASSERT_EQUAL(read_ours(), TLS_FAILED);
	CU_ASSERT_EQUAL(ours.session.reason, REASON_TLS_CHATTER);
	end();
}

static void
inject(const void *bytes, uint32_t n)
{
	mbuf_queue_write(&ours.session.bio.in, kit_pool, bytes, n);
}

/* A fatal alert in place of the peer's next flight, at each step; in TLS 1.3 an alert in the clear that comes where all
 * is encrypted is just a bad record. */
static void
test_alerts(void)
{
	static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 80}; /* internal_error */

	for (unsigned role = TLS_SERVER; role <= TLS_CLIENT; role++)
		for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
			for (unsigned steps = 0; steps < 3; steps++) {
				begin(role, NULL, version, version);
				open_theirs();
				if (handshake(steps)) {
					end();
					continue;
				}
				mbuf_queue_clear(&ours.session.bio.in);
				inject(alert, sizeof(alert));
				CU_ASSERT_EQUAL(kit_step(&ours, engine), TLS_FAILED);
				if (ours.session.alert_received != 0) {
					CU_ASSERT_EQUAL(ours.session.reason, REASON_TLS_ALERT_RECEIVED);
					CU_ASSERT_STRING_EQUAL(tls_alert_text(ours.session.alert_received),
							       "internal_error");
				} else { /* nobody begins with an alert */
					CU_ASSERT_TRUE(role == TLS_SERVER && steps == 0);
					CU_ASSERT_EQUAL(ours.session.reason, REASON_TLS_HANDSHAKE_FAILED);
				}
				end();
			}
}

/* What can't be agreed on, and how that is called. */
static void
test_nothing_in_common(void)
{
	begin(TLS_SERVER, NULL, TLS_1_2, TLS_1_3);
	SSL_CTX_set_security_level(context, 0);
	SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
	open_theirs();
	CU_ASSERT_FALSE(handshake(10));
	CU_ASSERT_EQUAL(ours.session.reason, REASON_TLS_VERSION);
	end();

	begin(TLS_SERVER, NULL, TLS_1_2, TLS_1_3);
	SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES128-SHA256:AES128-GCM-SHA256");
	open_theirs();
	CU_ASSERT_FALSE(handshake(10));
	CU_ASSERT_EQUAL(ours.session.reason, REASON_TLS_NO_SHARED_CIPHER);
	end();

	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++) {
		begin(TLS_SERVER, NULL, version, version);
		SSL_CTX_set1_groups_list(context, "P-521");
		open_theirs();
		CU_ASSERT_FALSE(handshake(10));
		CU_ASSERT_EQUAL(ours.session.reason, REASON_TLS_NO_SHARED_CIPHER);
		end();

		begin(TLS_SERVER, NULL, version, version);
		SSL_CTX_set1_sigalgs_list(context, "rsa_pss_rsae_sha256");
		open_theirs();
		CU_ASSERT_FALSE(handshake(10));
		CU_ASSERT_EQUAL(ours.session.reason, REASON_TLS_NO_SHARED_CIPHER);
		end();
	}
}

/* Bytes that aren't a handshake, and a handshake that doesn't end. */
static void
test_nonsense(void)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: cert.example\r\n\r\n";
	static const uint8_t hello[] = {22, 3, 1, 0x40, 0, 1, 1, 0xff, 0};
	static uint8_t filling[0x4000];

	begin(TLS_SERVER, NULL, TLS_1_2, TLS_1_3);
	inject(http, sizeof(http) - 1);
	CU_ASSERT_EQUAL(kit_step(&ours, engine), TLS_FAILED);
	CU_ASSERT_EQUAL(ours.session.reason, REASON_TLS_HANDSHAKE_FAILED);
	end();

	/* A ClientHello of 130,816 bytes, in records. */
	begin(TLS_SERVER, NULL, TLS_1_2, TLS_1_3);
	inject(hello, sizeof(hello));
	inject(filling, sizeof(filling) - 4);
	for (unsigned i = 0; i < 8 && kit_step(&ours, engine) == TLS_WANT_INPUT; i++) {
		inject(hello, 5);
		inject(filling, sizeof(filling));
	}
	CU_ASSERT_EQUAL(ours.session.progress, TLS_FAILED);
	CU_ASSERT_EQUAL(ours.session.reason, REASON_TLS_HANDSHAKE_TOO_LARGE);
	CU_ASSERT_EQUAL(ours.session.bio.read, TLS_HANDSHAKE_MAX);
	end();

	/* Empty records, of which OpenSSL takes only so many. */
	begin(TLS_SERVER, NULL, TLS_1_2, TLS_1_3);
	static const uint8_t empty[] = {22, 3, 1, 0, 0};
	for (unsigned i = 0; i < 100; i++)
		inject(empty, sizeof(empty));
	CU_ASSERT_EQUAL(kit_step(&ours, engine), TLS_FAILED);
	CU_ASSERT_EQUAL(ours.session.reason, REASON_TLS_HANDSHAKE_FAILED);
	end();
}

/* Established, and then a record that is none. */
static void
test_plaintext_record(void)
{
	static const uint8_t record[] = {23, 3, 3, 0, 3, 'a', 'b', 'c'};

	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++) {
		begin(TLS_SERVER, NULL, version, version);
		open_theirs();
		CU_ASSERT_TRUE(handshake(10));
		inject(record, sizeof(record));
		CU_ASSERT_EQUAL(read_ours(), TLS_FAILED);
		CU_ASSERT_EQUAL(ours.session.reason, REASON_TLS_RECORD_BAD);
		CU_ASSERT_EQUAL(ours.plain.bytes, 0);
		end();
	}
}

/* Credentials that tls_terms_check refuses, each with its words. */
static void
test_terms_check(void)
{
	struct kit_cert cert = certs[KIT_P256], small = {0};
	char error[128] = "";
	uint8_t junk[64] = {0x30, 0x3e};

	struct tls_terms *terms = kit_server_terms(&cert, TLS_VERIFY_NONE, TLS_1_2, TLS_1_3);
	CU_ASSERT_TRUE(tls_terms_check(terms, error, sizeof(error)));
	tls_terms_drop(terms);

	cert.credential.key = certs[KIT_RSA].key_der;
	terms = kit_server_terms(&cert, TLS_VERIFY_NONE, TLS_1_2, TLS_1_3);
	CU_ASSERT_FALSE(tls_terms_check(terms, error, sizeof(error)));
	CU_ASSERT_STRING_EQUAL(error, "the private key isn't the certificate's");
	tls_terms_drop(terms);

	cert.credential.key = (struct tls_bytes){junk, sizeof(junk)};
	terms = kit_server_terms(&cert, TLS_VERIFY_NONE, TLS_1_2, TLS_1_3);
	CU_ASSERT_FALSE(tls_terms_check(terms, error, sizeof(error)));
	CU_ASSERT_STRING_EQUAL(error, "the private key can't be read");
	tls_terms_drop(terms);

	cert.credential.key = cert.key_der;
	cert.chain[0] = (struct tls_bytes){junk, sizeof(junk)};
	cert.credential.chain = cert.chain;
	terms = kit_server_terms(&cert, TLS_VERIFY_NONE, TLS_1_2, TLS_1_3);
	CU_ASSERT_FALSE(tls_terms_check(terms, error, sizeof(error)));
	CU_ASSERT_STRING_EQUAL(error, "the certificate isn't DER of an X.509 certificate");
	tls_terms_drop(terms);

	/* A key that is too short. */
	uint8_t *der = NULL;
	small.key = EVP_RSA_gen(1024);
	int n = i2d_PrivateKey(small.key, &der);
	cert = certs[KIT_P256];
	cert.credential.key = (struct tls_bytes){der, (size_t)n};
	terms = kit_server_terms(&cert, TLS_VERIFY_NONE, TLS_1_2, TLS_1_3);
	CU_ASSERT_FALSE(tls_terms_check(terms, error, sizeof(error)));
	CU_ASSERT_STRING_EQUAL(error, "the key is neither EC P-256 or P-384, Ed25519, nor RSA of 2048 bits or more");
	tls_terms_drop(terms);
	OPENSSL_free(der);
	EVP_PKEY_free(small.key);

	/* A session on such terms says so, and no more. */
	terms = kit_server_terms(&certs[KIT_P256], TLS_VERIFY_NONE, TLS_1_2, TLS_1_3);
	CU_ASSERT_PTR_NULL(tls_terms_new(&(struct tls_terms_source){.role = TLS_SERVER, .newest = TLS_1_3}));
	CU_ASSERT_PTR_NULL(tls_terms_new(&(struct tls_terms_source){.role = TLS_CLIENT, .newest = TLS_1_3}));
	tls_terms_drop(terms);
	cert.credential.key = certs[KIT_RSA].key_der;
	terms = kit_server_terms(&cert, TLS_VERIFY_NONE, TLS_1_2, TLS_1_3);
	engine = kit_engine();
	kit_open(&ours, terms, NULL, NULL);
	CU_ASSERT_EQUAL(kit_step(&ours, engine), TLS_FAILED);
	CU_ASSERT_EQUAL(ours.session.reason, REASON_TLS_OWN_CREDENTIAL);
	kit_close(&ours);
	tls_terms_drop(terms);
	tls_engine_free(engine);
}

int
main(void)
{
	const CU_TestInfo tests[] = {
		{"bytes both ways, and both ends", test_talk},
		{"Q6: renegotiation", test_renegotiation},
		{"updates of keys", test_key_updates},
		{"an alert at each step", test_alerts},
		{"nothing in common", test_nothing_in_common},
		{"nonsense", test_nonsense},
		{"a record in the clear", test_plaintext_record},
		{"credentials that are refused", test_terms_check},
		CU_TEST_INFO_NULL,
	};

	return unit_run("tls_peer", tests);
}
