/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/credential_store.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Control plane only: without memory for a name there is nothing left to do. */
static void *
must_have(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

/* A name becomes a folder's: letters, digits, "-", "_" and ".", not first. */
static bool
name_is_safe(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t length = strlen(name);

	return length > 0 && length <= CREDENTIAL_NAME_MAX && name[0] != '.' && strspn(name, allowed) == length;
}

static int
compare_status(const void *a, const void *b)
{
	const struct credential_status *const *left = a, *const *right = b;
	return strcmp((*left)->name, (*right)->name);
}

static int
compare_name(const void *name, const void *entry)
{
	return strcmp(name, ((const struct credential_entry *)entry)->name);
}

/* Of those wanted that there are; they are sorted. */
static struct credential_set *
set_make(const struct credential_store *store)
{
	size_t n = 0, names = 0;

	for (size_t i = 0; i < store->n_wanted; i++) {
		if (store->wanted[i]->watch.current == NULL)
			continue;
		n++;
		names += strlen(store->wanted[i]->name) + 1;
	}
	struct credential_set *set = must_have(calloc(1, sizeof(*set) + n * sizeof(set->entries[0]) + names));
	char *end = (char *)&set->entries[n];
	for (size_t i = 0; i < store->n_wanted; i++) {
		const struct credential_status *status = store->wanted[i];
		if (status->watch.current == NULL)
			continue;
		set->entries[set->n++] = (struct credential_entry){
			.name = end,
			.credential = credential_take(status->watch.current),
		};
		end = stpcpy(end, status->name) + 1;
	}
	set->generation = store->set == NULL ? 1 : store->set->generation + 1;
	atomic_init(&set->refs, 1);
	return set;
}

const struct credential *
credential_set_find(const struct credential_set *set, const char *name)
{
	const struct credential_entry *entry =
		bsearch(name, set->entries, set->n, sizeof(set->entries[0]), compare_name);
	return entry == NULL ? NULL : entry->credential;
}

struct credential_set *
credential_set_take(const struct credential_set *set)
{
	struct credential_set *mutable = (struct credential_set *)set;

	atomic_fetch_add_explicit(&mutable->refs, 1, memory_order_relaxed);
	return mutable;
}

void
credential_set_drop(const struct credential_set *set)
{
	struct credential_set *mutable = (struct credential_set *)set;

	if (mutable == NULL || atomic_fetch_sub_explicit(&mutable->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < mutable->n; i++)
		credential_drop(mutable->entries[i].credential);
	free(mutable);
}

bool
credential_store_open(struct credential_store *store, const char *root)
{
	*store = (struct credential_store){.libctx = OSSL_LIB_CTX_new()};
	if (store->libctx == NULL)
		return false;
	store->root = must_have(strdup(root));
	store->set = set_make(store);
	return true;
}

static void
status_free(struct credential_status *status)
{
	credential_watch_end(&status->watch);
	free(status->name);
	free(status->directory);
	free(status);
}

static struct credential_status *
status_new(const char *root, const char *name)
{
	struct credential_status *status = must_have(calloc(1, sizeof(*status)));

	status->name = must_have(strdup(name));
	if (asprintf(&status->directory, "%s/%s", root, name) < 0)
		abort();
	credential_watch_begin(&status->watch, status->directory);
	if (!name_is_safe(name)) {
		status->watch.error = CREDENTIAL_NAME;
		status->watch.unread = false;
	}
	return status;
}

/* Takes it out of wanted, where NULL is left behind. */
static struct credential_status *
status_remove(struct credential_store *store, const char *name)
{
	for (size_t i = 0; i < store->n_wanted; i++) {
		struct credential_status *status = store->wanted[i];
		if (status == NULL || strcmp(status->name, name) != 0)
			continue;
		store->wanted[i] = NULL;
		return status;
	}
	return NULL;
}

static bool
is_among(struct credential_status *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i]->name, name) == 0)
			return true;
	return false;
}

void
credential_store_want(struct credential_store *store, const char *const *names, size_t n)
{
	struct credential_status **wanted = must_have(calloc(n + 1, sizeof(struct credential_status *)));
	size_t n_wanted = 0;

	for (size_t i = 0; i < n; i++) {
		if (is_among(wanted, n_wanted, names[i]))
			continue;
		struct credential_status *kept = status_remove(store, names[i]);
		wanted[n_wanted++] = kept != NULL ? kept : status_new(store->root, names[i]);
	}
	for (size_t i = 0; i < store->n_wanted; i++)
		if (store->wanted[i] != NULL)
			status_free(store->wanted[i]);
	free(store->wanted);
	qsort(wanted, n_wanted, sizeof(struct credential_status *), compare_status);
	store->wanted = wanted;
	store->n_wanted = n_wanted;
}

/* Whether the set in force shows what is wanted and there. */
static bool
set_is_current(const struct credential_store *store)
{
	size_t n = 0;

	for (size_t i = 0; i < store->n_wanted; i++) {
		const struct credential_status *status = store->wanted[i];
		if (status->watch.current == NULL)
			continue;
		if (n == store->set->n || store->set->entries[n].credential != status->watch.current ||
		    strcmp(store->set->entries[n].name, status->name) != 0)
			return false;
		n++;
	}
	return n == store->set->n;
}

static enum credential_change
status_poll(struct credential_status *status, OSSL_LIB_CTX *libctx, int64_t now_ns)
{
	if (status->watch.error != CREDENTIAL_NAME)
		return credential_watch_poll(&status->watch, libctx, now_ns);
	if (status->watch.since != 0)
		return CREDENTIAL_SAME;
	status->watch.since = now_ns / 1000000000; /* told once */
	return CREDENTIAL_FAILED;
}

bool
credential_store_poll(struct credential_store *store, int64_t now_ns)
{
	for (size_t i = 0; i < store->n_wanted; i++) {
		struct credential_status *status = store->wanted[i];
		enum credential_change change = status_poll(status, store->libctx, now_ns);
		if (change != CREDENTIAL_SAME && store->changed != NULL)
			store->changed(store->context, status, change);
	}
	if (set_is_current(store))
		return false;
	struct credential_set *set = set_make(store);
	credential_set_drop(store->set);
	store->set = set;
	return true;
}

void
credential_store_close(struct credential_store *store)
{
	for (size_t i = 0; i < store->n_wanted; i++)
		status_free(store->wanted[i]);
	free(store->wanted);
	free(store->root);
	credential_set_drop(store->set);
	OSSL_LIB_CTX_free(store->libctx);
	*store = (struct credential_store){0};
}
