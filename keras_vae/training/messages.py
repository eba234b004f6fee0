"""What a run says to the person who started it."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_vae.commands import command
from keras_vae.data.checks import one_line
from keras_vae.data.datasets import Data
from keras_vae.engine import workers
from keras_vae.engine.divergence import Diverged
from keras_vae.models import registry
from keras_vae.models.vae import VAE
from keras_vae.training.config import TrainConfig
from keras_vae.training.folder import RunFolder
from keras_vae.training.resume import KeepState
from keras_vae.training.selection import BestSoFar

_COLLAPSED_KL = 0.1  # nats; below, the decoder gets nothing from z


def complete(folder: RunFolder) -> str:
    """Of a run that is over."""
    return (
        f"{folder.path} is complete. Give more --epochs to train it on, choose another "
        "--output_dir, or --overwrite to train it anew."
    )


def waits() -> str:
    """Of a worker of several, before it begins."""
    return "Waiting for the other workers of the job to start."


def follows(strategy: tf.distribute.Strategy) -> str:
    """Of a worker that is not the first of its job."""
    addresses = workers.cluster(strategy)
    return (
        f"Worker {workers.index(strategy)} of {len(addresses)}: worker 0 "
        f"({addresses[0]}) writes the files and says how it goes."
    )


def not_connected(index: int, error: tf.errors.OpError) -> str:
    """Of workers that came and then could not be connected."""
    reason = one_line(error)
    return (
        f"TensorFlow could not connect worker {index} to the others ({reason}), so it "
        "has stopped. Start the same command on every worker again."
    )


def other_data(
    strategy: tf.distribute.Strategy, number: int, names: Sequence[str]
) -> str:
    """Of a worker whose data are not those of the first."""
    return (
        f"The data of worker {number} ({workers.cluster(strategy)[number]}) are not "
        f"those of worker 0: it has other {' and other '.join(names)}. Give all "
        "workers the same --dataset."
    )


def described(
    config: TrainConfig, folder: RunFolder, data: Data, model: Any, steps: int
) -> str:
    """Of a run that begins: the data, the model and its size, where it goes."""
    parts = [f"{len(split):,} {name}" for name, split in data.splits.items()]
    shape = "x".join(map(str, data.input_shape))
    batch = _counted(config.examples_per_update, "example")
    lines = [
        f"Data:   {data.name}, {data.kind} of {shape}; {', '.join(parts)}",
        f"Model:  {_networks(config, model)}; {type(model.likelihood).__name__} "
        "likelihood",
        f"Run:    {folder.path}, {_counted(config.epochs, 'epoch')} of "
        f"{_counted(steps, 'step')} of {batch}",
    ]
    replicas = model.distribute_strategy.num_replicas_in_sync
    if replicas > 1:
        lines[-1] += f" on {replicas} devices"
        if hosts := len(workers.cluster(model.distribute_strategy)):
            lines[-1] += f" of {hosts} workers"
        if config.batch_norm:
            lines.append(
                "Note:   batch normalisation takes its statistics on each device by "
                "itself, so this is not quite the run that one device would make."
            )
    elif config.accumulate_steps > 1 and config.batch_norm:
        lines.append(
            "Note:   batch normalisation takes its statistics of each microbatch by "
            "itself, so this is not quite the run of the whole batch."
        )
    if config.has_schedule:
        lines.append(_of_schedule(config, data))
    return "\n".join(lines)


def _networks(config: TrainConfig, model: VAE) -> str:
    """Says how large z is, and what networks there are."""
    if model.latent_groups:
        groups = len(model.latent_groups)
        return (
            f"{config.model}, {model.z_dim:,} latent dimensions in {groups} groups, "
            f"{config.latent_dim} at the top; networks with {model.count_params():,} "
            "parameters"
        )
    encoder, decoder = (
        f"{name} with {network.count_params():,} parameters"
        for name, network in (
            (f"{config.encoder} encoder", model.encoder),
            (f"{config.decoder} decoder", model.decoder),
        )
    )
    return (
        f"{config.model}, {config.latent_dim} latent dimensions; {encoder}; {decoder}"
    )


def _of_schedule(config: TrainConfig, data: Data) -> str:
    """Which weight the losses have, of a run with a weight that changes."""
    part, split = data.monitored
    final = "" if split is None else f", the {part} loss the final one"
    if config.kl_schedule == "constant":
        return f"Note:   the training loss has the capacity of the moment{final}."
    note = (
        f"Note:   the training loss has the KL weight of the moment{final}; -ELBO "
        "weighs the KL with 1."
    )
    if config.kl_warmup_epochs > config.epochs:
        note += (
            f" It is full after --kl_warmup_epochs {config.kl_warmup_epochs:g}, later "
            "than this run ends, so samples of the prior will be poor: give fewer of "
            "these, or more --epochs."
        )
    return note


def continuing(folder: RunFolder, keep: KeepState, config: TrainConfig) -> str:
    """Of a run that goes on from its checkpoint."""
    if keep.finished:
        return f"Continuing {folder.path}: it is trained, but not yet exported."
    return f"Continuing {folder.path} in epoch {keep.epoch + 1} of {config.epochs}."


def kept(best: BestSoFar, epoch: int, config: TrainConfig) -> str:
    """Of a run whose weights were chosen by its validation loss."""
    early = f"Stopped after epoch {epoch}. " if epoch < config.epochs else ""
    return (
        f"{early}Kept the weights of epoch {best.best_epoch}, whose validation loss is "
        f"the lowest, {best.best:.2f}."
    )


def stopped(folder: RunFolder, config: TrainConfig) -> str:
    """Of a run that a signal ended."""
    without = " without --overwrite" if config.overwrite else ""
    return f"\nStopped. The same command{without} continues {folder.path}."


def diverged(folder: RunFolder, error: Diverged, config: TrainConfig) -> str:
    """Of a run that met a number that is not finite."""
    norm = config.clipnorm / 10 if config.clipnorm else 1
    return (
        f"\nThe weights of step {error.step - 1}, the last good ones, are in "
        f"{folder.model}. Try --overwrite --clipnorm {norm:g}, or a smaller "
        "--learning_rate."
    )


def not_written(folder: RunFolder, error: OSError) -> str:
    """Of a run whose files could not be written: what is wrong, what is safe."""
    where = f"{error.filename}: " if error.filename else ""
    return (
        f"{where}{error.strerror or error}. What {folder.path} holds is whole; once "
        "it can be written again, the same command continues from its last checkpoint."
    )


def too_large(config: TrainConfig) -> str:
    """Of a run that does not fit into the device's memory."""
    return (
        "The memory of the device is too small for this run: choose a --batch_size "
        f"below {config.batch_size}, fewer --num_samples or smaller networks."
    )


