/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_session.h"

#include "tests/unit/tls_kit.h"
#include "tests/unit/unit.h"

static struct kit_cert root, intermediate, servers[KIT_KEYS], clients[KIT_KEYS];
static struct tls_engine *engine;
static struct kit_side client, server;

static void
begin(void)
{
	kit_start();
	if (root.certificate == NULL) {
		kit_cert_make(&root, "root", KIT_P256, NULL, NULL, 0);
		root.n_chain = 0; /* a root isn't sent */
		kit_cert_make(&intermediate, "intermediate", KIT_P256, &root, NULL, 0);
		for (unsigned k = 0; k < KIT_KEYS; k++) {
			kit_cert_make(&servers[k], "server", k, &intermediate, "DNS:server.example", 0);
			kit_cert_make(&clients[k], "client", k, &intermediate, "DNS:client.example", 0);
		}
	}
	engine = kit_engine();
}

static void
end(void)
{
	kit_close(&client);
	kit_close(&server);
	tls_engine_free(engine);
	CU_ASSERT_EQUAL(kit_lost(), 0);
}

/* Opens both sides; the terms live on in the sessions. */
static void
open_both(const struct kit_cert *server_cert, enum tls_verify verify, enum tls_version oldest, enum tls_version newest,
	  const struct kit_cert *client_cert)
{
	struct tls_terms *ours = kit_server_terms(server_cert, verify, oldest, newest);
	struct tls_terms *theirs = kit_client_terms(client_cert, "server");

	kit_open(&server, ours, "server.example", NULL);
	kit_open(&client, theirs, "server.example", NULL);
	tls_terms_drop(ours);
	tls_terms_drop(theirs);
}

static void
test_matrix(void)
{
	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
		for (unsigned key = 0; key < KIT_KEYS; key++)
			for (unsigned verify = TLS_VERIFY_NONE; verify <= TLS_VERIFY_REQUIRED; verify++) {
				begin();
				open_both(&servers[key], verify, version, version, &clients[key]);
				CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, UINT32_MAX));
				CU_ASSERT_STRING_EQUAL(tls_session_version(&server.session),
						       version == TLS_1_2 ? "TLSv1.2" : "TLSv1.3");
				CU_ASSERT_STRING_EQUAL(client.peer, "server");
				CU_ASSERT_EQUAL(client.n_chain, 2);
				CU_ASSERT_TRUE(client.session.verified);
				CU_ASSERT_STRING_EQUAL(server.peer, verify == TLS_VERIFY_NONE ? "" : "client");
				CU_ASSERT_EQUAL(server.session.verified, verify != TLS_VERIFY_NONE);
				CU_ASSERT_FALSE(server.session.resumed);
				CU_ASSERT_TRUE(kit_talk(&client, &server, 100, UINT32_MAX));
				CU_ASSERT_TRUE(kit_talk(&server, &client, 100000, 1400));
				end();
			}
}

/* Whatever the pieces in which bytes arrive. */
static void
test_cuts(void)
{
	static const uint32_t cuts[] = {1, 2, 3, 5, 7, 13, 64, 127, 251, 513, 1021, 1448, 2049, 4099};

	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
		for (unsigned i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
			begin();
			open_both(&servers[KIT_P256], TLS_VERIFY_REQUIRED, version, version, &clients[KIT_P256]);
			CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, cuts[i]));
			CU_ASSERT_TRUE(kit_talk(&client, &server, 20000, cuts[i]));
			CU_ASSERT_TRUE(kit_talk(&server, &client, 20000, cuts[i]));
			end();
		}
}

