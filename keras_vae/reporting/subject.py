"""What the plots of a run share: encoded examples, classes, a plane to draw in.

Everything is worked out when it is first asked for, and once.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_vae.data.datasets import SPLITS, Split, to_unit
from keras_vae.errors import invalid_flag
from keras_vae.evaluation.samplers import top_posterior
from keras_vae.naming import nearest
from keras_vae.reporting.runs import Run
from keras_vae.visualization import latents, style

_TRAINING = 10_000  # training examples that neighbours are looked for among
_SHOWN = 5_000  # held-out examples in a scatter
_NUMBERS = 2**26  # of either that are read, where examples are large
_MOST_CLASSES = 100  # with more labels than this they are no classes to draw


class LeftOut(Exception):
    """Raised by a plot that makes no sense for a run; the text says why."""


@dataclasses.dataclass(frozen=True)
class Plane:
    """A flat map of the latent space.

    Attributes:
        origin: The latent at (0, 0), `(latent_dim,)`.
        axes: Steps in latent space for one unit to the right and up,
            `(1 or 2, latent_dim)`, orthogonal.
        labels: Of the axes.
        note: What else a reader should know; may be empty.
        names: Of the axes, as plain and short text.
    """

    origin: np.ndarray
    axes: np.ndarray
    labels: tuple[str, str]
    note: str = ""
    names: str = ""

    def place(self, z: np.ndarray) -> np.ndarray:
        """Returns where latents `(n, latent_dim)` lie, `(n, number of axes)`."""
        lengths = np.square(self.axes).sum(axis=1)
        return np.asarray((z - self.origin) @ self.axes.T / lengths)

    def latent(self, points: np.ndarray) -> np.ndarray:
        """Returns the latents `(n, latent_dim)` at points of the plane."""
        return np.asarray(self.origin + points @ self.axes, np.float32)


class Subject:
    """A run as the plots look at it.

    Args:
        run: The run.
        from_label: The class that arrow and interpolation start from, by name or
            number; None takes 0, or the first there is.
        to_label: The class that they end at; None takes 7, or the last there is.

    Raises:
        ValueError: If the data have no such class.
    """

    def __init__(
        self, run: Run, from_label: str | None = None, to_label: str | None = None
    ) -> None:
        self.run = run
        self.model = run.model
        self.shape = tuple(run.data.input_shape)
        self.latent_dim = int(run.model.latent_dim)
        self.is_image = run.data.kind == "images"
        self.split = SPLITS[run.held_out]
        self._given = from_label, to_label
        if from_label is not None or to_label is not None:
            self.ends  # noqa: B018  a wrong label is refused before any work

    # Examples.

    @functools.cached_property
    def train(self) -> Split:
        """Training examples, at most 10,000."""
        return self._examples("train", _TRAINING)

    @functools.cached_property
    def examples(self) -> Split:
        """Examples that were not trained on, at most 5,000."""
        return self._examples(self.run.held_out, _SHOWN)

    def _examples(self, split_name: str, most: int) -> Split:
        count = max(16, min(most, _NUMBERS // math.prod(self.shape)))
        split = self.run.examples(split_name, count)
        return dataclasses.replace(split, x=to_unit(split.x))

    @functools.cached_property
    def condition(self) -> Any:
        """What the examples are conditioned on; None for most models."""
        return self.run.condition(self.examples)

    # Classes.

    @functools.cached_property
    def labels(self) -> tuple[int, ...]:
        """The labels that occur, ascending; empty where there are no classes."""
        parts = [
            split.y for split in (self.train, self.examples) if split.y is not None
        ]
        found = np.unique(np.concatenate(parts)) if parts else np.zeros(0, int)
        found = found[found >= 0]
        return tuple(map(int, found)) if len(found) <= _MOST_CLASSES else ()

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of `labels`."""
        known = self.run.data.label_names
        return tuple(known[label] if known else str(label) for label in self.labels)

    def classes(self, split: Split) -> np.ndarray:
        """Returns the index in `labels` for each example, or -1; int `(n,)`."""
        self.need_classes()
        label = np.full(len(split), -1) if split.y is None else split.y
        indices = np.searchsorted(self.labels, label)
        indices = np.minimum(indices, len(self.labels) - 1)
        return np.where(np.take(self.labels, indices) == label, indices, -1)

    @functools.cached_property
    def shown_classes(self) -> np.ndarray | None:
        """Those of the examples, None where there are none."""
        return self.classes(self.examples) if self.labels else None

    def need_classes(self) -> None:
        """Raises `LeftOut` where the data have no classes."""
        if not self.labels:
            raise LeftOut("it needs examples with class labels")

    @functools.cached_property
    def ends(self) -> tuple[int, int]:
        """Indices in `labels` of the classes to go from and to."""
        last = len(self.labels) - 1
        usual = self.labels.index(7) if 7 in self.labels else last
        flags = zip(("from_label", "to_label"), self._given, (0, usual), strict=True)
        start, end = (
            default if given is None else self._index_of(flag, given)
            for flag, given, default in flags
        )
        return start, end

    def _index_of(self, flag: str, given: str) -> int:
        if given in self.names:
            return self.names.index(given)
        if given.isdecimal() and int(given) in self.labels:
            return self.labels.index(int(given))
        if not self.labels:
            raise invalid_flag(
                flag,
                f"none, since {self.run.config['dataset']!r} has no class labels",
                repr(given),
            )
        shown = ", ".join(self.names[:20]) + ", ..." * (len(self.names) > 20)
        raise invalid_flag(
            flag,
            f"a class of the data, one of {shown}",
            repr(given),
            nearest(given, self.names),
        )

    @functools.cached_property
    def typical(self) -> np.ndarray:
        """Rows of examples, each the nearest to the mean latent of its class.

        A row for each class, -1 where no example is of it. Without classes rows
        evenly chosen, ten at most.
        """
        if self.shown_classes is None:
            n = len(self.examples)
            return np.linspace(0, n - 1, min(n, 10)).astype(np.int64)
        rows = np.full(len(self.labels), -1)
        means = latents.class_means(self.z, self.shown_classes, len(rows))
        for index, mean in enumerate(means):
            members = np.flatnonzero(self.shown_classes == index)
            if len(members):
                distance = np.square(self.z[members] - mean).sum(axis=1)
                rows[index] = members[np.argmin(distance)]
        return rows

    @functools.cached_property
    def pair(self) -> tuple[int, int]:
        """Rows of two examples to go between: typical of each end's class."""
        if not self.labels:
            return 0, min(1, len(self.examples) - 1)
        for index in self.ends:
            if self.typical[index] < 0:
                name = self.names[index]
                raise LeftOut(f"no {self.split} example is of class {name}")
        first, last = (int(self.typical[index]) for index in self.ends)
        return first, last

    @property
    def way(self) -> str:
        """Says in a title what the way between `pair` is."""
        if not self.labels:
            return f"from {self.split} example {self.pair[0]} to {self.pair[1]}"
        start, end = (self.names[index] for index in self.ends)
        return f"from a {self.split} example of class {start} to one of class {end}"

    def varied(self, count: int) -> np.ndarray:
        """Returns rows of `count` examples, or all: each class in its turn."""
        n = len(self.examples)
        if self.shown_classes is None:
            return np.linspace(0, n - 1, min(n, count)).astype(np.int64)
        classes = self.shown_classes
        turn = np.zeros(n, np.int64)  # how many of its class come before it
        for index in np.unique(classes):
            members = classes == index
            turn[members] = np.arange(members.sum())
        unknown = classes < 0
        return np.lexsort((classes, turn + n * unknown))[:count]

    # Latents.

    @functools.cached_property
    def posterior(self) -> tuple[np.ndarray, np.ndarray]:
        """z_mean and z_log_var of the examples, `(n, latent_dim)` each."""
        # Of hierarchies the top: what is below follows it, in all plots.
        return top_posterior(self.model, self.examples.x, self.condition)

    @property
    def z(self) -> np.ndarray:
        """Posterior means of the examples, `(n, latent_dim)`."""
        return self.posterior[0]

    @functools.cached_property
    def z_train(self) -> np.ndarray:
        """Posterior means of the training examples, `(n, latent_dim)`."""
        condition = self.run.condition(self.train)
        return top_posterior(self.model, self.train.x, condition)[0]

    @functools.cached_property
    def has_kl(self) -> bool:
        """Whether z is drawn, so that there is a KL to speak of."""
        return bool(getattr(self.model, "has_kl", True))

    @functools.cached_property
    def kl(self) -> np.ndarray:
        """Mean KL of each latent dimension in nats, `(latent_dim,)`.

        To the prior where it factorises. Else, and for conditional priors, to the
        normal that has the mean and the variance of all z: no prior of independent
        normals comes nearer.
        """
        if not self.has_kl:
            raise LeftOut("this model's z is a function of x, so it has no KL")
        z_mean, z_log_var = (part.astype(np.float64) for part in self.posterior)
        mean, variance = np.zeros(self.latent_dim), np.ones(self.latent_dim)
        if not self.prior_is_standard:
            mean = z_mean.mean(axis=0)
            variance = z_mean.var(axis=0) + np.exp(z_log_var).mean(axis=0)
        ratio = (np.square(z_mean - mean) + np.exp(z_log_var)) / variance
        return np.asarray(
            0.5 * (ratio - 1.0 + np.log(variance) - z_log_var).mean(axis=0)
        )

    @functools.cached_property
    def order(self) -> np.ndarray:
        """Latent dimensions, the one of highest KL first, `(latent_dim,)`.

        Without a KL it is the one that varies most.
        """
        weight = self.kl if self.has_kl else self.z.var(axis=0)
        return np.argsort(-weight, kind="stable")

    @functools.cached_property
    def prior_is_standard(self) -> bool:
        """Whether p(z) = N(0, I), so that -2 to 2 is where most of it is."""
        return self.has_kl and bool(self.model.has_standard_prior)

    @functools.cached_property
    def centre(self) -> np.ndarray:
        """Where the prior has its middle; else the middle of all z, `(latent_dim,)`."""
        if self.prior_is_standard:
            return np.zeros(self.latent_dim)
        return np.asarray(self.z.mean(axis=0), np.float64)

    @functools.cached_property
    def unit(self) -> np.ndarray:
        """The prior's standard deviation; else that of all z, `(latent_dim,)`."""
        if self.prior_is_standard:
            return np.ones(self.latent_dim)
        return np.maximum(self.z.std(axis=0), 1e-3).astype(np.float64)

    @functools.cached_property
    def decoder_plane(self) -> Plane:
        """The two dimensions of highest KL, the others at the centre; to decode."""
        dims = self.order[:2] if self.latent_dim > 2 else np.arange(self.latent_dim)
        axes = np.zeros((len(dims), self.latent_dim))
        axes[np.arange(len(dims)), dims] = self.unit[dims]
        unit = "" if self.prior_is_standard else " (standard deviations)"
        labels = [f"$z_{{{dim}}}${unit}" for dim in dims] + [""]
        note = ""
        if self.latent_dim > 2:
            most = "highest KL" if self.has_kl else "most variance"
            rest = "0" if self.prior_is_standard else "at their mean"
            note = f"two dimensions of {most}, the others {rest}"
        names = ", ".join(f"z{dim}" for dim in dims)
        return Plane(self.centre, axes, (labels[0], labels[1]), note, names)

    @functools.cached_property
    def map(self) -> Plane:
        """Where examples are drawn: the dimensions themselves, or principal ones."""
        if self.latent_dim <= 2:
            names = [f"$z_{{{dim}}}$" for dim in range(self.latent_dim)] + ["class"]
            zeros = np.zeros(self.latent_dim)
            return Plane(zeros, np.eye(self.latent_dim), (names[0], names[1]))
        axes, share = latents.principal_plane(self.z)
        labels = [
            f"principal component {index + 1} of z ({part:.0%} of the variance)"
            for index, part in enumerate(share)
        ]
        note = "principal components"
        return Plane(self.z.mean(axis=0), axes, (labels[0], labels[1]), note)

    def on_map(self, z: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
        """Returns where latents are drawn, `(n, 2)`; one dimension becomes rows."""
        points = self.map.place(z)
        return latents.strip(points[:, 0], classes) if points.shape[1] == 1 else points

    @functools.cached_property
    def map_limits(self) -> tuple[Any, Any]:
        """(low, high) of both axes of the map."""
        points = self.map.place(self.z)
        bound = style.fixed_limit(points)
        if points.shape[1] == 2:
            return (-bound, bound), (-bound, bound)
        return (-bound, bound), (max(len(self.labels), 1) - 0.5, -0.5)

    # The decoder.

    def decode(
        self, z: np.ndarray, rows: int | Sequence[int] | np.ndarray | None = None
    ) -> np.ndarray:
        """Decodes `(n, latent_dim)`, under the conditions of examples.

        Args:
            z: Latents.
            rows: Of the examples, one for all latents or one for each; None takes
                the first of `pair`.
        """
        if self.condition is None:
            return np.asarray(self.model.decode(z))
        rows = self.pair[0] if rows is None else rows
        given = self.condition[np.broadcast_to(rows, len(z))]
        return np.asarray(self.model.decode(z, given))

    @property
    def is_given_labels(self) -> bool:
        """Whether the model is conditioned on labels."""
        given = self.condition
        return given is not None and bool(np.issubdtype(given.dtype, np.integer))

    def given(self, row: int | None = None) -> str:
        """Returns what a title says of the condition that `decode` is under.

        Args:
            row: Of the examples; None takes the first of `pair`.
        """
        if self.condition is None:
            return ""
        row = self.pair[0] if row is None else row
        if not self.is_given_labels:
            return f", given the condition of {self.split} example {row}"
        return f", given class {self._name_of(int(self.condition[row]))}"

    @property
    def given_at_ends(self) -> str:
        """What the title of a way says of conditions: each half has that of its end."""
        if self.condition is None:
            return ""
        what = "class" if self.is_given_labels else "condition"
        return f", each half given the {what} of its end"

    def _name_of(self, label: int) -> str:
        known = self.run.data.label_names
        return known[label] if known and label < len(known) else str(label)

    def rows_of(self, split_condition: Any, rows: Sequence[int] | np.ndarray) -> Any:
        """Picks rows of a condition, which may be None."""
        return None if split_condition is None else split_condition[np.asarray(rows)]
