/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates for tests: CAs and leaves with whatever names and extensions a case wants, right or wrong, by OpenSSL's
 * API; what OpenSSL refuses to make is patched in DER. All dates are counted from TEST_NOW, so that no test depends
 * on the day. Failing to make one ends the test program.
 */
#ifndef POSTERN_TESTS_UNIT_TEST_CA_H
#define POSTERN_TESTS_UNIT_TEST_CA_H

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEST_NOW = 1800000000, TEST_HOUR = 3600, TEST_DAY = 86400 };

#define TEST_NEED(condition)                                                                                           \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

/* A subject alternative name, counted: NULs may be in it. Of TEST_OTHER the value is a UTF8String. */
enum test_san_kind {
	TEST_URI = GEN_URI,
	TEST_DNS = GEN_DNS,
	TEST_EMAIL = GEN_EMAIL,
	TEST_IP = GEN_IPADD,
	TEST_OTHER = GEN_OTHERNAME
};
struct test_san {
	enum test_san_kind kind;
	const char *bytes;
	size_t length; /* 0: as strlen says */
};

enum { TEST_SANS = 8, TEST_NOT_CA = 0, TEST_CA = 1, TEST_NO_CONSTRAINTS = 2 };

struct test_ca {
	X509 *cert;
	EVP_PKEY *key;
};

/* What a certificate is to be; zeroes are a valid leaf of the issuer, P-256, an hour old, a day to live. */
struct test_spec {
	const char *cn;
	const struct test_ca *issuer; /* NULL: self-signed */
	EVP_PKEY *key;                /* NULL: a fresh P-256; else a reference is taken */
	struct test_san sans[TEST_SANS];
	unsigned n_extra_dns;       /* so many more DNS names */
	int constraints;            /* TEST_NOT_CA, TEST_CA, TEST_NO_CONSTRAINTS (no extension) */
	int path_length;            /* of a CA: n + 1; 0 for none */
	const char *key_usage;      /* OpenSSL's configuration syntax; NULL: usual; "" for none */
	const char *extended_usage; /* the same */
	const char *name_constraints;
	const struct test_san *constraint_raw; /* a name constraint, counted: excluded, or permitted */
	bool permitted;
	const char *must_staple; /* "status_request" */
	bool no_key_ids, unknown_critical, version_1;
	int64_t from, until; /* seconds from TEST_NOW; both 0: usual */
	const EVP_MD *hash;  /* NULL: SHA-256, or none for Ed25519 */
};

static inline EVP_PKEY *
test_key(const char *kind)
{
	EVP_PKEY *key;

	if (strncmp(kind, "RSA-", 4) == 0)
		key = EVP_RSA_gen((unsigned)atoi(kind + 4));
	else if (strcmp(kind, "ED25519") == 0)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else
		key = EVP_EC_gen(kind);
	TEST_NEED(key != NULL);
	return key;
}

