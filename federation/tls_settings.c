/* SPDX-License-Identifier: Apache-2.0 */
/* The field tls of a Gateway's server and of a DestinationRule: a mode, and what it needs. */
#include <string.h>

#include "federation/documents.h"
#include "federation/syntax.h"

/* What a mode makes of a field. */
enum need { NO, MAY, MUST };

enum { SERVER_MODE, SERVER_CREDENTIAL, SERVER_CA, SERVER_NAMES, SERVER_LEAST, SERVER_MOST, SERVER_FIELDS };
static const struct schema_field server_fields[] = {
	[SERVER_MODE] = {"mode", SHAPE_TEXT, true},
	[SERVER_CREDENTIAL] = {"credentialName", SHAPE_TEXT, false},
	[SERVER_CA] = {"caCertCredentialName", SHAPE_TEXT, false},
	[SERVER_NAMES] = {"subjectAltNames", SHAPE_LIST, false},
	[SERVER_LEAST] = {"minProtocolVersion", SHAPE_TEXT, false},
	[SERVER_MOST] = {"maxProtocolVersion", SHAPE_TEXT, false},
};
static const char *const server_unsupported[] = {"httpsRedirect",
						 "serverCertificate",
						 "privateKey",
						 "caCertificates",
						 "caCrl",
						 "credentialNames",
						 "tlsCertificates",
						 "verifyCertificateSpki",
						 "verifyCertificateHash",
						 "cipherSuites",
						 NULL};
static const struct schema server_schema = {"Gateway spec.servers[].tls", server_fields, SERVER_FIELDS,
					    server_unsupported};

/* Those that end TLS are numbered as enum tls_mode is. */
static const char *const server_modes[] = {[TLS_MODE_DISABLE] = "PASSTHROUGH",
					   [TLS_MODE_SIMPLE] = "SIMPLE",
					   [TLS_MODE_MUTUAL] = "MUTUAL",
					   [TLS_MODE_ISTIO_MUTUAL] = "ISTIO_MUTUAL",
					   "AUTO_PASSTHROUGH",
					   "OPTIONAL_MUTUAL",
					   NULL};
enum { SERVER_AUTO_PASSTHROUGH = TLS_MODE_ISTIO_MUTUAL + 1, SERVER_MODES };
static const enum need server_needs[SERVER_MODES][SERVER_FIELDS] = {
	[TLS_MODE_SIMPLE] = {[SERVER_CREDENTIAL] = MUST, [SERVER_LEAST] = MAY, [SERVER_MOST] = MAY},
	[TLS_MODE_MUTUAL] = {[SERVER_CREDENTIAL] = MUST,
			     [SERVER_CA] = MAY,
			     [SERVER_NAMES] = MAY,
			     [SERVER_LEAST] = MAY,
			     [SERVER_MOST] = MAY},
	/* The credential is our own SVID, and the anchors are the bundles of all whom we federate with. */
	[TLS_MODE_ISTIO_MUTUAL] = {[SERVER_NAMES] = MAY, [SERVER_LEAST] = MAY, [SERVER_MOST] = MAY},
};

enum { CLIENT_MODE, CLIENT_CREDENTIAL, CLIENT_SNI, CLIENT_NAMES, CLIENT_FIELDS };
static const struct schema_field client_fields[] = {
	[CLIENT_MODE] = {"mode", SHAPE_TEXT, true},
	[CLIENT_CREDENTIAL] = {"credentialName", SHAPE_TEXT, false},
	[CLIENT_SNI] = {"sni", SHAPE_TEXT, false},
	[CLIENT_NAMES] = {"subjectAltNames", SHAPE_LIST, false},
};
static const char *const client_unsupported[] = {"clientCertificate",   "privateKey", "caCertificates", "caCrl",
						 "!insecureSkipVerify", NULL};
static const struct schema client_schema = {"trafficPolicy.tls", client_fields, CLIENT_FIELDS, client_unsupported};

static const char *const client_modes[] = {[TLS_MODE_DISABLE] = "DISABLE",
					   [TLS_MODE_SIMPLE] = "SIMPLE",
					   [TLS_MODE_MUTUAL] = "MUTUAL",
					   [TLS_MODE_ISTIO_MUTUAL] = "ISTIO_MUTUAL",
					   NULL};
enum { CLIENT_MODES = TLS_MODE_ISTIO_MUTUAL + 1 };
static const enum need client_needs[CLIENT_MODES][CLIENT_FIELDS] = {
	/* For SIMPLE it is whom to trust alone: the roots that came with the host are nobody's decision. */
	[TLS_MODE_SIMPLE] = {[CLIENT_CREDENTIAL] = MUST, [CLIENT_SNI] = MAY, [CLIENT_NAMES] = MAY},
	[TLS_MODE_MUTUAL] = {[CLIENT_CREDENTIAL] = MUST, [CLIENT_SNI] = MAY, [CLIENT_NAMES] = MAY},
	[TLS_MODE_ISTIO_MUTUAL] = {[CLIENT_SNI] = MAY, [CLIENT_NAMES] = MAY},
};

static const char *const versions[] = {"TLSV1_2", "TLSV1_3", "TLS_AUTO", "TLSV1_0", "TLSV1_1", NULL};
static const uint16_t wire_versions[] = {TLS_WIRE_1_2, TLS_WIRE_1_3};
enum { VERSIONS_SUPPORTED = sizeof(wire_versions) / sizeof(*wire_versions) };

