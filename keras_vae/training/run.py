"""A run from beginning to end: data, model, training, evaluation, export."""

import contextlib
import dataclasses
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae import files, model_card
from keras_vae.data import pipeline
from keras_vae.data.binarized import binarized
from keras_vae.data.datasets import Data, Split
from keras_vae.data.folder import broken_file
from keras_vae.engine import checkpoint, workers
from keras_vae.engine.averaging import WeightAverage
from keras_vae.engine.divergence import Diverged
from keras_vae.engine.signals import Terminated
from keras_vae.evaluation import agreement, samplers
from keras_vae.evaluation.latents import active_units
from keras_vae.models import mistakes
from keras_vae.models.state import dtype_policy_scope
from keras_vae.models.vae import VAE
from keras_vae.training import (
    adjustment,
    embedding,
    job,
    labels,
    messages,
    pictures,
    start,
)
from keras_vae.training import folder as folders
from keras_vae.training.build import build_model
from keras_vae.training.config import TrainConfig
from keras_vae.training.environment import environment
from keras_vae.training.folder import FolderLost, RunFolder
from keras_vae.training.monitoring import monitoring_callbacks
from keras_vae.training.progress import Progress
from keras_vae.training.rescaling import rescale_latents
from keras_vae.training.resume import KeepState
from keras_vae.training.selection import BestSoFar
from keras_vae.training.targets import condition_of, example_row, targets

_ENCODED = 10_000  # examples at most, to count the active units

Say = Callable[[str], None]


def train(
    config: TrainConfig,
    explicit: frozenset[str] = frozenset(),
    say: Say | None = None,
) -> RunFolder:
    """Trains as a configuration says, or continues where a killed run stopped.

    Args:
        config: The flags.
        explicit: Names of the flags that the user gave.
        say: Takes the lines a person should read, one at a time; None: nothing is
            shown, no progress either.

    Returns:
        The folder of the run, which is complete then.

    Raises:
        ValueError: If the flags, the data and the folder do not go together; nothing
            has been written then.
        OSError: If the folder cannot be written any more; what it holds is whole.
        Diverged: If a number was not finite; the last good weights are in the folder.
        WorkerMissing: If another worker of the job did not start in time.
        WorkerLost: If another worker of the job is gone.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, here or at another worker, once the
            state is saved.
    """
    tell: Say = say or (lambda line: None)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = job.strategy(config, tell)
    with workers.watched(strategy):
        if not workers.is_chief(strategy):
            tell(messages.follows(strategy))
            say = None
        return _train(config, explicit, say, strategy)


def _train(
    config: TrainConfig,
    explicit: frozenset[str],
    say: Say | None,
    strategy: tf.distribute.Strategy,
) -> RunFolder:
    tell: Say = say or (lambda line: None)
    folder, complete = job.folder(config, strategy)
    if complete:
        tell(messages.complete(folder))
        return folder
    loaded = job.load(config, explicit, tell, strategy)
    data, adjusted = loaded.data, loaded.config
    keras.utils.set_random_seed(config.seed)
    with _dtype_policy(config.mixed_precision), contextlib.ExitStack() as claim:
        condition = condition_of(adjusted, data)
        count = labels.examples_of_epoch(adjusted, data.train)
        with strategy.scope():
            model = build_model(adjusted, data.input_shape, count, condition)
        networks: start.Weights = {}

        def check() -> None:
            adjustment.check_examples(adjusted, data, model)
            if config.overwrite or not checkpoint.is_in(folder.checkpoint):
                networks.update(start.read_networks(adjusted, model))

        workers.together(strategy, check)

        def take() -> None:
            claim.enter_context(folder.claimed())
            folders.check(config, folder)  # it may have changed hands meanwhile

        workers.as_chief(strategy, take)
        run = _Run(config, adjusted, folder, data, loaded.digest, model, say)
        run.execute(networks)
    return folder


