/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Objects of items that go to workers and back: to threads as they are, to processes by handlers.
 * Item i has an object of a type that i tells, which is made, changed and checked by that number.
 */

#include <errno.h>
#include <string.h>

#include <tloop.h>

#include "tests/numbers.h"
#include "tests/tl-check.h"

enum {
	ITEMS = 30,
	LARGE = 100000,
	PARTS_MOST = 4,
	NAME = 64,
};

/* By whom, and whether the input is kept for another try. */
static const struct {
	enum tl_workers_kind kind;
	unsigned int workers, retries;
} crews[] = {
	{ TL_WORKERS_INLINE, 0, 0 },
	{ TL_WORKERS_THREADS, 2, 0 },
	{ TL_WORKERS_PROCESSES, 2, 0 },
	{ TL_WORKERS_PROCESSES, 2, 1 },
};

enum {
	CREWS = sizeof(crews) / sizeof(crews[0]),
	FIRST_OF_PROCESSES = 2,
};

static bool are_processes(int crew)
{
	return crews[crew].kind == TL_WORKERS_PROCESSES;
}

static void need(int crew)
{
	if (are_processes(crew) && !tl_test_has_processes())
		tl_test_skip("this kernel, or valgrind, lacks what processes need");
}

/* A type of the program's: two buffers, and a list */

struct part {
	struct part *next;
	char *name;
};

struct mesh {
	int64_t number;
	uint64_t places[2]; /* of the bytes, where it was made */
	struct tl_buffer *positions, *colours;
	struct part *parts;
};

static uint8_t pattern(uint64_t i, int64_t number)
{
	return (uint8_t)(i * 31 + i / 251 + (uint64_t)number);
}

static int fill_buffer(TALLOC_CTX *mem_ctx, uint64_t size, int64_t number,
		       struct tl_buffer **buffer)
{
	int ret = tl_buffer_new(mem_ctx, size, buffer);

	for (uint64_t i = 0; i < size && ret == 0; i++)
		((uint8_t *)tl_buffer_data(*buffer))[i] = pattern(i, number);
	return ret;
}

static bool is_filled(const struct tl_buffer *buffer, uint64_t size, int64_t number)
{
	const uint8_t *bytes = tl_buffer_data(buffer);
	uint64_t i = 0;

	while (i < size && bytes[i] == pattern(i, number))
		i++;
	return i == size && tl_buffer_size(buffer) == size;
}

/* As many as the number says. */
static int add_parts(struct mesh *mesh)
{
	for (int64_t i = mesh->number % PARTS_MOST; i >= 0; i--) {
		struct part *part = talloc_zero(mesh, struct part);

		if (part == NULL)
			return -ENOMEM;
		part->name = talloc_asprintf(part, "part %d of %d", (int)i, (int)mesh->number);
		if (part->name == NULL)
			return -ENOMEM;
		part->next = mesh->parts;
		mesh->parts = part;
	}
	return 0;
}

static struct mesh *new_mesh(TALLOC_CTX *mem_ctx, int64_t number)
{
	struct mesh *mesh = talloc_zero(mem_ctx, struct mesh);
	int ret = mesh != NULL ? 0 : -ENOMEM;

	if (ret == 0) {
		mesh->number = number;
		ret = fill_buffer(mesh, LARGE, number, &mesh->positions);
	}
	if (ret == 0)
		ret = fill_buffer(mesh, LARGE / 2, number + 1, &mesh->colours);
	if (ret == 0)
		ret = add_parts(mesh);
	if (ret < 0) {
		talloc_free(mesh);
		return NULL;
	}
	mesh->places[0] = (uint64_t)(uintptr_t)tl_buffer_data(mesh->positions);
	mesh->places[1] = (uint64_t)(uintptr_t)tl_buffer_data(mesh->colours);
	return mesh;
}

static bool is_mesh(const struct mesh *mesh, int64_t number)
{
	const struct part *part = mesh->parts;
	char name[NAME];

	for (int64_t i = 0; i <= number % PARTS_MOST; i++, part = part->next) {
		snprintf(name, sizeof(name), "part %d of %d", (int)i, (int)number);
		if (part == NULL || strcmp(part->name, name) != 0)
			return false;
	}
	return part == NULL && mesh->number == number &&
	       is_filled(mesh->positions, LARGE, number) &&
	       is_filled(mesh->colours, LARGE / 2, number + 1);
}

