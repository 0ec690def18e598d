/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a packet through a worker.
 *
 * What came by all devices in one round goes through in passes, so that a cache miss is waited for once and not for
 * every packet:
 *
 *   1. parse each frame; what isn't TCP for one of our addresses leaves here; hash the rest
 *   2. look all keys up, for all buckets at once and then for all records (flow_table.c)
 *   3. act on each, in order of arrival
 *
 * Acting on one packet can make or end the flow of the next (the ACK of a handshake and the ClientHello often come
 * together), so pass 3 looks a key up again when the table has changed since pass 2.
 *
 * Whose flow is it? Every worker looks in its own table first. What isn't there belongs to the worker whose local port
 * it is addressed to, or, from clients, to the one that the hash of its addresses names when the device has too few
 * queues to spread clients itself. A packet changes hands once at most.
 *
 * A device with one transmit queue is worker 0's: nothing guards a queue against two at a time. The others give it
 * their frames, finished, over the same ring; a mark in the mbuf's port tells them from those that arrived.
 */
#include "dataplane/worker.h"

#include <assert.h>
#include <netinet/in.h>
#include <rte_branch_prediction.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "dataplane/accept.h"
#include "dataplane/arp.h"
#include "dataplane/bridge.h"
#include "dataplane/dial.h"
#include "dataplane/flow_adopt.h"
#include "dataplane/flow_close.h"
#include "dataplane/host.h"
#include "dataplane/icmp.h"
#include "dataplane/local_port.h"
#include "dataplane/nd.h"
#include "dataplane/peek.h"
#include "dataplane/probe.h"
#include "dataplane/reclaim.h"
#include "dataplane/splice.h"

enum {
	NEIGHBOUR_TICK_MS = 100,
	TIMER_BUDGET = 512,
	PROBE_BURST = 16,
	HOLDS_KEPT = 1024,  /* so many were in use at a time: a busy moment. More were an attack, and their memory goes
			       back */
	TO_BE_SENT = 0x8000 /* beside a device's index in mbuf->port */
};

void
worker_drop(struct worker *worker, struct rte_mbuf *mbuf, enum reason reason)
{
	worker_count(worker, reason);
	rte_pktmbuf_free(mbuf);
}

struct rte_mbuf *
worker_mbuf(struct worker *worker)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(worker->pool);
	if (unlikely(mbuf == NULL))
		worker_count(worker, REASON_PACKET_POOL_EMPTY);
	return mbuf;
}

/* xoroshiro128+ by Blackman and Vigna, public domain algorithm. */
uint32_t
worker_random(struct worker *worker)
{
	uint64_t a = worker->random_state[0], b = worker->random_state[1];
	uint64_t result = a + b;

	b ^= a;
	worker->random_state[0] = (a << 24 | a >> 40) ^ b ^ b << 16;
	worker->random_state[1] = b << 37 | b >> 27;
	return (uint32_t)(result >> 32);
}

void
worker_hand_over(struct worker *worker, uint16_t to, struct rte_mbuf *mbuf)
{
	if (rte_ring_enqueue(worker->inboxes[to], mbuf) != 0) {
		worker_drop(worker, mbuf, REASON_HANDOVER_FULL);
		return;
	}
	worker->stats->handed_over++;
	worker->handed_to |= 1u << to;
}

/* Gives the frames to worker 0, who counts them as sent. */
static void
have_sent(struct worker *worker, uint8_t index, struct tx_buffer *buffer)
{
	for (uint16_t i = 0; i < buffer->n; i++) {
		buffer->mbufs[i]->port = index | TO_BE_SENT;
		worker_hand_over(worker, 0, buffer->mbufs[i]);
	}
	buffer->n = 0;
}

