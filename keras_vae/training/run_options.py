"""How a model is trained: the options of the training, devices and output groups."""

import dataclasses

from keras_vae.training import choices, rules
from keras_vae.training.options import LARGE, Options, option


@dataclasses.dataclass(frozen=True)
class RunOptions(Options):
    """What `TrainConfig` holds besides the data and the model."""

    preset: str = option(
        "none",
        "values for the flags that are not given",
        group="Training",
        choices=choices.PRESET_LINES,
        shapes_result=False,
    )
    epochs: int = option(100, "passes over the training data", minimum=1, maximum=LARGE)
    batch_size: int = option(
        128,
        "examples that are worked on at once, over all devices",
        minimum=1,
        maximum=LARGE,
    )
    accumulate_steps: int = option(
        1,
        "batches whose gradients make one update, the same as that of one batch as "
        "large as all of them",
        minimum=1,
        maximum=10_000,
    )
    learning_rate: float = option(1e-3, "of Adam, at its highest", above=0, maximum=10)
    learning_rate_schedule: str = option(
        "cosine",
        "how the learning rate goes on: the same, or down to 0 along a cosine",
        choices=("constant", "cosine"),
    )
    adam_beta_2: float = option(
        0.999,
        "decay of Adam's mean of squared gradients; the lower, the less a single large "
        "gradient moves the weights",
        minimum=0,
        below=1,
    )
    weight_decay: float = option(
        0.0, "decoupled weight decay, as in AdamW", minimum=0, maximum=1
    )
    weight_average: float = option(
        0.999,
        "decay of the averaged weights that are evaluated and saved, as in 0.999; 0: "
        "no averaging",
        minimum=0,
        below=1,
    )
    clipnorm: float = option(
        0.0, "largest norm of the whole gradient; 0: any", minimum=0, maximum=10**9
    )
    early_stopping_patience: int = option(
        0,
        "epochs without a better validation loss before training stops; 0: never",
        minimum=0,
        maximum=LARGE,
    )
    seed: int = option(0, "of weights, noise and order", minimum=0, maximum=2**31 - 1)
    deterministic: bool = option(
        False, "bit for bit the same result on the same device; slower"
    )

    device: str = rules.device_option(group="Devices")
    strategy: str = option(
        "auto",
        "which devices train; auto takes every GPU where there are two or more, and "
        "every worker where --workers or TF_CONFIG names several",
        choices=("auto", "one_device", "mirrored", "multi_worker"),
    )
    virtual_devices: int = option(
        0,
        "logical CPU devices to train on as if they were GPUs; 0: none",
        minimum=0,
        maximum=64,
        only_with={"strategy": ("auto", "mirrored")},
    )
    workers: tuple[str, ...] | None = option(
        None,
        "addresses of all workers of the job as host:port,host:port,...; start this "
        "program once for each, with the same flags and the same --output_dir on a "
        "disk that all of them see",
        only_with={"strategy": ("auto", "multi_worker")},
        shapes_result=False,
    )
    worker_index: int | None = option(
        None,
        "which of --workers this process is; 0 writes the files",
        minimum=0,
        maximum=LARGE,
        shapes_result=False,
    )
    worker_timeout: float = option(
        600.0,
        "seconds to wait for the other workers of the job to start",
        above=0,
        maximum=LARGE,
        only_with={"strategy": ("auto", "multi_worker")},
        shapes_result=False,
    )
    mixed_precision: str = option(
        "none",
        "type that the networks compute in; weights, KL and likelihood stay float32",
        choices=("none", "bfloat16", "float16"),
    )
    jit_compile: bool = option(False, "compile the step with XLA")

    image_every: int = option(
        1, "epochs between pictures; 0: none", group="Output", minimum=0, maximum=LARGE
    )
    output_dir: str | None = option(
        None,
        "folder of the run; saved_models/<dataset>-<model>-z<latent_dim> if not given",
        shapes_result=False,
    )
    overwrite: bool = option(
        False, "throw away what the folder of the run holds", shapes_result=False
    )
    stretch_schedule: bool = option(
        False,
        "go on with a complete run for more --epochs though its schedules, which are "
        "as long as the run, take the learning rate up (or the capacity down) again",
        shapes_result=False,
    )
    init_from: str | None = option(None, "folder of a run whose networks are the start")
    init_latents: str = option(
        "none",
        "where latents start",
        choices={
            "none": "where random networks put them",
            "isomap": "at Isomap's embedding of 2,000 examples, to unroll sheets",
        },
        only_with={"init_from": (None,)},
    )
    rescale_latents: bool = option(
        False,
        "once trained, shift and scale each latent dimension so that the means and "
        "variances of the training examples' latents are the prior's; the decoder "
        "takes it back, so that nothing else changes",
        only_with={"prior": ("standard_normal",), "posterior": ("diagonal",)},
    )
