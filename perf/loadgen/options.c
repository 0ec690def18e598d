/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/loadgen/options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IPV4_TCP_HEADERS = 40 };

static const char usage[] =
	"usage: loadgen MODE [OPTIONS]\n"
	"\n"
	"Plays TLS clients on one port and servers on another, with the subject of the measurement between them.\n"
	"\n"
	"  connect     connections made, answered and closed, one after another\n"
	"  hold        connections made, kept open, asked once at the end\n"
	"  exchange    requests over connections that stay open\n"
	"  bulk        data without end over connections that stay open\n"
	"  reflect     frames for a subject that sends each back by the port that it came in by\n"
	"\n"
	"Between what\n"
	"  --wan DEVICE --lan DEVICE   DPDK devices of clients and servers, as \"net_memif0,role=client,socket=…\";\n"
	"                              without them the two sides speak to each other through a ring\n"
	"  --wan-station A, --lan-station A   addresses on the subject's links that ask for its MAC (default: the "
	"first client,\n"
	"                              the first server)\n"
	"  --lan-subject A             the subject's address on the lan, to be asked for first (default: wait until it "
	"asks)\n"
	"  --target A:PORT             where clients connect to                        (default 198.51.100.11:8443)\n"
	"  --clients A                 first address of the clients                    (default 10.1.0.1)\n"
	"  --servers A+N               addresses of the servers                        (default 198.51.100.11+1)\n"
	"  --server-port PORT                                                          (default 8443)\n"
	"How much\n"
	"  --connections N             at a time, at most                              (default 1000; connect: "
	"100000)\n"
	"  --at-a-time N               under way in a closed loop                      (default 64)\n"
	"  --rate R                    an open loop: so many are begun in a second\n"
	"  --slots N                   connect: tuples that take turns                 (default 1000000)\n"
	"  --seconds S, --warmup S     of measuring, and before it                     (default 5, 1)\n"
	"What\n"
	"  --sni NAMES                 with commas, or %u and --sni-count N            (default web.shop.example)\n"
	"  --hello N, --reply N        bytes of the ClientHello and of the first answer (default 517, 1500)\n"
	"  --request N, --response N   bytes of an exchange; of a frame's payload, reflected (default 64, 64)\n"
	"  --close client|server|reset who closes first                                (default client)\n"
	"  --direction down|up|both    of bulk                                         (default down)\n"
	"  --window N                  receive window, bytes                           (default 262144)\n"
	"  --no-timestamps             no TCP timestamps\n"
	"  --verify                    compare every byte and checksum, not some\n"
	"How\n"
	"  --core N                    that the generator has for itself               (default 0)\n"
	"  --packets N, --mtu N        buffers; bytes                                  (default 16384, 1500)\n"
	"  --json FILE, --label TEXT   the report as JSON too, \"-\": on standard output; its name\n";

enum option_key {
	KEY_WAN = 256,
	KEY_LAN,
	KEY_WAN_STATION,
	KEY_LAN_STATION,
	KEY_LAN_SUBJECT,
	KEY_TARGET,
	KEY_CLIENTS,
	KEY_SERVERS,
	KEY_SERVER_PORT,
	KEY_CONNECTIONS,
	KEY_AT_A_TIME,
	KEY_RATE,
	KEY_SLOTS,
	KEY_SECONDS,
	KEY_WARMUP,
	KEY_SNI,
	KEY_SNI_COUNT,
	KEY_HELLO,
	KEY_REPLY,
	KEY_REQUEST,
	KEY_RESPONSE,
	KEY_CLOSE,
	KEY_DIRECTION,
	KEY_WINDOW,
	KEY_NO_TIMESTAMPS,
	KEY_VERIFY,
	KEY_CORE,
	KEY_PACKETS,
	KEY_MTU,
	KEY_JSON,
	KEY_LABEL,
	KEY_HELP
};

