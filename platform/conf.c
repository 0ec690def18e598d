/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading postern.conf: tables of rules say which settings a group has, of what kind, in which range, and what holds
 * when one is not written; conf_read.c goes by them. Lists (ports, addresses, routes, worker cores) are read here. How
 * settings fit together is conf_check.c's. All errors go to one list, are sorted by line, and are returned together.
 *
 * libconfig itself stops at the first error of syntax (a setting written twice is one), so that one comes alone.
 */
#include "platform/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/conf_check.h"
#include "platform/conf_read.h"
#include "platform/text.h"

enum { FILE_MAX = 1 << 20, SOCKET_PATH_MAX = 108 /* sun_path, the NUL included */ };

#define CONF(field) offsetof(struct conf, field)
#define PORT(field) offsetof(struct conf_port, field)

static const struct conf_rule top_rules[] = {
	{"federation", KIND_STRING, CONF(federation_path), 1, PATH_MAX, 0, "federation.yaml"},
	{"state_directory", KIND_PATH, CONF(state_directory), 0, PATH_MAX, 0, "/run/postern"},
	{.name = "ports", .kind = KIND_OTHER},
	{.name = "routes", .kind = KIND_OTHER},
	{.name = "cores", .kind = KIND_OTHER},
	{.name = "memory", .kind = KIND_OTHER},
	{.name = "tables", .kind = KIND_OTHER},
	{.name = "flow", .kind = KIND_OTHER},
	{.name = "tls", .kind = KIND_OTHER},
	{.name = "control", .kind = KIND_OTHER},
	{.name = "metrics", .kind = KIND_OTHER},
	{.name = "log", .kind = KIND_OTHER},
	{0},
};

static const struct conf_rule port_rules[] = {
	{"name", KIND_NAME, PORT(name), 1, CONF_NAME_MAX, 0, NULL},
	{"device", KIND_NAME, PORT(device), 1, CONF_NAME_MAX, 0, NULL},
	{"arguments", KIND_STRING, PORT(arguments), 0, 1024, 0, NULL},
	{"vlan", KIND_U16, PORT(vlan), 0, 4094, 0, NULL},
	{"mtu", KIND_U16, PORT(mtu), 1280, 9000, 1500, NULL},
	{"rx_descriptors", KIND_POWER, PORT(rx_descriptors), 64, 8192, 1024, NULL},
	{"tx_descriptors", KIND_POWER, PORT(tx_descriptors), 64, 8192, 1024, NULL},
	{"tap", KIND_BOOL, PORT(tap), 0, 1, false, NULL},
	{.name = "addresses", .kind = KIND_OTHER},
	{0},
};

static const struct conf_rule route_rules[] = {
	{.name = "to", .kind = KIND_OTHER},
	{.name = "via", .kind = KIND_OTHER},
	{.name = "port", .kind = KIND_OTHER},
	{0},
};

static const struct conf_rule core_rules[] = {
	{"main", KIND_U16, CONF(main_core), 0, CONF_CORE_MAX, 0, NULL},
	{.name = "workers", .kind = KIND_OTHER},
	{0},
};

static const struct conf_rule memory_rules[] = {
	{"huge_pages", KIND_BOOL, CONF(memory.huge_pages), 0, 1, false, NULL},
	{"megabytes", KIND_U32, CONF(memory.megabytes), 16, 65536, 64, NULL},
	{"packets", KIND_U32, CONF(memory.packets), 1024, 8388607, 16384, NULL},
	{0},
};

static const struct conf_rule table_rules[] = {
	{"flows", KIND_U32, CONF(tables.flows), 1024, 16777216, 262144, NULL},
	{"holds", KIND_U32, CONF(tables.holds), 64, 1048576, 4096, NULL},
	{"bridges", KIND_U32, CONF(tables.bridges), 64, 4194304, 16384, NULL},
	{"neighbours", KIND_U32, CONF(tables.neighbours), 64, 16384, 1024, NULL},
	{0},
};

