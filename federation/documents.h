/* SPDX-License-Identifier: Apache-2.0 */
/* Documents into the model: documents.c reads what all kinds have, and one function for each kind the spec. */
#ifndef POSTERN_FEDERATION_DOCUMENTS_H
#define POSTERN_FEDERATION_DOCUMENTS_H

#include "federation/schema.h"

/* One document of a file. What is wrong is reported; the model gets what is right. */
void documents_read(struct reader *reader, const struct yaml_node *document);

/* A document of one kind: its metadata, read, and its spec. */
typedef void documents_kind(struct reader *reader, const struct model_meta *meta, const struct yaml_node *spec);
documents_kind federation_kind_read, gateway_read, service_entry_read, workload_entry_read, destination_rule_read,
	virtual_service_read, identity_map_read, authorization_policy_read;

/* federation_trust.c: parts of a Federation. False when the identity can't be relied on. */
bool federation_identity_read(struct reader *reader, const struct yaml_node *node, struct identity_spec *identity);
void federation_domains_read(struct reader *reader, const struct yaml_node *list, struct model_federation *federation);
void federation_pkis_read(struct reader *reader, const struct yaml_node *list, struct model_federation *federation);

/* tls_settings.c: how a Gateway's server ends TLS. False when its mode, or what the mode needs, can't be relied on. */
bool tls_server_read(struct reader *reader, const struct yaml_node *node, struct model_server *server);
/* How a DestinationRule begins it. */
struct model_tls *tls_client_read(struct reader *reader, const struct yaml_node *node);

/* workload_entry.c: an endpoint, inline or a WorkloadEntry's spec. */
void endpoint_read(struct reader *reader, const struct yaml_node *node, const char *what, struct name workload,
		   struct model_endpoint *endpoint);

/* A list of mentions with a reader for each element. Wrong elements are left out. False when any was, or the list is
 * empty, which is then an error. */
typedef bool documents_element(struct reader *reader, const struct yaml_node *node, struct name *name);
bool documents_mentions(struct reader *reader, const struct yaml_node *list, documents_element *element,
			const char *what, struct model_mentions *mentions);

/* Whether this is the first document of its kind, namespace and name; reported otherwise, and left out by the caller.
 */
bool documents_claim(struct reader *reader, const char *kind, const struct model_meta *meta);

/* Reports an empty list. */
bool documents_not_empty(struct reader *reader, const struct yaml_node *list, const char *what);

/* A host without a dot is the Service of that name in namespace space: "payments" in "bank" is
 * payments.bank.svc.cluster.local. Everything else is taken as it stands, "payments.bank" included. Istio's
 * ResolveShortnameToFQDN. */
struct name documents_full_host(struct model *model, struct name host, struct name space);

#endif
