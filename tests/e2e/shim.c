/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bad link: joins two interfaces and does to the frames between them what long and poor links do, drawn from a seed.
 *
 *	shim [-s SEED] LEFT RIGHT [both|right|left KEY=VALUE…]…
 *	shim --self-test
 *
 * right: of frames that go from LEFT to RIGHT; left: of those that come back. Each direction draws from a stream of its
 * own. The keys, all off by default:
 *
 *	loss=%       frames that are lost
 *	duplicate=%  frames that arrive twice
 *	corrupt=%    frames that have one bit flipped, behind the Ethernet header
 *	reorder=%    frames that arrive late=MS later than they should, while others pass them
 *	overtake=N   every N-th frame isn't delayed: it passes those before it
 *	delay=MS     how long a frame is under way, jitter=MS more at most; by itself that leaves their order alone
 *	rate=MBIT    of the link's bottleneck, which keeps at most queue=MS of frames waiting and drops others
 *	mtu=BYTES    larger IP packets vanish, and nobody is told
 *
 *	  ring of one ──▶ mtu · loss · bottleneck · corrupt · duplicate · delay ──▶ heap by time due ──▶ the other
 *
 * Times are counted from the kernel's time stamp of a frame's arrival, so that waking up late adds nothing to what is
 * delayed anyway; between frames the process sleeps, to the microsecond as far as the kernel lets it. Offloads must be
 * off on both interfaces. Prints "ready", and on SIGTERM or SIGINT what it did: one line for each direction. "overrun"
 *and "refused" count what was lost without being asked for.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	FRAME_MAX = 2048,
	FRAMES = 1 << 16, /* under way at a time, both directions; memory is touched when used */
	RING_BLOCK = 1 << 16,
	RING_BLOCKS = 128,
	RING_FRAMES = RING_BLOCK / FRAME_MAX * RING_BLOCKS,
	BURST = 64
};

static const uint64_t NS_PER_MS = 1000000, NS_PER_S = 1000000000;

/* --- what happens to one frame; time and randomness come in from outside ------------------------------------------ */

struct impairment {
	double loss, duplicate, corrupt, reorder; /* percent */
	double late, delay, jitter, queue;        /* ms */
	double rate;                              /* Mbit/s; 0: no bottleneck */
	double overtake, mtu;                     /* frames, bytes; 0: off */
};

struct counts {
	uint64_t frames, sent, lost, duplicated, corrupted, late, overtook, queue_full, too_large, overrun, refused;
};

struct direction {
	const char *name;
	struct impairment impairment;
	struct counts counts;
	uint64_t random;   /* state of its stream */
	uint64_t idle_at;  /* when the bottleneck will have sent all that waits, ns */
	uint64_t last_due; /* of a frame that kept its place */
	uint32_t since_overtake;
};

struct fate {
	uint64_t due[2]; /* when each copy arrives, ns */
	unsigned copies;
	uint32_t flip; /* this bit of the frame, counted from its beginning; 0: none */
};