static const struct conf_rule flow_rules[] = {
	{"local_port_first", KIND_U16, CONF(flow.local_port_first), 1024, 65535, 16384, NULL},
	{"local_port_last", KIND_U16, CONF(flow.local_port_last), 1024, 65535, 65535, NULL},
	{"idle_timeout_s", KIND_U32, CONF(flow.idle_timeout_s), 60, 604800, 8100, NULL},
	{"half_closed_timeout_s", KIND_U32, CONF(flow.half_closed_timeout_s), 60, 604800, 8100, NULL},
	{"hello_timeout_ms", KIND_U32, CONF(flow.hello_timeout_ms), 100, 60000, 5000, NULL},
	{"close_linger_ms", KIND_U32, CONF(flow.close_linger_ms), 0, 240000, 4000, NULL},
	{"drain_timeout_s", KIND_U32, CONF(flow.drain_timeout_s), 0, 86400, 10, NULL},
	{"rst_per_second", KIND_U32, CONF(flow.rst_per_second), 0, 1000000, 1000, NULL},
	{0},
};

static const struct conf_rule tls_rules[] = {
	{"handshake_threads", KIND_U16, CONF(tls.handshake_threads), 1, CONF_HANDSHAKE_THREADS_MAX, 1, NULL},
	{"handshake_queue", KIND_POWER, CONF(tls.handshake_queue), 16, 16384, 512, NULL},
	{"handshake_timeout_ms", KIND_U32, CONF(tls.handshake_timeout_ms), 100, 60000, 10000, NULL},
	{"expiry_grace_s", KIND_U32, CONF(tls.expiry_grace_s), 0, 604800, 300, NULL},
	{0},
};

static const struct conf_rule control_rules[] = {
	{"socket", KIND_PATH, CONF(control_socket), 0, SOCKET_PATH_MAX, 0, "/run/postern/control.sock"},
	{0},
};

static const struct conf_rule metrics_rules[] = {
	{"address", KIND_STRING, CONF(metrics_address), 0, IP_ENDPOINT_TEXT_MAX, 0, "127.0.0.1:15020"},
	{0},
};

static const struct conf_rule log_rules[] = {
	{"level", KIND_LEVEL, CONF(log.level), 0, 0, LOG_INFO, NULL},
	{"format", KIND_FORMAT, CONF(log.format), 0, 0, LOG_JSON, NULL},
	{"access", KIND_BOOL, CONF(log.access), 0, 1, true, NULL},
	{0},
};

struct reader {
	struct conf *conf;
	struct conf_lines lines;
	struct conf_errors errors;
};

/* A group of the top level; absent, its fallbacks hold. Returns it, or NULL; *line is where it stands. */
static const config_setting_t *
read_top_group(struct reader *reader, const config_setting_t *root, const char *name, const struct conf_rule *rules,
	       unsigned *line)
{
	const config_setting_t *group = config_setting_get_member(root, name);
	char in[32];

	if (group != NULL &&
	    !conf_read_type(&reader->errors, group, name, CONFIG_TYPE_GROUP, CONFIG_TYPE_GROUP, "a group { }"))
		group = NULL;
	snprintf(in, sizeof(in), "%s.", name);
	conf_read_group(&reader->errors, group, in, rules, reader->conf);
	*line = group == NULL ? 1 : config_setting_source_line(group);
	return group;
}

