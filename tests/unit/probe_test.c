/* SPDX-License-Identifier: Apache-2.0 */
/* One SYN to an endpoint, and what is learned of its answer. */
#include "dataplane/probe.h"

#include "dataplane/packet.h"
#include "dataplane/tcp_options.h"
#include "tests/sim/talk.h"
#include "tests/unit/unit.h"

enum { TICK = 8, LIVE = 7 };

static struct rig rig;
static struct talk talk;
static struct talk_side *const endpoint = &talk.side[LEG_ENDPOINT];

static void
begin(void)
{
	rig_open(&rig, 64, 4096);
	talk_init(&talk, &rig, false, false);
	const struct probe_request request = {.addr = endpoint->addr, .port = endpoint->port, .endpoint = LIVE};
	probe_start(&rig.worker, &request);
	worker_flush(&rig.worker);
	rig_settle(&rig);
}

static void
end(void)
{
	CU_ASSERT_TRUE(talk_silent(&talk));
	CU_ASSERT_TRUE(rig_is_empty(&rig));
	CU_ASSERT_EQUAL(rig_close(&rig), 0);
}

/* The endpoint answers: the options are known, and no connection comes of it. */
static void
answered(void)
{
	talk_answer(&talk);
	CU_ASSERT_TRUE(talk_hear_reset(&talk, LEG_ENDPOINT));
	CU_ASSERT_EQUAL(rig.learned.mss, endpoint->mss);
	CU_ASSERT_TRUE(rig.learned.asked_sack && rig.learned.asked_timestamps);
	CU_ASSERT_EQUAL(rig.learned.sack, endpoint->sack);
	CU_ASSERT_EQUAL(rig.learned.timestamps, endpoint->timestamps);
	end();
}

static void
test_learned(void)
{
	for (unsigned i = 0; i < 4; i++) {
		begin();
		CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
		CU_ASSERT_PTR_NOT_NULL(talk_option(&talk.heard, TCP_OPTION_MSS));
		CU_ASSERT_PTR_NOT_NULL(talk_option(&talk.heard, TCP_OPTION_WSCALE));
		CU_ASSERT_PTR_NOT_NULL(talk_option(&talk.heard, TCP_OPTION_SACK_PERMITTED));
		endpoint->sack = i & 1;
		endpoint->timestamps = i >> 1;
		answered();
	}
}

static void
test_refused(void)
{
	begin();
	CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
	talk_say(&talk, LEG_ENDPOINT, TCP_RST | TCP_ACK, NULL, 0);
	CU_ASSERT_EQUAL(rig.learned.mss, 0);
	end();
}

static void
test_unanswered(void)
{
	begin();
	for (unsigned i = 0; i <= PROBE_RETRIES_MAX; i++) {
		CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
		CU_ASSERT_TRUE(talk_silent(&talk));
		rig_advance(&rig, ((uint32_t)PROBE_RTO_MS << i) + TICK);
	}
	end();
}

/* After a restart of ours the endpoint may have the port in TIME-WAIT still, and answers with where that connection
 * ended. The probe took no notice, and clients went without timestamps for a minute. */
static void
test_time_wait(void)
{
	begin();
	CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
	struct segment ack = talk_segment(&talk, LEG_ENDPOINT, TCP_ACK);
	ack.ack = 123456;
	for (unsigned i = 0; i < 2; i++) { /* the second time without a SYN: no loop */
		rig_receive(&rig, RIG_LAN, &ack);
		CU_ASSERT_TRUE(talk_hear(&talk, LEG_ENDPOINT));
		CU_ASSERT_EQUAL(talk.heard.flags, TCP_RST);
		CU_ASSERT_EQUAL(talk.heard.seq, 123456);
		CU_ASSERT_EQUAL(talk_hear_one_syn(&talk), i == 0);
	}
	rig_advance(&rig, 2 * PROBE_RTO_MS + TICK);
	CU_ASSERT_TRUE(talk_hear_one_syn(&talk));
	answered();
}

int
main(void)
{
	static const CU_TestInfo tests[] = {
		{"learned", test_learned},     {"refused", test_refused}, {"unanswered", test_unanswered},
		{"TIME-WAIT", test_time_wait}, CU_TEST_INFO_NULL,
	};

	return rig_start_eal(64) ? unit_run("probe", tests) : 1;
}
