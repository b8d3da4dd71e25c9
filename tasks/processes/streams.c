/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "config.h"

/*
 * The descriptors of all pools of processes that this process has open, for the children of each to
 * close those of the others: else the files, memory and pipes of a pool would live as long as the
 * youngest child of any. That is a fact about the process, so it is the second thing in tloop that
 * belongs to the process (the first is the recycler of buffers).
 */

#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

#include "tasks/processes/processes.h"

static struct {
	pthread_mutex_t lock;
	struct tl_stream_fds *newest;
} streams = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

void tl_streams_lock(void)
{
	pthread_mutex_lock(&streams.lock);
}

void tl_streams_unlock(void)
{
	pthread_mutex_unlock(&streams.lock);
}

void tl_streams_add(struct tl_stream_fds *own)
{
	tl_streams_lock();
	own->newer = NULL;
	own->older = streams.newest;
	if (own->older != NULL)
		own->older->newer = own;
	streams.newest = own;
	tl_streams_unlock();
}

void tl_streams_remove(struct tl_stream_fds *own)
{
	tl_streams_lock();
	if (own->newer != NULL)
		own->newer->older = own->older;
	else
		streams.newest = own->older;
	if (own->older != NULL)
		own->older->newer = own->newer;
	tl_streams_unlock();
}

void tl_streams_close_others(const struct tl_stream_fds *own)
{
	for (const struct tl_stream_fds *one = streams.newest; one != NULL; one = one->older) {
		for (unsigned int i = 0; one != own && i < one->count; i++) {
			if (one->fds[i] >= 0)
				close(one->fds[i]);
		}
	}
}
