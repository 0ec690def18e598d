/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ClientHello, as much of it as routing needs: server name, ALPN, versions. RFC 8446 section 4.1.2, RFC 5246
 * section 7.4.1.2, RFC 6066 section 3 (server_name), RFC 7301 (ALPN), RFC 8701 (GREASE), draft-ietf-tls-esni (outer).
 *
 * A pure function over (pointer, length): no state, no allocation, nothing kept. It is called again on the longer
 * prefix when more bytes arrive. The hello may span several TLS records (each at most 2^14 bytes) in which case its
 * body is not contiguous; the parser walks it through a cursor that steps over record headers.
 *
 * Verdicts are final: a prefix that gets one other than CLIENT_HELLO_MORE gets the same one at any greater length, and
 * a wrong beginning gets it with the first byte that doesn't fit what came before. (CLIENT_HELLO_BAD_NAME needs the
 * whole hello.)
 */
#ifndef POSTERN_GATEWAY_CLIENT_HELLO_H
#define POSTERN_GATEWAY_CLIENT_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLIENT_HELLO_SNI_MAX = 255, CLIENT_HELLO_ALPN_MAX = 8, CLIENT_HELLO_ALPN_NAME_MAX = 31 };

enum client_hello_verdict {
	CLIENT_HELLO_WHOLE,
	CLIENT_HELLO_MORE,      /* a right beginning; more bytes are needed */
	CLIENT_HELLO_NOT_TLS,   /* the first record isn't a TLS handshake record */
	CLIENT_HELLO_MALFORMED, /* lengths that disagree, duplicate extensions, more than 64 of types above 63, two host
				   names, wrong handshake type, anything after the hello in its record, … */
	CLIENT_HELLO_BAD_NAME   /* well-formed, but the server name isn't a host name: empty, over 253 bytes, a label
				   empty or over 63 bytes, bytes other than letters, digits, '-', '_' and '.', an IP
				   literal (the last label is all digits) */
};

struct client_hello {
	uint16_t sni_length;                /* 0: no server_name extension */
	char sni[CLIENT_HELLO_SNI_MAX + 1]; /* lower-case, one trailing dot removed, NUL-terminated */
	uint8_t n_alpn; /* names kept, in the client's order; further ones and over-long ones are skipped */
	struct {
		uint8_t length;
		char bytes[CLIENT_HELLO_ALPN_NAME_MAX + 1];
	} alpn[CLIENT_HELLO_ALPN_MAX];
	uint16_t legacy_version;
	bool tls13;      /* supported_versions offers 0x0304 */
	bool tls12;      /* offers 0x0303 there, or by legacy_version where the extension is absent */
	bool ech;        /* encrypted_client_hello is present (outer hello): the name is the public one */
	uint32_t length; /* bytes of the stream that the hello took, record headers included */
};

/* bytes: the stream from its beginning. On anything but CLIENT_HELLO_WHOLE *hello is unspecified, but for its length on
 * CLIENT_HELLO_MORE: the least that the whole hello will take of the stream, by what it says of itself; 0 while it
 * hasn't said it. */
enum client_hello_verdict client_hello_parse(const uint8_t *bytes, size_t length, struct client_hello *hello);

#endif
