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
	struct tl_descriptors *newest;
} pools = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

void tl_descriptors_lock(void)
{
	pthread_mutex_lock(&pools.lock);
}

void tl_descriptors_unlock(void)
{
	pthread_mutex_unlock(&pools.lock);
}

void tl_descriptors_add(struct tl_descriptors *own)
{
	tl_descriptors_lock();
	own->newer = NULL;
	own->older = pools.newest;
	if (own->older != NULL)
		own->older->newer = own;
	pools.newest = own;
	tl_descriptors_unlock();
}

void tl_descriptors_remove(struct tl_descriptors *own)
{
	tl_descriptors_lock();
	if (own->newer != NULL)
		own->newer->older = own->older;
	else
		pools.newest = own->older;
	if (own->older != NULL)
		own->older->newer = own->newer;
	tl_descriptors_unlock();
}

void tl_descriptors_close_others(const struct tl_descriptors *own)
{
	for (const struct tl_descriptors *one = pools.newest; one != NULL; one = one->older) {
		for (unsigned int i = 0; one != own && i < one->count; i++) {
			if (one->fds[i] >= 0)
				close(one->fds[i]);
		}
	}
}
