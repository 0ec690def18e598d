/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/target.h"

#include "gateway/istio_sni.h"

static struct target
find_route(const struct snapshot *snapshot, const struct listener *listener, const char *sni, size_t length)
{
	/* Without a name only a route for "*" matches; it is what Envoy does, too. */
	const struct route *route = listener_route(snapshot, listener, sni, length);
	bool nameless = listener->mode == LISTENER_TCP || listener->mode == LISTENER_PLAIN;

	if (route != NULL)
		return (struct target){.route = route};
	return (struct target){.reason = nameless      ? REASON_NO_ENDPOINT
					 : length == 0 ? REASON_SNI_MISSING
						       : REASON_SNI_NO_MATCH};
}

/* Istio's own gateway also wants one of its ALPN names here, because it builds a way to every port of every service,
 * plaintext ones included, and a client of the mesh is recognised by them (CVE-2021-31921 was about that way). We don't
 * ask for them: a listener reaches nothing but TLS ports of services that its hosts admit, where the endpoint
 * authenticates the client itself, and what a peer says about itself decides nothing here. */
static struct target
find_by_istio_name(const struct snapshot *snapshot, const struct listener *listener, const char *sni, size_t length)
{
	struct istio_sni name;
	bool has_port;

	if (length == 0)
		return (struct target){.reason = REASON_SNI_MISSING};
	if (!istio_sni_parse(sni, length, &name))
		return (struct target){.reason = REASON_SNI_NOT_ISTIO};
	const struct service *service = listener_service(snapshot, listener, name.host, name.host_length);
	if (service == NULL)
		return (struct target){.reason = REASON_SERVICE_UNKNOWN};
	const struct backend *backend = service_backend(service, name.port, name.subset, name.subset_length, &has_port);
	if (backend == NULL)
		return (struct target){.reason = has_port ? REASON_SERVICE_SUBSET : REASON_SERVICE_PORT};
	return (struct target){.backend = backend};
}

struct target
target_find(const struct snapshot *snapshot, const struct listener *listener, const char *sni, size_t length)
{
	return listener->mode == LISTENER_AUTO_PASSTHROUGH ? find_by_istio_name(snapshot, listener, sni, length)
							   : find_route(snapshot, listener, sni, length);
}
