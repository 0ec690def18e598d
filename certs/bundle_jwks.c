/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SPIFFE bundle from its JWKS document.
 *
 * Jansson parses the JSON; a scan of our own goes first and does what Jansson can't. It bounds nesting and the number
 * of values before anything is allocated for them. And it reads the two integers: JSON has no widths, Jansson's
 * integers end at 2^63 - 1, and a sequence number may be any of 64 bits; so Jansson takes all numbers for reals, which
 * fits everything, and the exact digits come from the scan.
 */
#include <jansson.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "certs/bundle.h"
#include "certs/bundle_build.h"

enum { VALUES_MAX = 16384 /* in a document: BUNDLE_KEYS_MAX keys of 60 members */ };

/* The text of a number in the outermost object. */
struct number {
	const char *name;
	const char *text; /* NULL: not there */
	size_t length;
};

struct scan {
	const char *at, *end;
	unsigned depth, values;
	const char *string; /* the last text seen in the outermost object */
	size_t string_length;
	struct number sequence, refresh_hint;
};

/* at is behind the opening quote; moves it behind the closing one. */
static void
skip_string(struct scan *scan)
{
	scan->string = scan->at;
	while (scan->at < scan->end && *scan->at != '"')
		scan->at += *scan->at == '\\' && scan->end - scan->at > 1 ? 2 : 1;
	scan->string_length = (size_t)(scan->at - scan->string);
	if (scan->at < scan->end)
		scan->at++;
}

static bool
is_name(const struct scan *scan, const char *name)
{
	return scan->string != NULL && scan->string_length == strlen(name) &&
	       memcmp(scan->string, name, scan->string_length) == 0;
}

/* at is behind a colon of the outermost object. */
static void
take_number(struct scan *scan, struct number *number)
{
	const char *at = scan->at;

	if (!is_name(scan, number->name))
		return;
	while (at < scan->end && strchr(" \t\r\n", *at) != NULL && *at != '\0')
		at++;
	number->text = at;
	while (at < scan->end && strchr(",} \t\r\n", *at) == NULL)
		at++;
	number->length = (size_t)(at - number->text);
}

static enum cert_error
scan_document(struct scan *scan)
{
	while (scan->at < scan->end) {
		switch (*scan->at++) {
		case '"':
			skip_string(scan);
			break;
		case '{':
		case '[':
			if (++scan->depth > BUNDLE_DEPTH_MAX)
				return CERT_BUNDLE_DEPTH;
			if (++scan->values > VALUES_MAX)
				return CERT_BUNDLE_MANY_KEYS;
			break;
		case '}':
		case ']':
			scan->depth -= scan->depth > 0;
			break;
		case ',':
			if (++scan->values > VALUES_MAX)
				return CERT_BUNDLE_MANY_KEYS;
			break;
		case ':':
			if (scan->depth == 1) {
				take_number(scan, &scan->sequence);
				take_number(scan, &scan->refresh_hint);
			}
			break;
		default:
			break;
		}
	}
	return CERT_NONE;
}

/* Digits, perhaps behind a minus. A number of more than 64 bits saturates, and *exact becomes false. */
static bool
parse_integer(const struct number *number, bool *negative, uint64_t *value, bool *exact)
{
	size_t i = 0;

	*negative = number->length > 0 && number->text[0] == '-';
	i += *negative;
	*value = 0;
	*exact = true;
	if (i == number->length)
		return false;
	for (; i < number->length; i++) {
		unsigned digit = (unsigned)(number->text[i] - '0');
		if (digit > 9)
			return false;
		if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, digit, value))
			*exact = false;
		if (!*exact)
			*value = UINT64_MAX;
	}
	return true;
}

static enum cert_error
read_sequence(const struct number *number, struct bundle *bundle)
{
	bool negative, exact;

	if (number->text == NULL)
		return CERT_NONE;
	if (!parse_integer(number, &negative, &bundle->sequence, &exact) || negative || !exact)
		return CERT_BUNDLE_SEQUENCE;
	bundle->has_sequence = true;
	return CERT_NONE;
}

static enum cert_error
read_refresh_hint(const struct number *number, struct bundle *bundle)
{
	bool negative, exact;
	uint64_t value;

	if (number->text == NULL)
		return CERT_NONE;
	if (!parse_integer(number, &negative, &value, &exact))
		return CERT_BUNDLE_REFRESH_HINT;
	if (negative || value < BUNDLE_REFRESH_MIN)
		bundle->refresh_s = BUNDLE_REFRESH_MIN;
	else
		bundle->refresh_s = value > BUNDLE_REFRESH_MAX ? BUNDLE_REFRESH_MAX : (uint32_t)value;
	return CERT_NONE;
}

