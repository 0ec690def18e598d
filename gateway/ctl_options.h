/* SPDX-License-Identifier: Apache-2.0 */
/* posternctl's command line: its commands, their options, and their help. */
#ifndef POSTERN_GATEWAY_CTL_OPTIONS_H
#define POSTERN_GATEWAY_CTL_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>

struct text;

#define CTL_SOCKET "/run/postern/control.sock"
#define CTL_CA_DIR "/var/lib/postern/ca"

/* Exit codes. */
enum {
	CTL_OK = 0,
	CTL_REFUSED = 1,    /* posternd refused, a file isn't valid, or the answer isn't whole */
	CTL_USAGE = 2,      /* the command line makes no sense */
	CTL_UNREACHABLE = 3 /* posternd doesn't answer */
};

enum ctl_value {
	CTL_FLAG,
	CTL_TEXT,
	CTL_NUMBER,   /* a whole number, 0 or more */
	CTL_PREFIX,   /* ADDR or ADDR/LENGTH */
	CTL_ENDPOINT, /* ADDR:PORT as well */
	CTL_FILE      /* one of the request's files; no argument, and may come again */
};

struct ctl_option {
	const char *name; /* "--client"; NULL ends a list. Without the dashes it is the argument's name in a request */
	const char *value_name; /* "ADDR[/LENGTH]"; NULL for a flag */
	enum ctl_value kind;
	const char *help;
};

struct ctl_command {
	const char *name;
	const char *usage; /* behind the name */
	const char *summary;
	const char *details;
	const struct ctl_option *options;
	bool takes_files; /* files or other words, behind the options; at least one */
};

/* A command line, read. */
struct ctl_request {
	const struct ctl_command *command; /* NULL: none was named */
	const char *socket;                /* of the command line, $POSTERN_SOCKET, or CTL_SOCKET */
	bool json, help, version;
	json_t *arguments;  /* of the command; owned by the request */
	const char **files; /* n_files; words behind the command, or of CTL_FILE; the array is owned by the request, the
			       texts are argv's */
	size_t n_files;
};

/* Reads argv. False when it can't be used, with a line in error. ctl_request_free in either case. environment: the
 * value of $POSTERN_SOCKET, or NULL. */
bool ctl_parse(int argc, char **argv, const char *environment, struct ctl_request *request, struct text *error);
void ctl_request_free(struct ctl_request *request);

/* Help for all (command NULL) or for one. */
void ctl_help(const struct ctl_command *command, struct text *out);

#endif
