/* SPDX-License-Identifier: Apache-2.0 */
/* Whose sockets are taken over, and what they keep. The replay is tested end to end (tests/e2e/scenarios/crash.sh). */
#include "dataplane/interlude.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/log.h"
#include "platform/text.h"
#include "tests/unit/unit.h"

static struct conf conf;

static void
set_port(unsigned i, const char *device, char *arguments)
{
	snprintf(conf.ports[i].name, sizeof(conf.ports[i].name), "p%u", i);
	snprintf(conf.ports[i].device, sizeof(conf.ports[i].device), "%s", device);
	conf.ports[i].arguments = arguments;
}

static unsigned
count(const struct interlude *interlude)
{
	unsigned n = 0;
	for (unsigned i = 0; i < CONF_PORTS_MAX; i++)
		n += interlude->fds[i] >= 0;
	return n;
}

/* Nothing that isn't a packet socket on one of our interfaces, whatever the environment says. */
static void
test_foreign(void)
{
	static const char *const texts[] = {
		"",        "lo",    "lo=",  "lo=x",    "lo=-1",          "lo=0", "lo=1", "lo=2",
		"lo=4095", "lo=77", "l=77", ",,lo=77", "lo=99999999999", "=77",  ",",    "eth0=77,lo=77"};
	struct interlude interlude;

	CU_ASSERT_EQUAL_FATAL(dup2(STDERR_FILENO, 77), 77);
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		interlude_inherit(&interlude, &conf, texts[i]);
		CU_ASSERT_EQUAL(count(&interlude), 0);
	}
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	char text[32];
	snprintf(text, sizeof(text), "lo=%d", udp);
	interlude_inherit(&interlude, &conf, text);
	CU_ASSERT_EQUAL(count(&interlude), 0);
	CU_ASSERT_EQUAL(fcntl(77, F_GETFD), 0); /* left alone */
	close(udp);
	/* Where a packet socket has its interface, this one has another number. */
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_pid = if_nametoindex("lo")};
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	CU_ASSERT_EQUAL(bind(netlink, (const struct sockaddr *)&address, sizeof(address)), 0);
	snprintf(text, sizeof(text), "lo=%d", netlink);
	interlude_inherit(&interlude, &conf, text);
	CU_ASSERT_EQUAL(count(&interlude), 0);
	close(netlink);
	close(77);
}

/* From one program to the next, where the kernel lets us. */
static void
test_handed_over(void)
{
	struct interlude before, after;
	struct text text = {0};

	interlude_open(&before, &conf);
	if (before.fds[0] < 0)
		return;                     /* no rights; the end-to-end tests have them */
	CU_ASSERT_EQUAL(count(&before), 1); /* net_null has no interface */
	interlude_print(&before, &conf, &text);
	fcntl(before.fds[0], F_SETFD, 0);
	interlude_inherit(&after, &conf, text.bytes);
	CU_ASSERT_EQUAL(after.fds[0], before.fds[0]);
	CU_ASSERT_EQUAL(fcntl(after.fds[0], F_GETFD), FD_CLOEXEC);
	/* On another interface than it was made for, it isn't taken. */
	char other[] = "iface=lo0";
	conf.ports[0].arguments = other;
	interlude_inherit(&before, &conf, text.bytes);
	CU_ASSERT_EQUAL(count(&before), 0);

	/* What is sent to ourselves comes in by lo, until it has ended. */
	static const struct sockaddr_in discard = {.sin_family = AF_INET, .sin_port = 9 << 8, .sin_addr = {0x0100007f}};
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char got[2048];
	CU_ASSERT_EQUAL(sendto(udp, "x", 1, 0, (const struct sockaddr *)&discard, sizeof(discard)), 1);
	CU_ASSERT_TRUE(poll(&(struct pollfd){.fd = after.fds[0], .events = POLLIN}, 1, 10000) == 1);
	CU_ASSERT_TRUE(recv(after.fds[0], got, sizeof(got), 0) > 0);
	interlude_end(&after);
	while (recv(after.fds[0], got, sizeof(got), 0) >= 0)
		;
	CU_ASSERT_EQUAL(sendto(udp, "x", 1, 0, (const struct sockaddr *)&discard, sizeof(discard)), 1);
	CU_ASSERT_TRUE(recv(after.fds[0], got, sizeof(got), 0) < 0 && errno == EAGAIN);
	close(udp);
	close(after.fds[0]);
	text_free(&text);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"descriptors that are not ours", test_foreign},
		{"from one program to the next", test_handed_over},
		CU_TEST_INFO_NULL,
	};
	char lo[] = "iface=lo";

	log_configure(LOG_ERROR, LOG_TEXT);
	conf.n_ports = 2;
	set_port(0, "net_af_packet0", lo);
	set_port(1, "net_null0", NULL);
	return unit_run("interlude", tests);
}
