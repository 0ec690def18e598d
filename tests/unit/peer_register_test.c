/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that are connected, and what becomes of them when trust or map change: before, while and after they are
 * entered. */
#include "gateway/peer_register.h"

#include "certs/verify.h"
#include "tests/unit/test_jwks.h"
#include "tests/unit/unit.h"

static struct test_ca corp, other, leaf;
static struct peer_register *peers;
static struct trust_view *view;

/* The view shows a trust in which the PKI corp has this root. */
static void
trust_now(uint64_t generation, const struct test_ca *root)
{
	struct trust *trust = trust_new(generation);
	struct bundle *bundle = test_bundle((X509 *const *)&root->cert, 1);

	TEST_NEED(trust_add_pki(trust, "corp", bundle, NULL, TRUST_REVOCATION_OFF) == CERT_NONE);
	trust_seal(trust);
	trust_view_set(view, trust);
	trust_drop(trust);
	bundle_drop(bundle);
}

static struct peer_book *
book_of(uint64_t generation, struct identity_rule *rules, uint32_t n)
{
	struct peer_book *book = calloc(1, sizeof(*book));

	*book = (struct peer_book){1, generation, {rules, n}, NULL};
	return book;
}

static struct peer_demand *
demand_of(struct peer_book *book)
{
	return peer_demand_new(&(struct peer_demand_source){
		.anchors = PEER_ANCHORS_PKI, .role = PEER_CLIENT, .pki = "corp", .book = book});
}

/* Verified by what the view shows. */
static struct peer_identity *
proved(void)
{
	struct peer_identity *identity;
	STACK_OF(X509) *chain = test_chain((X509 *[]){leaf.cert, NULL});

	TEST_NEED(verify_legacy(view, "corp", chain, TEST_NOW, &identity) == CERT_NONE);
	sk_X509_free(chain);
	return identity;
}

static void
begin(void)
{
	peers = peer_register_new();
	view = trust_view_new(NULL);
	trust_now(1, &corp);
}

static void
end(void)
{
	CU_ASSERT_EQUAL(peer_register_count(peers), 0);
	trust_view_free(view);
	peer_register_free(peers);
}

static void
test_root_goes(void)
{
	begin();
	struct peer_demand *demand = demand_of(NULL);
	struct peer_identity *identity = proved();
	struct peer_record *record = peer_register_enter(peers, identity, demand, NULL);

	CU_ASSERT_PTR_EQUAL(peer_register_enter(peers, identity, demand, NULL), record);
	CU_ASSERT_EQUAL(peer_register_check(peers, view, NULL, TEST_NOW), 0);
	trust_now(2, &other);
	CU_ASSERT_EQUAL(peer_register_check(peers, view, NULL, TEST_NOW), 1);
	CU_ASSERT_EQUAL(record->verdict, CERT_CHAIN_UNTRUSTED);
	peer_register_leave(peers, record);
	peer_register_leave(peers, record);
	peer_identity_drop(identity);
	peer_demand_drop(demand);
	end();
}

/* A handshake thread still verified by the trust of before, and is late with what came of it. */
static void
test_entered_late(void)
{
	begin();
	struct peer_demand *demand = demand_of(NULL);
	struct peer_identity *identity = proved();

	trust_now(2, &other);
	CU_ASSERT_EQUAL(peer_register_check(peers, view, NULL, TEST_NOW), 0);
	struct peer_record *record = peer_register_enter(peers, identity, demand, NULL);
	CU_ASSERT_EQUAL(record->verdict, CERT_NONE);
	CU_ASSERT_EQUAL(peer_register_check(peers, view, NULL, TEST_NOW), 1);
	CU_ASSERT_EQUAL(record->verdict, CERT_CHAIN_UNTRUSTED);
	/* Once is enough. */
	CU_ASSERT_EQUAL(peer_register_check(peers, view, NULL, TEST_NOW), 0);
	peer_register_leave(peers, record);
	peer_identity_drop(identity);
	peer_demand_drop(demand);
	end();
}

/* The same with a map: the handshake began before the mapping went, and was verified after. */
static void
test_mapped_late(void)
{
	static const char ID[] = "spiffe://ids.example/vm";
	struct identity_rule rule = {
		.legacy_pki = "corp", .dns = "vm.corp.example", .spiffe_id = ID, .trust_domain = "ids.example"};
	struct spiffe_id id;

	begin();
	TEST_NEED(spiffe_id_parse(ID, sizeof(ID) - 1, &id) == CERT_NONE);
	struct peer_book *before = book_of(1, &rule, 1), *after = book_of(2, NULL, 0);
	struct peer_demand *demand = demand_of(before), *young = demand_of(after);
	trust_now(2, &corp);
	CU_ASSERT_EQUAL(peer_register_check(peers, view, after, TEST_NOW), 0);
	struct peer_identity *identity = proved();
	struct peer_record *record = peer_register_enter(peers, identity, demand, &id);
	struct peer_record *unmapped = peer_register_enter(peers, identity, young, NULL);
	CU_ASSERT_EQUAL(peer_register_check(peers, view, after, TEST_NOW), 1);
	CU_ASSERT_EQUAL(record->verdict, CERT_MAP_NO_RULE);
	CU_ASSERT_EQUAL(unmapped->verdict, CERT_NONE);
	peer_register_leave(peers, record);
	peer_register_leave(peers, unmapped);
	peer_identity_drop(identity);
	peer_demand_drop(demand);
	peer_demand_drop(young);
	peer_book_drop(before);
	peer_book_drop(after);
	end();
}

int
main(void)
{
	static const CU_TestInfo TESTS[] = {
		{"a root goes", test_root_goes},
		{"entered late", test_entered_late},
		{"mapped late", test_mapped_late},
		CU_TEST_INFO_NULL,
	};

	corp = test_root("corp");
	other = test_root("other");
	leaf = test_leaf(&corp, TEST_DNS, "vm.corp.example");
	int failed = unit_run("peer_register", TESTS);
	test_free(&corp);
	test_free(&other);
	test_free(&leaf);
	return failed;
}
