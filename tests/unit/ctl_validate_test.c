/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl_validate.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/ctl_options.h"
#include "tests/unit/unit.h"

static const char federation[] = "apiVersion: postern.dev/v1alpha1\n"
				 "kind: Federation\n"
				 "metadata: { name: x }\n"
				 "spec: { trustDomain: x.example, clusterID: x }\n";
static const char service[] = "apiVersion: networking.istio.io/v1\n"
			      "kind: ServiceEntry\n"
			      "metadata: { name: s, namespace: n }\n"
			      "spec:\n"
			      "  hosts: [ s.example ]\n"
			      "  location: MESH_INTERNAL\n"
			      "  resolution: STATIC\n"
			      "  ports: [ { number: 443, name: tls, protocol: TLS } ]\n"
			      "  endpoints: [ { address: 10.0.0.1 }, { address: 10.0.0.2 } ]\n";
static const char broken[] = "apiVersion: postern.dev/v1alpha1\n"
			     "kind: Federation\n"
			     "metadata: { name: x }\n"
			     "spec: { trustDomain: x.example, clusterID: x, netwrok: y }\n";

static void
write_file(char path[32], const char *content)
{
	snprintf(path, 32, "/tmp/ctl_validate.XXXXXX");
	int fd = mkstemp(path);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	close(fd);
}

/* Runs it; out and errors are malloc'd texts. */
static int
run(const char *const *files, size_t n, bool json, char **out, char **errors)
{
	size_t length;
	FILE *out_stream = open_memstream(out, &length), *error_stream = open_memstream(errors, &length);
	int status = ctl_validate(files, n, json, out_stream, error_stream);

	fclose(out_stream);
	fclose(error_stream);
	return status;
}

static void
test_valid(void)
{
	char first[32], second[32], expected[128], *out, *errors;

	write_file(first, federation);
	write_file(second, service);
	const char *const files[] = {first, second};
	CU_ASSERT_EQUAL(run(files, 2, false, &out, &errors), CTL_OK);
	snprintf(expected, sizeof(expected), "%s, %s: valid: 1 service, 0 listeners, 2 endpoints\n", first, second);
	CU_ASSERT_STRING_EQUAL(out, expected);
	CU_ASSERT_STRING_EQUAL(errors, "");
	free(out);
	free(errors);

	CU_ASSERT_EQUAL(run(files, 2, true, &out, &errors), CTL_OK);
	json_t *document = json_loads(out, 0, NULL);
	CU_ASSERT_TRUE(json_is_true(json_object_get(document, "valid")));
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(document, "endpoints")), 2);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(document, "diagnostics")), 0);
	json_decref(document);
	free(out);
	free(errors);
	unlink(first);
	unlink(second);
}

static void
test_broken(void)
{
	char path[32], expected[64], *out, *errors;

	write_file(path, broken);
	const char *const files[] = {path};
	CU_ASSERT_EQUAL(run(files, 1, false, &out, &errors), CTL_REFUSED);
	CU_ASSERT_STRING_EQUAL(out, "");
	snprintf(expected, sizeof(expected), "%s:4:47: error PN", path);
	CU_ASSERT_EQUAL(strncmp(errors, expected, strlen(expected)), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(errors, "did you mean \"network\"?"));
	CU_ASSERT_PTR_NOT_NULL(strstr(errors, "spec: { trustDomain: x.example, clusterID: x, netwrok: y }\n"));
	free(out);
	free(errors);

	CU_ASSERT_EQUAL(run(files, 1, true, &out, &errors), CTL_REFUSED);
	json_t *document = json_loads(out, 0, NULL);
	const json_t *first = json_array_get(json_object_get(document, "diagnostics"), 0);
	CU_ASSERT_TRUE(json_is_false(json_object_get(document, "valid")));
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(first, "file")), path);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(first, "severity")), "error");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(first, "line")), 4);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(first, "column")), 47);
	json_decref(document);
	CU_ASSERT_STRING_EQUAL(errors, "");
	free(out);
	free(errors);
	unlink(path);
}

/* A line that isn't UTF-8 is shown as JSON can. */
static void
test_not_utf8(void)
{
	char path[32], *out, *errors;

	write_file(path, "kind: Federation # \xff\xfe\n");
	const char *const files[] = {path};
	CU_ASSERT_EQUAL(run(files, 1, true, &out, &errors), CTL_REFUSED);
	json_t *document = json_loads(out, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL(document);
	CU_ASSERT_TRUE(json_array_size(json_object_get(document, "diagnostics")) > 0);
	json_decref(document);
	free(out);
	free(errors);
	unlink(path);
}

static CU_TestInfo tests[] = {
	{"valid files", test_valid},
	{"a broken file", test_broken},
	{"a file that isn't UTF-8", test_not_utf8},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("ctl_validate", tests);
}