/* RFC 4648 section 4, padded, without line ends. *der is the caller's to free. */
static enum cert_error
decode_base64(const char *text, size_t length, uint8_t **der, size_t *der_length)
{
	static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t padding = 0;

	*der = NULL;
	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	if (length == 0 || length % 4 != 0 || length > INT_MAX || strspn(text, ALPHABET) != length - padding)
		return CERT_BUNDLE_BASE64;
	*der = malloc(length / 4 * 3);
	if (*der == NULL)
		return CERT_MEMORY;
	int decoded = EVP_DecodeBlock(*der, (const unsigned char *)text, (int)length);
	if (decoded < (int)padding + 1) {
		free(*der);
		return CERT_BUNDLE_BASE64;
	}
	*der_length = (size_t)decoded - padding;
	return CERT_NONE;
}

static bool
is_one_of(const json_t *text, const char *const *values)
{
	for (; *values != NULL; values++)
		if (json_is_string(text) && json_string_length(text) == strlen(*values) &&
		    strcmp(json_string_value(text), *values) == 0)
			return true;
	return false;
}

static enum cert_error
read_key(const json_t *key, struct bundle_draft *draft, uint32_t *passed_over)
{
	static const char *const USES[] = {"x509-svid", NULL}, *const TYPES[] = {"RSA", "EC", "OKP", NULL};
	uint8_t *der;
	size_t length;

	if (!json_is_object(key))
		return CERT_BUNDLE_KEY_SHAPE;
	const json_t *x5c = json_object_get(key, "x5c");
	if (!is_one_of(json_object_get(key, "use"), USES) || !is_one_of(json_object_get(key, "kty"), TYPES) ||
	    x5c == NULL || (json_is_array(x5c) && json_array_size(x5c) == 0)) {
		++*passed_over;
		return CERT_NONE;
	}
	const json_t *first = json_array_get(x5c, 0);
	if (!json_is_string(first))
		return CERT_BUNDLE_KEY_SHAPE;
	enum cert_error error = decode_base64(json_string_value(first), json_string_length(first), &der, &length);
	if (error != CERT_NONE)
		return error;
	error = bundle_draft_add(draft, der, length);
	free(der);
	return error;
}

static enum cert_error
read_keys(const json_t *root, struct bundle_draft *draft, uint32_t *passed_over)
{
	const json_t *keys = json_object_get(root, "keys");
	enum cert_error error = CERT_NONE;

	if (!json_is_array(keys))
		return CERT_BUNDLE_NO_KEYS;
	if (json_array_size(keys) > BUNDLE_KEYS_MAX)
		return CERT_BUNDLE_MANY_KEYS;
	for (size_t i = 0; i < json_array_size(keys) && error == CERT_NONE; i++)
		error = read_key(json_array_get(keys, i), draft, passed_over);
	return error;
}

/* A number that Jansson saw and the scan didn't: its name was written with escapes, as nobody honest does. */
static bool
is_hidden(const json_t *root, const struct number *number)
{
	return number->text == NULL && json_object_get(root, number->name) != NULL;
}

static enum cert_error
read_document(const json_t *root, const struct scan *scan, struct bundle **bundle)
{
	uint32_t passed_over = 0;
	struct bundle_draft *draft = bundle_draft_new();

	if (draft == NULL)
		return CERT_MEMORY;
	enum cert_error error = read_keys(root, draft, &passed_over);
	if (error == CERT_NONE && is_hidden(root, &scan->sequence))
		error = CERT_BUNDLE_SEQUENCE;
	if (error == CERT_NONE && is_hidden(root, &scan->refresh_hint))
		error = CERT_BUNDLE_REFRESH_HINT;
	if (error == CERT_NONE && (*bundle = bundle_draft_build(draft)) == NULL)
		error = CERT_MEMORY;
	bundle_draft_free(draft);
	if (error != CERT_NONE)
		return error;
	(*bundle)->n_passed_over = passed_over;
	error = read_sequence(&scan->sequence, *bundle);
	if (error == CERT_NONE)
		error = read_refresh_hint(&scan->refresh_hint, *bundle);
	if (error != CERT_NONE) {
		bundle_drop(*bundle);
		*bundle = NULL;
	}
	return error;
}

enum cert_error
bundle_parse_jwks(const char *text, size_t length, struct bundle **bundle)
{
	struct scan scan = {.at = text,
			    .end = text + length,
			    .sequence.name = "spiffe_sequence",
			    .refresh_hint.name = "spiffe_refresh_hint"};
	json_error_t wrong;

	*bundle = NULL;
	if (length > BUNDLE_BYTES_MAX)
		return CERT_BUNDLE_LARGE;
	enum cert_error error = scan_document(&scan);
	if (error != CERT_NONE)
		return error;
	json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &wrong);
	if (root == NULL)
		return json_error_code(&wrong) == json_error_duplicate_key ? CERT_BUNDLE_DUPLICATE : CERT_BUNDLE_SYNTAX;
	error = json_is_object(root) ? read_document(root, &scan, bundle) : CERT_BUNDLE_SYNTAX;
	json_decref(root);
	return error;
}
