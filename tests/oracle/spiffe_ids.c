/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SPIFFE ID parser as a filter, for tests/oracle/go/main.go: a line of hexadecimal digits in, the name of the
 * verdict out, and behind "none" the trust domain's length.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs/spiffe_id.h"

static int
digit(char c)
{
	static const char DIGITS[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(DIGITS, c) : NULL;

	return at != NULL ? (int)(at - DIGITS) : -1;
}

/* In place; the number of bytes, or -1. */
static ssize_t
decode(char *line)
{
	size_t n = 0;

	for (; line[2 * n] != '\0'; n++) {
		int high = digit(line[2 * n]), low = digit(line[2 * n + 1]);
		if (high < 0 || low < 0)
			return -1;
		line[n] = (char)(high << 4 | low);
	}
	return (ssize_t)n;
}

int
main(void)
{
	char *line = NULL;
	size_t capacity = 0;

	while (getline(&line, &capacity, stdin) > 0) {
		struct spiffe_id id;
		line[strcspn(line, "\n")] = '\0';
		ssize_t length = decode(line);
		if (length < 0) {
			fprintf(stderr, "not hexadecimal\n");
			free(line);
			return 1;
		}
		enum cert_error error = spiffe_id_parse(line, (size_t)length, &id);
		printf("%s %u\n", cert_error_text(error), id.domain_length);
		fflush(stdout);
	}
	free(line);
	return 0;
}
