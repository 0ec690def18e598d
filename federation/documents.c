/* SPDX-License-Identifier: Apache-2.0 */
#include "federation/documents.h"

#include <string.h>

#include "federation/syntax.h"
#include "platform/text.h"

struct kind {
	const char *name;
	documents_kind *read;
	const char *const *versions; /* the first is the one to suggest */
};

static const char *const own_versions[] = {"postern.dev/v1alpha1", NULL};
static const char *const istio_versions[] = {"networking.istio.io/v1", "networking.istio.io/v1beta1",
					     "networking.istio.io/v1alpha3", NULL};
static const char *const security_versions[] = {"security.istio.io/v1", "security.istio.io/v1beta1", NULL};

static const struct kind kinds[] = {
	{"Federation", federation_kind_read, own_versions},
	{"Gateway", gateway_read, istio_versions},
	{"ServiceEntry", service_entry_read, istio_versions},
	{"WorkloadEntry", workload_entry_read, istio_versions},
	{"DestinationRule", destination_rule_read, istio_versions},
	{"VirtualService", virtual_service_read, istio_versions},
	{"IdentityMap", identity_map_read, own_versions},
	{"AuthorizationPolicy", authorization_policy_read, security_versions},
};
enum { N_KINDS = sizeof(kinds) / sizeof(*kinds) };

/* What the field has and a federation may one day be told by. */
static const char *const unsupported_kinds[] = {"PeerAuthentication",
						"RequestAuthentication",
						"ServiceExport",
						"ServiceImport",
						"WorkloadGroup",
						"Sidecar",
						"EnvoyFilter",
						"ProxyConfig",
						"Telemetry",
						"WasmPlugin",
						"MeshConfig",
						"MeshNetworks",
						"Service",
						"Endpoints",
						"EndpointSlice",
						"Secret",
						"ConfigMap",
						"Namespace",
						"GatewayClass",
						"TLSRoute",
						"TCPRoute",
						"HTTPRoute",
						"GRPCRoute",
						"ReferenceGrant",
						"NetworkPolicy",
						"ClusterSPIFFEID",
						"List",
						NULL};

enum { DOCUMENT_VERSION, DOCUMENT_KIND, DOCUMENT_METADATA, DOCUMENT_SPEC, DOCUMENT_FIELDS };
static const struct schema_field document_fields[] = {
	[DOCUMENT_VERSION] = {"apiVersion", SHAPE_TEXT, true},
	[DOCUMENT_KIND] = {"kind", SHAPE_TEXT, true},
	[DOCUMENT_METADATA] = {"metadata", SHAPE_MAPPING, true},
	[DOCUMENT_SPEC] = {"spec", SHAPE_MAPPING, true},
};
static const char *const document_unsupported[] = {"status", NULL};
static const struct schema document_schema = {"the document", document_fields, DOCUMENT_FIELDS, document_unsupported};

enum { META_NAME, META_NAMESPACE, META_LABELS, META_ANNOTATIONS, META_FIELDS };
static const struct schema_field meta_fields[] = {
	[META_NAME] = {"name", SHAPE_TEXT, true},
	[META_NAMESPACE] = {"namespace", SHAPE_TEXT, false},
	/* They say nothing that the gateway acts on, in Kubernetes either. */
	[META_LABELS] = {"labels", SHAPE_MAPPING, false},
	[META_ANNOTATIONS] = {"annotations", SHAPE_MAPPING, false},
};
static const char *const meta_unsupported[] = {"generateName",
					       "uid",
					       "resourceVersion",
					       "generation",
					       "creationTimestamp",
					       "deletionTimestamp",
					       "deletionGracePeriodSeconds",
					       "ownerReferences",
					       "finalizers",
					       "managedFields",
					       "selfLink",
					       NULL};
static const struct schema meta_schema = {"metadata", meta_fields, META_FIELDS, meta_unsupported};

struct name
documents_full_host(struct model *model, struct name host, struct name space)
{
	struct text full = {0};

	if (host.length == 0 || host.bytes[0] == '*' || memchr(host.bytes, '.', host.length) != NULL)
		return host;
	text_print(&full, "%s.%s.svc.cluster.local", host.bytes, space.bytes);
	struct name name = text_pool_add(&model->names, full.bytes, full.length);
	text_free(&full);
	return name;
}

bool
documents_claim(struct reader *reader, const char *kind, const struct model_meta *meta)
{
	struct model *model = reader->model;
	struct text name = {0};
	const char **key;
	uint32_t *index;

	if (meta->name.length == 0)
		return true;
	text_print(&name, "%s %s/%s", kind, meta->space.bytes, meta->name.bytes);
	bool first = name_map_add(&model->claims, name.bytes, name.length, &key, &index);
	if (first) {
		*key = arena_copy(&model->arena, name.bytes, name.length);
		*index = model_claim(model, meta->origin);
	} else {
		report_error(reader->report, meta->origin, PN_DUPLICATE_OBJECT, "a second %s; the first is at %s:%u",
			     name.bytes, model->claim_origins[*index].file, model->claim_origins[*index].line);
	}
	text_free(&name);
	return first;
}

bool
documents_not_empty(struct reader *reader, const struct yaml_node *list, const char *what)
{
	if (list->length > 0)
		return true;
	report_error(reader->report, reader_origin(reader, list), PN_EMPTY, "%s must not be empty", what);
	return false;
}

