/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <zlib.h>

#include "examples/packed_images.h"
#include "examples/random.h"

enum { LEVEL = 6 }; /* zlib's own, and that of most files */

/* Packing */

static int pack(struct packed_images *images, const uint8_t *pixels, uint8_t label)
{
	uint64_t start = images->count > 0 ? images->ends[images->count - 1] : 0;
	uLongf size = compressBound(IMAGE_PIXELS);
	uint8_t differences[IMAGE_PIXELS];

	for (int i = 0; i < IMAGE_PIXELS; i++)
		differences[i] = (uint8_t)(pixels[i] - (i % IMAGE_SIDE > 0 ? pixels[i - 1] : 0));
	if (compress2((uint8_t *)tl_buffer_data(images->bytes) + start, &size, differences,
		      IMAGE_PIXELS, LEVEL) != Z_OK)
		return -ENOMEM;
	images->labels[images->count] = label;
	images->ends[images->count++] = start + size;
	return 0;
}

static int pack_all(struct packed_images *images, struct tl_iter *it, uint64_t most,
		    struct tl_error **error)
{
	struct tl_item *item = NULL;
	int ret = 0;

	while (images->count < most && (ret = tl_iter_next(it, it, &item)) == 0) {
		const struct tl_tensor *pixels = tl_item_tensor(item, "images");
		const struct tl_tensor *label = tl_item_tensor(item, "labels");

		if (pixels->bytes != IMAGE_PIXELS)
			return tl_error_set(talloc_parent(images), error, -EINVAL,
					    "images of %" PRIu64 " pixels", pixels->bytes);
		ret = pack(images, pixels->data, *(const uint8_t *)label->data);
		talloc_free(item);
		if (ret < 0)
			return ret;
	}
	if (ret < 0)
		return tl_error_set(talloc_parent(images), error, ret, "%s",
				    tl_error_message(tl_iter_error(it)));
	return 0;
}

int packed_images_make(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, uint64_t most,
		       struct tl_error **error, struct packed_images **images)
{
	struct packed_images *made = talloc_zero(mem_ctx, struct packed_images);
	struct tl_iter *it = NULL;
	uint64_t count = 0;
	int ret;

	if (made == NULL)
		return -ENOMEM;
	ret = tl_iter_open(mem_ctx, ds, error, &it);
	if (ret == 0)
		ret = tl_iter_length(it, &count);
	count = count < most ? count : most;
	if (ret == 0) {
		made->labels = talloc_array(made, uint8_t, (unsigned int)count);
		made->ends = talloc_array(made, uint64_t, (unsigned int)count);
		ret = made->labels != NULL && made->ends != NULL
			      ? tl_buffer_new(made, count * compressBound(IMAGE_PIXELS),
					      &made->bytes)
			      : -ENOMEM;
	}
	if (ret == 0)
		ret = pack_all(made, it, count, error);
	talloc_free(it);
	if (ret < 0)
		talloc_free(made);
	else
		*images = made;
	return ret;
}

/* Unpacking */

int packed_images_read(const struct packed_images *images, uint64_t index, uint8_t *pixels)
{
	uint64_t start = index > 0 ? images->ends[index - 1] : 0;
	uLongf size = IMAGE_PIXELS;

	if (uncompress(pixels, &size, (const uint8_t *)tl_buffer_data(images->bytes) + start,
		       images->ends[index] - start) != Z_OK ||
	    size != IMAGE_PIXELS)
		return -EBADMSG;
	for (int i = 0; i < IMAGE_PIXELS; i++)
		pixels[i] = (uint8_t)(pixels[i] + (i % IMAGE_SIDE > 0 ? pixels[i - 1] : 0));
	return 0;
}

/* Distorting */

static float pixel_at(const uint8_t *pixels, int x, int y)
{
	return x >= 0 && x < IMAGE_SIDE && y >= 0 && y < IMAGE_SIDE ? pixels[y * IMAGE_SIDE + x]
								    : 0;
}

/* Between four pixels. */
static float colour_at(const uint8_t *pixels, float x, float y)
{
	float left = floorf(x), top = floorf(y);
	float right_share = x - left, bottom_share = y - top;
	int column = (int)left, row = (int)top;
	float above = pixel_at(pixels, column, row) * (1 - right_share) +
		      pixel_at(pixels, column + 1, row) * right_share;
	float below = pixel_at(pixels, column, row + 1) * (1 - right_share) +
		      pixel_at(pixels, column + 1, row + 1) * right_share;

	return above * (1 - bottom_share) + below * bottom_share;
}

static float random_between(uint64_t *seed, double least, double most)
{
	return (float)(least + random_uniform(seed) * (most - least));
}

void image_distort(const uint8_t *from, uint8_t *to, uint64_t seed)
{
	const float centre = (IMAGE_SIDE - 1) / 2.0f;
	float angle = random_between(&seed, -0.1, 0.1), scale = random_between(&seed, 0.95, 1.05);
	float right = random_between(&seed, -1, 1), down = random_between(&seed, -1, 1);
	float along = cosf(angle) / scale, across = sinf(angle) / scale;

	for (int y = 0; y < IMAGE_SIDE; y++) {
		for (int x = 0; x < IMAGE_SIDE; x++) {
			float dx = (float)x - centre - right, dy = (float)y - centre - down;

			to[y * IMAGE_SIDE + x] =
				(uint8_t)(colour_at(from, along * dx - across * dy + centre,
						    across * dx + along * dy + centre) +
					  0.5f);
		}
	}
}