static int pack_mesh(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	const struct mesh *mesh = object;
	int ret = tl_pack(to, &mesh->number, sizeof(mesh->number));
	uint8_t length;

	(void)handler;
	if (ret == 0)
		ret = tl_pack(to, mesh->places, sizeof(mesh->places));
	if (ret == 0)
		ret = tl_pack_buffer(to, mesh->positions);
	for (const struct part *part = mesh->parts; part != NULL && ret == 0; part = part->next) {
		length = (uint8_t)strlen(part->name);
		ret = tl_pack(to, &length, sizeof(length));
		if (ret == 0)
			ret = tl_pack(to, part->name, length);
	}
	length = 0;
	if (ret == 0)
		ret = tl_pack(to, &length, sizeof(length));
	return ret == 0 ? tl_pack_buffer(to, mesh->colours) : ret;
}

/* TL_END behind the last one. */
static int unpack_part(struct mesh *mesh, struct tl_unpacker *from, struct part **part)
{
	char name[UINT8_MAX + 1] = "";
	uint8_t length;
	int ret = tl_unpack(from, &length, sizeof(length));

	if (ret == 0)
		ret = length > 0 ? tl_unpack(from, name, length) : TL_END;
	if (ret != 0)
		return ret;
	*part = talloc_zero(mesh, struct part);
	if (*part == NULL)
		return -ENOMEM;
	(*part)->name = talloc_strdup(*part, name);
	return (*part)->name != NULL ? 0 : -ENOMEM;
}

static int unpack_mesh(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
		       struct tl_unpacker *from, void **object)
{
	struct mesh *mesh = talloc_zero(mem_ctx, struct mesh);
	struct part **next;
	int ret;

	(void)handler;
	if (mesh == NULL)
		return -ENOMEM;
	next = &mesh->parts;
	ret = tl_unpack(from, &mesh->number, sizeof(mesh->number));
	if (ret == 0)
		ret = tl_unpack(from, mesh->places, sizeof(mesh->places));
	if (ret == 0)
		ret = tl_unpack_buffer(from, mesh, &mesh->positions);
	while (ret == 0) {
		ret = unpack_part(mesh, from, next);
		if (ret == 0)
			next = &(*next)->next;
	}
	if (ret == TL_END)
		ret = tl_unpack_buffer(from, mesh, &mesh->colours);
	if (ret < 0) {
		talloc_free(mesh);
		return ret;
	}
	*object = mesh;
	return 0;
}

static const struct tl_handler mesh_handler = {
	.size = sizeof(struct tl_handler),
	.name = "struct mesh",
	.pack = pack_mesh,
	.unpack = unpack_mesh,
};

/* Objects of each type */

struct flat {
	int64_t number;
	double half;
};

static const struct tl_handler flat_handler = TL_FLAT_HANDLER(struct flat);

enum { MESH, STRING, FLAT, NOTHING, TYPES };

static const struct tl_handler *const handlers[] = {
	[MESH] = &mesh_handler,
	[STRING] = &tl_string_handler,
	[FLAT] = &flat_handler,
	[NOTHING] = NULL,
};

static const struct tl_handler *const all_but_meshes[] = { &flat_handler, &tl_string_handler,
							   NULL };

static char *string_of(TALLOC_CTX *mem_ctx, int64_t number)
{
	return talloc_asprintf(mem_ctx, "the number is %d", (int)number);
}

static void *new_object(TALLOC_CTX *mem_ctx, int64_t number)
{
	struct flat *flat;

	if (number % TYPES == MESH)
		return new_mesh(mem_ctx, number);
	if (number % TYPES == STRING)
		return string_of(mem_ctx, number);
	flat = talloc(mem_ctx, struct flat);
	if (flat != NULL)
		*flat = (struct flat){ number, (double)number / 2 };
	return flat;
}

static bool is_object(const void *object, int64_t number)
{
	const struct flat *flat = object;
	char text[NAME];

	if (number % TYPES == MESH)
		return is_mesh(object, number);
	if (number % TYPES == FLAT)
		return flat->number == number && flat->half == (double)number / 2;
	snprintf(text, sizeof(text), "the number is %d", (int)number);
	return strcmp(object, text) == 0;
}

