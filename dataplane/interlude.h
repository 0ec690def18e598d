/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that arrive while nobody reads the ports: between the program that is replaced and the one that replaces it in
 * the same process (gateway/upgrade.h).
 *
 * While an AF_XDP socket is bound, its program takes every frame; when it has gone with the process's image, frames go
 * up into the kernel, as they always do with AF_PACKET. There a plain packet socket can have them. So the old program
 * opens one on each Linux interface before it stops, the kernel fills it, the new program inherits it, and takes what
 * is in it through the worker before anything else. Then an upgrade is not a loss but a delay: no peer has to wait for
 * its retransmission timer.
 *
 *   old: interlude_open ─ workers stop ─ execve ─ new: interlude_inherit ─ ports open ─ interlude_end ─
 * interlude_replay
 *
 * Some frames are seen twice, once in each program: at both ends the socket overlaps with the ports' own. To TCP that
 * is a repeat. A NIC without a Linux interface has no such thing; what arrives there meanwhile is lost.
 */
#ifndef POSTERN_DATAPLANE_INTERLUDE_H
#define POSTERN_DATAPLANE_INTERLUDE_H

#include <stdint.h>

#include "platform/conf.h"

struct device;
struct text;
struct worker;

enum {
	INTERLUDE_BYTES = 32 << 20, /* that the kernel may keep for each interface; a frame of 1.5 kB counts as 2.3 */
	INTERLUDE_DRAIN_US = 2000,
	INTERLUDE_LATER_MAX = 4096,
	INTERLUDE_NAP_US = 50,
	INTERLUDE_PATIENCE_MS = 50, /* that next hops are given to answer before frames for them go out */
	INTERLUDE_NAME_MAX = 16     /* of an interface, the NUL included */
};

/* Sockets by device, in the order of conf_devices; -1: none. */
struct interlude {
	int fds[CONF_PORTS_MAX];
};

void interlude_init(struct interlude *interlude);
/* From now on frames are kept. Waits until the workers, which still run, have taken those that came before. An
 * interface where it can't be done is named in the log. */
void interlude_open(struct interlude *interlude, const struct conf *conf);
/* Adds "wan=5,lan=7": what the new program is to be told. */
void interlude_print(const struct interlude *interlude, const struct conf *conf, struct text *out);
/* Takes over the sockets that text names, for those interfaces that this conf has. A descriptor that is no packet
 * socket on its interface is left alone. */
void interlude_inherit(struct interlude *interlude, const struct conf *conf, const char *text);
/* The ports receive: no more frames are kept. */
void interlude_end(struct interlude *interlude);
/* Takes what was kept through worker 0, before it runs, and closes. devices: of conf_devices, as opened. Returns how
 * many frames there were. */
uint32_t interlude_replay(struct interlude *interlude, struct worker *worker, const struct device *devices,
			  uint64_t now_ms);
/* The old program goes on: its ports receive again, what was kept is forgotten. */
void interlude_cancel(struct interlude *interlude, const struct conf *conf, const struct device *devices);

#endif