static void
flush_device(struct worker *worker, uint8_t index)
{
	struct tx_buffer *buffer = &worker->tx[index];
	struct device *device = worker->net->devices[index];
	uint16_t n = buffer->n, sent = 0;
	uint64_t bytes = 0;

	if (worker->id >= device->tx_queues) {
		have_sent(worker, index, buffer);
		return;
	}
	buffer->n = 0;
	for (uint16_t i = 0; i < n; i++)
		bytes += buffer->mbufs[i]->pkt_len;
	while (sent < n) {
		uint16_t now = device->tx(device, worker->id, buffer->mbufs + sent, (uint16_t)(n - sent));
		if (now == 0)
			break;
		sent = (uint16_t)(sent + now);
	}
	for (uint16_t i = sent; i < n; i++) {
		bytes -= buffer->mbufs[i]->pkt_len;
		worker_drop(worker, buffer->mbufs[i], device->is_tap ? REASON_TAP_FULL : REASON_TX_FULL);
	}
	worker->stats->tx_packets[index] += sent;
	worker->stats->tx_bytes[index] += bytes;
}

void
worker_transmit(struct worker *worker, uint8_t device, struct rte_mbuf *mbuf)
{
	struct tx_buffer *buffer = &worker->tx[device];

	buffer->mbufs[buffer->n++] = mbuf;
	if (unlikely(buffer->n == WORKER_TX_MAX))
		flush_device(worker, device);
}

void
worker_flush(struct worker *worker)
{
	for (uint8_t i = 0; i < worker->net->n_devices; i++)
		if (worker->tx[i].n != 0)
			flush_device(worker, i);
}

static void
set_time(struct worker *worker, uint64_t now_ms)
{
	worker->now_ms = now_ms;
	worker->clock_ms = (uint32_t)now_ms;
}

/* What is neither TCP nor wrong. */
static void
other_input(struct worker *worker, const struct packet *packet, struct rte_mbuf *mbuf, bool handed_over)
{
	switch (packet->kind) {
	case PACKET_ARP:
		arp_input(worker, packet, mbuf, handed_over);
		return;
	case PACKET_ICMP6:
		if (nd_is_type(rte_pktmbuf_mtod(mbuf, const uint8_t *)[packet->l4])) {
			nd_input(worker, packet, mbuf, handed_over);
			return;
		}
		icmp_input(worker, packet, mbuf);
		return;
	case PACKET_ICMP:
		icmp_input(worker, packet, mbuf);
		return;
	default:
		if (net_address_find(worker->net, &packet->source) != NET_ADDRESS_NONE)
			worker_drop(worker, mbuf, REASON_IP_LAND);
		else if (net_address_find(worker->net, &packet->destination) == NET_ADDRESS_NONE && packet->l2_unicast)
			worker_drop(worker, mbuf, REASON_IP_NOT_OURS);
		else
			host_deliver(worker, packet, mbuf, REASON_IP_PROTOCOL);
		return;
	}
}

