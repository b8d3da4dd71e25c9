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
	CLASSES = TL_SIZE_STEPS,
};

#define LARGEST       (UINT64_C(1) << 47)
#define DEFAULT_LIMIT (UINT64_C(256) << 20)

/* Stands before the bytes, or, where those are of a source, apart from them. */
struct block {
	atomic_uint handles;
	unsigned int class;
	uint64_t size;                   /* that was asked for */
	struct tl_buffer_source *source; /* NULL: the recycler */
	union {
		struct {
			struct block *newer, *older;
			struct block *class_newer, *class_older;
		}; /* the recycler's */
		struct {
			uint8_t *bytes;
			uint64_t number;
		}; /* the source's */
	};
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
	struct tl_buffer_source *source; /* set while there is one thread */
} recycler = {
	.lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP,
	.limit = DEFAULT_LIMIT,
};

/* A step's end is m << e. */
unsigned int tl_size_step(uint64_t quanta, uint64_t *rounded)
{
	unsigned int exponent, steps;

	if (quanta <= 8) {
		*rounded = quanta + (quanta == 0);
		return (unsigned int)*rounded - 1;
	}
	exponent = 60 - (unsigned int)__builtin_clzll(quanta - 1);
	steps = (unsigned int)((quanta - 1) >> exponent) + 1; /* 9 ... 16 */
	*rounded = (uint64_t)steps << exponent;
	return 8 * exponent + steps - 1;
}

/* In lines of 64 bytes. */
static unsigned int class_of(uint64_t size, uint64_t *room)
{
	uint64_t lines = size / ALIGNMENT + (size % ALIGNMENT != 0);
	unsigned int class = tl_size_step(lines, &lines);

	*room = lines * ALIGNMENT;
	return class;
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
	block->source = NULL;
	atomic_init(&block->handles, 1);
	return block;
}

static struct block *block_over(struct tl_buffer_source *source, void *bytes, uint64_t number,
				uint64_t size)
{
	struct block *block = malloc(sizeof(*block));

	if (block == NULL)
		return NULL;
	block->size = size;
	block->source = source;
	block->bytes = bytes;
	block->number = number;
	atomic_init(&block->handles, 1);
	pthread_mutex_lock(&recycler.lock);
	count_birth(size);
	pthread_mutex_unlock(&recycler.lock);
	return block;
}

/* Takes bytes of the source that is set, for a block of its own. */
static struct block *block_from(struct tl_buffer_source *source, uint64_t size)
{
	struct block *block;
	uint64_t number;
	void *bytes;
	int ret;

	if (size > LARGEST)
		return NULL;
	ret = source->take(source, size, &bytes, &number);
	if (ret < 0)
		return NULL;
	if (ret == TL_BUFFER_ELSEWHERE)
		return block_new(size);
	block = block_over(source, bytes, number, size);
	if (block == NULL)
		source->put(source, number);
	return block;
}

static void block_put(struct block *block)
{
	pthread_mutex_lock(&recycler.lock);
	recycler.stats.live_buffers--;
	recycler.stats.live_bytes -= block->size;
	pthread_mutex_unlock(&recycler.lock);
	block->source->put(block->source, block->number);
	free(block);
}

static void block_release(struct block *block)
{
	struct block *gone;
	uint64_t room;

	if (atomic_fetch_sub_explicit(&block->handles, 1, memory_order_acq_rel) > 1)
		return;
	if (block->source != NULL) {
		block_put(block);
		return;
	}
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

_Thread_local int (*tl_buffer_gate)(uint64_t size);
_Thread_local struct tl_buffer_source *tl_buffer_thread_source;

static uint8_t *block_bytes(struct block *block)
{
	return block->source != NULL ? block->bytes : (uint8_t *)block + ALIGNMENT;
}

/* A handle for a block, which is NULL if there was no memory. */
static int hold(struct tl_buffer *made, struct block *block, struct tl_buffer **buffer)
{
	if (block == NULL) {
		talloc_free(made);
		return -ENOMEM;
	}
	made->block = block;
	made->data = block_bytes(block);
	made->size = block->size;
	talloc_set_destructor(made, buffer_destructor);
	*buffer = made;
	return 0;
}

int tl_buffer_new(TALLOC_CTX *mem_ctx, uint64_t size, struct tl_buffer **buffer)
{
	struct tl_buffer_source *source = tl_buffer_thread_source != NULL ? tl_buffer_thread_source
									  : recycler.source;
	int ret = tl_buffer_gate != NULL ? tl_buffer_gate(size) : 0;
	struct tl_buffer *made;

	if (ret < 0)
		return ret;
	made = talloc(mem_ctx, struct tl_buffer);
	if (made == NULL)
		return -ENOMEM;
	if (source != NULL && size >= source->least)
		return hold(made, block_from(source, size), buffer);
	return hold(made, block_new(size), buffer);
}

int tl_buffer_over(TALLOC_CTX *mem_ctx, struct tl_buffer_source *source, void *bytes,
		   uint64_t number, uint64_t size, struct tl_buffer **buffer)
{
	struct tl_buffer *made = talloc(mem_ctx, struct tl_buffer);

	if (made == NULL)
		return -ENOMEM;
	return hold(made, block_over(source, bytes, number, size), buffer);
}

void tl_buffer_set_source(struct tl_buffer_source *source)
{
	recycler.source = source;
}

bool tl_buffer_is_of(const struct tl_buffer *buffer, const struct tl_buffer_source *source,
		     uint64_t *number, unsigned int *handles, uint64_t *offset)
{
	struct block *block = buffer->block;

	if (block->source == NULL || block->source != source)
		return false;
	*number = block->number;
	*handles = atomic_load_explicit(&block->handles, memory_order_relaxed);
	*offset = (uint64_t)(buffer->data - block->bytes);
	return true;
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

void tl_buffer_lock(void)
{
	pthread_mutex_lock(&recycler.lock);
}

void tl_buffer_unlock(void)
{
	pthread_mutex_unlock(&recycler.lock);
}

void tl_buffer_trim(void)
{
	struct block *gone;

	pthread_mutex_lock(&recycler.lock);
	gone = shrink_to(0);
	pthread_mutex_unlock(&recycler.lock);
	free_all(gone);
}
