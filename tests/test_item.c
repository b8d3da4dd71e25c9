/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <string.h>

#include <tloop/item.h>

#include "tests/tl-check.h"

static const uint64_t image[] = { 4, 3 };

START_TEST(an_item_is_a_record_of_tensors)
{
	struct tl_item *item = tl_item_new(tl_test_root(), 3);
	const struct tl_tensor *tensor = NULL, *label = NULL;

	ck_assert_int_eq(tl_item_add(item, "images", TL_F32, 2, image, &tensor), 0);
	ck_assert_int_eq(tl_item_add(item, "labels", TL_U8, 0, NULL, &label), 0);
	ck_assert_str_eq(tensor->name, "images");
	ck_assert_int_eq(tensor->dtype, TL_F32);
	ck_assert_uint_eq(tensor->rank, 2);
	ck_assert_uint_eq(tensor->shape[0], 4);
	ck_assert_uint_eq(tensor->shape[1], 3);
	ck_assert_int_eq(tensor->strides[0], 12);
	ck_assert_int_eq(tensor->strides[1], 4);
	ck_assert_uint_eq(tensor->bytes, 48);
	ck_assert_ptr_eq(tensor->data, tl_buffer_data(tensor->buffer));
	ck_assert_uint_eq(label->bytes, 1);

	ck_assert_uint_eq(tl_item_count(item), 2);
	ck_assert_ptr_eq(tl_item_at(item, 1), label);
	ck_assert_ptr_eq(tl_item_tensor(item, "images"), tensor);
	ck_assert_ptr_null(tl_item_tensor(item, "image"));
	ck_assert_uint_eq(tl_item_bytes(item), 49);
	ck_assert_uint_eq(tl_item_samples(item), 1);
	tl_item_set_samples(item, 64);
	ck_assert_uint_eq(tl_item_samples(item), 64);

	/* one chunk for the item, one for each buffer */
	ck_assert_uint_eq(talloc_total_blocks(item), 3);
	talloc_free(item);
}
END_TEST

START_TEST(bad_tensors_are_refused)
{
	static const uint64_t nine[9] = { 1, 1, 1, 1, 1, 1, 1, 1, 1 };
	static const uint64_t too_many[] = { UINT64_MAX, 2 };
	static const uint64_t none_of_many[] = { 1, UINT64_MAX, 2, 0 };
	const char long_name[] = "a_name_that_has_thirty_two_bytes";
	struct tl_item *item = tl_item_new(tl_test_root(), 2);
	const struct tl_tensor *untouched = NULL;

	ck_assert_uint_eq(strlen(long_name), TL_TENSOR_NAME);
	ck_assert_int_eq(tl_item_add(item, "", TL_U8, 0, NULL, &untouched), -EINVAL);
	ck_assert_int_eq(tl_item_add(item, long_name, TL_U8, 0, NULL, &untouched), -EINVAL);
	ck_assert_int_eq(tl_item_add(item, "x", (enum tl_dtype)0, 0, NULL, &untouched), -EINVAL);
	ck_assert_int_eq(tl_item_add(item, "x", TL_U8, 9, nine, &untouched), -EINVAL);
	ck_assert_int_eq(tl_item_add(item, "x", TL_U8, 2, too_many, &untouched), -EOVERFLOW);
	ck_assert_int_eq(tl_item_add(item, "x", TL_F32, 1, too_many, &untouched), -EOVERFLOW);
	ck_assert_int_eq(tl_item_add(item, "x", TL_U8, 1, too_many, &untouched), -ENOMEM);
	ck_assert_uint_eq(tl_item_count(item), 0);
	ck_assert_uint_eq(talloc_total_blocks(item), 1);

	ck_assert_int_eq(tl_item_add(item, long_name + 1, TL_U8, 8, nine, NULL), 0);
	ck_assert_int_eq(tl_item_add(item, long_name + 1, TL_U8, 0, NULL, &untouched), -EEXIST);
	ck_assert_int_eq(tl_item_add(item, "empty", TL_F64, 4, none_of_many, NULL), 0);
	ck_assert_uint_eq(tl_item_tensor(item, "empty")->bytes, 0);
	ck_assert_int_eq(tl_item_add(item, "third", TL_U8, 0, NULL, &untouched), -ENOSPC);
	ck_assert_ptr_null(untouched);
	talloc_free(item);
}
END_TEST

