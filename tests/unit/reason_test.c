/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/reason.h"

#include <string.h>

#include "dataplane/flow.h"
#include "tests/unit/unit.h"

static void
texts_known(void)
{
	static const struct {
		enum reason reason;
		const char *text;
		enum reason_class class;
	} cases[] = {
		{REASON_NONE, "none", REASON_END},
		{REASON_FRAME_SHORT, "frame_short", REASON_PACKET},
		{REASON_TAP_FULL, "tap_full", REASON_PACKET},
		{REASON_HELLO_NOT_TLS, "hello_not_tls", REASON_REFUSAL},
		{REASON_SNI_NO_MATCH, "sni_no_match", REASON_REFUSAL},
		{REASON_ENDPOINT_OPTIONS, "endpoint_options", REASON_REFUSAL},
		{REASON_CLOSED, "closed", REASON_END},
		{REASON_SHUTDOWN, "shutdown", REASON_END},
		{REASON_COUNT, "unknown", REASON_END},
		{(enum reason)255, "unknown", REASON_END},
		{(enum reason) - 1, "unknown", REASON_END},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_STRING_EQUAL(reason_text(cases[i].reason), cases[i].text);
		CU_ASSERT_EQUAL(reason_class(cases[i].reason), cases[i].class);
		CU_ASSERT_PTR_NOT_NULL(reason_meaning(cases[i].reason));
	}
}

/* Metric labels and JSON values: each names one thing. */
static void
texts_unique(void)
{
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		const char *text = reason_text((enum reason)i);

		CU_ASSERT(strlen(text) > 0);
		CU_ASSERT_EQUAL(strspn(text, "abcdefghijklmnopqrstuvwxyz_"), strlen(text));
		CU_ASSERT_STRING_NOT_EQUAL(text, "unknown");
		CU_ASSERT(strlen(reason_meaning((enum reason)i)) > strlen("a word"));
		for (unsigned j = 0; j < i; j++)
			CU_ASSERT_STRING_NOT_EQUAL(text, reason_text((enum reason)j));
	}
}

static void
states(void)
{
	static const char *const texts[] = {"free",    "peeking", "connecting", "spliced",
					    "closing", "probing", "bridged",    "unknown"};

	for (unsigned i = 0; i <= FLOW_STATES; i++)
		CU_ASSERT_STRING_EQUAL(flow_state_text((enum flow_state)i), texts[i]);
	CU_ASSERT_STRING_EQUAL(flow_state_text((enum flow_state) - 1), "unknown");
}

static const CU_TestInfo tests[] = {
	{"texts and classes", texts_known},
	{"every reason has its own text", texts_unique},
	{"flow states", states},
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	return unit_run("reason", tests);
}