static void
read_addresses(struct reader *reader, const config_setting_t *group, const char *in, struct conf_port *port,
	       unsigned lines[CONF_ADDRESSES_MAX])
{
	const config_setting_t *list = config_setting_get_member(group, "addresses");
	char name[128];

	snprintf(name, sizeof(name), "%saddresses", in);
	if (list == NULL) {
		conf_errors_add(&reader->errors, config_setting_source_line(group), "%s is missing", name);
		return;
	}
	if (!conf_read_type(&reader->errors, list, name, CONFIG_TYPE_ARRAY, CONFIG_TYPE_LIST, "an array [ ]"))
		return;
	if (config_setting_length(list) == 0)
		conf_errors_add(&reader->errors, config_setting_source_line(list), "%s must have at least one address",
				name);
	for (int i = 0; i < config_setting_length(list); i++) {
		const config_setting_t *element = config_setting_get_elem(list, (unsigned)i);
		snprintf(name, sizeof(name), "%saddresses[%d]", in, i);
		const char *value = conf_read_text(&reader->errors, element, name, IP_PREFIX_TEXT_MAX);
		struct ip_prefix prefix;
		if (value == NULL)
			continue;
		if (!ip_prefix_parse(value, &prefix)) {
			conf_errors_add(&reader->errors, config_setting_source_line(element),
					"%s is \"%s\", which is not ADDRESS/LENGTH as in \"192.0.2.1/24\"", name,
					value);
			continue;
		}
		if (port->n_addresses == CONF_ADDRESSES_MAX) {
			conf_errors_add(&reader->errors, config_setting_source_line(element),
					"%s: a port has at most %d addresses", name, CONF_ADDRESSES_MAX);
			return;
		}
		lines[port->n_addresses] = config_setting_source_line(element);
		port->addresses[port->n_addresses++] = prefix;
	}
}

/* The list called name, whose elements are groups, at most max; NULL when it can't be read or isn't there. */
static const config_setting_t *
get_list(struct reader *reader, const config_setting_t *root, const char *name, int max)
{
	const config_setting_t *list = config_setting_get_member(root, name);

	if (list == NULL ||
	    !conf_read_type(&reader->errors, list, name, CONFIG_TYPE_LIST, CONFIG_TYPE_LIST, "a list ( )"))
		return NULL;
	if (config_setting_length(list) > max) {
		conf_errors_add(&reader->errors,
				config_setting_source_line(config_setting_get_elem(list, (unsigned)max)),
				"more than %d %s", max, name);
		return NULL;
	}
	return list;
}

static void
read_ports(struct reader *reader, const config_setting_t *root)
{
	const config_setting_t *list = get_list(reader, root, "ports", CONF_PORTS_MAX);
	int n = list == NULL ? 0 : config_setting_length(list);
	char in[32];

	if (config_setting_get_member(root, "ports") == NULL || (list != NULL && n == 0))
		conf_errors_add(&reader->errors, list == NULL ? 1 : config_setting_source_line(list),
				"ports must have at least one port");
	for (int i = 0; i < n; i++) {
		const config_setting_t *group = config_setting_get_elem(list, (unsigned)i);
		uint8_t index = reader->conf->n_ports;
		snprintf(in, sizeof(in), "ports[%d]", i);
		if (!conf_read_type(&reader->errors, group, in, CONFIG_TYPE_GROUP, CONFIG_TYPE_GROUP, "a group { }"))
			continue;
		strcat(in, ".");
		reader->lines.ports[index] = config_setting_source_line(group);
		conf_read_group(&reader->errors, group, in, port_rules, &reader->conf->ports[index]);
		read_addresses(reader, group, in, &reader->conf->ports[index], reader->lines.addresses[index]);
		reader->conf->n_ports++;
	}
}

/* The text of a route's member; NULL when it isn't there, or no text. */
static const char *
get_route_text(struct reader *reader, const config_setting_t *group, const char *in, const char *member)
{
	const config_setting_t *setting = config_setting_get_member(group, member);
	char name[48];

	if (setting == NULL)
		return NULL;
	snprintf(name, sizeof(name), "%s%s", in, member);
	return conf_read_text(&reader->errors, setting, name, IP_PREFIX_TEXT_MAX);
}

