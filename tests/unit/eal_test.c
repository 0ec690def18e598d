/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/eal.h"

#include <fcntl.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/text.h"
#include "tests/unit/unit.h"

/* A configuration with one port on each named device. */
static struct conf
make_conf(const char *const *devices, char *const *arguments)
{
	struct conf conf = {.path = (char *)"postern.conf",
			    .main_core = 2,
			    .worker_cores = {3, 5},
			    .n_workers = 2,
			    .memory = {.megabytes = 32, .packets = 4096}};

	for (; devices[conf.n_ports] != NULL; conf.n_ports++) {
		struct conf_port *port = &conf.ports[conf.n_ports];
		snprintf(port->device, sizeof(port->device), "%s", devices[conf.n_ports]);
		port->arguments = arguments[conf.n_ports];
		port->mtu = 1500;
	}
	return conf;
}

static void
test_arguments(void)
{
	static const struct {
		const char *devices[4];
		char *arguments[4];
		bool huge_pages;
		const char *expected;
	} cases[] = {
		{{"net_null0"},
		 {NULL},
		 false,
		 "posternd --lcores=0@2,1@3,2@5 --main-lcore=0 --file-prefix=p --no-telemetry --log-level=notice "
		 "--no-huge "
		 "--no-shconf -m 32 --vdev=net_null0 --no-pci --iova-mode=va"},
		{{"net_af_xdp0", "net_af_xdp0", "net_tap1"},
		 {NULL, (char *)"iface=eth1", (char *)"iface=t"},
		 true,
		 "posternd --lcores=0@2,1@3,2@5 --main-lcore=0 --file-prefix=p --no-telemetry --log-level=notice "
		 "--in-memory -m 32 --vdev=net_af_xdp0,iface=eth1,busy_budget=0 --vdev=net_tap1,iface=t --no-pci "
		 "--iova-mode=va"},
		{{"0000:01:00.0", "net_null0"},
		 {(char *)"a=1", NULL},
		 true,
		 "posternd --lcores=0@2,1@3,2@5 --main-lcore=0 --file-prefix=p --no-telemetry --log-level=notice "
		 "--in-memory -m 32 --allow=0000:01:00.0,a=1 --vdev=net_null0"},
	};

	log_configure(LOG_INFO, LOG_TEXT);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf conf = make_conf(cases[i].devices, cases[i].arguments);
		struct eal_arguments arguments;
		struct text joined = {0};
		conf.memory.huge_pages = cases[i].huge_pages;
		eal_arguments_make(&conf, "p", &arguments);
		CU_ASSERT_PTR_NULL(arguments.list[arguments.n]);
		for (unsigned k = 0; k < arguments.n; k++)
			text_print(&joined, k == 0 ? "%s" : " %s", arguments.list[k]);
		CU_ASSERT_STRING_EQUAL(joined.bytes, cases[i].expected);
		text_free(&joined);
		eal_arguments_free(&arguments);
	}
}

static void
test_most_arguments(void)
{
	struct conf conf = {.n_workers = CONF_WORKERS_MAX, .n_ports = CONF_PORTS_MAX};
	struct eal_arguments arguments;

	for (unsigned i = 0; i < CONF_PORTS_MAX; i++)
		snprintf(conf.ports[i].device, sizeof(conf.ports[i].device), "net_null%u", i);
	eal_arguments_make(&conf, "p", &arguments);
	CU_ASSERT(arguments.n <= EAL_ARGUMENTS_MAX);
	eal_arguments_free(&arguments);
}

static void
test_huge_pages_missing(void)
{
	static const char *const devices[] = {"net_null0", NULL};
	static char *const none[] = {NULL};
	struct conf conf = make_conf(devices, none);
	struct text error = {0};
	struct eal eal;

	conf.memory.huge_pages = true;
	conf.memory.megabytes = 1 << 30; /* more than any machine has */
	CU_ASSERT(!eal_start(&conf, -1, &eal, &error));
	CU_ASSERT_PTR_NOT_NULL_FATAL(error.bytes);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, "memory.huge_pages is set and 1073741824 MB are wanted"));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.bytes, "sysctl -w vm.nr_hugepages=536870912"));
	text_free(&error);
}