/* An item of every fourth number has none. */
static int attach_number(struct tl_item *item, int64_t number)
{
	void *object;

	if (number % TYPES == NOTHING)
		return 0;
	object = new_object(item, number);
	if (object == NULL)
		return -ENOMEM;
	return tl_item_set_object(item, handlers[number % TYPES], object);
}

static int attach(struct tl_item *item, void *data)
{
	(void)data;
	return attach_number(item, value_of(item));
}

/* Whether its object is that of a number. */
static bool has_object(const struct tl_item *item, int64_t number)
{
	for (int64_t type = 0; type < NOTHING; type++) {
		const void *object = tl_item_object(item, handlers[type]);

		if (type != number % TYPES && object != NULL)
			return false;
		if (type == number % TYPES &&
		    (object == NULL || !is_object(object, number) || talloc_parent(object) != item))
			return false;
	}
	return true;
}

/* Streams */

static struct tl_parallel_options options_of(int crew)
{
	return (struct tl_parallel_options){
		TL_PARALLEL_OPTIONS_INIT,
		.kind = crews[crew].kind,
		.workers = crews[crew].workers,
		.retries = crews[crew].retries,
		.window = 5,
		.handlers = are_processes(crew) ? handlers : NULL,
	};
}

static struct tl_iter *open(TALLOC_CTX *mem_ctx, const struct tl_dataset *ds)
{
	struct tl_error *error = NULL;
	struct tl_iter *it = NULL;

	ck_assert_msg(tl_iter_open(mem_ctx, ds, &error, &it) == 0, "%s", tl_error_text(error));
	return it;
}

static struct tl_item *next_item(struct tl_iter *it)
{
	struct tl_item *item;

	ck_assert_msg(tl_iter_next(it, it, &item) == 0, "%s", tl_error_message(tl_iter_error(it)));
	return item;
}

/* The next one is this error, which is not fatal. */
static void expect_error(struct tl_iter *it, int code, const char *text)
{
	struct tl_item *item;

	ck_assert_int_eq(tl_iter_next(it, it, &item), code);
	ck_assert(!tl_iter_error_is_fatal(it));
	ck_assert_str_eq(tl_error_message(tl_iter_error(it)), text);
}

static void expect_end(struct tl_iter *it)
{
	struct tl_item *item;

	ck_assert_int_eq(tl_iter_next(it, it, &item), TL_END);
	talloc_free(it);
}

static int make_object(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	*out = in;
	return attach(in, data);
}

START_TEST(objects_come_back_from_workers)
{
	const struct tl_parallel_options options = options_of(_i);
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it;

	need(_i);
	it = open(root, tl_dataset_parallel_map(tl_dataset_range(root, 0, ITEMS, 1), make_object,
						NULL, &options));
	for (int64_t i = 0; i < ITEMS; i++) {
		struct tl_item *item = next_item(it);
		const struct mesh *mesh = tl_item_object(item, &mesh_handler);

		ck_assert(has_object(item, i));
		ck_assert_int_eq(mesh != NULL, i % TYPES == MESH);
		/* No byte of it was copied. */
		if (mesh != NULL) {
			ck_assert_uint_eq((uintptr_t)tl_buffer_data(mesh->positions),
					  mesh->places[0]);
			ck_assert_uint_eq((uintptr_t)tl_buffer_data(mesh->colours),
					  mesh->places[1]);
		}
		talloc_free(item);
	}
	expect_end(it);
	talloc_free(root);
}
END_TEST

/* To what the next number has, in place. */
static int change_mesh(struct mesh *mesh)
{
	uint8_t *positions = tl_buffer_data(mesh->positions), *colours;

	colours = tl_buffer_data(mesh->colours);
	mesh->number += TYPES;
	for (uint64_t i = 0; i < LARGE; i++)
		positions[i] += TYPES;
	for (uint64_t i = 0; i < LARGE / 2; i++)
		colours[i] += TYPES;
	while (mesh->parts != NULL) {
		struct part *part = mesh->parts;

		mesh->parts = part->next;
		talloc_free(part);
	}
	return add_parts(mesh);
}

static int change_string(struct tl_item *item)
{
	int64_t number = value_of(item) + TYPES;

	talloc_free(tl_item_take_object(NULL, item, &tl_string_handler));
	return attach_number(item, number);
}

