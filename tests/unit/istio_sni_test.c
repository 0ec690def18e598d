/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/istio_sni.h"

#include <string.h>

#include "tests/unit/unit.h"

static const struct {
	const char *name;
	bool good;
	uint16_t port;
	const char *subset, *host;
} CASES[] = {
	{"outbound_.8443_._.payments.bank.svc.cluster.local", true, 8443, "", "payments.bank.svc.cluster.local"},
	{"outbound_.8443_.v1_.payments.bank.svc.cluster.local", true, 8443, "v1", "payments.bank.svc.cluster.local"},
	{"outbound_.1_._.h", true, 1, "", "h"},
	{"outbound_.65535_.v-2_.h", true, 65535, "v-2", "h"},
	{"outbound_.80_.v1.2_.h", true, 80, "v1.2", "h"},
	{"outbound_.80_.__.h", true, 80, "_", "h"},
	{"outbound_.80_._.my_host", true, 80, "", "my_host"},
	{"inbound_.80_._.h", false, 0, NULL, NULL},
	{"outbound.80_._.h", false, 0, NULL, NULL},
	{"OUTBOUND_.80_._.h", false, 0, NULL, NULL},
	{"outbound_.", false, 0, NULL, NULL},
	{"outbound_._._.h", false, 0, NULL, NULL},
	{"outbound_.0_._.h", false, 0, NULL, NULL},
	{"outbound_.080_._.h", false, 0, NULL, NULL},
	{"outbound_.65536_._.h", false, 0, NULL, NULL},
	{"outbound_.4294967376_._.h", false, 0, NULL, NULL}, /* 80 modulo 2^32 */
	{"outbound_.+80_._.h", false, 0, NULL, NULL},
	{"outbound_.8a_._.h", false, 0, NULL, NULL},
	{"outbound_.80_._.", false, 0, NULL, NULL},
	{"outbound_.80_.h", false, 0, NULL, NULL},
	{"outbound_.80_.v1", false, 0, NULL, NULL},
	{"outbound_.80_", false, 0, NULL, NULL},
	{"outbound_.80_.v1_.a_.b", false, 0, NULL, NULL},
	{"outbound_.80_._.v1_.h", false, 0, NULL, NULL},
	{"outbound_|80|v1|h", false, 0, NULL, NULL},
	{"payments.bank.svc.cluster.local", false, 0, NULL, NULL},
	{"", false, 0, NULL, NULL},
};

static void
test_names(void)
{
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct istio_sni parsed;
		bool good = istio_sni_parse(CASES[i].name, strlen(CASES[i].name), &parsed);
		if (good != CASES[i].good) {
			printf("\n%s: %s\n", CASES[i].name, good ? "accepted" : "refused");
			CU_FAIL("verdict");
			continue;
		}
		if (!good)
			continue;
		CU_ASSERT_EQUAL(parsed.port, CASES[i].port);
		CU_ASSERT_EQUAL(parsed.subset_length, strlen(CASES[i].subset));
		CU_ASSERT_EQUAL(memcmp(parsed.subset, CASES[i].subset, parsed.subset_length), 0);
		CU_ASSERT_EQUAL(parsed.host_length, strlen(CASES[i].host));
		CU_ASSERT_EQUAL(memcmp(parsed.host, CASES[i].host, parsed.host_length), 0);
	}
}

/* The length counts, not a NUL: a name cut short is another name. */
static void
test_length_counts(void)
{
	static const char name[] = "outbound_.8443_.v1_.payments.bank";
	struct istio_sni parsed;

	for (size_t n = 0; n < sizeof(name) - 1; n++)
		CU_ASSERT_EQUAL(istio_sni_parse(name, n, &parsed), n > strlen("outbound_.8443_.v1_."));
	CU_ASSERT_TRUE_FATAL(istio_sni_parse(name, strlen("outbound_.8443_.v1_.pay"), &parsed));
	CU_ASSERT_EQUAL(parsed.host_length, 3);
}

static const CU_TestInfo tests[] = {
	{"names", test_names},
	{"the length counts", test_length_counts},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("istio_sni", tests);
}
