/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/agenda.h"

static bool
earlier(const struct agenda_event *a, const struct agenda_event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

bool
agenda_plan(struct agenda *agenda, uint64_t at, uint32_t kind, uint32_t index)
{
	struct agenda_event event = {at, agenda->order, kind, index}, *events = agenda->events;

	if (agenda->n == AGENDA_MAX)
		return false;
	agenda->order++;
	unsigned i = agenda->n++;
	for (; i != 0 && earlier(&event, &events[(i - 1) / 2]); i = (i - 1) / 2)
		events[i] = events[(i - 1) / 2];
	events[i] = event;
	return true;
}

struct agenda_event
agenda_next(struct agenda *agenda)
{
	struct agenda_event *events = agenda->events, first = events[0], last = events[--agenda->n];
	unsigned i = 0;

	for (unsigned child = 1; child < agenda->n; child = 2 * i + 1) {
		if (child + 1 < agenda->n && earlier(&events[child + 1], &events[child]))
			child++;
		if (!earlier(&events[child], &last))
			break;
		events[i] = events[child];
		i = child;
	}
	events[i] = last;
	return first;
}
