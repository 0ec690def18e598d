/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_pool.h"

#include <unistd.h>

#include "platform/clock.h"
#include "platform/text.h"
#include "tests/unit/tls_kit.h"
#include "tests/unit/unit.h"

enum { WAIT_US = 20000000 };

static struct kit_cert root, server_cert, client_cert;
static struct tls_pool *pool;
static atomic_uint wakes[2];

static void
on_wake(void *context, unsigned worker)
{
	(void)context;
	atomic_fetch_add(&wakes[worker], 1);
}

static void
begin(unsigned n_threads, unsigned n_workers, unsigned requests)
{
	struct text error = {0};

	kit_start();
	if (root.certificate == NULL) {
		kit_cert_make(&root, "root", KIT_P256, NULL, NULL, 0);
		root.n_chain = 0;
		kit_cert_make(&server_cert, "server", KIT_P256, &root, "DNS:server.example", 0);
		kit_cert_make(&client_cert, "client", KIT_P256, &root, "DNS:client.example", 0);
	}
	pool = tls_pool_start(&(struct tls_pool_options){.n_threads = n_threads,
							 .n_workers = n_workers,
							 .requests = requests,
							 .core = -1,
							 .nice = 5,
							 .hooks = &kit_hooks,
							 .wake = on_wake},
			      &error);
	kit_check(pool != NULL, error.bytes);
}

static void
end(void)
{
	tls_pool_stop(pool);
	tls_pool_free(pool);
	CU_ASSERT_EQUAL(kit_lost(), 0);
}

static void
open_pair(struct kit_side *client, struct kit_side *server)
{
	struct tls_terms *ours = kit_server_terms(&server_cert, TLS_VERIFY_REQUIRED, TLS_1_2, TLS_1_3);
	struct tls_terms *theirs = kit_client_terms(&client_cert, "server");

	kit_open(server, ours, "server.example", NULL);
	kit_open(client, theirs, "server.example", NULL);
	tls_terms_drop(ours);
	tls_terms_drop(theirs);
}

static bool
submit(unsigned worker, struct kit_side *side)
{
	return tls_pool_submit(pool, worker, &side->session, &kit_io);
}

static unsigned
collect(unsigned worker)
{
	struct tls_session *sessions[16];

	return tls_pool_collect(pool, worker, sessions, 16);
}

static unsigned
away(void)
{
	struct tls_pool_load load;

	tls_pool_load(pool, &load);
	CU_ASSERT_TRUE(load.queued <= load.away && load.away <= load.capacity);
	return load.away;
}

/* Until so many have come back to a worker. */
static void
await(unsigned worker, unsigned n)
{
	uint64_t until = clock_us() + WAIT_US;

	while (n != 0 && clock_us() < until) {
		n -= collect(worker);
		usleep(50);
	}
	CU_ASSERT_EQUAL(n, 0);
}

