/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/decide.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/tcp_options.h"
#include "platform/text.h"
#include "tests/unit/unit.h"

static const char FEDERATION[] =
	"apiVersion: postern.dev/v1alpha1\n"
	"kind: Federation\n"
	"metadata: { name: site }\n"
	"spec: { trustDomain: site.example, clusterID: site }\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: Gateway\n"
	"metadata: { name: east-west }\n"
	"spec:\n"
	"  servers:\n"
	"  - port: { number: 15443, name: tls, protocol: TLS }\n"
	"    tls: { mode: AUTO_PASSTHROUGH }\n"
	"    hosts: [ '*.bank.svc.cluster.local' ]\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: Gateway\n"
	"metadata: { name: edge }\n"
	"spec:\n"
	"  servers:\n"
	"  - port: { number: 443, name: tls, protocol: TLS }\n"
	"    tls: { mode: PASSTHROUGH }\n"
	"    hosts: [ pay.example, '*.pay.example' ]\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: Gateway\n"
	"metadata: { name: any }\n"
	"spec:\n"
	"  servers:\n"
	"  - port: { number: 8443, name: tls, protocol: TLS }\n"
	"    tls: { mode: PASSTHROUGH }\n"
	"    hosts: [ '*' ]\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: VirtualService\n"
	"metadata: { name: edge }\n"
	"spec:\n"
	"  gateways: [ edge ]\n"
	"  hosts: [ pay.example, '*.pay.example' ]\n"
	"  tls:\n"
	"  - match: [ { sniHosts: [ pay.example ] } ]\n"
	"    route:\n"
	"    - destination: { host: payments.bank.svc.cluster.local, port: { number: 8443 } }\n"
	"  - match: [ { sniHosts: [ '*.pay.example' ] } ]\n"
	"    route:\n"
	"    - destination: { host: payments.bank.svc.cluster.local, port: { number: 8443 }, subset: v2 }\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: VirtualService\n"
	"metadata: { name: any }\n"
	"spec:\n"
	"  gateways: [ any ]\n"
	"  hosts: [ '*' ]\n"
	"  tls:\n"
	"  - match: [ { sniHosts: [ '*' ] } ]\n"
	"    route:\n"
	"    - destination: { host: ledger.bank.svc.cluster.local, port: { number: 443 } }\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: ServiceEntry\n"
	"metadata: { name: payments, namespace: bank }\n"
	"spec:\n"
	"  hosts: [ payments.bank.svc.cluster.local ]\n"
	"  location: MESH_INTERNAL\n"
	"  resolution: STATIC\n"
	"  ports:\n"
	"  - { number: 8443, name: tls, protocol: TLS }\n"
	"  - { number: 8080, name: http, protocol: HTTP }\n"
	"  endpoints:\n"
	"  - { address: 10.244.1.7, labels: { version: v1 } }\n"
	"  - { address: 10.244.2.9, labels: { version: v2 } }\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: DestinationRule\n"
	"metadata: { name: payments, namespace: bank }\n"
	"spec:\n"
	"  host: payments.bank.svc.cluster.local\n"
	"  subsets:\n"
	"  - { name: v1, labels: { version: v1 } }\n"
	"  - { name: v2, labels: { version: v2 } }\n"
	"  - { name: v3, labels: { version: v3 } }\n"
	"  trafficPolicy:\n"
	"    loadBalancer: { simple: ROUND_ROBIN }\n"
	"    connectionPool: { tcp: { maxConnections: 5, connectTimeout: 250ms } }\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: ServiceEntry\n"
	"metadata: { name: ledger, namespace: bank }\n"
	"spec:\n"
	"  hosts: [ ledger.bank.svc.cluster.local ]\n"
	"  location: MESH_INTERNAL\n"
	"  resolution: STATIC\n"
	"  ports: [ { number: 443, name: https, protocol: HTTPS } ]\n"
	"  endpoints: [ { address: '2001:db8::7', ports: { https: 9443 } } ]\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: ServiceEntry\n"
	"metadata: { name: secret, namespace: vault }\n"
	"spec:\n"
	"  hosts: [ secret.vault.svc.cluster.local ]\n"
	"  location: MESH_INTERNAL\n"
	"  resolution: STATIC\n"
	"  ports: [ { number: 8443, name: tls, protocol: TLS } ]\n"
	"  endpoints: [ { address: 10.244.3.3 } ]\n";

