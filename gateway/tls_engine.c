/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_engine.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <rte_ring.h>
#include <stdlib.h>

#include "gateway/tls_handshake.h"

static struct rte_ring *
ring_new(void)
{
	/* From workers, which run undisturbed, and the engine's own thread, which may be preempted: then a worker that
	 * had to wait for it would lose its time slice. So each waits for nobody (RTS: the last one to end moves the
	 * tail). */
	ssize_t size = rte_ring_get_memsize(TLS_ENGINE_ARRIVED);
	struct rte_ring *ring = size < 0 ? NULL : aligned_alloc(RTE_CACHE_LINE_SIZE, (size_t)size);

	if (ring != NULL &&
	    rte_ring_init(ring, "tls_arrived", TLS_ENGINE_ARRIVED, RING_F_MP_RTS_ENQ | RING_F_SC_DEQ) != 0) {
		free(ring);
		ring = NULL;
	}
	return ring;
}

struct tls_engine *
tls_engine_new(const struct tls_hooks *hooks, const uint8_t seed[TLS_TICKET_SEED], int64_t now)
{
	struct tls_engine *engine = calloc(1, sizeof(*engine));

	if (engine == NULL)
		return NULL;
	engine->hooks = hooks;
	engine->now = now;
	engine->arrived = ring_new();
	if (tls_library_open(&engine->library))
		engine->libctx = engine->library.libctx;
	engine->sha256 = engine->libctx == NULL ? NULL : EVP_MD_fetch(engine->libctx, "SHA256", NULL);
	if (engine->sha256 == NULL || engine->arrived == NULL ||
	    !tls_ticket_keys_open(&engine->tickets, engine->libctx, seed, now)) {
		tls_engine_free(engine);
		return NULL;
	}
	engine->contexts =
		(struct tls_contexts){.libctx = engine->libctx, .dress = tls_handshake_dress, .argument = engine};
	if (hooks->thread_open != NULL)
		engine->thread = hooks->thread_open(hooks->context, engine->libctx);
	return engine;
}

static void
take_arrived(struct tls_engine *engine, bool keep)
{
	void *session;

	while (rte_ring_dequeue(engine->arrived, &session) == 0) {
		if (!keep)
			SSL_SESSION_free(session);
		else if (tls_resume_keep(&engine->resume, session))
			engine->stats.sessions_kept++;
		else
			engine->stats.sessions_dropped++;
	}
}

void
tls_engine_free(struct tls_engine *engine)
{
	if (engine->arrived != NULL)
		take_arrived(engine, false);
	tls_resume_clear(&engine->resume);
	tls_contexts_clear(&engine->contexts);
	tls_ticket_keys_close(&engine->tickets);
	if (engine->thread != NULL && engine->hooks->thread_close != NULL)
		engine->hooks->thread_close(engine->thread);
	EVP_MD_free(engine->sha256);
	tls_library_close(&engine->library);
	free(engine->arrived);
	free(engine);
}

void
tls_engine_refresh(struct tls_engine *engine, int64_t now)
{
	engine->now = now;
	if (engine->hooks->refresh != NULL)
		engine->hooks->refresh(engine->thread);
	tls_ticket_keys_turn(&engine->tickets, now);
	take_arrived(engine, true);
}
