/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * Steps that cross to processes and back. The record of each has a room for parcels: for the message that
 * goes with it, and then, in the same place, for what was made. A parcel that was unpacked or dropped
 * is cleared, so a record that nobody uses has none. An item goes as it is; only with an error or a mark
 * beside it goes the whole yield.
 *
 * The command of a restart stands in memory of the feed's, where it stays until the next one: a worker's
 * successor reads it again.
 */

#include <string.h>
#include <sys/mman.h>

#include "tasks/arena/parcel.h"
#include "tasks/streams/feed.h"

enum {
	TAG_STEP_BITS =
		48, /* of the tag of a unit: the position; above it the number of the feed */
};

static uint64_t tag_of(const struct tl_feed *feed, uint64_t position)
{
	return (uint64_t)feed->number << TAG_STEP_BITS |
	       (position & ((UINT64_C(1) << TAG_STEP_BITS) - 1));
}

static void clear(uint8_t *room)
{
	memset(room, 0, TL_PARCEL_LEAST);
}

/* By the worker */

int tl_feed_read_command(struct tl_feed *feed, TALLOC_CTX *mem_ctx, void **command, size_t *size)
{
	const struct tl_blob *blob;
	void *object;
	int ret;

	if (feed->worker.restart == 1)
		return 0; /* there was none */
	ret = tl_parcel_unpack(mem_ctx, feed->group->arena, &tl_blob_handler, feed->shared->command,
			       TL_FEED_ROOM, TL_PARCEL_KEEP, &object);
	if (ret < 0)
		return ret;
	blob = object;
	*command = blob->bytes;
	*size = blob->size;
	return 0;
}

int tl_feed_unpack_message(struct tl_feed *feed, struct tl_feed_posted *posted, TALLOC_CTX *mem_ctx,
			   struct tl_item **message)
{
	void *object;
	int ret = tl_parcel_unpack(mem_ctx, feed->group->arena, &tl_item_handler, posted->room,
				   TL_FEED_ROOM, 0, &object);

	if (ret < 0)
		return ret;
	clear(posted->room);
	*message = object;
	return 0;
}

/* Of an object that has no handler, say; then the error goes alone. */
static int pack_instead(struct tl_feed *feed, struct tl_feed_posted *posted, uint64_t position,
			int code)
{
	struct tl_yield yield = { .ret = code, .fatal = true };
	char type[TL_PARCEL_TYPE];
	int ret;

	if (code != -ENOTSUP || !tl_parcel_refused(posted->room, type))
		return -ENOMEM;
	tl_error_set(NULL, &yield.error, code,
		     "objects of type %s cross to no process: put their handler into .handlers",
		     type);
	clear(posted->room);
	ret = tl_parcel_pack(feed->group->arena, &tl_yield_handler, &yield, tag_of(feed, position),
			     posted->room, TL_FEED_ROOM);
	talloc_free(yield.error);
	return ret;
}

void tl_feed_pack_yield(struct tl_feed *feed, struct tl_feed_posted *posted, uint64_t position,
			const struct tl_yield *yield)
{
	struct tl_feed_call *head = &posted->head;
	bool plain = yield->error == NULL && yield->mark == NULL;
	const struct tl_handler *handler = plain ? &tl_item_handler : &tl_yield_handler;
	const void *object = plain ? (const void *)yield->item : yield;
	int ret;

	tl_feed_drop(feed, posted);
	head->ret = yield->ret;
	head->fatal = yield->fatal;
	head->plain = plain;
	if (object == NULL)
		return;
	ret = tl_parcel_pack(feed->group->arena, handler, object, tag_of(feed, position),
			     posted->room, TL_FEED_ROOM);
	head->packed = ret == 0;
	if (ret == 0)
		return;
	head->ret = ret;
	head->fatal = true;
	head->plain = false;
	head->packed = pack_instead(feed, posted, position, ret) == 0;
	if (!head->packed)
		clear(posted->room);
}

uint64_t tl_feed_posted_bytes(void *record, void *data)
{
	struct tl_feed_posted *posted = record;

	(void)data;
	return posted->head.packed ? tl_parcel_bytes(posted->room) : 0;
}

/* By the consumer */

int tl_feed_write_command(struct tl_feed *feed, const void *command, size_t size)
{
	const struct tl_blob blob = { (void *)command, size };
	uint8_t *room = feed->shared->command;

	tl_parcel_drop(feed->group->arena, room, TL_FEED_ROOM);
	clear(room);
	return tl_parcel_pack(feed->group->arena, &tl_blob_handler, &blob, tag_of(feed, 0), room,
			      TL_FEED_ROOM);
}

int tl_feed_pack_message(struct tl_feed *feed, struct tl_feed_posted *posted, uint64_t position,
			 const struct tl_item *message)
{
	int ret = tl_parcel_pack(feed->group->arena, &tl_item_handler, message,
				 tag_of(feed, position), posted->room, TL_FEED_ROOM);

	if (ret < 0)
		clear(posted->room);
	return ret;
}

