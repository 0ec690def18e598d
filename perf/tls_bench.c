/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TLS costs, on one core, in CPU time of the thread that does it:
 *
 *	handshakes   mutual, in full and resumed: the server's side, the client's, and both, which is what a bridged
 *	             connection takes; beside the sum of the raw operations, by `openssl speed` in the same run
 *	records      one leg decrypted and the other encrypted, by queue and by relay; beside `openssl speed`
 *	sharing      records on one thread while another does handshakes, in the same library context and in another one
 *	round trip   to a handshake thread and back, by the clock: asleep, and without work to do
 *
 * Chains aren't verified here (certs/ remembers those it has seen); each side checks the other's signature. Bytes move
 * between sides as copies of packet buffers, which isn't counted.
 */
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include "gateway/tls_pool.h"
#include "platform/clock.h"
#include "platform/text.h"
#include "tests/unit/tls_kit.h"

enum {
	HANDSHAKES = 600,
	BULK_BYTES = 1 << 17, /* at a time, as a window is */
	BULK_ROUNDS = 2000,
	SHARING_ROUNDS = 20,
	TRIPS = 3000
};

static struct kit_cert root, certs[2][KIT_KEYS];
static const char *const key_names[KIT_KEYS] = {"P-256", "P-384", "Ed25519", "RSA-2048"};

static uint64_t
cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* --- openssl speed --- */

/* Operations a second, from its machine-readable lines. */
struct raw {
	double sign[KIT_KEYS], verify[KIT_KEYS], x25519, gcm_bytes_per_s;
};

static FILE *
speed(const char *what)
{
	char command[160];

	snprintf(command, sizeof(command), "openssl speed -mr -seconds 1 %s 2>/dev/null", what);
	FILE *lines = popen(command, "r"); /* NOLINT(cert-env33-c): a constant text, on a developer's machine */
	kit_check(lines != NULL, "openssl speed");
	return lines;
}

static void
measure_raw(struct raw *raw)
{
	static const struct {
		const char *name;
		const char *format; /* bits, sign, verify */
	} keys[KIT_KEYS] = {{"ecdsap256", "+F4:%*d:256:%lf:%lf"},
			    {"ecdsap384", "+F4:%*d:384:%lf:%lf"},
			    {"ed25519", "+F6:%*d:253:%*[^:]:%lf:%lf"},
			    {"rsa2048", "+F2:%*d:2048:%lf:%lf"}};
	char line[512];

	for (unsigned k = 0; k < KIT_KEYS; k++) {
		FILE *lines = speed(keys[k].name);
		while (fgets(line, sizeof(line), lines) != NULL)
			if (sscanf(line, keys[k].format, &raw->sign[k], &raw->verify[k]) == 2)
				break;
		pclose(lines);
	}
	FILE *lines = speed("ecdhx25519");
	while (fgets(line, sizeof(line), lines) != NULL)
		if (sscanf(line, "+F5:%*d:253:%lf", &raw->x25519) == 1)
			break;
	pclose(lines);
	lines = speed("-bytes 16384 -evp aes-128-gcm");
	while (fgets(line, sizeof(line), lines) != NULL)
		if (sscanf(line, "+F:%*d:AES-128-GCM:%lf", &raw->gcm_bytes_per_s) == 1)
			break;
	pclose(lines);
}

/* --- handshakes --- */

struct cost {
	uint64_t server_ns, client_ns;
	unsigned n;
};

static struct tls_terms *
terms_new(enum tls_role role, unsigned key, unsigned version)
{
	return tls_terms_new(&(struct tls_terms_source){.role = role,
							.verify = TLS_VERIFY_REQUIRED,
							.oldest = version,
							.newest = version,
							.credentials = &certs[role][key].credential,
							.n_credentials = 1});
}

static void
timed_step(struct kit_side *side, struct tls_engine *engine, uint64_t *ns)
{
	tls_bio_lend(&side->session.bio, kit_pool, 8192);
	side->session.bio.pool = NULL;
	uint64_t before = cpu_ns();
	side->session.progress = (uint8_t)tls_session_handshake(&side->session, engine);
	*ns += cpu_ns() - before;
	tls_bio_reclaim(&side->session.bio);
}