struct world {
	struct live *live;
	struct decide *decide;
	struct dataplane_hooks hooks;
};

static struct snapshot *
load(struct live *live)
{
	struct snapshot_slots slots = live_snapshot_slots(live);
	struct diagnostics diagnostics = {0};
	struct snapshot *snapshot =
		federation_load_bytes("test.yaml", FEDERATION, sizeof(FEDERATION) - 1, &slots, &diagnostics);
	if (snapshot == NULL) {
		struct text text = {0};
		diagnostics_print(&diagnostics, &text);
		printf("\n%s", text.bytes != NULL ? text.bytes : "");
		text_free(&text);
	}
	diagnostics_free(&diagnostics);
	return snapshot;
}

static void
world_init(struct world *world)
{
	world->live = live_create(2, 1024);
	CU_ASSERT_PTR_NOT_NULL_FATAL(world->live);
	world->decide = decide_create(world->live);
	decide_hooks(world->decide, &world->hooks);
	struct snapshot *snapshot = load(world->live);
	CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
	CU_ASSERT_PTR_NULL(decide_install(world->decide, snapshot, NULL));
	live_commit(world->live, snapshot);
}

static void
world_end(struct world *world)
{
	decide_free(world->decide);
	live_free(world->live);
}

/* A small TLS 1.2 ClientHello; sni NULL: without the extension. */
static uint32_t
hello(const char *sni, uint8_t out[512])
{
	size_t name = sni != NULL ? strlen(sni) : 0, extensions = sni != NULL ? name + 9 : 0;
	size_t body = 2 + 32 + 1 + 4 + 2 + 2 + extensions, n = 0;
	const uint8_t head[] = {
		22, 3, 1, (uint8_t)((body + 4) >> 8), (uint8_t)(body + 4), 1, 0, (uint8_t)(body >> 8), (uint8_t)body,
		3,  3};
	const uint8_t tail[] = {0, 0, 2, 0xc0, 0x2f, 1, 0, (uint8_t)(extensions >> 8), (uint8_t)extensions};

	memset(out, 0, 512);
	memcpy(out, head, sizeof(head));
	n = sizeof(head) + 32;
	memcpy(out + n, tail, sizeof(tail));
	n += sizeof(tail);
	if (sni != NULL) {
		const uint8_t extension[] = {0,
					     0,
					     (uint8_t)((name + 5) >> 8),
					     (uint8_t)(name + 5),
					     (uint8_t)((name + 3) >> 8),
					     (uint8_t)(name + 3),
					     0,
					     (uint8_t)(name >> 8),
					     (uint8_t)name};
		memcpy(out + n, extension, sizeof(extension));
		memcpy(out + n + sizeof(extension), sni, name);
		n += sizeof(extension) + name;
	}
	return (uint32_t)n;
}

struct answer {
	enum decision decision;
	enum reason reason;
	struct dial dial;
	char sni[SNI_TEXT_MAX];
};

static struct answer
ask_bytes(struct world *world, uint16_t port, const uint8_t *bytes, uint32_t length, uint8_t attempt, uint32_t tried0,
	  uint32_t tried1)
{
	struct answer answer = {.reason = REASON_NONE};
	struct decide_input input = {.local_port = port,
				     .client_port = 40000,
				     .bytes = bytes,
				     .length = length,
				     .attempt = attempt,
				     .tried = {tried0, tried1},
				     .random = 12345};

	ip_addr_parse("192.0.2.1", &input.local);
	ip_addr_parse("198.51.100.1", &input.client);
	memset(answer.sni, 'x', sizeof(answer.sni));
	answer.decision =
		world->hooks.decide(world->hooks.context, 1, &input, &answer.dial, &answer.reason, answer.sni);
	return answer;
}

