/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/ip_addr.h"
#include "platform/text.h"

static const struct ctl_option no_options[] = {{0}};

static const struct ctl_option global_options[] = {
	{"--socket", "PATH", CTL_TEXT, "posternd's control socket; default $POSTERN_SOCKET, or " CTL_SOCKET},
	{"--output", "FORMAT", CTL_TEXT, "-o: text (default) or json"},
	{"--help", NULL, CTL_FLAG, "-h: help for a command"},
	{"--version", NULL, CTL_FLAG, "the tool's version"},
	{0},
};

static const struct ctl_option limit_options[] = {
	{"--limit", "N", CTL_NUMBER, "at most N; 0, the default, is all"},
	{0},
};

static const struct ctl_option list_options[] = {
	{"--service", "HOST", CTL_TEXT, "those of one service"},
	{"--limit", "N", CTL_NUMBER, "at most N; 0, the default, is all"},
	{0},
};

static const struct ctl_option flows_options[] = {
	{"--client", "ADDR[/LENGTH]", CTL_PREFIX, "from this client or network"},
	{"--endpoint", "ADDR[:PORT]", CTL_ENDPOINT, "to this endpoint; ADDR/LENGTH for a network"},
	{"--service", "HOST", CTL_TEXT, "to this service"},
	{"--state", "STATE", CTL_TEXT, "peeking, connecting, spliced, closing or probing"},
	{"--listener", "GATEWAY|PORT", CTL_TEXT, "that came in by this Gateway (namespace/name) or port"},
	{"--limit", "N", CTL_NUMBER, "at most N, default 1000; 0 is all"},
	{0},
};

static const struct ctl_option drops_options[] = {
	{"--all", NULL, CTL_FLAG, "also reasons that never came up"},
	{0},
};

static const struct ctl_option drain_options[] = {
	{"--undo", NULL, CTL_FLAG, "take new connections again"},
	{0},
};

static const struct ctl_option upgrade_options[] = {
	{"--binary", "PATH", CTL_TEXT, "the new posternd, an absolute path; default: where the running one came from"},
	{0},
};

static const struct ctl_option ca_options[] = {
	{"--dir", "DIR", CTL_TEXT, "where the CAs are, a folder for each trust domain; default " CTL_CA_DIR},
	{"--trust-domain", "NAME", CTL_TEXT, "whose CA; show and bundle take the only one there is"},
	{"--key-type", "TYPE", CTL_TEXT, "init, rotate: p256 (default), p384, ed25519 or rsa"},
	{"--rsa-bits", "N", CTL_NUMBER, "init, rotate: 2048 to 8192, default 3072"},
	{"--days", "N", CTL_NUMBER, "init, rotate: of validity, default 3650"},
	{"--name-constraint", NULL, CTL_FLAG, "init, rotate: allow only this trust domain; not all verifiers take it"},
	{"--provider", "NAME", CTL_TEXT, "init, rotate: an OpenSSL provider that holds the key already"},
	{"--key-uri", "URI", CTL_TEXT, "init, rotate: the key in it"},
	{"--format", "FORMAT", CTL_TEXT, "bundle: jwks (default) or pem"},
	{0},
};

static const struct ctl_option explain_options[] = {
	{"--from", "WHO", CTL_TEXT, "spiffe://…, LEGACY-PKI/DNS-NAME, or an address"},
	{"--to", "HOST:PORT", CTL_TEXT, "what it asks for: a server name, a service, or an address of ours"},
	{"--listener", "GATEWAY|PORT", CTL_TEXT, "only by this Gateway (namespace/name) or port"},
	{"--address", "ADDR", CTL_TEXT, "where it comes from; without it, it is in no ipBlocks"},
	{"--interface", "NAME", CTL_TEXT, "the port of postern.conf by which it comes in"},
	{"--file", "FILE", CTL_FILE, "ask this federation file, not posternd; several are one federation"},
	{0},
};