START_TEST(a_tensor_may_stand_in_a_buffer)
{
	struct tl_item *item = tl_item_new(tl_test_root(), 4);
	struct tl_buffer *buffer = NULL;
	struct tl_buffer_stats stats;
	const uint64_t three = 3;
	const struct tl_tensor *tensor;

	ck_assert_int_eq(tl_buffer_new(tl_test_root(), 16, &buffer), 0);
	memcpy(tl_buffer_data(buffer), "0123456789abcdef", 16);
	ck_assert_int_eq(tl_item_add_buffer(item, "a", TL_U8, 1, &three, buffer, 13, &tensor), 0);
	ck_assert_int_eq(tl_item_add_buffer(item, "b", TL_F32, 1, &three, buffer, 4, NULL), 0);
	ck_assert_int_eq(tl_item_add_buffer(item, "c", TL_F32, 1, &three, buffer, 8, NULL),
			 -ERANGE);
	ck_assert_int_eq(tl_item_add_buffer(item, "c", TL_F32, 1, &three, buffer, 2, NULL),
			 -EINVAL);
	ck_assert_uint_eq(tl_item_count(item), 2);
	talloc_free(buffer);
	ck_assert(memcmp(tensor->data, "def", 3) == 0);
	tl_buffer_stats(&stats);
	ck_assert_uint_eq(stats.live_buffers, 1);
	ck_assert_uint_eq(stats.live_bytes, 16);
	talloc_free(item);
	tl_buffer_stats(&stats);
	ck_assert_uint_eq(stats.live_buffers, 0);
}
END_TEST

START_TEST(a_tensor_may_stand_on_foreign_memory)
{
	_Alignas(8) float numbers[12] = { 1, 2 };
	struct tl_item *item = tl_item_new(tl_test_root(), 3);
	const uint64_t none = 0;
	const struct tl_tensor *tensor;

	ck_assert_int_eq(tl_item_add_foreign(item, "x", TL_F32, 2, image, numbers, &tensor), 0);
	ck_assert_ptr_eq(tensor->data, numbers);
	ck_assert_ptr_null(tensor->buffer);
	ck_assert_int_eq(tl_item_add_foreign(item, "y", TL_F32, 2, image, NULL, NULL), -EINVAL);
	ck_assert_int_eq(tl_item_add_foreign(item, "y", TL_F64, 0, NULL, numbers + 1, NULL),
			 -EINVAL);
	ck_assert_int_eq(tl_item_add_foreign(item, "y", TL_F32, 1, &none, NULL, NULL), 0);
	ck_assert_uint_eq(talloc_total_blocks(item), 1);
	talloc_free(item);
}
END_TEST

static void make_item(TALLOC_CTX *root, void *arg)
{
	struct tl_item *item = tl_item_new(root, 2);
	int ret;

	(void)arg;
	ck_assert(item != NULL || tl_test_fail_fired());
	if (item == NULL)
		return;
	for (uint32_t i = 0; i < 2; i++) {
		ret = tl_item_add(item, i == 0 ? "a" : "b", TL_F32, 2, image, NULL);
		ck_assert_int_eq(ret, tl_test_fail_fired() ? -ENOMEM : 0);
		ck_assert_uint_eq(tl_item_count(item), ret < 0 ? i : i + 1);
		if (ret < 0)
			return;
	}
}

START_TEST(each_allocation_may_fail)
{
	tl_test_each_failure(make_item, NULL);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(an_item_is_a_record_of_tensors),
		TL_TEST(bad_tensors_are_refused),
		TL_TEST(a_tensor_may_stand_in_a_buffer),
		TL_TEST(a_tensor_may_stand_on_foreign_memory),
		TL_TEST(each_allocation_may_fail),
	};

	return TL_TEST_RUN("item", tests);
}
