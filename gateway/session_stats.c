/* SPDX-License-Identifier: Apache-2.0 */
/* What sessions are counted by. */
#include <string.h>

#include "gateway/session_parts.h"

/* What we speak (tls_context.c), by IANA's names. The last one is for what isn't here, so that nothing gets lost. */
static const struct session_cipher ciphers[SESSION_CIPHERS] = {
	{"TLSv1.3", "TLS_AES_128_GCM_SHA256"},
	{"TLSv1.3", "TLS_AES_256_GCM_SHA384"},
	{"TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256"},
	{"TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
	{"TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
	{"TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
	{"TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
	{"TLSv1.2", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
	{"TLSv1.2", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
	{"other", "other"},
};

const char *
session_state_text(enum session_state state)
{
	static const char *const texts[SESSION_STATES] = {"client", "dialling", "endpoint", "joined"};

	return texts[state];
}

const struct session_cipher *
session_cipher(unsigned i)
{
	return &ciphers[i];
}

void
session_count_handshake(struct session *session, unsigned leg)
{
	const struct tls_session *tls = &session->leg[leg].tls;
	const char *version = tls_session_version(tls), *name = tls_session_cipher(tls);
	unsigned i = 0;

	while (i < SESSION_CIPHERS - 1 &&
	       (strcmp(ciphers[i].name, name) != 0 || strcmp(ciphers[i].version, version) != 0))
		i++;
	session->home->stats.handshakes[leg][i][tls->resumed]++;
}

void
sessions_stats(const struct sessions *sessions, struct sessions_stats *stats)
{
	enum { COUNTERS = sizeof(stats->handshakes) / sizeof(stats->handshakes[0][0][0]) };

	*stats = (struct sessions_stats){0};
	uint64_t *sums = &stats->handshakes[0][0][0];
	for (unsigned i = 0; sessions != NULL && i < sessions->options.n_workers; i++) {
		const struct sessions_stats *one = &sessions->workers[i].stats;
		for (unsigned k = 0; k < SESSION_STATES; k++)
			stats->now[k] += __atomic_load_n(&one->now[k], __ATOMIC_RELAXED);
		for (unsigned k = 0; k < COUNTERS; k++)
			sums[k] += __atomic_load_n(&one->handshakes[0][0][0] + k, __ATOMIC_RELAXED);
	}
}
