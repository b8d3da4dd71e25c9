/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/generators.h"
#include "tests/process_children.h"
#include "tests/tl-check.h"

enum { LARGE = 1 << 18 };

/* What a generator knows of itself. */
struct scripted_state {
	struct script *script;
	int64_t next;
	int64_t added; /* by messages */
	int life;      /* from 1 on; more in a rerun */
};

/* Items */

struct tl_item *new_number(TALLOC_CTX *mem_ctx, int64_t number)
{
	struct tl_item *item = tl_item_new(mem_ctx, 2);
	const struct tl_tensor *tensor;

	if (item == NULL)
		return NULL;
	if (tl_item_add(item, "number", TL_I64, 0, NULL, &tensor) < 0) {
		talloc_free(item);
		return NULL;
	}
	*(int64_t *)tensor->data = number;
	return item;
}

static uint64_t size_of(const struct script *script, int64_t value)
{
	return script->larger > 0 && value % 3 == 0 ? script->larger : script->bytes;
}

static uint8_t pattern(int64_t number)
{
	return (uint8_t)(1 + number % 250);
}

/* Of large ones only the ends are written, as all of it takes its time: their checksums may differ. */
static int add_bytes(struct tl_item *item, uint64_t size, uint8_t byte)
{
	const struct tl_tensor *tensor;
	int ret = tl_item_add(item, "bytes", TL_U8, 1, &size, &tensor);
	uint8_t *bytes;

	if (ret < 0)
		return ret;
	bytes = tensor->data;
	if (size < LARGE)
		memset(bytes, byte, size);
	bytes[0] = bytes[size - 1] = byte;
	return 0;
}

int64_t check_number(const struct script *script, const struct tl_item *item)
{
	int64_t number = *(const int64_t *)tl_item_tensor(item, "number")->data;
	const struct tl_tensor *tensor = tl_item_tensor(item, "bytes");
	const uint8_t *bytes;

	if (script == NULL || script->bytes == 0)
		return number;
	ck_assert_ptr_nonnull(tensor);
	ck_assert_uint_eq(tensor->bytes, size_of(script, number));
	bytes = tensor->data;
	ck_assert_uint_eq(bytes[0], pattern(number));
	ck_assert_uint_eq(bytes[tensor->bytes - 1], pattern(number));
	return number;
}

/* The generator, in a worker */

static int obey(struct script *script, int64_t at, bool late, int call)
{
	for (unsigned int i = 0; i < SCRIPT_ORDERS; i++) {
		const struct order *order = &script->orders[i];
		int ret;

		if (!is_due(order, at, late, call))
			continue;
		ret = do_deed(order, &script->go_on);
		if (ret != 0 && order->deed == DO_FAIL && script->says != NULL)
			return tl_generator_fail(ret, "%s", script->says);
		if (ret != 0)
			return ret;
	}
	return 0;
}

static int scripted_open(void *state, void *data)
{
	struct scripted_state *own = state;

	own->script = data;
	own->script->tid = gettid();
	own->script->at = 0;
	own->life = ++own->script->opened;
	return obey(own->script, AT_OPEN, false, own->life);
}

static int make_value(struct scripted_state *own, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	const struct script *script = own->script;
	int64_t number = own->next + own->added;
	int ret;

	if (own->life > 1 && script->drifts_from > 0 && own->next >= script->drifts_from)
		number += 1000;
	*item = new_number(mem_ctx, number);
	if (*item == NULL)
		return -ENOMEM;
	ret = script->bytes > 0 ? add_bytes(*item, size_of(script, number), pattern(number)) : 0;
	if (ret < 0)
		TALLOC_FREE(*item);
	return ret;
}

static int make_end(const struct scripted_state *own, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	if (own->script->returns)
		*item = new_number(mem_ctx, own->next);
	return !own->script->returns || *item != NULL ? TL_END : -ENOMEM;
}

static bool makes_nothing(const struct script *script, int64_t at)
{
	for (unsigned int i = 0; i < SCRIPT_ORDERS; i++) {
		if (script->orders[i].deed == DO_NOTHING_MORE && script->orders[i].item == at)
			return true;
	}
	return false;
}

