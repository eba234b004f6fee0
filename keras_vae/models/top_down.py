"""The top-down path of a hierarchy, which prior and posterior share."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_vae.models.terms import call_on_rows, repeated
from keras_vae.networks import hierarchy
from keras_vae.probability.latents import GroupNormal, LatentGroup, LatentGroups

Draw = Callable[[int, GroupNormal, GroupNormal | None], tf.Tensor]
"""Chooses z_l, (batch, size), of a group's number, its prior and its posterior."""


class Path(NamedTuple):
    """What a walk down the path found."""

    z: tf.Tensor
    """(batch, z_dim)"""
    priors: list[GroupNormal]
    """p(z_l | z_<l) of all groups."""
    posteriors: list[GroupNormal]
    """q(z_l | z_<l, x) of all groups; empty where there is no x."""
    end: tf.Tensor
    """Where the path ends: what the decoder is given."""


class TopDown(keras.layers.Layer):
    """The networks of the path, level by level and group by group.

    Args:
        groups: How many groups each level has, from the top.
        sizes: The sides of the maps of each level, () for vectors.
        latent_groups: All groups, in the order of z.
        width: Channels of the path.
        code_shape: Of the condition that enters at each level; None for none.
        options: `networks.Options` of all networks.
    """

    def __init__(
        self,
        groups: Sequence[int],
        sizes: Sequence[tuple[int, ...]],
        latent_groups: LatentGroups,
        width: int,
        code_shape: tuple[int, ...] | None,
        options: dict[str, Any],
    ) -> None:
        super().__init__(name="top_down")
        self._counts, self._width = tuple(groups), width
        self._layout = latent_groups
        self.start = hierarchy.start("start", width)
        self.ups = [
            hierarchy.up(f"up_{level}", *pair, width=width, **options)
            for level, pair in enumerate(zip(sizes[:-1], sizes[1:], strict=True), 1)
        ]
        networks = [
            hierarchy.group_networks(
                f"group_{index}",
                group.shape[:-1],
                group.shape[-1],
                width=width,
                **options,
            )
            for index, group in enumerate(latent_groups)
        ]
        self.priors, self.posteriors, self.merges, self._splits = map(
            list, zip(*networks, strict=True)
        )
        self.conditions: list[keras.Model] = []
        if code_shape is not None:
            self.conditions = [
                hierarchy.condition_bias(f"condition_{level}", code_shape, size, width)
                for level, size in enumerate(sizes)
            ]
        self.built = True

    def walk(
        self,
        draw: Draw,
        features: Sequence[tf.Tensor] | None = None,
        code: tf.Tensor | None = None,
        training: bool | None = None,
        z: tf.Tensor | None = None,
        num_samples: Any = 1,
    ) -> Path:
        """Walks down the path.

        Args:
            draw: Chooses z of each group that is not given.
            features: Bottom-up, by level; None where there is no x, so no posterior.
            code: Of the condition, (batch, ...), in conditional models.
            training: Whether networks are in training mode.
            z: Of the first groups, (batch, any number of whole groups), where given;
                of none of them, (batch, 0), where nothing else says the batch.
            num_samples: Samples of z of each example: how often the batch of features
                is walked with, the whole of it again and again. An int, or a scalar
                that a graph is given.
        """
        if features is not None:
            by_level = list(features)
            features = call_on_rows(self._by_group, by_level, training)
            if not isinstance(num_samples, int) or num_samples > 1:
                features = [repeated(feature, num_samples) for feature in features]
        inputs = {"features": features, "code": code, "z": z}
        inputs = {name: value for name, value in inputs.items() if value is not None}

        def steps(inputs: dict[str, Any], training: bool | None) -> Path:
            return self._steps(draw, inputs, training)

        found: Path = call_on_rows(steps, inputs, training)
        return found

    def _by_group(
        self, features: Sequence[tf.Tensor], training: bool | None
    ) -> list[tf.Tensor]:
        """What the posterior of each group is given of x."""
        counted = enumerate(self._counts)
        levels = [level for level, count in counted for _ in range(count)]
        splits = [self._split(index, training) for index in range(len(levels))]
        return [
            features[level] if split is None else split.of_features(features[level])
            for level, split in zip(levels, splits, strict=True)
        ]

    def _split(
        self, index: int, training: bool | None
    ) -> hierarchy.SplitPosterior | None:
        """A group's posterior for many h and one e; None in training."""
        split = self._splits[index]
        # A network that was put in the place of the posterior need not be linear.
        if training or split is None or split.network is not self.posteriors[index]:
            return None
        return split

    def _posterior_delta(
        self, index: int, h: Any, of_x: Any, training: bool | None
    ) -> Any:
        """What the posterior of a group adds to mean and log variance of its prior."""
        split = self._split(index, training)
        if split is not None:
            return split(h, of_x)
        return self.posteriors[index]([h, of_x], training=training)

    def top_prior(self, rows: Any, code: tf.Tensor | None) -> GroupNormal:
        """Returns p(z_top), or p(z_top | c), for so many rows."""
        return self._top(rows, code)[1]

    def top_posterior(
        self, feature: tf.Tensor, code: tf.Tensor | None, training: bool | None = None
    ) -> GroupNormal:
        """Returns q(z_top | x), of the bottom-up feature of the first level."""
        h, prior = self._top(tf.shape(feature)[0], code, training)
        split = self._split(0, training)
        of_x = feature if split is None else split.of_features(feature)
        return prior.moved(*self._posterior_delta(0, h, of_x, training))

    def _top(
        self, rows: Any, code: tf.Tensor | None, training: bool | None = None
    ) -> tuple[Any, GroupNormal]:
        """The path behind the prior of the first group, and that prior."""
        h = self.start(tf.zeros([rows, self._width]), training=training)
        h = self._enter(0, h, code, training)
        mean, log_var, more = self.priors[0](h, training=training)
        return h + more, GroupNormal.of(mean, log_var)

    def _enter(self, level: int, h: Any, code: Any, training: bool | None) -> Any:
        """The path where a level begins."""
        if level:
            h = self.ups[level - 1](h, training=training)
        if code is not None:
            h = h + self.conditions[level](code, training=training)
        return h

    def _steps(self, draw: Draw, inputs: dict[str, Any], training: bool | None) -> Path:
        features, code = inputs.get("features"), inputs.get("code")
        given = inputs.get("z")
        known = 0 if given is None else int(given.shape[-1])
        rows = tf.shape(keras.tree.flatten(inputs)[0])[0]
        h = self.start(tf.zeros([rows, self._width]), training=training)
        path = Path([], [], [], None)
        groups = enumerate(self._layout.slices())
        for level, count in enumerate(self._counts):
            h = self._enter(level, h, code, training)
            for _ in range(count):
                index, (group, where) = next(groups)
                mean, log_var, more = self.priors[index](h, training=training)
                h, prior = h + more, GroupNormal.of(mean, log_var)
                posterior = None
                if features is not None:
                    delta = self._posterior_delta(index, h, features[index], training)
                    posterior = prior.moved(*delta)
                    path.posteriors.append(posterior)
                if given is not None and where.stop <= known:
                    z = given[:, where]
                else:
                    z = draw(index, prior, posterior)
                h = self._merged(index, group, h, z, training)
                path.z.append(z)
                path.priors.append(prior)
        return path._replace(z=tf.concat(path.z, axis=-1), end=h)

    def _merged(
        self, index: int, group: LatentGroup, h: Any, z: Any, training: bool | None
    ) -> Any:
        return self.merges[index](
            [h, tf.reshape(z, [-1, *group.shape])], training=training
        )
