/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/flow.h"

const char *
flow_state_text(enum flow_state state)
{
	static const char *const texts[FLOW_STATES] = {
		[FLOW_FREE] = "free",       [FLOW_PEEKING] = "peeking", [FLOW_CONNECTING] = "connecting",
		[FLOW_SPLICED] = "spliced", [FLOW_CLOSING] = "closing", [FLOW_PROBING] = "probing",
		[FLOW_BRIDGED] = "bridged",
	};

	return (unsigned)state < FLOW_STATES ? texts[state] : "unknown";
}
