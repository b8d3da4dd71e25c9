/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Buffers and their recycler, the only thing in tloop that belongs to the process.
 *
 * Threads: a block is shared by its handles, which may be in several threads. Its count of handles
 * is atomic; making a view needs no lock, because the handle it is made of holds the block. Whoever
 * frees the last handle owns the block alone (the decrement releases, the last one acquires), and
 * hands it to the recycler under the lock. All that is in `recycler` is read and written under its
 * lock only. The system's malloc and free are called outside of it, so nobody waits for the kernel
 * to map or unmap memory on behalf of another thread.
 *
 * The recycler has a list for each size class, newest first, and one of all blocks by age. Both are
 * in the same order, so the oldest of all is also the oldest in its class.
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "data/internal.h"

enum {
	ALIGNMENT = 64,
	CLASSES = 312,
};

#define LARGEST       (UINT64_C(1) << 47)
#define DEFAULT_LIMIT (UINT64_C(256) << 20)

/* Stands before the bytes. The pointers are those of the recycler. */
struct block {
	atomic_uint handles;
	unsigned int class;
	uint64_t size; /* that was asked for */
	struct block *newer, *older;
	struct block *class_newer, *class_older;
};

_Static_assert(sizeof(struct block) <= ALIGNMENT, "a block's head takes one line");

struct tl_buffer {
	struct block *block;
	uint8_t *data;
	uint64_t size;
};

static struct {
	pthread_mutex_t lock;
	uint64_t limit;
	struct block *newest, *oldest;
	struct block *class_newest[CLASSES];
	struct tl_buffer_stats stats;
} recycler = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.limit = DEFAULT_LIMIT,
};

/* Lines of 64 bytes, up to eight of them one by one, then in eight steps per doubling: m << e. */
static unsigned int class_of(uint64_t size, uint64_t *room)
{
	uint64_t lines = size / ALIGNMENT + (size % ALIGNMENT != 0);
	unsigned int exponent, steps;

	if (lines <= 8) {
		lines += lines == 0;
		*room = lines * ALIGNMENT;
		return (unsigned int)lines - 1;
	}
	exponent = 60 - (unsigned int)__builtin_clzll(lines - 1);
	steps = (unsigned int)((lines - 1) >> exponent) + 1; /* 9 ... 16 */
	*room = ((uint64_t)steps << exponent) * ALIGNMENT;
	return 8 * exponent + steps - 1;
}

static uint64_t room_of(const struct block *block)
{
	uint64_t room;

	class_of(block->size, &room);
	return room;
}

static void raise_to(uint64_t *peak, uint64_t value)
{
	if (*peak < value)
		*peak = value;
}

/* The five below are called with the lock held. */

static void keep(struct block *block, uint64_t room)
{
	struct block **class_newest = &recycler.class_newest[block->class];

	block->newer = NULL;
	block->older = recycler.newest;
	*(block->older != NULL ? &block->older->newer : &recycler.oldest) = block;
	recycler.newest = block;

	block->class_newer = NULL;
	block->class_older = *class_newest;
	if (block->class_older != NULL)
		block->class_older->class_newer = block;
	*class_newest = block;

	recycler.stats.cached_bytes += room;
	recycler.stats.cached_buffers++;
	raise_to(&recycler.stats.peak_cached_bytes, recycler.stats.cached_bytes);
}

static void unkeep(struct block *block)
{
	*(block->newer != NULL ? &block->newer->older : &recycler.newest) = block->older;
	*(block->older != NULL ? &block->older->newer : &recycler.oldest) = block->newer;

	*(block->class_newer != NULL ? &block->class_newer->class_older
				     : &recycler.class_newest[block->class]) = block->class_older;
	if (block->class_older != NULL)
		block->class_older->class_newer = block->class_newer;

	recycler.stats.cached_bytes -= room_of(block);
	recycler.stats.cached_buffers--;
}

/* Takes out the oldest until no more than that is kept. They are returned in a list, by older. */
static struct block *shrink_to(uint64_t bytes)
{
	struct block *gone = NULL;

	while (recycler.stats.cached_bytes > bytes) {
		struct block *oldest = recycler.oldest;

		unkeep(oldest);
		oldest->older = gone;
		gone = oldest;
	}
	return gone;
}

static void count_birth(uint64_t size)
{
	recycler.stats.made++;
	recycler.stats.live_buffers++;
	recycler.stats.live_bytes += size;
	raise_to(&recycler.stats.peak_live_bytes, recycler.stats.live_bytes);
}

static struct block *reuse(unsigned int class, uint64_t size)
{
	struct block *block = recycler.class_newest[class];