static struct answer
ask(struct world *world, uint16_t port, const char *sni)
{
	uint8_t bytes[512];
	uint32_t length = hello(sni, bytes);
	return ask_bytes(world, port, bytes, length, 0, 0, 0);
}

/* endpoint: "addr:port" where it must go; NULL: refused with the reason. */
static const struct {
	uint16_t port;
	const char *sni, *endpoint;
	enum reason reason;
} DECISIONS[] = {
	{443, "PAY.example", "10.244.1.7:8443", REASON_NONE}, /* the first turn of round robin, see below */
	{443, "a.pay.example", "10.244.2.9:8443", REASON_NONE},
	{443, "a.b.pay.example.", "10.244.2.9:8443", REASON_NONE},
	{443, "pay.example.org", NULL, REASON_SNI_NO_MATCH},
	{443, "outbound_.8443_._.payments.bank.svc.cluster.local", NULL, REASON_SNI_NO_MATCH},
	{443, NULL, NULL, REASON_SNI_MISSING},
	{443, "10.0.0.1", NULL, REASON_SNI_INVALID},
	{443, "pay..example", NULL, REASON_SNI_INVALID},
	{8443, "anything.example", "[2001:db8::7]:9443", REASON_NONE},
	{8443, NULL, "[2001:db8::7]:9443", REASON_NONE}, /* only "*" takes a hello without a name */
	{15443, "Outbound_.8443_.V1_.Payments.bank.svc.cluster.local", "10.244.1.7:8443", REASON_NONE},
	{15443, "outbound_.8443_.v2_.payments.bank.svc.cluster.local", "10.244.2.9:8443", REASON_NONE},
	{15443, "outbound_.443_._.ledger.bank.svc.cluster.local", "[2001:db8::7]:9443", REASON_NONE},
	{15443, NULL, NULL, REASON_SNI_MISSING},
	{15443, "payments.bank.svc.cluster.local", NULL, REASON_SNI_NOT_ISTIO},
	{15443, "inbound_.8443_._.payments.bank.svc.cluster.local", NULL, REASON_SNI_NOT_ISTIO},
	{15443, "outbound_.8443_._.secret.vault.svc.cluster.local", NULL,
	 REASON_SERVICE_UNKNOWN}, /* exists, not admitted */
	{15443, "outbound_.8443_._.nobody.bank.svc.cluster.local", NULL, REASON_SERVICE_UNKNOWN},
	{15443, "outbound_.8080_._.payments.bank.svc.cluster.local", NULL, REASON_SERVICE_PORT}, /* plaintext */
	{15443, "outbound_.9999_._.payments.bank.svc.cluster.local", NULL, REASON_SERVICE_PORT},
	{15443, "outbound_.8443_.v9_.payments.bank.svc.cluster.local", NULL, REASON_SERVICE_SUBSET},
	{15443, "outbound_.8443_.v3_.payments.bank.svc.cluster.local", NULL, REASON_NO_ENDPOINT},
	{8080, "pay.example", NULL, REASON_NO_LISTENER},
};

static void
test_decisions(void)
{
	struct world world;

	world_init(&world);
	for (size_t i = 0; i < sizeof(DECISIONS) / sizeof(DECISIONS[0]); i++) {
		struct answer answer = ask(&world, DECISIONS[i].port, DECISIONS[i].sni);
		char text[IP_ENDPOINT_TEXT_MAX] = "refused";
		if (answer.decision == DECISION_DIAL)
			ip_endpoint_format(&answer.dial.addr, answer.dial.port, text);
		bool either =
			i == 0 && strcmp(text, "10.244.2.9:8443") == 0; /* whose turn is first is the worker's affair */
		if (answer.decision != (DECISIONS[i].endpoint != NULL ? DECISION_DIAL : DECISION_REFUSE) ||
		    (DECISIONS[i].endpoint == NULL ? answer.reason != DECISIONS[i].reason
						   : strcmp(text, DECISIONS[i].endpoint) != 0 && !either)) {
			printf("\n%u %s: %s, %s\n", DECISIONS[i].port, DECISIONS[i].sni, text,
			       reason_text(answer.reason));
			CU_FAIL("decision");
		}
		if (answer.decision == DECISION_DIAL) {
			CU_ASSERT_EQUAL(live_kind(world.live, answer.dial.endpoint), 'e');
			CU_ASSERT_EQUAL(live_kind(world.live, answer.dial.service), 'b');
		}
	}
	CU_PASS("decisions");
	world_end(&world);
}

