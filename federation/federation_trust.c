/* SPDX-License-Identifier: Apache-2.0 */
/* Of kind Federation: who the gateway is, which trust domains it federates with, and which legacy PKIs it knows. */
#include <string.h>

#include "federation/documents.h"
#include "federation/syntax.h"

enum { IDENTITY_FOLDER, IDENTITY_CA, IDENTITY_FIELDS };
static const struct schema_field identity_fields[] = {
	[IDENTITY_FOLDER] = {"files", SHAPE_TEXT, false},
	[IDENTITY_CA] = {"embedded", SHAPE_MAPPING, false},
};
static const char *const identity_unsupported[] = {"workloadAPI", NULL};
static const struct schema identity_schema = {"Federation spec.identity", identity_fields, IDENTITY_FIELDS,
					      identity_unsupported};

enum { EMBEDDED_FOLDER, EMBEDDED_ID, EMBEDDED_TTL, EMBEDDED_FIELDS };
static const struct schema_field embedded_fields[] = {
	[EMBEDDED_FOLDER] = {"directory", SHAPE_TEXT, true},
	[EMBEDDED_ID] = {"spiffeID", SHAPE_TEXT, false},
	[EMBEDDED_TTL] = {"svidTTL", SHAPE_TEXT, false},
};
static const struct schema embedded_schema = {"Federation spec.identity.embedded", embedded_fields, EMBEDDED_FIELDS,
					      NULL};

enum { DOMAIN_NAME, DOMAIN_URL, DOMAIN_PROFILE, DOMAIN_ENDPOINT_ID, DOMAIN_BUNDLE, DOMAIN_STALENESS, DOMAIN_FIELDS };
static const struct schema_field domain_fields[] = {
	[DOMAIN_NAME] = {"trustDomain", SHAPE_TEXT, true},
	[DOMAIN_URL] = {"bundleEndpointURL", SHAPE_TEXT, false},
	[DOMAIN_PROFILE] = {"bundleEndpointProfile", SHAPE_TEXT, false},
	[DOMAIN_ENDPOINT_ID] = {"endpointSPIFFEID", SHAPE_TEXT, false},
	/* Until bundles are fetched, this is where they come from. */
	[DOMAIN_BUNDLE] = {"bootstrapBundle", SHAPE_TEXT, true},
	[DOMAIN_STALENESS] = {"staleness", SHAPE_MAPPING, false},
};
static const struct schema domain_schema = {"Federation spec.federatesWith[]", domain_fields, DOMAIN_FIELDS, NULL};

enum { STALENESS_WARN, STALENESS_MAX, STALENESS_ON_EXPIRY, STALENESS_FIELDS };
static const struct schema_field staleness_fields[] = {
	[STALENESS_WARN] = {"warnAfter", SHAPE_TEXT, false},
	[STALENESS_MAX] = {"maxAge", SHAPE_TEXT, false},
	[STALENESS_ON_EXPIRY] = {"onExpiry", SHAPE_TEXT, false},
};
static const struct schema staleness_schema = {"Federation spec.federatesWith[].staleness", staleness_fields,
					       STALENESS_FIELDS, NULL};

enum { PKI_NAME, PKI_ANCHORS, PKI_CRLS, PKI_REVOCATION, PKI_FIELDS };
static const struct schema_field pki_fields[] = {
	[PKI_NAME] = {"name", SHAPE_TEXT, true},
	[PKI_ANCHORS] = {"anchors", SHAPE_LIST, true},
	[PKI_CRLS] = {"crls", SHAPE_LIST, false},
	[PKI_REVOCATION] = {"onUnknownRevocation", SHAPE_TEXT, false},
};
static const struct schema pki_schema = {"Federation spec.legacyPKIs[]", pki_fields, PKI_FIELDS, NULL};

static const char *const profiles[] = {
	[BUNDLE_NOT_FETCHED] = "none", [BUNDLE_HTTPS_WEB] = "https_web", [BUNDLE_HTTPS_SPIFFE] = "https_spiffe", NULL};
static const char *const expiries[] = {"keep", "distrust", NULL};
static const char *const revocations[] = {"accept", "refuse", NULL};
enum { TWO_CHOICES = 2 };

/* What the embedded CA can do, in milliseconds: a minute to a week. */
enum { SVID_TTL_DEFAULT_MS = 3600 * 1000, SVID_TTL_LEAST_MS = 60 * 1000, SVID_TTL_MOST_MS = 7 * 24 * 3600 * 1000 };

static bool
read_spiffe_id(struct reader *reader, const struct yaml_node *node, const char *what, struct name *id)
{
	return schema_name(reader, node, syntax_spiffe_id, PN_BAD_SPIFFE_ID, what, id);
}

