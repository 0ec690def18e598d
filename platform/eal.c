/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/eal.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_memzone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/clock.h"
#include "platform/log.h"
#include "platform/text.h"

static_assert(RTE_MAX_LCORE > CONF_WORKERS_MAX, "an lcore for each worker and the main thread");

/* DPDK's stream of text, cut into lines. rte_log flushes after each message, while its level can still be asked for;
 * threads that log at once may have their messages flushed together under one level. */
static ssize_t
write_log(void *cookie, const char *bytes, size_t length)
{
	(void)cookie;
	unsigned theirs = (unsigned)rte_log_cur_msg_loglevel();
	enum log_level level = theirs <= RTE_LOG_ERR       ? LOG_ERROR
			       : theirs == RTE_LOG_WARNING ? LOG_WARN
			       : theirs == RTE_LOG_NOTICE  ? LOG_INFO
							   : LOG_DEBUG;
	const char *end = bytes + length;

	for (const char *line = bytes; line < end && log_enabled(level);) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		char text[512];
		stop = stop == NULL ? end : stop;
		snprintf(text, sizeof(text), "%.*s", (int)(stop - line), line);
		if (text[0] != '\0')
			log_write(level, "dpdk", text, NULL, 0);
		line = stop + 1;
	}
	return (ssize_t)length;
}

static bool
redirect_log(void)
{
	static const cookie_io_functions_t functions = {.write = write_log};
	FILE *stream = fopencookie(NULL, "w", functions);

	if (stream == NULL || rte_openlog_stream(stream) != 0)
		return false;
	rte_log_set_global_level(log_enabled(LOG_DEBUG) ? RTE_LOG_INFO : RTE_LOG_NOTICE);
	return true;
}

static void __attribute__((format(printf, 2, 3))) add(struct eal_arguments *arguments, const char *format, ...)
{
	struct text text = {0};
	va_list list;

	va_start(list, format);
	text_vprint(&text, format, list);
	va_end(list);
	arguments->list[arguments->n++] = text.bytes;
	arguments->list[arguments->n] = NULL;
}

/* What we would have of a driver that is left to itself, unless the file says otherwise. */
static const char *
driver_default(const char *device, const char *given)
{
	/* af_xdp makes a system call for every empty poll. */
	if (strncmp(device, "net_af_xdp", 10) == 0 && strstr(given, "busy_budget") == NULL)
		return ",busy_budget=0";
	/* af_packet's ring of 512 frames is full when a worker waits for its core for a few milliseconds. */
	if (strncmp(device, "net_af_packet", 13) == 0 && strstr(given, "framecnt") == NULL &&
	    strstr(given, "blocksz") == NULL && strstr(given, "framesz") == NULL)
		return ",framecnt=4096,blocksz=65536";
	return "";
}

void
eal_arguments_make(const struct conf *conf, const char *prefix, struct eal_arguments *arguments)
{
	struct conf_device devices[CONF_PORTS_MAX];
	uint8_t n_devices = conf_devices(conf, devices);
	struct text lcores = {0};
	bool pci = false;

	*arguments = (struct eal_arguments){0};
	add(arguments, "posternd");
	text_print(&lcores, "%d@%u", EAL_MAIN_LCORE, conf->main_core);
	for (unsigned w = 0; w < conf->n_workers; w++)
		text_print(&lcores, ",%u@%u", eal_worker_lcore(w), conf->worker_cores[w]);
	add(arguments, "--lcores=%s", lcores.bytes);
	text_free(&lcores);
	add(arguments, "--main-lcore=%d", EAL_MAIN_LCORE);
	add(arguments, "--file-prefix=%s", prefix);
	add(arguments, "--no-telemetry");
	add(arguments, "--log-level=%s", log_enabled(LOG_DEBUG) ? "info" : "notice");

	/* --in-memory says no-shconf too, and DPDK refuses it together with --no-huge. */
	if (conf->memory.huge_pages) {
		add(arguments, "--in-memory");
	} else {
		add(arguments, "--no-huge");
		add(arguments, "--no-shconf");
	}
	add(arguments, "-m");
	add(arguments, "%" PRIu32, conf->memory.megabytes);

	for (uint8_t d = 0; d < n_devices; d++) {
		const char *comma = devices[d].arguments == NULL ? "" : ",";
		const char *rest = devices[d].arguments == NULL ? "" : devices[d].arguments;
		add(arguments, devices[d].pci ? "--allow=%s%s%s%s" : "--vdev=%s%s%s%s", devices[d].name, comma, rest,
		    driver_default(devices[d].name, rest));
		pci |= devices[d].pci;
	}
	if (!pci)
		add(arguments, "--no-pci"); /* no scan of the bus, and no NIC taken that nobody named */
	/* Left to itself, DPDK run by root wants physical addresses, and then no packet may cross a page: without huge
	 * pages each would take 4 kB. Only NICs without an IOMMU need that. */
	if (!pci || !conf->memory.huge_pages)
		add(arguments, "--iova-mode=va");
}

