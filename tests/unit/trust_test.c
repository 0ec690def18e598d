/* SPDX-License-Identifier: Apache-2.0 */
/* Trust of several domains, and views of it: B5, B7, B13, D4, D5 of the identity matrix; revocation of what is live. */
#include "certs/trust.h"

#include <pthread.h>

#include "certs/verify.h"
#include "tests/unit/test_jwks.h"
#include "tests/unit/unit.h"

#define ID_A "spiffe://a.example/x"
#define ID_B "spiffe://b.example/x"

static struct test_ca root_a, root_b, common;

static void
add(struct trust *trust, const char *domain, X509 *const *certs, unsigned n)
{
	struct bundle *bundle = test_bundle(certs, n);

	TEST_NEED(trust_add_domain(trust, domain, strlen(domain), bundle) == CERT_NONE);
	bundle_drop(bundle);
}

/* A view of a.example with one root and b.example with another, each perhaps none. */
static struct trust_view *
view_of(X509 *a, X509 *b, const char *local)
{
	struct trust *trust = trust_new(1);
	struct trust_view *view = trust_view_new(NULL);

	add(trust, "a.example", &a, a != NULL);
	add(trust, "b.example", &b, b != NULL);
	if (local != NULL)
		trust_set_local(trust, local, strlen(local));
	trust_seal(trust);
	trust_view_set(view, trust);
	trust_drop(trust);
	return view;
}

static enum cert_error
verify(struct trust_view *view, STACK_OF(X509) *chain)
{
	struct peer_identity *identity;
	enum cert_error error = verify_spiffe(view, chain, PEER_CLIENT, TEST_NOW, &identity);

	peer_identity_drop(identity);
	sk_X509_free(chain);
	return error;
}

static enum cert_error
verify_leaf(struct trust_view *view, const struct test_ca *issuer, const char *id)
{
	struct test_ca leaf = test_leaf(issuer, TEST_URI, id);
	enum cert_error error = verify(view, TEST_CHAIN(leaf.cert));

	test_free(&leaf);
	return error;
}

struct warned {
	unsigned n;
	enum cert_error error;
	char domains[64]; /* "a.example>b.example;" of each */
};

static void
note(void *context, const struct trust_warning *warning)
{
	struct warned *warned = context;

	warned->n++;
	warned->error = warning->error;
	strcat(warned->domains, warning->domain);
	strcat(warned->domains, ">");
	strcat(warned->domains, warning->other);
	strcat(warned->domains, ";");
}

static void
test_b5_empty_bundle(void)
{
	struct trust_slot slot = TRUST_SLOT_INITIALIZER;
	struct trust_view *view = trust_view_new(NULL);
	struct trust *trust = trust_new(1);
	struct test_ca leaf = test_leaf(&root_a, TEST_URI, ID_A);
	STACK_OF(X509) *chain = TEST_CHAIN(leaf.cert);
	struct peer_identity *identity, *none;

	add(trust, "a.example", &root_a.cert, 1);
	trust_seal(trust);
	trust_slot_publish(&slot, trust);
	CU_ASSERT_EQUAL(trust_slot_generation(&slot), 1);
	trust_view_follow(view, &slot);
	CU_ASSERT_EQUAL(trust_view_generation(view), 1);
	CU_ASSERT_EQUAL_FATAL(verify_spiffe(view, chain, PEER_CLIENT, TEST_NOW, &identity), CERT_NONE);
	CU_ASSERT_EQUAL(verify_again(view, identity, TEST_NOW), CERT_NONE);

	/* The partner publishes "keys": []. The next connection is refused, and so is the live one when it is asked. */
	trust = trust_new(2);
	add(trust, "a.example", NULL, 0);
	trust_seal(trust);
	trust_slot_publish(&slot, trust);
	CU_ASSERT_NOT_EQUAL(trust_slot_generation(&slot), identity->generation);
	trust_view_follow(view, &slot);
	CU_ASSERT_EQUAL(verify_again(view, identity, TEST_NOW), CERT_DOMAIN_REVOKED);
	CU_ASSERT_EQUAL(verify_spiffe(view, chain, PEER_CLIENT, TEST_NOW, &none), CERT_DOMAIN_REVOKED);

	/* The root again, and another besides: the live connection would pass. */
	trust = trust_new(3);
	add(trust, "a.example", (X509 *[]){common.cert, root_a.cert}, 2);
	trust_seal(trust);
	trust_slot_publish(&slot, trust);
	trust_view_follow(view, &slot);
	CU_ASSERT_EQUAL(verify_again(view, identity, TEST_NOW), CERT_NONE);

	/* Another root only; the domain gone; nothing published at all. */
	trust = trust_new(4);
	add(trust, "a.example", &common.cert, 1);
	trust_seal(trust);
	trust_slot_publish(&slot, trust);
	trust_view_follow(view, &slot);
	CU_ASSERT_EQUAL(verify_again(view, identity, TEST_NOW), CERT_CHAIN_UNTRUSTED);
	trust = trust_new(5);
	trust_seal(trust);
	trust_slot_publish(&slot, trust);
	trust_view_follow(view, &slot);
	CU_ASSERT_EQUAL(verify_again(view, identity, TEST_NOW), CERT_DOMAIN_UNKNOWN);
	trust_slot_publish(&slot, NULL);
	trust_view_follow(view, &slot);
	CU_ASSERT_EQUAL(trust_view_generation(view), 0);
	CU_ASSERT_EQUAL(verify_again(view, identity, TEST_NOW), CERT_DOMAIN_UNKNOWN);

	peer_identity_drop(identity);
	sk_X509_free(chain);
	test_free(&leaf);
	trust_view_free(view);
}