@dataclasses.dataclass
class _Run:
    """A run whose folder is claimed and whose model is built.

    `asked` is the configuration as it was given, which is the run's identity; `config`
    is what the data allow of it.
    """

    asked: TrainConfig
    config: TrainConfig
    folder: RunFolder
    data: Data
    digest: dict[str, str]
    model: VAE
    speak: Say | None

    def say(self, line: str) -> None:
        """Says a line, where there is someone to hear it."""
        if self.speak is not None:
            self.speak(line)

    def execute(self, networks: start.Weights) -> None:
        """Trains, evaluates and exports; the networks are what training starts from."""
        try:
            self._execute(networks)
        except FolderLost:
            raise
        except tf.errors.OpError as error:
            self._explain(error)
            raise
        except OSError as error:
            self.folder.require()
            raise OSError(messages.not_written(self.folder, error)) from error

    def _explain(self, error: tf.errors.OpError) -> None:
        """Says plainly what TensorFlow says of a want of room or of a broken image."""
        self.folder.require()
        for number in (errno.ENOSPC, errno.EDQUOT):
            reason = os.strerror(number)
            if reason in error.message:
                full = OSError(number, reason)
                raise OSError(messages.not_written(self.folder, full)) from error
        if isinstance(error, tf.errors.ResourceExhaustedError):
            raise ValueError(messages.too_large(self.config)) from error
        broken = broken_file(*(split.x for split in self.data.splits.values()))
        if broken is not None:
            raise broken from error

    def _execute(self, networks: start.Weights) -> None:
        resumes = workers.as_chief(self.strategy, self._prepare)
        selection = self._selection()
        keep = KeepState(
            self.folder,
            self.steps,
            self.config.epochs,
            selection,
            self._interrupt,
            writes=workers.is_chief(self.strategy),
            data=self.digest,
        )
        if not resumes:
            self._begin(networks)
        for callback in (keep, *selection.values()):
            callback.set_model(self.model)
        if resumes:
            keep.restore(self.say)
            workers.as_chief(self.strategy, self._write_config)
            if keep.extends and "best" in selection:
                selection["best"].wait = 0  # patience begins anew
            self.say(messages.continuing(self.folder, keep, self.config))
        with _signals(keep):
            if not keep.finished:
                self._fit(keep, selection)
            for callback in selection.values():
                callback.choose()
            if "best" in selection and selection["best"].best_epoch:
                self.say(messages.kept(selection["best"], keep.epoch, self.config))
            self._finish(keep)

    def _prepare(self) -> bool:
        """Makes the folder ready; returns whether there is a state to go on from."""
        if self.asked.overwrite:
            self.folder.clear()
        if checkpoint.is_in(self.folder.checkpoint):
            return True
        self._write_config()
        return False

    def _write_config(self) -> None:
        self.folder.reopen()
        files.write_text(self.folder.config, self.asked.to_json(self._environment()))

    @property
    def strategy(self) -> tf.distribute.Strategy:
        """What trains."""
        return self.model.distribute_strategy

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        count = labels.examples_of_epoch(self.config, self.data.train)
        return pipeline.num_batches(count, self.config.examples_per_update)

    def _selection(self) -> dict[str, Any]:
        """What decides which weights are kept, in the order in which it does."""
        selection: dict[str, Any] = {}
        if self.config.weight_average:
            selection["average"] = WeightAverage(self.config.weight_average)
        if self.data.validation is not None:
            selection["best"] = BestSoFar(
                self.config.early_stopping_patience,
                scheduled=self.config.has_schedule,
            )
        return selection

    def _begin(self, networks: start.Weights) -> None:
        x = self.data.train.x
        if self.config.binarize == "threshold":
            x = binarized(x, "threshold")  # other ways to binarise keep the mean
        self.model.adapt(x, targets(self.config, self.data.train))
        start.set_networks(self.model, networks)
        if self.config.init_latents == "isomap":
            embedding.start_at_isomap(self.model, x, self.config.seed)
        self.say(
            messages.described(
                self.config, self.folder, self.data, self.model, self.steps
            )
        )

    @mistakes.said()
    def _fit(self, keep: KeepState, selection: dict[str, Any]) -> None:
        held_out, monitored = self.data.monitored
        held = None if monitored is None else self._held_out(monitored)
        monitoring = monitoring_callbacks(
            self.config, self.folder, self.data, held, self.model, self.say
        )
        if "best" in selection:
            monitoring.insert(0, selection["best"])
        if "average" in selection:
            average = selection["average"]
            monitoring = [average, average.show, *monitoring, average.hide]
        if self.speak is not None:
            monitoring.append(self._progress(self.speak, held_out))
        splits = self.data.splits.values()
        self.model.checks_batches = not all(
            isinstance(split.x, np.ndarray) for split in splits
        )
        batches = pipeline.distributed(
            self.strategy,
            self.data.train.x,
            targets(self.config, self.data.train),
            batch_size=self.config.examples_per_update,
            seed=self.config.seed,
            start_step=int(self.model.step.numpy()),
            binarize=self.config.binarize,
            augment=adjustment.augmentation(self.config, self.model),
            rows=self.model.rows_of_epoch(self.data.train.y),
        )
        validation: dict[str, Any] = {}
        if held is not None:
            data, steps = self._batched(held)
            validation = {"validation_data": data, "validation_steps": steps}
        try:
            self.model.fit(
                batches,
                batch_size=self.config.examples_per_update,
                steps_per_epoch=self.steps,
                epochs=self.config.epochs,
                initial_epoch=keep.epoch,
                callbacks=[*monitoring, keep],
                verbose=0,
                **validation,
            )
        except Diverged as error:
            keep.write_history()
            if workers.is_chief(self.strategy):
                self._save_model()
            self.say(messages.diverged(self.folder, error, self.config))
            raise

    def _progress(self, say: Say, held_out: str) -> Progress:
        return Progress(
            say,
            held_out,
            scheduled=self.config.kl_schedule != "constant",
            terminal=sys.stdout if sys.stdout.isatty() else None,
        )

    def _finish(self, keep: KeepState) -> None:
        self.say("Evaluating and exporting.")
        x = _first(self.data.train.x, samplers.MAX_EXAMPLES)
        x = binarized(x, self.config.binarize)
        if self.config.rescale_latents:
            rescale_latents(self.model, x)
        metrics = {
            **self._metrics(),
            "epochs": keep.epoch,
            "seconds": round(keep.total_seconds(), 2),
        }
        given = targets(self.config, self.data.train)
        if hasattr(self.model, "predict_label"):  # most labels are not known
            given = np.argmax(self.model.predict_label(x), axis=1).astype(np.int32)
        metrics |= samplers.fit_aggregate(
            self.model, x, None if given is None else given[: len(x)]
        )
        if metrics["sampler"] == "none":
            self.say(messages.no_density())
        workers.as_chief(self.strategy, lambda: self._write(metrics))

    def _write(self, metrics: dict[str, Any]) -> None:
        """Leaves the trained model and what was measured of it in the folder."""
        self._save_model()  # first: nothing that follows may cost the model
        pictures.write_final(self.folder, self.model, self.data)
        self._write_condition()
        self.model.export(self.folder.saved_model)
        described = {
            **dataclasses.asdict(self.config),
            "environment": self._environment(),
        }
        model_card.write(self.folder.path, described, metrics, self.model, self.data)
        self.folder.require()
        self.folder.write_metrics(metrics)  # last: it says that the run is complete
        self.folder.require()
        self.say(messages.summary(self.folder, metrics, self.config))

    def _metrics(self) -> dict[str, Any]:
        """What is measured of the trained model."""
        part, split = self.data.measured
        examples = self._held_out(split)
        batches, steps = self._batched(examples)
        losses = self.model.evaluate(batches, steps=steps, verbose=0, return_dict=True)
        metrics: dict[str, Any] = {
            "part": part,
            "num_examples": len(examples),
        }
        if "kl_loss" in losses:  # an autoencoder has neither KL nor ELBO
            metrics["neg_elbo"] = losses["reconstruction_loss"] + losses["kl_loss"]
        for name in ("reconstruction_loss", "kl_loss", "accuracy"):
            if name in losses:
                metrics[name] = losses[name]
        given = targets(self.config, examples)
        given = labels.all_known(given)
        given = None if given is None else given[:_ENCODED]
        x = _first(examples.x, _ENCODED)
        z_mean, _ = samplers.top_posterior(self.model, x, given)
        standardized = agreement.standardized_means(self.model, z_mean, x, given)
        return {**metrics, "active_units": int(active_units(standardized).sum())}

    def _write_condition(self) -> None:
        """Keeps an example of what `keras-vae generate` is to be given."""
        row = example_row(self.config, self.data.measured[1], self.model)
        if row is not None:
            with files.written_aside(self.folder.condition) as aside:
                np.save(aside, row)

    def _save_model(self) -> None:
        self.folder.require()
        with files.written_aside(self.folder.model) as aside:
            self.model.save(aside)

    def _held_out(self, split: Split) -> Split:
        return dataclasses.replace(split, x=binarized(split.x, self.config.binarize))

    def _batched(self, held: Split) -> tuple[Any, int]:
        """Returns batches of held-out examples and how many hold all of them once."""
        size = min(self.config.batch_size, len(held))
        batches = pipeline.distributed(
            self.strategy,
            held.x,
            targets(self.config, held),
            batch_size=size,
            shuffle=False,
        )
        return batches, pipeline.num_batches(len(held), size)

    def _interrupt(self, number: int) -> None:
        self.say(messages.stopped(self.folder, self.asked))
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def _environment(self) -> dict[str, Any]:
        return {
            **environment(),
            "replicas": self.model.distribute_strategy.num_replicas_in_sync,
            "batch_size": self.config.batch_size,
        }


def _first(x: Any, count: int) -> Any:
    """The first examples, streamed if all are."""
    if isinstance(x, np.ndarray):
        return x[:count]
    return x.take(np.arange(min(count, len(x))))


def _dtype_policy(mixed_precision: str) -> contextlib.AbstractContextManager[None]:
    """Makes layers under the policy that the flag names, or the one there is."""
    if mixed_precision == "none":
        return dtype_policy_scope(keras.config.dtype_policy())
    return dtype_policy_scope(f"mixed_{mixed_precision}")


@contextlib.contextmanager
def _signals(keep: KeepState) -> Iterator[None]:
    before = keep.handle_signals()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
