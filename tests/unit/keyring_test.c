/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A keyring over real files: each that is missing or wrong is refused with the line that names it; each that goes wrong
 * later leaves what was good, and keeps nothing else out; whom a way to endpoints expects, in each mode.
 */
#include "gateway/keyring.h"

#include <errno.h>
#include <openssl/err.h>
#include <time.h>

#include "certs/ca_folder.h"
#include "certs/verify.h"
#include "gateway/keyring_book.h"
#include "gateway/keyring_parts.h"
#include "platform/text.h"
#include "tests/unit/test_files.h"
#include "tests/unit/unit.h"

/* Line 6 has the identity, 7 the federated domain, 8 the PKI. */
#define FEDERATION(identity)                                                                                           \
	"apiVersion: postern.dev/v1alpha1\nkind: Federation\nmetadata: { name: here }\nspec:\n"                        \
	"  trustDomain: here.example\n  " identity "\n"                                                                \
	"  federatesWith: [ { trustDomain: there.example, bootstrapBundle: there.pem } ]\n"                            \
	"  legacyPKIs: [ { name: corp, anchors: [ corp.pem ], crls: [ corp.crl ] } ]\n"                                \
	"  clusterID: c1\n  network: lan\n"
#define FILES "identity: { files: own }"
#define EMBEDDED "identity: { embedded: { directory: ca } }"
/* Documents behind it; the Gateway's tls is on line 20. */
#define ISTIO(kind, name)                                                                                              \
	"---\napiVersion: networking.istio.io/v1\nkind: " kind "\nmetadata: { name: " name                             \
	", namespace: bank }\nspec:\n"
#define GATEWAY                                                                                                        \
	ISTIO("Gateway", "door")                                                                                       \
	"  servers:\n  - port: { number: 443, name: tls, protocol: TLS }\n    hosts: [ web.example ]\n"                \
	"    tls: { mode: MUTUAL, credentialName: web, caCertCredentialName: corp }\n"                                 \
	"  - port: { number: 444, name: mesh, protocol: TLS }\n    hosts: [ \"*\" ]\n    tls: { mode: ISTIO_MUTUAL "   \
	"}\n"
#define SERVICE(name, location, endpoint)                                                                              \
	ISTIO("ServiceEntry", name)                                                                                    \
	"  hosts: [ " name ".example ]\n  location: " location "\n  resolution: STATIC\n"                              \
	"  ports: [ { number: 9000, name: tls, protocol: TLS } ]\n  endpoints: [ " endpoint " ]\n"
#define RULE(name, tls) ISTIO("DestinationRule", name) "  host: " name ".example\n  trafficPolicy: { tls: " tls " }\n"
#define MAP(domain)                                                                                                    \
	"---\napiVersion: postern.dev/v1alpha1\nkind: IdentityMap\nmetadata: { name: vms }\nspec:\n"                   \
	"  trustDomain: " domain "\n  rules:\n"                                                                        \
	"  - { from: { legacyPKI: corp, dns: a.corp.example }, spiffeID: spiffe://" domain "/a }\n"

static char folder[64];
static struct test_ca here, there, corp;

static struct test_spec
current(struct test_spec spec)
{
	spec.from = time(NULL) - TEST_NOW - TEST_HOUR;
	spec.until = time(NULL) - TEST_NOW + TEST_DAY;
	return spec;
}

static struct test_ca
make(struct test_spec spec)
{
	const struct test_spec dated = current(spec);
	return test_make(&dated);
}

static void
put_certs(const char *name, X509 *cert)
{
	char *pem = test_pem(&cert, 1);

	test_write(folder, name, pem, 0644);
	free(pem);
}

static void
put_pair(const char *name, const struct test_ca *issuer, enum test_san_kind kind, const char *san, X509 *ca)
{
	struct test_ca leaf = make((struct test_spec){.issuer = issuer, .sans = {{kind, san, 0}}});
	char path[256], *pem = test_pem(&ca, 1);

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	TEST_NEED(mkdir(path, 0700) == 0 || errno == EEXIST);
	test_write_pair(path, &leaf.cert, 1, leaf.key);
	test_write(path, "ca.crt", pem, 0644);
	free(pem);
	test_free(&leaf);
}