static int scripted_next(void *state, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	struct scripted_state *own = state;
	struct script *script = own->script;
	int64_t at = own->next;
	int times, ret;

	script->tid = gettid();
	script->begun++;
	times = at < SCRIPT_VALUES ? ++script->begun_at[at] : 1;
	ret = obey(script, at, false, times);
	if (ret != 0 || makes_nothing(script, at))
		return ret;
	if (at == script->count)
		return make_end(own, mem_ctx, item);
	if (script->nap > 0)
		usleep((useconds_t)script->nap);
	ret = make_value(own, mem_ctx, item);
	if (ret < 0)
		return ret;
	own->next++;
	ret = obey(script, at, true, times);
	script->made++;
	script->at = own->next;
	return ret;
}

static int scripted_send(void *state, struct tl_item *message)
{
	struct scripted_state *own = state;
	int talk = own->script->talks++;

	if (talk < SCRIPT_MESSAGES)
		own->script->heard_at[talk] = own->next;
	own->added += check_number(NULL, message);
	return obey(own->script, AT_SEND, false, talk + 1);
}

static void scripted_close(void *state)
{
	((struct scripted_state *)state)->script->closed++;
}

const struct tl_generator_ops scripted = {
	.size = sizeof(struct tl_generator_ops),
	.name = "scripted",
	.state_size = sizeof(struct scripted_state),
	.open = scripted_open,
	.next = scripted_next,
	.close = scripted_close,
};

const struct tl_generator_ops scripted_listener = {
	.size = sizeof(struct tl_generator_ops),
	.name = "listener",
	.state_size = sizeof(struct scripted_state),
	.open = scripted_open,
	.next = scripted_next,
	.on_send = scripted_send,
	.close = scripted_close,
};

/* Scripts */

struct script *new_scripts(unsigned int count)
{
	struct script *scripts = mmap(NULL, count * sizeof(*scripts), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(scripts != MAP_FAILED);
	for (unsigned int i = 0; i < count; i++)
		scripts[i].count = -1;
	return scripts;
}

struct script *new_script(int64_t count)
{
	struct script *script = new_scripts(1);

	script->count = count;
	return script;
}

void give_script(struct script *script, struct order order)
{
	for (unsigned int i = 0; i < SCRIPT_ORDERS; i++) {
		if (script->orders[i].deed == DO_NOTHING) {
			script->orders[i] = order;
			return;
		}
	}
	ck_abort_msg("no room for an order");
}

struct tl_stream_options options_of_kind(int i)
{
	struct tl_stream_options options = { TL_STREAM_OPTIONS_INIT,
					     .kind = (enum tl_workers_kind)(i % KINDS) };

	if (options.kind == TL_WORKERS_PROCESSES && !tl_test_has_processes())
		tl_test_skip("this kernel, or what watches the test, lacks what processes need");
	return options;
}

int note_script_start(unsigned int worker, void *starts)
{
	(void)worker;
	++*(_Atomic int *)starts;
	return 0;
}

/* Streams */

struct tl_stream *open_stream(const struct tl_generator_ops *ops, void *data,
			      const struct tl_stream_options *options)
{
	struct tl_error *error = NULL;
	struct tl_stream *stream = NULL;
	int ret = tl_stream_open(tl_test_root(), ops, data, options, &error, &stream);

	ck_assert_msg(ret == 0, "%d: %s", ret, ret != 0 ? tl_error_text(error) : "");
	return stream;
}

struct tl_stream *open_script(struct script *script, const struct tl_stream_options *options)
{
	return open_stream(&scripted, script, options);
}

void expect_value(struct tl_stream *stream, const struct script *script, int64_t value)
{
	TALLOC_CTX *scope = talloc_new(NULL);
	struct tl_item *item;
	int ret = tl_stream_next(stream, scope, &item);

	ck_assert_msg(ret == 0, "value %" PRId64 ": %d, %s", value, ret,
		      ret < 0 ? tl_error_message(tl_stream_error(stream)) : "the end");
	ck_assert_int_eq(check_number(script, item), value);
	ck_assert_ptr_eq(talloc_parent(item), scope);
	talloc_free(scope);
}

void expect_values(struct tl_stream *stream, const struct script *script, int64_t from, int64_t end)
{
	for (int64_t value = from; value < end; value++)
		expect_value(stream, script, value);
}

void expect_end(struct tl_stream *stream)
{
	struct tl_item *item;

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(tl_stream_next(stream, NULL, &item), TL_END);
		ck_assert_ptr_null(item);
	}
}

