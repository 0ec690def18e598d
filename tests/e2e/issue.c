/* SPDX-License-Identifier: Apache-2.0 */
/*
 * issue ROOT TRUST-DOMAIN SPIFFE-ID DIR: has the embedded CA below ROOT issue an SVID, into DIR/tls.crt and
 * DIR/tls.key, for others to judge.
 */
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "certs/issuer.h"
#include "platform/text.h"

static bool
write_pem(const char *folder, const struct credential *credential)
{
	EVP_PKEY *key = credential_load_key(credential, NULL);
	STACK_OF(X509) *chain = credential_load_chain(credential, NULL);

	if (chdir(folder) != 0)
		return false;
	umask(077);
	FILE *certificates = fopen("tls.crt", "we"), *keys = fopen("tls.key", "we");
	bool done = certificates != NULL && keys != NULL && PEM_write_PrivateKey(keys, key, NULL, NULL, 0, NULL, NULL);
	for (int i = 0; done && i < sk_X509_num(chain); i++)
		done = PEM_write_X509(certificates, sk_X509_value(chain, i)) == 1;
	if (certificates != NULL)
		done = fclose(certificates) == 0 && done;
	if (keys != NULL)
		done = fclose(keys) == 0 && done;
	sk_X509_pop_free(chain, X509_free);
	EVP_PKEY_free(key);
	return done;
}

int
main(int argc, char **argv)
{
	struct text message = {0};
	enum credential_error error;

	if (argc != 5) {
		fputs("usage: issue ROOT TRUST-DOMAIN SPIFFE-ID DIR\n", stderr);
		return 2;
	}
	const char *domain = argv[2];
	const struct issuer_config config = {.root = argv[1], .trust_domains = &domain, .n_trust_domains = 1};
	struct issuer *issuer = issuer_open(&config, &message);
	if (issuer == NULL) {
		fprintf(stderr, "issue: %s\n", message.bytes);
		return 1;
	}
	struct credential *credential = issuer_get(issuer, argv[3], strlen(argv[3]), time(NULL), &error);
	bool done = credential != NULL && write_pem(argv[4], credential);
	if (credential == NULL)
		fprintf(stderr, "issue: %s: %s\n", credential_error_text(error), credential_error_meaning(error));
	else if (!done)
		perror(argv[4]);
	credential_drop(credential);
	issuer_close(issuer);
	return done ? 0 : 1;
}
