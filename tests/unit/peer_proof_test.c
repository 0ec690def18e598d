/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer's certificates prove under each demand: by the hooks that TLS calls, without TLS. */
#include "gateway/peer_proof.h"

#include <openssl/err.h>
#include <time.h>

#include "certs/bundle.h"
#include "certs/ca_folder.h"
#include "gateway/peer_register.h"
#include "gateway/tls_session.h"
#include "platform/text.h"
#include "tests/unit/test_files.h"
#include "tests/unit/unit.h"

static struct test_ca corp, here;
static struct trust_slot slot = TRUST_SLOT_INITIALIZER;
static struct peer_proof_context context;
static struct tls_hooks hooks;
static void *thread;

/* A trust of the PKI corp and the domain here.example, in force; without corp when it is left out. */
static void
publish(uint64_t generation, bool with_corp)
{
	struct trust *trust = trust_new(generation);
	struct bundle *bundle;
	char *pem = test_pem(&here.cert, 1);

	TEST_NEED(bundle_parse_pem(pem, strlen(pem), &bundle) == CERT_NONE);
	TEST_NEED(trust_add_domain(trust, "here.example", 12, bundle) == CERT_NONE);
	bundle_drop(bundle);
	free(pem);
	if (with_corp) {
		pem = test_pem(&corp.cert, 1);
		TEST_NEED(bundle_parse_pem(pem, strlen(pem), &bundle) == CERT_NONE);
		TEST_NEED(trust_add_pki(trust, "corp", bundle, NULL, TRUST_REVOCATION_OFF) == CERT_NONE);
		bundle_drop(bundle);
		free(pem);
	}
	trust_seal(trust);
	trust_slot_publish(&slot, trust);
}

static void
begin(void)
{
	corp = test_root("corp");
	here = test_root("here");
	publish(1, true);
	context = (struct peer_proof_context){&slot, peer_register_new()};
	peer_proof_hooks(&context, &hooks);
	thread = hooks.thread_open(&context, NULL);
}

static void
finish(void)
{
	hooks.thread_close(thread);
	CU_ASSERT_EQUAL(peer_register_count(context.peers), 0);
	peer_register_free(context.peers);
	trust_slot_publish(&slot, NULL);
	test_free(&corp);
	test_free(&here);
	CU_ASSERT_EQUAL(ERR_peek_error(), 0);
}

/* What comes of a chain of one certificate under the proof's demand. */
static enum reason
present(struct peer_proof *proof, X509 *cert, int64_t now)
{
	struct tls_session session = {.owner = proof};
	STACK_OF(X509) *chain = TEST_CHAIN(cert);
	enum reason reason = hooks.verify(thread, &session, chain, now);

	sk_X509_free(chain);
	return reason;
}

struct server_case {
	const char *id, *space, *account;
	enum cert_error expected;
};

/* Who is the workload that a service runs as. */
static void
test_accounts(void)
{
	static const struct server_case cases[] = {
		{"spiffe://here.example/ns/bank/sa/till", "bank", "till", CERT_NONE},
		{"spiffe://here.example/ns/bank/sa/till", "bank", "", CERT_NONE},
		{"spiffe://here.example/ns/bank/sa/tills", "bank", "till", CERT_SERVER_UNEXPECTED},
		{"spiffe://here.example/ns/bank/sa/til", "bank", "till", CERT_SERVER_UNEXPECTED},
		{"spiffe://here.example/ns/bank2/sa/till", "bank", "till", CERT_SERVER_UNEXPECTED},
		{"spiffe://here.example/ns/ban/sa/till", "bank", "till", CERT_SERVER_UNEXPECTED},
		{"spiffe://here.example/ns/bank/sa/till/x", "bank", "till", CERT_SERVER_UNEXPECTED},
		{"spiffe://here.example/ns/bank/sa/till/x", "bank", "", CERT_SERVER_UNEXPECTED},
		{"spiffe://here.example/x/ns/bank/sa/till", "bank", "till", CERT_SERVER_UNEXPECTED},
		{"spiffe://here.example/ns/bank", "bank", "", CERT_SERVER_UNEXPECTED},
		{"spiffe://here.example/NS/bank/sa/till", "bank", "till", CERT_SERVER_UNEXPECTED},
		{"spiffe://here.example/ns/bank/SA/till", "bank", "till", CERT_SERVER_UNEXPECTED},
		{"spiffe://here.example/n", "bank", "", CERT_SERVER_UNEXPECTED},
	};
	begin();
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct test_ca leaf = test_leaf(&here, TEST_URI, cases[i].id);
		struct peer_proof proof = {
			.demand = peer_demand_new(&(struct peer_demand_source){.role = PEER_SERVER,
									       .domain = "here.example",
									       .space = cases[i].space,
									       .account = cases[i].account})};
		present(&proof, leaf.cert, TEST_NOW);
		if (proof.error != cases[i].expected)
			fprintf(stderr, "%s: %s\n", cases[i].id, cert_error_text(proof.error));
		CU_ASSERT_EQUAL(proof.error, cases[i].expected);
		CU_ASSERT_EQUAL(proof.identity != NULL, cases[i].expected == CERT_NONE);
		peer_proof_close(&proof, context.peers);
		test_free(&leaf);
	}
	/* The same account in another domain. */
	struct test_ca leaf = test_leaf(&here, TEST_URI, "spiffe://here.example/ns/bank/sa/till");
	struct peer_proof proof = {.demand = peer_demand_new(&(struct peer_demand_source){
					   .role = PEER_SERVER, .domain = "here.example.org", .space = "bank"})};
	CU_ASSERT_EQUAL(present(&proof, leaf.cert, TEST_NOW), REASON_TLS_PEER_IDENTITY);
	peer_proof_close(&proof, context.peers);
	test_free(&leaf);
	finish();
}