static const struct option keys[] = {
	{"wan", required_argument, NULL, KEY_WAN},
	{"lan", required_argument, NULL, KEY_LAN},
	{"wan-station", required_argument, NULL, KEY_WAN_STATION},
	{"lan-station", required_argument, NULL, KEY_LAN_STATION},
	{"lan-subject", required_argument, NULL, KEY_LAN_SUBJECT},
	{"target", required_argument, NULL, KEY_TARGET},
	{"clients", required_argument, NULL, KEY_CLIENTS},
	{"servers", required_argument, NULL, KEY_SERVERS},
	{"server-port", required_argument, NULL, KEY_SERVER_PORT},
	{"connections", required_argument, NULL, KEY_CONNECTIONS},
	{"at-a-time", required_argument, NULL, KEY_AT_A_TIME},
	{"rate", required_argument, NULL, KEY_RATE},
	{"slots", required_argument, NULL, KEY_SLOTS},
	{"seconds", required_argument, NULL, KEY_SECONDS},
	{"warmup", required_argument, NULL, KEY_WARMUP},
	{"sni", required_argument, NULL, KEY_SNI},
	{"sni-count", required_argument, NULL, KEY_SNI_COUNT},
	{"hello", required_argument, NULL, KEY_HELLO},
	{"reply", required_argument, NULL, KEY_REPLY},
	{"request", required_argument, NULL, KEY_REQUEST},
	{"response", required_argument, NULL, KEY_RESPONSE},
	{"close", required_argument, NULL, KEY_CLOSE},
	{"direction", required_argument, NULL, KEY_DIRECTION},
	{"window", required_argument, NULL, KEY_WINDOW},
	{"no-timestamps", no_argument, NULL, KEY_NO_TIMESTAMPS},
	{"verify", no_argument, NULL, KEY_VERIFY},
	{"core", required_argument, NULL, KEY_CORE},
	{"packets", required_argument, NULL, KEY_PACKETS},
	{"mtu", required_argument, NULL, KEY_MTU},
	{"json", required_argument, NULL, KEY_JSON},
	{"label", required_argument, NULL, KEY_LABEL},
	{"help", no_argument, NULL, KEY_HELP},
	{0},
};

static bool
read_number(const char *text, uint32_t least, uint32_t most, uint32_t *number)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (end == text || *end != '\0' || text[0] == '-' || value < least || value > most)
		return false;
	*number = (uint32_t)value;
	return true;
}

static bool
read_real(const char *text, double least, double most, double *number)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= least && value <= most))
		return false;
	*number = value;
	return true;
}

static bool
read_ms(const char *text, uint32_t *ms)
{
	double seconds;

	if (!read_real(text, 0, 3600, &seconds))
		return false;
	*ms = (uint32_t)(seconds * 1000);
	return true;
}

/* "A", and what follows c, when there may be something, as a number. Network order. */
static bool
read_address(const char *text, char c, uint32_t *address, uint32_t most, uint32_t *number)
{
	char buffer[64];

	if (strlen(text) >= sizeof(buffer))
		return false;
	strcpy(buffer, text);
	char *at = c == '\0' ? NULL : strchr(buffer, c);
	if (at != NULL) {
		*at = '\0';
		if (!read_number(at + 1, 1, most, number))
			return false;
	}
	return inet_pton(AF_INET, buffer, address) == 1;
}

/* Which of a NULL-terminated list. */
static bool
read_choice(const char *text, const char *const *choices, unsigned *choice)
{
	for (*choice = 0; choices[*choice] != NULL; (*choice)++)
		if (strcmp(text, choices[*choice]) == 0)
			return true;
	return false;
}

static bool
take(struct options *options, int key, const char *text)
{
	static const char *const closers[] = {"client", "server", "reset", NULL};
	static const char *const directions[] = {"", "down", "up", "both", NULL};
	struct play_config *play = &options->play;
	uint32_t number = 0;
	unsigned choice;
	bool good = true;

	switch ((enum option_key)key) {
	case KEY_WAN:
		options->wan = text;
		break;
	case KEY_LAN:
		options->lan = text;
		break;
	case KEY_WAN_STATION:
		return read_address(text, '\0', &options->wan_station, 0, NULL);
	case KEY_LAN_STATION:
		return read_address(text, '\0', &options->lan_station, 0, NULL);
	case KEY_LAN_SUBJECT:
		return read_address(text, '\0', &options->lan_subject, 0, NULL);
	case KEY_TARGET:
		number = 443;
		good = read_address(text, ':', &options->target, 65535, &number);
		options->target_port = htons((uint16_t)number);
		break;
	case KEY_CLIENTS:
		good = read_address(text, '\0', &number, 0, NULL);
		options->clients = ntohl(number);
		break;
	case KEY_SERVERS:
		options->n_servers = 1;
		good = read_address(text, '+', &number, 65535, &options->n_servers);
		options->servers = ntohl(number);
		break;
	case KEY_SERVER_PORT:
		good = read_number(text, 1, 65535, &number);
		options->server_port = htons((uint16_t)number);
		break;
	case KEY_CONNECTIONS:
		return read_number(text, 1, 100000000, &play->connections);
	case KEY_AT_A_TIME:
		return read_number(text, 1, 100000000, &play->at_a_time);
	case KEY_RATE:
		return read_real(text, 0.001, 1e9, &play->rate);
	case KEY_SLOTS:
		return read_number(text, 1, 100000000, &options->slots);
	case KEY_SECONDS:
		return read_ms(text, &play->measure_ms);
	case KEY_WARMUP:
		return read_ms(text, &play->warmup_ms);
	case KEY_SNI:
		options->sni = text;
		break;
	case KEY_SNI_COUNT:
		return read_number(text, 1, 1000000, &options->sni_count);
	case KEY_HELLO:
		return read_number(text, STREAM_HELLO_MIN, STREAM_HELLO_MAX, &play->hello);
	case KEY_REPLY:
		return read_number(text, STREAM_REPLY_MIN, 100000000, &play->reply);
	case KEY_REQUEST:
		return read_number(text, 1, 100000000, &play->request);
	case KEY_RESPONSE:
		return read_number(text, 1, 100000000, &play->response);
	case KEY_CLOSE:
		good = read_choice(text, closers, &choice);
		play->closer = (enum play_closer)choice;
		break;
	case KEY_DIRECTION:
		good = read_choice(text, directions, &choice) && choice != 0;
		play->directions = (uint8_t)choice;
		break;
	case KEY_WINDOW:
		return read_number(text, 1024, 8388480, &options->receive_window);
	case KEY_NO_TIMESTAMPS:
		options->timestamps = false;
		break;
	case KEY_VERIFY:
		options->verify_all = true;
		break;
	case KEY_CORE:
		return read_number(text, 0, 1023, &options->core);
	case KEY_PACKETS:
		return read_number(text, 4096, 8388607, &options->packets);
	case KEY_MTU:
		return read_number(text, 576, STREAM_SEGMENT_MAX, &options->mtu);
	case KEY_JSON:
		options->json = text;
		break;
	case KEY_LABEL:
		options->label = text;
		break;
	case KEY_HELP:
		break;
	}
	return good;
}

