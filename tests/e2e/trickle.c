/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tens of thousands of connections that finish TCP's handshake and then keep a gateway waiting: each sends one more
 *byte of a ClientHello a second, and begins anew when it is reset. With a server name they send a whole hello and then
 *stay idle.
 *
 *	trickle [-n CONNECTIONS] [-a ADDRESSES] [-t SECONDS] [-i INTERVAL_MS] [-s SNI] -m MAC INTERFACE FIRST ADDRESS
 *PORT
 *
 * MAC and ADDRESS (IPv4) are the gateway's. The connections come from ADDRESSES addresses, FIRST and those after it,
 *which must be on the interface's network and nobody's: their TCP is this program, which keeps 20 bytes for each, and
 *answers ARP for them. What isn't acknowledged is sent again with the next byte. Prints how many handshakes and resets
 *there were, and how many connections it held open at the end; it leaves without a word to any of them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <openssl/ssl.h>
#include <poll.h>
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
	FRAME_MAX = 2048,
	ETHERNET = 14,
	IPV4 = 20,
	TCP = 20,
	ARP = 28,
	FIRST_PORT = 1024,
	HELLO_MAX = 1400,
	CONNECTIONS_MAX = 1000000,
	SECONDS_MAX = 600,
	FLAG_FIN = 0x01,
	FLAG_SYN = 0x02,
	FLAG_RST = 0x04,
	FLAG_PSH = 0x08,
	FLAG_ACK = 0x10
};

enum state { CLOSED, SYN_SENT, OPEN };

struct connection {
	uint32_t isn, next; /* next: what the gateway's next byte is numbered */
	uint16_t said, acked;
	uint8_t state;
};

static struct {
	unsigned n, addresses, seconds, interval_ms;
	const char *sni, *interface;
	uint32_t first, destination; /* host order */
	uint16_t port;
	uint8_t mac[6];
} options = {.n = 50000, .addresses = 200, .seconds = 10, .interval_ms = 1000};

static const uint8_t own_mac[6] = {2, 0, 0, 0x7c, 0x1e, 0};
static uint8_t hello[HELLO_MAX] = {22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}; /* a record of 512 bytes begins so */
static uint16_t hello_length = 512;
static struct connection *connections;
static unsigned per_address;
static uint64_t syns, handshakes, resets, lost;

/* Frames that wait to be sent. */
static struct {
	int fd;
	unsigned n;
	uint8_t frames[BATCH][FRAME_MAX];
	struct iovec parts[BATCH];
} out;

static double
now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
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

static uint16_t
get_16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t
get_32(const uint8_t *at)
{
	return (uint32_t)get_16(at) << 16 | get_16(at + 2);
}

static uint32_t
sum_16(uint32_t sum, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i + 1 < length; i += 2)
		sum += get_16(bytes + i);
	return length % 2 != 0 ? sum + ((uint32_t)bytes[length - 1] << 8) : sum;
}

static uint16_t
fold(uint32_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void
flush(void)
{
	struct mmsghdr messages[BATCH];

	for (unsigned i = 0; i < out.n; i++)
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &out.parts[i], .msg_iovlen = 1}};
	int done = out.n != 0 ? sendmmsg(out.fd, messages, out.n, 0) : 0;
	lost += out.n - (unsigned)(done > 0 ? done : 0);
	out.n = 0;
}

/* Room for the next frame, its Ethernet header written. */
static uint8_t *
frame_begin(const uint8_t to[6], uint16_t type, size_t length)
{
	if (out.n == BATCH)
		flush();
	uint8_t *frame = out.frames[out.n];
	out.parts[out.n++] = (struct iovec){frame, length};
	memcpy(frame, to, 6);
	memcpy(frame + 6, own_mac, 6);
	put_16(frame + 12, type);
	return frame + ETHERNET;
}

