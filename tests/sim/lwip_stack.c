/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/lwip_stack.h"

#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INTERFACES = 2, PIECE = 3000, PACKET_MAX = 2000 };

/* One end of a connection, as its application sees it. */
struct end {
	struct tcp_pcb *pcb;
	struct conversation *of;
	bool is_server, closed, heard_fin;
	uint32_t length, sent, received;
};

struct conversation {
	unsigned number;
	struct end client, server;
	bool wrong, reset;
};

static struct netif interfaces[INTERFACES];
static struct conversation conversations[LWIP_STACK_CONNECTIONS_MAX];
static unsigned n_conversations;
static void (*send_packet)(unsigned interface, const uint8_t *packet, uint16_t length);

/* --- interfaces -------------------------------------------------------------------------------------------------- */

static err_t
output(struct netif *netif, struct pbuf *packet)
{
	uint8_t bytes[PACKET_MAX];
	u16_t length = pbuf_copy_partial(packet, bytes, sizeof(bytes), 0);

	send_packet((unsigned)(netif - interfaces), bytes, length);
	return ERR_OK;
}

static err_t
output_v4(struct netif *netif, struct pbuf *packet, const ip4_addr_t *to)
{
	(void)to;
	return output(netif, packet);
}

static err_t
output_v6(struct netif *netif, struct pbuf *packet, const ip6_addr_t *to)
{
	(void)to;
	return output(netif, packet);
}

void
lwip_stack_input(unsigned interface, const uint8_t *bytes, uint16_t length)
{
	struct pbuf *packet = pbuf_alloc(PBUF_RAW, length, PBUF_RAM);

	if (packet == NULL)
		abort();
	pbuf_take(packet, bytes, length);
	if (interfaces[interface].input(packet, &interfaces[interface]) != ERR_OK)
		pbuf_free(packet);
}

void
lwip_stack_tick(void)
{
	tcp_tmr();
}

/* --- applications ------------------------------------------------------------------------------------------------ */

static uint8_t
stream_byte(unsigned number, bool of_server, uint32_t at)
{
	return at < LWIP_STACK_PREAMBLE ? (uint8_t)number : (uint8_t)(at * 31 + at / 251 + number * 7 + of_server);
}

/* Hands over what there is room for, and closes behind the last byte. */
static void
go_on(struct end *end)
{
	static uint8_t bytes[PIECE];

	if (end->pcb == NULL || end->closed)
		return;
	while (end->sent < end->length) {
		uint32_t n = tcp_sndbuf(end->pcb);
		n = n > end->length - end->sent ? end->length - end->sent : n;
		n = n > PIECE ? PIECE : n;
		for (uint32_t i = 0; i < n; i++)
			bytes[i] = stream_byte(end->of->number, end->is_server, end->sent + i);
		if (n == 0 || tcp_write(end->pcb, bytes, (u16_t)n, TCP_WRITE_FLAG_COPY) != ERR_OK)
			break;
		end->sent += n;
	}
	if (end->sent == end->length && tcp_shutdown(end->pcb, 0, 1) == ERR_OK)
		end->closed = true;
	tcp_output(end->pcb);
}

static void
let_go(struct end *end)
{
	struct tcp_pcb *pcb = end->pcb;

	end->pcb = NULL;
	tcp_arg(pcb, NULL);
	tcp_recv(pcb, NULL);
	tcp_sent(pcb, NULL);
	tcp_err(pcb, NULL);
	tcp_poll(pcb, NULL, 0);
	tcp_close(pcb);
}

static void
take(struct end *end, const struct pbuf *packet)
{
	for (const struct pbuf *part = packet; part != NULL; part = part->next)
		for (u16_t i = 0; i < part->len; i++)
			if (((const uint8_t *)part->payload)[i] !=
			    stream_byte(end->of->number, !end->is_server, end->received++))
				end->of->wrong = true;
}

static err_t
on_receive(void *context, struct tcp_pcb *pcb, struct pbuf *packet, err_t error)
{
	struct end *end = context;
	(void)error;

	if (packet == NULL) {
		end->heard_fin = true;
		if (end->received != (end->is_server ? end->of->client.length : end->of->server.length))
			end->of->wrong = true;
		if (end->closed)
			let_go(end);
		return ERR_OK;
	}
	take(end, packet);
	tcp_recved(pcb, packet->tot_len);
	pbuf_free(packet);
	go_on(end);
	return ERR_OK;
}

static err_t
on_progress(void *context, struct tcp_pcb *pcb, u16_t length)
{
	struct end *end = context;
	(void)pcb, (void)length;

	go_on(end);
	if (end->closed && end->heard_fin && end->pcb != NULL)
		let_go(end);
	return ERR_OK;
}

static err_t
on_poll(void *context, struct tcp_pcb *pcb)
{
	return on_progress(context, pcb, 0);
}

static void
on_error(void *context, err_t error)
{
	struct end *end = context;
	(void)error;

	if (end == NULL)
		return;
	end->pcb = NULL;
	end->of->reset = true;
}

static void
attach(struct end *end, struct tcp_pcb *pcb)
{
	end->pcb = pcb;
	tcp_arg(pcb, end);
	tcp_recv(pcb, on_receive);
	tcp_sent(pcb, on_progress);
	tcp_err(pcb, on_error);
	tcp_poll(pcb, on_poll, 2);
}

