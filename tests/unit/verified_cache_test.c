/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of verified chains: what is found again, for how long, and what isn't (R6 among it). */
#include "certs/verified_cache.h"

#include "certs/verify.h"
#include "tests/unit/test_jwks.h"
#include "tests/unit/unit.h"

#define ID "spiffe://a.example/x"

static struct test_ca root;
static struct trust_view *view;

static void
show(uint64_t generation)
{
	struct trust *trust = trust_new(generation);
	struct bundle *bundle = test_bundle(&root.cert, 1);

	TEST_NEED(trust_add_domain(trust, "a.example", 9, bundle) == CERT_NONE);
	TEST_NEED(trust_add_pki(trust, "corp", bundle, NULL, TRUST_REVOCATION_OFF) == CERT_NONE);
	TEST_NEED(trust_add_pki(trust, "corp-2", bundle, NULL, TRUST_REVOCATION_OFF) == CERT_NONE);
	trust_seal(trust);
	trust_view_set(view, trust);
	trust_drop(trust);
	bundle_drop(bundle);
}

/* Whether verifying this was a hit. */
static bool
hit(STACK_OF(X509) *chain, enum peer_role role, int64_t now, enum cert_error expected)
{
	uint64_t hits = trust_view_stats(view)->hits;
	struct peer_identity *identity;

	CU_ASSERT_EQUAL(verify_spiffe(view, chain, role, now, &identity), expected);
	peer_identity_drop(identity);
	return trust_view_stats(view)->hits != hits;
}

static void
test_keys(void)
{
	struct test_ca middle = test_make(&(struct test_spec){.cn = "m", .issuer = &root, .constraints = TEST_CA});
	struct test_ca leaf = test_make(
		&(struct test_spec){.issuer = &middle, .sans = {{TEST_URI, ID, 0}, {TEST_DNS, "x.a.example", 0}}});
	STACK_OF(X509) *chain = TEST_CHAIN(leaf.cert, middle.cert);
	STACK_OF(X509) *longer = TEST_CHAIN(leaf.cert, middle.cert, root.cert);
	STACK_OF(X509) *alone = TEST_CHAIN(leaf.cert);
	struct peer_identity *identity;

	show(1);
	CU_ASSERT_FALSE(hit(chain, PEER_CLIENT, TEST_NOW, CERT_NONE));
	CU_ASSERT(hit(chain, PEER_CLIENT, TEST_NOW, CERT_NONE));
	/* The role, the exact certificates, and the question are part of it. */
	CU_ASSERT_FALSE(hit(chain, PEER_SERVER, TEST_NOW, CERT_NONE));
	CU_ASSERT_FALSE(hit(longer, PEER_CLIENT, TEST_NOW, CERT_NONE));
	CU_ASSERT_FALSE(hit(alone, PEER_CLIENT, TEST_NOW, CERT_CHAIN_UNTRUSTED));
	CU_ASSERT(hit(chain, PEER_SERVER, TEST_NOW, CERT_NONE));
	uint64_t hits = trust_view_stats(view)->hits;
	CU_ASSERT_EQUAL(verify_legacy(view, "corp", chain, TEST_NOW, &identity), CERT_NONE);
	CU_ASSERT_EQUAL(identity->kind, PEER_LEGACY);
	peer_identity_drop(identity);
	CU_ASSERT_EQUAL(verify_legacy(view, "corp-2", chain, TEST_NOW, &identity), CERT_NONE);
	CU_ASSERT_STRING_EQUAL(identity->pki.bytes, "corp-2");
	peer_identity_drop(identity);
	CU_ASSERT_EQUAL(trust_view_stats(view)->hits, hits);
	CU_ASSERT_EQUAL(verify_legacy(view, "corp", chain, TEST_NOW, &identity), CERT_NONE);
	CU_ASSERT_EQUAL(trust_view_stats(view)->hits, hits + 1);
	CU_ASSERT_STRING_EQUAL(identity->pki.bytes, "corp");

	/* A refusal isn't kept. */
	CU_ASSERT_FALSE(hit(alone, PEER_CLIENT, TEST_NOW, CERT_CHAIN_UNTRUSTED));

	/* A live connection's chain is found as it was verified; another trust knows nothing of it, and what was handed
	 * out stays whole. */
	CU_ASSERT_EQUAL(verify_again(view, identity, TEST_NOW), CERT_NONE);
	show(2);
	CU_ASSERT_FALSE(hit(chain, PEER_CLIENT, TEST_NOW, CERT_NONE));
	CU_ASSERT_EQUAL(identity->generation, 1);
	CU_ASSERT_STRING_EQUAL(identity->dns[0].bytes, "x.a.example");
	peer_identity_drop(identity);
	sk_X509_free(chain);
	sk_X509_free(longer);
	sk_X509_free(alone);
	test_free(&middle);
	test_free(&leaf);
}