static inline void
test_add_conf(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	if (value == NULL || value[0] == '\0')
		return;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	TEST_NEED(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static inline GENERAL_NAME *
test_general_name(const struct test_san *san)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	size_t length = san->length != 0 ? san->length : strlen(san->bytes);

	TEST_NEED(name != NULL);
	if (san->kind == TEST_OTHER) {
		ASN1_TYPE *value = ASN1_TYPE_new();
		ASN1_UTF8STRING *text = ASN1_UTF8STRING_new();
		ASN1_STRING_set(text, san->bytes, (int)length);
		ASN1_TYPE_set(value, V_ASN1_UTF8STRING, text);
		TEST_NEED(GENERAL_NAME_set0_othername(name, OBJ_txt2obj("1.3.6.1.4.1.311.20.2.3", 1), value) == 1);
	} else {
		ASN1_STRING *text = ASN1_STRING_type_new(san->kind == TEST_IP ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
		TEST_NEED(text != NULL && ASN1_STRING_set(text, san->bytes, (int)length) == 1);
		GENERAL_NAME_set0_value(name, (int)san->kind, text);
	}
	return name;
}

static inline void
test_add_sans(X509 *cert, const struct test_spec *spec)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	char dns[32];

	for (unsigned i = 0; i < TEST_SANS && spec->sans[i].bytes != NULL; i++)
		sk_GENERAL_NAME_push(names, test_general_name(&spec->sans[i]));
	for (unsigned i = 0; i < spec->n_extra_dns; i++) {
		snprintf(dns, sizeof(dns), "host-%u.example", i);
		sk_GENERAL_NAME_push(names, test_general_name(&(struct test_san){TEST_DNS, dns, 0}));
	}
	if (sk_GENERAL_NAME_num(names) > 0)
		TEST_NEED(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1);
	GENERAL_NAMES_free(names);
}

static inline void
test_add_constraint(X509 *cert, const struct test_san *san, bool permitted)
{
	NAME_CONSTRAINTS *constraints = NAME_CONSTRAINTS_new();
	GENERAL_SUBTREE *subtree = GENERAL_SUBTREE_new();
	STACK_OF(GENERAL_SUBTREE) *subtrees = sk_GENERAL_SUBTREE_new_null();

	GENERAL_NAME_free(subtree->base);
	subtree->base = test_general_name(san);
	sk_GENERAL_SUBTREE_push(subtrees, subtree);
	*(permitted ? &constraints->permittedSubtrees : &constraints->excludedSubtrees) = subtrees;
	TEST_NEED(X509_add1_ext_i2d(cert, NID_name_constraints, constraints, 1, 0) == 1);
	NAME_CONSTRAINTS_free(constraints);
}

static inline void
test_add_extensions(X509 *cert, X509 *issuer, const struct test_spec *spec)
{
	bool ca = spec->constraints == TEST_CA;
	char text[64];

	if (ca && spec->path_length > 0)
		snprintf(text, sizeof(text), "critical,CA:TRUE,pathlen:%d", spec->path_length - 1);
	else
		snprintf(text, sizeof(text), "critical,CA:%s", ca ? "TRUE" : "FALSE");
	if (spec->constraints != TEST_NO_CONSTRAINTS)
		test_add_conf(cert, issuer, NID_basic_constraints, text);
	test_add_conf(cert, issuer, NID_key_usage,
		      spec->key_usage != NULL ? spec->key_usage
		      : ca                    ? "critical,keyCertSign,cRLSign"
					      : "critical,digitalSignature");
	test_add_conf(cert, issuer, NID_ext_key_usage,
		      spec->extended_usage != NULL ? spec->extended_usage
		      : ca                         ? ""
						   : "serverAuth,clientAuth");
	test_add_conf(cert, issuer, NID_name_constraints, spec->name_constraints);
	test_add_conf(cert, issuer, NID_tlsfeature, spec->must_staple);
	if (spec->constraint_raw != NULL)
		test_add_constraint(cert, spec->constraint_raw, spec->permitted);
	if (!spec->no_key_ids) {
		test_add_conf(cert, issuer, NID_subject_key_identifier, "hash");
		if (spec->issuer != NULL && X509_get0_subject_key_id(issuer) != NULL)
			test_add_conf(cert, issuer, NID_authority_key_identifier, "keyid");
	}
	if (spec->unknown_critical) {
		ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
		ASN1_OBJECT *object = OBJ_txt2obj("1.2.3.4.5.6", 1);
		ASN1_OCTET_STRING_set(value, (const unsigned char *)"\5\0", 2);
		X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, object, 1, value);
		TEST_NEED(X509_add_ext(cert, extension, -1) == 1);
		X509_EXTENSION_free(extension);
		ASN1_OBJECT_free(object);
		ASN1_OCTET_STRING_free(value);
	}
	test_add_sans(cert, spec);
}

/* Certificate and key are the caller's: test_free. */
static inline struct test_ca
test_make(const struct test_spec *spec)
{
	static long serial = 1000;
	struct test_ca made = {X509_new(), spec->key};
	bool usual = spec->from == 0 && spec->until == 0;

	if (made.key == NULL)
		made.key = test_key("P-256");
	else
		EVP_PKEY_up_ref(made.key);
	const struct test_ca *issuer = spec->issuer != NULL ? spec->issuer : &made;
	X509_set_version(made.cert, spec->version_1 ? X509_VERSION_1 : X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(made.cert), ++serial);
	X509_time_adj_ex(X509_getm_notBefore(made.cert), 0, usual ? -TEST_HOUR : (long)spec->from, &(time_t){TEST_NOW});
	X509_time_adj_ex(X509_getm_notAfter(made.cert), 0, usual ? TEST_DAY : (long)spec->until, &(time_t){TEST_NOW});
	X509_set_pubkey(made.cert, made.key);
	X509_NAME *subject = X509_get_subject_name(made.cert);
	if (spec->cn != NULL)
		TEST_NEED(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)spec->cn, -1,
						     -1, 0) == 1);
	X509_set_issuer_name(made.cert, X509_get_subject_name(issuer->cert));
	if (!spec->version_1)
		test_add_extensions(made.cert, issuer->cert, spec);
	const EVP_MD *hash = EVP_PKEY_is_a(issuer->key, "ED25519") ? NULL
			     : spec->hash != NULL                  ? spec->hash
								   : EVP_sha256();
	TEST_NEED(X509_sign(made.cert, issuer->key, hash) > 0);
	return made;
}