/* One handshake of many; from different workers, on whichever threads. */
static void
test_handshakes(void)
{
	enum { PAIRS = 40 };
	static struct kit_side clients[PAIRS], servers[PAIRS];
	struct tls_pool_stats stats;
	struct tls_engine_stats engines;

	begin(2, 2, 64);
	for (unsigned i = 0; i < PAIRS; i++) {
		open_pair(&clients[i], &servers[i]);
		CU_ASSERT_TRUE(submit(0, &clients[i]));
	}
	CU_ASSERT_EQUAL(away(), PAIRS);
	unsigned established = 0;
	uint64_t until = clock_us() + WAIT_US;
	while (established < 2 * PAIRS && clock_us() < until) {
		struct tls_session *back[16];
		for (unsigned w = 0; w < 2; w++) {
			unsigned n = tls_pool_collect(pool, w, back, 16);
			for (unsigned i = 0; i < n; i++) {
				CU_ASSERT_FALSE(back[i]->away);
				CU_ASSERT_EQUAL(back[i]->bio.n_spare, 0);
				CU_ASSERT_NOT_EQUAL(back[i]->progress, TLS_FAILED);
				established += back[i]->established;
			}
		}
		for (unsigned i = 0; i < PAIRS; i++) {
			struct kit_side *c = &clients[i], *s = &servers[i];
			if (c->session.away || s->session.away)
				continue;
			bool to_server = kit_carry(c, s, UINT32_MAX) != 0, to_client = kit_carry(s, c, UINT32_MAX) != 0;
			if (to_server && !s->session.established)
				CU_ASSERT_TRUE(submit(1, s));
			if (to_client && !c->session.established)
				CU_ASSERT_TRUE(submit(0, c));
		}
		usleep(50);
	}
	CU_ASSERT_EQUAL(established, 2 * PAIRS);
	for (unsigned i = 0; i < PAIRS; i++) {
		kit_carry(&servers[i], &clients[i], UINT32_MAX);
		CU_ASSERT_TRUE(kit_talk(&clients[i], &servers[i], 3000, 1448));
		CU_ASSERT_TRUE(kit_talk(&servers[i], &clients[i], 3000, 1448));
		CU_ASSERT_STRING_EQUAL(servers[i].peer, "client");
	}
	tls_pool_stats(pool, &stats, &engines);
	CU_ASSERT_EQUAL(engines.full[TLS_SERVER], PAIRS);
	CU_ASSERT_EQUAL(engines.full[TLS_CLIENT], PAIRS);
	CU_ASSERT_TRUE(stats.steps >= 4 * PAIRS);
	CU_ASSERT_TRUE(stats.busy_us > 0);
	CU_ASSERT_TRUE(atomic_load(&wakes[0]) >= 2 * PAIRS);
	CU_ASSERT_TRUE(atomic_load(&wakes[1]) >= 2 * PAIRS);
	CU_ASSERT_EQUAL(away(), 0);
	tls_pool_stop(pool);
	for (unsigned i = 0; i < PAIRS; i++) {
		kit_close(&clients[i]);
		kit_close(&servers[i]);
	}
	end();
}

/* More than it can take: new ones are shed at three quarters, those that have begun only at the limit; all that were
 * taken are served. */
static void
test_flood(void)
{
	enum { MANY = 200, REQUESTS = 16 };
	static struct kit_side sides[MANY], partners[MANY];
	unsigned taken = 0, shed = 0, begun = 0;

	begin(1, 1, REQUESTS);
	for (unsigned i = 0; i < MANY; i++) {
		open_pair(&sides[i], &partners[i]);
		unsigned n_away = away();
		if (submit(0, &sides[i])) {
			CU_ASSERT_TRUE(n_away < REQUESTS / 4 * 3);
			taken++;
			continue;
		}
		shed++;
		CU_ASSERT_TRUE(n_away >= REQUESTS / 4 * 3);
		CU_ASSERT_FALSE(sides[i].session.away);
		CU_ASSERT_EQUAL(sides[i].session.bio.n_spare, 0);
		if (begun < 2) { /* one that has begun is taken all the same */
			sides[i].session.thread = 0;
			CU_ASSERT_TRUE(submit(0, &sides[i]));
			begun++;
			taken++;
			shed--;
		}
	}
	CU_ASSERT_TRUE(shed > 0);
	CU_ASSERT_TRUE(away() <= REQUESTS);
	await(0, taken);
	CU_ASSERT_TRUE(submit(0, &partners[0])); /* and then there is room again */
	await(0, 1);
	tls_pool_stop(pool);
	for (unsigned i = 0; i < MANY; i++) {
		kit_close(&sides[i]);
		kit_close(&partners[i]);
	}
	end();
}

