/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* How a snapshot finds keys that were chosen to have the same hash: with the source itself. */

#include "tests/tl-check.h"

/* gcc 12 inlines it all into the tests, and then warns of an offset of 2^61 that it made up. */
#pragma GCC diagnostic ignored "-Warray-bounds"

#include "state/error.c"
#include "state/snapshot.c"

static const uint64_t the_hash = 0x0123456789abcdef;

static void add(struct tl_snapshot *group, const char *key)
{
	struct tl_entry **slot = slot_of(group, key, the_hash);
	struct tl_entry *entry = new_entry(group, key, 0);

	ck_assert_ptr_null(*slot);
	ck_assert_ptr_nonnull(entry);
	entry->hash = the_hash;
	link_entry(group, slot, entry);
}

static void check_all_found(struct tl_snapshot *group)
{
	for (struct tl_entry *entry = group->first; entry != NULL; entry = entry->next)
		ck_assert_ptr_eq(*slot_of(group, entry->key, the_hash), entry);
}

static unsigned depth_of(const struct tl_entry *entry)
{
	unsigned deepest = 0;

	if (entry == NULL)
		return 0;
	for (int i = 0; i < 4; i++) {
		unsigned depth = depth_of(entry->branches[i]);

		deepest = depth > deepest ? depth : deepest;
	}
	return deepest + 1;
}

START_TEST(keys_of_one_hash_are_told_apart)
{
	struct tl_snapshot *root = tl_snapshot_new(tl_test_root());
	char key[24];

	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		add(root, key);
	}
	check_all_found(root);
	ck_assert_ptr_null(*slot_of(root, "key 5000", the_hash));
	ck_assert_ptr_null(*slot_of(root, "key", the_hash));
	/* 32 levels of the hash, then those of the keys' own bits */
	ck_assert_uint_le(depth_of(root->tree), 32 + 4 * sizeof("key 4999"));
	talloc_free(root);
}
END_TEST

/* Each is the beginning of the next: the search must not read beyond a key's terminator. */
START_TEST(beginnings_of_one_hash_are_told_apart)
{
	struct tl_snapshot *root = tl_snapshot_new(tl_test_root());

	for (size_t length = TL_SNAPSHOT_KEY; length > 0; length--) {
		char *key = talloc_zero_array(tl_test_root(), char, length + 1);

		memset(key, 'k', length);
		add(root, key);
		talloc_free(key);
	}
	check_all_found(root);
	talloc_free(root);
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(keys_of_one_hash_are_told_apart),
		TL_TEST(beginnings_of_one_hash_are_told_apart),
	};

	return TL_TEST_RUN("snapshot_tree", tests);
}
