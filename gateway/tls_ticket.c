/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tls_ticket.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <string.h>

enum { IV = 16 };

/* HMAC-SHA256 of a label, cut to length. */
static bool
derive(const struct tls_ticket_keys *keys, const char *label, uint8_t *to, size_t length)
{
	uint8_t mac[TLS_TICKET_KEY];
	size_t got;

	if (EVP_Q_mac(keys->libctx, "HMAC", NULL, "SHA256", NULL, keys->chain, sizeof(keys->chain),
		      (const uint8_t *)label, strlen(label), mac, sizeof(mac), &got) == NULL)
		return false;
	memcpy(to, mac, length);
	OPENSSL_cleanse(mac, sizeof(mac));
	return true;
}

static bool
derive_current(struct tls_ticket_keys *keys)
{
	struct tls_ticket_key *key = &keys->current;

	return derive(keys, "name", key->name, sizeof(key->name)) &&
	       derive(keys, "encryption", key->encryption, sizeof(key->encryption)) &&
	       derive(keys, "authentication", key->authentication, sizeof(key->authentication));
}

bool
tls_ticket_keys_open(struct tls_ticket_keys *keys, OSSL_LIB_CTX *libctx, const uint8_t seed[TLS_TICKET_SEED],
		     int64_t now)
{
	*keys = (struct tls_ticket_keys){.libctx = libctx, .next_s = now + TLS_TICKET_PERIOD_S};
	memcpy(keys->chain, seed, TLS_TICKET_SEED);
	keys->cipher = EVP_CIPHER_fetch(libctx, "AES-256-CBC", NULL);
	if (keys->cipher != NULL && derive_current(keys))
		return true;
	tls_ticket_keys_close(keys);
	return false;
}

void
tls_ticket_keys_close(struct tls_ticket_keys *keys)
{
	EVP_CIPHER_free(keys->cipher);
	OPENSSL_cleanse(keys, sizeof(*keys));
}

void
tls_ticket_keys_turn(struct tls_ticket_keys *keys, int64_t now)
{
	for (; now >= keys->next_s; keys->next_s += TLS_TICKET_PERIOD_S) {
		keys->previous = keys->current;
		/* Without memory the keys stay for another period. */
		if (!derive(keys, "next", keys->chain, sizeof(keys->chain)) || !derive_current(keys))
			keys->current = keys->previous;
	}
}

int
tls_ticket_keys_apply(struct tls_ticket_keys *keys, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher,
		      EVP_MAC_CTX *mac, bool encrypt)
{
	static const struct tls_ticket_key none;
	struct tls_ticket_key *key = &keys->current;

	if (encrypt) {
		memcpy(name, key->name, sizeof(key->name));
		if (RAND_bytes_ex(keys->libctx, iv, IV, 0) != 1)
			return -1;
	} else if (memcmp(name, key->name, sizeof(key->name)) != 0) {
		key = &keys->previous;
		if (memcmp(name, key->name, sizeof(key->name)) != 0 || memcmp(key, &none, sizeof(none)) == 0)
			return 0;
	}
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->authentication, sizeof(key->authentication)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	if (EVP_MAC_CTX_set_params(mac, parameters) != 1 ||
	    EVP_CipherInit_ex(cipher, keys->cipher, NULL, key->encryption, iv, encrypt) != 1)
		return -1;
	return key == &keys->previous ? 2 : 1;
}
