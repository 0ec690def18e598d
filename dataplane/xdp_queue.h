/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POSTERN_DATAPLANE_XDP_QUEUE_H
#define POSTERN_DATAPLANE_XDP_QUEUE_H

#include <stdbool.h>

/* Tells the XDP program of an interface which socket gets the frames of its queue 0, the only one that we use; -1:
 * none, then they go up into the kernel. False, and errno, when the interface has no such program. */
bool xdp_queue_set(const char *interface, int socket_fd);

#endif