static void
test_b7_twice(void)
{
	struct trust *trust = trust_new(1);
	struct bundle *bundle = test_bundle(&root_a.cert, 1);

	CU_ASSERT_EQUAL(trust_add_domain(trust, "a.example", 9, bundle), CERT_NONE);
	CU_ASSERT_EQUAL(trust_add_domain(trust, "a.example", 9, bundle), CERT_DOMAIN_TWICE);
	CU_ASSERT_EQUAL(trust_add_domain(trust, "A.example", 9, bundle), CERT_SPIFFE_DOMAIN_UPPERCASE);
	CU_ASSERT_EQUAL(trust_add_domain(trust, "", 0, bundle), CERT_SPIFFE_DOMAIN_EMPTY);
	CU_ASSERT_EQUAL(trust_add_pki(trust, "corp", bundle, NULL, TRUST_REVOCATION_OFF), CERT_NONE);
	CU_ASSERT_EQUAL(trust_add_pki(trust, "corp", bundle, NULL, TRUST_REVOCATION_OFF), CERT_PKI_TWICE);
	trust_seal(trust);
	CU_ASSERT(trust_has_domain(trust, "a.example", 9));
	CU_ASSERT_FALSE(trust_has_domain(trust, "a.exampl", 8));
	CU_ASSERT_FALSE(trust_has_domain(trust, "b.example", 9));
	CU_ASSERT(trust_has_pki(trust, "corp"));
	CU_ASSERT_FALSE(trust_has_pki(trust, "cor"));
	bundle_drop(bundle);
	trust_drop(trust);
}

/* B's bundle came from A's endpoint, and A's from B's. Their CAs say whose they are. */
static void
test_b13_swapped(void)
{
	struct test_ca a = test_make(
		&(struct test_spec){.cn = "a", .constraints = TEST_CA, .sans = {{TEST_URI, "spiffe://a.example", 0}}});
	struct test_ca b = test_make(
		&(struct test_spec){.cn = "b", .constraints = TEST_CA, .sans = {{TEST_URI, "spiffe://b.example", 0}}});
	struct trust_view *view = view_of(b.cert, a.cert, NULL);

	CU_ASSERT_EQUAL(verify_leaf(view, &a, ID_A), CERT_CHAIN_UNTRUSTED);
	CU_ASSERT_EQUAL(verify_leaf(view, &b, ID_A), CERT_AUTHORITY_FOREIGN);
	CU_ASSERT_EQUAL(verify_leaf(view, &a, ID_B), CERT_AUTHORITY_FOREIGN);
	trust_view_free(view);

	view = view_of(a.cert, b.cert, NULL);
	CU_ASSERT_EQUAL(verify_leaf(view, &a, ID_A), CERT_NONE);
	CU_ASSERT_EQUAL(verify_leaf(view, &b, ID_B), CERT_NONE);
	trust_view_free(view);

	/* A CA that names a domain which isn't configured here is its operator's own affair. */
	struct test_ca local = test_make(&(struct test_spec){
		.cn = "upstream", .constraints = TEST_CA, .sans = {{TEST_URI, "spiffe://local", 0}}});
	view = view_of(local.cert, b.cert, NULL);
	CU_ASSERT_EQUAL(verify_leaf(view, &local, ID_A), CERT_NONE);
	trust_view_free(view);

	/* B puts A's CA into its bundle: it doesn't become B's, and A loses nothing by it. */
	struct trust *trust = trust_new(1);
	struct warned warned = {0};
	add(trust, "a.example", &a.cert, 1);
	add(trust, "b.example", (X509 *[]){b.cert, a.cert}, 2);
	trust_seal(trust);
	trust_warnings(trust, note, &warned);
	CU_ASSERT_EQUAL(warned.n, 1);
	CU_ASSERT_EQUAL(warned.error, CERT_AUTHORITY_FOREIGN);
	CU_ASSERT_STRING_EQUAL(warned.domains, "b.example>a.example;");
	view = trust_view_new(NULL);
	trust_view_set(view, trust);
	CU_ASSERT_EQUAL(verify_leaf(view, &a, ID_A), CERT_NONE);
	CU_ASSERT_EQUAL(verify_leaf(view, &b, ID_B), CERT_NONE);
	CU_ASSERT_EQUAL(verify_leaf(view, &a, ID_B), CERT_AUTHORITY_FOREIGN);
	trust_drop(trust);
	trust_view_free(view);
	test_free(&a);
	test_free(&b);
	test_free(&local);
}