	if (block == NULL)
		return NULL;
	unkeep(block);
	count_birth(size);
	return block;
}

static void free_all(struct block *gone)
{
	while (gone != NULL) {
		struct block *next = gone->older;

		free(gone);
		gone = next;
	}
}

static struct block *block_new(uint64_t size)
{
	struct block *block;
	unsigned int class;
	uint64_t room;

	if (size > LARGEST)
		return NULL;
	class = class_of(size, &room);

	pthread_mutex_lock(&recycler.lock);
	block = reuse(class, size);
	pthread_mutex_unlock(&recycler.lock);

	if (block == NULL) {
		block = aligned_alloc(ALIGNMENT, ALIGNMENT + room);
		if (block == NULL)
			return NULL;
		pthread_mutex_lock(&recycler.lock);
		recycler.stats.fresh++;
		count_birth(size);
		pthread_mutex_unlock(&recycler.lock);
	}
	block->class = class;
	block->size = size;
	atomic_init(&block->handles, 1);
	return block;
}

static void block_release(struct block *block)
{
	struct block *gone;
	uint64_t room;

	if (atomic_fetch_sub_explicit(&block->handles, 1, memory_order_acq_rel) > 1)
		return;
	room = room_of(block);

	pthread_mutex_lock(&recycler.lock);
	recycler.stats.live_buffers--;
	recycler.stats.live_bytes -= block->size;
	if (room <= recycler.limit) {
		gone = shrink_to(recycler.limit - room);
		keep(block, room);
	} else {
		block->older = NULL;
		gone = block;
	}
	pthread_mutex_unlock(&recycler.lock);
	free_all(gone);
}

static int buffer_destructor(struct tl_buffer *buffer)
{
	block_release(buffer->block);
	return 0;
}

int tl_buffer_new(TALLOC_CTX *mem_ctx, uint64_t size, struct tl_buffer **buffer)
{
	struct tl_buffer *made = talloc(mem_ctx, struct tl_buffer);

	if (made == NULL)
		return -ENOMEM;
	made->block = block_new(size);
	if (made->block == NULL) {
		talloc_free(made);
		return -ENOMEM;
	}
	made->data = (uint8_t *)made->block + ALIGNMENT;
	made->size = size;
	talloc_set_destructor(made, buffer_destructor);
	*buffer = made;
	return 0;
}

int tl_buffer_view(TALLOC_CTX *mem_ctx, const struct tl_buffer *buffer, uint64_t offset,
		   uint64_t size, struct tl_buffer **view)
{
	struct tl_buffer *made;

	if (offset > buffer->size || size > buffer->size - offset)
		return -ERANGE;
	made = talloc(mem_ctx, struct tl_buffer);
	if (made == NULL)
		return -ENOMEM;
	made->block = buffer->block;
	made->data = buffer->data + offset;
	made->size = size;
	atomic_fetch_add_explicit(&made->block->handles, 1, memory_order_relaxed);
	talloc_set_destructor(made, buffer_destructor);
	*view = made;
	return 0;
}

void *tl_buffer_data(const struct tl_buffer *buffer)
{
	return buffer->data;
}

bool tl_buffer_is_shared(const struct tl_buffer *buffer)
{
	return atomic_load_explicit(&buffer->block->handles, memory_order_acquire) > 1;
}

uint64_t tl_buffer_size(const struct tl_buffer *buffer)
{
	return buffer->size;
}

void tl_buffer_stats(struct tl_buffer_stats *stats)
{
	pthread_mutex_lock(&recycler.lock);
	*stats = recycler.stats;
	pthread_mutex_unlock(&recycler.lock);
}

void tl_buffer_reset_peak(void)
{
	pthread_mutex_lock(&recycler.lock);
	recycler.stats.peak_live_bytes = recycler.stats.live_bytes;
	recycler.stats.peak_cached_bytes = recycler.stats.cached_bytes;
	pthread_mutex_unlock(&recycler.lock);
}

uint64_t tl_buffer_room(uint64_t size)
{
	uint64_t room;

	if (size > LARGEST)
		return 0;
	class_of(size, &room);
	return room;
}

void tl_buffer_set_cache_limit(uint64_t bytes)
{
	struct block *gone;

	pthread_mutex_lock(&recycler.lock);
	recycler.limit = bytes;
	gone = shrink_to(bytes);
	pthread_mutex_unlock(&recycler.lock);
	free_all(gone);
}

void tl_buffer_trim(void)
{
	struct block *gone;

	pthread_mutex_lock(&recycler.lock);
	gone = shrink_to(0);
	pthread_mutex_unlock(&recycler.lock);
	free_all(gone);
}
