/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/loadgen/report.h"

#include <inttypes.h>
#include <string.h>

#include "perf/loadgen/options.h"
#include "perf/loadgen/run.h"
#include "platform/text.h"

static const double shares[] = {0.5, 0.9, 0.99, 0.999};
static const char *const share_names[] = {"p50", "p90", "p99", "p99.9"};
enum { SHARES = sizeof(shares) / sizeof(shares[0]) };

static double
per_second(const struct run *run, uint64_t n)
{
	return run->play.measured_cycles == 0 ? 0
					      : (double)n * (double)run->play.hz / (double)run->play.measured_cycles;
}

static double
share(uint64_t part, uint64_t all)
{
	return all == 0 ? 0 : (double)part / (double)all;
}

static uint64_t
n_failed(const struct tcp_stats *stats)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < TCP_ENDS; i++)
		if (i != TCP_END_FINISHED && i != TCP_END_ABORTED)
			n += stats->ends[i];
	return n;
}

static const char *
done_name(enum play_mode mode)
{
	return mode == PLAY_CONNECT ? "connections" : "exchanges";
}

static void
print_outcome(FILE *file, const struct options *options, const struct run *run)
{
	const struct play *play = &run->play;
	const struct run_counts *measured = &run->measured;

	if (play->config.mode != PLAY_CONNECT)
		fprintf(file, "  opened      %u connections in %.2f s, %.0f a second; %u attempts failed\n",
			play->opened, (double)play->opening_cycles / (double)play->hz,
			play->opening_cycles == 0
				? 0
				: (double)play->opened * (double)play->hz / (double)play->opening_cycles,
			play->unopened);
	if (play->config.mode == PLAY_HOLD)
		fprintf(file, "  held        %u of them answered after %.1f s\n", play->still_there,
			play->config.measure_ms / 1e3);
	if (play->config.mode == PLAY_CONNECT || play->config.mode == PLAY_EXCHANGE)
		fprintf(file, "  rate        %.0f %s a second (%" PRIu64 " in %.2f s)\n", per_second(run, play->done),
			done_name(play->config.mode), play->done, (double)play->measured_cycles / (double)play->hz);
	if (play->config.mode == PLAY_BULK)
		fprintf(file, "  payload     %.3f Gbit/s down, %.3f up\n",
			per_second(run, measured->tcp[TCP_CLIENT].payload_in) * 8e-9,
			per_second(run, measured->tcp[TCP_SERVER].payload_in) * 8e-9);
	for (unsigned side = 0; side < TCP_SIDES; side++) {
		const struct link_stats *link = &measured->links[side];
		fprintf(file, "  %-11s %.0f frames a second in, %.0f out; %.3f and %.3f Gbit/s\n",
			side == TCP_CLIENT ? "wan" : "lan", per_second(run, link->rx_frames),
			per_second(run, link->tx_frames), per_second(run, link->rx_bytes) * 8e-9,
			per_second(run, link->tx_bytes) * 8e-9);
	}
	(void)options;
}

static void
print_latency(FILE *file, const struct run *run)
{
	const struct histogram *answers = &run->play.answers;

	if (answers->count == 0)
		return;
	fprintf(file, "  answered    after");
	for (unsigned i = 0; i < SHARES; i++)
		fprintf(file, " %s %.1f us,", share_names[i], (double)histogram_at(answers, shares[i]) / 1e3);
	fprintf(file, " max %.1f us\n", (double)answers->max / 1e3);
}

static void
print_failures(FILE *file, const struct run *run)
{
	for (unsigned side = 0; side < TCP_SIDES; side++) {
		const char *name = side == TCP_CLIENT ? "clients" : "servers";
		const struct tcp_stats *stats = &run->measured.tcp[side], *total = &run->tcp.stats[side];
		const struct link_stats *link = &run->measured.links[side];
		fprintf(file, "  %-11s", name);
		for (unsigned i = 0; i < TCP_ENDS; i++)
			if (total->ends[i] != 0)
				fprintf(file, " %s %" PRIu64 " (whole run %" PRIu64 "),", tcp_end_texts[i],
					stats->ends[i], total->ends[i]);
		fprintf(file,
			" retransmitted %" PRIu64 ", out of order %" PRIu64 ", again %" PRIu64 ", strays %" PRIu64
			", damaged %" PRIu64 ", not sent %" PRIu64 "\n",
			stats->retransmitted, stats->out_of_order, stats->duplicates, stats->strays, link->rx_damaged,
			link->tx_dropped + link->tx_no_buffer);
	}
}

static void
print_generator(FILE *file, const struct run *run)
{
	const struct run_load *load = &run->measured.load;
	const char *why = run_saturation(&run->measured);
	uint64_t frames = 0;

	for (unsigned side = 0; side < TCP_SIDES; side++)
		frames += run->measured.links[side].rx_frames + run->measured.links[side].tx_frames;
	fprintf(file, "  generator   busy %.0f %%, %.0f ns a frame, full bursts %.1f %%, had its core for %.0f %%",
		100 * share(load->busy_cycles, load->cycles),
		frames == 0 ? 0 : share(load->busy_cycles, load->cycles) * load->cpu_s * 1e9 / (double)frames,
		100 * share(load->full_bursts, load->bursts), load->wall_s == 0 ? 0 : 100 * load->cpu_s / load->wall_s);
	if (run->play.period != 0)
		fprintf(file, ", late by %.1f us at most", (double)run->play.late_max * 1e6 / (double)run->play.hz);
	fprintf(file, "\n  saturated   %s%s%s\n", why == NULL ? "no" : "yes", why == NULL ? "" : ": ",
		why == NULL ? "" : why);
}

