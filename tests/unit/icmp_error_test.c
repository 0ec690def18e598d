/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors about our flows: which are believed, and what the sender of a segment that was too big hears. */
#include <arpa/inet.h>
#include <string.h>

#include "dataplane/dial.h"
#include "dataplane/icmp_quote.h"
#include "dataplane/packet.h"
#include "tests/sim/spy.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

enum { TCP_AND_MORE = 28 /* bytes of the quoted segment */ };

static struct rig rig;
static struct talk talk;
static struct talk_side *const client = &talk.side[LEG_CLIENT], *const endpoint = &talk.side[LEG_ENDPOINT];

static void
begin(bool client_v6, bool endpoint_v6)
{
	rig_open(&rig, 64, 4096);
	talk_init(&talk, &rig, client_v6, endpoint_v6);
}

static void
cut(void)
{
	talk_say(&talk, LEG_CLIENT, TCP_RST, NULL, 0);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	rig_advance(&rig, 4016);
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

static void
put_16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint16_t
get_16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* An IP header. Returns its length. */
static unsigned
put_ip(uint8_t *ip, const struct ip_addr *source, const struct ip_addr *destination, uint8_t protocol, uint32_t length)
{
	if (ip_addr_is_v4(source)) {
		memcpy(ip, (const uint8_t[20]){0x45, 0, 0, 0, 0, 0, 0x40, 0, 63, protocol}, 20);
		put_16(ip + 2, 20 + length);
		memcpy(ip + 12, source->bytes + 12, 4);
		memcpy(ip + 16, destination->bytes + 12, 4);
		put_16(ip + 10, ~rig_sum(0, ip, 20));
		return 20;
	}
	memset(ip, 0, 8);
	ip[0] = 0x60;
	put_16(ip + 4, length);
	ip[6] = protocol;
	ip[7] = 63;
	memcpy(ip + 8, source->bytes, 16);
	memcpy(ip + 24, destination->bytes, 16);
	return 40;
}

/* A router beyond a leg says: a segment of ours with number seq to that leg's peer met this. mtu: of the next hop,
 * where too big. */
static void
error_arrives(unsigned leg, enum icmp_error error, uint8_t code, uint16_t mtu, uint32_t seq)
{
	const struct talk_side *side = &talk.side[leg];
	bool v4 = ip_addr_is_v4(&side->addr);
	uint8_t frame[256] = {0}, *icmp, *quoted;
	static const uint8_t types[2][3] = {{1, 2, 3}, {3, 3, 11}};
	struct ip_addr router = side->addr;

	router.bytes[15] = 200;
	memcpy(frame, rig.devices[side->device].mac, 6);
	memcpy(frame + 6, (const uint8_t[6]){2, 0, 0, 0, 0, 200}, 6);
	put_16(frame + 12, v4 ? 0x0800 : 0x86dd);
	unsigned header = v4 ? 20 : 40, length = 8 + header + TCP_AND_MORE;
	icmp = frame + 14 + put_ip(frame + 14, &router, &side->gate, v4 ? 1 : 58, length);
	icmp[0] = types[v4][error];
	icmp[1] = v4 && error == ICMP_TOO_BIG ? 4 : code;
	if (error == ICMP_TOO_BIG)
		put_16(icmp + 6, mtu);
	quoted = icmp + 8;
	quoted += put_ip(quoted, &side->gate, &side->addr, 6, 1480);
	put_16(quoted, side->gate_port);
	put_16(quoted + 2, side->port);
	talk_put_32(quoted + 4, seq);
	uint32_t sum = v4 ? 0 : rig_sum(58 + length, frame + 14 + 8, 32);
	put_16(icmp + 2, ~rig_sum(sum, icmp, length));
	rig_receive_frame(&rig, side->device, frame, (uint16_t)(icmp + length - frame));
}

/* The peer of leg hears that its segment seq was larger than mtu, in its own addresses and numbers. */
static void
hears_too_big(unsigned leg, uint16_t mtu, uint32_t seq)
{
	const struct talk_side *side = &talk.side[leg];
	bool v4 = ip_addr_is_v4(&side->addr);
	unsigned header = v4 ? 20 : 40;
	uint16_t length = rig_next_frame(&rig, side->device, talk.frame);

	CU_ASSERT_TRUE_FATAL(length >= 14 + 2 * header + 8 + 8);
	const uint8_t *ip = talk.frame + 14, *icmp = ip + header, *quoted = icmp + 8, *tcp = quoted + header;
	unsigned icmp_length = length - 14 - header;
	CU_ASSERT_EQUAL(talk.frame[5], side->addr.bytes[15]);
	if (v4) {
		CU_ASSERT_EQUAL(rig_sum(0, ip, 20), 0xffff);
		CU_ASSERT_EQUAL(get_16(ip + 2), length - 14);
		CU_ASSERT_EQUAL(ip[9], 1);
		CU_ASSERT_EQUAL(rig_sum(0, icmp, icmp_length), 0xffff);
		CU_ASSERT_EQUAL(icmp[0], 3);
		CU_ASSERT_EQUAL(icmp[1], 4);
		CU_ASSERT_EQUAL(rig_sum(0, quoted, 20), 0xffff);
		CU_ASSERT_EQUAL(memcmp(ip + 12, side->gate.bytes + 12, 4), 0);
		CU_ASSERT_EQUAL(memcmp(ip + 16, side->addr.bytes + 12, 4), 0);
		CU_ASSERT_EQUAL(memcmp(quoted + 12, side->addr.bytes + 12, 4), 0);
		CU_ASSERT_EQUAL(memcmp(quoted + 16, side->gate.bytes + 12, 4), 0);
		CU_ASSERT_EQUAL(quoted[9], 6);
	} else {
		CU_ASSERT_EQUAL(get_16(ip + 4), icmp_length);
		CU_ASSERT_EQUAL(rig_sum(rig_sum(58 + icmp_length, ip + 8, 32), icmp, icmp_length), 0xffff);
		CU_ASSERT_EQUAL(icmp[0], 2);
		CU_ASSERT_EQUAL(icmp[1], 0);
		CU_ASSERT_EQUAL(get_16(icmp + 4), 0);
		CU_ASSERT_EQUAL(memcmp(ip + 8, side->gate.bytes, 16), 0);
		CU_ASSERT_EQUAL(memcmp(ip + 24, side->addr.bytes, 16), 0);
		CU_ASSERT_EQUAL(memcmp(quoted + 8, side->addr.bytes, 16), 0);
		CU_ASSERT_EQUAL(memcmp(quoted + 24, side->gate.bytes, 16), 0);
		CU_ASSERT_EQUAL(quoted[6], 6);
	}
	CU_ASSERT_EQUAL(get_16(icmp + 6), mtu);
	CU_ASSERT_EQUAL(get_16(tcp), side->port);
	CU_ASSERT_EQUAL(get_16(tcp + 2), side->gate_port);
	CU_ASSERT_EQUAL(talk_get_32(tcp + 4), seq);
}

static void
test_unreachable_while_dialling(void)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		begin(false, v6);
		CU_ASSERT_TRUE(talk_open(&talk));
		talk_hello(&talk);
		CU_ASSERT_TRUE(talk_hear_syn(&talk));
		/* Of another segment; of another kind. */
		error_arrives(LEG_ENDPOINT, ICMP_UNREACHABLE, 1, 0, endpoint->ack);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ICMP_UNMATCHED], 1);
		error_arrives(LEG_ENDPOINT, ICMP_TIME_EXCEEDED, 0, 0, endpoint->ack - 1);
		error_arrives(LEG_ENDPOINT, ICMP_TOO_BIG, 0, 1300, endpoint->ack - 1);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ICMP_IGNORED], 2);
		CU_ASSERT_TRUE(talk_silent(&talk));
		CU_ASSERT_EQUAL(rig.stats.states[FLOW_CONNECTING], 1);
		error_arrives(LEG_ENDPOINT, ICMP_UNREACHABLE, 1, 0, endpoint->ack - 1);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_CONNECT_UNREACHABLE], 1);
		CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_CLIENT));
		CU_ASSERT_TRUE(rig_is_empty(&rig));
		CU_ASSERT_EQUAL(rig_close(&rig), 0);
	}
}

