/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ClientHellos for the real gateway to read. They lie among the noise that all streams are cut from (peer.h), so that a
 * client sends one by beginning its stream there.
 */
#ifndef POSTERN_TESTS_SIM_HELLO_H
#define POSTERN_TESTS_SIM_HELLO_H

#include <stdint.h>

enum { HELLO_SERVICES = 3 };

/* What a client asks for. */
enum hello_kind {
	HELLO_BY_NAME,  /* "s<service>.sim.example" */
	HELLO_BY_ISTIO, /* "outbound_.8443_._.s<service>.mesh.example" */
	HELLO_UNKNOWN,  /* a name that nobody serves */
	HELLO_UNKNOWN_ISTIO,
	HELLO_NAMELESS,
	HELLO_TOO_LARGE,
	HELLO_KINDS,
	HELLO_NOT_TLS = HELLO_KINDS /* plain noise */
};

/* Writes all of them into the noise. Once. */
void hello_plant(uint8_t *noise);
/* One of a kind, its size by random: where in the noise it begins, and its length in *length. */
uint32_t hello_pick(enum hello_kind kind, unsigned service, uint32_t random, uint32_t *length);

#endif