/* One address can't fill the queue: beyond the half it has an eighth, and others find room. */
static void
test_fair(void)
{
	enum { MANY = 64, REQUESTS = 64, HALF = REQUESTS / 2, SHARE = REQUESTS / 8, MOST = REQUESTS / 4 * 3 };
	static struct kit_side sides[MANY], partners[MANY], others[MOST], strangers[MOST];
	unsigned taken = 0;

	begin(1, 1, REQUESTS);
	tls_pool_stop(pool); /* nothing is served, so that the figures are exact */
	for (unsigned i = 0; i < MANY; i++) {
		open_pair(&sides[i], &partners[i]);
		sides[i].session.source = 7;
		taken += submit(0, &sides[i]);
	}
	CU_ASSERT_EQUAL(taken, HALF);
	for (unsigned i = 0; i < MOST; i++) {
		open_pair(&others[i], &strangers[i]);
		others[i].session.source = i < MOST / 2 ? 8 : 9;
		bool takes = submit(0, &others[i]);
		CU_ASSERT_EQUAL(takes, i < SHARE || (i >= MOST / 2 && i < MOST / 2 + MOST - HALF - SHARE));
		taken += takes;
	}
	CU_ASSERT_EQUAL(taken, MOST);
	tls_pool_stop(pool);
	for (unsigned i = 0; i < MANY; i++) {
		kit_close(&sides[i]);
		kit_close(&partners[i]);
	}
	for (unsigned i = 0; i < MOST; i++) {
		kit_close(&others[i]);
		kit_close(&strangers[i]);
	}
	end();
}

/* Peers that disappear while their sessions wait: they come back without a step. */
static void
test_gone(void)
{
	enum { MANY = 48 };
	static struct kit_side sides[MANY], partners[MANY];
	struct tls_pool_stats stats;
	struct tls_engine_stats engines;

	begin(1, 1, 64);
	for (unsigned i = 0; i < MANY; i++) {
		open_pair(&sides[i], &partners[i]);
		CU_ASSERT_TRUE(submit(0, &sides[i]));
		atomic_store(&sides[i].session.gone, true);
	}
	await(0, MANY);
	tls_pool_stats(pool, &stats, &engines);
	CU_ASSERT_EQUAL(stats.steps + stats.gone, MANY);
	CU_ASSERT_TRUE(stats.gone > MANY / 2);
	tls_pool_stop(pool);
	for (unsigned i = 0; i < MANY; i++) {
		kit_close(&sides[i]);
		kit_close(&partners[i]);
	}
	end();
}

/* Stopped in the middle of it: everything comes back. */
static void
test_stop(void)
{
	enum { MANY = 48 };
	static struct kit_side sides[MANY], partners[MANY];
	struct tls_session *back[MANY];
	unsigned n = 0, got, unserved = 0;

	begin(1, 1, 64);
	for (unsigned i = 0; i < MANY; i++) {
		open_pair(&sides[i], &partners[i]);
		CU_ASSERT_TRUE(submit(0, &sides[i]));
	}
	tls_pool_stop(pool);
	while ((got = tls_pool_collect(pool, 0, back, MANY)) != 0) {
		n += got;
		for (unsigned i = 0; i < got; i++)
			unserved += back[i]->progress == TLS_FAILED && back[i]->reason == REASON_SHUTDOWN;
	}
	CU_ASSERT_EQUAL(n, MANY);
	CU_ASSERT_TRUE(unserved > 0);
	for (unsigned i = 0; i < MANY; i++) {
		kit_close(&sides[i]);
		kit_close(&partners[i]);
	}
	end();
}

/* A thread that sleeps is woken, whenever. */
static void
test_wakes(void)
{
	static struct kit_side side, partner;
	struct tls_pool_stats stats;
	struct tls_engine_stats engines;

	begin(1, 1, 4);
	for (unsigned i = 0; i < 300; i++) {
		open_pair(&side, &partner);
		CU_ASSERT_TRUE(submit(0, &side));
		uint64_t until = clock_us() + WAIT_US;
		while (collect(0) == 0 && clock_us() < until)
			;
		CU_ASSERT_FALSE(side.session.away);
		kit_close(&side);
		kit_close(&partner);
		for (volatile unsigned pause = 0; pause < i * 20; pause++)
			;
	}
	tls_pool_stats(pool, &stats, &engines);
	CU_ASSERT_EQUAL(stats.steps, 300);
	CU_ASSERT_TRUE(stats.sleeps > 0);
	end();
}

int
main(void)
{
	const CU_TestInfo tests[] = {
		{"handshakes on threads", test_handshakes},
		{"a flood", test_flood},
		{"one source among others", test_fair},
		{"peers that disappear", test_gone},
		{"a stop in the middle", test_stop},
		{"sleep and wake", test_wakes},
		CU_TEST_INFO_NULL,
	};

	return unit_run("tls_pool", tests);
}
