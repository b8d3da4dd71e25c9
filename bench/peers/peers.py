# SPDX-License-Identifier: LGPL-3.0-or-later
"""Measures what other libraries take for what tloop does. `peers.py NAME` prints figures: name<TAB>value<TAB>unit."""

import functools
import gzip
import logging
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings

import compat

import numpy
import torch

TURNS = 9


def show(name, value, unit):
    print(f"{name}\t{value:.4g}\t{unit}", flush=True)


def show_ns(name, measure):
    """measure() returns the seconds that one step took."""
    measure()
    show(f"peers.{name}_ns", statistics.median(measure() for _ in range(TURNS)) * 1e9, "ns")


def lightning_loop():
    """An empty Loop, for each advance."""
    from pytorch_lightning.loops import Loop

    class Empty(Loop):
        def __init__(self, steps):
            super().__init__()
            self.steps = steps
            self.count = 0

        @property
        def done(self):
            return self.count >= self.steps

        def reset(self):
            self.count = 0

        def advance(self):
            self.count += 1

    def measure(steps=200_000):
        loop = Empty(steps)
        start = time.perf_counter()
        loop.run()
        return (time.perf_counter() - start) / steps

    show_ns("lightning_loop", measure)


def lightning_fit():
    """Trainer.fit with a training step that does nothing, for each batch."""
    import pytorch_lightning

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

    class Empty(pytorch_lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch, index):
            return None

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

        def on_train_epoch_start(self):
            self.started = time.perf_counter()

        def on_train_epoch_end(self):
            self.seconds = time.perf_counter() - self.started

    def measure(batches=2000):
        data = torch.utils.data.DataLoader(torch.zeros(batches, 1), batch_size=None)
        module = Empty()
        trainer = pytorch_lightning.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_model_summary=False, enable_progress_bar=False)
        trainer.fit(module, data)
        return module.seconds / batches

    show_ns("lightning_fit", measure)


def torchtnt():
    """train() with an empty unit, for each step."""
    compat.stub("tensorboard", "torch.utils.tensorboard", "torch.distributed._composable",
                "torch.distributed._composable.fsdp", "torch.distributed._composable_state",
                "torch.distributed.fsdp.api", "torch.distributed.fsdp._common_utils",
                "torch._dynamo", "torch.ao.quantization.pt2e",
                "torch.ao.quantization.pt2e.export_utils", "torchvision")
    from torchtnt.framework.train import train
    from torchtnt.framework.unit import TrainUnit

    class Empty(TrainUnit):
        def train_step(self, state, data: int) -> None:
            pass

    def measure(steps=20_000):
        data = list(range(steps))
        start = time.perf_counter()
        train(Empty(), data, max_epochs=1)
        return (time.perf_counter() - start) / steps

    show_ns("torchtnt", measure)


def ignite():
    """Engine.run with a step that does nothing, for each iteration."""
    from ignite.engine import Engine

    def measure(steps=20_000):
        data = list(range(steps))
        engine = Engine(lambda engine, batch: None)
        start = time.perf_counter()
        engine.run(data, max_epochs=1)
        return (time.perf_counter() - start) / steps

    show_ns("ignite", measure)


FOLDER = "/usr/share/datasets/fashion-mnist/"
EPOCHS, BATCH, RATE = 5, 64, 0.04


def load(part):
    images = gzip.open(f"{FOLDER}{part}-images-idx3-ubyte.gz").read()
    labels = gzip.open(f"{FOLDER}{part}-labels-idx1-ubyte.gz").read()
    pixels = torch.frombuffer(bytearray(images[16:]), dtype=torch.uint8).reshape(-1, 784)
    return pixels.float() / 255, torch.frombuffer(bytearray(labels[8:]), dtype=torch.uint8).long()