/* OPTIONAL lets a client without a certificate in, and says that nobody was verified; REQUIRED doesn't. */
static void
test_client_without_certificate(void)
{
	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++) {
		begin();
		open_both(&servers[KIT_P256], TLS_VERIFY_OPTIONAL, version, version, NULL);
		CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, UINT32_MAX));
		CU_ASSERT_FALSE(server.session.verified);
		end();

		begin();
		open_both(&servers[KIT_P256], TLS_VERIFY_REQUIRED, version, version, NULL);
		CU_ASSERT_FALSE(kit_handshake(&client, &server, engine, UINT32_MAX));
		CU_ASSERT_EQUAL(server.session.progress, TLS_FAILED);
		CU_ASSERT_EQUAL(server.session.reason, REASON_TLS_CLIENT_CERTIFICATE_MISSING);
		CU_ASSERT_EQUAL(engine->stats.failed[TLS_SERVER], 1);
		if (version == TLS_1_2) { /* the client hears of it in the middle of its handshake */
			CU_ASSERT_EQUAL(client.session.progress, TLS_FAILED);
			CU_ASSERT_EQUAL(client.session.reason, REASON_TLS_ALERT_RECEIVED);
			CU_ASSERT_STRING_EQUAL(tls_alert_text(client.session.alert_received), "handshake_failure");
		} else { /* it has finished, and hears of it when it reads */
			CU_ASSERT_EQUAL(tls_session_read(&client.session, &kit_io, &client.plain, 1000), TLS_FAILED);
			CU_ASSERT_EQUAL(client.session.reason, REASON_TLS_ALERT_RECEIVED);
			CU_ASSERT_STRING_EQUAL(tls_alert_text(client.session.alert_received), "certificate_required");
		}
		end();
	}
}

/* Each reason not to trust a peer has its alert, at the server as at the client. */
static void
test_untrusted(void)
{
	static const struct {
		enum reason reason;
		const char *alert;
	} cases[] = {{REASON_TLS_PEER_UNTRUSTED, "unknown_ca"},
		     {REASON_TLS_PEER_EXPIRED, "certificate_expired"},
		     {REASON_TLS_PEER_REVOKED, "certificate_revoked"},
		     {REASON_TLS_PEER_MALFORMED, "bad_certificate"},
		     {REASON_TLS_PEER_IDENTITY, "certificate_unknown"}};

	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			begin();
			kit_trust.verdict = cases[i].reason;
			open_both(&servers[KIT_P256], TLS_VERIFY_NONE, version, version, NULL);
			CU_ASSERT_FALSE(kit_handshake(&client, &server, engine, UINT32_MAX));
			CU_ASSERT_EQUAL(client.session.reason, cases[i].reason);
			CU_ASSERT_FALSE(client.session.verified);
			CU_ASSERT_STRING_EQUAL(tls_alert_text(client.session.alert_sent), cases[i].alert);
			CU_ASSERT_EQUAL(server.session.reason, REASON_TLS_ALERT_RECEIVED);
			CU_ASSERT_STRING_EQUAL(tls_alert_text(server.session.alert_received), cases[i].alert);
			end();
		}
}

static void
test_versions(void)
{
	begin();
	struct tls_terms *old = tls_terms_new(&(struct tls_terms_source){
		.role = TLS_CLIENT, .verify = TLS_VERIFY_REQUIRED, .oldest = TLS_1_2, .newest = TLS_1_2});
	struct tls_terms *new = kit_server_terms(&servers[KIT_P256], TLS_VERIFY_NONE, TLS_1_3, TLS_1_3);
	kit_open(&client, old, NULL, NULL);
	kit_open(&server, new, NULL, NULL);
	CU_ASSERT_FALSE(kit_handshake(&client, &server, engine, UINT32_MAX));
	CU_ASSERT_EQUAL(server.session.reason, REASON_TLS_VERSION);
	CU_ASSERT_STRING_EQUAL(tls_alert_text(client.session.alert_received), "protocol_version");
	CU_ASSERT_EQUAL(client.session.reason, REASON_TLS_ALERT_RECEIVED);
	tls_terms_drop(old);
	tls_terms_drop(new);
	end();
}

