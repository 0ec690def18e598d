/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load generator that is never the limit, or says so: thousands of TLS clients and servers on one core, at a small
 * cost a packet. No sockets and no kernel; a connection is one cache line (conn.h), its bytes are a function of their
 * position (stream.h), its TCP is as small as a polite one can be (tcp.h), and what is said is play.h's.
 *
 *	clients ── wan ──▶ subject ── lan ──▶ servers        both ends in this process, on one core, by one clock
 *
 * Exit status: 0, a report was made; 1, the devices or the subject couldn't be had; 2, the command line is wrong.
 */
#include <rte_cycles.h>
#include <rte_random.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/net.h"
#include "dataplane/port.h"
#include "perf/loadgen/memory.h"
#include "perf/loadgen/options.h"
#include "perf/loadgen/report.h"
#include "perf/loadgen/ring.h"
#include "perf/loadgen/run.h"
#include "platform/conf.h"
#include "platform/eal.h"
#include "platform/log.h"
#include "platform/text.h"

enum { DESCRIPTORS = 1024, MB_BESIDE_PACKETS = 32, PACKET_BYTES = 2560, IPV4_TCP_HEADERS = 40 };

static volatile sig_atomic_t stop;

static void
ask_to_stop(int signal_number)
{
	(void)signal_number;
	stop = 1;
}

/* "net_memif0,role=client" as a port of postern.conf. False when the name is too long. */
static bool
describe_port(struct conf_port *port, const char *name, const char *text, uint32_t mtu)
{
	size_t length = strcspn(text, ",");

	if (length >= sizeof(port->device))
		return false;
	memcpy(port->device, text, length);
	if (text[length] == ',')
		port->arguments = strdup(text + length + 1);
	strcpy(port->name, name);
	port->mtu = (uint16_t)mtu;
	port->rx_descriptors = port->tx_descriptors = DESCRIPTORS;
	return true;
}

static bool
describe_box(struct conf *conf, const struct options *options)
{
	static char path[] = "loadgen";

	conf->path = path;
	conf->main_core = (uint16_t)options->core;
	conf->memory.packets = options->packets;
	conf->memory.megabytes = (uint32_t)((uint64_t)options->packets * PACKET_BYTES >> 20) + MB_BESIDE_PACKETS;
	if (options->wan == NULL)
		return true;
	conf->n_ports = 2;
	return describe_port(&conf->ports[0], "wan", options->wan, options->mtu) &&
	       describe_port(&conf->ports[1], "lan", options->lan, options->mtu);
}

static bool
open_devices(const struct options *options, struct conf *conf, struct eal *eal, struct device devices[TCP_SIDES],
	     struct text *error)
{
	if (!describe_box(conf, options)) {
		text_print(error, "a device's name is too long");
		return false;
	}
	if (!eal_start(conf, -1, eal, error))
		return false;
	if (conf->n_ports != 0)
		return port_open(conf, 0, 1, eal->packets, &devices[0], error) &&
		       port_open(conf, 1, 1, eal->packets, &devices[1], error);
	if (!ring_open(devices)) {
		text_print(error, "no memory for a ring");
		return false;
	}
	return true;
}

/* The names of the ClientHellos. Returns how many, or 0, and says so, when one is too long. */
static uint32_t
list_names(const struct options *options, const char ***list)
{
	const char *text = options->sni, *number = strstr(text, "%u");
	uint32_t most = options->sni_count, n = 0;

	for (const char *at = text; number == NULL && (at = strchr(at, ',')) != NULL; at++)
		most++;
	const char **names = memory_zeroed(most, sizeof(names[0]));
	while (n < most && *text != '\0') {
		size_t length = number != NULL ? strlen(text) : strcspn(text, ",");
		struct text name = {0};
		if (number != NULL)
			text_print(&name, "%.*s%u%s", (int)(number - text), text, n, number + 2);
		else
			text_add(&name, text, length);
		if (name.length == 0 || name.length > STREAM_NAME_MAX) {
			fprintf(stderr, "loadgen: --sni: a name is empty or too long\n");
			return 0;
		}
		names[n++] = name.bytes;
		if (number == NULL)
			text += length + (text[length] == ',');
	}
	*list = names;
	return n;
}