/* splitmix64 */
static uint64_t
draw(struct direction *direction)
{
	uint64_t z = direction->random += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* 0..1, 1 excluded */
static double
draw_share(struct direction *direction)
{
	return (double)(draw(direction) >> 11) * 0x1p-53;
}

static bool
draw_percent(struct direction *direction, double percent)
{
	return percent > 0 && draw_share(direction) * 100 < percent;
}

static uint64_t
ms_to_ns(double ms)
{
	return (uint64_t)(ms * (double)NS_PER_MS);
}

/* When a frame has passed the bottleneck; 0 when there is no room in its queue. */
static uint64_t
bottleneck(struct direction *direction, uint64_t now, uint32_t length)
{
	const struct impairment *link = &direction->impairment;

	if (link->rate == 0)
		return now;
	if (direction->idle_at < now)
		direction->idle_at = now;
	if (direction->idle_at - now > ms_to_ns(link->queue))
		return 0;
	direction->idle_at += (uint64_t)(length * 8e3 / link->rate);
	return direction->idle_at;
}

/* When a frame arrives that left the bottleneck at that time. */
static uint64_t
arrival(struct direction *direction, uint64_t at)
{
	const struct impairment *link = &direction->impairment;

	if (link->overtake != 0 && ++direction->since_overtake >= link->overtake) {
		direction->since_overtake = 0;
		direction->counts.overtook++;
		return at;
	}
	uint64_t due = at + ms_to_ns(link->delay + (link->jitter > 0 ? link->jitter * draw_share(direction) : 0));
	if (draw_percent(direction, link->reorder)) {
		direction->counts.late++;
		return due + ms_to_ns(link->late);
	}
	if (due < direction->last_due)
		due = direction->last_due;
	direction->last_due = due;
	return due;
}

/* length: with its Ethernet header. */
static struct fate
impair(struct direction *direction, uint64_t now, uint32_t length)
{
	const struct impairment *link = &direction->impairment;
	struct counts *counts = &direction->counts;
	struct fate fate = {.copies = 0};

	counts->frames++;
	if (link->mtu != 0 && length > link->mtu + ETH_HLEN) {
		counts->too_large++;
		return fate;
	}
	if (draw_percent(direction, link->loss)) {
		counts->lost++;
		return fate;
	}
	uint64_t at = bottleneck(direction, now, length);
	if (at == 0) {
		counts->queue_full++;
		return fate;
	}
	if (length > ETH_HLEN && draw_percent(direction, link->corrupt)) {
		counts->corrupted++;
		fate.flip = (uint32_t)(ETH_HLEN * 8 + draw(direction) % ((length - ETH_HLEN) * 8));
	}
	fate.due[fate.copies++] = arrival(direction, at);
	if (draw_percent(direction, link->duplicate)) {
		counts->duplicated++;
		fate.due[fate.copies++] = arrival(direction, at);
	}
	return fate;
}

/* --- frames under way: a heap, the next one due on top ------------------------------------------------------------ */

struct entry {
	uint64_t due, number; /* equal times go in the order of arrival */
	uint32_t frame;
};

struct heap {
	struct entry entries[FRAMES];
	uint32_t used;
	uint64_t number;
};

static bool
entry_before(const struct entry *a, const struct entry *b)
{
	return a->due != b->due ? a->due < b->due : a->number < b->number;
}

/* The caller sees to it that no more than FRAMES are in. */
static void
heap_push(struct heap *heap, uint64_t due, uint32_t frame)
{
	struct entry entry = {due, heap->number++, frame};
	uint32_t at = heap->used++;

	for (; at != 0 && entry_before(&entry, &heap->entries[(at - 1) / 2]); at = (at - 1) / 2)
		heap->entries[at] = heap->entries[(at - 1) / 2];
	heap->entries[at] = entry;
}

static uint32_t
heap_pop(struct heap *heap)
{
	uint32_t top = heap->entries[0].frame, at = 0, child;
	struct entry entry = heap->entries[--heap->used];

	while ((child = at * 2 + 1) < heap->used) {
		if (child + 1 < heap->used && entry_before(&heap->entries[child + 1], &heap->entries[child]))
			child++;
		if (!entry_before(&heap->entries[child], &entry))
			break;
		heap->entries[at] = heap->entries[child];
		at = child;
	}
	heap->entries[at] = entry;
	return top;
}

/* --- the two interfaces ------------------------------------------------------------------------------------------- */

struct side {
	const char *interface;
	int fd;
	uint8_t *ring;
	uint32_t next; /* slot of the ring */
	struct direction *onwards;
	struct heap *heap; /* of what goes onwards */
};

static uint8_t (*frames)[FRAME_MAX];
static uint16_t frame_length[FRAMES];
static uint32_t free_frames[FRAMES], n_free;
static volatile sig_atomic_t ended;

static void
end(int signal)
{
	(void)signal;
	ended = 1;
}

static void
die(const char *what, const char *which)
{
	fprintf(stderr, "shim: %s %s: %s\n", what, which, strerror(errno));
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t); /* as the ring's time stamps */
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void
side_open(struct side *side, const char *interface)
{
	const int on = 1, version = TPACKET_V2;
	const struct tpacket_req request = {RING_BLOCK, RING_BLOCKS, FRAME_MAX, RING_FRAMES};
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};

	side->interface = interface;
	address.sll_ifindex = (int)if_nametoindex(interface);
	if (address.sll_ifindex == 0)
		die("no interface", interface);
	side->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (side->fd < 0 || setsockopt(side->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0 ||
	    setsockopt(side->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) != 0 ||
	    setsockopt(side->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) != 0 ||
	    setsockopt(side->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)) != 0)
		die("socket on", interface);
	side->ring = mmap(NULL, (size_t)RING_BLOCK * RING_BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, side->fd, 0);
	if (side->ring == MAP_FAILED)
		die("ring on", interface);
	if (bind(side->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		die("bind to", interface);
}

static void
take(struct side *side, const uint8_t *bytes, uint32_t length, uint64_t now)
{
	struct fate fate = impair(side->onwards, now, length);

	for (unsigned i = 0; i < fate.copies; i++) {
		if (n_free == 0) {
			side->onwards->counts.overrun++;
			return;
		}
		uint32_t frame = free_frames[--n_free];
		memcpy(frames[frame], bytes, length);
		frame_length[frame] = (uint16_t)length;
		if (fate.flip != 0)
			frames[frame][fate.flip / 8] ^= (uint8_t)(1u << fate.flip % 8);
		heap_push(side->heap, fate.due[i], frame);
	}
}

/* What has arrived, up to a burst. True when there may be more. */
static bool
receive(struct side *side)
{
	for (unsigned i = 0; i < BURST; i++) {
		struct tpacket2_hdr *header = (struct tpacket2_hdr *)(side->ring + (size_t)side->next * FRAME_MAX);
		uint32_t status = __atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE);
		if ((status & TP_STATUS_USER) == 0)
			return false;
		if ((status & TP_STATUS_CSUMNOTREADY) != 0 || header->tp_snaplen != header->tp_len) {
			fprintf(stderr, "shim: a frame of %u bytes%s on %s: offloads must be off\n", header->tp_len,
				(status & TP_STATUS_CSUMNOTREADY) != 0 ? " without a checksum" : "", side->interface);
			exit(1);
		}
		take(side, (const uint8_t *)header + header->tp_mac, header->tp_len,
		     header->tp_sec * NS_PER_S + header->tp_nsec);
		__atomic_store_n(&header->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		side->next = (side->next + 1) % RING_FRAMES;
	}
	return true;
}

/* Sends what is due of what goes onwards from a side. */
static void
send_due(struct side *from, struct side *to)
{
	struct counts *counts = &from->onwards->counts;
	struct mmsghdr messages[BURST];
	struct iovec pieces[BURST];
	uint32_t sending[BURST];
	uint64_t now = now_ns();

	while (from->heap->used != 0 && from->heap->entries[0].due <= now) {
		unsigned n = 0, done = 0;
		while (n < BURST && from->heap->used != 0 && from->heap->entries[0].due <= now) {
			uint32_t frame = heap_pop(from->heap);
			sending[n] = frame;
			pieces[n] = (struct iovec){frames[frame], frame_length[frame]};
			messages[n] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[n], .msg_iovlen = 1}};
			n++;
		}
		while (done < n) {
			int sent = sendmmsg(to->fd, messages + done, n - done, 0);
			if (sent > 0) {
				counts->sent += (unsigned)sent;
				done += (unsigned)sent;
			} else if (sent < 0 && errno != EINTR) { /* the receiver's queue is full, or its link is down */
				counts->refused++;
				done++;
			}
		}
		while (n != 0)
			free_frames[n_free++] = sending[--n];
	}
}

