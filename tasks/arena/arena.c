/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Opening and closing an arena. What its units do is in units.c.
 *
 * The handle is the caller's; what it stands for lives until the last view of the opener's has
 * gone, too. When the handle goes, all pages go but those of these views, also where a child that
 * the program has forked still has the memory mapped: so holes are punched.
 *
 * A process that the opener forked, and that is not a worker, shares the memory, but is no party:
 * it may read what it has views of, and freeing them does nothing. It is told by a page which the
 * kernel gives to a fork as zeroes.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tasks/arena/parcel.h"
#include "tasks/arena/units.h"

#define MOST_RESERVED  (UINT64_C(1) << 40)
#define LEAST_RESERVED (UINT64_C(64) << 20)
#define DEFAULT_CACHE  (UINT64_C(64) << 20)

static uint64_t in_quanta(uint64_t bytes)
{
	return (bytes + TL_UNIT_QUANTUM - 1) / TL_UNIT_QUANTUM * TL_UNIT_QUANTUM;
}

/* Bytes before the units' own: the head, a home for each party, and the table of units. */
static uint64_t table_offset(unsigned int parties)
{
	return 64 + parties * sizeof(struct tl_home);
}

static uint64_t preface(unsigned int parties, uint32_t most)
{
	return in_quanta(table_offset(parties) + most * sizeof(struct tl_arena_unit));
}

static uint32_t units_of(uint64_t reserve)
{
	uint64_t most = reserve / TL_UNIT_QUANTUM;

	return most < TL_UNITS_MOST ? (uint32_t)most : TL_UNITS_MOST;
}

/* A file that is too large for the limit would be answered by a signal. */
static bool allowed(uint64_t size)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
	       limit.rlim_cur >= size;
}

/* 0, or a code of errno. */
static int reserve(struct tl_arena_core *core, uint64_t bytes)
{
	core->most = units_of(bytes);
	core->size = preface(core->opener + 1, core->most) + in_quanta(bytes);
	if (!allowed(core->size))
		return EFBIG;
	if (ftruncate(core->fd, (off_t)core->size) < 0)
		return errno;
	core->memory = mmap(NULL, core->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			    core->fd, 0);
	if (core->memory == MAP_FAILED) {
		core->memory = NULL;
		return errno;
	}
	/* Else who dumps core looks at each page that there could be, and is not dead until then. */
	madvise(core->memory, core->size, MADV_DONTDUMP);
	return 0;
}

static int reserve_some(struct tl_arena_core *core, uint64_t bytes)
{
	int cause;

	if (bytes > 0)
		return bytes <= MOST_RESERVED ? reserve(core, bytes) : EFBIG;
	bytes = MOST_RESERVED;
	do
		cause = reserve(core, bytes);
	while (cause != 0 && (bytes /= 2) >= LEAST_RESERVED);
	return cause;
}

/* Nobody who has the descriptor can make it smaller: who reads it would get a signal. */
static int seal(struct tl_arena_core *core)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	return fcntl(core->fd, F_ADD_SEALS, seals) < 0 ? errno : 0;
}

static int make_self(struct tl_arena_core *core)
{
	core->self = mmap(NULL, TL_UNIT_QUANTUM, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (core->self == MAP_FAILED) {
		core->self = NULL;
		return errno;
	}
	if (madvise(core->self, TL_UNIT_QUANTUM, MADV_WIPEONFORK) < 0)
		return errno;
	*core->self = core->opener + 1;
	return 0;
}

/* Their pages are had now, so that no access to them can fail. */
static int make_head(struct tl_arena_core *core)
{
	unsigned int parties = core->opener + 1;

	if (fallocate(core->fd, 0, 0, (off_t)preface(parties, 0)) < 0)
		return errno;
	core->head = (struct tl_arena_head *)core->memory;
	core->homes = (struct tl_home *)(core->memory + 64);
	core->units = (struct tl_arena_unit *)(core->memory + table_offset(parties));
	atomic_init(&core->head->end, preface(parties, core->most));
	return 0;
}

static void core_free(struct tl_arena_core *core)
{
	if (core->memory != NULL)
		munmap(core->memory, core->size);
	if (core->self != NULL)
		munmap(core->self, TL_UNIT_QUANTUM);
	if (core->fd >= 0)
		close(core->fd);
	pthread_mutex_destroy(&core->lock);
	free(core);
}

/* Counted here, and not by what the table says: a mad worker may have written over that. */
void tl_arena_core_release(struct tl_arena_core *core)
{
	if (atomic_fetch_sub_explicit(&core->users, 1, memory_order_acq_rel) == 1)
		core_free(core);
}

/* Gives all pages back but those of units that the opener holds. */
static void punch_free(struct tl_arena_core *core)
{
	uint32_t count = atomic_load_explicit(&core->head->count, memory_order_acquire);

	for (uint32_t i = 0; i < count && i < core->most; i++) {
		uint64_t word = atomic_load_explicit(&core->units[i].word, memory_order_acquire);

		if (!tl_unit_is_held(word, core->opener))
			tl_unit_punch(core, &core->units[i]);
	}
}

static void punch_all(struct tl_arena_core *core)
{
	uint64_t begin = preface(core->opener + 1, core->most);

	fallocate(core->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)begin,
		  (off_t)(core->size - begin));
}

