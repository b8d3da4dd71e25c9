/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef TLOOP_H
#define TLOOP_H

/**
 * @file
 * All of tloop: one header for each concept stands in tloop/. What needs another library is not
 * included: <tloop/archive.h>, <tloop/gzip.h>.
 */

#include <tloop/batch.h>
#include <tloop/batching.h>
#include <tloop/buffer.h>
#include <tloop/channel.h>
#include <tloop/codec.h>
#include <tloop/dataset.h>
#include <tloop/dtype.h>
#include <tloop/epoch.h>
#include <tloop/error.h>
#include <tloop/evaluation.h>
#include <tloop/extension.h>
#include <tloop/fit.h>
#include <tloop/handler.h>
#include <tloop/hook.h>
#include <tloop/item.h>
#include <tloop/iter.h>
#include <tloop/joining.h>
#include <tloop/loop.h>
#include <tloop/metric.h>
#include <tloop/model.h>
#include <tloop/optimizer.h>
#include <tloop/options.h>
#include <tloop/outcome.h>
#include <tloop/parallel.h>
#include <tloop/permutation.h>
#include <tloop/progress.h>
#include <tloop/progress_bar.h>
#include <tloop/run.h>
#include <tloop/scope.h>
#include <tloop/snapshot.h>
#include <tloop/source.h>
#include <tloop/stop.h>
#include <tloop/stream.h>
#include <tloop/time.h>
#include <tloop/version.h>
#include <tloop/workers.h>

#endif