static int change_object(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	struct mesh *mesh = tl_item_object(in, &mesh_handler);
	struct flat *flat = tl_item_object(in, &flat_handler);
	int64_t number = value_of(in);

	(void)mem_ctx;
	(void)data;
	if (!has_object(in, number))
		return -EBADMSG;
	*out = in;
	if (flat != NULL)
		*flat = (struct flat){ number + TYPES, (double)(number + TYPES) / 2 };
	if (tl_item_object(in, &tl_string_handler) != NULL)
		return change_string(in);
	return mesh != NULL ? change_mesh(mesh) : 0;
}

START_TEST(objects_go_to_workers_are_changed_and_come_back)
{
	const struct tl_parallel_options options = options_of(_i);
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds;
	struct tl_iter *it;

	need(_i);
	ds = tl_dataset_map_inplace(tl_dataset_range(root, 0, ITEMS, 1), attach, NULL);
	it = open(root, tl_dataset_parallel_map(ds, change_object, NULL, &options));
	for (int64_t i = 0; i < ITEMS; i++) {
		struct tl_item *item = next_item(it);

		ck_assert_int_eq(value_of(item), i);
		ck_assert(has_object(item, i + (i % TYPES == NOTHING ? 0 : TYPES)));
		talloc_free(item);
	}
	expect_end(it);
	talloc_free(root);
}
END_TEST

/* Of number i, i % 4 items, with objects of other numbers. */
static int make_some(TALLOC_CTX *mem_ctx, const struct tl_item *in, uint64_t *state,
		     struct tl_item **out, void *data)
{
	int64_t number = value_of(in);

	(void)data;
	if (*state == (uint64_t)number % 4)
		return TL_END;
	*out = tl_item_new(mem_ctx, 0);
	if (*out == NULL)
		return -ENOMEM;
	return attach_number(*out, number + (int64_t)(*state)++);
}

START_TEST(lists_of_items_have_objects)
{
	const struct tl_parallel_options options = options_of(_i);
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it;

	need(_i);
	it = open(root, tl_dataset_parallel_flat_map(tl_dataset_range(root, 0, ITEMS, 1), make_some,
						     NULL, 0, &options));
	for (int64_t i = 0; i < ITEMS; i++) {
		for (int64_t k = 0; k < i % 4; k++) {
			struct tl_item *item = next_item(it);

			ck_assert(has_object(item, i + k));
			talloc_free(item);
		}
	}
	expect_end(it);
	talloc_free(root);
}
END_TEST

/* Objects of items in objects of items */

static int pack_inner(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	(void)handler;
	return tl_item_handler.pack(&tl_item_handler, object, to);
}

static int unpack_inner(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
			struct tl_unpacker *from, void **object)
{
	(void)handler;
	return tl_item_handler.unpack(&tl_item_handler, mem_ctx, from, object);
}

static const struct tl_handler inner_handler = {
	.size = sizeof(struct tl_handler),
	.name = "an item in an item",
	.pack = pack_inner,
	.unpack = unpack_inner,
};

/* Items in items, so many as the value, and in the last a mesh. */
static int nest(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	struct tl_item *item = in;

	(void)mem_ctx;
	(void)data;
	for (int64_t i = 0; i < value_of(in); i++) {
		struct tl_item *inner = tl_item_new(item, 0);

		if (inner == NULL || tl_item_set_object(item, &inner_handler, inner) < 0)
			return -ENOMEM;
		item = inner;
	}
	*out = in;
	return attach_number(item, 0);
}

START_TEST(objects_of_items_in_objects_cross)
{
	static const struct tl_handler *const own[] = { &inner_handler, &mesh_handler, NULL };
	struct tl_parallel_options options = options_of(FIRST_OF_PROCESSES);
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it;

	need(FIRST_OF_PROCESSES);
	options.handlers = own;
	it = open(root,
		  tl_dataset_parallel_map(tl_dataset_range(root, 0, 40, 1), nest, NULL, &options));
	for (int64_t i = 0; i < 40; i++) {
		struct tl_item *item;
		const struct tl_item *inner;

		if (i >= 32) {
			ck_assert_int_eq(tl_iter_next(it, it, &item), -EMSGSIZE);
			continue;
		}
		item = next_item(it);
		inner = item;
		for (int64_t k = 0; k < i; k++)
			inner = tl_item_object(inner, &inner_handler);
		ck_assert(has_object(inner, 0));
		talloc_free(item);
	}
	expect_end(it);
	talloc_free(root);
}
END_TEST

/* What does not cross */