/* A client that is established, and isn't let in: it hears so in TLS 1.3, and nothing in TLS 1.2. */
static void
test_denied(void)
{
	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
		for (unsigned talked = 0; talked < 2; talked++) {
			begin();
			struct tls_terms *ours =
				kit_server_terms(&servers[KIT_P256], TLS_VERIFY_NONE, version, version);
			struct tls_terms *theirs = kit_client_terms(NULL, "");
			kit_open(&server, ours, NULL, NULL);
			kit_open(&client, theirs, NULL, NULL);
			CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, UINT32_MAX));
			if (talked)
				CU_ASSERT_TRUE(kit_talk(&server, &client, 100, UINT32_MAX));
			server.session.denies = true;
			CU_ASSERT_EQUAL(kit_step(&server, engine), TLS_FAILED);
			CU_ASSERT_EQUAL(kit_carry(&server, &client, UINT32_MAX) != 0, version == TLS_1_3);
			CU_ASSERT_EQUAL(tls_session_read(&client.session, &kit_io, &client.plain, 1),
					version == TLS_1_3 ? TLS_FAILED : TLS_WANT_INPUT);
			CU_ASSERT_STRING_EQUAL(tls_alert_text(client.session.alert_received),
					       version == TLS_1_3 ? "access_denied" : "");
			CU_ASSERT_STRING_EQUAL(tls_alert_text(server.session.alert_sent),
					       version == TLS_1_3 ? "access_denied" : "");
			tls_terms_drop(ours);
			tls_terms_drop(theirs);
			end();
		}
}

static void
test_alpn(void)
{
	static const struct {
		const char *offered, *accepted, *agreed; /* agreed: NULL: refused */
	} cases[] = {{"\2h2\10http/1.1", "\2h2\10http/1.1", "h2"},
		     {"\2h2\10http/1.1", "\10http/1.1\2h2", "http/1.1"}, /* the server's order */
		     {"\2h2\10http/1.1", "\10http/1.1", "http/1.1"},
		     {"\2h2", NULL, ""},
		     {NULL, "\2h2", ""},
		     {"\2h2", "\10http/1.1", NULL}};

	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			begin();
			struct tls_terms *ours =
				kit_server_terms(&servers[KIT_P256], TLS_VERIFY_NONE, version, version);
			struct tls_terms *theirs = kit_client_terms(NULL, "");
			kit_open(&server, ours, NULL, cases[i].accepted);
			kit_open(&client, theirs, NULL, cases[i].offered);
			bool established = kit_handshake(&client, &server, engine, UINT32_MAX);
			CU_ASSERT_EQUAL(established, cases[i].agreed != NULL);
			if (established) {
				struct tls_bytes at_client = tls_session_alpn(&client.session);
				struct tls_bytes at_server = tls_session_alpn(&server.session);
				CU_ASSERT_EQUAL(at_client.length, strlen(cases[i].agreed));
				CU_ASSERT_EQUAL(at_server.length, strlen(cases[i].agreed));
				CU_ASSERT_EQUAL(memcmp(at_client.bytes == NULL ? "" : (const char *)at_client.bytes,
						       cases[i].agreed, at_client.length),
						0);
			} else {
				CU_ASSERT_EQUAL(server.session.reason, REASON_TLS_NO_SHARED_PROTOCOL);
				CU_ASSERT_STRING_EQUAL(tls_alert_text(client.session.alert_received),
						       "no_application_protocol");
			}
			tls_terms_drop(ours);
			tls_terms_drop(theirs);
			end();
		}
}