static void
put_crl(X509 *revoked)
{
	size_t length;
	int64_t now = time(NULL) - TEST_NOW;
	unsigned char *der =
		test_crl(&corp, &revoked, revoked != NULL, now - TEST_HOUR, now + TEST_DAY, EVP_sha256(), &length);
	char path[256];

	snprintf(path, sizeof(path), "%s/corp.crl", folder);
	FILE *file = fopen(path, "we");
	TEST_NEED(file != NULL && fwrite(der, 1, length, file) == length && fclose(file) == 0);
	OPENSSL_free(der);
}

static void
remove_file(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	TEST_NEED(unlink(path) == 0);
}

/* All files as they should be. */
static void
put_all(void)
{
	put_pair("own", &here, TEST_URI, "spiffe://here.example/gateway", here.cert);
	TEST_NEED(chdir(folder) == 0 && (mkdir("credentials", 0700) == 0 || errno == EEXIST));
	put_pair("credentials/web", &corp, TEST_DNS, "web.example", corp.cert);
	put_certs("there.pem", there.cert);
	put_certs("corp.pem", corp.cert);
	put_crl(NULL);
}

static void
begin(void)
{
	snprintf(folder, sizeof(folder), "%s", test_folder());
	here = make((struct test_spec){
		.cn = "here", .constraints = TEST_CA, .sans = {{TEST_URI, "spiffe://here.example", 0}}});
	there = make((struct test_spec){.cn = "there", .constraints = TEST_CA});
	corp = make((struct test_spec){.cn = "corp", .constraints = TEST_CA});
	put_all();
}

static void
finish(void)
{
	TEST_NEED(chdir("/") == 0);
	test_folder_remove(folder);
	test_free(&here);
	test_free(&there);
	test_free(&corp);
	CU_ASSERT_EQUAL(ERR_peek_error(), 0);
}

static struct snapshot *
snapshot_of(const char *file)
{
	struct diagnostics diagnostics = {0};
	struct text printed = {0};
	char path[128];

	snprintf(path, sizeof(path), "%s/f.yaml", folder);
	struct snapshot *snapshot = federation_load_bytes(path, file, strlen(file), NULL, &diagnostics);
	diagnostics_print(&diagnostics, &printed);
	if (snapshot == NULL)
		fprintf(stderr, "%s", printed.bytes);
	TEST_NEED(snapshot != NULL);
	text_free(&printed);
	diagnostics_free(&diagnostics);
	return snapshot;
}

static struct key_set *
load(struct keyring *keyring, const struct snapshot *snapshot)
{
	struct text error = {0};
	struct key_set *set = keyring_load(keyring, snapshot, &error);

	if (set == NULL)
		fprintf(stderr, "%s", error.bytes);
	CU_ASSERT_PTR_NOT_NULL_FATAL(set);
	CU_ASSERT_EQUAL(error.length, 0);
	text_free(&error);
	return set;
}

/* The federation must be refused, by lines of which one has all of that. */
static void
refused(const char *what, const struct snapshot *snapshot, const char *line, const char *reason)
{
	struct keyring *keyring = keyring_create();
	struct text error = {0};
	struct key_set *set = keyring_load(keyring, snapshot, &error);
	bool found = false;

	for (char *at = error.bytes, *end; set == NULL && at != NULL && (end = strchr(at, '\n')) != NULL;
	     at = end + 1) {
		*end = '\0';
		found = found || (strstr(at, line) != NULL && strstr(at, reason) != NULL);
		*end = '\n';
	}
	if (!found)
		fprintf(stderr, "%s: %s\n", what, set != NULL ? "not refused" : error.bytes);
	CU_ASSERT_TRUE(found);
	CU_ASSERT_EQUAL(trust_slot_generation(keyring_trust(keyring)), 0);
	key_set_free(set);
	text_free(&error);
	keyring_free(keyring);
}

