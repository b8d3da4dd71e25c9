/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TESTS_DEEDS_H
#define TESTS_DEEDS_H

/* What the functions that workers call do on a test's order, beside what they are for. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum deed {
	DO_NOTHING,
	DO_RAISE,        /* the signal .number, with its default action */
	DO_EXIT,         /* with the code .number */
	DO_FAIL,         /* returns .number */
	DO_SLEEP,        /* for ever */
	DO_LISTEN,       /* until tl_cancelled() says so; then returns -ECANCELED */
	DO_WAIT,         /* until it may go on */
	DO_NAP,          /* for .number microseconds */
	DO_NOTHING_MORE, /* makes no item: returns NULL as one */
};

struct order {
	int64_t item;
	enum deed deed;
	int number;
	bool late; /* when it has made its item */
	int times; /* of the calls of this item, the first so many; 0: all */
	int after; /* but not the first so many */
};

/* Whether an order is for the how-manieth call of an item, from 1 on. */
bool is_due(const struct order *order, int64_t item, bool late, int call);

/* 0; or what is to be returned. */
int do_deed(const struct order *order, const _Atomic bool *go_on);

#endif