/* The server's name picks the credential: exact before wildcard before the first one. */
static void
test_server_names(void)
{
	static const struct {
		const char *name, *served;
	} cases[] = {{"a.example", "a"},         {"b.example", "b"},
		     {"x.wild.example", "wild"}, {"one.wild.example", "one"},
		     {"x.y.wild.example", "a"},  {"wild.example", "a"},
		     {"nobody.example", "a"},    {NULL, "a"}};
	struct kit_cert certs[4];
	struct tls_credential credentials[4];

	begin();
	kit_cert_make(&certs[0], "a", KIT_P256, &intermediate, "DNS:a.example", 0);
	kit_cert_make(&certs[1], "b", KIT_RSA, &intermediate, "DNS:c.example,DNS:b.example", 0);
	kit_cert_make(&certs[2], "wild", KIT_P256, &intermediate, "DNS:*.wild.example", 0);
	kit_cert_make(&certs[3], "one", KIT_ED25519, &intermediate, "DNS:one.wild.example", 0);
	for (unsigned i = 0; i < 4; i++)
		credentials[i] = certs[i].credential;
	struct tls_terms *ours = tls_terms_new(&(struct tls_terms_source){
		.role = TLS_SERVER, .newest = TLS_1_3, .credentials = credentials, .n_credentials = 4});
	struct tls_terms *theirs = kit_client_terms(NULL, "");
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kit_open(&server, ours, cases[i].name, NULL);
		kit_open(&client, theirs, cases[i].name, NULL);
		CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, UINT32_MAX));
		CU_ASSERT_STRING_EQUAL(client.peer, cases[i].served);
		kit_close(&server);
		kit_close(&client);
	}
	/* a, b, wild, one; and the client's. */
	CU_ASSERT_EQUAL(engine->contexts.made, 5);
	tls_terms_drop(ours);
	tls_terms_drop(theirs);
	for (unsigned i = 0; i < 4; i++)
		kit_cert_free(&certs[i]);
	end();
}

/* Terms that are made again with the same content use the same context; what is no longer used makes room. */
static void
test_contexts(void)
{
	begin();
	for (unsigned i = 0; i < 3; i++) {
		open_both(&servers[KIT_P256], TLS_VERIFY_NONE, TLS_1_3, TLS_1_3, NULL);
		CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, UINT32_MAX));
		CU_ASSERT_EQUAL(engine->contexts.made, 2);
		kit_close(&client);
		kit_close(&server);
	}
	struct kit_cert own;
	kit_cert_make(&own, "own", KIT_P256, &intermediate, "DNS:own.example", 0);
	for (unsigned i = 0; i < TLS_SETS_MAX + 10; i++) {
		struct kit_cert other = own;
		other.chain[1] = (struct tls_bytes){intermediate.der[0], intermediate.chain[0].length};
		other.n_chain = 1 + i % 2;
		other.credential = (struct tls_credential){other.chain, other.n_chain, other.key_der};
		struct tls_terms *terms = kit_server_terms(&other, i / 2 % 3, TLS_1_2, TLS_1_3);
		CU_ASSERT_PTR_NOT_NULL(tls_contexts_find(&engine->contexts, terms, NULL));
		tls_terms_drop(terms);
	}
	CU_ASSERT_EQUAL(engine->contexts.n, 2 + 6);
	kit_cert_free(&own);
	end();
}

/* Both directions end by themselves. */
static void
test_half_close(void)
{
	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++) {
		begin();
		open_both(&servers[KIT_P256], TLS_VERIFY_NONE, version, version, NULL);
		CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, UINT32_MAX));
		CU_ASSERT_EQUAL(tls_session_finish(&client.session, &kit_io), TLS_DONE);
		CU_ASSERT_EQUAL(tls_session_finish(&client.session, &kit_io), TLS_DONE);
		kit_carry(&client, &server, UINT32_MAX);
		server.session.bio.in_ended = true; /* FIN right behind it */
		CU_ASSERT_EQUAL(tls_session_read(&server.session, &kit_io, &server.plain, 1000), TLS_CLOSED);
		CU_ASSERT_EQUAL(tls_session_read(&server.session, &kit_io, &server.plain, 1000), TLS_CLOSED);
		CU_ASSERT_TRUE(kit_talk(&server, &client, 50000, 1448));
		CU_ASSERT_EQUAL(tls_session_finish(&server.session, &kit_io), TLS_DONE);
		kit_carry(&server, &client, UINT32_MAX);
		CU_ASSERT_EQUAL(tls_session_read(&client.session, &kit_io, &client.plain, 1000), TLS_CLOSED);
		end();
	}
}