/* Names that are expected: of clients, of servers with SPIFFE IDs, of servers with host names. */
static void
test_names(void)
{
	static const char id[] = "spiffe://here.example/w", dns[] = "web.corp.example";
	const char *right[] = {"spiffe://here.example/v", id}, *wrong[] = {"spiffe://here.example/w2"}, *host[] = {dns},
		   *others[] = {"eb.corp.example"};
	begin();
	struct test_ca svid = test_leaf(&here, TEST_URI, id), legacy = test_leaf(&corp, TEST_DNS, dns);
	const struct {
		struct peer_demand_source source;
		X509 *cert;
		enum cert_error expected;
	} cases[] = {
		{{.role = PEER_SERVER, .names = right, .n_names = 2}, svid.cert, CERT_NONE},
		{{.role = PEER_SERVER, .names = wrong, .n_names = 1}, svid.cert, CERT_SERVER_UNEXPECTED},
		{{.role = PEER_CLIENT, .names = right, .n_names = 2}, svid.cert, CERT_NONE},
		{{.role = PEER_CLIENT, .names = wrong, .n_names = 1}, svid.cert, CERT_SERVER_NAME},
		{{.role = PEER_CLIENT}, svid.cert, CERT_NONE},
		{{.role = PEER_CLIENT}, legacy.cert, CERT_SVID_NO_URI},
		{{PEER_ANCHORS_PKI, PEER_SERVER, "corp", host, 1, .domain = NULL}, legacy.cert, CERT_NONE},
		{{PEER_ANCHORS_PKI, PEER_SERVER, "corp", others, 1, .domain = NULL}, legacy.cert, CERT_SERVER_NAME},
		{{PEER_ANCHORS_PKI, PEER_SERVER, "corp", NULL, 0, .domain = NULL},
		 legacy.cert,
		 CERT_SERVER_NOTHING_EXPECTED},
		{{PEER_ANCHORS_PKI, PEER_CLIENT, "corp", host, 1, .domain = NULL}, legacy.cert, CERT_NONE},
		{{PEER_ANCHORS_PKI, PEER_CLIENT, "corp", others, 1, .domain = NULL}, legacy.cert, CERT_SERVER_NAME},
		{{PEER_ANCHORS_PKI, PEER_CLIENT, "other", NULL, 0, .domain = NULL}, legacy.cert, CERT_PKI_UNKNOWN},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct peer_proof proof = {.demand = peer_demand_new(&cases[i].source)};
		enum reason reason = present(&proof, cases[i].cert, TEST_NOW);
		if (proof.error != cases[i].expected)
			fprintf(stderr, "case %u: %s\n", i, cert_error_text(proof.error));
		CU_ASSERT_EQUAL(proof.error, cases[i].expected);
		CU_ASSERT_EQUAL(reason, peer_proof_reason(cases[i].expected));
		peer_proof_close(&proof, context.peers);
	}
	test_free(&svid);
	test_free(&legacy);
	finish();
}

static struct peer_book *
book_of(const struct identity_rule *rule)
{
	struct peer_book *book = calloc(1, sizeof(*book));
	struct identity_rule *rules = calloc(1, sizeof(*rules));

	TEST_NEED(book != NULL && rules != NULL);
	*rules = *rule;
	*book = (struct peer_book){1, {rules, 1}, rules};
	return book;
}

