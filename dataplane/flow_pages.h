/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Huge pages under the flow tables.
 *
 * Each packet of many flows finds its bucket and its record somewhere in hundreds of megabytes. By pages of 4 kB that
 * is two misses of the TLB, which in a virtual machine are a walk of up to 24 loads each, and cost more than the
 * packet's own work. A file on a tmpfs gets huge pages only by its mount's option, which a box rarely has, but Linux
 * (6.1) also puts those of a range together when it is asked (MADV_COLLAPSE), whatever the mount says.
 *
 * So control asks, for memory that is in use anyhow: records up to the table's high-water mark, and buckets once there
 * are so many flows that hardly a page of them is untouched. An idle box keeps its few pages. A worker that touches a
 * huge page while the kernel makes it, some 100 us of copying, waits for that; it makes up for the page faults that it
 * is spared.
 */
#ifndef POSTERN_DATAPLANE_FLOW_PAGES_H
#define POSTERN_DATAPLANE_FLOW_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/flow_table.h"

enum { FLOW_PAGE_BYTES = 2 << 20 };

/* How far one table is; zeroed at first. Addresses up to which all was asked for; 0: nothing yet. */
struct flow_pages {
	uintptr_t buckets, records;
	bool refused; /* the kernel doesn't, for this memory: never asked again */
};

/* Asks for at most so many pages of a table whose mapping begins FLOW_PAGE_BYTES-aligned (flow_map.h). From control,
 * while the worker runs. Returns how many huge pages were made. */
unsigned flow_pages_gather(struct flow_pages *pages, const struct flow_table *table, unsigned most);

#endif
