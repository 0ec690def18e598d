/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PROXY protocol's binary header, version 2 (haproxy.org, proxy-protocol.txt section 2.2), as an endpoint gets it
 * that asked for it: who the client is by address, and in TLV 0xD0, as ztunnel has it, who it has proved to be.
 *
 * Only written, never read: what a client says of itself decides nothing here.
 */
#ifndef POSTERN_GATEWAY_PROXY_V2_H
#define POSTERN_GATEWAY_PROXY_V2_H

#include <stddef.h>
#include <stdint.h>

#include "certs/spiffe_id.h"
#include "dataplane/bridge.h"

enum {
	PROXY_V2_SPIFFE_ID = 0xd0,
	PROXY_V2_MAX = 16 + 36 + 3 + SPIFFE_ID_MAX /* bytes: fixed part, addresses, one TLV */
};

/* The header of a connection; id: NULL or of length 0 for a client that proved nothing. Returns its length. */
size_t proxy_v2_write(const struct bridge_ends *ends, const struct spiffe_id *id, uint8_t header[PROXY_V2_MAX]);

#endif
