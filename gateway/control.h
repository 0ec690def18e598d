/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: what posternctl talks to. A UNIX socket (mode 0600) on the main thread's loop.
 *
 *   client                                       posternd
 *     {"command":"flows","arguments":{…}}⏎  ──▶
 *                                           ◀──  one JSON document, then end of file
 *
 * A request is one line of at most CONTROL_REQUEST_MAX bytes; "arguments" may be left out. The answer is an object. One
 * with the member "error" (a sentence) says that nothing was done; "diagnostics" beside it are a failed reload's.
 *
 *   status, reload, drain, upgrade, metrics, explain  an object
 *   listeners, services, endpoints, flows, drops  {"NAME":[⏎record,⏎record⏎],"truncated":false}⏎
 *
 * Records of a list stand on a line each, so that a reader need not have a million of them in memory. "truncated":true:
 * there are more than were asked for. "interrupted" (a sentence) instead: the configuration was replaced in the middle.
 * What each record holds is in docs/posternctl.md.
 *
 * Bounds. A long answer is made in pieces of about 64 kB, the next one when the client has taken the last, and one
 * piece in each round of the loop, so that a list of a million flows holds up neither the loop nor, ever, a worker.
 * CONTROL_CLIENTS_MAX clients at a time; one that neither asks nor reads for CONTROL_IDLE_MS is closed.
 *
 * Main thread only. SIGPIPE is ignored (platform/loop.h).
 */
#ifndef POSTERN_GATEWAY_CONTROL_H
#define POSTERN_GATEWAY_CONTROL_H

#include <stdbool.h>
#include <uv.h>

#include "gateway/box.h"
#include "platform/metrics.h"

enum { CONTROL_REQUEST_MAX = 65536, CONTROL_CLIENTS_MAX = 8, CONTROL_IDLE_MS = 10000 };

struct control;

struct control_callbacks {
	void *context;
	/* Loads the federation again. False: nothing changed, and box->reload.last_errors says why. */
	bool (*reload)(void *context);
	/* No new connections from now on, or again. */
	void (*drain)(void *context, bool draining);
	/* Checks program (NULL: the one that runs) and replaces this one with it, a moment later so that the answer
	 * gets out. False: it won't, and error says why. */
	bool (*upgrade)(void *context, const char *program, struct text *error);
};

/* Listens at path (absolute, at most 107 bytes); its folder is made when it is missing. A socket that a dead process
 * left there is replaced; one that somebody answers on, or anything else of that name, is not. box and metrics outlive
 * the server. NULL when it can't listen, with the reason in error. */
struct control *control_start(uv_loop_t *loop, const struct box *box, const struct metrics *metrics, const char *path,
			      const struct control_callbacks *callbacks, struct text *error);

/* Closes the socket and all clients, and removes the path if it is still ours. Freed once the loop has run again. */
void control_stop(struct control *control);

#endif
