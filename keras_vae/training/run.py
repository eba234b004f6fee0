"""A run from beginning to end: data, model, training, evaluation, export."""

import dataclasses
import platform
import signal
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_vae
from keras_vae import files
from keras_vae.data import datasets, pipeline
from keras_vae.data.datasets import Data, Split
from keras_vae.evaluation import samplers
from keras_vae.evaluation.latents import active_units
from keras_vae.models.vae import VAE
from keras_vae.training import folder as folders
from keras_vae.training import pictures, start, strategies, tensorboard
from keras_vae.training.build import build_model
from keras_vae.training.callbacks import (
    CompletionImages,
    InterpolationImages,
    ReconstructionImages,
    SampleImages,
)
from keras_vae.training.config import TrainConfig
from keras_vae.training.folder import RunFolder
from keras_vae.training.resume import KeepState
from keras_vae.training.selection import BestSoFar
from keras_vae.training.targets import condition_of, targets

_EVALUATION_SEED = 1  # of the binarisation of validation and test images
_COLLAPSED_KL = 0.1  # nats; below, the decoder gets nothing from z

Say = Callable[[str], None]


def train(
    config: TrainConfig, explicit: frozenset[str] = frozenset(), say: Say = str
) -> RunFolder:
    """Trains as a configuration says, or continues where a killed run stopped.

    Args:
        config: The flags.
        explicit: Names of the flags that the user gave.
        say: Takes the lines a person should read, one at a time.

    Returns:
        The folder of the run, which is complete then.

    Raises:
        ValueError: If the flags, the data and the folder do not go together; nothing
            has been written then.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, once the state is saved.
    """
    folder = folders.find(config)
    if folder.is_complete and not config.overwrite:
        say(f"{folder.path} is complete; --overwrite trains it anew.")
        return folder
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = strategies.create(config.strategy, config.virtual_devices)
    data = datasets.load(
        config.dataset,
        data_kind=config.data_kind,
        label_column=config.label_column,
        validation_fraction=config.validation_fraction,
        seed=config.seed,
    )
    config = _with_batch_that_fits(config, explicit, len(data.train), say)
    steps = pipeline.num_batches(len(data.train), config.batch_size)
    keras.utils.set_random_seed(config.seed)
    policy = keras.config.dtype_policy()
    if config.mixed_precision != "none":
        keras.config.set_dtype_policy(f"mixed_{config.mixed_precision}")
    try:
        with strategy.scope():
            condition = condition_of(config, data)
            model = build_model(config, data.input_shape, steps, condition)
            for split in (data.train, data.validation, data.test):
                if split is not None:
                    model.check_examples(split.x)
            resumes = folder.checkpoint.exists() and not config.overwrite
            networks = {} if resumes else start.read_networks(config, model)
            folder.claim()
            try:
                return _train(config, folder, data, model, networks, steps, say)
            finally:
                folder.release()
    finally:
        keras.config.set_dtype_policy(policy)