/* Pass 1 for one frame. True when it is TCP to one of our addresses: *key is set and the mbuf stays with the caller. */
static bool
classify(struct worker *worker, uint8_t device_index, struct rte_mbuf *mbuf, struct packet *packet,
	 struct flow_key *key, bool handed_over)
{
	const struct net *net = worker->net;
	const struct device *device = net->devices[device_index];
	const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	uint64_t verdict = mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	bool checksummed = device->rx_checksummed && verdict == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	uint16_t vlan = (mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 ? mbuf->vlan_tci & 0xfff : PACKET_NO_TAG;

	packet_parse(frame, mbuf->data_len, mbuf->pkt_len, checksummed, vlan, packet);
	if (unlikely(packet->kind == PACKET_BAD)) {
		worker_drop(worker, mbuf, packet->reason);
		return false;
	}
	packet->port = net_port_find(net, device_index, packet->vlan);
	if (unlikely(packet->port == NET_PORT_NONE)) {
		worker_drop(worker, mbuf, REASON_VLAN_UNKNOWN);
		return false;
	}
	worker->stats->rx_packets[packet->port]++;
	worker->stats->rx_bytes[packet->port] += mbuf->pkt_len;
	if (unlikely(!net_accepts(net, packet->port, frame))) {
		worker_drop(worker, mbuf, REASON_MAC_NOT_OURS);
		return false;
	}
	if (unlikely(packet->kind != PACKET_TCP)) {
		other_input(worker, packet, mbuf, handed_over);
		return false;
	}
	uint16_t local = net_address_find(net, &packet->destination);
	if (unlikely(local == NET_ADDRESS_NONE || !packet->l2_unicast)) {
		worker_drop(worker, mbuf, REASON_IP_NOT_OURS);
		return false;
	}
	flow_key_set(key, &packet->source, packet->source_port, packet->destination_port, local);
	return true;
}

/* Whether a key is of a client, not of an endpoint. What isn't from the range of ports towards endpoints is, of a
 * listener that is gone perhaps: its connections aren't. */
static bool
is_clients(const struct worker *worker, const struct flow_key *key)
{
	const struct ip_addr *local = &worker->net->addresses[key->local_addr].addr;
	uint16_t port = ntohs(key->local_port);
	struct listener_offer offer;

	return port < worker->conf->flow.local_port_first || port > worker->conf->flow.local_port_last ||
	       worker->hooks->listener(worker->hooks->context, local, port, &offer);
}

uint16_t
worker_home(const struct worker *worker, bool spread, const struct flow_key *key, uint32_t hash)
{
	if (!is_clients(worker, key))
		return local_port_owner(key->local_port, worker->n_workers);
	return spread ? worker->n_workers : (uint16_t)((uint64_t)hash * worker->n_workers >> 32);
}

uint16_t
worker_owner(const struct worker *worker, uint8_t device, const struct flow_key *key, uint32_t hash)
{
	uint16_t owner;

	if (worker->strays != NULL && flow_strays_find(worker->strays, key, hash, &owner))
		return owner;
	owner = worker_home(worker, worker->net->devices[device]->rx_queues >= worker->n_workers, key, hash);
	return owner < worker->n_workers ? owner : worker->id;
}

/* A packet from the client of a flow that is over, with numbers that aren't of it: the port begins anew, and nothing of
 * the old connection is worth keeping (RFC 6191). A SYN alone doesn't show it, since anybody can send one. It gets its
 * cookie; the ACK that brings the cookie back does. */
static void
renew(struct worker *worker, uint32_t index, const struct packet *packet, const struct flow_key *key,
      struct rte_mbuf *mbuf)
{
	bool is_syn = (packet->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	bool is_new = accept_ends_handshake(worker, packet, key);

	if (is_new)
		flow_dispose(worker, index);
	if (is_syn || is_new)
		accept_stranger(worker, packet, key, mbuf);
	else
		worker_drop(worker, mbuf, REASON_TCP_WINDOW);
}

/* Pass 3 for one packet. */
static void
take_segment(struct worker *worker, const struct packet *packet, const struct flow_key *key, flow_ref ref,
	     struct rte_mbuf *mbuf)
{
	if (ref == 0) {
		/* Here, where it costs only strangers: a packet from one of our own addresses, or a network's. */
		if (net_address_find(worker->net, &packet->source) != NET_ADDRESS_NONE)
			worker_drop(worker, mbuf, REASON_IP_LAND);
		else if (net_is_broadcast(worker->net, &packet->source))
			worker_drop(worker, mbuf, REASON_IP_MARTIAN);
		else
			accept_stranger(worker, packet, key, mbuf);
		return;
	}
	uint32_t index = flow_ref_index(ref);
	unsigned leg = flow_ref_leg(ref);
	struct flow *flow = flow_table_get(&worker->flows, index);

