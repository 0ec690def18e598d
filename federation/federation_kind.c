/* SPDX-License-Identifier: Apache-2.0 */
/* kind: Federation: who this gateway is, and which other clusters there are. */
#include "federation/documents.h"
#include "federation/syntax.h"

enum {
	SPEC_TRUST_DOMAIN,
	SPEC_CLUSTER_ID,
	SPEC_NETWORK,
	SPEC_LOCALITY,
	SPEC_IDENTITY,
	SPEC_DOMAINS,
	SPEC_PKIS,
	SPEC_CLUSTERS,
	SPEC_FIELDS
};
static const struct schema_field spec_fields[] = {
	[SPEC_TRUST_DOMAIN] = {"trustDomain", SHAPE_TEXT, true}, [SPEC_CLUSTER_ID] = {"clusterID", SHAPE_TEXT, true},
	[SPEC_NETWORK] = {"network", SHAPE_TEXT, false},         [SPEC_LOCALITY] = {"locality", SHAPE_TEXT, false},
	[SPEC_IDENTITY] = {"identity", SHAPE_MAPPING, false},    [SPEC_DOMAINS] = {"federatesWith", SHAPE_LIST, false},
	[SPEC_PKIS] = {"legacyPKIs", SHAPE_LIST, false},         [SPEC_CLUSTERS] = {"clusters", SHAPE_LIST, false},
};
/* Two names for one trust domain are two roots for it: never by default, and not yet at all. */
static const char *const spec_unsupported[] = {"trustDomainAliases", NULL};
static const struct schema spec_schema = {"Federation spec", spec_fields, SPEC_FIELDS, spec_unsupported};

enum { CLUSTER_ID, CLUSTER_NETWORK, CLUSTER_TRUST_DOMAIN, CLUSTER_LOCALITY, CLUSTER_GATEWAYS, CLUSTER_FIELDS };
static const struct schema_field cluster_fields[] = {
	[CLUSTER_ID] = {"clusterID", SHAPE_TEXT, true},
	[CLUSTER_NETWORK] = {"network", SHAPE_TEXT, true},
	[CLUSTER_TRUST_DOMAIN] = {"trustDomain", SHAPE_TEXT, false},
	[CLUSTER_LOCALITY] = {"locality", SHAPE_TEXT, false},
	[CLUSTER_GATEWAYS] = {"gateways", SHAPE_LIST, false},
};
static const struct schema cluster_schema = {"Federation spec.clusters[]", cluster_fields, CLUSTER_FIELDS, NULL};

enum { GATEWAY_ADDRESS, GATEWAY_PORT, GATEWAY_FIELDS };
static const struct schema_field gateway_fields[] = {
	[GATEWAY_ADDRESS] = {"address", SHAPE_TEXT, true},
	[GATEWAY_PORT] = {"port", SHAPE_NUMBER, true},
};
static const struct schema gateway_schema = {"Federation spec.clusters[].gateways[]", gateway_fields, GATEWAY_FIELDS,
					     NULL};

static void
read_gateways(struct reader *reader, const struct yaml_node *list, struct model_cluster *cluster)
{
	struct model_gateway_address *gateways = arena_array(&reader->model->arena, list->length, sizeof(*gateways));

	cluster->gateways = gateways;
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		const struct yaml_node *values[GATEWAY_FIELDS];
		struct model_gateway_address *gateway = &gateways[cluster->n_gateways];
		schema_read(reader, node, &gateway_schema, values);
		bool address = values[GATEWAY_ADDRESS] != NULL &&
			       schema_address(reader, values[GATEWAY_ADDRESS], &gateway->addr);
		bool port = values[GATEWAY_PORT] != NULL && schema_port(reader, values[GATEWAY_PORT], &gateway->port);
		if (address && port)
			cluster->n_gateways++;
		else
			cluster->gateways_uncertain = true;
	}
}

