/* SPDX-License-Identifier: Apache-2.0 */
/* Resumption: tickets of our servers, sessions that our clients keep, and what makes them worthless. */
#include "gateway/tls_resume.h"

#include "tests/unit/tls_kit.h"
#include "tests/unit/unit.h"

static struct kit_cert root, servers[2], owns[2];
static struct tls_engine *engine;
static struct kit_side client, server;

static void
begin(void)
{
	kit_start();
	if (root.certificate == NULL) {
		kit_cert_make(&root, "root", KIT_P256, NULL, NULL, 0);
		root.n_chain = 0;
		kit_cert_make(&servers[0], "server", KIT_P256, &root, "DNS:server.example", 0);
		kit_cert_make(&servers[1], "other", KIT_P256, &root, "DNS:other.example", 0);
		kit_cert_make(&owns[0], "own", KIT_P256, &root, "DNS:own.example", 0);
		kit_cert_make(&owns[1], "another", KIT_P256, &root, "DNS:another.example", 0);
	}
	engine = kit_engine();
}

static void
end(void)
{
	tls_engine_free(engine);
	CU_ASSERT_EQUAL(kit_lost(), 0);
}

/* What a connection differs in from the one before. */
struct way {
	unsigned version;
	enum tls_verify verify;
	const struct kit_cert *server, *own;
	const char *name, *policy, *server_policy;
};

/* A connection, from handshake to the client's having read what the server said. True: resumed, on both sides. */
static bool
connect_once(const struct way *way)
{
	struct tls_terms *ours = tls_terms_new(&(struct tls_terms_source){.role = TLS_SERVER,
									  .verify = way->verify,
									  .oldest = way->version,
									  .newest = way->version,
									  .credentials = &way->server->credential,
									  .n_credentials = 1,
									  .policy = way->server_policy});
	struct tls_terms *theirs = kit_client_terms(way->own, way->policy);

	tls_engine_refresh(engine, engine->now);
	kit_open(&server, ours, way->name, NULL);
	kit_open(&client, theirs, way->name, NULL);
	CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, UINT32_MAX));
	CU_ASSERT_EQUAL(client.session.resumed, server.session.resumed);
	CU_ASSERT_TRUE(client.session.verified);
	CU_ASSERT_STRING_EQUAL(client.peer, way->server == &servers[0] ? "server" : "other");
	CU_ASSERT_EQUAL(server.session.verified, way->verify != TLS_VERIFY_NONE && way->own != NULL);
	if (server.session.verified)
		CU_ASSERT_STRING_EQUAL(server.peer, way->own == &owns[0] ? "own" : "another");
	CU_ASSERT_EQUAL(client.session.generation, kit_trust.generation);
	CU_ASSERT_EQUAL(server.session.generation, kit_trust.generation);
	CU_ASSERT_TRUE(kit_talk(&server, &client, 10, UINT32_MAX));
	CU_ASSERT_TRUE(kit_talk(&client, &server, 10, UINT32_MAX));
	bool resumed = client.session.resumed;
	kit_close(&client);
	kit_close(&server);
	tls_terms_drop(ours);
	tls_terms_drop(theirs);
	tls_engine_refresh(engine, engine->now);
	return resumed;
}

static const struct way usual = {.version = TLS_1_3,
				 .verify = TLS_VERIFY_REQUIRED,
				 .server = &servers[0],
				 .own = &owns[0],
				 .name = "server.example",
				 .policy = "expected",
				 .server_policy = "listener"};

/* Again and again, each time with a new ticket; identities come out of it. */
static void
test_resumes(void)
{
	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
		for (unsigned verify = TLS_VERIFY_NONE; verify <= TLS_VERIFY_REQUIRED; verify++) {
			struct way way = usual;
			begin();
			way.version = version;
			way.verify = verify;
			CU_ASSERT_FALSE(connect_once(&way));
			unsigned n_verified = kit_trust.n_verified;
			for (unsigned i = 0; i < 5; i++)
				CU_ASSERT_TRUE(connect_once(&way));
			CU_ASSERT_EQUAL(kit_trust.n_verified, n_verified);
			CU_ASSERT_EQUAL(engine->stats.full[TLS_SERVER], 1);
			CU_ASSERT_EQUAL(engine->stats.resumed[TLS_SERVER], 5);
			CU_ASSERT_EQUAL(engine->stats.resumed[TLS_CLIENT], 5);
			end();
		}
}