def _train(
    config: TrainConfig,
    folder: RunFolder,
    data: Data,
    model: VAE,
    networks: start.Weights,
    steps: int,
    say: Say,
) -> RunFolder:
    if config.overwrite:
        folder.clear()
    environment = _environment(model)
    files.write_text(folder.config, config.to_json(environment))
    monitored = data.validation or data.test
    held = None if monitored is None else _fixed(monitored, config)
    selection = (
        {"best": BestSoFar(config.early_stopping_patience)}
        if data.validation is not None
        else {}
    )
    keep = KeepState(folder, steps, selection, interrupt=_interrupter(folder, say))
    keep.set_model(model)
    if keep.restore():
        say(f"Continuing {folder.path} after {keep.epoch} of {config.epochs} epochs.")
    else:
        given = targets(config, data.train)
        model.adapt(_adapted(data.train.x, config), given)
        start.set_networks(model, networks)
        say(_described(config, folder, data, model))
    batches = pipeline.batches(
        data.train.x,
        targets(config, data.train),
        batch_size=config.batch_size,
        seed=config.seed,
        start_step=int(model.step),
        binarize=config.binarize,
    )
    before = keep.handle_signals()
    try:
        if not keep.finished:
            model.fit(
                batches,
                steps_per_epoch=steps,
                epochs=config.epochs,
                initial_epoch=keep.epoch,
                validation_data=None if held is None else _batched(held, config),
                callbacks=[
                    keep,
                    *selection.values(),
                    *_watchers(config, folder, data, held, model),
                ],
            )
        return _finish(config, folder, data, model, keep, say)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _finish(
    config: TrainConfig,
    folder: RunFolder,
    data: Data,
    model: VAE,
    keep: KeepState,
    say: Say,
) -> RunFolder:
    part = "test" if data.test is not None else "training"
    split = data.test or data.train
    examples = _fixed(split, config)
    figures = model.evaluate(_batched(examples, config), verbose=0, return_dict=True)
    given = targets(config, examples)
    z_mean = model.encode(
        _head(examples.x, 10_000), None if given is None else given[:10_000]
    )
    metrics = {
        "part": part,
        "num_examples": len(examples),
        **_loss_figures(figures),
        "active_units": int(active_units(z_mean).sum()),
        "epochs": keep.epoch,
        "seconds": round(keep.total_seconds(), 2),
    }
    if not model.has_kl:  # it generates from its latents, having no prior
        z = samplers.posterior_draws(model, _head(data.train.x, samplers.MAX_EXAMPLES))
        model.set_aggregate(samplers.fit_density(z))
    pictures.write_final(folder, model)
    with files.written_aside(folder.model) as aside:
        model.save(aside)
    model.export(folder.saved_model)
    folder.write_metrics(metrics)
    folder.finish()
    say(_summary(folder, metrics, config))
    return folder


def _loss_figures(figures: dict[str, float]) -> dict[str, float]:
    """What `metrics.json` says of the loss; an autoencoder has neither KL nor ELBO."""
    reconstruction = {"reconstruction_loss": figures["reconstruction_loss"]}
    if "kl_loss" not in figures:
        return reconstruction
    neg_elbo = figures["reconstruction_loss"] + figures["kl_loss"]
    return {"neg_elbo": neg_elbo, **reconstruction, "kl_loss": figures["kl_loss"]}


def _with_batch_that_fits(
    config: TrainConfig, explicit: frozenset[str], examples: int, say: Say
) -> TrainConfig:
    if config.batch_size <= examples:
        return config
    if "batch_size" in explicit:
        raise ValueError(
            f"--batch_size: expected at most {examples}, the number of training "
            f"examples, got {config.batch_size}: give a smaller one or leave it out."
        )
    say(f"Note: batches hold {examples} examples, all there are for training.")
    return dataclasses.replace(config, batch_size=examples)


def _fixed(split: Split, config: TrainConfig) -> Split:
    """Held-out examples: binarised once, from a fixed seed, if at all."""
    if config.binarize in ("none", "threshold") or hasattr(split.x, "gather"):
        return split
    drawn = pipeline.binarize_once(split.x, _EVALUATION_SEED)
    return dataclasses.replace(split, x=drawn)


def _batched(split: Split, config: TrainConfig) -> tf.data.Dataset:
    streamed = hasattr(split.x, "gather") and config.binarize == "dynamic"
    binarize = "static" if streamed else config.binarize
    return pipeline.batches(
        split.x,
        targets(config, split),
        batch_size=min(config.batch_size, len(split)),
        shuffle=False,
        repeat=False,
        seed=_EVALUATION_SEED,
        binarize="none" if binarize == "dynamic" else binarize,
    )


def _adapted(x: Any, config: TrainConfig) -> Any:
    if config.binarize == "threshold" and not hasattr(x, "gather"):
        return (datasets.to_unit(x) >= 0.5).astype(np.float32)
    return x


def _head(x: Any, count: int) -> np.ndarray:
    return x.head(count) if hasattr(x, "head") else x[:count]