static void
sleep_until_due(struct side sides[2], const sigset_t *mask)
{
	struct pollfd fds[2] = {{.fd = sides[0].fd, .events = POLLIN}, {.fd = sides[1].fd, .events = POLLIN}};
	struct timespec wait;
	uint64_t due = UINT64_MAX, now = now_ns();

	for (unsigned i = 0; i < 2; i++)
		if (sides[i].heap->used != 0 && sides[i].heap->entries[0].due < due)
			due = sides[i].heap->entries[0].due;
	uint64_t ns = due <= now ? 0 : due - now;
	wait.tv_sec = (time_t)(ns / NS_PER_S);
	wait.tv_nsec = (long)(ns % NS_PER_S);
	if (ppoll(fds, 2, due == UINT64_MAX ? NULL : &wait, mask) < 0 && errno != EINTR)
		die("poll", "both");
}

static void
report(struct side *side)
{
	struct tpacket_stats missed;
	socklen_t length = sizeof(missed);
	struct counts *c = &side->onwards->counts;

	if (getsockopt(side->fd, SOL_PACKET, PACKET_STATISTICS, &missed, &length) == 0)
		c->overrun += missed.tp_drops;
	printf("%s frames=%" PRIu64 " sent=%" PRIu64 " lost=%" PRIu64 " duplicated=%" PRIu64 " corrupted=%" PRIu64
	       " late=%" PRIu64 " overtook=%" PRIu64 " queue_full=%" PRIu64 " too_large=%" PRIu64 " overrun=%" PRIu64
	       " refused=%" PRIu64 "\n",
	       side->onwards->name, c->frames, c->sent, c->lost, c->duplicated, c->corrupted, c->late, c->overtook,
	       c->queue_full, c->too_large, c->overrun, c->refused);
}

