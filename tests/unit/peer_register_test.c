/* SPDX-License-Identifier: Apache-2.0 */
/* Who is connected, and what becomes of them when the trust changes. */
#include "gateway/peer_register.h"

#include <openssl/err.h>
#include <pthread.h>

#include "certs/bundle.h"
#include "certs/crl.h"
#include "certs/verify.h"
#include "tests/unit/test_files.h"
#include "tests/unit/unit.h"

static struct test_ca corp, billing, guest;

static void
begin(void)
{
	corp = test_make(
		&(struct test_spec){.cn = "corp", .constraints = TEST_CA, .from = -TEST_HOUR, .until = 60 * TEST_DAY});
	billing = test_leaf(&corp, TEST_DNS, "billing.corp.example");
	guest = test_leaf(&corp, TEST_DNS, "guest.corp.example");
}

static void
finish(struct peer_register *peers)
{
	CU_ASSERT_EQUAL(peer_register_count(peers), 0);
	peer_register_free(peers);
	test_free(&billing);
	test_free(&guest);
	test_free(&corp);
	CU_ASSERT_EQUAL(ERR_peek_error(), 0);
}

/* A view of a trust with corp in it, which revoked a certificate, or none. */
static struct trust_view *
view_of(X509 *revoked, uint64_t generation)
{
	struct trust_view *view = trust_view_new(NULL);
	struct trust *trust = trust_new(generation);
	struct bundle *anchors;
	struct crl_list *crls;
	size_t length;
	char *pem = test_pem(&corp.cert, 1);
	unsigned char *der =
		test_crl(&corp, &revoked, revoked != NULL, -TEST_HOUR, 30 * TEST_DAY, EVP_sha256(), &length);

	TEST_NEED(bundle_parse_pem(pem, strlen(pem), &anchors) == CERT_NONE);
	TEST_NEED(crl_parse((const char *)der, length, &crls) == CERT_NONE);
	TEST_NEED(trust_add_pki(trust, "corp", anchors, crls, TRUST_REVOCATION_REQUIRED) == CERT_NONE);
	trust_seal(trust);
	trust_view_set(view, trust);
	trust_drop(trust);
	crl_drop(crls);
	bundle_drop(anchors);
	OPENSSL_free(der);
	free(pem);
	return view;
}

static struct peer_identity *
verified(struct trust_view *view, X509 *cert)
{
	struct peer_identity *identity;
	STACK_OF(X509) *chain = TEST_CHAIN(cert);

	CU_ASSERT_EQUAL_FATAL(verify_legacy(view, "corp", chain, TEST_NOW, &identity), CERT_NONE);
	sk_X509_free(chain);
	return identity;
}

static struct identity_match
match_of(const char *text)
{
	struct identity_match match = {0};

	CU_ASSERT_EQUAL_FATAL(spiffe_id_parse(text, strlen(text), &match.id), CERT_NONE);
	return match;
}

static uint32_t
verdict(const struct peer_record *record)
{
	return atomic_load(&record->verdict);
}

/* One record for one chain, however many connections; another one for another name. */
static void
test_shared(void)
{
	begin();
	struct peer_register *peers = peer_register_new();
	struct trust_view *view = view_of(NULL, 1);
	struct peer_identity *identity = verified(view, billing.cert), *again = verified(view, billing.cert),
			     *other = verified(view, guest.cert);
	struct identity_match a = match_of("spiffe://ids.example/a"), b = match_of("spiffe://ids.example/b");
	struct peer_record *record = peer_register_enter(peers, identity, &a);

	CU_ASSERT_PTR_EQUAL(peer_register_enter(peers, again, &a), record);
	CU_ASSERT_EQUAL(peer_register_count(peers), 1);
	CU_ASSERT_STRING_EQUAL(record->mapped->id.text, "spiffe://ids.example/a");
	struct peer_record *mapped = peer_register_enter(peers, identity, &b);
	struct peer_record *bare = peer_register_enter(peers, identity, NULL);
	struct peer_record *stranger = peer_register_enter(peers, other, &a);
	CU_ASSERT_EQUAL(peer_register_count(peers), 4);
	CU_ASSERT_PTR_NOT_EQUAL(mapped, record);
	CU_ASSERT_PTR_NOT_EQUAL(bare, record);
	CU_ASSERT_PTR_NOT_EQUAL(stranger, record);
	peer_identity_drop(identity);
	peer_identity_drop(again);
	peer_identity_drop(other);
	peer_register_leave(peers, record);
	CU_ASSERT_EQUAL(peer_register_count(peers), 4);
	peer_register_leave(peers, record);
	CU_ASSERT_EQUAL(peer_register_count(peers), 3);
	peer_register_leave(peers, mapped);
	peer_register_leave(peers, bare);
	peer_register_leave(peers, stranger);
	peer_register_leave(peers, NULL);
	trust_view_free(view);
	finish(peers);
}