/* FIN without close_notify, between records and inside one. */
static void
test_truncation(void)
{
	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
		for (uint32_t cut = 0; cut < 500; cut += 1 + cut / 7) {
			begin();
			open_both(&servers[KIT_P256], TLS_VERIFY_NONE, version, version, NULL);
			CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, UINT32_MAX));
			uint8_t bytes[500] = {1};
			mbuf_queue_write(&client.plain, kit_pool, bytes, sizeof(bytes));
			CU_ASSERT_EQUAL(tls_session_write(&client.session, &kit_io, &client.plain), TLS_DONE);
			kit_carry(&client, &server, cut);
			server.session.bio.in_ended = true;
			CU_ASSERT_EQUAL(tls_session_read(&server.session, &kit_io, &server.plain, 1000), TLS_FAILED);
			CU_ASSERT_EQUAL(server.session.reason, REASON_TLS_RECORD_TRUNCATED);
			CU_ASSERT_EQUAL(server.plain.bytes, 0);
			/* An answer can't be sent any more, for that same reason. */
			mbuf_queue_write(&server.plain, kit_pool, bytes, sizeof(bytes));
			CU_ASSERT_EQUAL(tls_session_write(&server.session, &kit_io, &server.plain), TLS_FAILED);
			CU_ASSERT_EQUAL(server.session.reason, REASON_TLS_RECORD_TRUNCATED);
			end();
		}
}

/* A peer that goes away at any byte of its handshake. */
static void
test_handshake_truncated(void)
{
	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
		for (uint32_t cut = 1; cut < 4000; cut += 1 + cut / 9) {
			begin();
			open_both(&servers[KIT_P256], TLS_VERIFY_REQUIRED, version, version, &clients[KIT_P256]);
			kit_step(&client, engine);
			uint32_t left = cut;
			while (left > 0 && server.session.progress != TLS_DONE) {
				uint32_t n = kit_carry(&client, &server, left);
				if (n == 0)
					break;
				left -= n;
				kit_step(&server, engine);
				if (kit_carry(&server, &client, UINT32_MAX) != 0 && !client.session.established)
					kit_step(&client, engine);
			}
			if (server.session.established) {
				end();
				break;
			}
			server.session.bio.in_ended = true;
			CU_ASSERT_EQUAL(kit_step(&server, engine), TLS_FAILED);
			CU_ASSERT_EQUAL(server.session.reason, REASON_TLS_HANDSHAKE_CLOSED);
			end();
		}
}

/* A byte of a record that was changed on the way. */
static void
test_damaged_record(void)
{
	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
		for (unsigned at = 5; at < 120; at += 9) {
			begin();
			open_both(&servers[KIT_P256], TLS_VERIFY_NONE, version, version, NULL);
			CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, UINT32_MAX));
			uint8_t bytes[100] = {1};
			mbuf_queue_write(&client.plain, kit_pool, bytes, sizeof(bytes));
			CU_ASSERT_EQUAL(tls_session_write(&client.session, &kit_io, &client.plain), TLS_DONE);
			rte_pktmbuf_mtod(client.session.bio.out.head, uint8_t *)[at] ^= 4;
			kit_carry(&client, &server, UINT32_MAX);
			CU_ASSERT_EQUAL(tls_session_read(&server.session, &kit_io, &server.plain, 1000), TLS_FAILED);
			CU_ASSERT_EQUAL(server.session.reason, REASON_TLS_RECORD_BAD);
			CU_ASSERT_STRING_EQUAL(tls_alert_text(server.session.alert_sent), "bad_record_mac");
			kit_carry(&server, &client, UINT32_MAX);
			CU_ASSERT_EQUAL(tls_session_read(&client.session, &kit_io, &client.plain, 1000), TLS_FAILED);
			CU_ASSERT_EQUAL(client.session.reason, REASON_TLS_ALERT_RECEIVED);
			end();
		}
}