	switch (flow->leg[leg].state) {
	case FLOW_BRIDGED:
		if (flow->state == FLOW_CLOSING && leg == LEG_CLIENT && bridge_is_beyond(flow, packet))
			renew(worker, index, packet, key, mbuf);
		else
			bridge_input(worker, index, leg, packet, mbuf);
		return;
	case FLOW_CLOSING:
		if (leg == LEG_CLIENT && splice_is_beyond(flow, packet)) {
			renew(worker, index, packet, key, mbuf);
			return;
		}
		/* fall through */
	case FLOW_SPLICED:
		splice_input(worker, index, leg, packet, mbuf);
		return;
	case FLOW_PEEKING:
		peek_input(worker, index, packet, mbuf);
		return;
	case FLOW_CONNECTING:
		if (leg == LEG_CLIENT)
			peek_input(worker, index, packet, mbuf);
		else
			dial_input(worker, index, packet, mbuf);
		return;
	case FLOW_PROBING:
		probe_input(worker, index, packet, mbuf);
		return;
	default:
		worker_drop(worker, mbuf, REASON_TCP_STATE);
		return;
	}
}

static_assert((int)WORKER_GATHER <= (int)FLOW_BURST_MAX, "looked up in one go");

static void
input(struct worker *worker, struct rte_mbuf **mbufs, uint16_t n, bool handed_over)
{
	struct packet packets[WORKER_GATHER];
	struct flow_key keys[WORKER_GATHER];
	uint32_t hashes[WORKER_GATHER];
	flow_ref refs[WORKER_GATHER];
	struct rte_mbuf *tcp[WORKER_GATHER];
	uint16_t n_tcp = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (i + 3 < n)
			rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + 3], void *));
		if (!classify(worker, (uint8_t)mbufs[i]->port, mbufs[i], &packets[n_tcp], &keys[n_tcp], handed_over))
			continue;
		hashes[n_tcp] = flow_table_hash(&worker->flows, &keys[n_tcp]);
		tcp[n_tcp++] = mbufs[i];
	}
	if (n_tcp == 0)
		return;
	flow_table_find_burst(&worker->flows, keys, hashes, n_tcp, refs);

	uint32_t version = worker->table_version;
	for (uint16_t i = 0; i < n_tcp; i++) {
		flow_ref ref = refs[i];
		if (unlikely(version != worker->table_version))
			ref = flow_table_find_hashed(&worker->flows, &keys[i], hashes[i]);
		if (unlikely(ref == 0 && worker->n_workers > 1 && !handed_over)) {
			uint16_t to = worker_owner(worker, (uint8_t)tcp[i]->port, &keys[i], hashes[i]);
			if (to != worker->id) {
				worker_hand_over(worker, to, tcp[i]);
				continue;
			}
		}
		syn_shed_from(&worker->shed, handed_over ? NET_DEVICES_MAX : tcp[i]->port);
		take_segment(worker, &packets[i], &keys[i], ref, tcp[i]);
	}
}

uint16_t
worker_arrived(struct worker *worker, uint8_t device, struct rte_mbuf **mbufs, uint16_t n, uint64_t now_ms)
{
	set_time(worker, now_ms);
	if (worker->net->devices[device]->is_tap) {
		host_forward(worker, device, mbufs, n);
		return 0;
	}
	syn_shed_burst(&worker->shed, device, n == WORKER_BURST);
	for (uint16_t i = 0; i < n; i++)
		mbufs[i]->port = device;
	return n;
}

void
worker_input(struct worker *worker, struct rte_mbuf **mbufs, uint16_t n)
{
	input(worker, mbufs, n, false);
}

void
worker_input_handed_over(struct worker *worker, struct rte_mbuf **mbufs, uint16_t n, uint64_t now_ms)
{
	struct rte_mbuf *arrived[WORKER_BURST];
	uint16_t n_arrived = 0;

	set_time(worker, now_ms);
	for (uint16_t i = 0; i < n; i++) {
		if ((mbufs[i]->port & TO_BE_SENT) != 0)
			worker_transmit(worker, (uint8_t)mbufs[i]->port, mbufs[i]);
		else
			arrived[n_arrived++] = mbufs[i];
	}
	syn_shed_burst(&worker->shed, NET_DEVICES_MAX, n == WORKER_BURST);
	input(worker, arrived, n_arrived, true);
}

