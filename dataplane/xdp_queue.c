/* SPDX-License-Identifier: Apache-2.0 */
/* libxdp's program asks a map of sockets where to put a frame, and passes it on when there is none. The map is reached
 * through the program that is attached. */
#include "dataplane/xdp_queue.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdint.h>
#include <unistd.h>

enum { MAPS_MAX = 8 };

static bool
is_socket_map(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t length = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &length) == 0 && info.type == BPF_MAP_TYPE_XSKMAP;
}

/* The socket map of a program, or -1. */
static int
find_map(int program_fd)
{
	uint32_t ids[MAPS_MAX];
	struct bpf_prog_info info = {.nr_map_ids = MAPS_MAX, .map_ids = (uintptr_t)ids};
	uint32_t length = sizeof(info);

	if (bpf_obj_get_info_by_fd(program_fd, &info, &length) != 0)
		return -1;
	for (uint32_t i = 0; i < info.nr_map_ids && i < MAPS_MAX; i++) {
		int fd = bpf_map_get_fd_by_id(ids[i]);
		if (fd >= 0 && is_socket_map(fd))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	errno = ENOENT;
	return -1;
}

bool
xdp_queue_set(const char *interface, int socket_fd)
{
	const uint32_t queue = 0;
	uint32_t id = 0;
	bool done = false;
	int program, map;

	if (bpf_xdp_query_id((int)if_nametoindex(interface), 0, &id) != 0 || (program = bpf_prog_get_fd_by_id(id)) < 0)
		return false;
	map = find_map(program);
	if (map >= 0) {
		done = (socket_fd < 0 ? bpf_map_delete_elem(map, &queue)
				      : bpf_map_update_elem(map, &queue, &socket_fd, BPF_ANY)) == 0;
		close(map);
	}
	close(program);
	return done;
}
