/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials from a folder that is laid out like a mounted Kubernetes TLS secret:
 *
 *	DIR/tls.crt   certificate chain, PEM, leaf first
 *	DIR/tls.key   its private key, PEM
 *	DIR/ca.crt    optional: CA certificates that a peer's chain must lead to
 *
 * A pair is never put together from two writings. Where the kubelet mounted it, DIR/..data is a symbolic link to a
 * folder with the files and is swapped by one rename: all files are read through one descriptor of the folder that it
 * led to. Elsewhere files are replaced one by one: what they are (device, inode, size, times) is compared before and
 * after reading, and a key that isn't the leaf's is an error anyway. When to read again the caller knows (keyring.h of
 * the gateway).
 *
 * The key's file. Others than its owner may write it, or its owner is neither root nor the process's user: error, the
 * key may be anybody's. Group or others may read it: a warning and no error, for a mounted secret is 0644 by default
 * and the files of a volume with fsGroup are 0440.
 */
#ifndef POSTERN_CERTS_CREDENTIAL_FILE_H
#define POSTERN_CERTS_CREDENTIAL_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "certs/credential.h"

/* Reads DIR. NULL with *error on an error. *exposed: others may read the key. now: Unix seconds. */
struct credential *credential_file_load(OSSL_LIB_CTX *libctx, const char *directory, int64_t now, bool *exposed,
					enum credential_error *error);

#endif
