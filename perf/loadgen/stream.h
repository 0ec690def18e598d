/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes that a connection carries, as a function of the position in its stream: nothing is kept for each
 * connection, a retransmission is made anew, and the receiver knows what must come.
 *
 *	client  │ ClientHello (one of the names), its random and session id stamped │ pattern …
 *	server  │ ServerHello, the session id echoed as TLS does, a record header   │ pattern …
 *
 * The stamp is the client's number, so bytes that reach another connection than their own are seen. The pattern repeats
 * every STREAM_PERIOD bytes; sums over its beginnings are kept, so that the checksum of a segment costs the same at any
 * length. Positions are 32 bits wide: after 4 GiB the stream begins again.
 */
#ifndef POSTERN_PERF_LOADGEN_STREAM_H
#define POSTERN_PERF_LOADGEN_STREAM_H

#include <stdbool.h>
#include <stdint.h>

enum {
	STREAM_PERIOD = 4096,
	STREAM_SEGMENT_MAX = 2048, /* longest piece that is written or checked at a time */
	STREAM_HELLO_MIN = 460,    /* bytes of a ClientHello: what the longest name leaves no padding in */
	STREAM_HELLO_MAX = 16000,
	STREAM_NAME_MAX = 253,
	STREAM_SERVER_HEAD = 138,              /* bytes before the server's pattern */
	STREAM_REPLY_MIN = STREAM_SERVER_HEAD, /* of the server's first answer */
	STREAM_STAMP_AT = 44,                  /* position of the session id in both hellos */
	STREAM_STAMP_END = STREAM_STAMP_AT + 4,
};

struct stream {
	uint8_t *heads; /* n_heads of head_length bytes, their stamps zero */
	uint64_t *sums; /* of each, by checksum_sum */
	uint32_t n_heads;
	uint32_t head_length;
};

/* Fills *stream with a ClientHello of length bytes for each name; padded by RFC 7685. */
void stream_init_client(struct stream *stream, const char *const *names, uint32_t n_names, uint32_t length);
/* reply_length: of the first answer, head included; what the application record says that it has. */
void stream_init_server(struct stream *stream, uint32_t reply_length);

void stream_free(struct stream *stream);

/* Writes the n bytes at position at. Returns their sum (checksum_sum's, as if they began at an even offset). */
uint64_t stream_write(const struct stream *stream, uint32_t stamp, uint32_t at, uint32_t n, uint8_t *to);

/* Whether the n bytes are those at that position: all of them (whole), or the first and the last few. */
bool stream_check(const struct stream *stream, uint32_t stamp, uint32_t at, const uint8_t *bytes, uint32_t n,
		  bool whole);

/* Takes what the bytes at position at have of the stamp over into *stamp. True when that was its last byte. */
bool stream_take_stamp(uint32_t at, const uint8_t *bytes, uint32_t n, uint32_t *stamp);

#endif