static void
test_refused(void)
{
	static const struct {
		const char *file, *line, *missing, *wrong;
	} files[] = {
		{"own/tls.crt", "f.yaml:6:", "(cert_unreadable)", "(chain_empty)"},
		{"own/tls.key", "f.yaml:6:", "(key_unreadable)", "(key_malformed)"},
		{"own/ca.crt", "f.yaml:6:", "(anchors_unreadable)", "(anchors_malformed)"},
		{"there.pem", "f.yaml:7:", "there.pem can't be read", "there.pem: "},
		{"corp.pem", "f.yaml:8:", "corp.pem can't be read", "corp.pem: "},
		{"corp.crl", "f.yaml:8:", "corp.crl can't be read", "corp.crl: "},
		{"credentials/web/tls.crt", "f.yaml:19:", "(cert_unreadable)", "(chain_empty)"},
		{"credentials/web/tls.key", "f.yaml:19:", "(key_unreadable)", "(key_malformed)"},
	};
	begin();
	struct snapshot *snapshot = snapshot_of(FEDERATION(FILES) GATEWAY);

	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		test_write(folder, files[i].file, "nonsense\n", 0600);
		refused(files[i].file, snapshot, files[i].line, files[i].wrong);
		remove_file(files[i].file);
		refused(files[i].file, snapshot, files[i].line, files[i].missing);
		put_all();
	}
	put_pair("own", &here, TEST_URI, "spiffe://elsewhere.example/gateway", here.cert);
	refused("somebody else's SVID", snapshot, "f.yaml:6:", "(other_domain)");
	put_pair("own", &here, TEST_DNS, "here.example", here.cert);
	refused("no SVID", snapshot, "f.yaml:6:", "(not_svid)");
	put_pair("own", &here, TEST_URI, "spiffe://here.example", here.cert);
	refused("an authority's name", snapshot, "f.yaml:6:", "(not_svid)");
	snapshot_free(snapshot);
	finish();
}

/* Whether the set lets in a client of the PKI corp. */
static enum cert_error
verdict(struct keyring *keyring, X509 *client)
{
	struct trust_view *view = trust_view_new(NULL);
	struct peer_identity *identity;
	STACK_OF(X509) *chain = TEST_CHAIN(client);

	trust_view_follow(view, keyring_trust(keyring));
	enum cert_error error = verify_legacy(view, "corp", chain, time(NULL), &identity);
	peer_identity_drop(identity);
	trust_view_free(view);
	sk_X509_free(chain);
	return error;
}

/* The keyring looks again; what it finds is in force. True when there was something new. */
static bool
poll(struct keyring *keyring, struct key_set **set)
{
	struct key_set *next = keyring_poll(keyring, *set);

	if (next == NULL)
		return false;
	keyring_commit(keyring, next);
	key_set_free(*set);
	*set = next;
	return true;
}

static void
test_rotation(void)
{
	begin();
	struct snapshot *snapshot = snapshot_of(FEDERATION(FILES) GATEWAY);
	struct keyring *keyring = keyring_create();
	struct key_set *set = load(keyring, snapshot);
	struct test_ca client = make((struct test_spec){.issuer = &corp, .sans = {{TEST_DNS, "a.corp.example", 0}}});

	keyring_commit(keyring, set);
	CU_ASSERT_EQUAL(verdict(keyring, client.cert), CERT_NONE);
	const struct credential *web = set->parts->credentials[0];
	uint8_t first[32];
	memcpy(first, web->chain_sha256, sizeof(first));

	/* Half of a new pair: the old one stays. And it keeps no revocation out. */
	struct test_ca leaf = make((struct test_spec){.issuer = &corp, .sans = {{TEST_DNS, "web.example", 0}}});
	char *chain_pem = test_pem(&leaf.cert, 1), *key_pem = test_key_pem(leaf.key);
	test_write(folder, "credentials/web/tls.crt", chain_pem, 0644);
	put_crl(client.cert);
	CU_ASSERT_TRUE(poll(keyring, &set));
	CU_ASSERT_EQUAL(memcmp(first, set->parts->credentials[0]->chain_sha256, sizeof(first)), 0);
	CU_ASSERT_PTR_NOT_NULL(set->servers[0][0].terms);
	CU_ASSERT_EQUAL(verdict(keyring, client.cert), CERT_REVOKED);

	/* The other half. */
	test_write(folder, "credentials/web/tls.key", key_pem, 0600);
	CU_ASSERT_TRUE(poll(keyring, &set));
	CU_ASSERT_NOT_EQUAL(memcmp(first, set->parts->credentials[0]->chain_sha256, sizeof(first)), 0);

	/* A list that is broken later: the one before goes on revoking. */
	test_write(folder, "corp.crl", "nonsense\n", 0644);
	remove_file("there.pem");
	remove_file("own/tls.key");
	CU_ASSERT_TRUE(poll(keyring, &set));
	CU_ASSERT_EQUAL(verdict(keyring, client.cert), CERT_REVOKED);
	CU_ASSERT_TRUE(trust_has_domain(set->trust, "there.example", 13));
	CU_ASSERT_STRING_EQUAL(set->own_id, "spiffe://here.example/gateway");
	CU_ASSERT_PTR_NOT_NULL(set->own);
	/* It is tried again by and by, not all the time. */
	CU_ASSERT_TRUE(set->renew_at <= time(NULL) + 60 && set->renew_at > time(NULL));

	free(chain_pem);
	free(key_pem);
	test_free(&leaf);
	test_free(&client);
	key_set_free(set);
	keyring_free(keyring);
	snapshot_free(snapshot);
	finish();
}