void
eal_arguments_free(struct eal_arguments *arguments)
{
	for (unsigned i = 0; i < arguments->n; i++)
		free(arguments->list[i]);
	*arguments = (struct eal_arguments){0};
}

/* Reads one number from a file of /sys; 0 when it isn't there. */
static uint64_t
read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	uint64_t number = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%" SCNu64, &number) != 1)
		number = 0;
	fclose(file);
	return number;
}

/* Free huge pages of all sizes, in MB. */
static uint64_t
count_huge_megabytes(void)
{
	static const char folder[] = "/sys/kernel/mm/hugepages";
	DIR *sizes = opendir(folder);
	struct dirent *entry;
	uint64_t kilobytes = 0, size;
	char path[PATH_MAX];

	while (sizes != NULL && (entry = readdir(sizes)) != NULL) {
		if (sscanf(entry->d_name, "hugepages-%" SCNu64 "kB", &size) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%s/free_hugepages", folder, entry->d_name);
		kilobytes += size * read_number(path);
	}
	if (sizes != NULL)
		closedir(sizes);
	return kilobytes / 1024;
}

static bool
check_huge_pages(const struct conf *conf, struct text *error)
{
	uint64_t megabytes = conf->memory.huge_pages ? count_huge_megabytes() : UINT64_MAX;

	if (megabytes >= conf->memory.megabytes)
		return true;
	text_print(error,
		   "%s: memory.huge_pages is set and %" PRIu32 " MB are wanted, but %" PRIu64
		   " MB of huge pages are free; "
		   "set them aside (sysctl -w vm.nr_hugepages=%" PRIu32 ") or say huge_pages = false",
		   conf->path, conf->memory.megabytes, megabytes, (conf->memory.megabytes + 1) / 2);
	return false;
}

/* rte_eal_init doesn't mind a device that isn't there, nor one that its driver can't open. */
static bool
check_devices(const struct conf *conf, struct text *error)
{
	struct conf_device devices[CONF_PORTS_MAX];
	uint8_t n = conf_devices(conf, devices);
	uint16_t port;

	for (uint8_t d = 0; d < n; d++) {
		const struct conf_device *device = &devices[d];
		if (rte_eth_dev_get_port_by_name(device->name, &port) == 0)
			continue;
		text_print(error, "%s: ", conf->path);
		if (device->pci)
			text_print(
				error,
				"no driver took device %s; is it there, of a kind that Postern has a driver for, and "
				"bound to vfio-pci (dpdk-devbind.py --status)?",
				device->name);
		else
			text_print(error,
				   "device %s can't be opened with arguments \"%s\"; the log's lines of scope dpdk say "
				   "why",
				   device->name, device->arguments == NULL ? "" : device->arguments);
		return false;
	}
	return true;
}

static void
unmap_packets(struct rte_mempool_memhdr *chunk, void *unused)
{
	(void)unused;
	munmap(chunk->addr, chunk->len);
}

/* Whether fd is memory of that size, as map_packets makes it. */
static bool
is_memory(int fd, size_t size)
{
	struct stat status;

	return fd > STDERR_FILENO && fcntl(fd, F_GET_SEALS) >= 0 && fstat(fd, &status) == 0 &&
	       status.st_size == (off_t)size;
}

/* Memory that no device reaches by itself, of size bytes. Taking it page by page is half of the work of a start, so a
 * program hands it on to its successor. *fd: what was handed on, and then what it is; -1: nothing. NULL, and errno,
 * when there is none. */
static void *
map_packets(size_t size, int *fd)
{
	if (!is_memory(*fd, size))
		*fd = memfd_create("packets", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0 || ftruncate(*fd, (off_t)size) != 0)
		return NULL;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, *fd, 0);
	if (memory == MAP_FAILED)
		return NULL;
	madvise(memory, size, MADV_DONTDUMP); /* payload is nobody's business */
	return memory;
}

static void
free_zone(struct rte_mempool_memhdr *chunk, void *zone)
{
	(void)chunk;
	rte_memzone_free(zone);
}