static void
say(unsigned index, uint8_t flags, uint32_t seq, const uint8_t *payload, uint16_t length)
{
	static const uint8_t mss[4] = {2, 4, 5, 180};
	const struct connection *connection = &connections[index];
	size_t options_length = (flags & FLAG_SYN) != 0 ? sizeof(mss) : 0, tcp_length = TCP + options_length + length;
	uint8_t *ip = frame_begin(options.mac, ETHERTYPE_IP, ETHERNET + IPV4 + tcp_length), *tcp = ip + IPV4;

	memset(ip, 0, IPV4 + TCP);
	ip[0] = 0x45;
	put_16(ip + 2, (uint32_t)(IPV4 + tcp_length));
	put_16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	put_32(ip + 12, options.first + index / per_address);
	put_32(ip + 16, options.destination);
	put_16(ip + 10, fold(sum_16(0, ip, IPV4)));
	put_16(tcp, FIRST_PORT + index % per_address);
	put_16(tcp + 2, options.port);
	put_32(tcp + 4, seq);
	if ((flags & FLAG_ACK) != 0)
		put_32(tcp + 8, connection->next);
	tcp[12] = (uint8_t)((TCP + options_length) / 4 << 4);
	tcp[13] = flags;
	put_16(tcp + 14, 64240);
	memcpy(tcp + TCP, mss, options_length);
	if (length != 0)
		memcpy(tcp + TCP + options_length, payload, length);
	put_16(tcp + 16, fold(sum_16(sum_16((uint32_t)(IPPROTO_TCP + tcp_length), ip + 12, 8), tcp, tcp_length)));
}

/* What a connection does once in each interval. */
static void
take_turn(unsigned index)
{
	struct connection *connection = &connections[index];

	switch (connection->state) {
	case CLOSED:
		*connection = (struct connection){.isn = (uint32_t)random() << 1, .state = SYN_SENT};
		/* fall through */
	case SYN_SENT:
		syns++;
		say(index, FLAG_SYN, connection->isn, NULL, 0);
		return;
	default:
		if (options.sni != NULL)
			connection->said = hello_length;
		else if (connection->said < hello_length - 1)
			connection->said++;
		if (connection->acked < connection->said)
			say(index, FLAG_ACK | FLAG_PSH, connection->isn + 1 + connection->acked,
			    hello + connection->acked, (uint16_t)(connection->said - connection->acked));
		return;
	}
}

static void
hear_tcp(const uint8_t *ip, size_t length)
{
	size_t header = (size_t)(ip[0] & 0xf) * 4;
	const uint8_t *tcp = ip + header;

	if (length < header + TCP || ip[9] != IPPROTO_TCP || get_32(ip + 12) != options.destination)
		return;
	uint32_t address = get_32(ip + 16) - options.first, port = (uint32_t)get_16(tcp + 2) - FIRST_PORT;
	if (address >= options.addresses || port >= per_address || address * per_address + port >= options.n)
		return;
	unsigned index = address * per_address + port;
	struct connection *connection = &connections[index];
	uint32_t seq = get_32(tcp + 4), ack = get_32(tcp + 8) - (connection->isn + 1);
	uint16_t payload = (uint16_t)(get_16(ip + 2) - header - (size_t)(tcp[12] >> 4) * 4);

	if ((tcp[13] & FLAG_RST) != 0) {
		resets += connection->state != CLOSED;
		connection->state = CLOSED;
	} else if ((tcp[13] & FLAG_SYN) != 0) {
		if (connection->state != SYN_SENT || ack != 0)
			return;
		handshakes++;
		connection->state = OPEN;
		connection->next = seq + 1;
		say(index, FLAG_ACK, connection->isn + 1, NULL, 0);
		if (options.sni != NULL)
			take_turn(index);
	} else if (connection->state == OPEN) {
		if (ack <= connection->said && ack > connection->acked)
			connection->acked = (uint16_t)ack;
		if (payload != 0 && seq == connection->next) {
			connection->next += payload;
			say(index, FLAG_ACK, connection->isn + 1 + connection->acked, NULL, 0);
		}
		if ((tcp[13] & FLAG_FIN) != 0)
			connection->state = CLOSED;
	}
}

static void
hear_arp(const uint8_t *arp)
{
	uint32_t wanted = get_32(arp + 24);

	if (get_16(arp + 6) != 1 || wanted - options.first >= options.addresses)
		return;
	uint8_t *reply = frame_begin(arp + 8, ETHERTYPE_ARP, ETHERNET + ARP);
	memcpy(reply, arp, 6);
	put_16(reply + 6, 2);
	memcpy(reply + 8, own_mac, 6);
	put_32(reply + 14, wanted);
	memcpy(reply + 18, arp + 8, 10);
}