/* One handshake, until the client has also read the server's ticket. */
static void
shake_hands(struct kit_side *client, struct kit_side *server, struct tls_engine *engine, struct cost *cost)
{
	timed_step(client, engine, &cost->client_ns);
	while (!client->session.established || !server->session.established) {
		if (kit_carry(client, server, UINT32_MAX) != 0)
			timed_step(server, engine, &cost->server_ns);
		if (kit_carry(server, client, UINT32_MAX) != 0 && !client->session.established)
			timed_step(client, engine, &cost->client_ns);
		kit_check(client->session.progress != TLS_FAILED && server->session.progress != TLS_FAILED,
			  "handshake");
	}
	uint64_t before = cpu_ns();
	kit_carry(server, client, UINT32_MAX);
	tls_session_read(&client->session, &kit_io, &client->plain, 1000);
	cost->client_ns += cpu_ns() - before;
	cost->n++;
}

static struct cost
measure_handshakes(unsigned key, unsigned version, bool resume)
{
	struct tls_engine *engine = kit_engine();
	struct tls_terms *ours = terms_new(TLS_SERVER, key, version), *theirs = terms_new(TLS_CLIENT, key, version);
	static struct kit_side client, server;
	struct cost cost = {0};

	for (unsigned i = 0; i < HANDSHAKES; i++) {
		if (i == HANDSHAKES / 10)
			cost = (struct cost){0};
		kit_trust.generation += !resume;
		tls_engine_refresh(engine, KIT_NOW);
		kit_open(&server, ours, "server.example", NULL);
		kit_open(&client, theirs, "server.example", NULL);
		shake_hands(&client, &server, engine, &cost);
		uint64_t before = cpu_ns();
		kit_close(&client);
		uint64_t between = cpu_ns();
		kit_close(&server);
		cost.client_ns += between - before;
		cost.server_ns += cpu_ns() - between;
	}
	tls_terms_drop(ours);
	tls_terms_drop(theirs);
	tls_engine_free(engine);
	return cost;
}

static void
report_handshakes(const struct raw *raw)
{
	printf("mutual handshakes             server us  client us   both us  bridges/core-s   raw us   of raw\n");
	for (unsigned key = 0; key < KIT_KEYS; key++)
		for (unsigned version = TLS_1_2; version <= TLS_1_3; version++)
			for (unsigned resume = 0; resume < 2; resume++) {
				struct cost cost = measure_handshakes(key, version, resume);
				double server = (double)cost.server_ns / cost.n / 1000;
				double client = (double)cost.client_ns / cost.n / 1000;
				/* Each side: a signature, a check of one, a new X25519 key, and its use. */
				double sum = 2e6 * (1 / raw->sign[key] + 1 / raw->verify[key] + 2 / raw->x25519);
				printf("TLS 1.%u %-9s %-9s %11.1f %10.1f %9.1f %15.0f", version + 2, key_names[key],
				       resume ? "resumed" : "full", server, client, server + client,
				       1e6 / (server + client));
				if (resume)
					printf("\n");
				else
					printf(" %8.1f %7.0f%%\n", sum, 100 * sum / (server + client));
			}
}

/* --- records --- */

/* Four sides: near client, our server leg, our client leg, far server. */
struct line {
	struct kit_side near, server, client, far;
};

static void
line_open(struct line *line, struct tls_engine *engine)
{
	struct cost cost = {0};

	for (unsigned leg = 0; leg < 2; leg++) {
		struct tls_terms *ours = terms_new(TLS_SERVER, KIT_P256, TLS_1_3);
		struct tls_terms *theirs = terms_new(TLS_CLIENT, KIT_P256, TLS_1_3);
		struct kit_side *server = leg == 0 ? &line->server : &line->far;
		struct kit_side *client = leg == 0 ? &line->near : &line->client;
		kit_open(server, ours, "server.example", NULL);
		kit_open(client, theirs, "server.example", NULL);
		tls_terms_drop(ours);
		tls_terms_drop(theirs);
		shake_hands(client, server, engine, &cost);
	}
}

