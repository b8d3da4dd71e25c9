/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_PACKED_IMAGES_H
#define EXAMPLES_PACKED_IMAGES_H

/*
 * Images of 28 x 28 pixels as files of images hold them: each is packed by itself, in the way of
 * PNG, differences of neighbours, deflated. So to see one is to inflate it.
 */

#include <stddef.h>
#include <stdint.h>
#include <talloc.h>
#include <tloop.h>

enum { IMAGE_SIDE = 28, IMAGE_PIXELS = IMAGE_SIDE * IMAGE_SIDE };

struct packed_images {
	uint64_t count;
	uint8_t *labels;
	uint64_t *ends; /* of each, in bytes */
	struct tl_buffer *bytes;
};

/*
 * Packs those of a dataset of "images" and "labels", at most so many. 0, or a negative code with an
 * error, on mem_ctx, unless there was no memory for it.
 */
int packed_images_make(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds, uint64_t most,
		       struct tl_error **error, struct packed_images **images);

/* Inflates one. 0; -EBADMSG. */
int packed_images_read(const struct packed_images *images, uint64_t index, uint8_t *pixels);

/* Turns, scales and moves an image a little, by chance. */
void image_distort(const uint8_t *from, uint8_t *to, uint64_t seed);

#endif