static void
test_hello(void)
{
	struct world world;
	uint8_t bytes[512];
	uint32_t length = hello("pay.example", bytes);

	world_init(&world);
	for (uint32_t n = 0; n < length; n++)
		CU_ASSERT_EQUAL(ask_bytes(&world, 443, bytes, n, 0, 0, 0).decision, DECISION_MORE);
	struct answer whole = ask_bytes(&world, 443, bytes, length, 0, 0, 0);
	CU_ASSERT_EQUAL(whole.decision, DECISION_DIAL);
	CU_ASSERT_EQUAL(whole.dial.connect_timeout_ms, 250);

	/* What it says of its length is enough: the sender may never get to send the rest. */
	static const uint8_t fits[] = {22, 3, 1, 0x3f, 0xfb, 1, 0, 0x3f, 0xf7},
			     too_large[] = {22, 3, 1, 0x3f, 0xfc, 1, 0, 0x3f, 0xf8};
	CU_ASSERT_EQUAL(ask_bytes(&world, 443, fits, sizeof(fits), 0, 0, 0).decision, DECISION_MORE);
	CU_ASSERT_EQUAL(ask_bytes(&world, 443, too_large, sizeof(too_large) - 1, 0, 0, 0).decision, DECISION_MORE);
	struct answer answer = ask_bytes(&world, 443, too_large, sizeof(too_large), 0, 0, 0);
	CU_ASSERT_EQUAL(answer.decision, DECISION_REFUSE);
	CU_ASSERT_EQUAL(answer.reason, REASON_HELLO_TOO_LARGE);

	answer = ask_bytes(&world, 443, (const uint8_t *)"GET /", 5, 0, 0, 0);
	CU_ASSERT_EQUAL(answer.decision, DECISION_REFUSE);
	CU_ASSERT_EQUAL(answer.reason, REASON_HELLO_NOT_TLS);
	CU_ASSERT_STRING_EQUAL(answer.sni, "");
	bytes[5] = 2;
	answer = ask_bytes(&world, 443, bytes, length, 0, 0, 0);
	CU_ASSERT_EQUAL(answer.decision, DECISION_REFUSE);
	CU_ASSERT_EQUAL(answer.reason, REASON_HELLO_MALFORMED);
	CU_ASSERT_STRING_EQUAL(ask(&world, 443, "Nobody.example").sni, "nobody.example");
	world_end(&world);
}

static void
test_retry(void)
{
	struct world world;
	uint8_t bytes[512];
	uint32_t length = hello("pay.example", bytes);

	world_init(&world);
	struct answer first = ask_bytes(&world, 443, bytes, length, 0, 0, 0);
	struct answer second = ask_bytes(&world, 443, bytes, length, 1, first.dial.endpoint, 0);
	CU_ASSERT_EQUAL(second.decision, DECISION_DIAL);
	CU_ASSERT_NOT_EQUAL(second.dial.endpoint, first.dial.endpoint);
	struct answer third = ask_bytes(&world, 443, bytes, length, 2, second.dial.endpoint, first.dial.endpoint);
	CU_ASSERT_EQUAL(third.decision, DECISION_REFUSE);
	CU_ASSERT_EQUAL(third.reason, REASON_NO_ENDPOINT);
	world_end(&world);
}