static void
test_d4_middle_of_another(void)
{
	/* A's root signed a CA that is B's authority. */
	struct test_ca middle = test_make(&(struct test_spec){.cn = "b", .issuer = &root_a, .constraints = TEST_CA});
	struct trust_view *view = view_of(root_a.cert, middle.cert, NULL);
	struct test_ca of_b = test_leaf(&middle, TEST_URI, ID_B), of_a = test_leaf(&middle, TEST_URI, ID_A);

	CU_ASSERT_EQUAL(verify(view, TEST_CHAIN(of_b.cert)), CERT_NONE);
	CU_ASSERT_EQUAL(verify(view, TEST_CHAIN(of_a.cert, middle.cert)), CERT_CHAIN_FOREIGN);
	CU_ASSERT_EQUAL(verify_leaf(view, &root_a, ID_A), CERT_NONE);
	CU_ASSERT_EQUAL(verify_leaf(view, &root_a, ID_B), CERT_CHAIN_UNTRUSTED);
	/* With all of the chain sent along, B's anchor in the middle ends it. */
	CU_ASSERT_EQUAL(verify(view, TEST_CHAIN(of_b.cert, middle.cert, root_a.cert)), CERT_NONE);
	trust_view_free(view);

	/* The CA's key in another certificate is the same CA. */
	struct test_ca again =
		test_make(&(struct test_spec){.cn = "b", .issuer = &root_a, .constraints = TEST_CA, .key = middle.key});
	view = view_of(root_a.cert, again.cert, NULL);
	CU_ASSERT_EQUAL(verify(view, TEST_CHAIN(of_a.cert, middle.cert)), CERT_CHAIN_FOREIGN);
	trust_view_free(view);
	test_free(&again);
	test_free(&of_a);
	test_free(&of_b);
	test_free(&middle);
}

static void
test_d5_shared(void)
{
	struct trust *trust = trust_new(1);
	struct trust_view *view;
	struct warned warned = {0};

	add(trust, "a.example", (X509 *[]){common.cert, root_a.cert}, 2);
	add(trust, "b.example", (X509 *[]){root_b.cert, common.cert}, 2);
	trust_seal(trust);
	trust_warnings(trust, note, &warned);
	CU_ASSERT_EQUAL(warned.n, 2);
	CU_ASSERT_EQUAL(warned.error, CERT_AUTHORITY_SHARED);
	CU_ASSERT_STRING_EQUAL(warned.domains, "a.example>b.example;b.example>a.example;");
	view = trust_view_new(NULL);
	trust_view_set(view, trust);
	trust_drop(trust);
	CU_ASSERT_EQUAL(verify_leaf(view, &common, ID_A), CERT_AUTHORITY_SHARED);
	CU_ASSERT_EQUAL(verify_leaf(view, &common, ID_B), CERT_AUTHORITY_SHARED);
	CU_ASSERT_EQUAL(verify_leaf(view, &root_a, ID_A), CERT_NONE);
	CU_ASSERT_EQUAL(verify_leaf(view, &root_b, ID_B), CERT_NONE);
	CU_ASSERT_EQUAL(verify_leaf(view, &root_a, ID_B), CERT_CHAIN_UNTRUSTED);

	/* A CA in dispute, below a root that isn't. */
	struct test_ca middle = test_make(
		&(struct test_spec){.cn = "middle", .issuer = &root_a, .constraints = TEST_CA, .key = common.key});
	struct test_ca leaf = test_leaf(&middle, TEST_URI, ID_A);
	CU_ASSERT_EQUAL(verify(view, TEST_CHAIN(leaf.cert, middle.cert)), CERT_CHAIN_FOREIGN);
	trust_view_free(view);

	/* The same key in certificates of different names is shared all the same. */
	view = view_of(common.cert, middle.cert, NULL);
	CU_ASSERT_EQUAL(verify_leaf(view, &common, ID_A), CERT_AUTHORITY_SHARED);
	CU_ASSERT_EQUAL(verify_leaf(view, &middle, ID_B), CERT_AUTHORITY_SHARED);
	trust_view_free(view);
	test_free(&leaf);
	test_free(&middle);
}

