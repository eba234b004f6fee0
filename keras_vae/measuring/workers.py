"""What a step of several workers on this machine takes, beside a formula for it.

N workers that each hold S bytes of gradients exchange them in a ring in

    t(S) = 2 (N - 1) / N S / B + 2 log2(N) a

seconds, at B bytes a second and a latency of a. B and a are found from the exchanges of
two workers; those of more, and whole steps, are held against what they predict.
"""

import json
import math
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras_vae.measuring.options import BenchmarkOptions

Row = dict[str, Any]

_ROUNDS = 3
_SECONDS = 300  # until workers that say nothing are given up


def scale(options: BenchmarkOptions) -> Iterator[Row]:
    """Yields milliseconds of exchanges and of steps, by the number of workers."""
    bandwidth = latency = None
    for count in options.worker_counts:
        found = _measured(count, options.batch_sizes[0])
        size, exchange, alone = found["bytes"], found["exchange"], found["alone"]
        if bandwidth is None or latency is None:
            # The formula is linear in the latency and in 1 / bandwidth.
            latency = found["small"] / exchange_seconds(count, 0.0, 1.0, 1.0)
            moved = exchange_seconds(count, size, 1.0, 0.0)
            bandwidth = moved / max(exchange - found["small"], 1e-9)
            what = f"exchange of {count} workers"
            yield {"what": f"{what}, latency", "value": 1e3 * latency, "unit": "ms"}
            rate = {"value": bandwidth / 2**20, "unit": "MiB/s"}
            yield {"what": f"{what}, bandwidth", **rate}
        formula = exchange_seconds(count, size, bandwidth, latency)
        for what, seconds, expected in (
            (f"exchange of {size / 1e6:.1f} MB", exchange, formula),
            ("step without exchange", alone, None),
            ("step", found["step"], alone + formula),
        ):
            row = {"what": f"{count} workers, {what}", "value": 1e3 * seconds}
            if expected is not None:
                row |= {"ratio": seconds / expected, "of": "the formula"}
            yield {**row, "unit": "ms"}


def exchange_seconds(
    count: int, size: float, bandwidth: float, latency: float
) -> float:
    """Returns what the formula says of an exchange between so many workers.

    Args:
        count: Workers.
        size: Bytes that each of them holds.
        bandwidth: Bytes a second.
        latency: Seconds.
    """
    moved = 2.0 * (count - 1) / count * size
    return moved / bandwidth + 2.0 * math.log2(count) * latency


def _measured(count: int, batch_size: int) -> dict[str, float]:
    """Starts workers on this machine; returns what the first of them measured."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", __name__, addresses, str(index), str(batch_size)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(count)
    ]
    try:
        said = [worker.communicate(timeout=_SECONDS) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    for worker, (_, errors) in zip(workers, said, strict=True):
        if worker.returncode:
            raise RuntimeError(f"A worker ended with an error:\n{errors[-2000:]}")
    found: dict[str, float] = json.loads(said[0][0].splitlines()[-1])
    return found


# A worker.


def measure(addresses: Sequence[str], index: int, batch_size: int) -> dict[str, float]:
    """Measures as one of several workers, all of which do the same at a time.

    Returns:
        `bytes` of the gradients; seconds of an exchange of them, `exchange`, and of one
        number, `small`; of a step of all workers, `step`, and of one on the worker's
        share of a batch while the others make theirs, `alone`.
    """
    import numpy as np
    import tensorflow as tf

    from keras_vae.engine import strategies
    from keras_vae.measuring.cases import SHAPE, epoch_seconds

    count = len(addresses)
    images = np.random.default_rng(0).integers(0, 256, (1024, *SHAPE), np.uint8)
    strategy = strategies.multi_worker(addresses, index)
    with strategy.scope():
        together = _model(SHAPE)
    shapes = [tuple(each.shape) for each in together.trainable_variables]

    def exchange(shapes: list[tuple[int, ...]]) -> Callable[[], Any]:
        def on_replica() -> list[tf.Tensor]:
            context = tf.distribute.get_replica_context()
            values = [tf.ones(shape) for shape in shapes]
            return list(context.all_reduce(tf.distribute.ReduceOp.SUM, values))

        return tf.function(lambda: strategy.run(on_replica))

    def step_seconds(model: Any, batch_size: int, steps: int) -> float:
        data = {"x": images[: batch_size * steps], "batch_size": batch_size}
        epoch_seconds(model, **data)
        return statistics.median(
            epoch_seconds(model, **data) / steps for _ in range(_ROUNDS)
        )

    steps = len(images) // batch_size
    return {
        "bytes": 4.0 * sum(math.prod(shape) for shape in shapes),
        "small": _median_seconds(exchange([(1,)])),
        "exchange": _median_seconds(exchange(shapes)),
        "step": step_seconds(together, batch_size, steps),
        "alone": step_seconds(_model(SHAPE), batch_size // count, steps),
    }


def _model(shape: tuple[int, ...]) -> Any:
    import keras_vae

    model = keras_vae.VAE(20, shape, seed=0)
    model.compile("adam")
    model.ensure_built()
    return model


def _median_seconds(call: Callable[[], Any], times: int = 20) -> float:
    call()
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


if __name__ == "__main__":
    _addresses, _index, _batch_size = sys.argv[1:]
    _found = measure(_addresses.split(","), int(_index), int(_batch_size))
    sys.stdout.write(json.dumps(_found) + "\n")
