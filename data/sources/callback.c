/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * A program's own source. Nothing that its functions return is trusted: what breaks the contract is
 * a fatal error that says what it was.
 */

#include "data/internal.h"

struct callback {
	char *name;
	struct tl_callback_ops ops;
	void *data;
	uint64_t length; /* UINT64_MAX: not known */
};

/* What the program's state is allocated on. Its destructor runs before that memory goes. */
struct session {
	void (*close)(void *state);
	void *state;
};

struct callback_cursor {
	uint64_t position; /* how many items were taken, with errors */
	struct session *session;
};

static const struct tl_field callback_fields[] = {
	TL_FIELD(struct callback_cursor, position, TL_U64),
	TL_FIELD_END,
};

static int session_destructor(struct session *session)
{
	if (session->close != NULL)
		session->close(session->state);
	return 0;
}

static int callback_copy(void *config)
{
	struct callback *callback = config;

	callback->name = talloc_strdup(callback, callback->name);
	return callback->name != NULL ? 0 : -ENOMEM;
}

static char *callback_describe(char *text, const void *config)
{
	const struct callback *callback = config;

	if (callback->name[0] == '\0')
		return text;
	return talloc_asprintf_append_buffer(text, "(%s)", callback->name);
}

static int callback_length(const void *config, uint64_t *length)
{
	const struct callback *callback = config;

	*length = callback->length;
	return callback->length != UINT64_MAX ? 0 : -ENOTSUP;
}

static int fail(struct tl_node *node, int code, const char *function, const char *what)
{
	tl_node_fatal(node);
	return tl_node_fail(node, node->group.stages, code, "%s %s", function, what);
}

/* From what a function returned that may return 0 or an error only. */
static int check(struct tl_node *node, const char *function, int ret)
{
	if (ret > 0)
		return fail(node, -EINVAL, function, "returned neither 0 nor an error");
	if (ret < 0)
		tl_node_fail(node, node->group.stages, ret, "%s: %s", function, tl_strerror(ret));
	return ret;
}

static int callback_open(struct tl_node *node)
{
	const struct callback *callback = node->config;
	struct callback_cursor *cursor = node->cursor;
	struct session *session = talloc_zero(node->held, struct session);
	int ret = 0;

	if (session == NULL)
		return -ENOMEM;
	session->state = callback->data;
	if (callback->ops.open != NULL) {
		session->state = NULL;
		ret = callback->ops.open(session, callback->data, &session->state);
		ret = check(node, "open", ret);
	}
	if (ret < 0) {
		talloc_free(session);
		return ret;
	}
	session->close = callback->ops.close;
	talloc_set_destructor(session, session_destructor);
	cursor->session = session;
	cursor->position = 0;
	return 0;
}

/* Without a function for it: closed, and opened again. */
static int rewind_session(struct tl_node *node, uint64_t epoch)
{
	const struct callback *callback = node->config;
	struct callback_cursor *cursor = node->cursor;

	if (callback->ops.rewind != NULL && cursor->session != NULL) {
		cursor->position = 0;
		return check(node, "rewind", callback->ops.rewind(cursor->session->state, epoch));
	}
	if (cursor->session != NULL && cursor->position == 0)
		return 0;
	TALLOC_FREE(cursor->session);
	return callback_open(node);
}

/* Without a state, or with one that stands nowhere in particular, it can't go on. */
static int callback_rewind(struct tl_node *node, uint64_t epoch)
{
	int ret = rewind_session(node, epoch);

	if (ret < 0)
		tl_node_fatal(node);
	return ret;
}

/* From what next or at has made. */
static int check_item(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		      const char *function, int ret, struct tl_item *item)
{
	if (ret > TL_END)
		return fail(node, -EINVAL, function, "returned neither 0, TL_END nor an error");
	if (ret == TL_END && node->length_known)
		return fail(node, -TL_EMISMATCH, function,
			    "returned TL_END before the length that was told");
	if (ret < 0)
		return tl_node_fail(node, node->group.stages, ret, "item %" PRIu64 ": %s", index,
				    tl_strerror(ret));
	if (ret == 0 && item == NULL)
		return fail(node, -EINVAL, function, "returned 0 and no item");
	if (ret == 0 &&
	    (talloc_check_name(item, "struct tl_item") == NULL || talloc_parent(item) != mem_ctx))
		return fail(node, -EINVAL, function,
			    "returned what is no item, or one on another context");
	return ret;
}

static int callback_get(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
			struct tl_item **item)
{
	const struct callback *callback = node->config;
	struct callback_cursor *cursor = node->cursor;
	struct tl_item *made = NULL;
	int ret;

	ret = callback->ops.next(cursor->session->state, mem_ctx, &made);
	cursor->position++;
	ret = check_item(node, mem_ctx, index, "next", ret, made);
	if (ret == 0)
		*item = made;
	return ret;
}

static int callback_at(struct tl_node *node, TALLOC_CTX *mem_ctx, uint64_t index,
		       struct tl_item **item)
{
	const struct callback *callback = node->config;
	const struct callback_cursor *cursor = node->cursor;
	struct tl_item *made = NULL;
	int ret;

	ret = callback->ops.at(cursor->session->state, mem_ctx, index, &made);
	ret = check_item(node, mem_ctx, index, "at", ret, made);
	if (ret == 0)
		*item = made;
	return ret;
}