static void
test_too_big(void)
{
	/* The next hop's MTU beyond a leg; what the other side's peer hears, of its own family; the payload that passes
	 * from then on. */
	static const struct {
		uint16_t mtu;
		bool sender_v6, path_v6;
		uint16_t told, mss;
	} cases[] = {
		{1400, false, false, 1400, 1360}, {1400, true, false, 1420, 1360}, {1400, false, true, 1380, 1340},
		{1400, true, true, 1400, 1340},   {100, false, false, 552, 512},   {0, false, false, 552, 512},
		{600, true, false, 1280, 560},    {1000, false, true, 1260, 1220}, {1000, true, true, 1280, 1220},
	};

	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			bool path_is_client = leg == LEG_CLIENT;
			begin(path_is_client ? cases[i].path_v6 : cases[i].sender_v6,
			      path_is_client ? cases[i].sender_v6 : cases[i].path_v6);
			CU_ASSERT_TRUE(talk_connect(&talk));
			unsigned sender = leg_other(leg);
			talk_say(&talk, leg, TCP_ACK, NULL, 0); /* all so far is acknowledged */
			CU_ASSERT_TRUE(talk_hear_exactly(&talk, sender, TCP_ACK, 0));
			uint32_t seq = talk.side[sender].seq, wire_seq = talk.side[leg].ack;
			talk_say(&talk, sender, TCP_ACK, NULL, 1400);
			while (talk_hear(&talk, leg))
				;
			error_arrives(leg, ICMP_TOO_BIG, 0, cases[i].mtu, wire_seq);
			/* What an endpoint is told counts for all its clients: never less than IPv6's least. */
			bool shared = sender == LEG_ENDPOINT && cases[i].told < 1280;
			hears_too_big(sender, shared ? 1280 : cases[i].told, seq);
			CU_ASSERT_TRUE(talk_silent(&talk));
			CU_ASSERT_EQUAL(talk_flow(&talk)->leg[leg].mss, cases[i].mss);
			/* A sender that doesn't heed it is helped. */
			talk.side[sender].seq = seq;
			talk_say(&talk, sender, TCP_ACK, NULL, 1400);
			CU_ASSERT_TRUE(talk_hear(&talk, leg));
			CU_ASSERT_EQUAL(talk.heard.payload_length, cases[i].mss - 12);
			while (talk_hear(&talk, leg))
				;
			/* Once told, the same news is none. */
			error_arrives(leg, ICMP_TOO_BIG, 0, cases[i].mtu, wire_seq);
			CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ICMP_IGNORED], 1);
			CU_ASSERT_TRUE(talk_silent(&talk));
			cut();
		}
}