/* The limit counts over all workers, for one backend; a retry was let in before. */
static void
test_max_connections(void)
{
	struct world world;
	uint8_t bytes[512];
	uint32_t length = hello("pay.example", bytes);

	world_init(&world);
	struct answer answer = ask(&world, 443, "pay.example");
	CU_ASSERT_EQUAL_FATAL(answer.decision, DECISION_DIAL);
	live_counters(world.live, 0)[answer.dial.service].active = 2;
	live_counters(world.live, 1)[answer.dial.service].active = 2;
	CU_ASSERT_EQUAL(ask(&world, 443, "pay.example").decision, DECISION_DIAL);
	live_counters(world.live, 1)[answer.dial.service].active = 3;
	struct answer refused = ask(&world, 443, "pay.example");
	CU_ASSERT_EQUAL(refused.decision, DECISION_REFUSE);
	CU_ASSERT_EQUAL(refused.reason, REASON_MAX_CONNECTIONS);
	CU_ASSERT_EQUAL(ask(&world, 443, "a.pay.example").decision, DECISION_DIAL);
	CU_ASSERT_EQUAL(ask_bytes(&world, 443, bytes, length, 1, answer.dial.endpoint, 0).decision, DECISION_DIAL);
	world_end(&world);
}

static bool
offer(struct world *world, uint16_t port, struct listener_offer *offered)
{
	struct ip_addr local;
	ip_addr_parse("192.0.2.1", &local);
	return world->hooks.listener(world->hooks.context, &local, port, offered);
}

static void
learn(struct world *world, uint16_t port, const char *sni, struct tcp_profile profile)
{
	struct answer answer = ask(world, port, sni);
	CU_ASSERT_EQUAL_FATAL(answer.decision, DECISION_DIAL);
	profile.asked_sack = true;
	profile.asked_timestamps = true;
	world->hooks.learned(world->hooks.context, 0, answer.dial.endpoint, &profile);
	decide_refresh_offers(world->decide);
}

static void
check_offer(struct world *world, uint16_t port, uint16_t mss, bool sack, bool timestamps)
{
	struct listener_offer offered;

	CU_ASSERT_TRUE_FATAL(offer(world, port, &offered));
	CU_ASSERT_EQUAL(offered.mss, mss);
	CU_ASSERT_EQUAL(offered.sack, sack);
	CU_ASSERT_EQUAL(offered.timestamps, timestamps);
	CU_ASSERT_EQUAL(live_kind(world->live, offered.live), 'l');
}

/* 443 has the two endpoints of payments behind it, 8443 the one of ledger, 15443 all three. */
static void
test_offers(void)
{
	static const char V1[] = "outbound_.8443_.v1_.payments.bank.svc.cluster.local";
	static const char V2[] = "outbound_.8443_.v2_.payments.bank.svc.cluster.local";
	struct world world;
	struct listener_offer offered;

	world_init(&world);
	CU_ASSERT_FALSE(offer(&world, 8080, &offered));
	check_offer(&world, 443, 0, true, false);
	check_offer(&world, 15443, 0, true, false);

	learn(&world, 15443, V1, (struct tcp_profile){.mss = 1460, .wscale = 10, .sack = true, .timestamps = true});
	check_offer(&world, 443, 1460, true, false);   /* the other one isn't known */
	check_offer(&world, 15443, 1440, true, false); /* nor is one of IPv6 */
	check_offer(&world, 8443, 0, true, false);

	learn(&world, 15443, V2,
	      (struct tcp_profile){.mss = 1400, .wscale = TCP_WSCALE_NONE, .sack = true, .timestamps = true});
	check_offer(&world, 443, 1400, true, true);
	check_offer(&world, 15443, 1380, true, false);

	learn(&world, 8443, NULL, (struct tcp_profile){.mss = 1220, .wscale = 7, .sack = true, .timestamps = true});
	check_offer(&world, 8443, 1220, true, true);
	check_offer(&world, 15443, 1220, true, true);

	learn(&world, 15443, V2, (struct tcp_profile){.mss = 1400, .wscale = 7, .sack = false, .timestamps = false});
	check_offer(&world, 443, 1400, false, false);
	check_offer(&world, 8443, 1220, true, true);
	world_end(&world);
}