static inline struct test_ca
test_root(const char *cn)
{
	return test_make(&(struct test_spec){.cn = cn, .constraints = TEST_CA});
}

/* A leaf with one name. */
static inline struct test_ca
test_leaf(const struct test_ca *issuer, enum test_san_kind kind, const char *name)
{
	return test_make(&(struct test_spec){.issuer = issuer, .sans = {{kind, name, 0}}});
}

static inline void
test_free(struct test_ca *ca)
{
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
	*ca = (struct test_ca){0};
}

/* A chain as SSL gives it; borrowed, ended by NULL. sk_X509_free. */
#define TEST_CHAIN(...) test_chain((X509 *[]){__VA_ARGS__, NULL})
static inline STACK_OF(X509) *
test_chain(X509 **certs)
{
	STACK_OF(X509) *chain = sk_X509_new_null();

	for (; *certs != NULL; certs++)
		sk_X509_push(chain, *certs);
	return chain;
}

/* DER; OPENSSL_free. */
static inline unsigned char *
test_der(X509 *cert, size_t *length)
{
	unsigned char *der = NULL;
	int n = i2d_X509(cert, &der);

	TEST_NEED(n > 0);
	*length = (size_t)n;
	return der;
}

/* PEM of n certificates, NUL-terminated; free. */
static inline char *
test_pem(X509 *const *certs, unsigned n)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *bytes;

	for (unsigned i = 0; i < n; i++)
		TEST_NEED(PEM_write_bio_X509(bio, certs[i]) == 1);
	long length = BIO_get_mem_data(bio, &bytes);
	char *text = strndup(bytes, (size_t)length);
	BIO_free(bio);
	return text;
}

/* A revocation list of the CA: serials of n certificates. until: seconds from TEST_NOW, INT64_MAX for no nextUpdate.
 * DER; OPENSSL_free. */
static inline unsigned char *
test_crl(const struct test_ca *ca, X509 *const *revoked, unsigned n, int64_t from, int64_t until, const EVP_MD *hash,
	 size_t *length)
{
	X509_CRL *crl = X509_CRL_new();
	unsigned char *der = NULL;
	ASN1_TIME *time = X509_time_adj_ex(NULL, 0, (long)from, &(time_t){TEST_NOW});

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert));
	X509_CRL_set1_lastUpdate(crl, time);
	for (unsigned i = 0; i < n; i++) {
		X509_REVOKED *entry = X509_REVOKED_new();
		X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked[i]));
		X509_REVOKED_set_revocationDate(entry, time);
		X509_CRL_add0_revoked(crl, entry);
	}
	ASN1_TIME_free(time);
	if (until != INT64_MAX) {
		time = X509_time_adj_ex(NULL, 0, (long)until, &(time_t){TEST_NOW});
		X509_CRL_set1_nextUpdate(crl, time);
		ASN1_TIME_free(time);
	}
	X509_CRL_sort(crl);
	TEST_NEED(X509_CRL_sign(crl, ca->key, hash) > 0);
	int size = i2d_X509_CRL(crl, &der);
	TEST_NEED(size > 0);
	X509_CRL_free(crl);
	*length = (size_t)size;
	return der;
}

/* An OCSP response about cert, signed by signer, whose certificate goes along unless it is the issuer. status:
 * V_OCSP_CERTSTATUS_*. DER; OPENSSL_free. */
static inline unsigned char *
test_staple(X509 *cert, const struct test_ca *issuer, const struct test_ca *signer, int status, int64_t from,
	    int64_t until, size_t *length)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), cert, issuer->cert);
	ASN1_TIME *this_update = ASN1_GENERALIZEDTIME_adj(NULL, TEST_NOW, 0, (long)from);
	ASN1_TIME *next_update = until != INT64_MAX ? ASN1_GENERALIZEDTIME_adj(NULL, TEST_NOW, 0, (long)until) : NULL;
	unsigned char *der = NULL;

	TEST_NEED(OCSP_basic_add1_status(basic, id, status, 0, status == V_OCSP_CERTSTATUS_REVOKED ? this_update : NULL,
					 this_update, next_update) != NULL);
	TEST_NEED(OCSP_basic_sign(basic, signer->cert, signer->key, EVP_sha256(), NULL,
				  signer == issuer ? OCSP_NOCERTS : 0) == 1);
	OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	int size = i2d_OCSP_RESPONSE(response, &der);
	TEST_NEED(size > 0);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(this_update);
	ASN1_TIME_free(next_update);
	*length = (size_t)size;
	return der;
}

#endif