/* Takes a batch of what has arrived. False when there is nothing. */
static bool
hear(void)
{
	static uint8_t frames[BATCH][FRAME_MAX];
	struct iovec parts[BATCH];
	struct mmsghdr messages[BATCH];

	for (unsigned i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){frames[i], FRAME_MAX};
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
	}
	int n = recvmmsg(out.fd, messages, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		size_t length = messages[i].msg_len;
		if (length >= ETHERNET + IPV4 && get_16(frames[i] + 12) == ETHERTYPE_IP)
			hear_tcp(frames[i] + ETHERNET, length - ETHERNET);
		else if (length >= ETHERNET + ARP && get_16(frames[i] + 12) == ETHERTYPE_ARP)
			hear_arp(frames[i] + ETHERNET);
	}
	return n > 0;
}

static void
run(void)
{
	double started = now_ms(), end = started + options.seconds * 1e3, now;
	uint64_t turns = 0;

	while ((now = now_ms()) < end) {
		uint64_t due = (uint64_t)((now - started) * options.n / options.interval_ms);
		unsigned n = 0;

		bool heard = hear();
		for (; turns < due && n < BATCH; n++)
			take_turn((unsigned)(turns++ % options.n));
		flush();
		struct pollfd waits = {.fd = out.fd, .events = POLLIN};
		if (!heard && turns >= due)
			poll(&waits, 1, 1);
	}
}

/* Only what is for our own station, and ARP. */
static bool
socket_open(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_ARP, 4, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0200007c, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x1e00, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),  BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = (int)if_nametoindex(options.interface)};
	int one = 1, buffer = 32 << 20;

	out.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	return at.sll_ifindex != 0 && out.fd >= 0 &&
	       setsockopt(out.fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0 &&
	       setsockopt(out.fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) == 0 &&
	       setsockopt(out.fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) == 0 &&
	       setsockopt(out.fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) == 0 &&
	       setsockopt(out.fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)) == 0 &&
	       bind(out.fd, (struct sockaddr *)&at, sizeof(at)) == 0;
}

/* What OpenSSL says first. */
static bool
hello_make(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = context != NULL ? SSL_new(context) : NULL;
	BIO *made = BIO_new(BIO_s_mem());

	if (ssl == NULL || made == NULL)
		return false;
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), made);
	SSL_set_tlsext_host_name(ssl, options.sni);
	SSL_connect(ssl);
	int length = BIO_read(made, hello, sizeof(hello));
	hello_length = (uint16_t)length;
	SSL_free(ssl);
	SSL_CTX_free(context);
	return length > 0;
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
	struct in_addr first, destination;
	bool mac = false;
	int option;

	while ((option = getopt(argc, argv, "n:a:t:i:s:m:")) != -1) {
		switch (option) {
		case 'n':
			options.n = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'a':
			options.addresses = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 't':
			options.seconds = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'i':
			options.interval_ms = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			options.sni = optarg;
			break;
		case 'm':
			mac = mac_read(optarg);
			break;
		default:
			return false;
		}
	}
	if (argc - optind != 4 || inet_pton(AF_INET, argv[optind + 1], &first) != 1 ||
	    inet_pton(AF_INET, argv[optind + 2], &destination) != 1)
		return false;
	options.interface = argv[optind];
	options.first = ntohl(first.s_addr);
	options.destination = ntohl(destination.s_addr);
	options.port = (uint16_t)strtoul(argv[optind + 3], NULL, 10);
	if (!mac || options.n == 0 || options.n > CONNECTIONS_MAX || options.addresses == 0 ||
	    options.interval_ms == 0 || options.seconds == 0 || options.seconds > SECONDS_MAX)
		return false;
	per_address = (options.n + options.addresses - 1) / options.addresses;
	return per_address <= UINT16_MAX - FIRST_PORT;
}

int
main(int argc, char **argv)
{
	unsigned open = 0;

	if (!options_read(argc, argv)) {
		fprintf(stderr, "usage: trickle [-n CONNECTIONS] [-a ADDRESSES] [-t SECONDS] [-i INTERVAL_MS] [-s SNI] "
				"-m MAC INTERFACE FIRST ADDRESS PORT\n");
		return 2;
	}
	connections = calloc(options.n, sizeof(*connections));
	if (connections == NULL || !socket_open() || (options.sni != NULL && !hello_make())) {
		perror("trickle");
		return 2;
	}
	run();
	for (unsigned i = 0; i < options.n; i++)
		open += connections[i].state == OPEN;
	printf("%u connections, %u open at the end; %llu SYNs, %llu handshakes, %llu resets, %llu frames not sent\n",
	       options.n, open, (unsigned long long)syns, (unsigned long long)handshakes, (unsigned long long)resets,
	       (unsigned long long)lost);
	free(connections);
	return handshakes != 0 ? 0 : 1;
}