static void
run(struct side sides[2])
{
	const struct sched_param first = {.sched_priority = 1};
	struct sigaction action = {.sa_handler = end};
	sigset_t signals, before;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, &before);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);

	/* A link doesn't wait for its turn on the processor. */
	prctl(PR_SET_TIMERSLACK, 1UL);
	if (sched_setscheduler(0, SCHED_FIFO, &first) != 0)
		fprintf(stderr, "shim: no real-time priority (%s): delays may be longer on a busy machine\n",
			strerror(errno));
	printf("ready\n");
	fflush(stdout);

	while (!ended) {
		bool more = receive(&sides[0]);
		more |= receive(&sides[1]);
		send_due(&sides[0], &sides[1]);
		send_due(&sides[1], &sides[0]);
		if (!more)
			sleep_until_due(sides, &before);
	}
	report(&sides[0]);
	report(&sides[1]);
}

/* --- the command line --------------------------------------------------------------------------------------------- */

static const struct key {
	const char *name;
	size_t offset;
	double most;
} keys[] = {
	{"loss", offsetof(struct impairment, loss), 100},
	{"duplicate", offsetof(struct impairment, duplicate), 100},
	{"corrupt", offsetof(struct impairment, corrupt), 100},
	{"reorder", offsetof(struct impairment, reorder), 100},
	{"late", offsetof(struct impairment, late), 10000},
	{"overtake", offsetof(struct impairment, overtake), 1e6},
	{"delay", offsetof(struct impairment, delay), 10000},
	{"jitter", offsetof(struct impairment, jitter), 10000},
	{"rate", offsetof(struct impairment, rate), 100000},
	{"queue", offsetof(struct impairment, queue), 10000},
	{"mtu", offsetof(struct impairment, mtu), FRAME_MAX},
};

static bool
impairment_set(struct impairment *impairment, const char *text)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t length = strlen(keys[i].name);
		if (strncmp(text, keys[i].name, length) != 0 || text[length] != '=')
			continue;
		char *rest;
		double value = strtod(text + length + 1, &rest);
		if (rest == text + length + 1 || *rest != '\0' || !(value >= 0 && value <= keys[i].most))
			return false;
		memcpy((char *)impairment + keys[i].offset, &value, sizeof(value));
		return true;
	}
	return false;
}

