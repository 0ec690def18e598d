/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/conf.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/text.h"
#include "tests/unit/unit.h"

static char folder[] = "/tmp/postern-conf-XXXXXX";

/* A port that nothing is wrong with, on line 1. */
#define PORT "ports = ( { name = \"wan\"; device = \"net_null0\"; addresses = [ \"192.0.2.1/24\" ]; } );\n"

static void
write_file(const char *bytes, size_t length, struct text *path)
{
	text_print(path, "%s/postern.conf", folder);
	int fd = open(path->bytes, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, bytes, length), (ssize_t)length);
	close(fd);
}

/* Loads bytes as a file; *errors gets what conf_load says, with "F" for the file's path. */
static struct conf *
load(const char *bytes, size_t length, struct text *errors)
{
	struct text path = {0}, found = {0};
	struct conf *conf = NULL;

	write_file(bytes, length, &path);
	bool loaded = conf_load(path.bytes, &conf, &found);
	CU_ASSERT_EQUAL(loaded, conf != NULL);
	CU_ASSERT_EQUAL(loaded, found.length == 0);
	for (char *line = found.bytes; line != NULL && *line != '\0'; line = strchr(line, '\n') + 1) {
		CU_ASSERT_EQUAL(strncmp(line, path.bytes, path.length), 0);
		const char *rest = line + path.length;
		text_print(errors, "F%.*s", (int)(strchr(rest, '\n') + 1 - rest), rest);
	}
	text_free(&found);
	text_free(&path);
	return conf;
}