static void
line_close(struct line *line)
{
	kit_close(&line->near);
	kit_close(&line->server);
	kit_close(&line->client);
	kit_close(&line->far);
}

/* Through both legs in the middle, which alone are counted. record: bytes of plaintext in each. Returns ns for each
 * round of BULK_BYTES. */
static double
measure_bulk(struct line *line, struct tls_io *io, uint32_t record, bool relay, unsigned rounds)
{
	static const uint8_t zeroes[TLS_RECORD_MAX];
	uint64_t spent = 0;

	for (unsigned i = 0; i < rounds; i++) {
		for (uint32_t n = 0; n < BULK_BYTES; n += record) {
			mbuf_queue_write(&line->near.plain, kit_pool, zeroes, record);
			tls_session_write(&line->near.session, io, &line->near.plain);
		}
		mbuf_queue_move(&line->server.session.bio.in, &line->near.session.bio.out);
		uint64_t before = cpu_ns();
		while (line->server.session.bio.in.bytes != 0) {
			if (relay) {
				tls_session_relay(&line->server.session, &line->client.session, io, 65536);
			} else {
				tls_session_read(&line->server.session, io, &line->server.plain, 65536);
				tls_session_write(&line->client.session, io, &line->server.plain);
			}
			mbuf_queue_clear(&line->client.session.bio.out);
		}
		spent += cpu_ns() - before;
	}
	return (double)spent / rounds;
}

static double
gbit(double ns)
{
	return 8.0 * BULK_BYTES / ns;
}

static void
report_bulk(const struct raw *raw)
{
	static const uint32_t records[] = {16384, 8192, 1400, 100};
	struct tls_engine *engine = kit_engine();
	static struct line line;
	double most = raw->gcm_bytes_per_s * 8 / 1e9 / 2;

	line_open(&line, engine);
	printf("\nTLS 1.3, AES-128-GCM, one leg decrypted and the other encrypted; openssl speed: %.1f Gbit/s\n", most);
	for (unsigned i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		double by_queue = gbit(measure_bulk(&line, &kit_io, records[i], false, BULK_ROUNDS));
		double by_relay = gbit(measure_bulk(&line, &kit_io, records[i], true, BULK_ROUNDS));
		printf("records of %5u: by queue %5.1f Gbit/s (%3.0f%%), by relay %5.1f Gbit/s (%3.0f%%)\n", records[i],
		       by_queue, 100 * by_queue / most, by_relay, 100 * by_relay / most);
	}
	line_close(&line);
	tls_engine_free(engine);
}

/* --- sharing a library context --- */

struct busy {
	struct tls_engine *engine;
	atomic_bool stop;
	unsigned n;
};

/* Nothing but handshakes. The packets are from the pool that the other thread uses too, as anywhere. */
static void *
busy_run(void *argument)
{
	struct busy *busy = argument;
	struct tls_terms *ours = terms_new(TLS_SERVER, KIT_P256, TLS_1_3);
	struct tls_terms *theirs = terms_new(TLS_CLIENT, KIT_P256, TLS_1_3);
	static struct kit_side client, server;
	struct cost cost = {0};

	while (!atomic_load(&busy->stop)) {
		kit_open(&server, ours, "server.example", NULL);
		kit_open(&client, theirs, "server.example", NULL);
		shake_hands(&client, &server, busy->engine, &cost);
		kit_close(&client);
		kit_close(&server);
		tls_engine_refresh(busy->engine, KIT_NOW);
		tls_resume_clear(&busy->engine->resume);
		kit_trust.generation++;
	}
	busy->n = cost.n;
	tls_terms_drop(ours);
	tls_terms_drop(theirs);
	return NULL;
}

