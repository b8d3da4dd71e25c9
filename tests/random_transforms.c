/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>

#include <tloop/parallel.h>

#include "tests/random_functions.h"
#include "tests/random_transforms.h"
#include "tests/tl-check.h"

/* Choices */

static enum tl_batch_last any_last(struct planner *p)
{
	return one_in(p, 2) ? TL_DROP_LAST : TL_KEEP_LAST;
}

/* One code in twelve breaks the contract of functions, which is fatal. */
static struct whim *any_whim(struct planner *p)
{
	static const int codes[] = { -EDOM, -EIO, -EBADMSG, 7 };
	struct whim *whim = talloc(p->mem_ctx, struct whim);

	ck_assert_ptr_nonnull(whim);
	whim->salt = random_bits(&p->random);
	whim->every = 3 + below(p, 12);
	whim->code = codes[one_in(p, 3) ? below(p, 4) : 0];
	return whim;
}

/* Transforms of items, one by one */

static struct tl_dataset *sequence(struct planner *p, const struct tl_dataset *ds)
{
	(void)p;
	return tl_dataset_map(ds, make_sequence, NULL);
}

static struct tl_dataset *failing(struct planner *p, const struct tl_dataset *ds)
{
	return tl_dataset_map_inplace(ds, fail_sometimes, any_whim(p));
}

static struct tl_dataset *map_with_index(struct planner *p, const struct tl_dataset *ds)
{
	(void)p;
	return tl_dataset_map_with_index(ds, stir, NULL);
}

static struct tl_dataset *random_map(struct planner *p, const struct tl_dataset *ds)
{
	return tl_dataset_random_map(ds, random_bits(&p->random), stir, NULL);
}

static struct tl_dataset *cast(struct planner *p, const struct tl_dataset *ds)
{
	static const enum tl_dtype dtypes[] = { TL_F32, TL_I64, TL_U8, TL_F16 };

	return tl_dataset_cast(ds, one_in(p, 4) ? "value" : NULL, dtypes[below(p, 4)],
			       one_in(p, 2) ? 1 : 0.5);
}

static struct tl_dataset *select_some(struct planner *p, const struct tl_dataset *ds)
{
	const struct tl_select chosen = { .name = "value", .as = "number", .drop = one_in(p, 4) };

	return tl_dataset_select(ds, &chosen, 1, one_in(p, 4) ? TL_DROP_OTHERS : TL_KEEP_OTHERS);
}

static struct tl_dataset *enumerate(struct planner *p, const struct tl_dataset *ds)
{
	(void)p;
	return tl_dataset_enumerate(ds);
}

static struct tl_dataset *filter(struct planner *p, const struct tl_dataset *ds)
{
	const struct tl_filter_options options = { TL_FILTER_OPTIONS_INIT, .max_rejected = 0.005 };

	return tl_dataset_filter(ds, keep_others, any_whim(p), one_in(p, 3) ? &options : NULL);
}

static struct tl_dataset *take_while(struct planner *p, const struct tl_dataset *ds)
{
	struct whim *whim = any_whim(p);

	whim->every = 25;
	return tl_dataset_take_while(ds, keep_others, whim);
}

static struct tl_dataset *scan(struct planner *p, const struct tl_dataset *ds)
{
	(void)p;
	return tl_dataset_scan(ds, &scan_hashes);
}

static struct tl_dataset *flat_map(struct planner *p, const struct tl_dataset *ds)
{
	return tl_dataset_flat_map(ds, make_some, any_whim(p), one_in(p, 2) ? 0 : 2);
}

static struct tl_dataset *unique(struct planner *p, const struct tl_dataset *ds)
{
	uint64_t most = one_in(p, 2) ? 0 : some(p, 4);

	return one_in(p, 2) ? tl_dataset_unique(ds, "value", most)
			    : tl_dataset_unique_by(ds, key_of_three, any_whim(p), most);
}

static struct tl_dataset *cache(struct planner *p, const struct tl_dataset *ds)
{
	(void)p;
	return tl_dataset_cache(ds);
}