bool
documents_mentions(struct reader *reader, const struct yaml_node *list, documents_element *element, const char *what,
		   struct model_mentions *mentions)
{
	bool right = documents_not_empty(reader, list, what);

	mentions->list = arena_array(&reader->model->arena, list->length, sizeof(*mentions->list));
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		struct model_mention *mention = &mentions->list[mentions->n];
		mention->origin = reader_origin(reader, node);
		if (element(reader, node, &mention->name))
			mentions->n++;
		else
			right = false;
	}
	return right;
}

static void
read_meta(struct reader *reader, const struct yaml_node *node, struct model_meta *meta)
{
	const struct yaml_node *values[META_FIELDS];
	struct model_labels labels;

	schema_read(reader, node, &meta_schema, values);
	if (values[META_NAME] != NULL) {
		meta->origin = reader_origin(reader, values[META_NAME]);
		schema_name(reader, values[META_NAME], syntax_dns_subdomain, PN_BAD_NAME, "name", &meta->name);
	}
	if (values[META_NAMESPACE] != NULL &&
	    !schema_name(reader, values[META_NAMESPACE], syntax_dns_label, PN_BAD_NAME, "namespace", &meta->space)) {
		/* Of no namespace that anyone could mean. */
		meta->name = (struct name){0};
		meta->space = reader->model->default_space;
	}
	if (values[META_LABELS] != NULL)
		schema_labels(reader, values[META_LABELS], &labels);
	for (const struct yaml_node *value = values[META_ANNOTATIONS] == NULL ? NULL : values[META_ANNOTATIONS]->first;
	     value != NULL; value = value->next) {
		if (schema_shape(reader, value, SHAPE_TEXT, "an annotation") &&
		    strcmp(value->key->text, "istio.io/dry-run") == 0 && strcmp(value->text, "false") != 0)
			meta->dry_run = reader_origin(reader, value->key);
	}
}

static bool
contains(const char *const *names, const char *name)
{
	for (; *names != NULL; names++) {
		if (strcmp(*names, name) == 0)
			return true;
	}
	return false;
}

/* The kind, or NULL; *supported is false when the document is of one that is not, and so says nothing that others need.
 */
static const struct kind *
read_kind(struct reader *reader, const struct yaml_node *node, bool *known)
{
	const char *names[N_KINDS + 1] = {NULL};

	*known = true;
	for (unsigned i = 0; i < N_KINDS; i++) {
		if (strcmp(node->text, kinds[i].name) == 0)
			return &kinds[i];
		names[i] = kinds[i].name;
	}
	if (contains(unsupported_kinds, node->text)) {
		report_error(reader->report, reader_origin(reader, node), PN_UNSUPPORTED_KIND,
			     "kind %s is not supported yet", node->text);
		return NULL;
	}
	*known = false;
	struct suggestion suggestion = schema_suggest(reader, node->text, names);
	if (suggestion.text[0] == '\0')
		suggestion = schema_suggest(reader, node->text, unsupported_kinds);
	report_error(reader->report, reader_origin(reader, node), PN_UNKNOWN_KIND, "unknown kind \"%s\"%s",
		     quote(node->text, node->length).text, suggestion.text);
	return NULL;
}

static bool
read_version(struct reader *reader, const struct yaml_node *node, const struct kind *kind)
{
	if (contains(kind->versions, node->text))
		return true;
	if (strncmp(node->text, "gateway.networking.k8s.io/", 26) == 0) {
		report_error(reader->report, reader_origin(reader, node), PN_UNSUPPORTED_KIND,
			     "kind %s of the Kubernetes Gateway API is not supported yet", kind->name);
		return false;
	}
	report_error(reader->report, reader_origin(reader, node), PN_API_VERSION,
		     "kind %s has no apiVersion \"%s\"; it is \"%s\"", kind->name, quote(node->text, node->length).text,
		     kind->versions[0]);
	return true;
}

/* The value of a field before the document's own schema is known to hold. */
static const struct yaml_node *
find_text(const struct yaml_node *mapping, const char *name)
{
	if (mapping->kind != TREE_MAPPING)
		return NULL;
	for (const struct yaml_node *value = mapping->first; value != NULL; value = value->next) {
		if (strcmp(value->key->text, name) == 0 && value->kind == TREE_SCALAR)
			return value;
	}
	return NULL;
}

void
documents_read(struct reader *reader, const struct yaml_node *document)
{
	const struct yaml_node *values[DOCUMENT_FIELDS];
	const struct kind *kind = NULL;
	const struct yaml_node *kind_node = find_text(document, "kind");
	bool known = false;

	/* A kind that isn't supported gets that one error, whatever its fields are. */
	if (kind_node != NULL)
		kind = read_kind(reader, kind_node, &known);
	if (kind == NULL && kind_node != NULL) {
		reader->model->opaque = reader->model->opaque || !known;
		return;
	}
	schema_read(reader, document, &document_schema, values);
	if (kind == NULL) {
		reader->model->opaque = true;
		return;
	}
	if (values[DOCUMENT_VERSION] != NULL && !read_version(reader, values[DOCUMENT_VERSION], kind))
		return;
	struct model_meta meta = {.space = reader->model->default_space, .origin = reader_origin(reader, document)};
	if (values[DOCUMENT_METADATA] != NULL)
		read_meta(reader, values[DOCUMENT_METADATA], &meta);
	if (values[DOCUMENT_SPEC] != NULL)
		kind->read(reader, &meta, values[DOCUMENT_SPEC]);
	else
		reader->model->opaque = true;
}
