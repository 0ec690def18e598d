/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/issuer.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdatomic.h>

#include "certs/bundle.h"
#include "certs/ca_folder.h"
#include "platform/text.h"
#include "tests/unit/test_files.h"
#include "tests/unit/unit.h"

#define NS 1000000000LL
#define CORP "corp.example"
#define BILLING "spiffe://" CORP "/vm/billing"

enum { LIFE_S = ISSUER_LIFETIME_S };

static OSSL_LIB_CTX *libctx;
static char root[128];

static void
add_ca(const char *trust_domain, enum credential_key key, int64_t now)
{
	const struct ca_spec spec = {.trust_domain = trust_domain, .key = key, .rsa_bits = 2048, .days = 30};
	struct text message = {0};
	char folder[256];
	unsigned n;

	snprintf(folder, sizeof(folder), "%s/%s", root, trust_domain);
	TEST_NEED(ca_folder_add(libctx, folder, &spec, now, &n, &message));
	text_free(&message);
}

static void
begin(void)
{
	libctx = OSSL_LIB_CTX_new();
	snprintf(root, sizeof(root), "%s", test_folder());
	add_ca(CORP, CREDENTIAL_EC_P256, TEST_NOW);
}

static void
finish(struct issuer *issuer)
{
	issuer_close(issuer);
	test_folder_remove(root);
	OSSL_LIB_CTX_free(libctx);
	CU_ASSERT_EQUAL(ERR_peek_error(), 0);
}

static struct issuer *
open_issuer(uint32_t lifetime_s, uint32_t cache_max)
{
	static const char *const domains[] = {CORP};
	const struct issuer_config config = {
		.root = root,
		.trust_domains = domains,
		.n_trust_domains = 1,
		.lifetime_s = lifetime_s,
		.cache_max = cache_max,
	};
	struct text message = {0};
	struct issuer *issuer = issuer_open(&config, &message);

	if (issuer == NULL)
		fprintf(stderr, "%s\n", message.bytes);
	text_free(&message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(issuer);
	return issuer;
}

static struct credential *
get(struct issuer *issuer, const char *id, int64_t now)
{
	enum credential_error error;
	struct credential *credential = issuer_get(issuer, id, strlen(id), now, &error);

	CU_ASSERT_EQUAL(credential == NULL, error != CREDENTIAL_NONE);
	return credential;
}

/* Which one is given out now: the beginning of its digest. */
static uint64_t
which(struct issuer *issuer, const char *id, int64_t now)
{
	struct credential *credential = get(issuer, id, now);

	CU_ASSERT_PTR_NOT_NULL_FATAL(credential);
	uint64_t digest;
	memcpy(&digest, credential->chain_sha256, sizeof(digest));
	credential_drop(credential);
	return digest;
}

static enum credential_error
refusal(struct issuer *issuer, const char *id, int64_t now)
{
	enum credential_error error;
	struct credential *credential = issuer_get(issuer, id, strlen(id), now, &error);

	CU_ASSERT_PTR_NULL(credential);
	credential_drop(credential);
	return error;
}

static X509 *
leaf_of(const struct credential *credential)
{
	STACK_OF(X509) *chain = credential_load_chain(credential, NULL);
	X509 *leaf = sk_X509_shift(chain);

	sk_X509_pop_free(chain, X509_free);
	return leaf;
}

static int
critical(X509 *certificate, int nid)
{
	int at = X509_get_ext_by_NID(certificate, nid, -1);
	return at < 0 ? -1 : X509_EXTENSION_get_critical(X509_get_ext(certificate, at));
}

/* Runs openssl(1) over what was issued: a reader that isn't ours. */
static int
openssl_verify(const char *purpose, const char *anchors, const char *leaf, int64_t at)
{
	char command[768];

	snprintf(command, sizeof(command),
		 "openssl verify -x509_strict -attime %lld -purpose %s -CAfile %s/%s %s/%s >%s/said 2>&1",
		 (long long)at, purpose, root, anchors, root, leaf, root);
	return system(command);
}

/* X509-SVID.md sections 2 to 5. */
static void
test_profile(void)
{
	static const enum credential_key keys[] = {CREDENTIAL_EC_P256, CREDENTIAL_EC_P384, CREDENTIAL_ED25519,
						   CREDENTIAL_RSA};

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct text anchors = {0};
		char command[256];
		begin();
		snprintf(command, sizeof(command), "rm -r %s/" CORP, root);
		TEST_NEED(system(command) == 0);
		add_ca(CORP, keys[i], TEST_NOW);
		struct issuer *issuer = open_issuer(0, 0);
		struct credential *credential = get(issuer, BILLING, TEST_NOW);
		CU_ASSERT_PTR_NOT_NULL_FATAL(credential);
		CU_ASSERT_STRING_EQUAL(credential->spiffe_id, BILLING);
		CU_ASSERT_EQUAL(credential->key_kind, CREDENTIAL_EC_P256);
		CU_ASSERT_EQUAL(credential->n_chain, 1);
		CU_ASSERT_EQUAL(credential->not_before, TEST_NOW - ISSUER_BACKDATE_S);
		CU_ASSERT_EQUAL(credential->not_after, TEST_NOW + LIFE_S);
		X509 *leaf = leaf_of(credential);
		CU_ASSERT_EQUAL(X509_NAME_entry_count(X509_get_subject_name(leaf)), 0);
		CU_ASSERT_EQUAL(critical(leaf, NID_subject_alt_name), 1);
		CU_ASSERT_EQUAL(critical(leaf, NID_key_usage), 1);
		CU_ASSERT_EQUAL(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE);
		CU_ASSERT_EQUAL(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER | XKU_SSL_CLIENT);
		CU_ASSERT_EQUAL(X509_check_ca(leaf), 0);
		int serial = ASN1_STRING_length(X509_get0_serialNumber(leaf));
		CU_ASSERT_TRUE(serial >= 12 && serial <= 16);
		CU_ASSERT_EQUAL(ASN1_STRING_type(X509_get0_serialNumber(leaf)), V_ASN1_INTEGER); /* not negative */

		char *pem = test_pem(&leaf, 1);
		CU_ASSERT_TRUE(issuer_bundle_pem(issuer, CORP, &anchors));
		test_write(root, "leaf.pem", pem, 0644);
		test_write(root, "anchors.pem", anchors.bytes, 0644);
		CU_ASSERT_EQUAL(openssl_verify("sslclient", "anchors.pem", "leaf.pem", TEST_NOW), 0);
		CU_ASSERT_EQUAL(openssl_verify("sslserver", "anchors.pem", "leaf.pem", TEST_NOW), 0);
		CU_ASSERT_NOT_EQUAL(openssl_verify("crlsign", "anchors.pem", "leaf.pem", TEST_NOW), 0);
		CU_ASSERT_NOT_EQUAL(openssl_verify("sslclient", "anchors.pem", "leaf.pem", TEST_NOW + 2 * LIFE_S), 0);
		free(pem);
		text_free(&anchors);
		X509_free(leaf);
		credential_drop(credential);
		finish(issuer);
	}
}