static bool
read_mode(const char *text, struct options *options)
{
	static const char *const modes[] = {"connect", "hold", "exchange", "bulk", "reflect", NULL};
	unsigned mode;

	if (!read_choice(text, modes, &mode))
		return false;
	options->reflect = mode == PLAY_BULK + 1;
	options->play.mode = options->reflect ? PLAY_EXCHANGE : (enum play_mode)mode;
	return true;
}

/* What depends on other options. Returns what is wrong, or NULL. */
static const char *
complete(struct options *options)
{
	struct play_config *play = &options->play;

	if ((options->wan == NULL) != (options->lan == NULL))
		return "--wan and --lan go together";
	if (play->connections == 0)
		play->connections = play->mode == PLAY_CONNECT ? 100000 : 1000;
	if (play->mode == PLAY_CONNECT && options->slots < play->connections)
		return "--slots must not be below --connections";
	if (play->mode == PLAY_CONNECT && play->rate == 0 && play->at_a_time > play->connections)
		return "--at-a-time must not be above --connections";
	if (play->mode == PLAY_BULK)
		play->at_a_time = play->connections;
	if (options->reflect && play->request > options->mtu - IPV4_TCP_HEADERS)
		return "--request must fit the MTU";
	if (options->wan_station == 0)
		options->wan_station = htonl(options->clients);
	if (options->lan_station == 0)
		options->lan_station = htonl(options->servers);
	return NULL;
}

bool
options_read(int argc, char **argv, struct options *options, int *status)
{
	*options = (struct options){
		.play = {.closer = PLAY_CLOSE_CLIENT,
			 .directions = PLAY_DOWN,
			 .at_a_time = 64,
			 .warmup_ms = 1000,
			 .measure_ms = 5000,
			 .hello = 517,
			 .reply = 1500,
			 .request = 64,
			 .response = 64},
		.clients = 0x0a010001,
		.servers = 0xc633640b,
		.n_servers = 1,
		.slots = 1000000,
		.target = htonl(0xc633640b),
		.target_port = htons(8443),
		.server_port = htons(8443),
		.sni = "web.shop.example",
		.sni_count = 1,
		.packets = 16384,
		.mtu = 1500,
		.receive_window = 262144,
		.timestamps = true,
		.label = "",
	};
	*status = 2;
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		*status = 0;
		return false;
	}
	if (argc < 2 || !read_mode(argv[1], options)) {
		fputs(usage, stderr);
		return false;
	}
	int key, which;
	while ((key = getopt_long(argc - 1, argv + 1, "", keys, &which)) != -1) {
		if (key == '?')
			return false;
		if (key == KEY_HELP) {
			fputs(usage, stdout);
			*status = 0;
			return false;
		}
		if (!take(options, key, optarg)) {
			fprintf(stderr, "loadgen: --%s %s: out of its range, or not understood\n", keys[which].name,
				optarg);
			return false;
		}
	}
	const char *wrong = optind + 1 < argc ? "too many arguments" : complete(options);
	if (wrong != NULL)
		fprintf(stderr, "loadgen: %s\n", wrong);
	return wrong == NULL;
}