static void
read_route(struct reader *reader, const config_setting_t *group, const char *in)
{
	struct conf_route route = {0};
	uint16_t index = reader->conf->n_routes;

	conf_read_group(&reader->errors, group, in, route_rules, &route);
	const char *to = get_route_text(reader, group, in, "to");
	const char *via = get_route_text(reader, group, in, "via");
	bool to_parsed = to != NULL && ip_prefix_parse(to, &route.to);
	bool via_parsed = via != NULL && ip_addr_parse(via, &route.via);
	if (to != NULL && !to_parsed)
		conf_errors_add(&reader->errors, config_setting_source_line(config_setting_get_member(group, "to")),
				"%sto is \"%s\", which is not ADDRESS/LENGTH as in \"0.0.0.0/0\"", in, to);
	if (via != NULL && !via_parsed)
		conf_errors_add(&reader->errors, config_setting_source_line(config_setting_get_member(group, "via")),
				"%svia is \"%s\", which is no IP address", in, via);
	if (config_setting_get_member(group, "to") == NULL)
		conf_errors_add(&reader->errors, config_setting_source_line(group), "%sto is missing", in);
	if (config_setting_get_member(group, "via") == NULL)
		conf_errors_add(&reader->errors, config_setting_source_line(group), "%svia is missing", in);
	if (!to_parsed || !via_parsed)
		return;
	reader->lines.routes[index] = config_setting_source_line(group);
	reader->lines.route_ports[index] = get_route_text(reader, group, in, "port");
	reader->conf->routes[index] = route;
	reader->conf->n_routes++;
}

static void
read_routes(struct reader *reader, const config_setting_t *root)
{
	const config_setting_t *list = get_list(reader, root, "routes", CONF_ROUTES_MAX);
	char in[32];

	for (int i = 0; list != NULL && i < config_setting_length(list); i++) {
		const config_setting_t *group = config_setting_get_elem(list, (unsigned)i);
		snprintf(in, sizeof(in), "routes[%d]", i);
		if (!conf_read_type(&reader->errors, group, in, CONFIG_TYPE_GROUP, CONFIG_TYPE_GROUP, "a group { }"))
			continue;
		strcat(in, ".");
		read_route(reader, group, in);
	}
}

static void
read_workers(struct reader *reader, const config_setting_t *list)
{
	static const struct conf_rule core = {"", KIND_U16, 0, 0, CONF_CORE_MAX, 0, NULL};
	struct conf *conf = reader->conf;
	char name[32];

	if (!conf_read_type(&reader->errors, list, "cores.workers", CONFIG_TYPE_ARRAY, CONFIG_TYPE_LIST,
			    "an array [ ]"))
		return;
	int n = config_setting_length(list);
	if (n < 1 || n > CONF_WORKERS_MAX) {
		conf_errors_add(&reader->errors, config_setting_source_line(list),
				"cores.workers has %d cores; 1..%d can be", n, CONF_WORKERS_MAX);
		return;
	}
	conf->n_workers = (uint8_t)n;
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "cores.workers[%d]", i);
		conf_read_number(&reader->errors, config_setting_get_elem(list, (unsigned)i), name, &core,
				 &conf->worker_cores[i]);
	}
}

static void
read_cores(struct reader *reader, const config_setting_t *root)
{
	const config_setting_t *group = read_top_group(reader, root, "cores", core_rules, &reader->lines.cores);

	reader->conf->n_workers = 1;
	reader->conf->worker_cores[0] = 1;
	reader->conf->cores_line = reader->lines.cores;
	const config_setting_t *workers = group == NULL ? NULL : config_setting_get_member(group, "workers");
	if (workers != NULL)
		read_workers(reader, workers);
}

/* Reads all of path. Returns false, and says why, when it can't be read, is too big, or has a NUL, where libconfig
 * would stop reading. */