static bool
set_up(struct run *run, const struct options *options, struct device devices[TCP_SIDES], struct rte_mempool *pool)
{
	static struct stream streams[TCP_SIDES];
	const struct stream *const both[TCP_SIDES] = {&streams[TCP_CLIENT], &streams[TCP_SERVER]};
	struct link *const links[TCP_SIDES] = {&run->links[TCP_CLIENT], &run->links[TCP_SERVER]};
	const char **names;
	uint32_t n_names = list_names(options, &names);

	if (n_names == 0)
		return false;
	stream_init_client(&streams[TCP_CLIENT], names, n_names, options->play.hello);
	stream_init_server(&streams[TCP_SERVER], options->play.reply);
	link_init(links[TCP_CLIENT], &devices[TCP_CLIENT], pool, options->wan_station);
	link_init(links[TCP_SERVER], &devices[TCP_SERVER], pool, options->lan_station);

	bool connect = options->play.mode == PLAY_CONNECT;
	uint32_t n_clients = connect ? options->slots : options->play.connections;
	struct tcp_config config = {
		.target = options->target,
		.target_port = options->target_port,
		.server_port = options->server_port,
		.client_first = options->clients,
		.server_first = options->servers,
		.n_client_addresses = n_clients / TCP_PORTS_EACH + 1,
		.n_server_addresses = options->n_servers,
		.n_clients = n_clients,
		/* Some more than clients: a proxy closes its two ends one after the other. */
		.n_servers = options->play.connections + options->play.connections / 4 + 1024,
		.mss = (uint16_t)(options->mtu - IPV4_TCP_HEADERS),
		.receive_window = options->receive_window,
		.timestamps = options->timestamps,
		.verify_all = options->verify_all,
	};
	uint64_t hz = rte_get_tsc_hz();
	struct tcp_hooks hooks = play_hooks(&run->play);
	tcp_init(&run->tcp, &config, &hooks, links, both, rte_rand(), (uint32_t)(rte_rdtsc() / (hz / 1000)));
	return true;
}

static bool
write_report(const struct options *options, const struct run *run)
{
	struct text json = {0};
	bool standard = options->json != NULL && strcmp(options->json, "-") == 0;

	report_print(standard ? stderr : stdout, options, run);
	if (options->json == NULL)
		return true;
	FILE *file = standard ? stdout : fopen(options->json, "we");
	if (file == NULL) {
		perror(options->json);
		return false;
	}
	report_json(&json, options, run);
	bool written = fwrite(json.bytes, 1, json.length, file) == json.length;
	if (!standard)
		written &= fclose(file) == 0;
	text_free(&json);
	return written;
}

int
main(int argc, char **argv)
{
	static struct conf conf;
	static struct run run;
	static struct device devices[TCP_SIDES];
	struct options options;
	struct eal eal;
	struct text error = {0};
	int status = 1;

	if (!options_read(argc, argv, &options, &status))
		return status;
	status = 1;
	log_configure(LOG_WARN, LOG_TEXT);
	if (!open_devices(&options, &conf, &eal, devices, &error)) {
		fprintf(stderr, "loadgen: %s\n", error.bytes);
		return 1;
	}
	signal(SIGINT, ask_to_stop);
	signal(SIGTERM, ask_to_stop);
	if (set_up(&run, &options, devices, eal.packets) &&
	    run_find_subject(&run, options.target, options.lan_subject, &stop)) {
		play_init(&run.play, &options.play, &run.tcp, rte_get_tsc_hz(), rte_rdtsc());
		run_play(&run, &stop);
		status = write_report(&options, &run) ? 0 : 1;
	}
	if (conf.n_ports != 0)
		for (unsigned side = 0; side < TCP_SIDES; side++)
			port_close(&devices[side]);
	eal_stop(&eal);
	return status;
}
