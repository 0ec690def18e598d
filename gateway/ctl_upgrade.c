/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl_upgrade.h"

#include <string.h>
#include <time.h>

#include "gateway/ctl_client.h"
#include "gateway/ctl_show.h"
#include "platform/clock.h"
#include "platform/text.h"

/* The daemon's status now, or NULL while nobody answers. */
static json_t *
ask_status(const char *socket)
{
	struct text ignored = {0};
	json_t *arguments = json_object(), *document = NULL;
	FILE *answer = ctl_ask(socket, "status", arguments, &ignored);

	if (answer != NULL) {
		ctl_answer_begin(answer, &document, &ignored);
		fclose(answer);
	}
	json_decref(arguments);
	text_free(&ignored);
	return document;
}

static json_t *
outcome(const json_t *status)
{
	json_t *json = json_object();
	const json_t *upgrade = json_object_get(status, "upgrade");

	json_object_set(json, "pid", json_object_get(status, "pid"));
	json_object_set(json, "from", json_object_get(upgrade, "from"));
	json_object_set(json, "to", json_object_get(status, "version"));
	json_object_set(json, "stalled_us", json_object_get(upgrade, "stalled_us"));
	json_object_set(json, "adoption", json_object_get(status, "adoption"));
	return json;
}

/* Whether the program that agreed to the upgrade tried it in vain since. */
static bool
has_failed(const json_t *status, const json_t *agreed)
{
	return ctl_u64(status, "upgrade_failures") != ctl_u64(agreed, "upgrade_failures");
}

bool
ctl_upgrade_wait(const char *socket, json_t **document, struct text *error)
{
	const struct timespec pause = {.tv_nsec = CTL_UPGRADE_POLL_MS * 1000000L};
	uint64_t until_ms = clock_ms() + CTL_UPGRADE_WAIT_S * 1000ULL;
	bool answered = false;

	while (clock_ms() < until_ms) {
		nanosleep(&pause, NULL);
		json_t *status = ask_status(socket);
		answered = status != NULL;
		if (answered && strcmp(ctl_text(status, "started"), ctl_text(*document, "started")) != 0) {
			json_decref(*document);
			*document = outcome(status);
			json_decref(status);
			return true;
		}
		bool failed = answered && has_failed(status, *document);
		json_decref(status);
		if (failed)
			break;
	}
	text_print(error, answered ? "the upgrade failed, the program before goes on; its log says why"
				   : "nobody answers any more; the log of posternd says why");
	return false;
}