class Perceptron:
    """The one of examples/mlp.c: as many weights, the same rates, batches and momentum."""

    def __init__(self, samples):
        torch.manual_seed(1)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
        for layer in (self.net[0], self.net[2]):
            torch.nn.init.kaiming_normal_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=RATE, momentum=0.9)
        self.updates = 0
        self.all_updates = (samples + BATCH - 1) // BATCH * EPOCHS

    def train_epoch(self, x, y):
        """Data in memory, as floats; no metrics are kept."""
        order = torch.randperm(len(x))
        for first in range(0, len(x), BATCH):
            indices = order[first:first + BATCH]
            rate = RATE * max(0, 1 - self.updates / self.all_updates)
            self.optimizer.param_groups[0]["lr"] = rate
            self.optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(self.net(x[indices]), y[indices])
            loss.backward()
            self.optimizer.step()
            self.updates += 1

    def accuracy(self, x, y):
        with torch.no_grad():
            return (self.net(x).argmax(1) == y).float().mean().item()


def tloop_pace(program):
    """Samples in a second of an epoch of the example, with as many BLAS threads."""
    shown = subprocess.run([program, "--epochs=1", "--threads=2"], check=True, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return float(re.search(r"training: (\d+)", shown).group(1))


def pytorch(program):
    """The same perceptron: an epoch of theirs, one of ours, in turn."""
    torch.set_num_threads(1)
    x, y = load("train")
    test = load("t10k")
    perceptron = Perceptron(len(x))
    theirs, ratios = [], []
    for turn in range(TURNS):
        start = time.perf_counter()
        perceptron.train_epoch(x, y)
        theirs.append(len(x) / (time.perf_counter() - start))
        if turn + 1 == EPOCHS:
            show("peers.pytorch_accuracy", 100 * perceptron.accuracy(*test), "%")
        ratios.append(tloop_pace(program) / theirs[-1])
    show("peers.pytorch_samples_per_s", statistics.median(theirs), "samples/s, 2 BLAS threads")
    show("train.vs_pytorch", statistics.median(ratios), "x")


IMAGES = 60000


def images(program):
    """Images of an array in a file, in random order, as floats, in batches: see bench/chain.c."""
    class Source(torch.utils.data.Dataset):
        def __init__(self, path):
            self.images = numpy.load(path, mmap_mode="r")

        def __len__(self):
            return len(self.images)

        def __getitem__(self, index):
            return self.images[index].astype(numpy.float32) * numpy.float32(1 / 255)

    def data_loader(source):
        return torch.utils.data.DataLoader(source, batch_size=BATCH, shuffle=True)

    def grain(source):
        import grain.python
        return grain.python.MapDataset.source(source).shuffle(seed=1).batch(BATCH)

    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        numpy.save(file, numpy.zeros((IMAGES, 28 * 28), numpy.uint8))
        file.flush()
        source = Source(file.name)
        for name, make in (("data_loader", data_loader), ("grain", grain)):
            try:
                chain = make(source)
            except ImportError as error:
                print(f"peers: {name} does not run here: {error}", file=sys.stderr)
                continue
            theirs, ratios = [], []
            for _ in range(3):
                start = time.perf_counter()
                count = sum(len(batch) for batch in chain)
                theirs.append(count / (time.perf_counter() - start))
                shown = subprocess.run([program, file.name], check=True, text=True,
                                       stdout=subprocess.PIPE).stdout
                ratios.append(float(shown.split("\t")[1]) / theirs[-1])
            show(f"peers.{name}_images_per_s", statistics.median(theirs), "images/s")
            show(f"data.vs_{name}", statistics.median(ratios), "x")


def generators(tloop_peak):
    """The most blocks at once in a chain of 16 maps: each a generator, or each an iterator."""
    class Map:
        def __init__(self, input):
            self.input = input

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.input) + 1.0

    def generator(input):
        for batch in input:
            result = batch + 1.0
            yield result

    for name, stage in (("generator", generator), ("iterator", Map)):
        chain = (numpy.zeros(1 << 17) for _ in range(6))
        for _ in range(16):
            chain = stage(chain)
        tracemalloc.start()
        for _ in chain:
            pass
        peak = tracemalloc.get_traced_memory()[1] / (8 << 17)
        tracemalloc.stop()
        show(f"peers.python_{name}_peak_16", peak, "items")
        show(f"data.vs_python_{name}_peak", peak / float(tloop_peak), "x")


def add_one(number):
    return number + 1