/* Nobody takes our own CA from us by putting it into his bundle. */
static void
test_d5_local_keeps(void)
{
	struct trust_view *view = view_of(common.cert, common.cert, "a.example");

	CU_ASSERT_EQUAL(verify_leaf(view, &common, ID_A), CERT_NONE);
	CU_ASSERT_EQUAL(verify_leaf(view, &common, ID_B), CERT_AUTHORITY_SHARED);
	trust_view_free(view);
}

/* Many domains: each finds its own bundle, whatever their order. */
static void
test_many_domains(void)
{
	enum { DOMAINS = 40 };
	struct trust *trust = trust_new(1);
	struct trust_view *view = trust_view_new(NULL);
	struct test_ca roots[DOMAINS];
	char domain[32], id[64];

	for (unsigned i = 0; i < DOMAINS; i++) {
		unsigned d = i * 7 % DOMAINS;
		snprintf(domain, sizeof(domain), "d%u.example", d);
		roots[d] = test_root("root");
		add(trust, domain, &roots[d].cert, 1);
	}
	trust_seal(trust);
	trust_view_set(view, trust);
	trust_drop(trust);
	for (unsigned d = 0; d < DOMAINS; d++) {
		snprintf(id, sizeof(id), "spiffe://d%u.example/x", d);
		CU_ASSERT_EQUAL(verify_leaf(view, &roots[d], id), CERT_NONE);
		CU_ASSERT_EQUAL(verify_leaf(view, &roots[(d + 1) % DOMAINS], id), CERT_CHAIN_UNTRUSTED);
	}
	trust_view_free(view);
	for (unsigned d = 0; d < DOMAINS; d++)
		test_free(&roots[d]);
}

struct follower {
	struct trust_slot *slot;
	X509 *leaf;
	unsigned passed, refused, other;
};

static void *
follow(void *context)
{
	struct follower *follower = context;
	OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
	struct trust_view *view = trust_view_new(libctx);
	STACK_OF(X509) *chain = TEST_CHAIN(follower->leaf);

	while (trust_slot_generation(follower->slot) < 100) {
		struct peer_identity *identity;
		trust_view_follow(view, follower->slot);
		enum cert_error error = verify_spiffe(view, chain, PEER_CLIENT, TEST_NOW, &identity);
		/* Which of both is in force can be told from the generation. */
		bool even = trust_view_generation(view) % 2 == 0;
		if (error == CERT_NONE && even)
			follower->passed++;
		else if (error == CERT_CHAIN_UNTRUSTED && !even)
			follower->refused++;
		else
			follower->other++;
		peer_identity_drop(identity);
	}
	sk_X509_free(chain);
	trust_view_free(view);
	OSSL_LIB_CTX_free(libctx);
	return NULL;
}

/* Two threads verify while control publishes: each sees one whole trust or the next. */
static void
test_threads(void)
{
	struct trust_slot slot = TRUST_SLOT_INITIALIZER;
	struct test_ca leaf = test_leaf(&root_a, TEST_URI, ID_A);
	struct follower followers[2] = {{.slot = &slot, .leaf = leaf.cert},
					{.slot = &slot, .leaf = X509_dup(leaf.cert)}};
	pthread_t threads[2];

	for (uint64_t generation = 1; generation <= 100; generation++) {
		struct trust *trust = trust_new(generation);
		add(trust, "a.example", generation % 2 == 0 ? &root_a.cert : &root_b.cert, 1);
		trust_seal(trust);
		trust_slot_publish(&slot, trust);
		if (generation == 1)
			for (unsigned i = 0; i < 2; i++)
				CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, follow, &followers[i]), 0);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		CU_ASSERT(followers[i].passed > 0);
		CU_ASSERT(followers[i].refused > 0);
		CU_ASSERT_EQUAL(followers[i].other, 0);
	}
	trust_slot_publish(&slot, NULL);
	X509_free(followers[1].leaf);
	test_free(&leaf);
}

int
main(void)
{
	static const CU_TestInfo TESTS[] = {
		{"B5: an empty bundle ends everything, live connections too", test_b5_empty_bundle},
		{"B7: a domain twice", test_b7_twice},
		{"B13: bundles swapped", test_b13_swapped},
		{"D4: through a CA of another domain", test_d4_middle_of_another},
		{"D5: a CA that two domains have", test_d5_shared},
		{"D5: the local domain keeps its own", test_d5_local_keeps},
		{"many domains", test_many_domains},
		{"threads follow", test_threads},
		CU_TEST_INFO_NULL,
	};

	root_a = test_root("root a");
	root_b = test_root("root b");
	common = test_root("common");
	int failed = unit_run("trust", TESTS);
	test_free(&root_a);
	test_free(&root_b);
	test_free(&common);
	return failed;
}