/* Nothing changed: nothing new, once the files aren't so young that a change might hide. */
static void
test_quiet(void)
{
	begin();
	struct snapshot *snapshot = snapshot_of(FEDERATION(FILES) GATEWAY);
	struct keyring *keyring = keyring_create();

	sleep(3);
	struct key_set *set = load(keyring, snapshot);
	keyring_commit(keyring, set);
	CU_ASSERT_FALSE(poll(keyring, &set));
	/* A federation that is refused changes nothing about what is in force. */
	struct snapshot *broken = snapshot_of(FEDERATION("identity: { files: nowhere }") GATEWAY);
	refused("no such folder", broken, "f.yaml:6:", "(credential_folder)");
	CU_ASSERT_FALSE(poll(keyring, &set));
	put_crl(NULL);
	CU_ASSERT_TRUE(poll(keyring, &set));
	/* Read at once, and once more when a second write of the same moment would show: not each time in between. */
	CU_ASSERT_FALSE(poll(keyring, &set));
	sleep(3);
	CU_ASSERT_TRUE(poll(keyring, &set));
	CU_ASSERT_FALSE(poll(keyring, &set));
	key_set_free(set);
	keyring_free(keyring);
	snapshot_free(broken);
	snapshot_free(snapshot);
	finish();
}

static void
add_ca(const char *domain)
{
	const struct ca_spec spec = {.trust_domain = domain, .key = CREDENTIAL_EC_P256, .days = 30};
	struct text message = {0};
	char path[256];
	unsigned n;

	snprintf(path, sizeof(path), "%s/ca", folder);
	TEST_NEED(mkdir(path, 0700) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), "%s/ca/%s", folder, domain);
	TEST_NEED(ca_folder_add(NULL, path, &spec, time(NULL) - 2 * TEST_HOUR, &n, &message));
	text_free(&message);
}

static void
test_embedded(void)
{
	begin();
	struct snapshot *own = snapshot_of(FEDERATION(EMBEDDED) MAP("here.example") GATEWAY);
	struct snapshot *other = snapshot_of(FEDERATION(EMBEDDED) MAP("ids.example") GATEWAY);
	struct keyring *keyring = keyring_create();

	refused("no CA", own, "f.yaml:6:", "the embedded CA: ");
	add_ca("here.example");
	/* A map of our own domain: one CA, one bundle. */
	struct key_set *set = load(keyring, own);
	CU_ASSERT_STRING_EQUAL(set->own_id, "spiffe://here.example/gateway/c1");
	CU_ASSERT_PTR_NOT_NULL(set->own);
	CU_ASSERT_STRING_EQUAL(set->servers[0][0].demand->owns[0], "here.example");
	CU_ASSERT_PTR_NULL(set->servers[0][0].demand->owns[1]);
	CU_ASSERT_TRUE(set->renew_at < time(NULL) + TEST_HOUR);
	key_set_free(set);

	/* Another domain's, which has no CA: mapped clients are vouched for by the gateway. Until there is one. */
	set = load(keyring, other);
	keyring_commit(keyring, set);
	CU_ASSERT_PTR_NULL(set->servers[0][0].demand->owns[1]);
	CU_ASSERT_FALSE(trust_has_domain(set->trust, "ids.example", 11));
	add_ca("ids.example");
	CU_ASSERT_TRUE(poll(keyring, &set));
	CU_ASSERT_STRING_EQUAL(set->servers[0][0].demand->owns[1], "ids.example");
	CU_ASSERT_TRUE(trust_has_domain(set->trust, "ids.example", 11));
	key_set_free(set);
	keyring_free(keyring);
	snapshot_free(own);
	snapshot_free(other);
	finish();
}