def calls(thread_rate, process_rate):
    """Calls that do nothing, two workers, results read one by one. Ours in millions a second, of bench/parallel."""
    def joblib(kind, count):
        from joblib import Parallel, delayed
        backend = "threading" if kind == "thread" else "loky"
        with Parallel(n_jobs=2, backend=backend, return_as="generator") as parallel:
            for count in (1000, count):  # the workers are warm then
                start = time.perf_counter()
                for _ in parallel(delayed(add_one)(i) for i in range(count)):
                    pass
        return count / (time.perf_counter() - start)

    def concurrent_futures(kind, count):
        import concurrent.futures
        pool = getattr(concurrent.futures, kind.capitalize() + "PoolExecutor")(2)
        with pool:
            for count in (1000, count):
                start = time.perf_counter()
                for _ in pool.map(add_one, range(count), chunksize=256):  # only processes have chunks
                    pass
                rate = count / (time.perf_counter() - start)
        return rate

    for peer in (joblib, concurrent_futures):
        for kind, ours in (("thread", thread_rate), ("process", process_rate)):
            theirs = statistics.median(peer(kind, 20_000) for _ in range(3)) / 1e6
            show(f"peers.{peer.__name__}_rate_{kind}", theirs, "M/s")
            show(f"parallel.vs_{peer.__name__}_{kind}", float(ours) / theirs, "x")


SIZES = {"64k": (1 << 16, 4000), "1m": (1 << 20, 800), "16m": (1 << 24, 60)}


class Arrays(torch.utils.data.IterableDataset):
    """A ready array again and again, as of bench/streams_pipe.c: each time it is iterated."""

    def __init__(self, size, count):
        self.size = size
        self.count = count

    def __iter__(self):
        ready = numpy.arange(self.size // 8, dtype=numpy.int64)
        for _ in range(self.count):
            yield ready


def make_arrays(size, count):
    class Reiterable:
        def __iter__(self):
            return iter(Arrays(size, count))

    return Reiterable()


def transport(name, program, make):
    """Bytes a second that come out of one process; nobody looks at them. A pass of theirs, one of ours, in turn."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    for label, (size, count) in SIZES.items():
        arrays = make(size, count)
        theirs, ratios = [], []
        for turn in range(TURNS + 1):
            items = iter(arrays)
            next(items)
            start = time.perf_counter()
            came = sum(1 for _ in items)
            theirs.append(size * came / (time.perf_counter() - start) / 1e9)
            if came != count - 1:
                sys.exit(f"{name}: {came} arrays of {count - 1}")
            shown = subprocess.run([program, "sent", str(size)], check=True, text=True,
                                   stdout=subprocess.PIPE, env=ours).stdout
            ratios.append(float(shown.split("\t")[1]) / theirs[-1])
        show(f"peers.{name}_gbs_{label}", statistics.median(theirs[1:]), "GB/s")
        show(f"streams.vs_{name}_{label}", statistics.median(ratios[1:]), "x")


def in_subprocess(size, count, arena):
    from spdl.pipeline import iterate_in_subprocess
    return iterate_in_subprocess(functools.partial(make_arrays, size, count), buffer_size=3, arena=arena)


def spdl_pool(program):
    from spdl.pipeline import SharedMemorySegmentPool
    transport("spdl_pool", program, lambda size, count: in_subprocess(
        size, count, SharedMemorySegmentPool(size, 6)))


def spdl_ring(program):
    """It copies out into fresh memory: run it where malloc keeps what was freed, else it is too easy a rival."""
    from spdl.pipeline import SharedMemoryRingBuffer
    transport("spdl_ring", program, lambda size, count: in_subprocess(
        size, count, SharedMemoryRingBuffer(6 * size)))


def dataloader(program):
    transport("dataloader", program, lambda size, count: torch.utils.data.DataLoader(
        Arrays(size, count), batch_size=None, num_workers=1, persistent_workers=True))


PEERS = {peer.__name__: peer for peer in (
    lightning_loop, lightning_fit, torchtnt, ignite, pytorch, images, generators, calls,
    spdl_pool, spdl_ring, dataloader)}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    PEERS[sys.argv[1]](*sys.argv[2:])