static int unpack_whole(struct tl_feed *feed, struct tl_feed_posted *posted, TALLOC_CTX *mem_ctx,
			struct tl_yield *yield)
{
	struct tl_yield *made;
	void *object;
	int ret = tl_parcel_unpack(mem_ctx, feed->group->arena, &tl_yield_handler, posted->room,
				   TL_FEED_ROOM, 0, &object);

	if (ret < 0)
		return ret;
	made = object;
	yield->item = talloc_steal(mem_ctx, made->item);
	yield->error = talloc_steal(mem_ctx, made->error);
	yield->mark = talloc_steal(mem_ctx, made->mark);
	yield->mark_size = made->mark_size;
	talloc_free(made);
	return 0;
}

int tl_feed_unpack_yield(struct tl_feed *feed, struct tl_feed_posted *posted, TALLOC_CTX *mem_ctx,
			 struct tl_yield *yield)
{
	const struct tl_feed_call *head = &posted->head;
	bool packed = head->packed, plain = head->plain;
	void *object = NULL;
	int ret = 0;

	*yield = (struct tl_yield){ .ret = head->ret, .fatal = head->fatal };
	/* The process may have gone mad. */
	if (yield->ret > TL_END || (yield->ret == 0 && !packed))
		return -TL_ECORRUPT;
	if (packed && !plain)
		ret = unpack_whole(feed, posted, mem_ctx, yield);
	else if (packed) /* what is returned at the end becomes the stream's, which is in no pool */
		ret = tl_parcel_unpack(yield->ret == TL_END ? NULL : mem_ctx, feed->group->arena,
				       &tl_item_handler, posted->room, TL_FEED_ROOM, 0, &object);
	if (ret == 0 && packed && plain)
		yield->item = object;
	if (ret == 0 && packed)
		clear(posted->room);
	return ret;
}

void tl_feed_drop(struct tl_feed *feed, struct tl_feed_posted *posted)
{
	tl_parcel_drop(feed->group->arena, posted->room, TL_FEED_ROOM);
	clear(posted->room);
	posted->head.packed = false;
}

/* Deaths */

static int begin(unsigned int worker, void *data)
{
	struct tl_feed_group *group = data;
	const struct tl_stream_options *options = &group->options;

	tl_arena_enter(group->arena, worker);
	tl_arena_serve_buffers(group->arena, TL_PARCEL_INLINE + 1);
	if (options->on_worker_start == NULL)
		return 0;
	return options->on_worker_start(worker, options->worker_data);
}

static void left(const struct tl_death *death, void *data)
{
	struct tl_feed *feed = data;

	feed->death = *death;
}

static void died(uint64_t position, const struct tl_death *death, void *data)
{
	struct tl_feed *feed = data;

	feed->death = *death;
	tl_feed_call_at(feed, position)->died = true;
}

static void again(uint64_t position, void *data)
{
	struct tl_feed_posted *posted = tl_line_record(((struct tl_feed *)data)->line, position);

	clear(posted->room);
	posted->head.packed = false;
}

/* Whether what was sent in a step has come to its end with it. */
static bool is_committed(uint64_t tag, void *data)
{
	const struct tl_feed_group *group = data;
	uint64_t number = tag >> TAG_STEP_BITS;
	const struct tl_feed *feed = number < group->count ? group->feeds[number] : NULL;
	uint64_t tail, position;

	if (feed == NULL)
		return false;
	tail = feed->line->slots->tail;
	/* It is one of the last positions, so their upper bits are those of the tail, or one less. */
	position = tail - ((tail - tag) & ((UINT64_C(1) << TAG_STEP_BITS) - 1));
	return tail - position <= feed->line->slots->count && position != tail &&
	       *tl_line_out(feed->line, position) != TL_OUT_NOT &&
	       tl_slots_is_done(feed->line->slots, position) &&
	       !tl_feed_call_at(feed, position)->died;
}

static void gone(unsigned int worker, void *data)
{
	struct tl_feed_group *group = data;

	tl_arena_give_back(group->arena, worker, is_committed, group);
}

/* Opening */

int tl_feeds_share(struct tl_feed_group *group, struct tl_error **error)
{
	const struct tl_arena_config config = {
		.workers = group->options.workers,
		.handlers = group->options.handlers,
	};
	size_t size = group->count * sizeof(*group->shared);
	void *memory;
	int ret;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return tl_error_set(group, error, -ENOMEM, "no shared memory");
	group->shared = memory;
	ret = tl_arena_open(group, &config, &group->arena);
	if (ret < 0)
		return tl_error_set(group, error, ret, "no shared memory: %s", tl_strerror(ret));
	group->arena_fd = tl_arena_fd(group->arena);
	group->holders.arena = group->arena;
	group->holders.most = group->options.max_held;
	return 0;
}

void tl_feeds_describe_crew(struct tl_feed_group *group, struct tl_crew_config *crew)
{
	const struct tl_stream_options *options = &group->options;

	*crew = (struct tl_crew_config){
		.workers = options->workers,
		.retries = options->retries,
		.fork_with_threads = (options->flags & TL_STREAM_FORK_WITH_THREADS) != 0,
		.fds = &group->arena_fd,
		.fd_count = 1,
		.begin = begin,
		.shut = tl_feed_shut,
		.gone = gone,
		.data = group,
		.died = died,
		.again = again,
		.left = left,
	};
}