static int callback_save(const struct tl_node *node, struct tl_snapshot *group)
{
	const struct callback *callback = node->config;
	const struct callback_cursor *cursor = node->cursor;
	struct tl_snapshot *own;
	int ret;

	if (callback->ops.save == NULL)
		return 0;
	ret = tl_snapshot_group(group, "state", &own);
	if (ret == 0)
		ret = callback->ops.save(cursor->session->state, own);
	return ret > 0 ? -EINVAL : ret;
}

/* One that does not say where it stands gets there as the other one did. */
static int take_again(struct tl_node *node, uint64_t count)
{
	const struct callback *callback = node->config;
	const struct callback_cursor *cursor = node->cursor;
	TALLOC_CTX *tmp = talloc_new(node->held);
	int ret = tmp != NULL ? 0 : -ENOMEM;

	for (uint64_t i = 0; i < count && ret >= 0; i++) {
		struct tl_item *item = NULL;

		ret = callback->ops.next(cursor->session->state, tmp, &item);
		talloc_free_children(tmp);
		if (ret > 0 && i + 1 < count)
			ret = tl_node_fail(node, node->group.stages, -TL_EMISMATCH,
					   "it ended after %" PRIu64 " of %" PRIu64
					   " items that had been taken",
					   i, count);
		else if (ret < 0)
			ret = 0; /* an item that was an error */
	}
	talloc_free(tmp);
	return ret < 0 ? ret : 0;
}

static int callback_load(struct tl_node *node, const struct tl_snapshot *group)
{
	const struct callback *callback = node->config;
	const struct callback_cursor *cursor = node->cursor;
	const struct tl_snapshot *own = tl_snapshot_find(group, "state");

	if (callback->ops.load == NULL)
		return take_again(node, cursor->position);
	if (own == NULL)
		return tl_node_fail(node, node->group.stages, -ENOENT, "it lacks \"state\"");
	return check(node, "load", callback->ops.load(cursor->session->state, own));
}

static const struct tl_stage_ops callback_ops = {
	.name = "callback",
	.copy = callback_copy,
	.describe = callback_describe,
	.length = callback_length,
	.sequential = true,
	.cursor_size = sizeof(struct callback_cursor),
	.cursor_fields = callback_fields,
	.open = callback_open,
	.rewind = callback_rewind,
	.save = callback_save,
	.load = callback_load,
	.get = callback_get,
};

static const struct tl_stage_ops callback_at_ops = {
	.name = "callback",
	.copy = callback_copy,
	.describe = callback_describe,
	.length = callback_length,
	.cursor_size = sizeof(struct callback_cursor),
	.open = callback_open,
	.rewind = callback_rewind,
	.get = callback_at,
};

struct tl_callback_options tl_callback_options_init(void)
{
	return (struct tl_callback_options){ TL_CALLBACK_OPTIONS_INIT };
}

static const char *ops_fault(const struct tl_callback_ops *ops)
{
	if (ops->at != NULL)
		return ops->length != NULL ? NULL : "at without length";
	if (ops->next == NULL)
		return "neither next nor at";
	if (ops->open == NULL)
		return "next without open";
	if ((ops->save == NULL) != (ops->load == NULL))
		return "one of save and load without the other";
	return NULL;
}

/* Asked once: a plan does not change. */
static struct tl_dataset *ask_length(struct tl_dataset *ds, struct callback *callback)
{
	int ret;

	callback->length = UINT64_MAX;
	if (callback->ops.length == NULL)
		return ds;
	ret = callback->ops.length(callback->data, &callback->length);
	if (ret == 0 && callback->length == UINT64_MAX)
		return tl_dataset_mistake(ds, -EINVAL, "length returned 0 and no length");
	if (ret == 0)
		return ds;
	callback->length = UINT64_MAX;
	if (ret > 0)
		return tl_dataset_mistake(ds, -EINVAL, "length returned %d, neither 0 nor an error",
					  ret);
	if (ret == -ENOTSUP && callback->ops.at == NULL)
		return ds;
	return tl_dataset_mistake(ds, ret, "length: %s", tl_strerror(ret));
}

struct tl_dataset *tl_dataset_callback(TALLOC_CTX *mem_ctx, const struct tl_callback_options *given)
{
	struct tl_callback_options options;
	struct tl_callback_ops ops = { 0 };
	bool sized = tl_options_read(&options, sizeof(options), given) == 0 &&
		     tl_options_read(&ops, sizeof(ops), options.ops) == 0;
	struct tl_dataset *ds = tl_dataset_source(mem_ctx,
						  ops.at != NULL ? &callback_at_ops : &callback_ops,
						  sizeof(struct callback));
	struct callback *callback;

	if (ds == NULL)
		return NULL;
	callback = tl_dataset_config(ds);
	callback->ops = ops;
	callback->data = options.data;
	callback->name = talloc_strdup(callback, options.name != NULL ? options.name : "");
	if (callback->name == NULL) {
		talloc_free(ds);
		return NULL;
	}
	if (!sized)
		return tl_dataset_mistake(ds, -EINVAL,
					  "options or functions of unknown size; begin them with "
					  "TL_CALLBACK_OPTIONS_INIT and TL_CALLBACK_OPS_INIT");
	if (ops_fault(&ops) != NULL)
		return tl_dataset_mistake(ds, -EINVAL, "%s", ops_fault(&ops));
	return ask_length(ds, callback);
}