/* OPTIONAL without a certificate: resumed, and still nobody. */
static void
test_nobody_resumes(void)
{
	struct way way = usual;

	begin();
	way.verify = TLS_VERIFY_OPTIONAL;
	way.own = NULL;
	CU_ASSERT_FALSE(connect_once(&way));
	CU_ASSERT_TRUE(connect_once(&way));
	end();
}

/* R1: a ticket from before a change of trust is refused, and a full handshake verifies anew; so does the client with
 * what it kept. */
static void
test_other_generation(void)
{
	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++) {
		struct way way = usual;
		begin();
		way.version = version;
		CU_ASSERT_FALSE(connect_once(&way));
		CU_ASSERT_TRUE(connect_once(&way));
		kit_trust.generation++;
		CU_ASSERT_FALSE(connect_once(&way));
		CU_ASSERT_TRUE(connect_once(&way));
		end();
	}
}

/* R1 at the server alone: its engine sees another trust than the client's, which still offers the ticket. */
static void
test_server_refuses(void)
{
	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
		for (unsigned how = 0; how < 2; how++) {
			struct tls_terms *ours, *theirs;
			struct way way = usual;
			begin();
			way.version = version;
			CU_ASSERT_FALSE(connect_once(&way));
			ours = kit_server_terms(&servers[0], TLS_VERIFY_REQUIRED, version, version);
			theirs = kit_client_terms(&owns[0], "expected");
			kit_open(&server, ours, "server.example", NULL);
			kit_open(&client, theirs, "server.example", NULL);
			kit_step(&client, engine); /* with the ticket */
			if (how == 0)
				kit_trust.generation++;
			else
				kit_trust.stale = true; /* or its identity has expired meanwhile */
			unsigned n_verified = kit_trust.n_verified;
			CU_ASSERT_TRUE(kit_handshake(&client, &server, engine, UINT32_MAX));
			CU_ASSERT_FALSE(server.session.resumed);
			CU_ASSERT_EQUAL(kit_trust.n_verified, n_verified + 2);
			CU_ASSERT_EQUAL(engine->stats.tickets_refused, 1);
			CU_ASSERT_TRUE(server.session.verified);
			kit_close(&server);
			kit_close(&client);
			tls_terms_drop(ours);
			tls_terms_drop(theirs);
			end();
		}
}

/* R2: nothing is resumed under another server's name, own credential, or expected peer. */
static void
test_other_way(void)
{
	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++) {
		struct way way = usual, other;
		begin();
		way.version = version;
		CU_ASSERT_FALSE(connect_once(&way));
		other = way;
		other.name = "other.example";
		CU_ASSERT_FALSE(connect_once(&other));
		other = way;
		other.own = &owns[1];
		CU_ASSERT_FALSE(connect_once(&other));
		other = way;
		other.policy = "somebody else";
		CU_ASSERT_FALSE(connect_once(&other));
		CU_ASSERT_TRUE(connect_once(&way));
		/* The client offers it; the server has other terms now. */
		other = way;
		other.server_policy = "another PKI";
		CU_ASSERT_FALSE(connect_once(&other));
		CU_ASSERT_TRUE(connect_once(&other));
		other.server = &servers[1];
		CU_ASSERT_FALSE(connect_once(&other));
		end();
	}
}

/* Nothing that hooks.save can't say in time goes into a ticket. */
static void
test_too_much_to_save(void)
{
	struct way way = usual;

	begin();
	kit_trust.saves_too_much = TLS_SAVED_MAX + 1;
	CU_ASSERT_FALSE(connect_once(&way));
	CU_ASSERT_FALSE(connect_once(&way));
	end();
}

/* Tickets are good for the period of their key and the one after it. */
static void
test_rotation(void)
{
	for (unsigned version = TLS_1_2; version <= TLS_1_3; version++) {
		struct way way = usual;
		begin();
		way.version = version;
		CU_ASSERT_FALSE(connect_once(&way));
		tls_engine_refresh(engine, KIT_NOW + TLS_TICKET_PERIOD_S - 1);
		CU_ASSERT_TRUE(connect_once(&way));
		tls_engine_refresh(engine, KIT_NOW + TLS_TICKET_PERIOD_S);
		CU_ASSERT_TRUE(connect_once(&way)); /* of the key before; replaced by one of the current */
		tls_engine_refresh(engine, KIT_NOW + 2 * TLS_TICKET_PERIOD_S);
		CU_ASSERT_TRUE(connect_once(&way));
		tls_engine_refresh(engine, KIT_NOW + 4 * TLS_TICKET_PERIOD_S);
		CU_ASSERT_FALSE(connect_once(&way));
		tls_engine_refresh(engine, KIT_NOW); /* the clock is set back */
		CU_ASSERT_TRUE(connect_once(&way));
		end();
	}
}