static const struct ctl_command commands[] = {
	{"validate", "FILE…", "check federation files; needs no posternd",
	 "All files together are one federation. Errors go to standard error, each with its position, the line and a\n"
	 "caret; the exit code is 1 then.",
	 no_options, true},
	{"ca", "init|rotate|show|bundle", "make and show embedded CAs; needs no posternd",
	 "init makes the first CA of a trust domain, rotate the next one. Each is a key, mode 0600, and a "
	 "certificate;\n"
	 "none is ever overwritten. A new CA is in the bundle at once and signs 25 minutes later. bundle prints what\n"
	 "others need to verify what the CAs sign.",
	 ca_options, true},
	{"explain", "", "who would decide about a connection, and how; sends nothing",
	 "Shows each way there: listener, identity, route, policy and endpoint, and where they are written. For a\n"
	 "refusal, the rule that comes nearest to allowing it. The exit code is 1 when there is no way.",
	 explain_options, false},
	{"status", "", "what posternd is doing: version, federation, workers, tables, ports",
	 "Busy shares are of the last ten seconds.", no_options, false},
	{"listeners", "", "doors: where connections are taken, and what their SYN-ACKs offer",
	 "OFFER is what a client gets to see: largest segment, window scale, SACK, timestamps.", limit_options, false},
	{"services", "", "services, their ports and subsets, and what they carry", "One line for each port and subset.",
	 list_options, false},
	{"endpoints", "", "endpoints, their load, and the TCP options that they are known to take",
	 "TCP is learned from the endpoint's SYN-ACKs; \"-\" until it has answered once.", list_options, false},
	{"flows", "", "connections that there are now", "Filters are joined by \"and\".", flows_options, false},
	{"drops", "", "why packets were dropped, connections refused, and flows ended",
	 "RATE is of the last ten seconds.", drops_options, false},
	{"metrics", "", "the metrics page, as Prometheus gets it", "docs/metrics.md says what each one means.",
	 no_options, false},
	{"reload", "", "load the federation again",
	 "With an error in it nothing changes: the errors are printed and the exit code is 1.", no_options, false},
	{"drain", "", "take no new connections; those there are go on", "A SYN gets no answer while posternd drains.",
	 drain_options, false},
	{"upgrade", "", "replace the running program in place; connections go on",
	 "The new program checks both files first; when it refuses them, nothing happens and the exit code is 1.",
	 upgrade_options, false},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct ctl_command *
find_command(const char *name, struct text *error)
{
	const char *names[COMMANDS + 1];

	for (unsigned i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
		names[i] = commands[i].name;
	}
	names[COMMANDS] = NULL;
	const char *closest = text_closest(name, names);
	text_print(error, "unknown command \"%s\"", name);
	if (closest != NULL)
		text_print(error, "; did you mean \"%s\"?", closest);
	return NULL;
}

static const struct ctl_option *
find_in(const struct ctl_option *options, const char *name, size_t length)
{
	for (; options->name != NULL; options++)
		if (strlen(options->name) == length && memcmp(options->name, name, length) == 0)
			return options;
	return NULL;
}

/* An option by the command line's word, "=VALUE" left out. command: NULL when none was named yet. */
static const struct ctl_option *
find_option(const struct ctl_command *command, const char *word, struct text *error)
{
	const struct ctl_option *command_options = command == NULL ? no_options : command->options;
	size_t length = strcspn(word, "=");
	const char *names[16] = {NULL};
	unsigned n = 0;

	if (strcmp(word, "-o") == 0)
		return find_in(global_options, "--output", 8);
	if (strcmp(word, "-h") == 0)
		return find_in(global_options, "--help", 6);
	const struct ctl_option *option = find_in(global_options, word, length);
	if (option == NULL)
		option = find_in(command_options, word, length);
	if (option != NULL)
		return option;
	for (const struct ctl_option *o = global_options; o->name != NULL; o++)
		names[n++] = o->name;
	for (const struct ctl_option *o = command_options; o->name != NULL; o++)
		names[n++] = o->name;
	char *bare = strndup(word, length);
	const char *closest = text_closest(bare, names);
	text_print(error, "%s%sunknown option \"%s\"", command == NULL ? "" : command->name,
		   command == NULL ? "" : ": ", bare);
	if (closest != NULL)
		text_print(error, "; did you mean \"%s\"?", closest);
	free(bare);
	return NULL;
}

static bool
is_prefix(const char *value)
{
	struct ip_prefix prefix;
	struct ip_addr addr;
	return ip_prefix_parse(value, &prefix) || ip_addr_parse(value, &addr);
}

static bool
is_endpoint(const char *value)
{
	struct ip_addr addr;
	uint16_t port;
	return ip_endpoint_parse(value, &addr, &port);
}

/* value: NULL for a flag. */
static bool
set_argument(json_t *arguments, const struct ctl_option *option, const char *value, struct text *error)
{
	const char *name = option->name + 2;
	json_t *json = NULL;

	if (value == NULL) {
		json = json_true();
	} else if (option->kind == CTL_NUMBER) {
		char *end;
		errno = 0;
		long long number = strtoll(value, &end, 10);
		if (errno == 0 && end != value && *end == '\0' && number >= 0 && value[0] != '+')
			json = json_integer(number);
	} else if (option->kind == CTL_TEXT || is_prefix(value) ||
		   (option->kind == CTL_ENDPOINT && is_endpoint(value))) {
		json = json_string(value);
	}
	if (json == NULL) {
		text_print(error, "%s takes %s, not \"%s\"", option->name, option->value_name, value);
		return false;
	}
	json_object_set_new(arguments, name, json);
	return true;
}

static bool
set_global(struct ctl_request *request, const struct ctl_option *option, const char *value, struct text *error)
{
	if (strcmp(option->name, "--help") == 0) {
		request->help = true;
	} else if (strcmp(option->name, "--version") == 0) {
		request->version = true;
	} else if (strcmp(option->name, "--socket") == 0) {
		request->socket = value;
	} else if (value != NULL) {
		request->json = strcmp(value, "json") == 0;
		if (!request->json && strcmp(value, "text") != 0) {
			text_print(error, "--output is text or json, not \"%s\"", value);
			return false;
		}
	}
	return true;
}

/* Takes the option at *i and its value, which may be the next word. */
static bool
take_option(int argc, char **argv, int *i, struct ctl_request *request, struct text *error)
{
	const struct ctl_option *option = find_option(request->command, argv[*i], error);
	const char *value = strchr(argv[*i], '=');

	if (option == NULL)
		return false;
	if (option->kind == CTL_FLAG && value != NULL) {
		text_print(error, "%s takes no value", option->name);
		return false;
	}
	if (option->kind != CTL_FLAG) {
		value = value != NULL ? value + 1 : *i + 1 < argc ? argv[++*i] : NULL;
		if (value == NULL) {
			text_print(error, "%s needs %s", option->name, option->value_name);
			return false;
		}
	}
	if (option->kind == CTL_FILE) {
		request->files[request->n_files++] = value;
		return true;
	}
	bool global = option >= global_options && option < global_options + sizeof(global_options) / sizeof(*option);
	return global ? set_global(request, option, value, error)
		      : set_argument(request->arguments, option, value, error);
}

/* A word that is no option. */
static bool
take_word(const char *word, struct ctl_request *request, struct text *error)
{
	if (request->command == NULL) {
		request->command = find_command(word, error);
		return request->command != NULL;
	}
	if (!request->command->takes_files) {
		text_print(error, "%s takes no \"%s\"", request->command->name, word);
		return false;
	}
	request->files[request->n_files++] = word;
	return true;
}

bool
ctl_parse(int argc, char **argv, const char *environment, struct ctl_request *request, struct text *error)
{
	bool only_words = false;

	*request = (struct ctl_request){
		.socket = environment != NULL && environment[0] != '\0' ? environment : CTL_SOCKET,
		.arguments = json_object(),
		.files = calloc((size_t)argc + 1, sizeof(*request->files)),
	};
	if (request->files == NULL)
		abort();
	for (int i = 1; i < argc; i++) {
		bool is_option = !only_words && argv[i][0] == '-' && argv[i][1] != '\0';
		if (is_option && strcmp(argv[i], "--") == 0) {
			only_words = true;
			continue;
		}
		if (!(is_option ? take_option(argc, argv, &i, request, error) : take_word(argv[i], request, error)))
			return false;
	}
	if (request->help || request->version)
		return true;
	if (request->command == NULL) {
		text_print(error, "which command? posternctl --help lists them");
		return false;
	}
	if (request->command->takes_files && request->n_files == 0) {
		text_print(error, "%s needs %s", request->command->name, request->command->usage);
		return false;
	}
	return true;
}

void
ctl_request_free(struct ctl_request *request)
{
	json_decref(request->arguments);
	free(request->files);
	*request = (struct ctl_request){0};
}

static void
help_options(const struct ctl_option *options, struct text *out)
{
	for (; options->name != NULL; options++) {
		char left[48];
		snprintf(left, sizeof(left), "%s%s%s", options->name, options->value_name == NULL ? "" : " ",
			 options->value_name == NULL ? "" : options->value_name);
		text_print(out, "  %-24s %s\n", left, options->help);
	}
}

void
ctl_help(const struct ctl_command *command, struct text *out)
{
	if (command != NULL) {
		bool has_options = command->options->name != NULL;
		text_print(out, "Usage: posternctl %s%s%s%s\n\n%s\n%s\n", command->name,
			   has_options ? " [OPTION…]" : "", command->usage[0] == '\0' ? "" : " ", command->usage,
			   command->summary, command->details);
		if (has_options)
			text_print(out, "\nOptions:\n");
		help_options(command->options, out);
	} else {
		text_print(out, "Usage: posternctl [--socket PATH] COMMAND [OPTION…]\n\nCommands:\n");
		for (unsigned i = 0; i < COMMANDS; i++)
			text_print(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
	}
	text_print(out, "\nOptions of all commands:\n");
	help_options(global_options, out);
	if (command == NULL)
		text_print(out,
			   "\nExit code: 0 done, 1 refused or not valid, 2 wrong usage, 3 posternd doesn't answer.\n");
}