static void
timer_fired(void *context, uint32_t index)
{
	struct worker *worker = context;

	const struct flow *flow = flow_table_get(&worker->flows, index);

	if (flow_is_bridged(flow)) {
		bridge_fired(worker, index);
		return;
	}
	switch (flow->state) {
	case FLOW_PEEKING:
		peek_fired(worker, index);
		return;
	case FLOW_CONNECTING:
		dial_fired(worker, index);
		return;
	case FLOW_SPLICED:
		splice_fired(worker, index);
		return;
	case FLOW_PROBING:
		probe_fired(worker, index);
		return;
	default:
		flow_dispose(worker, index);
		return;
	}
}

void
worker_abort_all(struct worker *worker, enum reason reason)
{
	for (uint32_t index = 1; index <= flow_table_touched(&worker->flows); index++) {
		struct flow *flow = flow_table_get(&worker->flows, index);
		if (flow->state == FLOW_CONNECTING)
			dial_abandon(worker, index); /* back to PEEKING */
		if (flow->state == FLOW_SPLICED) {
			flow_abort(worker, index, reason);
			flow_dispose(worker, index); /* both sides know: nothing is left to adopt */
		} else if (flow_is_bridged(flow)) {
			bridge_abort(worker, index, reason);
		} else if (flow->state == FLOW_PEEKING) {
			flow_refuse(worker, index, reason, NULL);
		}
	}
	worker_flush(worker);
}

unsigned
worker_poll(struct worker *worker, uint64_t now_ms)
{
	if (worker->hooks->poll == NULL)
		return 0;
	set_time(worker, now_ms);
	unsigned n = worker->hooks->poll(worker->hooks->context, worker);
	bridge_settle(worker);
	return n;
}

static void
take_probes(struct worker *worker)
{
	struct probe_request requests[PROBE_BURST];

	if (worker->probes == NULL)
		return;
	unsigned n = rte_ring_dequeue_burst_elem(worker->probes, requests, sizeof(requests[0]), PROBE_BURST, NULL);
	for (unsigned i = 0; i < n; i++)
		probe_start(worker, &requests[i]);
}

/* Packet buffers that wait in bridges must not be missed by what only passes through. */
static void
look_after_packets(struct worker *worker)
{
	unsigned size = worker->pool->size;
	unsigned left = worker->bridges.used == 0 ? size : rte_mempool_avail_count(worker->pool);

	worker->packets_scarce = left < size / BRIDGE_SCARCE_SHARE;
	worker->packets_short = left < size / BRIDGE_SHORT_SHARE;
	if (unlikely(worker->packets_short))
		reclaim_packets(worker);
}

void
worker_time(struct worker *worker, uint64_t now_ms)
{
	set_time(worker, now_ms);
	look_after_packets(worker);
	timer_wheel_run(&worker->wheel, &worker->flows, worker->clock_ms, TIMER_BUDGET, timer_fired, worker);
	if (now_ms - worker->neighbour_tick_ms >= NEIGHBOUR_TICK_MS) {
		worker->neighbour_tick_ms = now_ms;
		neighbour_tick(worker);
		take_probes(worker);
		if (worker->holds.used == 0 && worker->holds.touched_holds > HOLDS_KEPT)
			hold_pool_trim(&worker->holds);
	}
	if (unlikely(worker->n_farewells != 0))
		flow_adopt_farewell(worker);
	if (now_ms / 1000 != worker->rst_second) {
		worker->rst_second = now_ms / 1000;
		worker->rst_allowance = worker->conf->flow.rst_per_second;
		worker->refusals_told = 0;
	}
	worker->stats->neighbours = worker->neighbours.used;
	worker->stats->holds = worker->holds.used;
	worker->stats->bridges = worker->bridges.used;
	worker->stats->heartbeat_ms = now_ms;
}