/* Bytes of a handshake that were changed: never established, always a reason, whichever byte. */
static void
test_damaged_handshake(void)
{
	unsigned at, n_failed = 0;

	for (at = 0; at < 600; at += 3) {
		begin();
		open_both(&servers[KIT_P256], TLS_VERIFY_REQUIRED, TLS_1_2, TLS_1_3, &clients[KIT_P256]);
		kit_step(&client, engine);
		kit_carry(&client, &server, UINT32_MAX);
		kit_step(&server, engine);
		if (at < server.session.bio.out.bytes) {
			rte_pktmbuf_mtod(server.session.bio.out.head, uint8_t *)[at] ^= 0x20;
			CU_ASSERT_FALSE(kit_handshake(&client, &server, engine, UINT32_MAX));
			if (client.session.progress == TLS_FAILED) {
				CU_ASSERT_NOT_EQUAL(client.session.reason, REASON_NONE);
				n_failed++;
			}
		}
		end();
	}
	CU_ASSERT_TRUE(n_failed > 150);
}

/* More certificates than anybody needs. */
static void
test_huge_chain(void)
{
	static const size_t sizes[] = {20000, 50000, 60000, 66000, 200000};
	struct kit_cert huge;

	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			begin();
			kit_cert_make(&huge, "huge", KIT_P256, &root, "DNS:huge.example", sizes[i]);
			open_both(&servers[KIT_P256], TLS_VERIFY_REQUIRED, version, version, &huge);
			bool small = sizes[i] < 66000;
			CU_ASSERT_EQUAL(kit_handshake(&client, &server, engine, UINT32_MAX), small);
			if (!small) {
				CU_ASSERT_EQUAL(server.session.reason, REASON_TLS_HANDSHAKE_TOO_LARGE);
				CU_ASSERT_TRUE(server.session.bio.read <= TLS_HANDSHAKE_MAX);
			}
			kit_cert_free(&huge);
			end();
		}
}

/* No buffers at all, and then some. */
static void
test_no_room(void)
{
	struct rte_mbuf *taken[KIT_PACKETS];
	unsigned n;

	begin();
	open_both(&servers[KIT_P256], TLS_VERIFY_NONE, TLS_1_2, TLS_1_3, NULL);
	CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, UINT32_MAX));
	uint8_t bytes[30000] = {1};
	mbuf_queue_write(&client.plain, kit_pool, bytes, sizeof(bytes));
	for (n = 0; (taken[n] = rte_pktmbuf_alloc(kit_pool)) != NULL; n++)
		;
	CU_ASSERT_EQUAL(tls_session_write(&client.session, &kit_io, &client.plain), TLS_WANT_ROOM);
	CU_ASSERT_EQUAL(client.plain.bytes, sizeof(bytes));
	/* A few at a time. */
	while (n > 0) {
		unsigned some = n < 3 ? n : 3;
		for (; some > 0; some--)
			rte_pktmbuf_free(taken[--n]);
		if (tls_session_write(&client.session, &kit_io, &client.plain) == TLS_DONE)
			break;
	}
	CU_ASSERT_EQUAL(client.plain.bytes, 0);
	while (n > 0)
		rte_pktmbuf_free(taken[--n]);
	kit_carry(&client, &server, UINT32_MAX);
	CU_ASSERT_EQUAL(tls_session_read(&server.session, &kit_io, &server.plain, 40000), TLS_WANT_INPUT);
	CU_ASSERT_EQUAL(server.plain.bytes, sizeof(bytes));
	end();
}

