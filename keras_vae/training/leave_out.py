"""Anomaly detection, tried out: one class at a time is kept from training."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from keras_vae.errors import invalid_flag
from keras_vae.training import rules
from keras_vae.training.options import Options, option

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class LeaveOutOptions(Options):
    """What is trained, once for each class."""

    dataset: str = option(
        "digits", "labelled data, a name or a path", group="Leaving one class out"
    )
    binarize: str = option(
        "none",
        "as in training",
        choices=("none", "threshold", "static", "dynamic"),
    )
    latent_dim: int = option(20, "latent dimensions", minimum=1, maximum=10_000)
    epochs: int = option(20, "of each training", minimum=1, maximum=100_000)
    batch_size: int = option(128, "examples a step", minimum=1, maximum=1_000_000)
    seed: int = option(0, "of weights, noise and order", minimum=0, maximum=2**31 - 1)
    num_samples: int = option(
        16, "samples of z for each example's score", minimum=1, maximum=10_000
    )
    out: str = option("anomaly.json", "file that the results are written to")
    device: str = rules.device_option()


def leave_out(
    options: LeaveOutOptions, say: Say | None = None
) -> list[dict[str, float]]:
    """Trains without each class in turn and says how well the model finds it.

    Args:
        options: The flags.
        say: Takes the lines a person should read, one at a time.

    Returns:
        The rows of `evaluation.anomaly.leave_one_class_out`.

    Raises:
        ValueError: If the data have no labels or no test split, or the file cannot be
            written.
        Diverged: If a training met numbers that are not finite.
    """
    # Late, because it starts TensorFlow: a bad flag is answered before that.
    import tensorflow as tf

    from keras_vae import files
    from keras_vae.data import datasets
    from keras_vae.data.binarized import binarized
    from keras_vae.data.folder import broken_file
    from keras_vae.evaluation.anomaly import leave_one_class_out

    say = say or (lambda line: None)
    files.require_file("--out", options.out, ".json")
    data = datasets.load(options.dataset)
    if data.test is None:
        raise invalid_flag(
            "dataset",
            "data with a test split, to find a class in",
            f"{options.dataset!r}, which has none",
        )
    names = data.label_names
    say(f"{'class':<12}{'examples':>9}{'-ELBO':>9}{'reconstruction':>16}  (AUROC)")

    def report(row: dict[str, float]) -> None:
        label = int(row["label"])
        say(_line(names[label] if names else str(label), row))

    fit = _fit(options, data)
    test = dataclasses.replace(data.test, x=binarized(data.test.x, options.binarize))
    try:
        rows = leave_one_class_out(data.train, test, fit, report, options.num_samples)
    except tf.errors.OpError as error:
        broken = broken_file(data.train.x, data.test.x)
        if broken is None:
            raise
        raise broken from error
    mean = {
        key: sum(row[key] for row in rows) / len(rows)
        for key in ("neg_elbo_auroc", "reconstruction_auroc")
    }
    say(_line("mean", mean))
    content = {"options": dataclasses.asdict(options), "mean": mean, "classes": rows}
    files.write_text(options.out, json.dumps(content, indent=2) + "\n")
    say(f"Wrote {options.out}.")
    return rows


def _line(name: str, row: dict[str, float]) -> str:
    count = f"{int(row['anomalies']):,d}" if "anomalies" in row else ""
    elbo, reconstruction = row["neg_elbo_auroc"], row["reconstruction_auroc"]
    return f"{name[:12]:<12}{count:>9}{elbo:>9.3f}{reconstruction:>16.3f}"


def _fit(options: LeaveOutOptions, data: Any) -> Callable[[Any], Any]:
    from keras_vae.data import pipeline
    from keras_vae.training.build import build_model
    from keras_vae.training.config import TrainConfig

    given = ("dataset", "binarize", "latent_dim", "epochs", "batch_size", "seed")
    config = TrainConfig.resolve({name: getattr(options, name) for name in given})

    def fit(x: Any) -> Any:
        size = min(options.batch_size, len(x))
        steps = pipeline.num_batches(len(x), size)
        model = build_model(config, data.input_shape, len(x))
        model.check_examples(x)
        model.adapt(x)
        batches = pipeline.batches(
            x, batch_size=size, seed=options.seed, binarize=options.binarize
        )
        model.fit(batches, epochs=options.epochs, steps_per_epoch=steps, verbose=0)
        return model

    return fit