static const struct backend *
backend_of(const struct snapshot *snapshot, const char *host)
{
	const struct service *service = snapshot_service(snapshot, host, strlen(host));

	TEST_NEED(service != NULL && service->n_backends > 0);
	return &service->backends[0];
}

static void
expects(const struct key_set *set, const char *host, enum peer_anchors anchors, const char *pki, const char *name,
	const char *account)
{
	const struct backend *backend = backend_of(set->snapshot, host);
	struct peer_demand *demand = key_set_demand(backend, backend->endpoints[0]);

	CU_ASSERT_EQUAL(demand->role, PEER_SERVER);
	CU_ASSERT_EQUAL(demand->anchors, anchors);
	CU_ASSERT_STRING_EQUAL(demand->pki, pki);
	CU_ASSERT_EQUAL(demand->n_names, name != NULL);
	if (name != NULL && demand->n_names == 1)
		CU_ASSERT_STRING_EQUAL(demand->names[0], name);
	if (account != NULL) {
		CU_ASSERT_STRING_EQUAL(demand->domain, "here.example");
		CU_ASSERT_STRING_EQUAL(demand->space, "bank");
		CU_ASSERT_STRING_EQUAL(demand->account, account);
	}
	CU_ASSERT_PTR_NULL(demand->book);
	peer_demand_drop(demand);
}

static void
test_demands(void)
{
	/* clang-format off */
	static const char file[] = FEDERATION(FILES) GATEWAY
		SERVICE("istio", "MESH_INTERNAL", "{ address: 10.0.0.1, serviceAccount: till }")
		SERVICE("any", "MESH_INTERNAL", "{ address: 10.0.0.2 }")
		SERVICE("named", "MESH_INTERNAL", "{ address: 10.0.0.3 }")
		SERVICE("simple", "MESH_EXTERNAL", "{ address: 10.0.0.4 }")
		SERVICE("mutual", "MESH_EXTERNAL", "{ address: 10.0.0.5 }")
		RULE("istio", "{ mode: ISTIO_MUTUAL }")
		RULE("any", "{ mode: ISTIO_MUTUAL }")
		RULE("named", "{ mode: ISTIO_MUTUAL, subjectAltNames: [ \"spiffe://there.example/x\" ] }")
		RULE("simple", "{ mode: SIMPLE, credentialName: roots }")
		RULE("mutual", "{ mode: MUTUAL, credentialName: web, sni: x.example }");
	/* clang-format on */
	begin();
	TEST_NEED(mkdir("credentials/roots", 0700) == 0);
	put_certs("credentials/roots/ca.crt", corp.cert); /* and nothing else */
	struct snapshot *snapshot = snapshot_of(file);
	struct keyring *keyring = keyring_create();
	struct key_set *set = load(keyring, snapshot);
	char roots[160], web[160];

	snprintf(roots, sizeof(roots), "credential:%s/credentials/roots", folder);
	snprintf(web, sizeof(web), "credential:%s/credentials/web", folder);
	expects(set, "istio.example", PEER_ANCHORS_DOMAINS, "", NULL, "till");
	expects(set, "any.example", PEER_ANCHORS_DOMAINS, "", NULL, "");
	expects(set, "named.example", PEER_ANCHORS_DOMAINS, "", "spiffe://there.example/x", NULL);
	expects(set, "simple.example", PEER_ANCHORS_PKI, roots, "simple.example", NULL);
	expects(set, "mutual.example", PEER_ANCHORS_PKI, web, "x.example", NULL);

	CU_ASSERT_PTR_EQUAL(key_set_client(set, backend_of(snapshot, "istio.example")->tls), set->own);
	CU_ASSERT_PTR_EQUAL(key_set_client(set, backend_of(snapshot, "simple.example")->tls), set->anonymous);
	struct tls_terms *mutual = key_set_client(set, backend_of(snapshot, "mutual.example")->tls);
	CU_ASSERT_PTR_NOT_NULL(mutual);
	CU_ASSERT_PTR_NOT_EQUAL(mutual, set->own);
	CU_ASSERT_PTR_NOT_EQUAL(mutual, set->anonymous);
	key_set_free(set);
	keyring_free(keyring);
	remove_file("credentials/roots/ca.crt");
	refused("no roots", snapshot, "f.yaml:", "roots/ca.crt can't be read");
	snapshot_free(snapshot);
	finish();
}