def no_room(config: TrainConfig, needed: int = 0, free: int | None = None) -> str:
    """Of networks that are too large for the memory there is.

    Args:
        config: The flags.
        needed: Bytes that their weights take in training, at least; 0: not known.
        free: Bytes that are free.
    """
    sizes = ""
    if free is not None:
        sizes = (
            f": training them takes {needed / 1e9:,.1f} GB and more, and "
            f"{free / 1e9:,.1f} GB are free"
        )
    dense = {config.encoder, config.decoder} & {"mlp", "resmlp"}
    advice = "--encoder conv (for images; conv1d for sequences), " if dense else ""
    return (
        f"The networks are too large for the memory there is{sizes}. Choose {advice}"
        "smaller --hidden_units, or smaller examples."
    )


def no_density() -> str:
    """Of a model to whose latents no density can be fitted."""
    return (
        "Note:   no density was fitted to the latents, which are not finite: there is "
        "no generate.py --sampler aggregate."
    )


def summary(folder: RunFolder, metrics: dict[str, Any], config: TrainConfig) -> str:
    """Of a run that is complete: the metrics, and what to do next."""
    part, reconstruction = metrics["part"], metrics["reconstruction_loss"]
    kl = metrics.get("kl_loss")
    lines = [
        "",
        f"Reconstruction loss of the {part} split: {reconstruction:.2f} nats"
        if kl is None
        else f"-ELBO of the {part} split: {metrics['neg_elbo']:.2f} nats = "
        f"reconstruction {reconstruction:.2f} + KL {kl:.2f}",
        f"Active units: {metrics['active_units']} of {config.latent_dim}; "
        f"{_counted(metrics['epochs'], 'epoch')} in {metrics['seconds']:.0f} s",
    ]
    hierarchical = registry.MODELS[config.model].hierarchical
    unused = metrics["active_units"] == 0 and not hierarchical
    if unused or (kl is not None and kl < _COLLAPSED_KL):
        lines.append(
            "Warning: the latent space is not used (posterior collapse). Try "
            "--kl_schedule linear, --free_bits 0.1, a smaller --beta, a smaller "
            "decoder or more --epochs."
        )
    images = ", images/" if config.image_every else ""
    lines += [
        f"Wrote {folder.path}: model.keras, saved_model/, history.csv, metrics.json"
        f"{images}, logs/",
        "Next: "
        + command(
            *("generate", "--saved_model", folder.saved_model),
            *(*_condition(folder, config), "--num", "64", "--out", "grid.png"),
        ),
    ]
    return "\n".join(lines)


def _condition(folder: RunFolder, config: TrainConfig) -> tuple[Any, ...]:
    """The flag that gives `keras-vae generate` the condition of the model."""
    if config.condition is None:
        return ()
    if config.condition == "label":
        return "--label", "0"
    return "--condition", folder.condition


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count != 1)