/* Field 0 is the mode itself. */
static bool
check_needs(struct reader *reader, const struct yaml_node *node, const struct schema *schema,
	    const struct yaml_node **values, const enum need *needs, const char *mode)
{
	bool right = true;

	for (unsigned i = 1; i < schema->n_fields; i++) {
		if (needs[i] == MUST && values[i] == NULL) {
			report_error(reader->report, reader_origin(reader, node), PN_MISSING_FIELD,
				     "%s lacks the field \"%s\", which mode %s needs", schema->what,
				     schema->fields[i].name, mode);
			right = false;
		} else if (needs[i] == NO && values[i] != NULL) {
			report_error(reader->report, reader_origin(reader, values[i]->key), PN_EXCLUSIVE,
				     "field \"%s\" of %s has no meaning with mode %s", schema->fields[i].name,
				     schema->what, mode);
			values[i] = NULL;
			right = false;
		}
	}
	return right;
}

static bool
read_credential(struct reader *reader, const struct yaml_node *node, struct model_mention *credential)
{
	if (node == NULL)
		return true;
	credential->origin = reader_origin(reader, node);
	return schema_name(reader, node, syntax_dns_subdomain, PN_BAD_NAME, node->key->text, &credential->name);
}

static bool
read_names(struct reader *reader, const struct yaml_node *list, struct model_tls *tls)
{
	return list == NULL ||
	       (documents_not_empty(reader, list, "subjectAltNames") &&
		schema_expected_names(reader, list, tls->mode == TLS_MODE_ISTIO_MUTUAL ? NAMES_SPIFFE : NAMES_DNS,
				      &tls->names, &tls->n_names));
}

static bool
read_version(struct reader *reader, const struct yaml_node *node, uint16_t *version)
{
	unsigned choice;

	if (node == NULL)
		return true;
	if (!schema_choice(reader, node, versions, VERSIONS_SUPPORTED, node->key->text, &choice))
		return false;
	*version = wire_versions[choice];
	return true;
}

static bool
read_versions(struct reader *reader, const struct yaml_node **values, struct model_tls *tls)
{
	tls->least = TLS_WIRE_1_2;
	tls->most = TLS_WIRE_1_3;
	bool least = read_version(reader, values[SERVER_LEAST], &tls->least);
	bool most = read_version(reader, values[SERVER_MOST], &tls->most);
	if (tls->least <= tls->most)
		return least && most;
	report_error(reader->report, reader_origin(reader, values[SERVER_LEAST]), PN_EMPTY_RANGE,
		     "minProtocolVersion %s is above maxProtocolVersion %s", values[SERVER_LEAST]->text,
		     values[SERVER_MOST]->text);
	return false;
}

bool
tls_server_read(struct reader *reader, const struct yaml_node *node, struct model_server *server)
{
	const struct yaml_node *values[SERVER_FIELDS];
	struct model_tls *tls = &server->tls;
	unsigned mode;

	bool right = schema_read(reader, node, &server_schema, values);
	tls->origin = reader_origin(reader, node);
	if (values[SERVER_MODE] == NULL ||
	    !schema_choice(reader, values[SERVER_MODE], server_modes, SERVER_MODES, "tls.mode", &mode))
		return false;
	right = check_needs(reader, node, &server_schema, values, server_needs[mode], server_modes[mode]) && right;
	if (mode == TLS_MODE_DISABLE || mode == SERVER_AUTO_PASSTHROUGH) {
		server->mode = mode == TLS_MODE_DISABLE ? LISTENER_PASSTHROUGH : LISTENER_AUTO_PASSTHROUGH;
		return right;
	}
	server->mode = LISTENER_TERMINATE;
	tls->mode = (enum tls_mode)mode;
	right = read_credential(reader, values[SERVER_CREDENTIAL], &tls->credential) && right;
	right = read_credential(reader, values[SERVER_CA], &tls->ca) && right;
	right = read_names(reader, values[SERVER_NAMES], tls) && right;
	return read_versions(reader, values, tls) && right;
}

/* A host, or a name of Istio's own such as outbound_.443_._.a.example. */
static const char *
check_sni(const char *text, size_t length)
{
	if (length > 9 && memcmp(text, "outbound_", 9) == 0)
		return syntax_identifier(text, length);
	return syntax_host(text, length);
}

struct model_tls *
tls_client_read(struct reader *reader, const struct yaml_node *node)
{
	const struct yaml_node *values[CLIENT_FIELDS];
	struct model_tls *tls = arena_alloc(&reader->model->arena, sizeof(*tls));
	unsigned mode;

	bool right = schema_read(reader, node, &client_schema, values);
	tls->origin = reader_origin(reader, node->key);
	tls->uncertain = true;
	if (values[CLIENT_MODE] == NULL ||
	    !schema_choice(reader, values[CLIENT_MODE], client_modes, CLIENT_MODES, "tls.mode", &mode))
		return tls;
	tls->mode = (enum tls_mode)mode;
	right = check_needs(reader, node, &client_schema, values, client_needs[mode], client_modes[mode]) && right;
	right = read_credential(reader, values[CLIENT_CREDENTIAL], &tls->credential) && right;
	if (values[CLIENT_SNI] != NULL)
		right = schema_name(reader, values[CLIENT_SNI], check_sni, PN_BAD_HOST, "sni", &tls->sni) && right;
	right = read_names(reader, values[CLIENT_NAMES], tls) && right;
	tls->uncertain = !right;
	return tls;
}