static struct tl_iter *open_without_meshes(TALLOC_CTX *mem_ctx, int crew, bool as_input)
{
	struct tl_dataset *ds = tl_dataset_range(mem_ctx, 0, TYPES, 1);
	struct tl_parallel_options options = options_of(crew);

	options.handlers = all_but_meshes;
	if (!as_input)
		return open(mem_ctx, tl_dataset_parallel_map(ds, make_object, NULL, &options));
	ds = tl_dataset_map_inplace(ds, attach, NULL);
	return open(mem_ctx, tl_dataset_parallel_map(ds, change_object, NULL, &options));
}

static void expect_rest(struct tl_iter *it, bool changed)
{
	for (int64_t i = 1; i < TYPES; i++) {
		struct tl_item *item = next_item(it);

		ck_assert(has_object(item, changed && i != NOTHING ? i + TYPES : i));
		talloc_free(item);
	}
	expect_end(it);
}

START_TEST(an_object_of_an_unknown_type_is_an_error_in_its_place)
{
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_iter *it;

	need(_i);
	it = open_without_meshes(root, _i, false);
	if (are_processes(_i))
		expect_error(it, -ENOTSUP,
			     "stage 2 (parallel_map): item 0: what was made of it can't be sent "
			     "back: objects of type struct mesh cross to no process: put their "
			     "handler into .handlers");
	else
		talloc_free(next_item(it));
	expect_rest(it, false);
	it = open_without_meshes(root, _i, true);
	if (are_processes(_i))
		expect_error(it, -ENOTSUP,
			     "stage 3 (parallel_map): item 0 can't be sent to a process: objects "
			     "of type struct mesh cross to no process: put their handler into "
			     ".handlers");
	else
		talloc_free(next_item(it));
	expect_rest(it, true);
	talloc_free(root);
}
END_TEST

/* Without a list there are none. */
START_TEST(without_handlers_no_object_crosses)
{
	struct tl_parallel_options options = options_of(FIRST_OF_PROCESSES);
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_item *item;
	struct tl_iter *it;

	need(FIRST_OF_PROCESSES);
	options.handlers = NULL;
	it = open(root, tl_dataset_parallel_map(tl_dataset_range(root, 0, ITEMS, 1), make_object,
						NULL, &options));
	for (int64_t i = 0; i < ITEMS; i++) {
		ck_assert_int_eq(tl_iter_next(it, it, &item), i % TYPES == NOTHING ? 0 : -ENOTSUP);
		talloc_free(item);
	}
	expect_end(it);
	talloc_free(root);
}
END_TEST

static int make_named(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	*out = in;
	return tl_item_set_object(in, data, new_object(in, FLAT));
}

/* A name is cut to what there is room for. */
START_TEST(a_type_may_have_a_long_name)
{
	static const char name[] =
		"a name of a hundred bytes or more is of no use to anybody, but it "
		"must not be written to where there is no room for all of it";
	struct tl_handler *own = talloc_memdup(tl_test_root(), &flat_handler, sizeof(*own));
	struct tl_parallel_options options = options_of(FIRST_OF_PROCESSES);
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, FLAT, FLAT + 1, 1);
	struct tl_item *item;
	struct tl_iter *it;
	char *text;

	need(FIRST_OF_PROCESSES);
	own->name = name;
	options.handlers = NULL;
	it = open(root, tl_dataset_parallel_map(ds, make_named, own, &options));
	text = talloc_asprintf(root, "type %.63s cross to no process", name);
	ck_assert_int_eq(tl_iter_next(it, it, &item), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(tl_error_message(tl_iter_error(it)), text));
	expect_end(it);
	talloc_free(root);
	talloc_free(own);
}
END_TEST

/* Handlers that do it wrong */

enum wrong {
	RIGHT,
	FAILS_TO_PACK,
	PACKS_TO_NO_END,
	PACKS_NOTHING,
	FAILS_TO_UNPACK,
	UNPACKS_TO_NO_END,
	UNPACKS_NOTHING,
	UNPACKS_TOO_MUCH,
	LEAVES_SOMETHING,
	WRONGS
};

static const int wrong_codes[WRONGS] = {
	[FAILS_TO_PACK] = -EDOM,           [PACKS_TO_NO_END] = -EINVAL,
	[PACKS_NOTHING] = -TL_ECORRUPT,    [FAILS_TO_UNPACK] = -EDOM,
	[UNPACKS_TO_NO_END] = -EINVAL,     [UNPACKS_NOTHING] = -EINVAL,
	[UNPACKS_TOO_MUCH] = -TL_ECORRUPT, [LEAVES_SOMETHING] = -ERANGE,
};