/* A reload changes nothing that was learned, and gives the old view back. */
static void
test_install(void)
{
	struct world world;

	world_init(&world);
	struct answer before = ask(&world, 443, "a.pay.example");
	learn(&world, 8443, NULL, (struct tcp_profile){.mss = 1220, .sack = true, .timestamps = true});
	struct snapshot *snapshot = load(world.live);
	CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
	struct decide_view *old = decide_install(world.decide, snapshot, NULL);
	CU_ASSERT_PTR_NOT_NULL(old);
	decide_view_free(old);
	live_commit(world.live, snapshot);
	CU_ASSERT_PTR_EQUAL(decide_snapshot(world.decide), snapshot);
	check_offer(&world, 8443, 1220, true, true);
	CU_ASSERT_EQUAL(ask(&world, 443, "a.pay.example").dial.endpoint, before.dial.endpoint);
	world_end(&world);
}

static void
test_without_snapshot(void)
{
	struct world world = {.live = live_create(2, 16)};
	struct listener_offer offered;

	CU_ASSERT_PTR_NOT_NULL_FATAL(world.live);
	world.decide = decide_create(world.live);
	decide_hooks(world.decide, &world.hooks);
	decide_refresh_offers(world.decide);
	CU_ASSERT_PTR_NULL(decide_snapshot(world.decide));
	CU_ASSERT_FALSE(offer(&world, 443, &offered));
	CU_ASSERT_EQUAL(ask(&world, 443, "pay.example").reason, REASON_NO_LISTENER);
	world_end(&world);
}

static void
test_drain(void)
{
	struct world world;
	struct listener_offer offered;

	world_init(&world);
	CU_ASSERT_TRUE(offer(&world, 443, &offered));
	CU_ASSERT_FALSE(offered.draining);
	decide_drain(world.decide, true);
	CU_ASSERT_TRUE(offer(&world, 443, &offered));
	CU_ASSERT_TRUE(offered.draining);
	CU_ASSERT_EQUAL(ask(&world, 443, "pay.example").decision, DECISION_DIAL); /* it was let in before */
	decide_drain(world.decide, false);
	CU_ASSERT_TRUE(offer(&world, 443, &offered));
	CU_ASSERT_FALSE(offered.draining);
	world_end(&world);
}

/* Behind a listener for TCP nothing is read: one route for all, without bytes or with any. */
static void
test_plain(void)
{
	struct world world;
	struct listener_offer offered;
	struct ip_addr local;
	struct answer answer;

	world_init(&world);
	ip_addr_parse("192.0.2.1", &local);
	CU_ASSERT_TRUE(offer(&world, 8443, &offered));
	CU_ASSERT_FALSE(offered.plain);
	CU_ASSERT_EQUAL(ask_bytes(&world, 8443, NULL, 0, 0, 0, 0).decision, DECISION_MORE);
	struct listener *listener = (struct listener *)snapshot_listener(decide_snapshot(world.decide), &local, 8443);
	listener->mode = LISTENER_TCP;
	CU_ASSERT_TRUE(offer(&world, 8443, &offered));
	CU_ASSERT_TRUE(offered.plain);
	for (uint32_t length = 0; length < 20; length += 10) {
		answer = ask_bytes(&world, 8443, (const uint8_t *)"SSH-2.0-anything", length, 0, 0, 0);
		CU_ASSERT_EQUAL(answer.decision, DECISION_DIAL);
		CU_ASSERT_EQUAL(answer.dial.port, 9443);
		CU_ASSERT_STRING_EQUAL(answer.sni, "");
	}
	answer = ask_bytes(&world, 8443, NULL, 0, 1, answer.dial.endpoint, 0);
	CU_ASSERT_EQUAL(answer.reason, REASON_NO_ENDPOINT);
	world_end(&world);
}

static const CU_TestInfo tests[] = {
	{"decisions", test_decisions},
	{"hellos", test_hello},
	{"retry", test_retry},
	{"maxConnections", test_max_connections},
	{"offers", test_offers},
	{"install", test_install},
	{"without a snapshot", test_without_snapshot},
	{"drain", test_drain},
	{"plain", test_plain},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("decide", tests);
}
