/* SPDX-License-Identifier: Apache-2.0 */
/* The part of status that is about TLS that ends here. */
#include "gateway/control_answer.h"

static json_t *
sessions_json(const struct sessions_stats *stats)
{
	json_t *json = json_object();

	for (unsigned i = 0; i < SESSION_STATES; i++)
		json_object_set_new(json, session_state_text(i), json_integer(stats->now[i]));
	return json;
}

/* Versions and ciphers that came up, and how often on either side. */
static json_t *
ciphers_json(const struct sessions_stats *stats)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < SESSION_CIPHERS; i++) {
		const uint64_t *client = stats->handshakes[LEG_CLIENT][i],
			       *endpoint = stats->handshakes[LEG_ENDPOINT][i];
		if (client[0] + client[1] + endpoint[0] + endpoint[1] == 0)
			continue;
		json_t *json = json_object();
		json_object_set_new(json, "version", json_string(session_cipher(i)->version));
		json_object_set_new(json, "cipher", json_string(session_cipher(i)->name));
		json_object_set_new(json, "client", control_json_u64(client[0] + client[1]));
		json_object_set_new(json, "endpoint", control_json_u64(endpoint[0] + endpoint[1]));
		json_array_append_new(list, json);
	}
	return list;
}

static json_t *
handshakes_json(const struct box *box, const struct sessions_stats *stats)
{
	struct tls_pool_load load;
	struct tls_pool_stats pool;
	struct tls_engine_stats engines;
	uint64_t full = 0, resumed = 0;
	json_t *json = json_object();

	tls_pool_load(box->bridging.pool, &load);
	tls_pool_stats(box->bridging.pool, &pool, &engines);
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		for (unsigned i = 0; i < SESSION_CIPHERS; i++) {
			full += stats->handshakes[leg][i][0];
			resumed += stats->handshakes[leg][i][1];
		}
	json_object_set_new(json, "full", control_json_u64(full));
	json_object_set_new(json, "resumed", control_json_u64(resumed));
	json_object_set_new(json, "failed", control_json_u64(engines.failed[TLS_SERVER] + engines.failed[TLS_CLIENT]));
	json_object_set_new(json, "shed", control_json_u64(box_reason_count(box, REASON_TLS_SHED)));
	json_object_set_new(json, "away", json_integer(load.away));
	json_object_set_new(json, "queued", json_integer(load.queued));
	json_object_set_new(json, "capacity", json_integer(load.capacity));
	json_object_set_new(json, "steps", control_json_u64(pool.steps));
	json_object_set_new(json, "wait_us", control_json_u64(pool.wait_us));
	json_object_set_new(json, "busy_us", control_json_u64(pool.busy_us));
	return json;
}

json_t *
control_bridging_json(const struct box *box)
{
	struct sessions_stats stats;

	if (box->bridging.sessions == NULL)
		return json_null();
	sessions_stats(box->bridging.sessions, &stats);
	json_t *json = json_object();
	json_object_set_new(json, "sessions", sessions_json(&stats));
	json_object_set_new(json, "handshakes", handshakes_json(box, &stats));
	json_object_set_new(json, "ciphers", ciphers_json(&stats));
	return json;
}
