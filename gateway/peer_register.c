/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/peer_register.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "certs/verify.h"

enum { BUCKETS = 4096 };

struct peer_register {
	pthread_mutex_t lock;
	uint32_t n;
	struct peer_record *buckets[BUCKETS]; /* by the chain's digest, which is as good as random */
};

struct peer_register *
peer_register_new(void)
{
	struct peer_register *peers = calloc(1, sizeof(*peers));
	if (peers == NULL)
		abort();
	pthread_mutex_init(&peers->lock, NULL);
	return peers;
}

static void
record_free(struct peer_record *record)
{
	peer_identity_drop(record->mapped);
	peer_identity_drop(record->identity);
	free(record);
}

void
peer_register_free(struct peer_register *peers)
{
	if (peers == NULL)
		return;
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct peer_record *record = peers->buckets[i], *next; record != NULL; record = next) {
			next = record->next;
			record_free(record);
		}
	pthread_mutex_destroy(&peers->lock);
	free(peers);
}

static struct peer_record **
bucket(struct peer_register *peers, const struct peer_identity *identity)
{
	uint32_t hash;
	memcpy(&hash, identity->chain_sha256, sizeof(hash));
	return &peers->buckets[hash % BUCKETS];
}

static bool
same_text(struct peer_bytes a, struct peer_bytes b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

/* Whether verifying either again is the same question, and would tell the same of whom it was taken for. */
static bool
is_of(const struct peer_record *record, const struct peer_identity *identity, const struct identity_match *match)
{
	const struct peer_identity *mine = record->identity;

	return mine->kind == identity->kind && mine->role == identity->role && same_text(mine->pki, identity->pki) &&
	       memcmp(mine->chain_sha256, identity->chain_sha256, sizeof(identity->chain_sha256)) == 0 &&
	       (match == NULL) == (record->mapped == NULL) &&
	       (match == NULL || spiffe_id_equal(&record->mapped->id, &match->id));
}

static struct peer_record *
record_new(struct peer_identity *identity, const struct identity_match *match)
{
	struct peer_record *record = calloc(1, sizeof(*record));

	if (record == NULL)
		return NULL;
	record->identity = peer_identity_take(identity);
	if (match != NULL && (record->mapped = peer_identity_map(identity, &match->id, match->dns)) == NULL) {
		record_free(record);
		return NULL;
	}
	return record;
}

struct peer_record *
peer_register_enter(struct peer_register *peers, struct peer_identity *identity, const struct identity_match *match)
{
	struct peer_record **head = bucket(peers, identity), *record;

	pthread_mutex_lock(&peers->lock);
	for (record = *head; record != NULL && !is_of(record, identity, match); record = record->next)
		;
	/* Who was let in now has been verified now: a verdict of before, over the same chain, is no longer true. A new
	 * record, then, beside the one whose connections are about to be closed. */
	if (record != NULL && atomic_load_explicit(&record->verdict, memory_order_relaxed) != CERT_NONE)
		record = NULL;
	if (record == NULL && (record = record_new(identity, match)) != NULL) {
		record->next = *head;
		*head = record;
		peers->n++;
	}
	if (record != NULL)
		record->refs++;
	pthread_mutex_unlock(&peers->lock);
	return record;
}

void
peer_register_leave(struct peer_register *peers, struct peer_record *record)
{
	if (record == NULL)
		return;
	pthread_mutex_lock(&peers->lock);
	bool last = --record->refs == 0;
	if (last) {
		struct peer_record **link = bucket(peers, record->identity);
		while (*link != record)
			link = &(*link)->next;
		*link = record->next;
		peers->n--;
	}
	pthread_mutex_unlock(&peers->lock);
	if (last)
		record_free(record);
}

static enum cert_error
judge(struct trust_view *view, const struct peer_record *record, const struct peer_book *book, int64_t now)
{
	const struct peer_identity *identity = record->identity;
	enum cert_error error = verify_again(view, identity, now);
	struct identity_match match;

	/* Of one that is merely past its time the worker counts the grace period; all else still has to be right. */
	if (error == CERT_EXPIRED && now >= identity->leaf_not_after)
		error = verify_again(view, identity, identity->leaf_not_after - 1);
	if (error != CERT_NONE || record->mapped == NULL || book == NULL)
		return error;
	error = identity_map_legacy(&book->map, identity, &match);
	if (error == CERT_NONE && !spiffe_id_equal(&match.id, &record->mapped->id))
		error = CERT_MAP_NO_RULE; /* it is somebody else by now */
	return error;
}

/* The records of a bucket are held while they are judged, one at a time: a verification may take long, and handshake
 * threads mustn't wait for it. */
static unsigned
check_bucket(struct peer_register *peers, unsigned i, struct trust_view *view, const struct peer_book *book,
	     int64_t now)
{
	unsigned fell = 0;
	struct peer_record *record, *held = NULL;

	pthread_mutex_lock(&peers->lock);
	for (record = peers->buckets[i]; record != NULL;) {
		record->refs++;
		pthread_mutex_unlock(&peers->lock);
		peer_register_leave(peers, held);
		bool fallen = atomic_load_explicit(&record->verdict, memory_order_relaxed) != CERT_NONE;
		enum cert_error error = fallen ? CERT_NONE : judge(view, record, book, now);
		if (error != CERT_NONE) {
			atomic_store_explicit(&record->verdict, (uint32_t)error, memory_order_release);
			fell++;
		}
		held = record;
		pthread_mutex_lock(&peers->lock);
		record = record->next; /* which is where it was: held is still in the list */
	}
	pthread_mutex_unlock(&peers->lock);
	peer_register_leave(peers, held);
	return fell;
}

unsigned
peer_register_check(struct peer_register *peers, struct trust_view *view, const struct peer_book *book, int64_t now)
{
	unsigned fell = 0;

	/* Empty ones, too, under the mutex: that is what orders this with whoever enters. */
	for (unsigned i = 0; i < BUCKETS; i++)
		fell += check_bucket(peers, i, view, book, now);
	return fell;
}

uint32_t
peer_register_count(struct peer_register *peers)
{
	pthread_mutex_lock(&peers->lock);
	uint32_t n = peers->n;
	pthread_mutex_unlock(&peers->lock);
	return n;
}