/* Gives an empty pool its memory, in one dense piece. Returns how many packets fit, or a negative errno. */
static int
populate(struct rte_mempool *pool, size_t size, bool dma, int *fd)
{
	const unsigned page = (unsigned)sysconf(_SC_PAGESIZE);

	if (!dma) {
		void *memory = map_packets(size, fd);
		return memory == NULL
			       ? -errno
			       : rte_mempool_populate_iova(pool, memory, (uintptr_t)memory, size, unmap_packets, NULL);
	}
	const struct rte_memzone *zone = rte_memzone_reserve_aligned("packets", size, SOCKET_ID_ANY, 0, page);
	return zone == NULL ? -rte_errno
			    : rte_mempool_populate_iova(pool, zone->addr, zone->iova, zone->len, free_zone,
							(void *)(uintptr_t)zone);
}

/* As rte_pktmbuf_pool_create, but without huge pages in one dense piece. Left to itself, DPDK lets no packet cross a
 * page of 4 kB, though virtual addresses (--iova-mode=va) are as contiguous as they need to be: each packet would take
 * a page, and net_af_xdp, which takes a pool for dense, would show the kernel only half of it. Returns NULL and sets
 * rte_errno when there is no memory. */
static struct rte_mempool *
make_pool(const struct conf *conf, uint16_t room, bool dma, int *fd)
{
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = room};
	uint32_t packets = conf->memory.packets;
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (rte_eal_has_hugepages())
		return rte_pktmbuf_pool_create("packets", packets, EAL_PACKET_CACHE, 0, room, SOCKET_ID_ANY);

	struct rte_mempool *pool =
		rte_mempool_create_empty("packets", packets, sizeof(struct rte_mbuf) + room, EAL_PACKET_CACHE,
					 sizeof(private), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	if (pool == NULL)
		return NULL;
	rte_pktmbuf_pool_init(pool, &private);
	size_t size = (size_t)packets * (pool->header_size + pool->elt_size + pool->trailer_size);
	int result = rte_mempool_set_ops_byname(pool, RTE_MBUF_DEFAULT_MEMPOOL_OPS, NULL);
	if (result == 0 && size > (size_t)conf->memory.megabytes << 20)
		result = -ENOMEM;
	if (result == 0)
		result = populate(pool, RTE_ALIGN_CEIL(size, page), dma, fd);
	if (result < (int)packets) {
		rte_mempool_free(pool);
		rte_errno = result < 0 ? -result : ENOMEM;
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

/* Whether a device takes packets from memory by itself. */
static bool
has_pci(const struct conf *conf)
{
	struct conf_device devices[CONF_PORTS_MAX];
	uint8_t n = conf_devices(conf, devices);

	for (uint8_t d = 0; d < n; d++)
		if (devices[d].pci)
			return true;
	return false;
}

bool
eal_start(const struct conf *conf, int packets_fd, struct eal *eal, struct text *error)
{
	char prefix[64];

	*eal = (struct eal){.n_workers = conf->n_workers, .packets_fd = packets_fd};
	if (!check_huge_pages(conf, error))
		return false;
	if (!redirect_log()) {
		text_print(error, "can't take over DPDK's log: %s", strerror(errno));
		return false;
	}
	/* Containers that share a mount have the same process ids. */
	snprintf(prefix, sizeof(prefix), "postern-%d-%" PRIx64, getpid(), clock_us());
	eal_arguments_make(conf, prefix, &eal->arguments);

	/* DPDK reorders the list it is given, and keeps what it points to. */
	char *list[EAL_ARGUMENTS_MAX + 1];
	memcpy(list, eal->arguments.list, sizeof(list));
	if (rte_eal_init((int)eal->arguments.n, list) < 0) {
		text_print(error, "DPDK doesn't start: %s; the log's lines of scope dpdk say more, for",
			   rte_strerror(rte_errno));
		for (unsigned i = 1; i < eal->arguments.n; i++)
			text_print(error, " %s", eal->arguments.list[i]);
		return false;
	}
	/* DPDK makes a folder even when nothing is to be put there, and leaves it behind. */
	rmdir(rte_eal_get_runtime_dir());
	if (!check_devices(conf, error))
		return false;

	uint32_t room = RTE_PKTMBUF_HEADROOM + conf_packet_room(conf);
	eal->packets = make_pool(conf, (uint16_t)room, has_pci(conf), &eal->packets_fd);
	if (eal->packets == NULL) {
		text_print(error,
			   "%s: no memory for memory.packets = %" PRIu32 " in memory.megabytes = %" PRIu32 ": %s",
			   conf->path, conf->memory.packets, conf->memory.megabytes, rte_strerror(rte_errno));
		return false;
	}
	return true;
}

void
eal_stop(struct eal *eal)
{
	rte_mempool_free(eal->packets);
	rte_eal_cleanup();
	eal_arguments_free(&eal->arguments);
	if (eal->packets_fd >= 0)
		close(eal->packets_fd);
	*eal = (struct eal){0};
}