static void
test_refusals(void)
{
	const char *domains[] = {"absent.example"};
	struct issuer_config config = {.root = "/nonexistent", .trust_domains = domains, .n_trust_domains = 1};
	struct text message = {0};

	begin();
	struct issuer *issuer = open_issuer(0, 0);
	CU_ASSERT_EQUAL(refusal(issuer, "spiffe://other.example/x", TEST_NOW), CREDENTIAL_NO_CA);
	CU_ASSERT_EQUAL(refusal(issuer, "spiffe://sub." CORP "/x", TEST_NOW), CREDENTIAL_NO_CA);
	CU_ASSERT_EQUAL(refusal(issuer, "spiffe://" CORP ".evil/x", TEST_NOW), CREDENTIAL_NO_CA);
	CU_ASSERT_EQUAL(refusal(issuer, "spiffe://" CORP, TEST_NOW), CREDENTIAL_ID_INVALID);
	CU_ASSERT_EQUAL(refusal(issuer, "spiffe://" CORP "/a/../b", TEST_NOW), CREDENTIAL_ID_INVALID);
	CU_ASSERT_EQUAL(refusal(issuer, "", TEST_NOW), CREDENTIAL_ID_INVALID);
	/* Before it was made, and after its end: the clock is wrong, or an operator forgot it. */
	CU_ASSERT_EQUAL(refusal(issuer, BILLING, TEST_NOW - TEST_DAY), CREDENTIAL_CA_EXPIRED);
	CU_ASSERT_EQUAL(refusal(issuer, BILLING, TEST_NOW + 31LL * TEST_DAY), CREDENTIAL_CA_EXPIRED);
	CU_ASSERT_FALSE(issuer_bundle_jwks(issuer, "other.example", &message));
	CU_ASSERT_EQUAL(message.length, 0);

	CU_ASSERT_PTR_NULL(issuer_open(&config, &message));
	config.root = root;
	CU_ASSERT_PTR_NULL(issuer_open(&config, &message));
	domains[0] = "../" CORP;
	CU_ASSERT_PTR_NULL(issuer_open(&config, &message));
	CU_ASSERT_PTR_NOT_NULL(strstr(message.bytes, "can't be a trust domain"));
	domains[0] = "..";
	CU_ASSERT_PTR_NULL(issuer_open(&config, &message));
	text_free(&message);
	finish(issuer);
}