/* The first bytes tell whose it is. */
static err_t
on_first_bytes(void *context, struct tcp_pcb *pcb, struct pbuf *packet, err_t error)
{
	(void)context;
	if (packet == NULL) {
		tcp_abort(pcb);
		return ERR_ABRT;
	}
	unsigned number = *(const uint8_t *)packet->payload;
	if (number >= n_conversations || conversations[number].server.pcb != NULL) {
		pbuf_free(packet);
		tcp_abort(pcb);
		return ERR_ABRT;
	}
	attach(&conversations[number].server, pcb);
	return on_receive(&conversations[number].server, pcb, packet, error);
}

static err_t
on_accept(void *context, struct tcp_pcb *pcb, err_t error)
{
	(void)context;
	if (pcb == NULL || error != ERR_OK)
		return ERR_VAL;
	tcp_recv(pcb, on_first_bytes);
	return ERR_OK;
}

static err_t
on_connected(void *context, struct tcp_pcb *pcb, err_t error)
{
	(void)pcb, (void)error;
	go_on(context);
	return ERR_OK;
}

/* --- the door ---------------------------------------------------------------------------------------------------- */

void
lwip_stack_begin(unsigned n_connections)
{
	n_conversations = n_connections;
	for (unsigned i = 0; i < n_connections; i++) {
		conversations[i] = (struct conversation){.number = i};
		conversations[i].client.of = conversations[i].server.of = &conversations[i];
		conversations[i].server.is_server = true;
	}
}

void
lwip_stack_connect(unsigned number, bool v6, uint16_t port, uint32_t client_length, uint32_t server_length)
{
	struct conversation *conversation = &conversations[number];
	ip_addr_t local, gate;
	struct tcp_pcb *pcb = tcp_new_ip_type(v6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4);

	if (pcb == NULL || !ipaddr_aton(v6 ? "2001:db8:1::a" : "192.0.2.10", &local) ||
	    !ipaddr_aton(v6 ? "2001:db8:1::1" : "192.0.2.1", &gate))
		abort();
	conversation->client.length = client_length;
	conversation->server.length = server_length;
	attach(&conversation->client, pcb);
	if (tcp_bind(pcb, &local, 0) != ERR_OK || tcp_connect(pcb, &gate, port, on_connected) != ERR_OK)
		conversation->wrong = true;
}

enum lwip_stack_outcome
lwip_stack_outcome(unsigned number)
{
	const struct conversation *conversation = &conversations[number];
	const struct end *client = &conversation->client, *server = &conversation->server;

	if (conversation->wrong)
		return LWIP_STACK_WRONG;
	if (conversation->reset)
		return LWIP_STACK_RESET;
	if (client->heard_fin && server->heard_fin && client->pcb == NULL && server->pcb == NULL)
		return LWIP_STACK_COMPLETE;
	return LWIP_STACK_GOES_ON;
}

static void
describe(const struct end *end)
{
	const struct tcp_pcb *pcb = end->pcb;

	printf("  %s: sent %u of %u, received %u, FIN sent %d, heard %d", end->is_server ? "server" : "client",
	       end->sent, end->length, end->received, end->closed, end->heard_fin);
	if (pcb != NULL)
		printf(", %s, una %u, next %u, expected %u, window %u, theirs %u, repeats %u",
		       tcp_debug_state_str(pcb->state), pcb->lastack, pcb->snd_nxt, pcb->rcv_nxt, pcb->rcv_wnd,
		       pcb->snd_wnd, pcb->nrtx);
	putchar('\n');
}

void
lwip_stack_describe(unsigned number)
{
	describe(&conversations[number].client);
	describe(&conversations[number].server);
}

static err_t
interface_init(struct netif *netif)
{
	netif->mtu = netif->mtu6 = 1500;
	netif->output = output_v4;
	netif->output_ip6 = output_v6;
	return ERR_OK;
}

static void
add_interface(unsigned interface, const char *v4, const char *v6)
{
	struct netif *netif = &interfaces[interface];
	ip4_addr_t addr, mask, none = {0};
	ip6_addr_t addr_6;

	if (!ip4addr_aton(v4, &addr) || !ip4addr_aton("255.255.255.0", &mask) || !ip6addr_aton(v6, &addr_6) ||
	    netif_add(netif, &addr, &mask, &none, NULL, interface_init, ip_input) == NULL)
		abort();
	netif_ip6_addr_set(netif, 0, &addr_6);
	netif_ip6_addr_set_state(netif, 0, IP6_ADDR_PREFERRED);
	netif_set_up(netif);
	netif_set_link_up(netif);
}

static void
add_listener(const char *address)
{
	ip_addr_t addr;
	if (!ipaddr_aton(address, &addr))
		abort();
	struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(&addr));
	if (pcb == NULL || tcp_bind(pcb, &addr, LWIP_STACK_SERVER_PORT) != ERR_OK)
		abort();
	tcp_accept(tcp_listen(pcb), on_accept);
}

void
lwip_stack_open(void (*to)(unsigned interface, const uint8_t *packet, uint16_t length))
{
	send_packet = to;
	lwip_init();
	add_interface(0, "192.0.2.10", "2001:db8:1::a");
	add_interface(1, "198.51.100.11", "2001:db8:2::b");
	add_listener("198.51.100.11");
	add_listener("2001:db8:2::b");
}