static bool
read_file(const char *path, struct text *file, struct conf_errors *errors)
{
	char block[4096];
	ssize_t n;

	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		conf_errors_add(errors, 1, "can't open the file: %s", strerror(errno));
		return false;
	}
	while ((n = read(fd, block, sizeof(block))) > 0 && file->length <= FILE_MAX)
		text_add(file, block, (size_t)n);
	int error = errno;
	close(fd);
	if (n < 0)
		conf_errors_add(errors, 1, "can't read the file: %s", strerror(error));
	else if (file->length > FILE_MAX)
		conf_errors_add(errors, 1, "the file is larger than %d bytes", FILE_MAX);
	else if (file->length != 0 && strlen(file->bytes) != file->length)
		conf_errors_add(errors, 1, "the file has a NUL byte in it; it is no text");
	return errors->n == 0;
}

/* The folder that path is in, absolute. Links are left as they are: a mounted ConfigMap is links to folders that come
 * and go. */
static void
print_folder(struct text *folder, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (path[0] != '/') {
		char *here = getcwd(NULL, 0);
		text_print(folder, "%s/", here == NULL ? "." : here);
		free(here);
	}
	text_add(folder, path, slash == NULL ? 0 : (size_t)(slash - path + 1));
}

static void
make_absolute(char **path, const char *file)
{
	struct text text = {0};

	if ((*path)[0] == '/')
		return;
	print_folder(&text, file);
	text_print(&text, "%s", *path);
	free(*path);
	*path = text.bytes;
}

static void
read_settings(struct reader *reader, const config_setting_t *root)
{
	struct conf_lines *lines = &reader->lines;
	unsigned unused;

	conf_read_group(&reader->errors, root, "", top_rules, reader->conf);
	read_ports(reader, root);
	read_routes(reader, root);
	read_cores(reader, root);
	read_top_group(reader, root, "memory", memory_rules, &lines->memory);
	read_top_group(reader, root, "tables", table_rules, &unused);
	read_top_group(reader, root, "flow", flow_rules, &lines->flow);
	read_top_group(reader, root, "tls", tls_rules, &unused);
	read_top_group(reader, root, "control", control_rules, &unused);
	read_top_group(reader, root, "metrics", metrics_rules, &lines->metrics);
	read_top_group(reader, root, "log", log_rules, &unused);
	if (reader->conf->metrics_address[0] == '\0') {
		free(reader->conf->metrics_address);
		reader->conf->metrics_address = NULL;
	}
	conf_check(reader->conf, lines, &reader->errors);
}

bool
conf_load(const char *path, struct conf **conf, struct text *errors)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	struct text file = {0};
	config_t config;
	bool loaded = false;

	if (reader == NULL || (reader->conf = calloc(1, sizeof(*reader->conf))) == NULL)
		abort();
	if ((reader->conf->path = strdup(path)) == NULL)
		abort();
	config_init(&config);
	if (!read_file(path, &file, &reader->errors))
		goto Exit;
	conf_read_scan(&reader->errors, file.bytes == NULL ? "" : file.bytes);
	if (reader->errors.n > 0)
		goto Exit;
	if (config_read_string(&config, file.bytes == NULL ? "" : file.bytes) != CONFIG_TRUE) {
		conf_errors_add(&reader->errors, (unsigned)config_error_line(&config), "%s",
				config_error_text(&config));
		goto Exit;
	}
	read_settings(reader, config_root_setting(&config));
	loaded = reader->errors.n == 0;
	if (loaded) {
		make_absolute(&reader->conf->federation_path, path);
		*conf = reader->conf;
		reader->conf = NULL;
	}
Exit:
	conf_errors_print(&reader->errors, path, errors);
	conf_errors_free(&reader->errors);
	conf_free(reader->conf);
	config_destroy(&config);
	text_free(&file);
	free(reader);
	return loaded;
}

void
conf_free(struct conf *conf)
{
	if (conf == NULL)
		return;
	for (unsigned i = 0; i < conf->n_ports; i++)
		free(conf->ports[i].arguments);
	free(conf->path);
	free(conf->federation_path);
	free(conf->state_directory);
	free(conf->control_socket);
	free(conf->metrics_address);
	free(conf);
}