/* The shortest of leaf and CA decides for how long; a clock that steps back or on is noticed (R6). */
static void
test_r6_times(void)
{
	struct test_ca middle = test_make(
		&(struct test_spec){.cn = "m", .issuer = &root, .constraints = TEST_CA, .from = -100, .until = 1000});
	struct test_ca leaf = test_make(
		&(struct test_spec){.issuer = &middle, .sans = {{TEST_URI, ID, 0}}, .from = -200, .until = 2000});
	STACK_OF(X509) *chain = TEST_CHAIN(leaf.cert, middle.cert);
	struct peer_identity *identity;

	show(1);
	CU_ASSERT_EQUAL_FATAL(verify_spiffe(view, chain, PEER_CLIENT, TEST_NOW, &identity), CERT_NONE);
	CU_ASSERT_EQUAL(identity->not_before, TEST_NOW - 100);
	CU_ASSERT_EQUAL(identity->not_after, TEST_NOW + 1000);
	CU_ASSERT_EQUAL(identity->leaf_not_after, TEST_NOW + 2000);
	CU_ASSERT(hit(chain, PEER_CLIENT, TEST_NOW + 999, CERT_NONE));
	CU_ASSERT_FALSE(hit(chain, PEER_CLIENT, TEST_NOW + 1001, CERT_CA_EXPIRED));
	CU_ASSERT_FALSE(hit(chain, PEER_CLIENT, TEST_NOW + 2001, CERT_CA_EXPIRED));
	CU_ASSERT(hit(chain, PEER_CLIENT, TEST_NOW - 100, CERT_NONE));
	CU_ASSERT_FALSE(hit(chain, PEER_CLIENT, TEST_NOW - 101, CERT_CA_NOT_YET_VALID));
	CU_ASSERT(hit(chain, PEER_CLIENT, TEST_NOW, CERT_NONE));
	CU_ASSERT_EQUAL(verify_again(view, identity, TEST_NOW + 1001), CERT_CA_EXPIRED);
	peer_identity_drop(identity);
	sk_X509_free(chain);
	test_free(&middle);
	test_free(&leaf);
}

static struct verified_key
key_of(uint32_t n)
{
	struct verified_key key = {.pki = UINT32_MAX};

	/* All into one set: its number is taken from the first bytes. */
	memcpy(key.chain_sha256 + 16, &n, sizeof(n));
	return key;
}

static bool
is_there(struct verified_cache *cache, uint32_t n)
{
	struct verified_key key = key_of(n);
	struct peer_identity *found = verified_cache_find(cache, &key, 0);

	peer_identity_drop(found);
	return found != NULL;
}

/* It stays as large as it is: who wasn't asked for longest goes. */
static void
test_bounds(void)
{
	struct verified_cache cache;
	struct peer_identity *identity = peer_identity_new(&(struct peer_identity_source){.not_after = 9});

	CU_ASSERT_FATAL(verified_cache_init(&cache));
	for (uint32_t n = 0; n < VERIFIED_CACHE_WAYS; n++) {
		struct verified_key key = key_of(n);
		verified_cache_add(&cache, &key, identity, 0, 9);
	}
	CU_ASSERT_EQUAL(atomic_load(&identity->refs), 1 + VERIFIED_CACHE_WAYS);
	CU_ASSERT(is_there(&cache, 0));
	struct verified_key key = key_of(VERIFIED_CACHE_WAYS);
	verified_cache_add(&cache, &key, identity, 0, 9);
	CU_ASSERT(is_there(&cache, 0));
	CU_ASSERT_FALSE(is_there(&cache, 1));
	CU_ASSERT(is_there(&cache, VERIFIED_CACHE_WAYS));
	CU_ASSERT_EQUAL(cache.stats.evictions, 1);
	CU_ASSERT_EQUAL(atomic_load(&identity->refs), 1 + VERIFIED_CACHE_WAYS);
	/* The same again takes its own place. */
	verified_cache_add(&cache, &key, identity, 0, 9);
	CU_ASSERT_EQUAL(cache.stats.evictions, 1);
	CU_ASSERT_EQUAL(atomic_load(&identity->refs), 1 + VERIFIED_CACHE_WAYS);
	verified_cache_clear(&cache);
	CU_ASSERT_FALSE(is_there(&cache, 0));
	CU_ASSERT_EQUAL(atomic_load(&identity->refs), 1);
	verified_cache_free(&cache);
	peer_identity_drop(identity);
}

int
main(void)
{
	static const CU_TestInfo TESTS[] = {
		{"keys", test_keys},
		{"R6: times", test_r6_times},
		{"bounds", test_bounds},
		CU_TEST_INFO_NULL,
	};

	root = test_root("root");
	view = trust_view_new(NULL);
	int failed = unit_run("verified_cache", TESTS);
	trust_view_free(view);
	test_free(&root);
	return failed;
}
