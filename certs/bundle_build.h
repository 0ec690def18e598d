/* SPDX-License-Identifier: Apache-2.0 */
/* How the bundle parsers collect authorities: of bundle*.c only. */
#ifndef POSTERN_CERTS_BUNDLE_BUILD_H
#define POSTERN_CERTS_BUNDLE_BUILD_H

#include "certs/bundle.h"

enum { BUNDLE_CERT_MAX = 32768 /* bytes of one certificate */ };

struct bundle_draft;

struct bundle_draft *bundle_draft_new(void);
void bundle_draft_free(struct bundle_draft *draft);
/* Adds one certificate; one that is there already, or isn't a CA's (which is counted), is passed over. */
enum cert_error bundle_draft_add(struct bundle_draft *draft, const uint8_t *der, size_t length);
/* NULL when there is no memory. */
struct bundle *bundle_draft_build(const struct bundle_draft *draft);

#endif
