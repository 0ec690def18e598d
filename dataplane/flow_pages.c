/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/flow_pages.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* With so many flows for each bucket page of 4 kB, which holds 64 buckets, one page in seven has none of their legs. */
enum { FLOWS_A_PAGE = 1, BUCKETS_A_PAGE = 64 };

static uintptr_t
page_of(uintptr_t at)
{
	return at & ~(uintptr_t)(FLOW_PAGE_BYTES - 1);
}

/* Huge pages from the one that has `from` to the last that ends by `to`, from *done on, while *most is above 0. Returns
 * how many were made. */
static unsigned
gather(struct flow_pages *pages, uintptr_t *done, uintptr_t from, uintptr_t to, unsigned *most)
{
	unsigned made = 0;

	if (*done == 0)
		*done = page_of(from);
	for (; *most > 0 && *done + FLOW_PAGE_BYTES <= to; (*most)--) {
		if (madvise((void *)*done, FLOW_PAGE_BYTES, MADV_COLLAPSE) != 0) {
			/* EINVAL: a kernel or a file without. Anything else (no huge page is free, a page is in use)
			 * may be otherwise the next time. */
			pages->refused = errno == EINVAL;
			*most = 0;
			break;
		}
		*done += FLOW_PAGE_BYTES;
		made++;
	}
	return made;
}

unsigned
flow_pages_gather(struct flow_pages *pages, const struct flow_table *table, unsigned most)
{
	uintptr_t buckets = (uintptr_t)table->buckets, records = (uintptr_t)table->flows;
	uint32_t touched = flow_table_touched(table);
	unsigned made = 0;

	if (pages->refused)
		return 0;
	if (touched >= table->bucket_count / BUCKETS_A_PAGE * FLOWS_A_PAGE)
		made += gather(pages, &pages->buckets, buckets, page_of(records), &most);
	if (!pages->refused)
		made += gather(pages, &pages->records, records, records + touched * sizeof(struct flow), &most);
	return made;
}
