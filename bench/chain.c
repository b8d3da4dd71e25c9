/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <inttypes.h>

#include <talloc.h>
#include <tloop.h>

#include "bench/bench.h"

/*
 * What a training driver asks for: images in random order, as floats, in batches. The peers of
 * peers/peers.py do the same with the same file, an array of NumPy's, whose path is the argument.
 * Without one, the images are in memory.
 */

enum { IMAGES = 60000, PIXELS = 28 * 28, BATCH = 64, POOL = 16384 };

static struct tl_dataset *source(TALLOC_CTX *mem_ctx, const char *path)
{
	const struct tl_npy_array file = { .name = "image", .source = path };
	const struct tl_npy_options npy = { TL_NPY_OPTIONS_INIT, .arrays = &file, .count = 1 };
	struct tl_array memory = { "image", TL_U8, 1, { PIXELS }, NULL };
	const struct tl_array_options array = {
		TL_ARRAY_OPTIONS_INIT,
		.samples = IMAGES,
		.arrays = &memory,
		.count = 1,
	};

	if (path != NULL)
		return tl_dataset_npy(mem_ctx, &npy);
	memory.data = talloc_zero_size(mem_ctx, (size_t)IMAGES * PIXELS);
	bench_need(memory.data != NULL, "no memory");
	return tl_dataset_array(mem_ctx, &array);
}

struct chain {
	struct tl_iter *it;
	TALLOC_CTX *pool;
	uint64_t epoch;
};

static void walk(void *data, uint64_t epochs)
{
	struct chain *chain = data;

	for (uint64_t i = 0; i < epochs; i++) {
		struct tl_item *batch;
		uint64_t images = 0;
		int ret;

		bench_need(tl_iter_rewind(chain->it, ++chain->epoch) == 0, "can't be rewound");
		while ((ret = tl_iter_next(chain->it, chain->pool, &batch)) == 0) {
			images += tl_item_samples(batch);
			talloc_free(batch);
		}
		bench_need(ret == TL_END && images == IMAGES, "an image is missing");
	}
}

int main(int argc, char **argv)
{
	TALLOC_CTX *root = talloc_new(NULL);
	struct chain chain = { .pool = talloc_pool(root, POOL) };
	const struct bench_side side = { walk, &chain };
	struct bench_times times;
	struct tl_dataset *ds = source(root, argc > 1 ? argv[1] : NULL);

	ds = tl_dataset_shuffle(ds, 1);
	ds = tl_dataset_batch(ds, BATCH, TL_KEEP_LAST);
	ds = tl_dataset_cast(ds, "image", TL_F32, 1.0 / 255);
	bench_need(chain.pool != NULL, "no memory");
	bench_need(tl_iter_open(root, ds, NULL, &chain.it) == 0, "can't be opened");
	bench_measure(&times, &side, 1);
	bench_print("data.images_per_s", 1e9 * IMAGES / bench_ns(&times, 0), "images/s");
	talloc_free(root);
	return 0;
}
