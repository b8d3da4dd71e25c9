/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_TASKS_STREAMS_GENERATOR_H
#define TLOOP_TASKS_STREAMS_GENERATOR_H

#include "tasks/streams/stream.h"

/* Its data is a struct tl_generator. */
extern const struct tl_producer_ops tl_generator_producer;

#endif