static void
report_sharing(void)
{
	static const char *const names[] = {"nobody else", "handshakes in another context",
					    "handshakes in the same one"};
	struct tls_engine *mine = kit_engine(), *other = kit_engine();
	static struct line line;
	static struct tls_io io;
	double ns[3] = {0};
	long waits[3] = {0};
	unsigned made[3] = {0};

	io.pool = kit_pool;
	line_open(&line, mine);
	for (unsigned round = 0; round < 3 * SHARING_ROUNDS; round++) {
		unsigned how = round % 3;
		struct busy busy = {.engine = how == 2 ? mine : other};
		struct rusage before, after;
		pthread_t thread;
		if (how != 0)
			kit_check(pthread_create(&thread, NULL, busy_run, &busy) == 0, "thread");
		getrusage(RUSAGE_THREAD, &before);
		ns[how] += measure_bulk(&line, &io, 1400, true, 160) / SHARING_ROUNDS;
		getrusage(RUSAGE_THREAD, &after);
		waits[how] += after.ru_nvcsw - before.ru_nvcsw;
		atomic_store(&busy.stop, true);
		if (how != 0)
			pthread_join(thread, NULL);
		made[how] += busy.n;
	}
	printf("\nrecords of 1400 bytes by relay, while there is on another thread\n");
	for (unsigned how = 0; how < 3; how++)
		printf("%-30s %5.1f Gbit/s, waited %ld times; %u handshakes meanwhile\n", names[how], gbit(ns[how]),
		       waits[how], made[how]);
	line_close(&line);
	tls_engine_free(mine);
	tls_engine_free(other);
}

/* --- round trip --- */

static void
no_wake(void *context, unsigned worker)
{
	(void)context;
	(void)worker;
}

static int
by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void
report_trips(void)
{
	static uint64_t us[TRIPS];
	struct text error = {0};
	struct tls_pool *pool = tls_pool_start(&(struct tls_pool_options){.n_threads = 1,
									  .n_workers = 1,
									  .requests = 64,
									  .core = -1,
									  .nice = 0,
									  .hooks = &kit_hooks,
									  .wake = no_wake},
					       &error);
	kit_check(pool != NULL, error.bytes);
	struct tls_terms *ours = terms_new(TLS_SERVER, KIT_P256, TLS_1_3);
	static struct kit_side side;
	struct tls_session *back;

	kit_open(&side, ours, NULL, NULL);
	for (unsigned i = 0; i < TRIPS; i++) {
		struct timespec pause = {.tv_nsec = 200000};
		nanosleep(&pause, NULL); /* so that it sleeps */
		uint64_t before = clock_us();
		tls_pool_submit(pool, 0, &side.session, &kit_io);
		while (tls_pool_collect(pool, 0, &back, 1) == 0)
			;
		us[i] = clock_us() - before;
	}
	qsort(us, TRIPS, sizeof(us[0]), by_size);
	printf("\na step without work, to a thread that sleeps and back: median %lu us, 99 %% %lu us, least %lu us\n",
	       us[TRIPS / 2], us[TRIPS * 99 / 100], us[0]);
	tls_pool_stop(pool);
	kit_close(&side);
	tls_terms_drop(ours);
	tls_pool_free(pool);
}

int
main(void)
{
	struct raw raw = {0};

	kit_start();
	kit_cert_make(&root, "root", KIT_P256, NULL, NULL, 0);
	root.n_chain = 0;
	for (unsigned k = 0; k < KIT_KEYS; k++) {
		kit_cert_make(&certs[TLS_SERVER][k], "server", k, &root, "DNS:server.example", 0);
		kit_cert_make(&certs[TLS_CLIENT][k], "client", k, &root, "DNS:client.example", 0);
	}
	measure_raw(&raw);
	report_handshakes(&raw);
	report_bulk(&raw);
	report_sharing();
	report_trips();
	for (unsigned k = 0; k < KIT_KEYS; k++) {
		kit_cert_free(&certs[TLS_SERVER][k]);
		kit_cert_free(&certs[TLS_CLIENT][k]);
	}
	kit_cert_free(&root);
	return kit_lost() == 0 ? 0 : 1;
}