/* DPDK starts once in a process, so what goes wrong goes wrong in a child. */
static void
test_devices_missing(void)
{
	static const struct {
		const char *device;
		char *arguments;
		const char *error;
	} cases[] = {
		{"net_af_packet0", (char *)"iface=nowhere0",
		 "postern.conf: device net_af_packet0 can't be opened with arguments \"iface=nowhere0\"; the log's "
		 "lines of "
		 "scope dpdk say why"},
		{"ffff:ff:1f.7", NULL,
		 "postern.conf: no driver took device ffff:ff:1f.7; is it there, of a kind that Postern has a driver "
		 "for, and "
		 "bound to vfio-pci (dpdk-devbind.py --status)?"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const devices[] = {cases[i].device, NULL};
		char *const arguments[] = {cases[i].arguments};
		struct conf conf = make_conf(devices, arguments);
		int status = -1;
		conf.main_core = conf.worker_cores[0] = (uint16_t)sched_getcpu();
		conf.n_workers = 1;
		pid_t child = fork();
		if (child == 0) {
			struct text error = {0};
			struct eal eal;
			bool as_expected =
				!eal_start(&conf, -1, &eal, &error) && strcmp(error.bytes, cases[i].error) == 0;
			if (!as_expected && error.bytes != NULL)
				fprintf(stderr, "%s\n", error.bytes);
			_exit(as_expected ? 0 : 1);
		}
		CU_ASSERT_FATAL(child > 0);
		CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
		CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

static int
report_core(void *argument)
{
	*(int *)argument = sched_getcpu();
	return 41;
}

/* Bytes of the pool in DPDK's memory, of which conf_packet_memory must not fall short. */
static void
add_chunk(struct rte_mempool *pool, void *total, struct rte_mempool_memhdr *chunk, unsigned index)
{
	(void)pool;
	(void)index;
	*(size_t *)total += chunk->len;
}

static void
test_start(void)
{
	static const char *const devices[] = {"net_null0", NULL};
	static char *const none[] = {NULL};
	struct conf conf = make_conf(devices, none);
	struct text error = {0};
	struct eal eal;
	int core = sched_getcpu(), worker_core = -1, saved = dup(STDERR_FILENO), log = memfd_create("log", MFD_CLOEXEC);
	uint16_t port;
	char line[256] = "";

	/* The box of one core: both lcores on the same. */
	CU_ASSERT_FATAL(core >= 0);
	conf.main_core = conf.worker_cores[0] = (uint16_t)core;
	conf.n_workers = 1;
	bool started = eal_start(&conf, -1, &eal, &error);
	if (!started)
		fprintf(stderr, "%s\n", error.bytes);
	CU_ASSERT_FATAL(started);
	CU_ASSERT_PTR_NULL(error.bytes);

	CU_ASSERT_EQUAL(rte_lcore_id(), EAL_MAIN_LCORE);
	CU_ASSERT_EQUAL(rte_lcore_count(), 2);
	CU_ASSERT_EQUAL(sched_getcpu(), core);
	CU_ASSERT_EQUAL(rte_eal_remote_launch(report_core, &worker_core, eal_worker_lcore(0)), 0);
	CU_ASSERT_EQUAL(rte_eal_wait_lcore(eal_worker_lcore(0)), 41);
	CU_ASSERT_EQUAL(worker_core, core);

	CU_ASSERT_EQUAL(rte_eth_dev_get_port_by_name("net_null0", &port), 0);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(eal.packets), 4096);
	CU_ASSERT_EQUAL(rte_pktmbuf_data_room_size(eal.packets), RTE_PKTMBUF_HEADROOM + 2048);
	struct rte_mbuf *packet = rte_pktmbuf_alloc(eal.packets);
	CU_ASSERT_PTR_NOT_NULL_FATAL(packet);
	CU_ASSERT_EQUAL(rte_pktmbuf_iova(packet), (uintptr_t)rte_pktmbuf_mtod(packet, void *));
	rte_pktmbuf_free(packet);
	size_t total = 0;
	rte_mempool_mem_iter(eal.packets, add_chunk, &total);
	CU_ASSERT(total > 0 && total + (1 << 20) < conf_packet_memory(&conf));

	/* What DPDK says comes as lines of ours. */
	dup2(log, STDERR_FILENO);
	RTE_LOG(ERR, USER1, "link\tis gone\n");
	RTE_LOG(INFO, USER1, "chatter\n");
	dup2(saved, STDERR_FILENO);
	close(saved);
	CU_ASSERT(pread(log, line, sizeof(line) - 1, 0) > 0);
	close(log);
	CU_ASSERT_PTR_NOT_NULL(strstr(line, " error dpdk: USER1: link\\u0009is gone\n"));
	CU_ASSERT_PTR_NULL(strstr(line, "chatter"));
	CU_ASSERT_NOT_EQUAL(access(rte_eal_get_runtime_dir(), F_OK), 0);
	eal_stop(&eal);
	CU_ASSERT_PTR_NULL(eal.packets);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"arguments", test_arguments},
		{"the most arguments", test_most_arguments},
		{"no huge pages", test_huge_pages_missing},
		{"devices that aren't there", test_devices_missing},
		{"start and stop", test_start},
		CU_TEST_INFO_NULL,
	};
	return unit_run("eal", tests);
}