/* Reading stops at the limit and goes on behind it. */
static void
test_limit(void)
{
	begin();
	open_both(&servers[KIT_P256], TLS_VERIFY_NONE, TLS_1_2, TLS_1_3, NULL);
	CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, UINT32_MAX));
	uint8_t bytes[30000] = {1};
	mbuf_queue_write(&client.plain, kit_pool, bytes, sizeof(bytes));
	CU_ASSERT_EQUAL(tls_session_write(&client.session, &kit_io, &client.plain), TLS_DONE);
	kit_carry(&client, &server, UINT32_MAX);
	CU_ASSERT_EQUAL(tls_session_read(&server.session, &kit_io, &server.plain, 100), TLS_WANT_ROOM);
	CU_ASSERT_EQUAL(server.plain.bytes, 100);
	CU_ASSERT_EQUAL(tls_session_read(&server.session, &kit_io, &server.plain, 20001), TLS_WANT_ROOM);
	CU_ASSERT_EQUAL(server.plain.bytes, 20001);
	CU_ASSERT_EQUAL(tls_session_read(&server.session, &kit_io, &server.plain, 30001), TLS_WANT_INPUT);
	CU_ASSERT_EQUAL(server.plain.bytes, 30000);
	end();
}

/* From one session to another without a queue in between. */
static void
test_relay(void)
{
	static struct kit_side next, last;

	begin();
	open_both(&servers[KIT_P256], TLS_VERIFY_NONE, TLS_1_2, TLS_1_3, NULL);
	CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, UINT32_MAX));
	struct tls_terms *ours = kit_server_terms(&servers[KIT_RSA], TLS_VERIFY_NONE, TLS_1_2, TLS_1_2);
	struct tls_terms *theirs = kit_client_terms(NULL, "last");
	kit_open(&last, ours, NULL, NULL);
	kit_open(&next, theirs, NULL, NULL);
	tls_terms_drop(ours);
	tls_terms_drop(theirs);
	CU_ASSERT_TRUE(kit_handshake(&next, &last, engine, UINT32_MAX));

	uint8_t sent[100000], got[sizeof(sent)];
	for (unsigned i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i ^ (i >> 7));
	mbuf_queue_write(&client.plain, kit_pool, sent, sizeof(sent));
	CU_ASSERT_EQUAL(tls_session_write(&client.session, &kit_io, &client.plain), TLS_DONE);
	CU_ASSERT_EQUAL(tls_session_finish(&client.session, &kit_io), TLS_DONE);
	enum tls_progress progress = TLS_WANT_INPUT;
	while (kit_carry(&client, &server, 5000) != 0) {
		do {
			progress = tls_session_relay(&server.session, &next.session, &kit_io, 16384);
		} while (progress == TLS_WANT_ROOM);
	}
	CU_ASSERT_EQUAL(progress, TLS_CLOSED);
	CU_ASSERT_EQUAL(tls_session_finish(&next.session, &kit_io), TLS_DONE);
	kit_carry(&next, &last, UINT32_MAX);
	CU_ASSERT_EQUAL(tls_session_read(&last.session, &kit_io, &last.plain, 200000), TLS_CLOSED);
	CU_ASSERT_EQUAL(mbuf_queue_read(&last.plain, got, sizeof(got)), sizeof(got));
	CU_ASSERT_EQUAL(memcmp(sent, got, sizeof(got)), 0);
	kit_close(&next);
	kit_close(&last);
	end();
}

int
main(void)
{
	const CU_TestInfo tests[] = {
		{"versions, key types, verification", test_matrix},
		{"bytes in pieces of every size", test_cuts},
		{"a client without a certificate", test_client_without_certificate},
		{"alerts to peers that aren't trusted", test_untrusted},
		{"no version in common", test_versions},
		{"a client that is denied", test_denied},
		{"ALPN", test_alpn},
		{"certificates by server name", test_server_names},
		{"contexts are made once", test_contexts},
		{"half-close", test_half_close},
		{"FIN without close_notify", test_truncation},
		{"a peer that goes during the handshake", test_handshake_truncated},
		{"a damaged record", test_damaged_record},
		{"a damaged handshake", test_damaged_handshake},
		{"a huge chain", test_huge_chain},
		{"no packet buffers", test_no_room},
		{"the limit of reading", test_limit},
		{"a relay between sessions", test_relay},
		CU_TEST_INFO_NULL,
	};

	return unit_run("tls_session", tests);
}
