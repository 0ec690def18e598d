/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/secret.h"

#include <openssl/crypto.h>
#include <sys/mman.h>
#include <unistd.h>

bool
secret_new(struct secret *secret, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t whole = (size + page - 1) / page * page;

	*secret = (struct secret){0};
	void *pages = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return false;
	/* Without the right to lock, the key is as safe as the heap would be; `locked` tells. */
	bool locked = mlock(pages, whole) == 0;
	(void)madvise(pages, whole, MADV_DONTDUMP);
	(void)madvise(pages, whole, MADV_WIPEONFORK);
	*secret = (struct secret){.bytes = pages, .size = whole, .locked = locked};
	return true;
}

void
secret_free(struct secret *secret)
{
	if (secret->bytes != NULL) {
		OPENSSL_cleanse(secret->bytes, secret->size);
		munmap(secret->bytes, secret->size); /* unlocks it too */
	}
	*secret = (struct secret){0};
}