void expect_error(struct tl_stream *stream, int code, const char *message)
{
	struct tl_item *item;
	int ret = tl_stream_next(stream, NULL, &item);

	ck_assert_msg(ret == code, "%s instead of %s", code_name(ret), code_name(code));
	ck_assert_ptr_null(item);
	ck_assert_ptr_nonnull(tl_stream_error(stream));
	ck_assert_int_eq(tl_error_code(tl_stream_error(stream)), code);
	ck_assert_msg(strstr(tl_error_message(tl_stream_error(stream)), message) != NULL,
		      "'%s' is not in '%s'", message, tl_error_message(tl_stream_error(stream)));
	expect_end(stream);
}

void expect_closed(const struct script *script, const struct tl_stream_options *options)
{
	if (options->kind == TL_WORKERS_PROCESSES)
		ck_assert_int_le(script->closed, script->opened);
	else
		ck_assert_int_eq(script->closed, script->opened);
}

/* Texts */

const char *code_name(int code)
{
	static const struct {
		int code;
		const char *name;
	} names[] = {
		{ 0, "0" },
		{ TL_END, "end" },
		{ -EIO, "EIO" },
		{ -EDOM, "EDOM" },
		{ -EINVAL, "EINVAL" },
		{ -ENOMEM, "ENOMEM" },
		{ -ENOBUFS, "ENOBUFS" },
		{ -ENOTSUP, "ENOTSUP" },
		{ -ECANCELED, "ECANCELED" },
		{ -ETIMEDOUT, "ETIMEDOUT" },
		{ -EOWNERDEAD, "EOWNERDEAD" },
		{ -TL_EMISMATCH, "EMISMATCH" },
	};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].code == code)
			return names[i].name;
	}
	return tl_strerror(code);
}

int next_of_stream(void *stream, TALLOC_CTX *mem_ctx, struct tl_item **item)
{
	return tl_stream_next(stream, mem_ctx, item);
}

char *rest_of_script(TALLOC_CTX *mem_ctx, next_value_fn next, void *from,
		     const struct script *script, int64_t most)
{
	char *text = talloc_strdup(mem_ctx, "");
	TALLOC_CTX *scope = talloc_new(NULL);
	struct tl_item *item;
	int ret = 0;

	while (most > 0 && ret != TL_END) {
		ret = next(from, scope, &item);
		if (ret == 0)
			text = talloc_asprintf_append_buffer(text, "%" PRId64 " ",
							     check_number(script, item));
		else if (ret < 0)
			text = talloc_asprintf_append_buffer(text, "!%s ", code_name(ret));
		most -= ret == 0;
		talloc_free_children(scope);
	}
	text = talloc_strdup_append_buffer(text, ret == TL_END ? "end" : "...");
	ck_assert_ptr_nonnull(text);
	for (int i = 0; i < 2 && ret == TL_END; i++)
		ck_assert_int_eq(next(from, scope, &item), TL_END);
	talloc_free(scope);
	return text;
}

char *sequence(TALLOC_CTX *mem_ctx, int64_t count, const char *then)
{
	char *text = talloc_strdup(mem_ctx, "");

	for (int64_t i = 0; i < count; i++)
		text = talloc_asprintf_append_buffer(text, "%" PRId64 " ", i);
	text = talloc_strdup_append_buffer(text, then);
	ck_assert_ptr_nonnull(text);
	return text;
}

/* Waiting */

void await_steps(const struct script *script, int begun)
{
	while (script->begun < begun)
		sched_yield();
}

void await_values(const struct script *script, int made)
{
	while (script->made < made)
		sched_yield();
}

void await_parked(const struct script *script, int made)
{
	await_values(script, made);
	await_asleep(script->tid);
}