static int pack_wrong(const struct tl_handler *handler, const void *object, struct tl_packer *to)
{
	const struct mesh *mesh = object;
	int ret = 0;

	(void)handler;
	if (mesh->number != PACKS_NOTHING) {
		ret = tl_pack(to, &mesh->number, sizeof(mesh->number));
		if (ret == 0)
			ret = tl_pack_buffer(to, mesh->positions);
	}
	if (ret == 0 && mesh->number == FAILS_TO_PACK)
		return -EDOM;
	return ret == 0 && mesh->number == PACKS_TO_NO_END ? 1 : ret;
}

static int unpack_wrong(const struct tl_handler *handler, TALLOC_CTX *mem_ctx,
			struct tl_unpacker *from, void **object)
{
	struct mesh *mesh = talloc_zero(mem_ctx, struct mesh);
	int ret = mesh != NULL ? tl_unpack(from, &mesh->number, sizeof(mesh->number)) : -ENOMEM;

	(void)handler;
	if (ret == 0)
		ret = tl_unpack_buffer(from, mesh, &mesh->positions);
	if (ret == 0 && mesh->number == LEAVES_SOMETHING)
		return -ERANGE;
	if (ret == 0 && mesh->number == FAILS_TO_UNPACK)
		ret = -EDOM;
	if (ret == 0 && mesh->number == UNPACKS_TO_NO_END)
		ret = 1;
	if (ret == 0 && mesh->number == UNPACKS_TOO_MUCH)
		ret = tl_unpack_buffer(from, mesh, &mesh->colours);
	if (ret == 0 && mesh->number != UNPACKS_NOTHING)
		*object = mesh;
	else
		talloc_free(mesh);
	return ret;
}

static const struct tl_handler wrong_handler = {
	.size = sizeof(struct tl_handler),
	.name = "wrong",
	.pack = pack_wrong,
	.unpack = unpack_wrong,
};

static const struct tl_handler *const wrong_handlers[] = { &wrong_handler, NULL };

static int attach_wrong(struct tl_item *item, void *data)
{
	struct mesh *mesh = new_mesh(item, value_of(item) % WRONGS);

	(void)data;
	return mesh != NULL ? tl_item_set_object(item, &wrong_handler, mesh) : -ENOMEM;
}

static int make_wrong(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	*out = in;
	return attach_wrong(in, data);
}

static int look_at_wrong(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	(void)mem_ctx;
	(void)data;
	*out = in;
	return tl_item_object(in, &wrong_handler) != NULL ? 0 : -EBADMSG;
}

/* With _i % 2: whether they are the input. Each item is right or an error, in its place. */
START_TEST(wrong_handlers_do_no_harm)
{
	struct tl_parallel_options options = options_of(FIRST_OF_PROCESSES + _i / 2);
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_dataset *ds = tl_dataset_range(root, 0, 5 * WRONGS, 1);
	struct tl_item *item;
	struct tl_iter *it;

	need(FIRST_OF_PROCESSES);
	options.handlers = wrong_handlers;
	if (_i % 2 == 0)
		ds = tl_dataset_parallel_map(ds, make_wrong, NULL, &options);
	else
		ds = tl_dataset_parallel_map(tl_dataset_map_inplace(ds, attach_wrong, NULL),
					     look_at_wrong, NULL, &options);
	it = open(root, ds);
	for (int64_t i = 0; i < 5 * WRONGS; i++) {
		ck_assert_int_eq(tl_iter_next(it, it, &item), wrong_codes[i % WRONGS]);
		if (i % WRONGS == RIGHT)
			ck_assert(is_filled(
				((struct mesh *)tl_item_object(item, &wrong_handler))->positions,
				LARGE, RIGHT));
		talloc_free(item);
	}
	expect_end(it);
	talloc_free(root);
}
END_TEST

