/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a client is served:
 *
 *   connected ── line ──▶ answering ── last piece written ──▶ closed
 *       │                   │    ▲
 *       │                   └────┘ pump (once in a round of the loop): make a piece; when it isn't empty,
 *       │                          stop pumping until it is written
 *       └── idle, broken, or gone in either state ──▶ closed
 *
 * A client's memory goes when all three of its handles are closed, the server's when its two and all clients' are.
 */
#include "gateway/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/control_answer.h"
#include "platform/clock.h"

enum { BACKLOG = 16, CLIENT_HANDLES = 3, READ_BYTES = 4096 };

struct client {
	struct control *control;
	struct client *next;
	uv_pipe_t pipe;
	uv_timer_t idle;
	uv_idle_t pump;
	uv_write_t write;
	char buffer[READ_BYTES];
	struct text request, piece;
	struct control_answer *answer; /* NULL before the request, and after the last piece was made */
	unsigned closed;               /* handles */
	bool ended, closing;           /* ended: the last piece was made */
};

struct control {
	struct control_context context;
	uv_pipe_t pipe;
	uv_timer_t sampler;
	struct client *clients;
	unsigned n_clients;
	unsigned open; /* handles of the server, and clients */
	bool stopping;
	char *path;
	dev_t device; /* what was made at path, to see whether it is still that */
	ino_t inode;
};

static void
release(struct control *control)
{
	if (--control->open > 0 || !control->stopping)
		return;
	free(control->path);
	free(control);
}

static void
on_client_closed(uv_handle_t *handle)
{
	struct client *client = handle->data;

	if (++client->closed < CLIENT_HANDLES)
		return;
	text_free(&client->request);
	text_free(&client->piece);
	release(client->control);
	free(client);
}

static void
client_close(struct client *client)
{
	if (client->closing)
		return;
	client->closing = true;
	if (client->answer != NULL)
		client->answer->end(client->answer);
	client->answer = NULL;
	struct client **link = &client->control->clients;
	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	client->control->n_clients--;
	uv_close((uv_handle_t *)&client->pipe, on_client_closed);
	uv_close((uv_handle_t *)&client->idle, on_client_closed);
	uv_close((uv_handle_t *)&client->pump, on_client_closed);
}

static void
on_idle(uv_timer_t *timer)
{
	client_close(timer->data);
}

static void on_pump(uv_idle_t *pump);

static void
on_written(uv_write_t *write, int status)
{
	struct client *client = write->data;

	if (client->closing)
		return;
	if (status != 0 || client->ended) {
		client_close(client);
		return;
	}
	uv_timer_again(&client->idle);
	uv_idle_start(&client->pump, on_pump);
}

static void
send_piece(struct client *client)
{
	uv_buf_t buffer = uv_buf_init(client->piece.bytes, (unsigned)client->piece.length);

	if (uv_write(&client->write, (uv_stream_t *)&client->pipe, &buffer, 1, on_written) != 0)
		client_close(client);
}

static void
on_pump(uv_idle_t *pump)
{
	struct client *client = pump->data;

	client->piece.length = 0;
	client->ended = !client->answer->more(client->answer, &client->piece);
	if (client->ended) {
		client->answer->end(client->answer);
		client->answer = NULL;
	}
	uv_timer_again(&client->idle);
	if (client->piece.length == 0 && !client->ended)
		return;
	uv_idle_stop(pump);
	send_piece(client);
}

static void
refuse(struct client *client, const struct text *error)
{
	control_error(error, &client->piece);
	client->ended = true;
	send_piece(client);
}

static void
answer(struct client *client, size_t length)
{
	struct text error = {0};

	uv_read_stop((uv_stream_t *)&client->pipe);
	client->answer = control_request(&client->control->context, client->request.bytes, length, &error);
	if (client->answer != NULL)
		uv_idle_start(&client->pump, on_pump);
	else
		refuse(client, &error);
	text_free(&error);
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct client *client = handle->data;

	(void)suggested;
	*buffer = uv_buf_init(client->buffer, sizeof(client->buffer));
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct client *client = stream->data;

	if (n == UV_EOF && client->request.length > 0) { /* a last line need not end with a line feed */
		answer(client, client->request.length);
		return;
	}
	if (n < 0) {
		client_close(client);
		return;
	}
	if (n == 0)
		return;
	uv_timer_again(&client->idle);
	size_t before = client->request.length;
	text_add(&client->request, buffer->base, (size_t)n);
	const char *end = memchr(client->request.bytes + before, '\n', (size_t)n);
	size_t length = end == NULL ? client->request.length : (size_t)(end - client->request.bytes);
	if (length > CONTROL_REQUEST_MAX) {
		struct text error = {0};
		uv_read_stop(stream);
		text_print(&error, "the request is longer than %d bytes", CONTROL_REQUEST_MAX);
		refuse(client, &error);
		text_free(&error);
	} else if (end != NULL) {
		answer(client, length);
	}
}

