/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/authorize.h"

struct policy_facts
authorize_policy_facts(const struct authorize_facts *facts)
{
	const struct spiffe_id *id = facts->identity == NULL ? NULL : &facts->identity->id;
	bool proved = id != NULL && id->length > 0;

	return (struct policy_facts){.principal = proved ? id->text + SPIFFE_PREFIX : "",
				     .principal_length = proved ? (uint32_t)id->length - SPIFFE_PREFIX : 0,
				     .sni = facts->sni,
				     .sni_length = facts->sni_length,
				     .address = facts->client,
				     .listener = facts->listener,
				     .service = facts->service,
				     .port = facts->port};
}

enum reason
authorize(const struct snapshot *snapshot, const struct authorize_facts *facts, struct policy_verdict *verdict)
{
	static const enum reason reasons[] = {
		[POLICY_ALLOWED] = REASON_NONE,
		[POLICY_ALLOWED_BY_DEFAULT] = REASON_NONE,
		[POLICY_DENIED] = REASON_AUTHZ_DENIED,
		[POLICY_NOT_ALLOWED] = REASON_AUTHZ_NOT_ALLOWED,
		[POLICY_NOT_NAMED] = REASON_AUTHZ_DEFAULT_DENY,
		[POLICY_NOT_PROVED] = REASON_AUTHZ_DEFAULT_DENY,
	};
	const struct policy_facts asked = authorize_policy_facts(facts);
	const struct policy_verdict found = policy_evaluate(snapshot->policies, &asked);

	if (verdict != NULL)
		*verdict = found;
	return reasons[found.outcome];
}
