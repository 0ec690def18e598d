/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What idle sessions cost: everything that OpenSSL has allocated is counted, less what there was before.
 *
 * One client and one server are what a bridged connection has, a session on each leg.
 */
#include <malloc.h>

#include "tests/unit/tls_kit.h"
#include "tests/unit/unit.h"

enum {
	PAIRS = 5000,          /* 10,000 sessions */
	PAIR_BYTES_MAX = 33000 /* measured: 31.7 to 32.3 kB, of which the two SSL records are 15.2 */
};

static int64_t allocated;

static void *
count_malloc(size_t bytes, const char *file, int line)
{
	void *block = malloc(bytes);
	(void)file;
	(void)line;

	allocated += block == NULL ? 0 : (int64_t)malloc_usable_size(block);
	return block;
}

static void
count_free(void *block, const char *file, int line)
{
	(void)file;
	(void)line;
	allocated -= block == NULL ? 0 : (int64_t)malloc_usable_size(block);
	free(block);
}

static void *
count_realloc(void *block, size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	allocated -= block == NULL ? 0 : (int64_t)malloc_usable_size(block);
	block = realloc(block, bytes);
	allocated += block == NULL ? 0 : (int64_t)malloc_usable_size(block);
	return block;
}

static struct kit_cert root, middle, server_cert, client_cert;
static struct kit_side *clients, *servers;
static int64_t pair_bytes;

/* What comes last before they are idle. */
enum said { NOTHING, TICKET, DATA };

static void
measure(unsigned version, unsigned pairs, enum said said)
{
	struct tls_engine *engine = kit_engine();
	struct tls_terms *ours = kit_server_terms(&server_cert, TLS_VERIFY_REQUIRED, version, version);
	struct tls_terms *theirs = kit_client_terms(&client_cert, "server");
	static const char *const texts[] = {"the handshake", "a ticket", "data"};
	int64_t before = 0;

	for (unsigned i = 0; i < pairs; i++) {
		if (i == 1) /* contexts are made, and whatever else is made once */
			before = allocated;
		kit_trust.generation++; /* nothing is resumed */
		kit_open(&servers[i], ours, "server.example", NULL);
		kit_open(&clients[i], theirs, "server.example", NULL);
		CU_ASSERT_TRUE_FATAL(kit_handshake(&clients[i], &servers[i], engine, UINT32_MAX));
		if (said != NOTHING) {
			kit_carry(&servers[i], &clients[i], UINT32_MAX);
			CU_ASSERT_EQUAL(tls_session_read(&clients[i].session, &kit_io, &clients[i].plain, 1),
					TLS_WANT_INPUT);
		}
		if (said == DATA) {
			CU_ASSERT_TRUE(kit_talk(&servers[i], &clients[i], 1000, UINT32_MAX));
			CU_ASSERT_TRUE(kit_talk(&clients[i], &servers[i], 20000, UINT32_MAX));
		}
		tls_engine_refresh(engine, KIT_NOW);
		tls_resume_clear(&engine->resume);
	}
	if (said != NOTHING) /* else tickets are on their way */
		CU_ASSERT_EQUAL(kit_lost(), 0);
	pair_bytes = (allocated - before) / (pairs - 1);
	printf("\n    TLS 1.%u, both legs of a connection, after %s: %lld bytes on OpenSSL's heap, %zu in records of "
	       "ours ",
	       version + 2, texts[said], (long long)pair_bytes, 2 * sizeof(struct tls_session));
	CU_ASSERT_TRUE(pair_bytes < PAIR_BYTES_MAX);
	for (unsigned i = 0; i < pairs; i++) {
		kit_close(&clients[i]);
		kit_close(&servers[i]);
	}
	tls_terms_drop(ours);
	tls_terms_drop(theirs);
	tls_engine_free(engine);
}

static void
test_idle(void)
{
	measure(TLS_1_3, 200, NOTHING);
	measure(TLS_1_3, 200, TICKET);
	measure(TLS_1_3, PAIRS, DATA);
	measure(TLS_1_2, 200, DATA);
}

int
main(void)
{
	const CU_TestInfo tests[] = {
		{"idle sessions", test_idle},
		CU_TEST_INFO_NULL,
	};

	if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
		return 1;
	kit_start();
	kit_cert_make(&root, "root", KIT_P256, NULL, NULL, 0);
	root.n_chain = 0;
	kit_cert_make(&middle, "intermediate", KIT_P256, &root, NULL, 0);
	kit_cert_make(&server_cert, "server", KIT_P256, &middle, "DNS:server.example", 0);
	kit_cert_make(&client_cert, "client", KIT_P256, &middle, "DNS:client.example", 0);
	clients = calloc(PAIRS, sizeof(*clients));
	servers = calloc(PAIRS, sizeof(*servers));
	int result = unit_run("tls_memory", tests);
	free(clients);
	free(servers);
	return result;
}