static const struct identity_rule rule = {.legacy_pki = "corp",
					  .dns = "*.meters.corp.example",
					  .spiffe_id = "spiffe://ids.example/meter/{dns.label}",
					  .trust_domain = "ids.example"};

/* A legacy client is who the map says, and nobody without it; what can be issued for it is. */
static void
test_mapping(void)
{
	static const char *const owned[] = {"here.example", "ids.example", NULL}, *const unowned[] = {"here.example",
												      NULL};
	begin();
	const char *root = test_folder();
	char path[128];
	struct text message = {0};
	unsigned n;
	for (unsigned i = 0; i < 2; i++) {
		const struct ca_spec spec = {.trust_domain = owned[i], .key = CREDENTIAL_EC_P256, .days = 30};
		snprintf(path, sizeof(path), "%s/%s", root, owned[i]);
		TEST_NEED(ca_folder_add(NULL, path, &spec, TEST_NOW - 2 * TEST_HOUR, &n, &message));
	}
	struct issuer *issuer = issuer_open(
		&(struct issuer_config){.root = root, .trust_domains = owned, .n_trust_domains = 2}, &message);
	TEST_NEED(issuer != NULL);
	struct test_ca meter = test_leaf(&corp, TEST_DNS, "7.meters.corp.example");
	struct test_ca guest = test_leaf(&corp, TEST_DNS, "guest.corp.example");
	struct peer_book *book = book_of(&rule);

	for (unsigned i = 0; i < 3; i++) {
		struct peer_demand_source source = {.anchors = PEER_ANCHORS_PKI,
						    .role = PEER_CLIENT,
						    .pki = "corp",
						    .book = book,
						    .issuer = i == 0 ? NULL : issuer,
						    .owns = i == 1 ? unowned : owned};
		struct peer_proof proof = {.demand = peer_demand_new(&source)};
		CU_ASSERT_EQUAL(present(&proof, guest.cert, TEST_NOW), REASON_TLS_PEER_IDENTITY);
		CU_ASSERT_EQUAL(proof.error, CERT_MAP_NO_RULE);
		CU_ASSERT_PTR_NULL(proof.identity);
		CU_ASSERT_PTR_NULL(proof.record);
		/* The same proof again: nothing is left of the one before. */
		CU_ASSERT_EQUAL(present(&proof, meter.cert, TEST_NOW), REASON_NONE);
		CU_ASSERT_STRING_EQUAL(proof.identity->id.text, "spiffe://ids.example/meter/7");
		CU_ASSERT_EQUAL(proof.record->identity->id.length, 0);
		CU_ASSERT_PTR_EQUAL(proof.record->mapped, proof.identity);
		CU_ASSERT_EQUAL(proof.terms != NULL, i == 2);
		peer_proof_close(&proof, context.peers);
	}
	peer_book_drop(book);
	test_free(&meter);
	test_free(&guest);
	issuer_close(issuer);
	text_free(&message);
	test_folder_remove(root);
	finish();
}