static int arena_destructor(struct tl_arena *arena)
{
	struct tl_arena_core *core = arena->core;

	if (core->self == NULL || core->head == NULL) {
		core_free(core);
		return 0;
	}
	if (*core->self != core->opener + 1)
		return 0;
	pthread_mutex_lock(&core->lock);
	core->closed = true;
	if (atomic_load_explicit(&core->held_units, memory_order_relaxed) == 0)
		punch_all(core);
	else
		punch_free(core);
	pthread_mutex_unlock(&core->lock);
	tl_arena_core_release(core);
	return 0;
}

static const struct tl_handler *const no_handlers[] = { NULL };

static struct tl_arena *arena_new(TALLOC_CTX *mem_ctx, const struct tl_arena_config *config)
{
	struct tl_arena *arena = talloc_zero(mem_ctx, struct tl_arena);

	if (arena == NULL)
		return NULL;
	arena->handlers = config->handlers != NULL ? config->handlers : no_handlers;
	arena->inline_bytes = config->inline_bytes > 0 ? config->inline_bytes : TL_PARCEL_INLINE;
	arena->core = calloc(1, sizeof(*arena->core));
	if (arena->core == NULL) {
		talloc_free(arena);
		return NULL;
	}
	arena->core->fd = -1;
	atomic_init(&arena->core->users, 1);
	arena->core->opener = config->workers;
	arena->core->cache_limit = config->cache_limit > 0 ? config->cache_limit : DEFAULT_CACHE;
	pthread_mutex_init(&arena->core->lock, NULL);
	tl_arena_source_init(&arena->core->source);
	talloc_set_destructor(arena, arena_destructor);
	return arena;
}

int tl_arena_open(TALLOC_CTX *mem_ctx, const struct tl_arena_config *config,
		  struct tl_arena **arena)
{
	struct tl_arena *made = arena_new(mem_ctx, config);
	int cause = 0;

	if (made == NULL)
		return -ENOMEM;
	made->core->fd = memfd_create("tloop arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (made->core->fd < 0)
		cause = errno;
	if (cause == 0)
		cause = reserve_some(made->core, config->reserve);
	if (cause == 0)
		cause = seal(made->core);
	if (cause == 0)
		cause = make_self(made->core);
	if (cause == 0)
		cause = make_head(made->core);
	if (cause != 0) {
		talloc_free(made);
		return -cause;
	}
	*arena = made;
	return 0;
}

const struct tl_handler *const *tl_arena_handlers(const struct tl_arena *arena)
{
	return arena->handlers;
}

uint32_t tl_arena_inline(const struct tl_arena *arena)
{
	return arena->inline_bytes;
}

int tl_arena_fd(const struct tl_arena *arena)
{
	return arena->core->fd;
}

/* What it has of the opener's own is forgotten; another thread may have had the lock. */
void tl_arena_enter(struct tl_arena *arena, unsigned int worker)
{
	struct tl_arena_core *core = arena->core;

	*core->self = worker + 1;
	pthread_mutex_init(&core->lock, NULL);
	memset(core->newest, 0, sizeof(core->newest));
	core->paged_newest = 0;
	core->paged_oldest = 0;
	core->kept_bytes = 0;
	atomic_store_explicit(&core->held_units, 0, memory_order_relaxed);
	atomic_store_explicit(&core->held_bytes, 0, memory_order_relaxed);
}

static void count_unit(const struct tl_arena_core *core, const struct tl_arena_unit *unit,
		       struct tl_arena_stats *stats)
{
	uint64_t word = atomic_load_explicit(&unit->word, memory_order_acquire), offset, room;
	bool paged = atomic_load_explicit(&unit->pages, memory_order_relaxed) != TL_PAGES_NONE;
	enum tl_unit_state state = tl_unit_state(word);

	if (state == TL_UNIT_UNMADE || !tl_unit_is_sound(core, unit, &offset, &room))
		return;
	stats->units++;
	stats->bytes += room;
	if (paged)
		stats->paged_bytes += room;
	if (tl_unit_is_held(word, tl_arena_self(core))) {
		stats->held_units++;
		stats->held_bytes += room;
	} else if (state == TL_UNIT_SENT) {
		stats->sent_units++;
		stats->sent_bytes += room;
	} else if (paged && (state == TL_UNIT_KEPT || state == TL_UNIT_RETURNED)) {
		stats->free_units++;
		stats->free_bytes += room;
	}
}

void tl_arena_stats(const struct tl_arena *arena, struct tl_arena_stats *stats)
{
	const struct tl_arena_core *core = arena->core;
	uint32_t count = atomic_load_explicit(&core->head->count, memory_order_acquire);

	*stats = (struct tl_arena_stats){ 0 };
	for (uint32_t i = 0; i < count && i < core->most; i++)
		count_unit(core, &core->units[i], stats);
}

uint64_t tl_arena_held(const struct tl_arena *arena, uint64_t *bytes)
{
	*bytes = atomic_load_explicit(&arena->core->held_bytes, memory_order_relaxed);
	return atomic_load_explicit(&arena->core->held_units, memory_order_relaxed);
}
