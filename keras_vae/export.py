"""A SavedModel that generates, encodes and decodes with TensorFlow alone."""

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_vae.files import written_aside
from keras_vae.noise import RowNoise
from keras_vae.probability.distributions import interpolate_latents

Signature = Callable[..., dict[str, tf.Tensor]]


def export(model: Any, path: str | os.PathLike[str]) -> None:
    """Writes a model as a SavedModel with named signatures.

    `generate` (which is `serving_default`), `generate_draws`, `decode`, `encode`,
    `reconstruct` and `interpolate`, and `generate_from_aggregate` once a density of the
    aggregate posterior has been fitted; `predict_label` of semi-supervised models. Each
    takes a batch of any size. Conditional models take one more input, `condition`, with
    the batch axis first, for all but `predict_label`.

    Args:
        model: A `VAE` or any model with its methods `infer`, `prior_sample`, `means`
            and `draws`, and its `latent_dim` and `data_shape`.
        path: A folder; one that is there is replaced once the new one is complete.

    Raises:
        OSError: If the folder cannot be written.
    """
    model.ensure_built()
    module = tf.Module()
    module.state = [variable.value for variable in model.variables]
    functions = _signatures(model)
    with written_aside(path) as aside, model.prior.fixed(model.infer):
        tf.saved_model.save(
            module,
            os.fspath(aside),
            signatures={**functions, "serving_default": functions["generate"]},
        )


def _signatures(model: Any) -> dict[str, Any]:
    x = tf.TensorSpec([None, *model.data_shape], tf.float32, name="x")
    z = tf.TensorSpec([None, model.latent_dim], tf.float32, name="z")
    num = tf.TensorSpec([], tf.int32, name="num")
    seed = tf.TensorSpec([2], tf.int32, name="seed")
    ends = [
        tf.TensorSpec(model.data_shape, tf.float32, name=name) for name in ("a", "b")
    ]
    steps = tf.TensorSpec([], tf.int32, name="steps")

    def means(z: tf.Tensor, condition: Any) -> dict[str, tf.Tensor]:
        return {"x": model.means(z, condition)}

    def generate(num: Any, seed: Any, condition: Any = None) -> dict[str, tf.Tensor]:
        return means(model.prior_sample(num, seed, condition), condition)

    def generate_draws(
        num: Any, seed: Any, condition: Any = None
    ) -> dict[str, tf.Tensor]:
        z = model.prior_sample(num, seed, condition)
        return {"x": model.draws(z, RowNoise(seed, domain="draw"), condition)}

    def generate_from_aggregate(
        num: Any, seed: Any, condition: Any = None
    ) -> dict[str, tf.Tensor]:
        return means(model.aggregate_sample(num, seed, condition), condition)

    def decode(z: Any, condition: Any = None) -> dict[str, tf.Tensor]:
        return means(z, condition)

    def encode(x: Any, condition: Any = None) -> dict[str, tf.Tensor]:
        z_mean, z_log_var = model.infer(x, condition)
        return {"z_mean": z_mean, "z_log_var": z_log_var}

    def reconstruct(x: Any, condition: Any = None) -> dict[str, tf.Tensor]:
        return means(model.infer(x, condition)[0], condition)

    def interpolate(
        a: Any, b: Any, steps: Any, condition: Any = None
    ) -> dict[str, tf.Tensor]:
        given = None if condition is None else tf.repeat(condition, 2, axis=0)
        z_mean, _ = model.infer(tf.stack([a, b]), given)
        z = interpolate_latents(z_mean[0], z_mean[1], steps)
        given = None if condition is None else tf.repeat(condition, steps, axis=0)
        return means(z, given)

    table: dict[str, tuple[Signature, list[tf.TensorSpec]]] = {
        "generate": (generate, [num, seed]),
        "generate_draws": (generate_draws, [num, seed]),
        "decode": (decode, [z]),
        "encode": (encode, [x]),
        "reconstruct": (reconstruct, [x]),
        "interpolate": (interpolate, [*ends, steps]),
    }
    if getattr(model, "aggregate", None) is not None:
        table["generate_from_aggregate"] = (generate_from_aggregate, [num, seed])
    if model.condition_spec is not None:
        table = {
            name: (function, [*inputs, model.condition_spec])
            for name, (function, inputs) in table.items()
        }
    if hasattr(model, "label_probabilities"):
        table["predict_label"] = (
            lambda x: {"probabilities": model.label_probabilities(x)},
            [x],
        )
    return {
        name: tf.function(function, input_signature=inputs)
        for name, (function, inputs) in table.items()
    }
