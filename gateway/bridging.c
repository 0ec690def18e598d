/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/bridging.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "platform/conf.h"
#include "platform/log.h"
#include "platform/text.h"

enum { CALM_S = 3, GIVE_BACK_SESSIONS = 1000 /* fewer than there were: some 40 MB */ };

void
bridging_open(struct bridging *bridging, const struct bridging_options *options)
{
	*bridging = (struct bridging){.options = *options, .keyring = keyring_create(), .peers = peer_register_new()};
	bridging->proof = (struct peer_proof_context){keyring_trust(bridging->keyring), bridging->peers};
	peer_proof_hooks(&bridging->proof, &bridging->hooks);
}

void
bridging_close(struct bridging *bridging)
{
	if (bridging->keyring == NULL)
		return;
	if (bridging->pool != NULL) {
		struct tls_session *back;
		tls_pool_stop(bridging->pool);
		for (unsigned i = 0; i < bridging->options.n_workers; i++)
			while (tls_pool_collect(bridging->pool, i, &back, 1) != 0)
				; /* sessions_free has them all */
		decide_set_sessions(bridging->options.decide, NULL);
		sessions_free(bridging->sessions);
		tls_pool_free(bridging->pool);
	}
	trust_view_free(bridging->view);
	peer_register_free(bridging->peers);
	keyring_free(bridging->keyring);
	*bridging = (struct bridging){0};
}

static bool
ends_connections(const struct snapshot *snapshot)
{
	for (uint16_t i = 0; i < snapshot->n_listeners; i++)
		if (snapshot->listeners[i].mode == LISTENER_TERMINATE || snapshot->listeners[i].mode == LISTENER_PLAIN)
			return true;
	return false;
}

static bool
start(struct bridging *bridging, struct text *error)
{
	const struct bridging_options *options = &bridging->options;
	const struct conf *conf = options->conf;
	const struct tls_pool_options pool = {.n_threads = conf->tls.handshake_threads,
					      .n_workers = options->n_workers,
					      .requests = conf->tls.handshake_queue,
					      .core = (int)conf->main_core,
					      .nice = 5,
					      .hooks = &bridging->hooks,
					      .wake = options->wake,
					      .wake_context = options->wake_context};

	bridging->pool = tls_pool_start(&pool, error);
	if (bridging->pool == NULL)
		return false;
	bridging->view = trust_view_new(NULL);
	if (bridging->view == NULL)
		abort();
	bridging->sessions = sessions_create(&(struct sessions_options){.decide = options->decide,
									.live = options->live,
									.peers = bridging->peers,
									.pool = bridging->pool,
									.packets = options->packets,
									.net = options->net,
									.n_workers = options->n_workers,
									.handshake_ms = conf->tls.handshake_timeout_ms,
									.expiry_grace_s = conf->tls.expiry_grace_s,
									.wake = options->wake,
									.wake_context = options->wake_context});
	decide_set_sessions(options->decide, bridging->sessions);
	log_info("gateway", "ending connections from now on", LOG_U64("handshake_threads", pool.n_threads));
	return true;
}

bool
bridging_prepare(struct bridging *bridging, const struct snapshot *snapshot, struct key_set **keys, struct text *error)
{
	*keys = NULL;
	if (!ends_connections(snapshot))
		return true;
	*keys = keyring_load(bridging->keyring, snapshot, error);
	if (*keys == NULL)
		return false;
	if (bridging->pool != NULL || start(bridging, error))
		return true;
	text_print(error, "\n");
	key_set_free(*keys);
	*keys = NULL;
	return false;
}

void
bridging_commit(struct bridging *bridging, const struct key_set *keys)
{
	if (keys != NULL)
		keyring_commit(bridging->keyring, keys);
}

void
bridging_check(struct bridging *bridging, const struct key_set *keys)
{
	if (bridging->sessions == NULL)
		return;
	if (keys != NULL) {
		trust_view_follow(bridging->view, keyring_trust(bridging->keyring));
		unsigned fell = peer_register_check(bridging->peers, bridging->view, keys->book, time(NULL));
		if (fell != 0)
			log_warn("gateway", "peers are no longer trusted", LOG_U64("peers", fell));
	}
	sessions_look(bridging->sessions);
}

struct key_set *
bridging_poll(struct bridging *bridging)
{
	const struct decide_now now = decide_now(bridging->options.decide);

	return now.keys == NULL ? NULL : keyring_poll(bridging->keyring, now.keys);
}

static void *
trim(void *nothing)
{
	malloc_trim(0);
	return nothing;
}

/* On a thread of its own, since it may take a second. Where there is none, another time. */
static void
give_memory_back(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, before;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all); /* signals are the main thread's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, &attributes, trim, NULL) != 0)
		log_warn("gateway", "no thread to give memory back");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
}

void
bridging_tick(struct bridging *bridging)
{
	struct sessions_stats stats;
	struct tls_pool_load load;
	uint32_t now = 0;

	if (bridging->sessions == NULL)
		return;
	sessions_stats(bridging->sessions, &stats);
	for (unsigned i = 0; i < SESSION_STATES; i++)
		now += stats.now[i];
	tls_pool_load(bridging->pool, &load);
	bridging->calm_s = now == bridging->now && load.away == 0 ? bridging->calm_s + 1 : 0;
	bridging->now = now;
	bridging->most = now > bridging->most ? now : bridging->most;
	if (bridging->calm_s < CALM_S || bridging->most - now < GIVE_BACK_SESSIONS)
		return;
	log_info("gateway", "giving back the memory of sessions that ended", LOG_U64("sessions", bridging->most - now));
	give_memory_back();
	bridging->most = now;
}
