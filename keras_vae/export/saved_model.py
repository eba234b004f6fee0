"""A SavedModel that generates, encodes and decodes with TensorFlow alone."""

import os
from typing import Any

import tensorflow as tf

from keras_vae.files import written_aside
from keras_vae.noise import Domain, RowNoise
from keras_vae.probability.distributions import interpolate_latents, nearer_end


def write(model: Any, path: str | os.PathLike[str]) -> None:
    """Writes a model as a SavedModel with named signatures.

    `generate` (which is `serving_default`), `generate_draws`, `decode`, `encode`,
    `reconstruct` and `interpolate`; `sample_posterior` and `log_prior`, with which
    log p(x) can be estimated, unless z is a function of x; `generate_from_aggregate`
    once a density of the aggregate posterior has been fitted; `predict_label` of
    semi-supervised models. Each takes a batch of any size. Conditional models take one
    more input, `condition`, with the batch axis first, for all but `predict_label`.

    Args:
        model: A `VAE` or any model with its methods `encode_params`, `prior_sample`,
            `means`, `draws`, `draw_posterior` and `prior_log_prob`, and its `z_dim` and
            `data_shape`.
        path: A folder; one that is there is replaced once the new one is complete.

    Raises:
        OSError: If the folder cannot be written.
    """
    model.ensure_built()
    module = tf.Module()
    module.state = [variable.value for variable in model.variables]
    functions = signatures(model)
    with written_aside(path) as aside, model.prior.fixed(model.encode_params):
        tf.saved_model.save(
            module,
            os.fspath(aside),
            signatures={**functions, "serving_default": functions["generate"]},
        )


class _Functions:
    """What a SavedModel computes, by the names of its signatures.

    Set `encode` and `decode` to graphs of these methods, and the others call them: each
    of the two networks is then traced, and stored, once.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def _decoded(self, z: Any, condition: Any) -> Any:
        return self.decode(z) if condition is None else self.decode(z, condition)

    def _encoded(self, x: Any, condition: Any) -> Any:
        return self.encode(x) if condition is None else self.encode(x, condition)

    def generate(
        self, num: Any, seed: Any, condition: Any = None
    ) -> dict[str, tf.Tensor]:
        return self._decoded(self.model.prior_sample(num, seed, condition), condition)

    def generate_draws(
        self, num: Any, seed: Any, condition: Any = None
    ) -> dict[str, tf.Tensor]:
        z = self.model.prior_sample(num, seed, condition)
        return {"x": self.model.draws(z, RowNoise(seed, domain=Domain.DRAW), condition)}

    def generate_from_aggregate(
        self, num: Any, seed: Any, condition: Any = None
    ) -> dict[str, tf.Tensor]:
        z = self.model.aggregate_sample(num, seed, condition)
        return self._decoded(z, condition)

    def decode(self, z: Any, condition: Any = None) -> dict[str, tf.Tensor]:
        return {"x": self.model.means(z, condition)}

    def encode(self, x: Any, condition: Any = None) -> dict[str, tf.Tensor]:
        z_mean, z_log_var = self.model.encode_params(x, condition)
        return {"z_mean": z_mean, "z_log_var": z_log_var}

    def reconstruct(self, x: Any, condition: Any = None) -> dict[str, tf.Tensor]:
        return self._decoded(self._encoded(x, condition)["z_mean"], condition)

    def sample_posterior(
        self, x: Any, num: Any, seed: Any, condition: Any = None
    ) -> dict[str, tf.Tensor]:
        noise = RowNoise(seed, domain=Domain.POSTERIOR)
        z, log_q = self.model.draw_posterior(x, num, noise, condition)
        return {"z": z, "log_q": log_q}

    def log_prior(self, z: Any, condition: Any = None) -> dict[str, tf.Tensor]:
        return {"log_p": self.model.prior_log_prob(z[tf.newaxis], condition)[0]}

    def interpolate(
        self, a: Any, b: Any, steps: Any, condition: Any = None
    ) -> dict[str, tf.Tensor]:
        given = None
        if condition is not None:  # one row for both ends, or a row for each
            rows = tf.concat([[2], tf.shape(condition)[1:]], axis=0)
            given = tf.broadcast_to(condition, rows)
        z_mean = self._encoded(tf.stack([a, b]), given)["z_mean"]
        z = interpolate_latents(z_mean[0], z_mean[1], steps)
        if given is not None:
            given = tf.gather(given, nearer_end(steps))
        return self._decoded(z, given)

    def predict_label(self, x: Any) -> dict[str, tf.Tensor]:
        return {"probabilities": self.model.label_probabilities(x)}


def signatures(model: Any) -> dict[str, Any]:
    """Returns the functions of a SavedModel by name, with what each takes."""
    x = tf.TensorSpec([None, *model.data_shape], tf.float32, name="x")
    z = tf.TensorSpec([None, model.z_dim], tf.float32, name="z")
    num = tf.TensorSpec([], tf.int32, name="num")
    seed = tf.TensorSpec([2], tf.int32, name="seed")
    ends = [
        tf.TensorSpec(model.data_shape, tf.float32, name=name) for name in ("a", "b")
    ]
    steps = tf.TensorSpec([], tf.int32, name="steps")
    inputs = {
        "generate": [num, seed],
        "generate_draws": [num, seed],
        "decode": [z],
        "encode": [x],
        "reconstruct": [x],
        "interpolate": [*ends, steps],
    }
    if model.has_kl:
        inputs |= {"sample_posterior": [x, num, seed], "log_prior": [z]}
    if getattr(model, "aggregate", None) is not None:
        inputs["generate_from_aggregate"] = [num, seed]
    if model.condition_spec is not None:
        for specs in inputs.values():
            specs.append(model.condition_spec)
    if hasattr(model, "label_probabilities"):
        inputs["predict_label"] = [x]
    functions: Any = _Functions(model)
    graphs = {
        name: tf.function(getattr(functions, name), input_signature=specs)
        for name, specs in inputs.items()
    }
    functions.encode, functions.decode = graphs["encode"], graphs["decode"]
    return graphs
