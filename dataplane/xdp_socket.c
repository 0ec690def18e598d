/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel takes the queue of an AF_XDP socket back some milliseconds after the process that had it is gone: a
 * successor that is quick finds it busy. DPDK's driver would give up, and can't be asked twice: what is left of its
 * first attempt spoils the second, and frames with it. So the waiting is done inside, where the driver asks libxdp for
 * its socket; the linker puts this in between (--wrap, see the Makefile).
 */
#include <errno.h>
#include <unistd.h>
#include <xdp/xsk.h>

enum { QUEUE_AGAIN_MS = 2, QUEUE_TRIES = 500 };

int __real_xsk_socket__create(struct xsk_socket **socket, const char *interface, __u32 queue, struct xsk_umem *umem,
			      struct xsk_ring_cons *rx, struct xsk_ring_prod *tx,
			      const struct xsk_socket_config *config);
int __wrap_xsk_socket__create(struct xsk_socket **socket, const char *interface, __u32 queue, struct xsk_umem *umem,
			      struct xsk_ring_cons *rx, struct xsk_ring_prod *tx,
			      const struct xsk_socket_config *config);

int
__wrap_xsk_socket__create(struct xsk_socket **socket, const char *interface, __u32 queue, struct xsk_umem *umem,
			  struct xsk_ring_cons *rx, struct xsk_ring_prod *tx, const struct xsk_socket_config *config)
{
	int result = -EBUSY;

	for (unsigned i = 0; i < QUEUE_TRIES && result == -EBUSY; i++) {
		if (i != 0)
			usleep(QUEUE_AGAIN_MS * 1000);
		result = __real_xsk_socket__create(socket, interface, queue, umem, rx, tx, config);
	}
	return result;
}
