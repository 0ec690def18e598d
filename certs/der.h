/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bones of DER (X.690 section 10): whether every length in a structure is what it must be, before a decoder that
 * forgives more sees it. Pure, over (pointer, length).
 *
 * Checked: definite lengths in the shortest form, of at most four bytes; each element within its parent; nothing behind
 * the outermost; nesting of at most DER_DEPTH_MAX. What is inside OCTET and BIT STRINGs isn't looked into.
 */
#ifndef POSTERN_CERTS_DER_H
#define POSTERN_CERTS_DER_H

#include <stddef.h>
#include <stdint.h>

#include "certs/cert_error.h"

enum { DER_DEPTH_MAX = 16 /* a certificate has 7, with a general name's otherName 10 */ };

/* One element's header: returns its length, header included; 0 when it is wrong or beyond the end. header: its
 * header's length. */
size_t der_element(const uint8_t *der, size_t length, size_t *header);

/* CERT_NONE, CERT_DER_LENGTH, CERT_DER_DEPTH, CERT_DER_TRAILING: of exactly one element. */
enum cert_error der_check(const uint8_t *der, size_t length);

#endif