static void
on_connection(uv_stream_t *server, int status)
{
	struct control *control = server->data;

	if (status != 0)
		return; /* out of descriptors, or the client is gone already; nothing is lost but this one */
	struct client *client = calloc(1, sizeof(*client));
	if (client == NULL)
		abort();
	client->control = control;
	client->next = control->clients;
	control->clients = client;
	control->n_clients++;
	control->open++;
	uv_pipe_init(server->loop, &client->pipe, 0);
	uv_timer_init(server->loop, &client->idle);
	uv_idle_init(server->loop, &client->pump);
	client->pipe.data = client->idle.data = client->pump.data = client->write.data = client;
	if (uv_accept(server, (uv_stream_t *)&client->pipe) != 0) {
		client_close(client);
		return;
	}
	uv_timer_start(&client->idle, on_idle, CONTROL_IDLE_MS, CONTROL_IDLE_MS);
	if (control->n_clients > CONTROL_CLIENTS_MAX) {
		char busy[] = "{\"error\":\"too many clients at a time; try again\"}\n";
		uv_buf_t buffer = uv_buf_init(busy, sizeof(busy) - 1);
		uv_try_write((uv_stream_t *)&client->pipe, &buffer, 1);
		client_close(client);
		return;
	}
	uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read);
}

static void
on_sample(uv_timer_t *timer)
{
	struct control *control = timer->data;
	control_rates_sample(&control->context.rates, control->context.box, clock_ms());
}

static bool
make_folder(const char *path, struct text *error)
{
	char *folder = strdup(path);

	for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(folder, 0755) != 0 && errno != EEXIST) {
			text_print(error, "cannot make %s for the control socket: %s", folder, strerror(errno));
			free(folder);
			return false;
		}
		*slash = '/';
	}
	free(folder);
	return true;
}

/* Removes the socket at address when nobody answers on it. */
static bool
remove_stale(const struct sockaddr_un *address, struct text *error)
{
	struct stat status;

	if (lstat(address->sun_path, &status) != 0)
		return errno == ENOENT;
	if (!S_ISSOCK(status.st_mode)) {
		text_print(error, "%s is in the way of the control socket, and is no socket", address->sun_path);
		return false;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
	close(fd);
	if (result != ECONNREFUSED) {
		text_print(error, "another posternd answers on %s; stop it, or set control.socket in postern.conf",
			   address->sun_path);
		return false;
	}
	return unlink(address->sun_path) == 0 || errno == ENOENT;
}

/* The bound socket, or -1. */
static int
bind_at(const char *path, struct text *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (path[0] != '/' || strlen(path) >= sizeof(address.sun_path)) {
		text_print(error, "control socket \"%s\": a path begins with / and has at most %zu bytes", path,
			   sizeof(address.sun_path) - 1);
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (!make_folder(path, error) || !remove_stale(&address, error))
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* Linux makes the file with the mode that the socket has: there is no moment at which others could connect. */
	if (fd >= 0 && fchmod(fd, 0600) == 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	text_print(error, "control socket %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

struct control *
control_start(uv_loop_t *loop, const struct box *box, const struct metrics *metrics, const char *path,
	      const struct control_callbacks *callbacks, struct text *error)
{
	int fd = bind_at(path, error);
	struct stat status;

	if (fd < 0)
		return NULL;
	struct control *control = calloc(1, sizeof(*control));
	if (control == NULL)
		abort();
	control->context = (struct control_context){.box = box, .metrics = metrics, .callbacks = *callbacks};
	control->path = strdup(path);
	if (lstat(path, &status) == 0) {
		control->device = status.st_dev;
		control->inode = status.st_ino;
	}
	control->open = 2;
	uv_pipe_init(loop, &control->pipe, 0);
	uv_timer_init(loop, &control->sampler);
	control->pipe.data = control->sampler.data = control;
	control_rates_sample(&control->context.rates, box, clock_ms());
	int result = uv_pipe_open(&control->pipe, fd);
	if (result == 0)
		result = uv_listen((uv_stream_t *)&control->pipe, BACKLOG, on_connection);
	if (result == 0)
		result = uv_timer_start(&control->sampler, on_sample, RATES_PERIOD_MS, RATES_PERIOD_MS);
	if (result != 0) {
		text_print(error, "control socket %s: %s", path, uv_strerror(result));
		control_stop(control);
		return NULL;
	}
	return control;
}

static void
on_closed(uv_handle_t *handle)
{
	release(handle->data);
}

void
control_stop(struct control *control)
{
	struct stat status;

	control->stopping = true;
	/* A successor may have put its own there. */
	if (lstat(control->path, &status) == 0 && status.st_dev == control->device && status.st_ino == control->inode)
		unlink(control->path);
	while (control->clients != NULL)
		client_close(control->clients);
	uv_close((uv_handle_t *)&control->pipe, on_closed);
	uv_close((uv_handle_t *)&control->sampler, on_closed);
}