START_TEST(a_handler_that_lacks_something_is_a_mistake)
{
	struct tl_handler faulty = mesh_handler;
	const struct tl_handler *const own[] = { &flat_handler, &faulty, NULL };
	struct tl_parallel_options options = options_of(_i);
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_error *error = NULL;
	struct tl_dataset *ds;
	struct tl_iter *it;

	faulty.pack = NULL;
	options.handlers = own;
	ds = tl_dataset_parallel_map(tl_dataset_range(root, 0, 4, 1), make_object, NULL, &options);
	ck_assert_int_eq(tl_iter_open(root, ds, &error, &it), -EINVAL);
	ck_assert_str_eq(tl_error_message(error),
			 "stage 2 (parallel_map): handler 2 can't be used: it has neither both "
			 "functions nor a flat size");
	talloc_free(root);
}
END_TEST

/* Memory */

static int make_mesh(TALLOC_CTX *mem_ctx, struct tl_item *in, struct tl_item **out, void *data)
{
	struct mesh *mesh = new_mesh(in, 0);

	(void)mem_ctx;
	(void)data;
	*out = in;
	return mesh != NULL ? tl_item_set_object(in, &mesh_handler, mesh) : -ENOMEM;
}

/* Those of objects are bytes on the way, too. */
START_TEST(the_budget_holds_for_objects)
{
	const struct tl_parallel_options options = {
		TL_PARALLEL_OPTIONS_INIT,
		.workers = 2,
		.window = 20,
		.window_bytes = 3 * LARGE,
	};
	TALLOC_CTX *root = talloc_new(tl_test_root());
	struct tl_buffer_stats stats;
	struct tl_iter *it;

	tl_buffer_reset_peak();
	it = open(root, tl_dataset_parallel_map(tl_dataset_range(root, 0, 200, 1), make_mesh, NULL,
						&options));
	for (int64_t i = 0; i < 200; i++)
		talloc_free(next_item(it));
	expect_end(it);
	tl_buffer_stats(&stats);
	/* The budget, an item on the way, and one that the consumer has; some numbers with each. */
	ck_assert_uint_le(stats.peak_live_bytes, 3 * LARGE + 2 * (LARGE + LARGE / 2) + 200 * 8);
	talloc_free(root);
}
END_TEST

START_TEST(who_holds_objects_is_told)
{
	struct tl_parallel_options options = options_of(FIRST_OF_PROCESSES);
	TALLOC_CTX *root = talloc_new(tl_test_root());
	TALLOC_CTX *list = talloc_named_const(root, 0, "my meshes");
	struct tl_item *held[2], *item;
	struct tl_iter *it;
	const char *text;

	need(FIRST_OF_PROCESSES);
	options.max_held = 2 * LARGE;
	it = open(root, tl_dataset_parallel_map(tl_dataset_range(root, 0, 3, 1), make_mesh, NULL,
						&options));
	ck_assert_int_eq(tl_iter_next(it, list, &held[0]), 0);
	ck_assert_int_eq(tl_iter_next(it, list, &held[1]), 0);
	ck_assert_int_eq(tl_iter_next(it, list, &item), -ENOBUFS);
	text = tl_error_message(tl_iter_error(it));
	ck_assert_msg(strstr(text, "made on: my meshes (4)") != NULL, "%s", text);
	talloc_free(held[0]);
	ck_assert_int_eq(tl_iter_next(it, list, &item), 0);
	expect_end(it);
	ck_assert(is_mesh(tl_item_object(item, &mesh_handler), 0)); /* it outlives the iterator */
	talloc_free(root);
}
END_TEST

/* For a stage behind that keeps items: all that is beyond is in memory of the program's own. */
START_TEST(objects_are_copied_out_of_shared_memory)
{
	struct tl_parallel_options options = options_of(FIRST_OF_PROCESSES);
	TALLOC_CTX *root = talloc_new(tl_test_root());
	int64_t copied = 0, left = 0;
	struct tl_dataset *ds;
	struct tl_iter *it;

	need(FIRST_OF_PROCESSES);
	options.max_held = 2 * LARGE; /* two meshes are more */
	ds = tl_dataset_parallel_map(tl_dataset_range(root, 0, ITEMS, 1), make_mesh, NULL,
				     &options);
	it = open(root, tl_dataset_shuffle_buffer(ds, ITEMS, 1));
	for (int64_t i = 0; i < ITEMS; i++) {
		struct tl_item *item = next_item(it);
		const struct mesh *mesh = tl_item_object(item, &mesh_handler);
		uint64_t place = (uintptr_t)tl_buffer_data(mesh->positions);

		ck_assert(is_mesh(mesh, 0));
		copied += place != mesh->places[0];
		left += place == mesh->places[0];
		talloc_free(item);
	}
	ck_assert_int_eq(left, 2);
	ck_assert_int_eq(copied, ITEMS - 2);
	expect_end(it);
	talloc_free(root);
}
END_TEST