/* An SVID ends with its CA at the latest, and near that end there is none. */
static void
test_end_of_ca(void)
{
	int64_t end = TEST_NOW + 30LL * TEST_DAY;

	begin();
	struct issuer *issuer = open_issuer(0, 0);
	struct credential *credential = get(issuer, BILLING, end - 600);
	CU_ASSERT_PTR_NOT_NULL_FATAL(credential);
	CU_ASSERT_EQUAL(credential->not_after, end);
	credential_drop(credential);
	CU_ASSERT_EQUAL(refusal(issuer, BILLING, end - 30), CREDENTIAL_CA_EXPIRED);
	finish(issuer);
}

static void
test_cache(void)
{
	struct issuer_stats stats;
	char id[64];

	begin();
	struct issuer *issuer = open_issuer(0, 4);
	uint64_t first = which(issuer, BILLING, TEST_NOW);
	CU_ASSERT_EQUAL(which(issuer, BILLING, TEST_NOW + 60), first);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(id, sizeof(id), "spiffe://" CORP "/meter/%u", i);
		which(issuer, id, TEST_NOW);
		CU_ASSERT_EQUAL(which(issuer, BILLING, TEST_NOW), first); /* in use, so it stays */
	}
	issuer_stats(issuer, &stats);
	CU_ASSERT_EQUAL(stats.cached, 4);
	CU_ASSERT_EQUAL(stats.issued, 11);
	CU_ASSERT_EQUAL(stats.hits, 11);
	CU_ASSERT_EQUAL(stats.evicted, 7);
	which(issuer, "spiffe://" CORP "/meter/0", TEST_NOW);
	issuer_stats(issuer, &stats);
	CU_ASSERT_EQUAL(stats.issued, 12);
	finish(issuer);
}

static void
test_renewal(void)
{
	int64_t half = TEST_NOW + (LIFE_S - ISSUER_BACKDATE_S) / 2, tenth = TEST_NOW + LIFE_S - LIFE_S / 10;
	struct issuer_stats stats;

	begin();
	struct issuer *issuer = open_issuer(0, 0);
	struct credential *held = get(issuer, BILLING, TEST_NOW);
	which(issuer, BILLING, TEST_NOW);
	which(issuer, "spiffe://" CORP "/unused", TEST_NOW); /* once, by whom it was made for */
	CU_ASSERT_EQUAL(issuer_renew(issuer, 10, half - 1), 0);
	CU_ASSERT_EQUAL(issuer_renew(issuer, 0, half), 0);
	CU_ASSERT_EQUAL(issuer_renew(issuer, 10, half), 1);
	CU_ASSERT_EQUAL(issuer_renew(issuer, 10, half), 0);
	struct credential *fresh = get(issuer, BILLING, half);
	CU_ASSERT_EQUAL(fresh->not_after, half + LIFE_S);
	CU_ASSERT_TRUE(held->not_after > half); /* what is in use is as good as before */
	CU_ASSERT_NOT_EQUAL(memcmp(held->chain_sha256, fresh->chain_sha256, sizeof(held->chain_sha256)), 0);

	/* The one nobody asks for isn't renewed, but is as good as ever until its last tenth. */
	uint64_t unused = which(issuer, "spiffe://" CORP "/unused", tenth - 60);
	CU_ASSERT_NOT_EQUAL(which(issuer, "spiffe://" CORP "/unused", tenth + 60), unused);
	issuer_renew(issuer, 0, half + 3LL * LIFE_S);
	issuer_stats(issuer, &stats);
	CU_ASSERT_EQUAL(stats.cached, 0);
	CU_ASSERT_EQUAL(stats.renewed, 1);
	credential_drop(held);
	credential_drop(fresh);
	finish(issuer);
}