static void
test_revoked(void)
{
	begin();
	struct peer_register *peers = peer_register_new();
	struct trust_view *before = view_of(NULL, 1), *after = view_of(billing.cert, 2);
	struct peer_identity *one = verified(before, billing.cert), *two = verified(before, guest.cert);
	struct peer_record *fallen = peer_register_enter(peers, one, NULL);
	struct peer_record *spared = peer_register_enter(peers, two, NULL);

	CU_ASSERT_EQUAL(peer_register_check(peers, before, NULL, TEST_NOW), 0);
	CU_ASSERT_EQUAL(peer_register_check(peers, after, NULL, TEST_NOW), 1);
	CU_ASSERT_EQUAL(verdict(fallen), CERT_REVOKED);
	CU_ASSERT_EQUAL(verdict(spared), CERT_NONE);
	/* Once is enough. And who is let in after that has a record of his own. */
	CU_ASSERT_EQUAL(peer_register_check(peers, after, NULL, TEST_NOW), 0);
	struct peer_record *fresh = peer_register_enter(peers, one, NULL);
	CU_ASSERT_PTR_NOT_EQUAL(fresh, fallen);
	CU_ASSERT_EQUAL(verdict(fresh), CERT_NONE);
	CU_ASSERT_EQUAL(verdict(fallen), CERT_REVOKED);
	peer_register_leave(peers, fallen);
	peer_register_leave(peers, fresh);
	peer_register_leave(peers, spared);
	peer_identity_drop(one);
	peer_identity_drop(two);
	trust_view_free(before);
	trust_view_free(after);
	finish(peers);
}

/* What has only expired is the grace period's; what is revoked as well isn't. */
static void
test_expired(void)
{
	begin();
	struct peer_register *peers = peer_register_new();
	struct trust_view *before = view_of(NULL, 1), *after = view_of(billing.cert, 2);
	struct peer_identity *one = verified(before, billing.cert), *two = verified(before, guest.cert);
	struct peer_record *revoked = peer_register_enter(peers, one, NULL);
	struct peer_record *late = peer_register_enter(peers, two, NULL);
	int64_t now = two->leaf_not_after + 10;

	CU_ASSERT_EQUAL(peer_register_check(peers, after, NULL, now), 1);
	CU_ASSERT_EQUAL(verdict(revoked), CERT_REVOKED);
	CU_ASSERT_EQUAL(verdict(late), CERT_NONE);
	peer_register_leave(peers, revoked);
	peer_register_leave(peers, late);
	peer_identity_drop(one);
	peer_identity_drop(two);
	trust_view_free(before);
	trust_view_free(after);
	finish(peers);
}

/* A mapped peer falls when the map gives it another ID, or none. */
static void
test_mapped(void)
{
	begin();
	struct peer_register *peers = peer_register_new();
	struct trust_view *view = view_of(NULL, 1);
	struct peer_identity *identity = verified(view, billing.cert);
	struct identity_match a = match_of("spiffe://ids.example/a");
	struct peer_record *record = peer_register_enter(peers, identity, &a);
	struct identity_rule rule = {.legacy_pki = "corp",
				     .dns = "billing.corp.example",
				     .spiffe_id = "spiffe://ids.example/a",
				     .trust_domain = "ids.example"};
	struct peer_book book = {.refs = 1, .map = {&rule, 1}};

	CU_ASSERT_EQUAL(peer_register_check(peers, view, &book, TEST_NOW), 0);
	rule.spiffe_id = "spiffe://ids.example/b";
	CU_ASSERT_EQUAL(peer_register_check(peers, view, &book, TEST_NOW), 1);
	CU_ASSERT_EQUAL(verdict(record), CERT_MAP_NO_RULE);
	peer_register_leave(peers, record);
	record = peer_register_enter(peers, identity, &a);
	book.map.n = 0;
	CU_ASSERT_EQUAL(peer_register_check(peers, view, &book, TEST_NOW), 1);
	peer_register_leave(peers, record);
	peer_identity_drop(identity);
	trust_view_free(view);
	finish(peers);
}

/* Peers come and go while the register is checked. */
struct visitor {
	struct peer_register *peers;
	struct peer_identity *identity;
};

static void *
visit(void *context)
{
	const struct visitor *visitor = context;

	for (unsigned i = 0; i < 20000; i++) {
		struct peer_record *first = peer_register_enter(visitor->peers, visitor->identity, NULL);
		struct peer_record *second = peer_register_enter(visitor->peers, visitor->identity, NULL);
		peer_register_leave(visitor->peers, first);
		peer_register_leave(visitor->peers, second);
	}
	return NULL;
}

static void
test_threads(void)
{
	begin();
	struct peer_register *peers = peer_register_new();
	struct trust_view *before = view_of(NULL, 1), *after = view_of(billing.cert, 2);
	struct visitor visitors[] = {{peers, verified(before, billing.cert)}, {peers, verified(before, guest.cert)}};
	pthread_t threads[2];

	for (unsigned i = 0; i < 2; i++)
		TEST_NEED(pthread_create(&threads[i], NULL, visit, &visitors[i]) == 0);
	for (unsigned i = 0; i < 50; i++)
		peer_register_check(peers, i % 2 == 0 ? after : before, NULL, TEST_NOW);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < 2; i++)
		peer_identity_drop(visitors[i].identity);
	trust_view_free(before);
	trust_view_free(after);
	finish(peers);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"one record for one chain and name", test_shared},
		{"a revoked peer falls, and only it", test_revoked},
		{"an expired one is left to the grace period, a revoked one isn't", test_expired},
		{"a peer whom the map gives another ID falls", test_mapped},
		{"peers come and go meanwhile", test_threads},
		CU_TEST_INFO_NULL,
	};
	return unit_run("peer_register", tests);
}