/* What a Gateway's servers ask of their clients. */
static void
test_clients(void)
{
	begin();
	struct snapshot *snapshot = snapshot_of(FEDERATION(FILES) MAP("ids.example") GATEWAY);
	struct keyring *keyring = keyring_create();
	struct key_set *set = load(keyring, snapshot);

	for (uint16_t i = 0; i < snapshot->n_listeners; i++) {
		const struct listener *listener = &snapshot->listeners[i];
		const struct key_use *use = key_set_server(set, listener, &listener->tls[0]);
		bool legacy = listener->port == 443;
		CU_ASSERT_PTR_NOT_NULL_FATAL(use->demand);
		CU_ASSERT_EQUAL(use->demand->role, PEER_CLIENT);
		CU_ASSERT_EQUAL(use->demand->book != NULL, legacy);
		CU_ASSERT_EQUAL(use->demand->anchors, legacy ? PEER_ANCHORS_PKI : PEER_ANCHORS_DOMAINS);
		CU_ASSERT_STRING_EQUAL(use->demand->pki, legacy ? "corp" : "");
		CU_ASSERT_PTR_NOT_NULL(use->terms);
	}
	key_set_free(set);
	keyring_free(keyring);
	snapshot_free(snapshot);
	finish();
}

/* Bundles grow old. */
static void
test_staleness(void)
{
	static const char file[] =
		"apiVersion: postern.dev/v1alpha1\nkind: Federation\nmetadata: { name: here }\nspec:\n"
		"  trustDomain: here.example\n  identity: { files: own }\n  clusterID: c1\n  network: lan\n"
		"  federatesWith:\n"
		"  - { trustDomain: kept.example, bootstrapBundle: there.pem, staleness: { maxAge: 1h } }\n"
		"  - { trustDomain: left.example, bootstrapBundle: left.pem, staleness: { maxAge: 1h, onExpiry: "
		"distrust } }\n"
		"  legacyPKIs: [ { name: corp, anchors: [ corp.pem ], crls: [ corp.crl ] } ]\n";
	begin();
	struct test_ca left = make((struct test_spec){.cn = "left", .constraints = TEST_CA});
	put_certs("left.pem", left.cert);
	struct snapshot *snapshot = snapshot_of(file);
	struct keyring *keyring = keyring_create();
	struct key_set *set = load(keyring, snapshot);

	CU_ASSERT_TRUE(trust_has_domain(set->trust, "left.example", 12));
	/* Looked at again when its time is over, though nobody touches a file. */
	CU_ASSERT_TRUE(set->renew_at > time(NULL) + 3500 && set->renew_at <= time(NULL) + 3600);
	key_set_free(set);
	struct timespec old[2] = {{.tv_sec = time(NULL) - 3601}, {.tv_sec = time(NULL) - 3601}};
	TEST_NEED(utimensat(AT_FDCWD, "left.pem", old, 0) == 0 && utimensat(AT_FDCWD, "there.pem", old, 0) == 0);
	set = load(keyring, snapshot);
	CU_ASSERT_TRUE(trust_has_domain(set->trust, "kept.example", 12));
	CU_ASSERT_FALSE(trust_has_domain(set->trust, "left.example", 12));
	key_set_free(set);
	keyring_free(keyring);
	snapshot_free(snapshot);
	test_free(&left);
	finish();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"each file that is missing or wrong is refused with its line", test_refused},
		{"what goes wrong later stays as it was, and keeps nothing else out", test_rotation},
		{"nothing new where nothing changed", test_quiet},
		{"an embedded CA, and one that comes later", test_embedded},
		{"whom a way to endpoints expects", test_demands},
		{"what servers ask of their clients", test_clients},
		{"bundles that grow old", test_staleness},
		CU_TEST_INFO_NULL,
	};
	return unit_run("keyring", tests);
}
