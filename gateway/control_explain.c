/* SPDX-License-Identifier: Apache-2.0 */
/* explain, of the federation in force. */
#include "gateway/control_answer.h"
#include "gateway/explain.h"

struct control_answer *
control_explain(struct control_context *context, const json_t *arguments, struct text *error)
{
	const struct box *box = context->box;
	const struct snapshot *snapshot = decide_snapshot(box->decide);
	struct explain_query query = {0};

	if (!control_argument_text(arguments, "from", &query.from, error) ||
	    !control_argument_text(arguments, "to", &query.to, error) ||
	    !control_argument_text(arguments, "listener", &query.listener, error) ||
	    !control_argument_text(arguments, "address", &query.address, error) ||
	    !control_argument_text(arguments, "interface", &query.interface, error))
		return NULL;
	if (query.from == NULL || query.to == NULL) {
		text_print(error, "explain needs \"from\" and \"to\"");
		return NULL;
	}
	if (snapshot == NULL) {
		text_print(error, "no federation is in force yet");
		return NULL;
	}
	json_t *document = explain(snapshot, box->live, &query, error);
	return document == NULL ? NULL : control_document(document);
}
