/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/probe.h"

#include <netinet/in.h>
#include <rte_mbuf.h>

#include "dataplane/accept.h"
#include "dataplane/dial.h"
#include "dataplane/emit.h"
#include "dataplane/flow_close.h"
#include "dataplane/local_port.h"
#include "dataplane/syn_cookie.h"
#include "dataplane/tcp_options.h"

/* endpoint->ack is the ISN of our SYN until somebody acknowledges it. */
static void
send_syn(struct worker *worker, struct flow_leg *endpoint)
{
	struct neighbour *neighbour = emit_neighbour(worker, endpoint);
	if (neighbour == NULL)
		return;
	uint16_t ip = ip_addr_is_v4(&endpoint->peer) ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
	const struct tcp_options all = {
		.mss = (uint16_t)(worker->net->ports[neighbour->port].mtu - ip - TCP_HEADER_LENGTH),
		.wscale = ACCEPT_WSCALE,
		.sack_permitted = true,
		.timestamps = true,
		.tsval = accept_tsval(worker, endpoint->hash),
	};
	uint8_t options[TCP_OPTIONS_MAX];
	const struct emit_segment syn = {
		.flags = TCP_SYN,
		.seq = endpoint->ack,
		.window = HOLD_MAX,
		.options = options,
		.options_length = tcp_options_write(&all, options),
	};
	emit_to_peer(worker, endpoint, &syn);
}

void
probe_start(struct worker *worker, const struct probe_request *request)
{
	uint8_t port;
	struct ip_addr via;
	if (!net_route_find(worker->net, &request->addr, &port, &via))
		return;
	struct flow_key key = {request->addr, htons(request->port), 0, net_source(worker->net, port, &via), 0};
	if (key.local_addr == NET_ADDRESS_NONE || !local_port_choose(worker, &key))
		return;
	uint32_t index = flow_table_alloc(&worker->flows);
	if (index == FLOW_NONE)
		return;

	struct flow *flow = flow_table_get(&worker->flows, index);
	struct flow_leg *endpoint = &flow->leg[LEG_ENDPOINT];
	uint64_t words[3];
	memcpy(words, &key, sizeof(words));
	endpoint->peer = key.peer;
	endpoint->peer_port = key.peer_port;
	endpoint->local_port = key.local_port;
	endpoint->local_addr = key.local_addr;
	endpoint->ack = (uint32_t)siphash(worker->isn_secret, words, 3) + (uint32_t)(worker->now_ms * 250);
	flow->endpoint = request->endpoint;
	if (!flow_table_insert(&worker->flows, index, LEG_ENDPOINT)) {
		flow_table_release(&worker->flows, index);
		return;
	}
	worker->table_version++;
	flow_set_state(worker, flow, FLOW_PROBING);
	timer_wheel_start(&worker->wheel, &worker->flows, index, worker->clock_ms + PROBE_RTO_MS);
	send_syn(worker, endpoint);
}

/* The port is one that the endpoint still has in TIME-WAIT, from before a restart of ours: as in dial_input. */
static void
leave_time_wait(struct worker *worker, struct flow *flow, const struct packet *packet)
{
	struct flow_leg *endpoint = &flow->leg[LEG_ENDPOINT];
	struct emit_segment rst = {.flags = TCP_RST, .seq = packet->ack};

	if (emit_to_peer(worker, endpoint, &rst))
		worker->stats->rsts_sent++;
	if (flow->retries == 0) {
		flow->retries = 1;
		send_syn(worker, endpoint);
	}
}

void
probe_input(struct worker *worker, uint32_t index, const struct packet *packet, struct rte_mbuf *mbuf)
{
	struct flow *flow = flow_table_get(&worker->flows, index);
	struct flow_leg *endpoint = &flow->leg[LEG_ENDPOINT];
	bool acks_syn = (packet->flags & TCP_ACK) != 0 && packet->ack == endpoint->ack + 1;
	struct tcp_options options;

	if (!acks_syn || (packet->flags & (TCP_SYN | TCP_RST)) == 0) {
		worker_drop(worker, mbuf, REASON_TCP_STATE);
		if (!acks_syn && (packet->flags & (TCP_ACK | TCP_RST)) == TCP_ACK)
			leave_time_wait(worker, flow, packet);
		return;
	}
	const uint8_t *tcp = rte_pktmbuf_mtod(mbuf, const uint8_t *) + packet->l4;
	bool answers = (packet->flags & TCP_RST) == 0 &&
		       tcp_options_parse(tcp + TCP_HEADER_LENGTH, packet->options_length, true, &options);
	rte_pktmbuf_free(mbuf);
	if (answers) {
		dial_learn(worker, flow, packet, &options, LEG_SACK | LEG_TS);
		emit_reset_peer(worker, endpoint, packet->ack, packet->seq + 1);
	}
	flow_dispose(worker, index);
}

void
probe_fired(struct worker *worker, uint32_t index)
{
	struct flow *flow = flow_table_get(&worker->flows, index);

	if (flow->retries++ == PROBE_RETRIES_MAX) {
		flow_dispose(worker, index);
		return;
	}
	timer_wheel_start(&worker->wheel, &worker->flows, index,
			  worker->clock_ms + ((uint32_t)PROBE_RTO_MS << flow->retries));
	send_syn(worker, &flow->leg[LEG_ENDPOINT]);
}
