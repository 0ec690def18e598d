/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/reason.h"

#include <stdbool.h>

static const struct {
	const char *text;
	const char *meaning;
	enum reason_class class;
} reasons[REASON_COUNT] = {
#define X(constant, class, text, meaning) [REASON_##constant] = {text, meaning, REASON_##class},
	REASON_LIST(X)
#undef X
};

/* Reasons also come out of records that another process wrote, so anything may be asked for. */
static bool
known(enum reason reason)
{
	return (unsigned)reason < REASON_COUNT;
}

const char *
reason_text(enum reason reason)
{
	return known(reason) ? reasons[reason].text : "unknown";
}

const char *
reason_meaning(enum reason reason)
{
	return known(reason) ? reasons[reason].meaning : "not a reason that this version knows";
}

enum reason_class
reason_class(enum reason reason)
{
	return known(reason) ? reasons[reason].class : REASON_END;
}
