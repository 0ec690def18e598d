/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what OpenSSL says went wrong to one of our reasons; from a reason why a peer isn't trusted to the alert that it
 * gets.
 */
#ifndef POSTERN_GATEWAY_TLS_ERROR_H
#define POSTERN_GATEWAY_TLS_ERROR_H

#include <stdbool.h>

#include "dataplane/reason.h"

/* Empties the thread's error queue. otherwise: for what has no reason of its own. */
enum reason tls_error_take(enum reason otherwise);

/* A X509_V_ERR_* for one of REASON_TLS_PEER_*; OpenSSL makes an alert of it (RFC 8446 section 6.2). */
int tls_error_verify(enum reason reason);

#endif
