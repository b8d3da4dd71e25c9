/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/* Generators of programs, as producers. */

#include <stdarg.h>
#include <stdio.h>

#include "tasks/streams/generator.h"

struct running {
	const struct tl_generator_ops *ops;
	void *state;
	bool closed;
};

/* What tl_generator_fail() has said in this thread. */
static _Thread_local struct {
	int code;
	char message[TL_ERROR_MESSAGE];
} said;

int tl_generator_fail(int code, const char *format, ...)
{
	va_list arguments;

	said.code = code;
	va_start(arguments, format);
	vsnprintf(said.message, sizeof(said.message), format, arguments);
	va_end(arguments);
	return code;
}

/* What a function has returned that is no success. */
static int note(TALLOC_CTX *mem_ctx, int ret, const char *function, struct tl_yield *yield)
{
	if (ret > 0) {
		tl_error_set(mem_ctx, &yield->error, -EINVAL, "%s() has returned %d", function,
			     ret);
		return -EINVAL;
	}
	tl_error_set(mem_ctx, &yield->error, ret, "%s",
		     said.code == ret ? said.message : tl_strerror(ret));
	/* That was said of this error, not of one that a generator around this one passes on. */
	said.code = 0;
	return ret;
}

static void close_once(struct running *running)
{
	if (!running->closed && running->ops->close != NULL)
		running->ops->close(running->state);
	running->closed = true;
}

static int generator_open(TALLOC_CTX *mem_ctx, void *data, void **state, struct tl_yield *yield)
{
	const struct tl_generator *generator = data;
	struct running *running = talloc_zero(mem_ctx, struct running);
	int ret = 0;

	if (running == NULL)
		return -ENOMEM;
	running->ops = generator->ops;
	running->state = talloc_zero_size(running, generator->ops->state_size);
	if (running->state == NULL)
		return -ENOMEM;
	talloc_set_name_const(running->state, generator->ops->name);
	said.code = 0;
	if (running->ops->open != NULL)
		ret = running->ops->open(running->state, generator->data);
	*state = running;
	return ret != 0 ? note(yield->mem_ctx, ret, "open", yield) : 0;
}

static void generator_next(void *state, TALLOC_CTX *mem_ctx, struct tl_yield *yield)
{
	struct running *running = state;
	struct tl_item *item = NULL;
	int ret;

	said.code = 0;
	ret = running->ops->next(running->state, mem_ctx, &item);
	if (ret == 0 && item == NULL) {
		tl_error_set(mem_ctx, &yield->error, -EINVAL, "next() has made no value");
		ret = -EINVAL;
	} else if (ret != 0 && ret != TL_END) {
		ret = note(mem_ctx, ret, "next", yield);
	}
	yield->ret = ret;
	yield->fatal = ret < 0;
	yield->item = ret >= 0 ? item : NULL;
	if (ret != 0)
		close_once(running);
}

static int generator_receive(void *state, struct tl_item *message, struct tl_yield *yield)
{
	struct running *running = state;
	int ret;

	said.code = 0;
	ret = running->ops->on_send(running->state, message);
	if (ret == 0)
		return 0;
	close_once(running);
	return note(yield->mem_ctx, ret, "on_send", yield);
}

static void generator_close(void *state)
{
	close_once(state);
}

const struct tl_producer_ops tl_generator_producer = {
	.name = "generator",
	.open = generator_open,
	.next = generator_next,
	.receive = generator_receive,
	.close = generator_close,
};