static struct tl_dataset *cache_file(struct planner *p, const struct tl_dataset *ds)
{
	char *path = talloc_asprintf(p->mem_ctx, "%s/cache-%u", tl_test_folder(), p->files++);

	return tl_dataset_cache_file(ds, path);
}

/* Transforms whose work is done beside the loop. In order: what comes must not depend on chance. */

static struct tl_parallel_options any_workers(struct planner *p)
{
	return (struct tl_parallel_options){
		TL_PARALLEL_OPTIONS_INIT,
		.kind = one_in(p, 4) ? TL_WORKERS_INLINE : TL_WORKERS_THREADS,
		.workers = (unsigned int)some(p, 3),
		.window = (uint32_t)below(p, 8),
		.window_bytes = one_in(p, 2) ? 0 : some(p, 100),
	};
}

static struct tl_dataset *parallel_map(struct planner *p, const struct tl_dataset *ds)
{
	const struct tl_parallel_options options = any_workers(p);

	return tl_dataset_parallel_map(ds, one_in(p, 2) ? make_sequence : stir_sometimes,
				       any_whim(p), &options);
}

static struct tl_dataset *parallel_flat_map(struct planner *p, const struct tl_dataset *ds)
{
	const struct tl_parallel_options options = any_workers(p);

	return tl_dataset_parallel_flat_map(ds, make_some, any_whim(p), one_in(p, 2) ? 0 : 2,
					    &options);
}

static struct tl_dataset *prefetch(struct planner *p, const struct tl_dataset *ds)
{
	const struct tl_prefetch_options options = {
		TL_PREFETCH_OPTIONS_INIT,
		.kind = one_in(p, 4) ? TL_WORKERS_INLINE : TL_WORKERS_THREADS,
		.window_bytes = one_in(p, 2) ? 0 : some(p, 100),
	};

	return tl_dataset_prefetch(ds, (uint32_t)some(p, 9), &options);
}

/* Where the source has several shards. */
static struct tl_dataset *subprocess(struct planner *p, const struct tl_dataset *ds)
{
	struct tl_subprocess_options options = {
		TL_SUBPROCESS_OPTIONS_INIT,
		.kind = one_in(p, 4) ? TL_SUBPROCESS_INLINE : TL_SUBPROCESS_THREADS,
		.workers = (unsigned int)some(p, 3),
		.shards = (uint32_t)below(p, 6),
		.window = (uint32_t)below(p, 12),
		.window_bytes = one_in(p, 2) ? 0 : some(p, 100),
	};
	struct tl_dataset *made = tl_dataset_subprocess(ds, &options);
	uint64_t length;

	if (tl_dataset_length(made, &length) != -EINVAL)
		return made;
	options.shards = 0;
	return tl_dataset_subprocess(ds, &options);
}

/* Transforms of their order */

static struct tl_dataset *take(struct planner *p, const struct tl_dataset *ds)
{
	return tl_dataset_take(ds, below(p, LONG));
}

static struct tl_dataset *skip(struct planner *p, const struct tl_dataset *ds)
{
	return tl_dataset_skip(ds, below(p, 10));
}

static struct tl_dataset *slice(struct planner *p, const struct tl_dataset *ds)
{
	uint64_t start = below(p, 8);

	return tl_dataset_slice(ds, start, one_in(p, 3) ? UINT64_MAX : start + below(p, 40),
				some(p, 3));
}

static struct tl_dataset *shard(struct planner *p, const struct tl_dataset *ds)
{
	uint64_t count = some(p, 4);

	return tl_dataset_shard(ds, below(p, count), count);
}

static struct tl_dataset *repeat(struct planner *p, const struct tl_dataset *ds)
{
	enum tl_repeat_epochs epochs = one_in(p, 2) ? TL_SAME_EPOCH : TL_NEW_EPOCHS;

	if (one_in(p, 5))
		return take(p, tl_dataset_repeat(ds, TL_FOREVER, epochs));
	return tl_dataset_repeat(ds, some(p, 3), epochs);
}