void
report_print(FILE *file, const struct options *options, const struct run *run)
{
	fprintf(file, "%s%s%s\n", play_mode_text(options->play.mode), options->label[0] == '\0' ? "" : " ",
		options->label);
	print_outcome(file, options, run);
	print_latency(file, run);
	print_failures(file, run);
	print_generator(file, run);
}

/* ---- JSON ---- */

static void
json_side(struct text *text, const struct run *run, unsigned side)
{
	const struct tcp_stats *stats = &run->measured.tcp[side], *total = &run->tcp.stats[side];
	const struct link_stats *link = &run->measured.links[side];

	text_print(text,
		   "{\"frames_in\":%" PRIu64 ",\"frames_out\":%" PRIu64 ",\"bytes_in\":%" PRIu64
		   ",\"bytes_out\":%" PRIu64 ",\"payload_in\":%" PRIu64 ",\"payload_out\":%" PRIu64
		   ",\"retransmitted\":%" PRIu64 ",\"out_of_order\":%" PRIu64 ",\"duplicates\":%" PRIu64
		   ",\"strays\":%" PRIu64 ",\"resets_sent\":%" PRIu64 ",\"damaged\":%" PRIu64 ",\"not_sent\":%" PRIu64,
		   link->rx_frames, link->tx_frames, link->rx_bytes, link->tx_bytes, stats->payload_in,
		   stats->payload_out, stats->retransmitted, stats->out_of_order, stats->duplicates, stats->strays,
		   stats->resets_sent, link->rx_damaged, link->tx_dropped + link->tx_no_buffer);
	text_print(text, ",\"ends\":{");
	for (unsigned i = 0; i < TCP_ENDS; i++)
		text_print(text, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",", tcp_end_texts[i], stats->ends[i]);
	text_print(text, "},\"ends_of_whole_run\":{");
	for (unsigned i = 0; i < TCP_ENDS; i++)
		text_print(text, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",", tcp_end_texts[i], total->ends[i]);
	text_print(text, "}}");
}

static void
json_text(struct text *text, const char *name, const char *value)
{
	text_print(text, ",\"%s\":", name);
	if (value == NULL) {
		text_print(text, "null");
		return;
	}
	text_print(text, "\"");
	text_add_json(text, value, strlen(value));
	text_print(text, "\"");
}

void
report_json(struct text *text, const struct options *options, const struct run *run)
{
	const struct play *play = &run->play;
	const struct run_load *load = &run->measured.load;
	const char *why = run_saturation(&run->measured);

	text_print(text, "{\"mode\":\"%s\"", play_mode_text(play->config.mode));
	json_text(text, "label", options->label);
	text_print(text, ",\"seconds\":%.6f,\"rate_wanted\":%.3f,\"done\":%" PRIu64 ",\"per_second\":%.3f",
		   (double)play->measured_cycles / (double)play->hz, play->config.rate, play->done,
		   per_second(run, play->done));
	text_print(text,
		   ",\"failed\":%" PRIu64 ",\"opened\":%u,\"opening_seconds\":%.6f,\"unopened\":%u,\"still_there\":%u",
		   n_failed(&run->measured.tcp[TCP_CLIENT]), play->opened,
		   (double)play->opening_cycles / (double)play->hz, play->unopened, play->still_there);
	text_print(text, ",\"payload_down_bit_per_second\":%.0f,\"payload_up_bit_per_second\":%.0f",
		   per_second(run, run->measured.tcp[TCP_CLIENT].payload_in) * 8,
		   per_second(run, run->measured.tcp[TCP_SERVER].payload_in) * 8);
	text_print(text, ",\"latency_ns\":{\"count\":%" PRIu64 ",\"mean\":%.0f,\"max\":%" PRIu64, play->answers.count,
		   play->answers.count == 0 ? 0 : (double)play->answers.sum / (double)play->answers.count,
		   play->answers.max);
	for (unsigned i = 0; i < SHARES; i++)
		text_print(text, ",\"%s\":%" PRIu64, share_names[i], histogram_at(&play->answers, shares[i]));
	text_print(text, "},\"clients\":");
	json_side(text, run, TCP_CLIENT);
	text_print(text, ",\"servers\":");
	json_side(text, run, TCP_SERVER);
	text_print(text,
		   ",\"generator\":{\"tsc_hz\":%" PRIu64
		   ",\"busy\":%.4f,\"full_bursts\":%.4f,\"core_share\":%.4f,\"late_max_ns\":%.0f,"
		   "\"saturated\":%s",
		   play->hz, share(load->busy_cycles, load->cycles), share(load->full_bursts, load->bursts),
		   load->wall_s == 0 ? 0 : load->cpu_s / load->wall_s, (double)play->late_max * 1e9 / (double)play->hz,
		   why == NULL ? "false" : "true");
	json_text(text, "why", why);
	text_print(text, "}}\n");
}