/* A ticket's peer is verified again: by its certificates, and by what is in force then. */
static void
test_resumption(void)
{
	begin();
	struct test_ca meter = test_leaf(&corp, TEST_DNS, "7.meters.corp.example");
	struct peer_book *book = book_of(&rule);
	const struct peer_demand_source source = {
		.anchors = PEER_ANCHORS_PKI, .role = PEER_CLIENT, .pki = "corp", .book = book};
	struct peer_proof proof = {.demand = peer_demand_new(&source)}, next = {.demand = peer_demand_new(&source)};
	struct tls_session first = {.owner = &proof}, second = {.owner = &next};
	uint8_t saved[4096];

	CU_ASSERT_EQUAL_FATAL(present(&proof, meter.cert, TEST_NOW), REASON_NONE);
	size_t length = hooks.save(&first, saved, sizeof(saved));
	CU_ASSERT_TRUE_FATAL(length > 4 && length <= sizeof(saved));
	CU_ASSERT_EQUAL(hooks.save(&first, saved, length), length);
	CU_ASSERT_TRUE(hooks.save(&first, saved, length - 1) > length - 1); /* no room is told */

	CU_ASSERT_TRUE(hooks.restore(thread, &second, saved, length, TEST_NOW));
	CU_ASSERT_STRING_EQUAL(next.identity->id.text, "spiffe://ids.example/meter/7");
	CU_ASSERT_PTR_EQUAL(next.record, proof.record);

	/* Nothing that isn't a list of certificates, whole, proves anything. */
	CU_ASSERT_FALSE(hooks.restore(thread, &second, saved, 0, TEST_NOW));
	for (size_t cut = 1; cut < length; cut += cut < 8 ? 1 : 97)
		CU_ASSERT_FALSE(hooks.restore(thread, &second, saved, cut, TEST_NOW));
	saved[length] = 0;
	CU_ASSERT_FALSE(hooks.restore(thread, &second, saved, length + 1, TEST_NOW));
	saved[20] ^= 1;
	CU_ASSERT_FALSE(hooks.restore(thread, &second, saved, length, TEST_NOW));
	saved[20] ^= 1;
	memset(saved + length, 0xff, 8);
	CU_ASSERT_FALSE(hooks.restore(thread, &second, saved + length, 8, TEST_NOW));
	peer_proof_forget(&next, context.peers);
	CU_ASSERT_PTR_NULL(next.identity);

	/* Expired since; or its PKI is gone. */
	CU_ASSERT_FALSE(hooks.restore(thread, &second, saved, length, TEST_NOW + 2 * TEST_DAY));
	CU_ASSERT_TRUE(hooks.restore(thread, &second, saved, length, TEST_NOW));
	publish(2, false);
	CU_ASSERT_FALSE(hooks.restore(thread, &second, saved, length, TEST_NOW));
	CU_ASSERT_EQUAL(next.error, CERT_PKI_UNKNOWN);
	CU_ASSERT_EQUAL(hooks.generation(thread), 2);

	peer_proof_close(&proof, context.peers);
	peer_proof_close(&next, context.peers);
	peer_book_drop(book);
	test_free(&meter);
	finish();
}

/* What may be resumed: the same policy for the same demand, another for each that differs. */
static void
test_policy(void)
{
	const char *one[] = {"a"}, *two[] = {"a", "b"};
	const struct peer_demand_source sources[] = {
		{.role = PEER_SERVER, .domain = "d", .space = "s", .account = "a"},
		{.role = PEER_CLIENT, .domain = "d", .space = "s", .account = "a"},
		{.role = PEER_SERVER, .domain = "d", .space = "sa"},
		{.role = PEER_SERVER, .domain = "ds", .space = "", .account = "a"},
		{.role = PEER_SERVER, .names = one, .n_names = 1},
		{.role = PEER_SERVER, .names = two, .n_names = 2},
		{.anchors = PEER_ANCHORS_PKI, .role = PEER_SERVER, .names = one, .n_names = 1, .pki = "p"},
		{.anchors = PEER_ANCHORS_PKI, .role = PEER_SERVER, .names = one, .n_names = 1, .pki = "q"},
	};
	enum { N = sizeof(sources) / sizeof(sources[0]) };

	for (unsigned i = 0; i < N; i++)
		for (unsigned k = 0; k < N; k++) {
			struct peer_demand *a = peer_demand_new(&sources[i]), *b = peer_demand_new(&sources[k]);
			CU_ASSERT_EQUAL(strcmp(a->policy.bytes, b->policy.bytes) == 0, i == k);
			peer_demand_drop(a);
			peer_demand_drop(b);
		}
}

/* Each error has a reason of the right kind, whichever it is. */
static void
test_reasons(void)
{
	CU_ASSERT_EQUAL(peer_proof_reason(CERT_NONE), REASON_NONE);
	for (unsigned i = 1; i < CERT_ERROR_COUNT; i++)
		CU_ASSERT_EQUAL(reason_class(peer_proof_reason((enum cert_error)i)), REASON_REFUSAL);
	CU_ASSERT_EQUAL(peer_proof_reason(CERT_CRL_EXPIRED), REASON_TLS_PEER_REVOKED);
	CU_ASSERT_EQUAL(peer_proof_reason(CERT_CA_EXPIRED), REASON_TLS_PEER_EXPIRED);
	CU_ASSERT_EQUAL(peer_proof_reason(CERT_DOMAIN_UNKNOWN), REASON_TLS_PEER_UNTRUSTED);
	CU_ASSERT_EQUAL(peer_proof_reason(CERT_SVID_TWO_URIS), REASON_TLS_PEER_MALFORMED);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"the workload that a service runs as", test_accounts},
		{"names that are expected", test_names},
		{"a legacy client is who the map says", test_mapping},
		{"a ticket's peer is verified again", test_resumption},
		{"what may be resumed", test_policy},
		{"a reason for each error", test_reasons},
		CU_TEST_INFO_NULL,
	};
	return unit_run("peer_proof", tests);
}
