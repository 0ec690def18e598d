/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/rig.h"

#include <arpa/inet.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
	HOLDS = 1024,
	BRIDGES = 1024,
	NEIGHBOURS = 4096,
	INBOX = 1024,
	EVENTS = 1024,
	TAKEN_MAX = 65536,
	NOBODY = RIG_WORKERS_MAX
};

static struct rte_mempool *pool;
static struct rte_mbuf *taken[TAKEN_MAX];
static unsigned n_taken;

__attribute__((noreturn, format(printf, 1, 2))) static void
die(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("rig: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	abort();
}

struct ip_addr
rig_addr(const char *text)
{
	struct ip_addr addr;
	if (!ip_addr_parse(text, &addr))
		die("not an address: %s", text);
	return addr;
}

bool
rig_start_eal(unsigned megabytes)
{
	static bool started;
	char memory[16];
	static char options[][16] = {"rig",         "--no-huge",     "--no-pci",   "--no-telemetry",
				     "--no-shconf", "--log-level=4", "--lcores=0", "-m"};
	char *arguments[10] = {NULL};

	for (unsigned i = 0; i < 8; i++)
		arguments[i] = options[i];
	arguments[8] = memory;
	if (started)
		return true;
	snprintf(memory, sizeof(memory), "%u", megabytes);
	if (rte_eal_init(9, arguments) < 0) {
		fprintf(stderr, "rig: EAL: %s\n", rte_strerror(rte_errno));
		return false;
	}
	started = true;
	return true;
}

static uint16_t
device_tx(struct device *device, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	struct rig_queue *sent = device->context;

	/* A queue is one worker's: nothing guards it against two at a time. */
	if (queue >= device->tx_queues || (queue != sent->rig->running && sent->rig->running != NOBODY))
		die("worker %u transmits on queue %u of %u", sent->rig->running, queue, device->tx_queues);
	for (uint16_t i = 0; i < n; i++) {
		if (sent->refuse != 0) {
			sent->refuse--;
			return i;
		}
		if (sent->tail - sent->head == RIG_QUEUE)
			return i;
		sent->mbufs[sent->tail++ % RIG_QUEUE] = mbufs[i];
	}
	return n;
}

static uint16_t
device_rx(struct device *device, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	(void)device, (void)queue, (void)mbufs, (void)n;
	return 0;
}

static bool
hook_listener(void *context, const struct ip_addr *local, uint16_t port, struct listener_offer *offer)
{
	struct rig *rig = context;
	(void)local;

	if (rig->listen_port == 0 || port != rig->listen_port)
		return false;
	*offer = rig->offer;
	return true;
}

static enum decision
hook_decide(void *context, unsigned worker, const struct decide_input *input, struct dial *dial, enum reason *reason,
	    char sni[SNI_TEXT_MAX])
{
	struct rig *rig = context;
	(void)worker;

	if (input->length < rig->hello_length)
		return DECISION_MORE;
	rig->decided_length = input->length;
	memcpy(rig->hello, input->bytes, input->length);
	memcpy(rig->decided_tried, input->tried, sizeof(input->tried));
	rig->n_decided++;
	memcpy(sni, "rig.example", sizeof("rig.example"));
	if (rig->decision == DECISION_DIAL && input->attempt >= rig->n_dials) {
		*reason = REASON_NO_ENDPOINT;
		return DECISION_REFUSE;
	}
	*dial = rig->dials[input->attempt < 4 ? input->attempt : 3];
	*reason = rig->refusal;
	return rig->decision;
}

static void
hook_learned(void *context, unsigned worker, uint32_t endpoint, const struct tcp_profile *profile)
{
	struct rig *rig = context;
	(void)worker, (void)endpoint;
	rig->learned = *profile;
}

/* What the box, its networks and the gateway behind it are. */
static void
open_world(struct rig *rig)
{
	static const char *const addresses[RIG_DEVICES][2] = {{"192.0.2.1/24", "2001:db8:1::1/64"},
							      {"198.51.100.1/24", "2001:db8:2::1/64"}};
	struct device *devices[RIG_DEVICES], *taps[RIG_DEVICES] = {NULL, NULL};

	rig->conf.n_ports = RIG_DEVICES;
	for (unsigned i = 0; i < RIG_DEVICES; i++) {
		struct conf_port *port = &rig->conf.ports[i];
		struct device *device = &rig->devices[i];
		snprintf(port->name, sizeof(port->name), i == RIG_WAN ? "wan" : "lan");
		port->mtu = 1500;
		port->n_addresses = 2;
		for (unsigned j = 0; j < 2; j++)
			if (!ip_prefix_parse(addresses[i][j], &port->addresses[j]))
				die("bad address");
		*device = (struct device){.rx = device_rx,
					  .tx = device_tx,
					  .context = &rig->sent[i],
					  .rx_queues = rig->options.spreads ? (uint16_t)rig->n_workers : 1,
					  .tx_queues = rig->options.spreads ? (uint16_t)rig->n_workers : 1,
					  .mac = {2, 0, 0, 0, 1, (uint8_t)i}};
		devices[i] = device;
		rig->sent[i].rig = rig;
	}
	rig->conf.tables.flows = rig->options.flows;
	rig->conf.flow.local_port_first = 16384;
	rig->conf.flow.local_port_last = 65535;
	rig->conf.flow.idle_timeout_s = 8100;
	rig->conf.flow.half_closed_timeout_s = 8100;
	rig->conf.flow.hello_timeout_ms = 5000;
	rig->conf.flow.close_linger_ms = 4000;
	rig->conf.flow.rst_per_second = 1000;
	net_init(&rig->net, &rig->conf, devices, taps);

	rig->hooks = (struct dataplane_hooks){
		.context = rig, .listener = hook_listener, .decide = hook_decide, .learned = hook_learned};
	rig->offer = (struct listener_offer){.live = 1, .sack = true, .timestamps = true, .mss = 1460};
	rig->listen_port = 443;
	rig->hello_length = 1;
	rig->decision = DECISION_DIAL;
	rig->n_dials = 1;
	for (unsigned i = 0; i < 4; i++)
		rig->dials[i] = (struct dial){.addr = rig_addr("198.51.100.10"),
					      .port = 8443,
					      .endpoint = 2 + i,
					      .service = 10,
					      .connect_timeout_ms = 1500};
	for (unsigned i = 0; i < 4; i++)
		rig->dials[i].addr.bytes[15] = (uint8_t)(10 + i);
}

static struct rte_ring *
open_ring(const char *kind, unsigned id, unsigned bytes, unsigned count)
{
	char name[RTE_RING_NAMESIZE];
	snprintf(name, sizeof(name), "%s%u", kind, id);
	struct rte_ring *ring = rte_ring_create_elem(name, bytes, count, SOCKET_ID_ANY, 0);
	if (ring == NULL)
		die("no ring: %s", rte_strerror(rte_errno));
	return ring;
}

static void
open_worker(struct rig *rig, uint16_t id)
{
	struct worker *worker = &rig->workers[id];
	const struct rig_options *options = &rig->options;

	*worker = (struct worker){
		.id = id,
		.n_workers = (uint16_t)rig->n_workers,
		.net = &rig->net,
		.conf = &rig->conf,
		.hooks = &rig->hooks,
		.pool = pool,
		.now_ms = rig->now_ms,
		.clock_ms = (uint32_t)rig->now_ms,
		.stats = &rig->all_stats[id],
		.random_state = {1, 2u + id},
		.cookie_secret = {3, 4},
		.isn_secret = {5, 6},
		.port_secret = {7, 8},
		.wall_offset_ms = UINT64_C(1700000000000),
		.live = rig->own_live[id] = calloc(RIG_LIVE, sizeof(struct live_counters)),
		.rst_allowance = 1000,
		.rst_second = rig->now_ms / 1000,
		.inboxes = rig->inboxes,
		.events = rig->events,
	};
	if (rig->n_workers > 1)
		worker->inbox = rig->inboxes[id] = open_ring("inbox", id, sizeof(void *), options->inbox);
	rig->table_bytes = flow_table_bytes(options->flows);
	void *memory = mmap(NULL, rig->table_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		die("no memory for the flow table");
	madvise(memory, rig->table_bytes, MADV_HUGEPAGE);
	rig->table_memory[id] = memory;
	flow_table_init(&worker->flows, memory, options->flows, (const uint64_t[3]){9, 10, 11});
	timer_wheel_init(&worker->wheel, worker->clock_ms);
	if (!hold_pool_init(&worker->holds, options->holds) || !bridge_pool_init(&worker->bridges, options->bridges) ||
	    !neighbour_table_init(&worker->neighbours, options->neighbours))
		die("no memory");
	for (uint32_t i = 0; i < options->holds_taken; i++)
		if (hold_alloc(&worker->holds) == 0)
			die("fewer holds than are taken");
}

static void
set_default(uint32_t *option, uint32_t value)
{
	if (*option == 0)
		*option = value;
}

void
rig_open_with(struct rig *rig, const struct rig_options *options)
{
	memset(rig, 0, sizeof(*rig));
	rig->options = *options;
	set_default(&rig->options.n_workers, 1);
	set_default(&rig->options.holds, HOLDS);
	set_default(&rig->options.bridges, BRIDGES);
	set_default(&rig->options.inbox, INBOX);
	if (rig->options.neighbours == 0)
		rig->options.neighbours = NEIGHBOURS;
	rig->n_workers = rig->options.n_workers;
	rig->n_live = RIG_LIVE;
	rig->now_ms = 1000000;
	open_world(rig);
	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("rig", options->packets, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					       SOCKET_ID_ANY);
	if (pool == NULL)
		die("no packet pool: %s", rte_strerror(rte_errno));
	rig->events = open_ring("events", 0, sizeof(struct flow_event), EVENTS);
	for (unsigned id = 0; id < rig->n_workers; id++)
		open_worker(rig, (uint16_t)id);
}

void
rig_open_workers(struct rig *rig, unsigned n_workers, uint32_t flows, uint32_t packets)
{
	rig_open_with(rig, &(struct rig_options){.n_workers = n_workers, .flows = flows, .packets = packets});
}

void
rig_open(struct rig *rig, uint32_t flows, uint32_t packets)
{
	rig_open_workers(rig, 1, flows, packets);
}

static void
close_worker(struct rig *rig, unsigned id)
{
	struct worker *worker = &rig->workers[id];
	struct rte_mbuf *mbuf;

	neighbour_table_free(&worker->neighbours);
	hold_pool_free(&worker->holds);
	bridge_pool_free(&worker->bridges);
	free(rig->own_live[id]);
	while (rig->inboxes[id] != NULL && rte_ring_dequeue(rig->inboxes[id], (void **)&mbuf) == 0)
		rte_pktmbuf_free(mbuf);
	rte_ring_free(rig->inboxes[id]);
	rig->inboxes[id] = NULL;
}

static uint32_t
same_slot(void *context, char kind, uint32_t slot)
{
	const struct rig *rig = context;
	(void)kind;
	return slot < rig->n_live ? slot : 0;
}

void
rig_restart(struct rig *rig, unsigned n_workers)
{
	struct ip_addr addresses[CONF_ADDRESSES_MAX];

	for (unsigned i = 0; i < rig->net.n_addresses; i++)
		addresses[i] = rig->net.addresses[i].addr;
	rig_restart_from(rig, n_workers, addresses, rig->net.n_addresses);
}

void
rig_restart_from(struct rig *rig, unsigned n_workers, const struct ip_addr *addresses, unsigned n_addresses)
{
	const struct flow_adopt_names names = {rig, same_slot};
	struct worker *workers[RIG_WORKERS_MAX];
	struct flow_adopt_source source = {
		.n_tables = rig->n_workers, .addresses = addresses, .n_addresses = n_addresses};
	void *memory[RIG_WORKERS_MAX];
	size_t bytes = rig->table_bytes;
	const struct worker before = rig->worker;

	for (unsigned i = 0; i < RIG_WORKERS_MAX; i++)
		workers[i] = &rig->workers[i];
	flow_adopt_free(&rig->adoption, workers, rig->n_workers);
	for (unsigned i = 0; i < source.n_tables; i++) {
		source.tables[i] = rig->workers[i].flows;
		memory[i] = rig->table_memory[i];
		close_worker(rig, i);
	}
	memset(rig->all_stats, 0, sizeof(rig->all_stats));
	rig->n_workers = n_workers;
	rig->options.flows = rig->conf.tables.flows;
	rig->receiver = rig->running = 0;
	for (unsigned i = 0; i < RIG_DEVICES && rig->options.spreads; i++)
		rig->devices[i].rx_queues = rig->devices[i].tx_queues = (uint16_t)n_workers;
	for (unsigned i = 0; i < n_workers; i++) {
		struct worker *worker = &rig->workers[i];
		open_worker(rig, (uint16_t)i);
		/* As the box does: secrets are kept, but for where ports begin. */
		memcpy(worker->flows.secret, before.flows.secret, sizeof(before.flows.secret));
		memcpy(worker->isn_secret, before.isn_secret, sizeof(before.isn_secret));
		memcpy(worker->cookie_secret, before.cookie_secret, sizeof(before.cookie_secret));
		worker->port_secret[0] = before.port_secret[0] + 1;
		worker->port_secret[1] = before.port_secret[1];
		worker->random_state[0] = before.random_state[0] + i;
		worker->random_state[1] = before.random_state[1];
		worker->rst_allowance = rig->conf.flow.rst_per_second;
		if (rig->furnish != NULL)
			rig->furnish(worker);
	}
	flow_adopt(&rig->adoption, &source, workers, &names, rig->now_ms);
	for (unsigned i = 0; i < source.n_tables; i++)
		munmap(memory[i], bytes);
	rig->running = NOBODY; /* the main thread asks for all */
	flow_adopt_ask(workers);
	rig_settle(rig);
}

bool
rig_adopted_well(struct rig *rig)
{
	uint32_t states[FLOW_STATES] = {0}, counted[FLOW_STATES] = {0}, used = 0, active = 0;

	for (unsigned w = 0; w < rig->n_workers; w++) {
		struct worker *worker = &rig->workers[w];
		uint32_t in_use = 0;
		for (uint32_t i = 1; i <= flow_table_touched(&worker->flows); i++) {
			const struct flow *flow = flow_table_get(&worker->flows, i);
			if (flow->state == FLOW_FREE)
				continue;
			if ((flow->state != FLOW_SPLICED && flow->state != FLOW_CLOSING) || flow->timer_armed != 1 ||
			    flow->hold != 0 || (flow->generation & 1) == 0 || flow->reason >= REASON_COUNT)
				return false;
			for (unsigned leg = 0; leg < LEG_COUNT; leg++) {
				struct flow_key key = flow_leg_key(&flow->leg[leg]);
				if (flow_table_find(&worker->flows, &key) != (i << 1 | leg) ||
				    flow->leg[leg].state != flow->state ||
				    flow->leg[leg].local_addr >= rig->net.n_addresses ||
				    flow->counted[leg] > flow->leg[leg].bytes ||
				    (leg == LEG_ENDPOINT && ntohs(key.local_port) % rig->n_workers != w))
					return false;
			}
			in_use++;
			states[flow->state]++;
		}
		for (unsigned state = 0; state < FLOW_STATES; state++)
			counted[state] += worker->stats->states[state];
		for (unsigned slot = 0; slot < rig->n_live; slot++)
			active += worker->live[slot].active;
		if (in_use != flow_table_used(&worker->flows) || worker->wheel.armed != in_use)
			return false;
		used += in_use;
	}
	const struct flow_adoption *adoption = &rig->adoption;
	uint32_t lost = adoption->held + adoption->bridged + adoption->damaged + adoption->address + adoption->full;
	return memcmp(states, counted, sizeof(states)) == 0 && states[FLOW_SPLICED] == adoption->spliced &&
	       states[FLOW_CLOSING] == adoption->closing && active == 2 * adoption->spliced &&
	       used + adoption->forgotten + lost == adoption->found;
}

bool
rig_is_empty(const struct rig *rig)
{
	for (unsigned i = 0; i < rig->n_workers; i++) {
		const struct worker *worker = &rig->workers[i];
		if (flow_table_used(&worker->flows) != 0 || worker->wheel.armed != 0 ||
		    worker->holds.used != rig->options.holds_taken || worker->bridges.used != 0)
			return false;
		for (unsigned state = 0; state < FLOW_STATES; state++)
			if (worker->stats->states[state] != 0)
				return false;
		for (unsigned slot = 0; slot < rig->n_live; slot++)
			if (worker->live[slot].active != 0)
				return false;
	}
	return true;
}

unsigned
rig_close(struct rig *rig)
{
	for (unsigned i = 0; i < RIG_DEVICES; i++)
		while (rig->sent[i].head != rig->sent[i].tail)
			rte_pktmbuf_free(rig->sent[i].mbufs[rig->sent[i].head++ % RIG_QUEUE]);
	struct worker *workers[RIG_WORKERS_MAX];
	for (unsigned i = 0; i < rig->n_workers; i++) {
		workers[i] = &rig->workers[i];
		close_worker(rig, i);
		munmap(rig->table_memory[i], rig->table_bytes);
	}
	flow_adopt_free(&rig->adoption, workers, rig->n_workers);
	rte_ring_free(rig->events);
	return rte_mempool_in_use_count(pool);
}

uint32_t
rig_sum(uint32_t sum, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i + 1 < length; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	if (length % 2 != 0)
		sum += (uint32_t)bytes[length - 1] << 8;
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t
pseudo_sum(const uint8_t *source, const uint8_t *destination, size_t address_length, uint8_t protocol, uint32_t length)
{
	uint32_t sum = rig_sum(0, source, address_length);
	sum = rig_sum(sum, destination, address_length);
	return sum + protocol + (length >> 16) + (length & 0xffff);
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

uint16_t
rig_build(const struct rig *rig, unsigned device, const struct segment *segment, uint8_t *frame)
{
	bool v4 = ip_addr_is_v4(&segment->source);
	uint16_t header = (uint16_t)(20 + segment->options_length);
	uint16_t l4 = (uint16_t)(header + segment->payload_length);
	uint8_t *ip = frame + 14, *tcp = ip + (v4 ? 20 : 40);

	memcpy(frame, rig->devices[device].mac, 6);
	memcpy(frame + 6, (const uint8_t[6]){2, 0, 0, 0, 0, segment->source.bytes[15]}, 6);
	put_16(frame + 12, v4 ? 0x0800 : 0x86dd);
	if (v4) {
		memcpy(ip, (const uint8_t[20]){0x45, segment->traffic_class, 0, 0, 0x12, 0x34, 0x40, 0, 61, 6}, 20);
		put_16(ip + 2, 20u + l4);
		memcpy(ip + 12, segment->source.bytes + 12, 4);
		memcpy(ip + 16, segment->destination.bytes + 12, 4);
		put_16(ip + 10, ~rig_sum(0, ip, 20));
	} else {
		memset(ip, 0, 40);
		put_16(ip, 0x6000u | (uint32_t)segment->traffic_class << 4);
		put_16(ip + 4, l4);
		ip[6] = 6;
		ip[7] = 61;
		memcpy(ip + 8, segment->source.bytes, 16);
		memcpy(ip + 24, segment->destination.bytes, 16);
	}
	put_16(tcp, segment->source_port);
	put_16(tcp + 2, segment->destination_port);
	put_32(tcp + 4, segment->seq);
	put_32(tcp + 8, segment->ack);
	tcp[12] = (uint8_t)(header / 4 << 4 | segment->reserved);
	tcp[13] = segment->flags;
	put_16(tcp + 14, segment->window);
	put_16(tcp + 16, 0);
	put_16(tcp + 18, segment->urgent);
	memcpy(tcp + 20, segment->options, segment->options_length);
	if (segment->payload_length != 0)
		memcpy(tcp + header, segment->payload, segment->payload_length);
	size_t address_length = v4 ? 4 : 16;
	uint32_t sum = pseudo_sum(ip + (v4 ? 12 : 8), ip + (v4 ? 16 : 24), address_length, 6, l4);
	put_16(tcp + 16, ~rig_sum(sum, tcp, l4));
	return (uint16_t)(tcp + l4 - frame);
}

/* NULL: a device has none either, and the frame is lost. */
static struct rte_mbuf *
make_mbuf(struct rig *rig, const uint8_t *frame, uint16_t length)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
	if (mbuf == NULL) {
		if (!rig->may_miss)
			die("no packet buffer");
		rig->missed++;
		return NULL;
	}
	memcpy(rte_pktmbuf_mtod(mbuf, void *), frame, length);
	mbuf->data_len = length;
	mbuf->pkt_len = length;
	return mbuf;
}

/* If frame is an ARP request or a neighbour solicitation, or another message of those protocols, true; and in reply,
 * what the station that is asked for answers, *reply_length bytes, 0: nothing. */
static bool
resolve(const uint8_t *frame, uint16_t length, uint8_t reply[128], uint16_t *reply_length)
{
	const uint8_t *body = frame + 14;

	*reply_length = 0;
	if (get_16(frame + 12) == 0x0806) {
		if (get_16(body + 6) != 1 || memcmp(body + 14, body + 24, 4) == 0)
			return true; /* a reply or an announcement: nobody is asked */
		memcpy(reply, frame + 6, 6);
		memcpy(reply + 6, (const uint8_t[6]){2, 0, 0, 0, 0, body[27]}, 6);
		put_16(reply + 12, 0x0806);
		memcpy(reply + 14, body, 6);
		put_16(reply + 20, 2);
		memcpy(reply + 22, reply + 6, 6);
		memcpy(reply + 28, body + 24, 4);
		memcpy(reply + 32, body + 8, 10);
		*reply_length = 42;
		return true;
	}
	if (get_16(frame + 12) != 0x86dd || body[6] != 58 || length < 14 + 40 + 8 || body[40] < 133 || body[40] > 137)
		return false;
	if (body[40] == 135) {
		uint8_t *ip = reply + 14, *icmp = ip + 40;
		memcpy(reply, frame + 6, 6);
		memcpy(reply + 6, (const uint8_t[6]){2, 0, 0, 0, 0, body[40 + 23]}, 6);
		put_16(reply + 12, 0x86dd);
		memset(ip, 0, 40 + 32);
		ip[0] = 0x60;
		put_16(ip + 4, 32);
		ip[6] = 58;
		ip[7] = 255;
		memcpy(ip + 8, body + 48, 16);
		memcpy(ip + 24, body + 8, 16);
		icmp[0] = 136;
		icmp[4] = 0x60;
		memcpy(icmp + 8, body + 48, 16);
		icmp[24] = 2;
		icmp[25] = 1;
		memcpy(icmp + 26, reply + 6, 6);
		put_16(icmp + 2, ~rig_sum(pseudo_sum(ip + 8, ip + 24, 16, 58, 32), icmp, 32));
		*reply_length = 14 + 40 + 32;
	}
	return true;
}

/* Lets the stations of a device answer what asks for them; all else stays in its order. True when something was
 * answered. */
static bool
answer_resolutions(struct rig *rig, unsigned device)
{
	struct rig_queue *sent = &rig->sent[device];
	struct rte_mbuf *replies[RIG_QUEUE];
	unsigned n = 0;

	for (unsigned waiting = sent->tail - sent->head; waiting != 0; waiting--) {
		struct rte_mbuf *mbuf = sent->mbufs[sent->head++ % RIG_QUEUE];
		uint8_t reply[128];
		uint16_t length;
		if (!resolve(rte_pktmbuf_mtod(mbuf, const uint8_t *), mbuf->data_len, reply, &length)) {
			sent->mbufs[sent->tail++ % RIG_QUEUE] = mbuf;
			continue;
		}
		rte_pktmbuf_free(mbuf);
		if (length != 0 && !rig->deaf[device] && (replies[n] = make_mbuf(rig, reply, length)) != NULL)
			n++;
	}
	rig->running = rig->receiver;
	for (unsigned i = 0; i < n; i++) {
		struct worker *worker = &rig->workers[rig->receiver];
		worker_input(worker, &replies[i], worker_arrived(worker, (uint8_t)device, &replies[i], 1, rig->now_ms));
		worker_flush(worker);
	}
	return n != 0;
}

/* True when a worker had something in its inbox. */
static bool
run_inboxes(struct rig *rig)
{
	bool any = false;

	for (unsigned i = 0; i < rig->n_workers && rig->n_workers > 1; i++) {
		struct rte_mbuf *mbufs[WORKER_BURST];
		unsigned n = rte_ring_dequeue_burst(rig->inboxes[i], (void **)mbufs, WORKER_BURST, NULL);
		if (n == 0)
			continue;
		any = true;
		if ((rig->handed_to >> i & 1) == 0)
			die("worker %u was given something and nobody would have woken it", i);
		rig->running = i;
		worker_input_handed_over(&rig->workers[i], mbufs, (uint16_t)n, rig->now_ms);
		worker_flush(&rig->workers[i]);
	}
	return any;
}

void
rig_settle(struct rig *rig)
{
	bool again;

	do {
		for (unsigned i = 0; i < rig->n_workers; i++) {
			rig->handed_to |= rig->workers[i].handed_to;
			rig->workers[i].handed_to = 0;
		}
		again = run_inboxes(rig);
		for (unsigned i = 0; i < RIG_DEVICES; i++)
			again |= answer_resolutions(rig, i);
	} while (again);
	rig->handed_to = 0;
}

/* The worker whose queue the device puts a frame in. */
static unsigned
queue_of(const struct rig *rig, const struct rte_mbuf *mbuf)
{
	const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *), *ip = frame + 14;
	bool v4 = get_16(frame + 12) == 0x0800;
	unsigned addresses = v4 ? 12 : 8, protocol = v4 ? 9 : 6, end = v4 ? 20 : 40;
	uint32_t hash = 0;

	if (!rig->options.spreads)
		return rig->receiver;
	if ((!v4 && get_16(frame + 12) != 0x86dd) || mbuf->data_len < 14 + end + 4 || ip[protocol] != 6)
		return 0;
	for (unsigned i = addresses; i < end + 4; i++)
		hash = (hash + ip[i]) * UINT32_C(0x9e3779b1);
	return (hash >> 16) % rig->n_workers;
}

static void
receive(struct rig *rig, unsigned device, struct rte_mbuf **mbufs, uint16_t n)
{
	for (unsigned id = 0; id < rig->n_workers; id++) {
		struct rte_mbuf *its[WORKER_BURST];
		uint16_t n_its = 0;
		for (uint16_t i = 0; i < n; i++)
			if (mbufs[i] != NULL && queue_of(rig, mbufs[i]) == id) {
				its[n_its++] = mbufs[i];
				mbufs[i] = NULL;
			}
		if (n_its == 0)
			continue;
		rig->running = id;
		worker_input(&rig->workers[id], its,
			     worker_arrived(&rig->workers[id], (uint8_t)device, its, n_its, rig->now_ms));
		worker_flush(&rig->workers[id]);
	}
	rig_settle(rig);
}

void
rig_receive_frame(struct rig *rig, unsigned device, const uint8_t *frame, uint16_t length)
{
	struct rte_mbuf *mbuf = make_mbuf(rig, frame, length);
	receive(rig, device, &mbuf, 1);
}

void
rig_receive_burst(struct rig *rig, unsigned device, const struct segment *segments, uint16_t n)
{
	struct rte_mbuf *mbufs[WORKER_BURST];
	uint8_t frame[RIG_FRAME];

	for (uint16_t i = 0; i < n; i++)
		mbufs[i] = make_mbuf(rig, frame, rig_build(rig, device, &segments[i], frame));
	receive(rig, device, mbufs, n);
}

void
rig_receive(struct rig *rig, unsigned device, const struct segment *segment)
{
	rig_receive_burst(rig, device, segment, 1);
}

void
rig_parse(const uint8_t *frame, uint16_t length, struct segment *segment)
{
	const uint8_t *ip = frame + 14;
	bool v4 = get_16(frame + 12) == 0x0800;
	uint16_t l4;

	memset(segment, 0, sizeof(*segment));
	if (length < 54)
		die("a frame of %u bytes", length);
	if (v4) {
		if (ip[0] != 0x45 || get_16(ip + 2) != length - 14 || rig_sum(0, ip, 20) != 0xffff || ip[9] != 6)
			die("a bad IPv4 header");
		segment->source = ip_addr_from_v4(htonl(get_32(ip + 12)));
		segment->destination = ip_addr_from_v4(htonl(get_32(ip + 16)));
		segment->traffic_class = ip[1];
		l4 = (uint16_t)(length - 34);
	} else {
		if (ip[0] >> 4 != 6 || get_16(ip + 4) != length - 54 || ip[6] != 6)
			die("a bad IPv6 header");
		memcpy(segment->source.bytes, ip + 8, 16);
		memcpy(segment->destination.bytes, ip + 24, 16);
		segment->traffic_class = (uint8_t)(ip[0] << 4 | ip[1] >> 4);
		l4 = (uint16_t)(length - 54);
	}
	const uint8_t *tcp = ip + (v4 ? 20 : 40);
	uint32_t sum = pseudo_sum(ip + (v4 ? 12 : 8), ip + (v4 ? 16 : 24), v4 ? 4 : 16, 6, l4);
	if (rig_sum(sum, tcp, l4) != 0xffff)
		die("a bad TCP checksum");
	uint8_t header = (uint8_t)((tcp[12] >> 4) * 4);
	if (header < 20 || header > l4)
		die("a bad TCP header length");
	if (frame[5] != segment->destination.bytes[15] || frame[0] != 2)
		die("sent to the wrong MAC");
	segment->source_port = get_16(tcp);
	segment->destination_port = get_16(tcp + 2);
	segment->seq = get_32(tcp + 4);
	segment->ack = get_32(tcp + 8);
	segment->flags = tcp[13];
	segment->reserved = tcp[12] & 0xf;
	segment->window = get_16(tcp + 14);
	segment->urgent = get_16(tcp + 18);
	segment->options_length = (uint8_t)(header - 20);
	memcpy(segment->options, tcp + 20, segment->options_length);
	segment->payload = tcp + header;
	segment->payload_length = (uint16_t)(l4 - header);
}

uint16_t
rig_next_frame(struct rig *rig, unsigned device, uint8_t *frame)
{
	struct rig_queue *sent = &rig->sent[device];

	if (sent->head == sent->tail)
		return 0;
	struct rte_mbuf *mbuf = sent->mbufs[sent->head++ % RIG_QUEUE];
	uint16_t length = mbuf->data_len;
	memcpy(frame, rte_pktmbuf_mtod(mbuf, const void *), length);
	rte_pktmbuf_free(mbuf);
	if (length < 34 || memcmp(frame + 6, rig->devices[device].mac, 6) != 0)
		die("a frame of %u bytes, or not from our MAC", length);
	return length;
}

bool
rig_next(struct rig *rig, unsigned device, struct segment *segment, uint8_t *frame)
{
	uint16_t length = rig_next_frame(rig, device, frame);

	if (length == 0)
		return false;
	rig_parse(frame, length, segment);
	return true;
}

unsigned
rig_waiting(const struct rig *rig, unsigned device)
{
	return rig->sent[device].tail - rig->sent[device].head;
}

void
rig_time(struct rig *rig, uint64_t now_ms)
{
	rig->now_ms = now_ms;
	for (unsigned i = 0; i < rig->n_workers; i++) {
		rig->running = i;
		worker_time(&rig->workers[i], now_ms);
		worker_flush(&rig->workers[i]);
	}
	rig_settle(rig);
}

void
rig_poll(struct rig *rig)
{
	for (unsigned i = 0; i < rig->n_workers; i++) {
		rig->running = i;
		worker_poll(&rig->workers[i], rig->now_ms);
		worker_flush(&rig->workers[i]);
	}
	rig_settle(rig);
}

void
rig_advance(struct rig *rig, uint32_t ms)
{
	while (ms-- != 0)
		rig_time(rig, rig->now_ms + 1);
}

uint32_t
rig_sleep(const struct rig *rig, uint32_t limit_ms)
{
	for (unsigned i = 0; i < rig->n_workers; i++)
		limit_ms = timer_wheel_sleep(&rig->workers[i].wheel, (uint32_t)rig->now_ms, limit_ms);
	return limit_ms;
}

const struct flow *
rig_flow(const struct rig *rig, unsigned leg, const struct ip_addr *peer, uint16_t peer_port, uint16_t local_port)
{
	for (unsigned id = 0; id < rig->n_workers; id++) {
		const struct flow_table *flows = &rig->workers[id].flows;
		for (uint32_t i = 1; i <= flow_table_touched(flows); i++) {
			const struct flow *flow = flow_table_get(flows, i);
			const struct flow_leg *has = &flow->leg[leg];
			if (flow->state != FLOW_FREE && has->local_port == htons(local_port) &&
			    has->peer_port == htons(peer_port) && ip_addr_equal(&has->peer, peer))
				return flow;
		}
	}
	return NULL;
}

uint64_t
rig_reason_count(const struct rig *rig, enum reason reason)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < rig->n_workers; i++)
		sum += rig->all_stats[i].reasons[reason];
	return sum;
}

bool
rig_event(struct rig *rig, struct flow_event *event)
{
	return rte_ring_dequeue_elem(rig->events, event, sizeof(*event)) == 0;
}

void
rig_take_buffers(unsigned left)
{
	while (n_taken < TAKEN_MAX && rte_mempool_avail_count(pool) > left)
		taken[n_taken++] = rte_pktmbuf_alloc(pool);
}

void
rig_give_back(void)
{
	while (n_taken != 0)
		rte_pktmbuf_free(taken[--n_taken]);
}