static void
test_not_outstanding(void)
{
	begin(false, false);
	CU_ASSERT_TRUE(talk_connect(&talk));
	CU_ASSERT_TRUE(talk_exchange(&talk, 1000));
	talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 1000);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 1000));
	/* Acknowledged already; not sent yet; far away (RFC 5927 section 4.1). */
	static const int32_t offs[] = {-1001, 0, 1, 100000, -0x40000000, 0x40000000};
	for (unsigned i = 0; i < sizeof(offs) / sizeof(offs[0]); i++) {
		error_arrives(LEG_ENDPOINT, ICMP_TOO_BIG, 0, 1300, endpoint->ack + (uint32_t)offs[i]);
		CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ICMP_UNMATCHED], i + 1);
	}
	/* Of what is outstanding, errors that are soft once a connection is established. */
	error_arrives(LEG_ENDPOINT, ICMP_UNREACHABLE, 1, 0, endpoint->ack - 1000);
	error_arrives(LEG_ENDPOINT, ICMP_TIME_EXCEEDED, 0, 0, endpoint->ack - 1);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ICMP_IGNORED], 2);
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_EQUAL(talk_flow(&talk)->leg[LEG_ENDPOINT].mss, 1460);
	/* Larger than what is sent there: it can't have been this path. */
	error_arrives(LEG_ENDPOINT, ICMP_TOO_BIG, 0, 1500, endpoint->ack - 1000);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ICMP_IGNORED], 3);
	CU_ASSERT_TRUE(talk_silent(&talk));
	cut();
}

static void
test_of_no_flow(void)
{
	begin(false, true);
	CU_ASSERT_TRUE(talk_connect(&talk));
	uint16_t port = endpoint->gate_port;
	endpoint->gate_port = 5;
	error_arrives(LEG_ENDPOINT, ICMP_TOO_BIG, 0, 1300, endpoint->ack - 1);
	endpoint->gate_port = port;
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ICMP_UNMATCHED], 1);
	CU_ASSERT_TRUE(talk_silent(&talk));
	cut();
}

/* An error comes to whichever worker; it was looked for in that one's table alone. */
static void
test_at_another_worker(void)
{
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		for (uint16_t i = 0; i < 12; i++) {
			rig_open_workers(&rig, 3, 64, 4096);
			talk_init(&talk, &rig, false, false);
			client->port = (uint16_t)(3000 + i);
			CU_ASSERT_TRUE(talk_connect(&talk));
			talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 1000);
			CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_CLIENT, TCP_ACK, 1000));
			talk_say(&talk, LEG_CLIENT, TCP_ACK, NULL, 1000);
			CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK, 1000));
			unsigned sender = leg_other(leg);
			if (leg == LEG_CLIENT)
				talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 1000);
			CU_ASSERT_EQUAL(talk_hear(&talk, LEG_CLIENT), leg == LEG_CLIENT);
			error_arrives(leg, ICMP_TOO_BIG, 0, 1300, talk.side[leg].ack - 1000);
			hears_too_big(sender, 1300, talk.side[sender].seq - 1000);
			talk.side[leg].gate_port = 443; /* of no flow: counted once, by whoever it would belong to */
			talk.side[leg].port = 1;
			error_arrives(leg, ICMP_TOO_BIG, 0, 1300, 7);
			CU_ASSERT_EQUAL(rig.all_stats[0].reasons[REASON_ICMP_UNMATCHED] +
						rig.all_stats[1].reasons[REASON_ICMP_UNMATCHED] +
						rig.all_stats[2].reasons[REASON_ICMP_UNMATCHED],
					1);
			for (unsigned j = 0; j < 3; j++)
				worker_abort_all(&rig.workers[rig.running = j], REASON_SHUTDOWN);
			rig_settle(&rig);
			rig_advance(&rig, 4016);
			CU_ASSERT_TRUE(rig_is_empty(&rig));
			CU_ASSERT_EQUAL(rig_close(&rig), 0);
		}
}

