"""Latents in groups, laid out as one vector z, and normals that are given by normals.

A hierarchy draws z in groups, each given those before it (Sønderby et al. 2016). To all
that uses a model, z is one vector: the groups one after the other, the top first.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import tensorflow as tf

from keras_vae.noise import RowNoise
from keras_vae.probability.distributions import (
    LOG_VAR_LIMIT,
    NormalByRow,
    bound_log_var,
    to_float32,
)
from keras_vae.probability.functions import bounded

SHIFT_LIMIT = 10.0
"""How far the mean of a posterior can be from its prior's, in standard deviations."""
CHANGE_LIMITS = (-10.0, 3.0)
"""Of the log variance of a posterior less that of its prior."""


class LatentGroup(NamedTuple):
    """Latents that are drawn together."""

    name: str
    """Such as "top" or "7x7/2"."""
    shape: tuple[int, ...]
    """Of one example: (size,) of a vector, (..., channels) of maps."""
    resolution: str
    """The sides of its maps, such as "7x7"; "vector" where there are none, "top" of the
    first group."""

    @property
    def size(self) -> int:
        """How many numbers of z it has."""
        return math.prod(self.shape)


class LatentGroups(tuple[LatentGroup, ...]):
    """All groups of a model, in the order of z."""

    __slots__ = ()

    @classmethod
    def of_levels(
        cls,
        counts: Sequence[int],
        sizes: Sequence[tuple[int, ...]],
        top: int,
        channels: int,
    ) -> Self:
        """Names the groups of a hierarchy.

        Args:
            counts: How many groups each level has, from the top.
            sizes: The sides of the maps of each level, () for vectors.
            top: Numbers of a vector of the first level.
            channels: Numbers at each position of the others.
        """
        groups: list[LatentGroup] = []
        of_size: Counter[tuple[int, ...]] = Counter()
        for level, (size, count) in enumerate(zip(sizes, counts, strict=True)):
            for _ in range(count):
                of_size[size] += 1  # several levels have one size where sides are 1
                sides = "x".join(map(str, size)) or "vector"
                resolution = sides if groups else "top"
                name = f"{sides}/{of_size[size]}" if groups else "top"
                shape = (*size, channels if level else top)
                groups.append(LatentGroup(name, shape, resolution))
        return cls(groups)

    @property
    def z_dim(self) -> int:
        """How many numbers z has."""
        return sum(group.size for group in self)

    def sums(self, per_dimension: tf.Tensor) -> tf.Tensor:
        """Adds up within each group: (..., z_dim) to (..., groups)."""
        cut = tf.split(per_dimension, [group.size for group in self], axis=-1)
        return tf.stack([tf.reduce_sum(values, axis=-1) for values in cut], axis=-1)

    def by_resolution(self) -> dict[str, list[int]]:
        """The indices of the groups of each resolution, the top first."""
        found: dict[str, list[int]] = {}
        for index, group in enumerate(self):
            found.setdefault(group.resolution, []).append(index)
        return found

    def slices(self) -> Iterator[tuple[LatentGroup, slice]]:
        """Yields each group and where it is in z."""
        first = 0
        for group in self:
            yield group, slice(first, first + group.size)
            first += group.size


class GroupNormal(NamedTuple):
    """A diagonal normal of one group, flat: (batch, size) each."""

    mean: tf.Tensor
    log_var: tf.Tensor

    @classmethod
    def of(cls, mean: tf.Tensor, raw_log_var: tf.Tensor) -> "GroupNormal":
        """The normal that a network gives: (batch, *shape) each."""
        return cls(_flat(to_float32(mean)), bound_log_var(_flat(raw_log_var)))

    def moved(self, mean: tf.Tensor, log_var: tf.Tensor) -> "GroupNormal":
        """The normal that differs by so much, (batch, *shape) each.

        The mean by as many standard deviations, the variance by that log: a posterior
        relative to its prior (Vahdat and Kautz 2020, section 3.2). Both are bounded, so
        that an update that went too far costs tens of nats a number and not 1e6.
        """
        shifts = bounded(_flat(to_float32(mean)), -SHIFT_LIMIT, SHIFT_LIMIT)
        shift = shifts * tf.exp(0.5 * self.log_var)
        change = bounded(_flat(to_float32(log_var)), *CHANGE_LIMITS)
        # Below this limit float32 draws would not follow their own density.
        moved = tf.maximum(self.log_var + change, -LOG_VAR_LIMIT)
        return GroupNormal(self.mean + shift, moved)

    def sample(self, noise: RowNoise, temperature: float | tf.Tensor = 1.0) -> Any:
        """A reparameterised draw, (batch, size); the scale is times `temperature`."""
        scale = tf.exp(0.5 * self.log_var) * temperature
        return NormalByRow(self.mean, scale, noise).sample(1)[0]

    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """The log density of z, in nats, (batch,)."""
        standard = tf.square(z - self.mean) * tf.exp(-self.log_var)
        each = standard + self.log_var + math.log(2.0 * math.pi)
        return -0.5 * tf.reduce_sum(each, axis=-1)

    def kl(self, other: "GroupNormal") -> tf.Tensor:
        """KL(self || other) in closed form, for each dimension, (batch, size)."""
        ratio = self.log_var - other.log_var
        apart = tf.square(self.mean - other.mean) * tf.exp(-other.log_var)
        return 0.5 * (tf.exp(ratio) + apart - 1.0 - ratio)


def concatenated(groups: Sequence[GroupNormal]) -> GroupNormal:
    """The normal of all groups together, (batch, z_dim)."""
    means, log_vars = zip(*groups, strict=True)
    return GroupNormal(tf.concat(means, axis=-1), tf.concat(log_vars, axis=-1))


def _flat(x: tf.Tensor) -> tf.Tensor:
    size = math.prod(x.shape[1:])
    return tf.reshape(x, [-1, size])