/* NULL when its clusterID or network couldn't be read. */
static struct model_cluster *
read_cluster(struct reader *reader, const struct yaml_node *node)
{
	const struct yaml_node *values[CLUSTER_FIELDS];
	struct model_cluster *cluster = arena_alloc(&reader->model->arena, sizeof(*cluster));
	bool right = schema_read(reader, node, &cluster_schema, values);

	cluster->origin = reader_origin(reader, node);
	cluster->gateways_uncertain = !right && values[CLUSTER_GATEWAYS] == NULL;
	if (values[CLUSTER_ID] != NULL) {
		cluster->id.origin = reader_origin(reader, values[CLUSTER_ID]);
		schema_name(reader, values[CLUSTER_ID], syntax_identifier, PN_BAD_IDENTIFIER, "clusterID",
			    &cluster->id.name);
	}
	if (values[CLUSTER_NETWORK] != NULL) {
		cluster->network.origin = reader_origin(reader, values[CLUSTER_NETWORK]);
		schema_name(reader, values[CLUSTER_NETWORK], syntax_identifier, PN_BAD_IDENTIFIER, "network",
			    &cluster->network.name);
	}
	if (values[CLUSTER_TRUST_DOMAIN] != NULL)
		schema_name(reader, values[CLUSTER_TRUST_DOMAIN], syntax_trust_domain, PN_BAD_TRUST_DOMAIN,
			    "trust domain", &cluster->trust_domain);
	if (values[CLUSTER_LOCALITY] != NULL)
		schema_name(reader, values[CLUSTER_LOCALITY], syntax_locality, PN_BAD_LOCALITY, "locality",
			    &cluster->locality);
	if (values[CLUSTER_GATEWAYS] != NULL)
		read_gateways(reader, values[CLUSTER_GATEWAYS], cluster);
	return cluster->id.name.length > 0 && cluster->network.name.length > 0 ? cluster : NULL;
}

void
federation_kind_read(struct reader *reader, const struct model_meta *meta, const struct yaml_node *spec)
{
	const struct yaml_node *values[SPEC_FIELDS];
	struct model *model = reader->model;
	struct model_federation *federation = arena_alloc(&model->arena, sizeof(*federation));

	bool right = schema_read(reader, spec, &spec_schema, values);
	federation->meta = *meta;
	if (values[SPEC_TRUST_DOMAIN] != NULL)
		schema_name(reader, values[SPEC_TRUST_DOMAIN], syntax_trust_domain, PN_BAD_TRUST_DOMAIN, "trust domain",
			    &federation->trust_domain);
	if (values[SPEC_CLUSTER_ID] != NULL)
		schema_name(reader, values[SPEC_CLUSTER_ID], syntax_identifier, PN_BAD_IDENTIFIER, "clusterID",
			    &federation->cluster_id);
	federation->network_uncertain = !right && values[SPEC_NETWORK] == NULL;
	if (values[SPEC_NETWORK] != NULL && !schema_name(reader, values[SPEC_NETWORK], syntax_identifier,
							 PN_BAD_IDENTIFIER, "network", &federation->network))
		federation->network_uncertain = true;
	if (values[SPEC_LOCALITY] != NULL)
		schema_name(reader, values[SPEC_LOCALITY], syntax_locality, PN_BAD_LOCALITY, "locality",
			    &federation->locality);
	federation->identity_uncertain = !right && values[SPEC_IDENTITY] == NULL;
	if (values[SPEC_IDENTITY] != NULL)
		federation->identity_uncertain =
			!federation_identity_read(reader, values[SPEC_IDENTITY], &federation->identity);
	if (values[SPEC_DOMAINS] != NULL)
		federation_domains_read(reader, values[SPEC_DOMAINS], federation);
	federation->pkis_uncertain = !right && values[SPEC_PKIS] == NULL;
	if (values[SPEC_PKIS] != NULL)
		federation_pkis_read(reader, values[SPEC_PKIS], federation);
	federation->clusters_uncertain = !right && values[SPEC_CLUSTERS] == NULL;
	struct model_cluster **end = &federation->clusters;
	for (const struct yaml_node *node = values[SPEC_CLUSTERS] == NULL ? NULL : values[SPEC_CLUSTERS]->first;
	     node != NULL; node = node->next) {
		*end = read_cluster(reader, node);
		if (*end != NULL)
			end = &(*end)->next;
		else
			federation->clusters_uncertain = true;
	}
	if (model->federation != NULL) {
		report_error(reader->report, meta->origin, PN_SECOND_FEDERATION,
			     "a second Federation; the first is at %s:%u", model->federation->meta.origin.file,
			     model->federation->meta.origin.line);
		return;
	}
	model->federation = federation;
}
