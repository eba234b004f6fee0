"""What a benchmark measures, as options."""

import dataclasses

from keras_vae.training import rules
from keras_vae.training.options import Options, option

PARTS = {
    "training": "images per second through fit, by network and batch size",
    "inputs": "the same by where examples come from, and by optimizer",
    "optimizers": "the same by Keras' optimizers, with fused updates and without",
    "generation": "images per second of a SavedModel",
    "evaluation": "the importance-weighted likelihood",
    "startup": "seconds to an answer of --help and to the end of a short training",
    "memory": "memory of training from a folder of images",
    "large_data": "rate, memory and first step with an .npy, TFRecords and a folder",
    "workers": "exchanges and steps of 2, 3 and 4 workers here, beside a formula",
}
_ON_REQUEST = ("large_data", "workers")
ARCHITECTURES = ("mlp", "resmlp", "conv", "resnet")


@dataclasses.dataclass(frozen=True)
class BenchmarkOptions(Options):
    """What is measured, and for how long."""

    parts: tuple[str, ...] = option(
        tuple(name for name in PARTS if name not in _ON_REQUEST),
        "what is measured",
        choices=PARTS,
        group="Benchmark",
    )
    architectures: tuple[str, ...] = option(
        ARCHITECTURES, "networks that are trained", choices=ARCHITECTURES
    )
    batch_sizes: tuple[int, ...] = option(
        (128, 1000), "examples a step", minimum=1, maximum=100_000
    )
    epochs: int = option(
        5, "rounds; in each, all is measured in turn", minimum=2, maximum=1000
    )
    images: int = option(
        8000, "images of an epoch of training", minimum=64, maximum=10**6
    )
    folder_images: int = option(
        20_000,
        "images of the folder of memory and large_data",
        minimum=64,
        maximum=10**6,
    )
    folder_epochs: int = option(
        20, "epochs of the memory test", minimum=2, maximum=1000
    )
    large_images: int = option(
        60_000,
        "images of 28x28 in the .npy and in the TFRecords of large_data",
        minimum=256,
        maximum=10**7,
    )
    worker_counts: tuple[int, ...] = option(
        (2, 3, 4), "how many workers the part workers starts", minimum=2, maximum=64
    )
    mixed_precision: str = option(
        "none", "type that the networks compute in", choices=("none", "bfloat16")
    )
    jit_compile: bool = option(False, "compile the steps with XLA")
    device: str = rules.device_option()
    compare: str | None = option(
        None, "file of an earlier run, to say what has become slower since"
    )
    out: str = option("benchmark.json", "file that the results are written to")