def _watchers(
    config: TrainConfig, folder: RunFolder, data: Data, held: Split | None, model: VAE
) -> list[keras.callbacks.Callback]:
    """TensorBoard and the pictures, in the order in which they look."""
    watchers: list[keras.callbacks.Callback] = [
        tensorboard.for_run(config, folder, data, held)
    ]
    if not config.image_every:
        return watchers
    split = held or data.train
    x = datasets.to_unit(_head(split.x, 10))
    given = targets(config, split)
    conditions = pictures.conditions(model, x, None if given is None else given[:64])
    log_dir = folder.logs / "images"
    options = {"every": config.image_every, "log_dir": log_dir}
    watchers += [
        ReconstructionImages(
            folder.images / "reconstruction",
            x,
            condition=conditions.of_examples,
            **options,
        ),
        InterpolationImages(
            folder.images / "interpolation",
            x[0],
            x[min(1, len(x) - 1)],
            condition=conditions.of_first,
            **options,
        ),
    ]
    if pictures.completes(model):
        watchers.append(CompletionImages(folder.images / "completion", x, **options))
    elif model.has_kl:  # else there is no prior to draw from
        samples = {**conditions.of_samples, **options}
        watchers.append(SampleImages(folder.images / "samples", **samples))
    return watchers


def _interrupter(folder: RunFolder, say: Say) -> Callable[[int], None]:
    from keras_vae.training.flags import Terminated

    def interrupt(number: int) -> None:
        say(f"\nStopped; the same command continues {folder.path}.")
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    return interrupt


def _environment(model: VAE) -> dict[str, Any]:
    strategy = model.distribute_strategy
    return {
        "keras_vae": keras_vae.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "replicas": strategy.num_replicas_in_sync,
    }


def _described(config: TrainConfig, folder: RunFolder, data: Data, model: VAE) -> str:
    counts = {
        name: f"{network.count_params():,}"
        for name, network in (("encoder", model.encoder), ("decoder", model.decoder))
    }
    parts = [
        f"{len(split):,} {name}"
        for name, split in (
            ("training", data.train),
            ("validation", data.validation),
            ("test", data.test),
        )
        if split is not None
    ]
    shape = "x".join(map(str, data.input_shape))
    return (
        f"Data:   {data.name}, {data.kind} of {shape}; {', '.join(parts)}\n"
        f"Model:  {config.model}, {config.latent_dim} latent dimensions; encoder "
        f"{config.encoder} with {counts['encoder']} parameters, decoder "
        f"{config.decoder} with {counts['decoder']}; "
        f"{type(model.likelihood).__name__} likelihood\n"
        f"Run:    {folder.path}, {config.epochs} epochs of "
        f"{pipeline.num_batches(len(data.train), config.batch_size)} steps"
    )


def _summary(folder: RunFolder, metrics: dict[str, Any], config: TrainConfig) -> str:
    part, reconstruction = metrics["part"], metrics["reconstruction_loss"]
    kl = metrics.get("kl_loss")
    lines = [
        "",
        f"Reconstruction loss of the {part} part: {reconstruction:.2f} nats"
        if kl is None
        else f"-ELBO of the {part} part: {metrics['neg_elbo']:.2f} nats = "
        f"reconstruction {reconstruction:.2f} + KL {kl:.2f}",
        f"Active units: {metrics['active_units']} of {config.latent_dim}; "
        f"{metrics['epochs']} epochs in {metrics['seconds']:.0f} s",
    ]
    if metrics["active_units"] == 0 or (kl is not None and kl < _COLLAPSED_KL):
        lines.append(
            "Warning: the latent space is not used (posterior collapse). Try "
            "--kl_schedule linear, --free_bits 0.1, a smaller --beta or a smaller "
            "decoder."
        )
    script = "python scripts/generate.py --saved_model"
    lines += [
        f"Wrote {folder.path}: model.keras, saved_model/, history.csv, metrics.json, "
        "images/, logs/",
        f"Next: {script} {folder.saved_model} --num 64 --out grid.png",
    ]
    return "\n".join(lines)
