/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/text.h"

static void
explain(const char *path, int code, struct text *error)
{
	text_print(error, "cannot reach posternd at %s: %s\n", path, strerror(code));
	if (code == ENOENT)
		text_print(error,
			   "Start it (systemctl start posternd), or name its socket with --socket or $POSTERN_SOCKET;\n"
			   "it is control.socket in postern.conf.");
	else if (code == ECONNREFUSED)
		text_print(
			error,
			"The socket is there, but posternd isn't: it was killed. Start it: systemctl start posternd");
	else if (code == EACCES || code == EPERM)
		text_print(error,
			   "The socket belongs to the user that posternd runs as. Try again as that user, or as root.");
	else
		text_print(error, "Is it a socket of posternd? See control.socket in postern.conf.");
}

static int
connect_to(const char *path, struct text *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = CTL_ANSWER_TIMEOUT_S};

	if (strlen(path) >= sizeof(address.sun_path)) {
		explain(path, ENAMETOOLONG, error);
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		explain(path, errno, error);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

static bool
send_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		/* A server that has closed may have said why: its answer can still be read. */
		if (n < 0)
			return errno == EPIPE;
		bytes += n;
		length -= (size_t)n;
	}
	return true;
}

FILE *
ctl_ask(const char *path, const char *command, json_t *arguments, struct text *error)
{
	int fd = connect_to(path, error);

	if (fd < 0)
		return NULL;
	json_t *request = json_object();
	json_object_set_new(request, "command", json_string(command));
	json_object_set(request, "arguments", arguments);
	char *line = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	bool sent = line != NULL && send_all(fd, line, strlen(line)) && send_all(fd, "\n", 1);
	int code = errno;
	free(line);
	FILE *answer = sent ? fdopen(fd, "r") : NULL;
	if (answer != NULL)
		return answer;
	explain(path, code, error);
	close(fd);
	return NULL;
}

enum ctl_answer
ctl_answer_begin(FILE *answer, json_t **document, struct text *error)
{
	char *line = NULL;
	size_t capacity = 0;
	enum ctl_answer kind = CTL_ANSWER_NONE;

	errno = 0;
	ssize_t length = getline(&line, &capacity, answer);
	if (length <= 0) {
		text_print(error, "posternd took the request and gave no answer%s%s", errno == 0 ? "" : ": ",
			   errno == 0 ? "" : strerror(errno));
	} else if (length >= 3 && memcmp(line + length - 3, ":[\n", 3) == 0) {
		kind = CTL_ANSWER_LIST;
	} else {
		*document = json_loadb(line, (size_t)length, 0, NULL);
		kind = json_is_object(*document) ? CTL_ANSWER_DOCUMENT : CTL_ANSWER_NONE;
		if (kind == CTL_ANSWER_NONE)
			text_print(error, "what answers isn't posternd: its answer is no JSON object");
	}
	free(line);
	return kind;
}

const char *
ctl_records_next(struct ctl_records *records, json_t **end)
{
	ssize_t length = getline(&records->line, &records->capacity, records->answer);
	char *line = records->line;

	*end = NULL;
	if (length < 2 || line[length - 1] != '\n')
		return NULL;
	line[--length] = '\0';
	if (line[0] != ']') {
		if (line[length - 1] == ',')
			line[length - 1] = '\0';
		return line;
	}
	/* What is behind the list, made an object of its own: ],"truncated":false} */
	line[1] = '{';
	*end = json_loads(line + 1, 0, NULL);
	return NULL;
}

void
ctl_records_free(struct ctl_records *records)
{
	free(records->line);
	fclose(records->answer);
	*records = (struct ctl_records){0};
}