static void
test_clock_steps(void)
{
	begin();
	struct issuer *issuer = open_issuer(0, 0);
	uint64_t now = which(issuer, BILLING, TEST_NOW + TEST_HOUR);
	uint64_t back = which(issuer, BILLING, TEST_NOW); /* an hour back: not valid yet by the clock */
	CU_ASSERT_NOT_EQUAL(back, now);
	CU_ASSERT_NOT_EQUAL(which(issuer, BILLING, TEST_NOW + 9LL * TEST_DAY), back);
	finish(issuer);
}

static struct bundle *
read_bundle(struct issuer *issuer)
{
	struct bundle *bundle = NULL;
	struct text text = {0};

	CU_ASSERT_TRUE_FATAL(issuer_bundle_jwks(issuer, CORP, &text));
	CU_ASSERT_EQUAL_FATAL(bundle_parse_jwks(text.bytes, text.length, &bundle), CERT_NONE);
	text_free(&text);
	return bundle;
}

/* Who signed it: the number of the authority in the bundle, or -1. */
static int
signer(struct issuer *issuer, const struct bundle *bundle, const char *id, int64_t now)
{
	struct credential *credential = get(issuer, id, now);
	X509 *leaf = leaf_of(credential);
	int found = -1;

	for (unsigned i = 0; i < bundle->n_authorities; i++) {
		const unsigned char *der = bundle->authorities[i].der;
		X509 *ca = d2i_X509(NULL, &der, bundle->authorities[i].length);
		if (X509_check_issued(ca, leaf) == X509_V_OK && X509_verify(leaf, X509_get0_pubkey(ca)) == 1)
			found = (int)i;
		X509_free(ca);
	}
	ERR_clear_error();
	X509_free(leaf);
	credential_drop(credential);
	return found;
}

/* A new CA is published at once, signs after the lead time, and the old one's SVIDs are good until it is removed. */
static void
test_rotation(void)
{
	struct text message = {0};
	char path[256];

	begin();
	struct issuer *issuer = open_issuer(0, 0);
	struct bundle *one = read_bundle(issuer);
	CU_ASSERT_EQUAL(one->n_authorities, 1);
	CU_ASSERT_STRING_EQUAL(one->authorities[0].spiffe_id, "spiffe://" CORP);
	CU_ASSERT_EQUAL(one->refresh_s, ISSUER_REFRESH_S);
	CU_ASSERT_FALSE(issuer_poll(issuer, TEST_NOW * NS, &message));
	uint64_t before = which(issuer, BILLING, TEST_NOW + 1000);

	add_ca(CORP, CREDENTIAL_EC_P384, TEST_NOW + 1000);
	CU_ASSERT_TRUE(issuer_poll(issuer, TEST_NOW * NS, &message));
	CU_ASSERT_FALSE(issuer_poll(issuer, TEST_NOW * NS, &message));
	struct bundle *two = read_bundle(issuer);
	CU_ASSERT_EQUAL(two->n_authorities, 2);
	CU_ASSERT_TRUE(two->sequence > one->sequence);
	CU_ASSERT_EQUAL(bundle_may_follow(one, two), CERT_NONE);
	CU_ASSERT_EQUAL(bundle_may_follow(two, one), CERT_BUNDLE_ROLLBACK);

	int64_t turn = TEST_NOW + 1000 + ISSUER_LEAD_S;
	CU_ASSERT_EQUAL(signer(issuer, two, "spiffe://" CORP "/a", turn - 1), 0);
	CU_ASSERT_EQUAL(signer(issuer, two, "spiffe://" CORP "/b", turn), 1);
	CU_ASSERT_EQUAL(which(issuer, BILLING, turn), before); /* the old one's SVID goes on */
	CU_ASSERT_EQUAL(signer(issuer, two, BILLING, turn), 0);

	/* The old CA is removed: what it signed isn't given out any more. */
	snprintf(path, sizeof(path), "%s/" CORP "/ca-1.crt", root);
	unlink(path);
	CU_ASSERT_TRUE(issuer_poll(issuer, TEST_NOW * NS, &message));
	struct bundle *three = read_bundle(issuer);
	CU_ASSERT_EQUAL(three->n_authorities, 1);
	CU_ASSERT_TRUE(three->sequence > two->sequence);
	CU_ASSERT_EQUAL(signer(issuer, three, BILLING, turn), 0);
	CU_ASSERT_NOT_EQUAL(which(issuer, BILLING, turn), before);
	CU_ASSERT_EQUAL(message.length, 0);

	/* The last one goes, or is spoilt: nothing changes, and it is said once. */
	snprintf(path, sizeof(path), "%s/" CORP, root);
	test_write(path, "ca-3.crt", "nonsense", 0644);
	CU_ASSERT_FALSE(issuer_poll(issuer, TEST_NOW * NS, &message));
	CU_ASSERT_PTR_NOT_NULL_FATAL(message.bytes);
	CU_ASSERT_PTR_NOT_NULL(strstr(message.bytes, "ca-3"));
	size_t length = message.length;
	CU_ASSERT_FALSE(issuer_poll(issuer, TEST_NOW * NS, &message));
	CU_ASSERT_EQUAL(message.length, length);
	test_folder_remove(path);
	CU_ASSERT_FALSE(issuer_poll(issuer, TEST_NOW * NS, &message));
	CU_ASSERT_TRUE(message.length > length);
	CU_ASSERT_EQUAL(signer(issuer, three, "spiffe://" CORP "/c", turn), 0);
	text_free(&message);
	bundle_drop(one);
	bundle_drop(two);
	bundle_drop(three);
	finish(issuer);
}