/* Of "both loss=1 right delay=5": what each direction does. False at the first word that means nothing. */
static bool
impairments_parse(struct direction directions[2], char **words)
{
	bool right = false, left = false;

	for (; *words != NULL; words++) {
		bool both = strcmp(*words, "both") == 0;
		if (both || strcmp(*words, "right") == 0 || strcmp(*words, "left") == 0) {
			right = both || **words == 'r';
			left = both || **words == 'l';
			continue;
		}
		if ((!right && !left) || (right && !impairment_set(&directions[0].impairment, *words)) ||
		    (left && !impairment_set(&directions[1].impairment, *words))) {
			fprintf(stderr, "shim: what is '%s'?\n", *words);
			return false;
		}
	}
	return true;
}

static void
seed(struct direction directions[2], uint64_t with)
{
	directions[0].random = with * 2;
	directions[1].random = with * 2 + 1;
	draw(&directions[0]);
	draw(&directions[1]);
}

/* --- self-test: a link under a clock of its own must do what was asked ---------------------------------------------
 */

enum { TEST_FRAMES = 100000, TEST_LENGTH = 1514 };

/* What came of TEST_FRAMES, one each gap ns. */
struct outcome {
	struct counts counts;
	uint64_t arrived, out_of_order, least_ns, most_ns, digest;
	double mbit;
};

static struct outcome
try_link(uint64_t with, uint64_t gap, const char *words)
{
	static struct heap heap;
	static uint64_t left_at[FRAMES];
	struct direction directions[2] = {{.name = "right"}, {.name = "left"}};
	struct outcome outcome = {.least_ns = UINT64_MAX};
	char text[256], *list[16] = {0}, *rest = text;
	uint64_t clock = NS_PER_S, begun = clock, newest = 0, number = 0, last = 0;

	snprintf(text, sizeof(text), "%s", words);
	for (unsigned i = 0; i < 15 && (list[i] = strtok_r(rest, " ", &rest)) != NULL; i++)
		;
	if (!impairments_parse(directions, list))
		exit(1);
	seed(directions, with);
	heap = (struct heap){.used = 0};
	while (number < TEST_FRAMES || heap.used != 0) {
		bool sends = number < TEST_FRAMES;
		if (sends && (heap.used == 0 || begun + number * gap <= heap.entries[0].due)) {
			clock = begun + number * gap;
			left_at[number % FRAMES] = clock;
			struct fate fate = impair(&directions[0], clock, TEST_LENGTH);
			for (unsigned i = 0; i < fate.copies; i++)
				heap_push(&heap, fate.due[i], (uint32_t)number);
			number++;
			continue;
		}
		last = heap.entries[0].due;
		uint64_t frame = heap_pop(&heap), took = last - left_at[frame % FRAMES];
		outcome.arrived++;
		outcome.out_of_order += frame < newest;
		newest = frame > newest ? frame : newest;
		outcome.least_ns = took < outcome.least_ns ? took : outcome.least_ns;
		outcome.most_ns = took > outcome.most_ns ? took : outcome.most_ns;
		outcome.digest = (outcome.digest ^ frame ^ last) * 0x100000001b3;
	}
	outcome.counts = directions[0].counts;
	outcome.mbit = (double)outcome.arrived * TEST_LENGTH * 8e3 / (double)(last - begun);
	return outcome;
}

static unsigned failures;

static void
expect(const char *what, double got, double least, double most)
{
	bool good = got >= least && got <= most;
	printf("%s: %g, wanted %g to %g%s\n", what, got, least, most, good ? "" : ": WRONG");
	failures += !good;
}