static void
test_broken(void)
{
	static const struct {
		const char *file, *errors;
	} cases[] = {
		/* the file */
		{"", "F:1: ports must have at least one port\n"},
		{"ports = (\n", "F:2: syntax error\n"},
		{PORT "federation = \"a\";\nfederation = \"b\";\n", "F:3: duplicate setting name\n"},
		/* names, kinds, ranges */
		{PORT "federatoin = \"a\";\n", "F:2: unknown setting \"federatoin\"; did you mean \"federation\"?\n"},
		{PORT "zebra = 1;\n", "F:2: unknown setting \"zebra\"\n"},
		{PORT "memory = { megabyte = 64; };\n",
		 "F:2: unknown setting \"memory.megabyte\"; did you mean \"megabytes\"?\n"},
		{PORT "memory = 64;\n", "F:2: memory must be a group { }, not a whole number\n"},
		{PORT "memory = {\n megabytes = \"64\"; };\n",
		 "F:3: memory.megabytes must be a whole number, not a text\n"},
		{PORT "memory = { megabytes = 64.0; };\n",
		 "F:2: memory.megabytes must be a whole number, not a fraction\n"},
		{PORT "memory = { megabytes = 15; };\n", "F:2: memory.megabytes is 15, which is outside 16..65536\n"},
		{PORT "tables = { flows = 5000000000; };\n",
		 "F:2: 5000000000 is too large a number\n"}, /* libconfig would make it 705032704 */
		{PORT "/* 5000000000\n@include */ federation = \"\\\"9999999999 # \"; # 5000000000 @\n"
		      "// @include\n_x-5000000000 = 4294967297; b = 0x80000000; @include \"/etc/passwd\"\n",
		 "F:5: 4294967297 is too large a number\nF:5: 0x80000000 is too large a number\n"
		 "F:5: @include is not for this file: one box, one file\n"},
		{PORT "tables = { holds = -1; };\n", "F:2: tables.holds is -1, which is outside 64..1048576\n"},
		{PORT "tables = { bridges = 63; };\n", "F:2: tables.bridges is 63, which is outside 64..4194304\n"},
		{PORT "log = { access = 1; };\n", "F:2: log.access must be true or false, not a whole number\n"},
		{PORT "log = { level = \"loud\"; format = \"xml\"; };\n",
		 "F:2: log.level must be one of debug, info, warn, error, not \"loud\"\n"
		 "F:2: log.format must be one of text, json, not \"xml\"\n"},
		{PORT "federation = \"\";\n", "F:2: federation is empty\n"},
		{PORT "federation = \"a\\x01\";\n", "F:2: federation has a control character in it\n"},
		{PORT "state_directory = \"run\";\n", "F:2: state_directory must be an absolute path, not \"run\"\n"},
		{PORT "control = { socket = \"control.sock\"; };\n",
		 "F:2: control.socket must be an absolute path, not \"control.sock\"\n"},
		{PORT "control = { socket = \"/1234567890123456789012345678901234567890123456789012345678901234567890"
		      "12345678901234567890123456789012345678\"; };\n",
		 "F:2: control.socket is longer than 107 bytes\n"},
		{PORT "metrics = { address = \"15020\"; };\n",
		 "F:2: metrics.address is \"15020\", which is not ADDRESS:PORT as in \"127.0.0.1:15020\"\n"},
		{PORT "metrics = { address = \"2001:db8::1:80\"; };\n",
		 "F:2: metrics.address is \"2001:db8::1:80\", which is not ADDRESS:PORT as in \"127.0.0.1:15020\"\n"},
		{PORT "flow = { local_port_first = 60000; local_port_last = 61000; };\n",
		 "F:2: flow.local_port_first..local_port_last is 60000..61000; it takes 1024 ports\n"},
		{PORT "flow = { local_port_first = 60000; local_port_last = 50000; };\n",
		 "F:2: flow.local_port_first..local_port_last is 60000..50000; it takes 1024 ports\n"},
		/* ports */
		{"ports = ();\n", "F:1: ports must have at least one port\n"},
		{"ports = [ 1 ];\n", "F:1: ports must be a list ( ), not an array [ ]\n"},
		{"ports = ( 1 );\n", "F:1: ports[0] must be a group { }, not a whole number\n"},
		{"ports = (\n{ });\n", "F:2: ports[0].name is missing\nF:2: ports[0].device is missing\n"
				       "F:2: ports[0].addresses is missing\n"},
		{"ports = ( { name = \"\"; device = \"net_null0\"; addresses = [ ]; } );\n",
		 "F:1: ports[0].name is empty\nF:1: ports[0].addresses must have at least one address\n"},
		{"ports = ( { name = \"wan\"; device = \"net_null0\"; addresses = { a = 1; }; } );\n",
		 "F:1: ports[0].addresses must be an array [ ], not a group { }\n"},
		{"ports = ( { name = \"WAN 1\"; device = \"net_null0\"; addresses = [ \"192.0.2.1/24\" ]; } );\n",
		 "F:1: port \"WAN 1\": a name is made of a-z, 0-9, \"_\", \".\" and \"-\"\n"},
		{"ports = ( { name = \"far-too-long-for-a-port-of-ours1\"; device = \"net_null0\";\n"
		 "addresses = [ \"192.0.2.1/24\" ]; } );\n",
		 "F:1: ports[0].name is longer than 31 bytes\n"},
		{"ports = ( { name = \"uplink-to-wan\"; device = \"net_null0\"; tap = true; addresses = [ "
		 "\"192.0.2.1/24\" ]; } );\n",
		 "F:1: port \"uplink-to-wan\": the name is too long for the tap \"pt-uplink-to-wan\"; at most 12 "
		 "bytes\n"},
		{"ports = ( { name = \"wan\"; device = \"net_afxdp0\"; addresses = [ \"192.0.2.1/24\" ]; } );\n",
		 "F:1: port \"wan\": unknown device \"net_afxdp0\"; did you mean \"net_af_xdp0\"?\n"},
		{"ports = ( { name = \"wan\"; device = \"net_af_xdp\"; addresses = [ \"192.0.2.1/24\" ]; } );\n",
		 "F:1: port \"wan\": device \"net_af_xdp\" needs a number, as in \"net_af_xdp0\"\n"},
		{"ports = ( { name = \"wan\"; device = \"01:00.0\"; addresses = [ \"192.0.2.1/24\" ]; } );\n",
		 "F:1: port \"wan\": device \"01:00.0\" is neither a PCI address (\"0000:01:00.0\") nor a virtual "
		 "device "
		 "(\"net_af_xdp0\")\n"},
		{"ports = ( { name = \"wan\"; device = \"net_null0\"; arguments = \"a b\"; mtu = 1279; vlan = 4095; "
		 "rx_descriptors = 1000;\naddresses = [ \"192.0.2.1/24\" ]; } );\n",
		 "F:1: ports[0].mtu is 1279, which is outside 1280..9000\n"
		 "F:1: ports[0].vlan is 4095, which is outside 0..4094\n"
		 "F:1: ports[0].rx_descriptors is 1000, which is no power of two\n"
		 "F:1: port \"wan\": arguments have a space in them\n"},
		{"ports = ( { name = \"a\"; device = \"net_null0\"; addresses = [ \"192.0.2.1/24\" ]; },\n"
		 "{ name = \"a\"; device = \"net_null0\"; addresses = [ \"10.0.0.1/8\" ]; } );\n",
		 "F:2: two ports are called \"a\"\n"
		 "F:2: ports \"a\" and \"a\" are both untagged on device \"net_null0\"\n"},
		{"ports = ( { name = \"a\"; device = \"net_null0\"; vlan = 7; arguments = \"x=1\"; addresses = [ "
		 "\"192.0.2.1/24\" ]; },\n"
		 "{ name = \"b\"; device = \"net_null0\"; vlan = 7; arguments = \"x=2\"; tx_descriptors = 512; "
		 "addresses = [ \"10.0.0.1/8\" ]; } );\n",
		 "F:2: ports \"a\" and \"b\" are both VLAN 7 of device \"net_null0\"\n"
		 "F:2: ports \"a\" and \"b\" give device \"net_null0\" different arguments; one is enough\n"
		 "F:2: ports \"a\" and \"b\" give device \"net_null0\" different descriptors\n"},
		/* addresses */
		{"ports = ( { name = \"wan\"; device = \"net_null0\"; addresses = [ \"192.0.2.1\",\n"
		 "\"300.0.0.1/8\", \"192.0.2.1/33\" ]; } );\n",
		 "F:1: ports[0].addresses[0] is \"192.0.2.1\", which is not ADDRESS/LENGTH as in \"192.0.2.1/24\"\n"
		 "F:2: ports[0].addresses[1] is \"300.0.0.1/8\", which is not ADDRESS/LENGTH as in \"192.0.2.1/24\"\n"
		 "F:2: ports[0].addresses[2] is \"192.0.2.1/33\", which is not ADDRESS/LENGTH as in "
		 "\"192.0.2.1/24\"\n"},
		{"ports = ( { name = \"wan\"; device = \"net_null0\"; addresses = [ \"127.0.0.1/8\", \"ff02::1/16\",\n"
		 "\"192.0.2.0/24\", \"192.0.2.255/24\", \"2001:db8::/64\", \"10.0.0.1/0\" ]; } );\n",
		 "F:1: 127.0.0.1/8 can't be a port's address\n"
		 "F:1: ff02::1/16 can't be a port's address\n"
		 "F:2: 192.0.2.0/24 is the network's address, not a host's\n"
		 "F:2: 192.0.2.255/24 is the network's broadcast address, not a host's\n"
		 "F:2: 2001:db8::/64 is the network's address, not a host's\n"
		 "F:2: 10.0.0.1/0 would make the whole world on-link; write a route instead\n"},
		{"ports = ( { name = \"a\"; device = \"net_null0\"; addresses = [ \"10.1.2.1/24\", \"10.1.2.1/16\" ]; "
		 "},\n"
		 "{ name = \"b\"; device = \"net_null1\"; addresses = [ \"10.1.3.1/16\",\n"
		 "\"10.1.2.1/32\" ]; } );\n",
		 "F:1: address 10.1.2.1/16 of port \"a\" is already port \"a\"'s\n"
		 "F:2: 10.1.3.1/16 of port \"b\" overlaps with 10.1.2.1/24 of port \"a\"\n"
		 "F:2: 10.1.3.1/16 of port \"b\" overlaps with 10.1.2.1/16 of port \"a\"\n"
		 "F:3: address 10.1.2.1/32 of port \"b\" is already port \"a\"'s\n"
		 "F:3: address 10.1.2.1/32 of port \"b\" is already port \"a\"'s\n"},
		/* routes */
		{PORT "routes = ( { } );\n", "F:2: routes[0].to is missing\nF:2: routes[0].via is missing\n"},
		{PORT "routes = ( { to = \"default\"; via = \"gw\"; } );\n",
		 "F:2: routes[0].to is \"default\", which is not ADDRESS/LENGTH as in \"0.0.0.0/0\"\n"
		 "F:2: routes[0].via is \"gw\", which is no IP address\n"},
		{PORT "routes = ( { to = \"10.0.0.0/8\"; via = \"198.51.100.1\"; } );\n",
		 "F:2: next hop 198.51.100.1 is in no port's network\n"},
		{PORT "routes = ( { to = \"10.0.0.0/8\"; via = \"198.51.100.1\"; port = \"wan\"; } );\n",
		 "F:2: next hop 198.51.100.1 is in no network of port \"wan\"\n"},
		{PORT "routes = ( { to = \"10.0.0.0/8\"; via = \"192.0.2.254\"; port = \"wam\"; } );\n",
		 "F:2: no port is called \"wam\"; did you mean \"wan\"?\n"},
		{PORT "routes = ( { to = \"::/0\"; via = \"fe80::1\"; } );\n",
		 "F:2: next hop fe80::1 is on every link; the route must name its port\n"},
		{PORT "routes = ( { to = \"::/0\"; via = \"192.0.2.254\"; },\n"
		      "{ to = \"10.0.0.1/8\"; via = \"192.0.2.254\"; }, { to = \"0.0.0.0/0\"; via = \"192.0.2.1\"; },\n"
		      "{ to = \"0.0.0.0/0\"; via = \"224.0.0.1\"; } );\n",
		 "F:2: route to ::/0: next hop 192.0.2.254 is of the other family\n"
		 "F:3: route to 10.0.0.1/8: bits behind the prefix are set\n"
		 "F:3: route to 0.0.0.0/0: next hop 192.0.2.1 is our own address\n"
		 "F:4: two routes to 0.0.0.0/0\n"
		 "F:4: route to 0.0.0.0/0: 224.0.0.1 can't be a next hop\n"},
		/* a next hop whose network was misspelt is not reported, too */
		{"ports = ( { name = \"wan\"; device = \"net_null0\"; addresses = [ \"192.0.2.1/240\" ]; } );\n"
		 "routes = ( { to = \"0.0.0.0/0\"; via = \"192.0.2.254\"; } );\n",
		 "F:1: ports[0].addresses[0] is \"192.0.2.1/240\", which is not ADDRESS/LENGTH as in "
		 "\"192.0.2.1/24\"\n"},
		/* cores, memory */
		{PORT "cores = { main = 1024; workers = [ ]; };\n",
		 "F:2: cores.main is 1024, which is outside 0..1023\nF:2: cores.workers has 0 cores; 1..16 can be\n"},
		{PORT "cores = { workers = [ 1, 2, 1 ]; };\n", "F:2: cores.workers has core 1 twice\n"},
		{PORT "cores = { workers = 1; };\n", "F:2: cores.workers must be an array [ ], not a whole number\n"},
		{PORT "memory = { packets = 65536; };\n",
		 "F:2: memory.packets = 65536 needs memory.megabytes = 157 at least, which is 64\n"},
		{PORT "memory = { packets = 2048; };\n",
		 "F:2: memory.packets = 2048 can't fill the descriptors of all devices; it takes 2560\n"},
		/* all at once, in the order of the file */
		{"log = { level = \"x\"; };\n" PORT "cores = {\n main = -1; };\nfoo = 1;\n",
		 "F:1: log.level must be one of debug, info, warn, error, not \"x\"\n"
		 "F:4: cores.main is -1, which is outside 0..1023\nF:5: unknown setting \"foo\"\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text errors = {0};
		struct conf *conf = load(cases[i].file, strlen(cases[i].file), &errors);
		CU_ASSERT_PTR_NULL(conf);
		conf_free(conf);
		const char *found = errors.bytes == NULL ? "" : errors.bytes;
		CU_ASSERT_STRING_EQUAL(found, cases[i].errors);
		if (strcmp(found, cases[i].errors) != 0)
			fprintf(stderr, "in:\n%sexpected:\n%sfound:\n%s", cases[i].file, cases[i].errors, found);
		text_free(&errors);
	}
}

static void
test_unreadable(void)
{
	struct text errors = {0};
	struct conf *conf = NULL;

	CU_ASSERT(!conf_load("/nowhere/postern.conf", &conf, &errors));
	CU_ASSERT_STRING_EQUAL(errors.bytes,
			       "/nowhere/postern.conf:1: can't open the file: No such file or directory\n");
	text_free(&errors);
	CU_ASSERT(!conf_load("/", &conf, &errors));
	CU_ASSERT_STRING_EQUAL(errors.bytes, "/:1: can't read the file: Is a directory\n");
	text_free(&errors);
	CU_ASSERT_PTR_NULL(load(PORT "\0foo", sizeof(PORT) + 3, &errors));
	CU_ASSERT_STRING_EQUAL(errors.bytes, "F:1: the file has a NUL byte in it; it is no text\n");
	text_free(&errors);

	char *large = malloc((1 << 20) + 8192);
	memset(large, '\n', (1 << 20) + 8192);
	CU_ASSERT_PTR_NULL(load(large, (1 << 20) + 8192, &errors));
	CU_ASSERT_STRING_EQUAL(errors.bytes, "F:1: the file is larger than 1048576 bytes\n");
	text_free(&errors);
	free(large);
}

static void
test_defaults(void)
{
	struct text errors = {0}, federation = {0};
	struct conf *conf = load(PORT, sizeof(PORT) - 1, &errors);

	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	text_print(&federation, "%s/federation.yaml", folder);
	CU_ASSERT_STRING_EQUAL(conf->federation_path, federation.bytes);
	CU_ASSERT_STRING_EQUAL(conf->state_directory, "/run/postern");
	CU_ASSERT_STRING_EQUAL(conf->control_socket, "/run/postern/control.sock");
	CU_ASSERT_STRING_EQUAL(conf->metrics_address, "127.0.0.1:15020");
	CU_ASSERT_EQUAL(conf->n_ports, 1);
	CU_ASSERT_STRING_EQUAL(conf->ports[0].name, "wan");
	CU_ASSERT_STRING_EQUAL(conf->ports[0].device, "net_null0");
	CU_ASSERT_PTR_NULL(conf->ports[0].arguments);
	CU_ASSERT_EQUAL(conf->ports[0].vlan, 0);
	CU_ASSERT_EQUAL(conf->ports[0].mtu, 1500);
	CU_ASSERT_EQUAL(conf->ports[0].rx_descriptors, 1024);
	CU_ASSERT_EQUAL(conf->ports[0].tx_descriptors, 1024);
	CU_ASSERT_EQUAL(conf->ports[0].n_addresses, 1);
	CU_ASSERT_EQUAL(conf->ports[0].addresses[0].length, 24);
	CU_ASSERT(!conf->ports[0].tap);
	CU_ASSERT_EQUAL(conf->n_routes, 0);
	CU_ASSERT_EQUAL(conf->main_core, 0);
	CU_ASSERT_EQUAL(conf->n_workers, 1);
	CU_ASSERT_EQUAL(conf->worker_cores[0], 1);
	CU_ASSERT(!conf->memory.huge_pages);
	CU_ASSERT_EQUAL(conf->memory.megabytes, 64);
	CU_ASSERT_EQUAL(conf->memory.packets, 16384);
	CU_ASSERT_EQUAL(conf->tables.flows, 262144);
	CU_ASSERT_EQUAL(conf->tables.holds, 4096);
	CU_ASSERT_EQUAL(conf->tables.bridges, 16384);
	CU_ASSERT_EQUAL(conf->tables.neighbours, 1024);
	CU_ASSERT_EQUAL(conf->flow.local_port_first, 16384);
	CU_ASSERT_EQUAL(conf->flow.local_port_last, 65535);
	CU_ASSERT_EQUAL(conf->flow.idle_timeout_s, 8100);
	CU_ASSERT_EQUAL(conf->flow.half_closed_timeout_s, 8100);
	CU_ASSERT_EQUAL(conf->flow.hello_timeout_ms, 5000);
	CU_ASSERT_EQUAL(conf->flow.close_linger_ms, 4000);
	CU_ASSERT_EQUAL(conf->flow.drain_timeout_s, 10);
	CU_ASSERT_EQUAL(conf->flow.rst_per_second, 1000);
	CU_ASSERT_EQUAL(conf->tls.handshake_threads, 1);
	CU_ASSERT_EQUAL(conf->tls.handshake_queue, 512);
	CU_ASSERT_EQUAL(conf->tls.handshake_timeout_ms, 10000);
	CU_ASSERT_EQUAL(conf->log.level, LOG_INFO);
	CU_ASSERT_EQUAL(conf->log.format, LOG_JSON);
	CU_ASSERT(conf->log.access);
	conf_free(conf);
	text_free(&federation);
}

/* Every value of the tables, other than its default. */
static void
test_values(void)
{
	static const char file[] =
		"federation = \"/etc/f.yaml\"; state_directory = \"/s\"; control = { socket = \"/c\"; };\n"
		"metrics = { address = \"\"; };\n"
		"ports = ( { name = \"wan\"; device = \"0000:01:00.0\"; vlan = 4094; mtu = 9000; rx_descriptors = 64;\n"
		"tx_descriptors = 8192; tap = true; arguments = \"a=1,b=2\"; addresses = ( \"10.0.0.1/31\" ); } );\n"
		"cores = { main = 2; workers = [ 3, 5 ]; };\n"
		"memory = { huge_pages = true; megabytes = 4096; packets = 100000; };\n"
		"tables = { flows = 16777216; holds = 64; bridges = 65; neighbours = 16384; };\n"
		"flow = { local_port_first = 1024; local_port_last = 2047; idle_timeout_s = 60; half_closed_timeout_s "
		"= 61;\n"
		"hello_timeout_ms = 100; close_linger_ms = 0; rst_per_second = 0; };\n"
		"tls = { handshake_threads = 8; handshake_queue = 16; handshake_timeout_ms = 100; };\n"
		"log = { level = \"debug\"; format = \"text\"; access = false; };\n";
	struct text errors = {0};
	struct conf *conf = load(file, sizeof(file) - 1, &errors);

	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT_STRING_EQUAL(conf->federation_path, "/etc/f.yaml");
	CU_ASSERT_STRING_EQUAL(conf->state_directory, "/s");
	CU_ASSERT_STRING_EQUAL(conf->control_socket, "/c");
	CU_ASSERT_PTR_NULL(conf->metrics_address);
	CU_ASSERT_STRING_EQUAL(conf->ports[0].device, "0000:01:00.0");
	CU_ASSERT_STRING_EQUAL(conf->ports[0].arguments, "a=1,b=2");
	CU_ASSERT_EQUAL(conf->ports[0].vlan, 4094);
	CU_ASSERT_EQUAL(conf->ports[0].mtu, 9000);
	CU_ASSERT_EQUAL(conf->ports[0].rx_descriptors, 64);
	CU_ASSERT_EQUAL(conf->ports[0].tx_descriptors, 8192);
	CU_ASSERT(conf->ports[0].tap);
	CU_ASSERT_EQUAL(conf->main_core, 2);
	CU_ASSERT_EQUAL(conf->n_workers, 2);
	CU_ASSERT_EQUAL(conf->worker_cores[0], 3);
	CU_ASSERT_EQUAL(conf->worker_cores[1], 5);
	CU_ASSERT_EQUAL(conf->cores_line, 5);
	CU_ASSERT(conf->memory.huge_pages);
	CU_ASSERT_EQUAL(conf->memory.megabytes, 4096);
	CU_ASSERT_EQUAL(conf->memory.packets, 100000);
	CU_ASSERT_EQUAL(conf->tables.flows, 16777216);
	CU_ASSERT_EQUAL(conf->tables.holds, 64);
	CU_ASSERT_EQUAL(conf->tables.bridges, 65);
	CU_ASSERT_EQUAL(conf->tables.neighbours, 16384);
	CU_ASSERT_EQUAL(conf->flow.local_port_first, 1024);
	CU_ASSERT_EQUAL(conf->flow.local_port_last, 2047);
	CU_ASSERT_EQUAL(conf->flow.idle_timeout_s, 60);
	CU_ASSERT_EQUAL(conf->flow.half_closed_timeout_s, 61);
	CU_ASSERT_EQUAL(conf->flow.hello_timeout_ms, 100);
	CU_ASSERT_EQUAL(conf->flow.close_linger_ms, 0);
	CU_ASSERT_EQUAL(conf->flow.rst_per_second, 0);
	CU_ASSERT_EQUAL(conf->tls.handshake_threads, 8);
	CU_ASSERT_EQUAL(conf->tls.handshake_queue, 16);
	CU_ASSERT_EQUAL(conf->tls.handshake_timeout_ms, 100);
	CU_ASSERT_EQUAL(conf->log.level, LOG_DEBUG);
	CU_ASSERT_EQUAL(conf->log.format, LOG_TEXT);
	CU_ASSERT(!conf->log.access);
	CU_ASSERT_EQUAL(conf_packet_room(conf), 9024); /* 9022 in whole cache lines */
	conf_free(conf);
}

/* The example in docs shows the defaults, so it must load, and say what a file without them says. */
static void
test_example(void)
{
	struct text errors = {0};
	struct conf *example = NULL, *plain = load(PORT, sizeof(PORT) - 1, &errors);

	CU_ASSERT(conf_load("docs/postern.conf.example", &example, &errors)); /* tests run in the root of the source */
	if (errors.length > 0)
		fputs(errors.bytes, stderr);
	CU_ASSERT_PTR_NOT_NULL_FATAL(example);
	CU_ASSERT_PTR_NOT_NULL_FATAL(plain);
	CU_ASSERT_EQUAL(example->federation_path[0], '/');
	CU_ASSERT_PTR_NOT_NULL(strstr(example->federation_path, "/docs/federation.yaml"));
	CU_ASSERT_STRING_EQUAL(example->state_directory, plain->state_directory);
	CU_ASSERT_STRING_EQUAL(example->control_socket, plain->control_socket);
	CU_ASSERT_STRING_EQUAL(example->metrics_address, plain->metrics_address);
	CU_ASSERT_EQUAL(example->ports[0].vlan, plain->ports[0].vlan);
	CU_ASSERT_EQUAL(example->ports[0].mtu, plain->ports[0].mtu);
	CU_ASSERT_EQUAL(example->ports[0].rx_descriptors, plain->ports[0].rx_descriptors);
	CU_ASSERT_EQUAL(example->ports[0].tx_descriptors, plain->ports[0].tx_descriptors);
	CU_ASSERT_EQUAL(example->ports[0].tap, plain->ports[0].tap);
	CU_ASSERT_EQUAL(example->main_core, plain->main_core);
	CU_ASSERT_EQUAL(example->n_workers, plain->n_workers);
	CU_ASSERT_EQUAL(example->worker_cores[0], plain->worker_cores[0]);
	CU_ASSERT_EQUAL(memcmp(&example->memory, &plain->memory, sizeof(plain->memory)), 0);
	CU_ASSERT_EQUAL(memcmp(&example->tables, &plain->tables, sizeof(plain->tables)), 0);
	CU_ASSERT_EQUAL(memcmp(&example->flow, &plain->flow, sizeof(plain->flow)), 0);
	CU_ASSERT_EQUAL(memcmp(&example->log, &plain->log, sizeof(plain->log)), 0);

	/* and what it shows besides */
	struct conf_device devices[CONF_PORTS_MAX];
	CU_ASSERT_EQUAL(example->n_ports, 3);
	CU_ASSERT_EQUAL(conf_devices(example, devices), 2);
	CU_ASSERT_STRING_EQUAL(devices[1].name, "net_af_xdp1");
	CU_ASSERT_STRING_EQUAL(devices[1].arguments, "iface=eth2");
	CU_ASSERT_EQUAL(devices[1].n_ports, 2);
	CU_ASSERT_EQUAL(devices[1].ports[1], 2);
	CU_ASSERT_EQUAL(example->n_routes, 2);
	CU_ASSERT_EQUAL(example->routes[1].port, 0);
	conf_free(example);
	conf_free(plain);
}

/* AF_XDP's frames begin 256 bytes into their buffers; they did not fit there with an MTU of 1775 to 2026. */
static void
test_packet_room(void)
{
	static const struct {
		const char *device;
		unsigned mtu, room;
	} cases[] = {{"net_af_xdp0", 1500, 2048},  {"net_af_xdp0", 1770, 2048},    {"net_af_xdp0", 1771, 2112},
		     {"net_af_xdp0", 3498, 3776},  {"net_af_packet0", 9000, 9280}, {"net_memif0", 9000, 9024},
		     {"0000:01:00.0", 2026, 2048}, {"0000:01:00.0", 2027, 2112}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf conf = {.n_ports = 2};

		conf.ports[0].mtu = 1500;
		conf.ports[1].mtu = (uint16_t)cases[i].mtu;
		snprintf(conf.ports[1].device, sizeof(conf.ports[1].device), "%s", cases[i].device);
		CU_ASSERT_EQUAL(conf_packet_room(&conf), cases[i].room);
	}
}

static void
test_devices(void)
{
	static const char file[] =
		"ports = ( { name = \"a\"; device = \"net_null0\"; vlan = 1; addresses = [ \"10.0.1.1/24\" ]; },\n"
		"{ name = \"b\"; device = \"0000:01:00.0\"; addresses = [ \"10.0.2.1/24\" ]; },\n"
		"{ name = \"c\"; device = \"net_null0\"; mtu = 3000; arguments = \"size=64\"; addresses = [ "
		"\"10.0.3.1/24\" "
		"]; } );\n"
		"routes = ( { to = \"10.1.0.0/16\"; via = \"10.0.3.9\"; }, { to = \"fd00::/8\"; via = \"fe80::9\"; "
		"port = "
		"\"b\"; } );\n";
	struct conf_device devices[CONF_PORTS_MAX];
	struct text errors = {0};
	struct conf *conf = load(file, sizeof(file) - 1, &errors);

	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT_EQUAL(conf->routes[0].port, 2);
	CU_ASSERT_EQUAL(conf->routes[1].port, 1);
	CU_ASSERT_EQUAL_FATAL(conf_devices(conf, devices), 2);
	CU_ASSERT_STRING_EQUAL(devices[0].name, "net_null0");
	CU_ASSERT_STRING_EQUAL(devices[0].arguments, "size=64");
	CU_ASSERT(!devices[0].pci && devices[1].pci);
	CU_ASSERT_EQUAL(devices[0].mtu, 3000);
	CU_ASSERT_EQUAL(devices[0].n_ports, 2);
	CU_ASSERT_EQUAL(devices[0].ports[0], 0);
	CU_ASSERT_EQUAL(devices[0].ports[1], 2);
	CU_ASSERT_EQUAL(devices[1].n_ports, 1);
	CU_ASSERT_PTR_NULL(devices[1].arguments);
	CU_ASSERT_EQUAL(conf_packet_room(conf), 3072);
	/* 16384 × (3072 + 320) and a ring of 32768 pointers and the caches */
	CU_ASSERT_EQUAL(conf_packet_memory(conf), 16384ull * 3392 + 32768 * 8 + (2 << 20));
	conf_free(conf);
}

static void
test_pci_names(void)
{
	CU_ASSERT(conf_device_is_pci("0000:01:00.0"));
	CU_ASSERT(conf_device_is_pci("ffff:af:1f.7"));
	static const char *const others[] = {
		"",          "0000:01:00",   "0000:01:00.8",  "0000:01:00.00", "01:00.0",       "0000:0A:00.0",
		"net_null0", "0000-01-00.0", "0000:01:00.0 ", "000",           "0000:01:00.0,x"};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		CU_ASSERT(!conf_device_is_pci(others[i]));
}

static void
test_host(void)
{
	struct text errors = {0}, expected = {0};
	cpu_set_t all, one;
	int core = sched_getcpu();
	struct conf conf = {.path = (char *)"p", .cores_line = 7, .n_workers = 1};

	CU_ASSERT_FATAL(core >= 0 && core < 1000);
	conf.main_core = (uint16_t)core;
	conf.worker_cores[0] = (uint16_t)core;
	CU_ASSERT(conf_check_host(&conf, &errors));
	CU_ASSERT_EQUAL(errors.length, 0);

	/* Cores that exist and aren't ours count as little as those that don't. */
	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(core, &one);
	CU_ASSERT_EQUAL_FATAL(sched_setaffinity(0, sizeof(one), &one), 0);
	conf.worker_cores[0] = 1001;
	CU_ASSERT(!conf_check_host(&conf, &errors));
	sched_setaffinity(0, sizeof(all), &all);
	text_print(&expected, "p:7: cores.workers: this machine has no core 1001 for us; it has %d\n", core);
	CU_ASSERT_STRING_EQUAL(errors.bytes, expected.bytes);
	text_free(&errors);
	text_free(&expected);
}

static void
test_endpoints(void)
{
	static const struct {
		const char *text, *addr;
		uint16_t port;
	} cases[] = {
		{"127.0.0.1:15020", "127.0.0.1", 15020},
		{"[2001:db8::1]:0", "2001:db8::1", 0},
		{"0.0.0.0:65535", "0.0.0.0", 65535},
		{"", NULL, 0},
		{":80", NULL, 0},
		{"127.0.0.1", NULL, 0},
		{"127.0.0.1:", NULL, 0},
		{"127.0.0.1:65536", NULL, 0},
		{"127.0.0.1:080", NULL, 0},
		{"127.0.0.1:80x", NULL, 0},
		{"127.0.0.1:+80", NULL, 0},
		{"[127.0.0.1]:80", NULL, 0},
		{"2001:db8::1:80", NULL, 0},
		{"[2001:db8::1:80", NULL, 0},
		{"[]:80", NULL, 0},
		{"]:80", NULL, 0},
		{"[:80", NULL, 0},
		{"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80", NULL, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_addr addr;
		uint16_t port = 7;
		char text[IP_ADDR_TEXT_MAX];
		bool parsed = ip_endpoint_parse(cases[i].text, &addr, &port);
		CU_ASSERT_EQUAL(parsed, cases[i].addr != NULL);
		CU_ASSERT_EQUAL(port, parsed ? cases[i].port : 7);
		if (parsed)
			CU_ASSERT_STRING_EQUAL(ip_addr_format(&addr, text), cases[i].addr);
	}
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"broken files", test_broken},
		{"files that can't be read", test_unreadable},
		{"defaults", test_defaults},
		{"values", test_values},
		{"the example of docs/", test_example},
		{"devices and routes", test_devices},
		{"room for a packet", test_packet_room},
		{"PCI names", test_pci_names},
		{"cores of this machine", test_host},
		{"endpoints", test_endpoints},
		CU_TEST_INFO_NULL,
	};
	char file[64];

	if (mkdtemp(folder) == NULL)
		return 1;
	int failed = unit_run("conf", tests);
	snprintf(file, sizeof(file), "%s/postern.conf", folder);
	unlink(file);
	rmdir(folder);
	return failed;
}