static void
read_embedded(struct reader *reader, const struct yaml_node *node, struct identity_spec *identity)
{
	const struct yaml_node *values[EMBEDDED_FIELDS];

	identity->kind = OWN_IDENTITY_EMBEDDED;
	identity->svid_ttl_ms = SVID_TTL_DEFAULT_MS;
	schema_read(reader, node, &embedded_schema, values);
	if (values[EMBEDDED_FOLDER] != NULL)
		schema_path(reader, values[EMBEDDED_FOLDER], "directory", &identity->folder);
	if (values[EMBEDDED_ID] != NULL)
		read_spiffe_id(reader, values[EMBEDDED_ID], "spiffeID", &identity->spiffe_id);
	const struct yaml_node *ttl = values[EMBEDDED_TTL];
	if (ttl != NULL && schema_duration(reader, ttl, "svidTTL", &identity->svid_ttl_ms) &&
	    (identity->svid_ttl_ms < SVID_TTL_LEAST_MS || identity->svid_ttl_ms > SVID_TTL_MOST_MS))
		report_error(reader->report, reader_origin(reader, ttl), PN_BAD_DURATION,
			     "svidTTL \"%s\" is not from 1m to 168h", quote(ttl->text, ttl->length).text);
}

bool
federation_identity_read(struct reader *reader, const struct yaml_node *node, struct identity_spec *identity)
{
	const struct yaml_node *values[IDENTITY_FIELDS];
	size_t raised = reader->report->n_raised;

	bool right = schema_read(reader, node, &identity_schema, values);
	identity->origin = reader_origin(reader, node->key);
	if (values[IDENTITY_FOLDER] != NULL && values[IDENTITY_CA] != NULL)
		report_error(reader->report, reader_origin(reader, values[IDENTITY_CA]->key), PN_EXCLUSIVE,
			     "an identity has files or is embedded, not both");
	else if (right && values[IDENTITY_FOLDER] == NULL && values[IDENTITY_CA] == NULL)
		report_error(reader->report, reader_origin(reader, node), PN_MISSING_FIELD,
			     "%s lacks one of \"files\" and \"embedded\"", identity_schema.what);
	if (values[IDENTITY_FOLDER] != NULL) {
		identity->kind = OWN_IDENTITY_FILES;
		schema_path(reader, values[IDENTITY_FOLDER], "files", &identity->folder);
	}
	if (values[IDENTITY_CA] != NULL)
		read_embedded(reader, values[IDENTITY_CA], identity);
	return reader->report->n_raised == raised;
}

static void
read_staleness(struct reader *reader, const struct yaml_node *node, struct federated_domain *domain)
{
	const struct yaml_node *values[STALENESS_FIELDS];
	unsigned expiry = 0;

	schema_read(reader, node, &staleness_schema, values);
	bool right = values[STALENESS_WARN] != NULL &&
		     schema_duration(reader, values[STALENESS_WARN], "warnAfter", &domain->warn_after_ms);
	right = values[STALENESS_MAX] != NULL &&
		schema_duration(reader, values[STALENESS_MAX], "maxAge", &domain->max_age_ms) && right;
	if (right && domain->warn_after_ms >= domain->max_age_ms)
		report_error(reader->report, reader_origin(reader, values[STALENESS_WARN]), PN_EMPTY_RANGE,
			     "warnAfter %s is not before maxAge %s", values[STALENESS_WARN]->text,
			     values[STALENESS_MAX]->text);
	if (values[STALENESS_ON_EXPIRY] != NULL &&
	    schema_choice(reader, values[STALENESS_ON_EXPIRY], expiries, TWO_CHOICES, "onExpiry", &expiry) &&
	    values[STALENESS_MAX] == NULL)
		report_error(reader->report, reader_origin(reader, values[STALENESS_ON_EXPIRY]->key), PN_MISSING_FIELD,
			     "onExpiry needs a maxAge: without it no bundle expires");
	domain->distrust_expired = expiry == 1;
}

/* Profile, address and, for https_spiffe, who answers there go together: none follows from the others
 * (SPIFFE-Federation section 5.1). */