/* Shares are checked to some five standard deviations. */
static int
self_test(void)
{
	const uint64_t gap = 100000; /* 10,000 frames a second */
	struct outcome o = try_link(1, gap, "both");

	expect("nothing asked, arrived", (double)o.arrived, TEST_FRAMES, TEST_FRAMES);
	expect("nothing asked, delay in ns", (double)o.most_ns, 0, 0);
	o = try_link(1, gap, "both loss=5");
	expect("loss=5, lost", (double)o.counts.lost, 4650, 5350);
	expect("loss=5, arrived", (double)o.arrived, (double)(TEST_FRAMES - o.counts.lost),
	       (double)(TEST_FRAMES - o.counts.lost));
	expect("another seed, same frames lost", try_link(2, gap, "both loss=5").digest == o.digest, 0, 0);
	expect("same seed, same frames lost", try_link(1, gap, "both loss=5").digest == o.digest, 1, 1);
	expect("other direction's loss", (double)try_link(1, gap, "left loss=5").counts.lost, 0, 0);
	o = try_link(1, gap, "right duplicate=3");
	expect("duplicate=3, arrived", (double)o.arrived, 1.027 * TEST_FRAMES, 1.033 * TEST_FRAMES);
	o = try_link(1, gap, "both corrupt=1");
	expect("corrupt=1, corrupted", (double)o.counts.corrupted, 840, 1160);
	o = try_link(1, 2 * NS_PER_MS, "both delay=50 jitter=2");
	expect("delay=50 jitter=2, least in ms", (double)o.least_ns / 1e6, 50, 50.01);
	expect("delay=50 jitter=2, most in ms", (double)o.most_ns / 1e6, 51.9, 52.0);
	o = try_link(1, gap, "both delay=50 jitter=2");
	expect("delay=50 jitter=2, out of order", (double)o.out_of_order, 0, 0);
	o = try_link(1, gap, "both delay=5 reorder=2 late=3");
	expect("reorder=2 late=3, out of order", (double)o.out_of_order, 1780, 2220);
	expect("reorder=2 late=3, most in ms", (double)o.most_ns / 1e6, 8, 8);
	o = try_link(1, gap, "both delay=5 overtake=100");
	expect("delay=5 overtake=100, overtook", (double)o.counts.overtook, 0.01 * TEST_FRAMES, 0.01 * TEST_FRAMES);
	expect("delay=5 overtake=100, out of order", (double)o.out_of_order, 49 * 999, 50 * 1000);
	o = try_link(1, gap, "both rate=100 queue=20");
	expect("rate=100, offered 121, Mbit/s", o.mbit, 99.5, 100.5);
	expect("queue=20, most in ms", (double)o.most_ns / 1e6, 19.8, 20.2);
	expect("queue=20, all accounted for", (double)(o.arrived + o.counts.queue_full), TEST_FRAMES, TEST_FRAMES);
	expect("mtu=1499, too large", (double)try_link(1, gap, "both mtu=1499").counts.too_large, TEST_FRAMES,
	       TEST_FRAMES);
	expect("mtu=1500, too large", (double)try_link(1, gap, "both mtu=1500").counts.too_large, 0, 0);
	return failures != 0;
}

static int
usage(void)
{
	fprintf(stderr,
		"usage: shim [-s SEED] LEFT RIGHT [both|right|left KEY=VALUE...]...\n       shim --self-test\n");
	return 2;
}

int
main(int argc, char **argv)
{
	static struct heap heaps[2];
	struct direction directions[2] = {{.name = "right"}, {.name = "left"}};
	struct side sides[2] = {{.onwards = &directions[0], .heap = &heaps[0]},
				{.onwards = &directions[1], .heap = &heaps[1]}};
	uint64_t with = 1;

	if (argc == 2 && strcmp(argv[1], "--self-test") == 0)
		return self_test();
	argv++;
	if (argc > 2 && strcmp(argv[0], "-s") == 0) {
		char *rest;
		with = strtoull(argv[1], &rest, 10);
		if (*rest != '\0')
			return usage();
		argv += 2;
	}
	if (argv[0] == NULL || argv[1] == NULL || !impairments_parse(directions, argv + 2))
		return usage();
	seed(directions, with);
	frames = mmap(NULL, (size_t)FRAMES * FRAME_MAX, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (frames == MAP_FAILED)
		die("memory for", "frames");
	for (uint32_t i = FRAMES; i != 0; i--)
		free_frames[n_free++] = i - 1;
	side_open(&sides[0], argv[0]);
	side_open(&sides[1], argv[1]);
	run(sides);
	return 0;
}