/* Engines that never speak to each other have the same keys; those of another seed, and older ones, others. */
static void
test_keys(void)
{
	struct tls_ticket_keys a, b, c;
	uint8_t seed[TLS_TICKET_SEED] = {1}, other[TLS_TICKET_SEED] = {2};

	kit_start();
	CU_ASSERT_TRUE(tls_ticket_keys_open(&a, NULL, seed, 1000));
	CU_ASSERT_TRUE(tls_ticket_keys_open(&b, NULL, seed, 1000));
	CU_ASSERT_TRUE(tls_ticket_keys_open(&c, NULL, other, 1000));
	CU_ASSERT_EQUAL(memcmp(&a.current, &b.current, sizeof(a.current)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(a.current.name, c.current.name, TLS_TICKET_NAME), 0);
	struct tls_ticket_key first = a.current;
	for (int64_t now = 1000; now < 1000 + 10 * TLS_TICKET_PERIOD_S; now += 700)
		tls_ticket_keys_turn(&a, now);
	tls_ticket_keys_turn(&b, 1000 + 10 * TLS_TICKET_PERIOD_S - 1);
	CU_ASSERT_EQUAL(memcmp(&a.current, &b.current, sizeof(a.current)), 0);
	CU_ASSERT_EQUAL(memcmp(&a.previous, &b.previous, sizeof(a.current)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(&a.current, &a.previous, sizeof(a.current)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(&a.previous, &first, sizeof(first)), 0);
	tls_ticket_keys_close(&a);
	tls_ticket_keys_close(&b);
	tls_ticket_keys_close(&c);
}

static SSL_SESSION *
session_new(uint16_t key, int version)
{
	uint8_t context[TLS_DIGEST] = {(uint8_t)key, (uint8_t)(key >> 8)};
	uint8_t id[32] = {1};
	SSL_SESSION *session = SSL_SESSION_new();

	SSL_SESSION_set1_id(session, id, sizeof(id));
	SSL_SESSION_set1_id_context(session, context, sizeof(context));
	SSL_SESSION_set_protocol_version(session, version);
	return session;
}

static bool
has(struct tls_resume *resume, uint16_t key)
{
	uint8_t context[TLS_DIGEST] = {(uint8_t)key, (uint8_t)(key >> 8)};
	SSL_SESSION *session = tls_resume_find(resume, context);

	SSL_SESSION_free(session);
	return session != NULL;
}

/* Bounded; the oldest of a set makes room; a 1.3 session is given out once. */
static void
test_places(void)
{
	static struct tls_resume resume;
	unsigned n = 0;

	for (unsigned i = 0; i < 5000; i++)
		CU_ASSERT_TRUE(tls_resume_keep(&resume, session_new((uint16_t)i, TLS1_2_VERSION)));
	for (unsigned i = 0; i < 5000; i++)
		n += has(&resume, (uint16_t)i);
	CU_ASSERT_EQUAL(n, TLS_RESUME_SETS * TLS_RESUME_WAYS);
	for (unsigned i = 5000 - TLS_RESUME_SETS * TLS_RESUME_WAYS; i < 5000; i++)
		CU_ASSERT_TRUE(has(&resume, (uint16_t)i));
	CU_ASSERT_TRUE(tls_resume_keep(&resume, session_new(7, TLS1_3_VERSION)));
	CU_ASSERT_TRUE(has(&resume, 7));
	CU_ASSERT_FALSE(has(&resume, 7));
	tls_resume_clear(&resume);
	CU_ASSERT_FALSE(has(&resume, 4999));
}

int
main(void)
{
	const CU_TestInfo tests[] = {
		{"resumed again and again", test_resumes},
		{"a client without a certificate", test_nobody_resumes},
		{"R1: another generation of trust", test_other_generation},
		{"R1: the server refuses a ticket", test_server_refuses},
		{"R2: another name, credential, peer, policy", test_other_way},
		{"an identity that is too long for a ticket", test_too_much_to_save},
		{"rotation of ticket keys", test_rotation},
		{"ticket keys", test_keys},
		{"places of resumable sessions", test_places},
		CU_TEST_INFO_NULL,
	};

	return unit_run("tls_resume", tests);
}
