/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posternctl ca: makes and shows the embedded CAs (certs/ca_folder.h), without a daemon, which finds a new one by
 *itself.
 *
 *	init     the first CA of a trust domain; refused when there is one
 *	rotate   one more; refused when there is none
 *	show     which there are, which one signs now, and what each key is; opens the keys, and so checks them
 *	bundle   all certificates, as a SPIFFE bundle (JWKS) or as PEM
 */
#ifndef POSTERN_GATEWAY_CTL_CA_H
#define POSTERN_GATEWAY_CTL_CA_H

#include <stdio.h>

struct ctl_request;

/* What was asked for goes to out, errors to errors, a line each. Returns CTL_OK, CTL_REFUSED or CTL_USAGE. */
int ctl_ca(const struct ctl_request *request, FILE *out, FILE *errors);

#endif