/* To a bridge's endpoint that isn't there: the session hears of it. */
static void
test_unreachable_to_a_bridge(void)
{
	struct spy spy;

	begin(false, false);
	spy_init(&spy, &rig);
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
	error_arrives(LEG_ENDPOINT, ICMP_UNREACHABLE, 1, 0, endpoint->ack);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ICMP_UNMATCHED], 1);
	error_arrives(LEG_ENDPOINT, ICMP_TIME_EXCEEDED, 0, 0, endpoint->ack - 1);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ICMP_IGNORED], 1);
	CU_ASSERT_EQUAL(spy_told(&spy, LEG_ENDPOINT), 0);
	error_arrives(LEG_ENDPOINT, ICMP_UNREACHABLE, 1, 0, endpoint->ack - 1);
	CU_ASSERT_EQUAL(spy_told(&spy, LEG_ENDPOINT), BRIDGE_CONNECT_FAILED);
	CU_ASSERT_EQUAL(spy.failure, REASON_CONNECT_UNREACHABLE);
	worker_abort_all(&rig.worker, REASON_SHUTDOWN);
	rig_settle(&rig);
	while (talk_hear(&talk, LEG_CLIENT))
		;
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

/* What is too large for the path comes again, smaller; nobody else hears of it. */
static void
test_too_big_for_a_bridge(void)
{
	enum { MTU = 1300, BYTES = 1400 };
	struct spy spy;

	begin(false, false);
	spy_init(&spy, &rig);
	CU_ASSERT_TRUE(talk_open(&talk));
	talk_hello(&talk);
	CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
	talk_answer(&talk);
	while (talk_hear(&talk, LEG_ENDPOINT))
		;
	talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
	while (talk_hear(&talk, LEG_CLIENT))
		;
	uint32_t lost = endpoint->ack;
	talk_say(&talk, LEG_CLIENT, TCP_ACK | TCP_PSH, NULL, BYTES);
	CU_ASSERT_TRUE(talk_hear_exactly(&talk, LEG_ENDPOINT, TCP_ACK | TCP_PSH, BYTES));
	endpoint->ack = lost; /* a router took it */
	error_arrives(LEG_ENDPOINT, ICMP_TOO_BIG, 0, MTU, lost - 1);
	CU_ASSERT_EQUAL(rig.stats.reasons[REASON_ICMP_UNMATCHED], 1);
	error_arrives(LEG_ENDPOINT, ICMP_TOO_BIG, 0, MTU, lost);
	for (unsigned i = 0; i < 10 && endpoint->ack != lost + BYTES; i++) {
		while (talk_hear(&talk, LEG_ENDPOINT))
			CU_ASSERT_TRUE(talk.heard.payload_length + talk.heard.options_length <= MTU - 40);
		talk_say(&talk, LEG_ENDPOINT, TCP_ACK, NULL, 0);
		rig_advance(&rig, 300);
	}
	CU_ASSERT_EQUAL(endpoint->ack, lost + BYTES);
	while (talk_hear(&talk, LEG_CLIENT))
		;
	worker_abort_all(&rig.worker, REASON_SHUTDOWN);
	rig_settle(&rig);
	for (unsigned leg = 0; leg < LEG_COUNT; leg++)
		while (talk_hear(&talk, leg))
			;
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"unreachable while dialling", test_unreachable_while_dialling},
		{"too big", test_too_big},
		{"not outstanding", test_not_outstanding},
		{"of no flow", test_of_no_flow},
		{"at another worker", test_at_another_worker},
		{"unreachable, to a bridge", test_unreachable_to_a_bridge},
		{"too big, for a bridge", test_too_big_for_a_bridge},
		CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("icmp_error", tests) : 1;
}