static struct tl_dataset *shuffle_buffer(struct planner *p, const struct tl_dataset *ds)
{
	return tl_dataset_shuffle_buffer(ds, some(p, 7), random_bits(&p->random));
}

/* What can find its items by their number has a length, also behind a shuffle. */
static struct tl_dataset *shuffle(struct planner *p, const struct tl_dataset *ds)
{
	struct tl_dataset *shuffled = tl_dataset_shuffle(ds, random_bits(&p->random));
	uint64_t length;

	return tl_dataset_length(shuffled, &length) == 0 ? shuffled : shuffle_buffer(p, ds);
}

static struct tl_dataset *shuffle_window(struct planner *p, const struct tl_dataset *ds)
{
	return tl_dataset_shuffle_window(ds, some(p, 7), random_bits(&p->random));
}

/* Transforms that put them together */

static struct tl_dataset *batch(struct planner *p, const struct tl_dataset *ds)
{
	return tl_dataset_batch(ds, some(p, 4), any_last(p));
}

static struct tl_dataset *unbatch(struct planner *p, const struct tl_dataset *ds)
{
	return tl_dataset_unbatch(one_in(p, 4) ? ds : batch(p, ds));
}

static struct tl_dataset *rebatch(struct planner *p, const struct tl_dataset *ds)
{
	return tl_dataset_rebatch(one_in(p, 4) ? ds : batch(p, ds), some(p, 5), any_last(p));
}

static struct tl_dataset *window(struct planner *p, const struct tl_dataset *ds)
{
	uint64_t size = some(p, 4), shift = some(p, 5);

	return tl_dataset_window(ds, size, shift, some(p, 3), any_last(p));
}

static struct tl_dataset *group_by_window(struct planner *p, const struct tl_dataset *ds)
{
	return tl_dataset_group_by_window(ds, key_of_three, any_whim(p), some(p, 4), any_last(p));
}

static struct tl_dataset *batch_with(struct planner *p, const struct tl_dataset *ds)
{
	static const uint64_t buckets[] = { 2, 4 };
	struct tl_batching_options options = {
		TL_BATCHING_OPTIONS_INIT,    .samples = below(p, 6),
		.bytes = 10 + below(p, 200), .last = any_last(p),
		.pad = one_in(p, 2),         .held = one_in(p, 2) ? 0 : some(p, 6),
	};

	if (one_in(p, 2)) {
		options.key = key_of_three;
		options.key_data = any_whim(p);
	} else if (one_in(p, 2)) {
		options.bucket_tensor = "tokens";
		options.buckets = buckets;
		options.bucket_count = 2;
	}
	return tl_dataset_batch_with(one_in(p, 2) ? sequence(p, ds) : ds, &options);
}

static struct tl_dataset *pack(struct planner *p, const struct tl_dataset *ds)
{
	const struct tl_pack_options options = {
		TL_PACK_OPTIONS_INIT,
		.length = some(p, 12),
		.fit = (enum tl_pack_fit)some(p, 3),
		.rows = (uint32_t)below(p, 5),
		.last = any_last(p),
		.cut = one_in(p, 2),
	};

	return tl_dataset_pack(one_in(p, 8) ? ds : sequence(p, ds), &options);
}

static struct tl_dataset *(*const transforms[])(struct planner *p, const struct tl_dataset *ds) = {
	sequence,
	failing,
	map_with_index,
	random_map,
	cast,
	select_some,
	enumerate,
	filter,
	take_while,
	scan,
	flat_map,
	unique,
	cache,
	cache_file,
	take,
	skip,
	slice,
	shard,
	repeat,
	shuffle,
	shuffle_buffer,
	shuffle_window,
	batch,
	unbatch,
	rebatch,
	window,
	group_by_window,
	batch_with,
	pack,
	parallel_map,
	prefetch,
	parallel_flat_map,
	subprocess,
};

struct tl_dataset *any_transform(struct planner *p, const struct tl_dataset *ds)
{
	struct tl_dataset *made =
		transforms[below(p, sizeof(transforms) / sizeof(transforms[0]))](p, ds);

	return one_in(p, 6) ? failing(p, made) : made;
}
