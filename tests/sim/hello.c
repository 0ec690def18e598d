/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/hello.h"

#include <stdio.h>
#include <string.h>

enum {
	VARIANTS = 11,
	SPACING = 20000, /* from one to the next */
	RECORD_HEADER = 5,
	FILLER_TYPE = 0x4469, /* an extension that nobody here knows; its body stays noise */
	SERVER_NAME_TYPE = 0
};

/* Lengths of the handshake message, and into records of how many bytes it is cut. */
static const struct {
	uint16_t message, record;
} SHAPES[VARIANTS] = {
	{250, 16384}, {300, 100},   {517, 16384},  {600, 300},     {900, 64},     {1500, 16384},
	{1750, 512},  {2200, 1460}, {5000, 16384}, {12000, 16384}, {16000, 4000},
};

static uint32_t
place(enum hello_kind kind, unsigned service, unsigned variant)
{
	return (((uint32_t)kind * HELLO_SERVICES + service) * VARIANTS + variant) * SPACING;
}

static void
put_16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void
name_of(enum hello_kind kind, unsigned service, char name[64])
{
	static const char *const FORMATS[HELLO_KINDS] = {
		[HELLO_BY_NAME] = "s%u.sim.example",
		[HELLO_BY_ISTIO] = "outbound_.8443_._.s%u.mesh.example",
		[HELLO_UNKNOWN] = "nobody%u.example.net",
		[HELLO_UNKNOWN_ISTIO] = "outbound_.8443_._.nobody%u.mesh.example",
		[HELLO_NAMELESS] = "",
		[HELLO_TOO_LARGE] = "s%u.sim.example",
	};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(name, 64, FORMATS[kind], service);
#pragma GCC diagnostic pop
}

/* The handshake message, length bytes in all; what isn't written stays as it was. */
static void
write_message(uint8_t *at, uint32_t length, const char *name)
{
	uint32_t n = (uint32_t)strlen(name), begin;
	uint8_t *from = at;

	at[0] = 1; /* client_hello */
	at[1] = 0;
	put_16(at + 2, length - 4);
	put_16(at + 4, 0x0303);
	at += 6 + 32;                                             /* random */
	*at++ = 0;                                                /* session id */
	memcpy(at, (const uint8_t[]){0, 2, 0x13, 0x01, 1, 0}, 6); /* one suite, no compression */
	at += 6;
	put_16(at, length - (uint32_t)(at - from) - 2);
	at += 2;
	if (n != 0) {
		put_16(at, SERVER_NAME_TYPE);
		put_16(at + 2, n + 5);
		put_16(at + 4, n + 3);
		at[6] = 0;
		put_16(at + 7, n);
		memcpy(at + 9, name, n);
		at += 9 + n;
	}
	begin = (uint32_t)(at - from);
	put_16(at, FILLER_TYPE);
	put_16(at + 2, length - begin - 4);
}

static uint32_t
records_length(uint32_t message, uint32_t record)
{
	return message + (message + record - 1) / record * RECORD_HEADER;
}

static void
message_shape(enum hello_kind kind, unsigned variant, uint32_t *message, uint32_t *record)
{
	*message = kind == HELLO_TOO_LARGE ? 16500u + 100u * variant : SHAPES[variant].message;
	*record = SHAPES[variant].record;
}

void
hello_plant(uint8_t *noise)
{
	static uint8_t text[SPACING];
	char name[64];

	for (unsigned kind = 0; kind < HELLO_KINDS; kind++)
		for (unsigned service = 0; service < HELLO_SERVICES; service++)
			for (unsigned variant = 0; variant < VARIANTS; variant++) {
				uint8_t *at = noise + place((enum hello_kind)kind, service, variant);
				uint32_t message, record;
				message_shape((enum hello_kind)kind, variant, &message, &record);
				name_of((enum hello_kind)kind, service, name);
				memcpy(text, at, message);
				write_message(text, message, name);
				for (uint32_t done = 0; done < message; done += record) {
					uint32_t length = message - done < record ? message - done : record;
					memcpy(at, (const uint8_t[]){22, 3, 1}, 3);
					put_16(at + 3, length);
					memcpy(at + RECORD_HEADER, text + done, length);
					at += RECORD_HEADER + length;
				}
			}
}

uint32_t
hello_pick(enum hello_kind kind, unsigned service, uint32_t random, uint32_t *length)
{
	unsigned variant = random % VARIANTS;
	uint32_t message, record;

	message_shape(kind, variant, &message, &record);
	*length = records_length(message, record);
	return place(kind, service, variant);
}