/* --- many threads --------------------------------------------------------------------------------------------------
 */

enum { THREADS = 4, ROUNDS = 400, IDS = 12 };

struct crowd {
	struct issuer *issuer;
	atomic_uint running;
};

static void *
ask(void *context)
{
	struct crowd *crowd = context;
	enum credential_error error;
	char id[64];

	for (unsigned i = 0; i < ROUNDS; i++) {
		snprintf(id, sizeof(id), "spiffe://" CORP "/crowd/%u", i % IDS);
		struct credential *credential = issuer_get(crowd->issuer, id, strlen(id), TEST_NOW + 10LL * i, &error);
		CU_ASSERT_PTR_NOT_NULL_FATAL(credential);
		CU_ASSERT_STRING_EQUAL(credential->spiffe_id, id);
		credential_drop(credential);
	}
	atomic_fetch_sub(&crowd->running, 1);
	return NULL;
}

static void
test_threads(void)
{
	struct text message = {0};
	struct issuer_stats stats;
	pthread_t threads[THREADS];

	begin();
	struct crowd crowd = {.issuer = open_issuer(0, 8), .running = THREADS};
	for (unsigned i = 0; i < THREADS; i++)
		TEST_NEED(pthread_create(&threads[i], NULL, ask, &crowd) == 0);
	add_ca(CORP, CREDENTIAL_EC_P256, TEST_NOW);
	while (atomic_load(&crowd.running) > 0) {
		issuer_poll(crowd.issuer, TEST_NOW * NS, &message);
		issuer_renew(crowd.issuer, 2, TEST_NOW + 2000);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	issuer_stats(crowd.issuer, &stats);
	CU_ASSERT_EQUAL(stats.hits + stats.issued, THREADS * ROUNDS);
	CU_ASSERT_EQUAL(stats.failed, 0);
	CU_ASSERT_TRUE(stats.cached <= 8);
	CU_ASSERT_EQUAL(message.length, 0);
	text_free(&message);
	finish(crowd.issuer);
}

/* Threads that miss the same identity at once: one of them signs. */
static void *
ask_once(void *context)
{
	struct crowd *crowd = context;

	atomic_fetch_sub(&crowd->running, 1);
	while (atomic_load(&crowd->running) > 0)
		;
	return (void *)(uintptr_t)which(crowd->issuer, BILLING, TEST_NOW);
}

static void
test_one_signature(void)
{
	pthread_t threads[THREADS];
	struct issuer_stats stats;
	void *seen[THREADS];

	begin();
	struct crowd crowd = {.issuer = open_issuer(0, 0), .running = THREADS};
	for (unsigned i = 0; i < THREADS; i++)
		TEST_NEED(pthread_create(&threads[i], NULL, ask_once, &crowd) == 0);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &seen[i]);
		CU_ASSERT_PTR_EQUAL(seen[i], seen[0]);
	}
	issuer_stats(crowd.issuer, &stats);
	CU_ASSERT_EQUAL(stats.issued, 1);
	CU_ASSERT_EQUAL(stats.hits, THREADS - 1);
	finish(crowd.issuer);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"what is issued, by each kind of CA, is an X.509-SVID", test_profile},
		{"what is refused", test_refusals},
		{"the end of a CA", test_end_of_ca},
		{"the cache is bounded", test_cache},
		{"renewal at half of a life", test_renewal},
		{"clock steps", test_clock_steps},
		{"rotation of a CA", test_rotation},
		{"many threads", test_threads},
		{"one signature for many who wait", test_one_signature},
		CU_TEST_INFO_NULL,
	};

	return unit_run("issuer", tests);
}