static int never_fail(unsigned int worker, void *data)
{
	(void)worker;
	(void)data;
	tl_test_fail_off();
	return 0;
}

static void walk_without_memory(TALLOC_CTX *root, void *arg)
{
	struct tl_parallel_options options = options_of(*(const int *)arg);
	struct tl_dataset *ds;
	struct tl_item *item;
	struct tl_iter *it;
	int ret;

	options.on_worker_start = never_fail;
	ds = tl_dataset_map_inplace(tl_dataset_range(root, 0, 5, 1), attach, NULL);
	ret = tl_iter_open(root, tl_dataset_parallel_map(ds, change_object, NULL, &options), NULL,
			   &it);
	if (ret < 0) {
		ck_assert(tl_test_fail_fired());
		ck_assert_int_eq(ret, -ENOMEM);
		return;
	}
	for (int64_t i = 0; i < 5; i++) {
		ret = tl_iter_next(it, root, &item);
		if (ret == 0)
			ck_assert(has_object(item, i + (i % TYPES == NOTHING ? 0 : TYPES)));
		else
			ck_assert(ret == -ENOMEM && tl_test_fail_fired());
	}
	talloc_free(it);
}

START_TEST(memory_of_the_program_may_run_out)
{
	int crew = _i;

	need(_i);
	tl_test_each_failure(walk_without_memory, &crew);
}
END_TEST

static int fail_once(unsigned int worker, void *data)
{
	(void)worker;
	tl_test_fail_at(*(const uint64_t *)data);
	return 0;
}

/* Each allocation of a process, one after the other: its item is an error, all others are right. */
START_TEST(memory_of_a_worker_may_run_out)
{
	struct tl_parallel_options options = options_of(FIRST_OF_PROCESSES + _i);
	int64_t bad = 1;

	need(FIRST_OF_PROCESSES);
	if (!tl_test_alloc_in_use())
		tl_test_skip("allocations can't be failed here");
	options.workers = 1;
	options.on_worker_start = fail_once;
	for (uint64_t n = 1; bad > 0; n++) {
		TALLOC_CTX *root = talloc_new(tl_test_root());
		struct tl_dataset *ds;
		struct tl_item *item;
		struct tl_iter *it;

		options.worker_data = &n;
		ds = tl_dataset_map_inplace(tl_dataset_range(root, 0, 5, 1), attach, NULL);
		it = open(root, tl_dataset_parallel_map(ds, change_object, NULL, &options));
		bad = 0;
		for (int64_t i = 0; i < 5; i++) {
			int ret = tl_iter_next(it, root, &item);

			ck_assert(ret == 0 || ret == -ENOMEM);
			if (ret == 0)
				ck_assert(has_object(item, i + (i % TYPES == NOTHING ? 0 : TYPES)));
			bad += ret < 0;
		}
		ck_assert_int_le(bad, 1);
		ck_assert(bad > 0 || n > 20);
		expect_end(it);
		talloc_free(root);
	}
}
END_TEST

int main(void)
{
	const struct tl_test tests[] = {
		TL_TEST(objects_come_back_from_workers, .end = CREWS),
		TL_TEST(objects_go_to_workers_are_changed_and_come_back, .end = CREWS),
		TL_TEST(lists_of_items_have_objects, .end = CREWS),
		TL_TEST(objects_of_items_in_objects_cross),
		TL_TEST(an_object_of_an_unknown_type_is_an_error_in_its_place, .end = CREWS),
		TL_TEST(without_handlers_no_object_crosses),
		TL_TEST(a_type_may_have_a_long_name),
		TL_TEST(wrong_handlers_do_no_harm, .end = 4),
		TL_TEST(a_handler_that_lacks_something_is_a_mistake, .end = CREWS),
		TL_TEST(the_budget_holds_for_objects),
		TL_TEST(who_holds_objects_is_told),
		TL_TEST(objects_are_copied_out_of_shared_memory),
		TL_TEST(memory_of_the_program_may_run_out, .end = CREWS, .seconds = 60),
		TL_TEST(memory_of_a_worker_may_run_out, .end = 2, .seconds = 60),
	};

	return TL_TEST_RUN("handler", tests);
}