static void
read_endpoint(struct reader *reader, const struct yaml_node *const *values, struct federated_domain *domain)
{
	const struct yaml_node *url = values[DOMAIN_URL], *profile = values[DOMAIN_PROFILE],
			       *id = values[DOMAIN_ENDPOINT_ID];
	unsigned choice = BUNDLE_NOT_FETCHED;
	bool known = profile != NULL && schema_choice(reader, profile, profiles, BUNDLE_HTTPS_SPIFFE + 1,
						      "bundleEndpointProfile", &choice);

	domain->profile = (enum bundle_profile)choice;
	if (url != NULL)
		schema_name(reader, url, syntax_https_url, PN_BAD_URL, "bundleEndpointURL", &domain->endpoint_url);
	if (id != NULL)
		read_spiffe_id(reader, id, "endpointSPIFFEID", &domain->endpoint_spiffe_id);
	bool fetched = known && domain->profile != BUNDLE_NOT_FETCHED;
	if (url != NULL && profile == NULL)
		report_error(reader->report, reader_origin(reader, url->key), PN_MISSING_FIELD,
			     "bundleEndpointURL needs a bundleEndpointProfile");
	if (fetched && url == NULL)
		report_error(reader->report, reader_origin(reader, profile), PN_MISSING_FIELD,
			     "bundleEndpointProfile %s needs a bundleEndpointURL", profile->text);
	if (known && domain->profile == BUNDLE_HTTPS_SPIFFE && id == NULL)
		report_error(reader->report, reader_origin(reader, profile), PN_MISSING_FIELD,
			     "bundleEndpointProfile https_spiffe needs an endpointSPIFFEID");
	if (known && !fetched && url != NULL)
		report_error(reader->report, reader_origin(reader, url->key), PN_EXCLUSIVE,
			     "bundleEndpointURL has no meaning where bundleEndpointProfile is none");
	if (known && domain->profile != BUNDLE_HTTPS_SPIFFE && id != NULL)
		report_error(reader->report, reader_origin(reader, id->key), PN_EXCLUSIVE,
			     "endpointSPIFFEID belongs to bundleEndpointProfile https_spiffe");
}

void
federation_domains_read(struct reader *reader, const struct yaml_node *list, struct model_federation *federation)
{
	struct name_map names = {0};

	federation->domains = arena_array(reader->model->names.arena, list->length, sizeof(*federation->domains));
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		const struct yaml_node *values[DOMAIN_FIELDS];
		struct federated_domain *domain = &federation->domains[federation->n_domains];
		uint32_t *line;
		schema_read(reader, node, &domain_schema, values);
		domain->origin = reader_origin(reader, node);
		if (values[DOMAIN_BUNDLE] != NULL)
			schema_path(reader, values[DOMAIN_BUNDLE], "bootstrapBundle", &domain->bootstrap_bundle);
		read_endpoint(reader, values, domain);
		if (values[DOMAIN_STALENESS] != NULL)
			read_staleness(reader, values[DOMAIN_STALENESS], domain);
		if (values[DOMAIN_NAME] == NULL ||
		    !schema_name(reader, values[DOMAIN_NAME], syntax_trust_domain, PN_BAD_TRUST_DOMAIN, "trust domain",
				 &domain->trust_domain))
			continue;
		domain->origin = reader_origin(reader, values[DOMAIN_NAME]);
		if (name_map_add(&names, domain->trust_domain.bytes, domain->trust_domain.length, NULL, &line)) {
			*line = domain->origin.line;
			federation->n_domains++;
			continue;
		}
		report_error(reader->report, domain->origin, PN_DUPLICATE_DOMAIN,
			     "trust domain \"%s\" is in federatesWith already, on line %u", domain->trust_domain.bytes,
			     *line);
	}
	name_map_free(&names);
}

static void
read_pki(struct reader *reader, const struct yaml_node *const *values, struct legacy_pki_spec *pki)
{
	unsigned revocation;

	if (values[PKI_ANCHORS] != NULL && documents_not_empty(reader, values[PKI_ANCHORS], "anchors of a legacy PKI"))
		schema_paths(reader, values[PKI_ANCHORS], "path of an anchor", &pki->anchors, &pki->n_anchors);
	if (values[PKI_CRLS] != NULL)
		schema_paths(reader, values[PKI_CRLS], "path of a CRL", &pki->crls, &pki->n_crls);
	pki->refuse_unknown_revocation = pki->n_crls > 0;
	if (values[PKI_REVOCATION] != NULL &&
	    schema_choice(reader, values[PKI_REVOCATION], revocations, TWO_CHOICES, "onUnknownRevocation", &revocation))
		pki->refuse_unknown_revocation = revocation == 1;
}

void
federation_pkis_read(struct reader *reader, const struct yaml_node *list, struct model_federation *federation)
{
	struct name_map names = {0};

	federation->pkis = arena_array(reader->model->names.arena, list->length, sizeof(*federation->pkis));
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		const struct yaml_node *values[PKI_FIELDS];
		struct legacy_pki_spec *pki = &federation->pkis[federation->n_pkis];
		uint32_t *line;
		schema_read(reader, node, &pki_schema, values);
		read_pki(reader, values, pki);
		if (values[PKI_NAME] == NULL || !schema_name(reader, values[PKI_NAME], syntax_dns_subdomain,
							     PN_BAD_NAME, "name of a legacy PKI", &pki->name)) {
			federation->pkis_uncertain = true;
			continue;
		}
		pki->origin = reader_origin(reader, values[PKI_NAME]);
		if (name_map_add(&names, pki->name.bytes, pki->name.length, NULL, &line)) {
			*line = pki->origin.line;
			federation->n_pkis++;
			continue;
		}
		report_error(reader->report, pki->origin, PN_DUPLICATE_PKI,
			     "a second legacy PKI \"%s\"; the first is on line %u", pki->name.bytes, *line);
	}
	name_map_free(&names);
}
