"""The networks of a model as functions that every runtime can compute.

Three functions, each a file of an exported folder:

- `encoder`: `x` (batch, *input_shape), and `condition` of a conditional model, to
  `z_mean` and `z_log_var`, (batch, z_dim);
- `decoder`: `z` (batch, z_dim), and `condition`, to the likelihood's mean `x`;
- `generate`: `noise` (batch, n), standard normal numbers, for mixtures `uniform`
  (batch, 1), numbers between 0 and 1 that choose the component, and `condition`, to
  the mean `x` of z drawn from the prior.

Random numbers come from outside, since no two runtimes draw the same.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_vae.errors import invalid_argument
from keras_vae.export import saved_model
from keras_vae.files import written_aside
from keras_vae.noise import GivenNoise

_SEED = (0, 0)  # which no number depends on, since all of them are given


@contextlib.contextmanager
def written(
    model: Any, path: str | os.PathLike[str], format: str, **about: Any
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Gives a folder aside and the functions to write there, by name.

    `model.json` is written beside them: what the files take and give.

    Args:
        model: A built `VAE`.
        path: Where the folder goes once it is complete.
        format: What the files are.
        **about: What else `model.json` says; may be added to meanwhile.

    Raises:
        ValueError: If the format's converter fails.
    """
    model.ensure_built()
    with written_aside(path) as aside, model.prior.fixed(model.encode_params):
        aside.mkdir()
        functions = portable_functions(model)
        facts = {"format": format, "model": type(model).__name__, **about}
        facts["files"] = {name: _described(each) for name, each in functions.items()}
        try:
            yield aside, functions
        except (ImportError, OSError):
            raise
        except Exception as error:  # whatever a converter meets
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise invalid_argument(
                "format",
                f"one that can hold a {type(model).__name__}",
                format,
                advice=f"Its converter says: {reason[:300]}",
            ) from error
        text = json.dumps({**facts, **about}, indent=1)
        (aside / "model.json").write_text(f"{text}\n")


def portable_functions(model: Any) -> dict[str, Any]:
    """Returns `encoder`, `decoder` and `generate`, each a `tf.function`.

    Args:
        model: A built `VAE`, whose prior is `fixed` as long as they are traced.
    """
    signatures = saved_model.signatures(model)
    return {
        "encoder": signatures["encode"],
        "decoder": signatures["decode"],
        "generate": _generate(model),
    }


def _generate(model: Any) -> Any:
    condition = model.condition_spec

    def generate(noise: Any, uniform: Any = None, condition: Any = None) -> Any:
        with GivenNoise(noise, uniform):
            z = model.prior_sample(tf.shape(noise)[0], _SEED, condition)
        return {"x": model.means(z, condition)}

    widths = _noise_widths(model)
    specs = [
        tf.TensorSpec([None, width], tf.float32, name=name)
        for name, width in widths.items()
    ]
    if condition is not None:
        specs.append(condition)
    function: Any
    # The inputs' names are those of the arguments, so each case has its own.
    match "uniform" in widths, condition is not None:
        case False, False:
            function = lambda noise: generate(noise)  # noqa: E731
        case True, False:
            function = lambda noise, uniform: generate(noise, uniform)  # noqa: E731
        case False, True:
            function = lambda noise, condition: generate(noise, None, condition)  # noqa: E731
        case _:
            function = generate
    return tf.function(function, input_signature=specs, autograph=False)


def _noise_widths(model: Any) -> dict[str, int]:
    """How many numbers a draw from the prior takes, by the input's name."""
    counter = GivenNoise()

    def count(condition: Any = None) -> Any:
        with counter:
            return model.prior_sample(1, _SEED, condition)

    spec = model.condition_spec
    one = [] if spec is None else [tf.TensorSpec([1, *spec.shape[1:]], spec.dtype)]
    tf.function(count, autograph=False).get_concrete_function(*one)
    widths = {"noise": counter.widths["normal"], "uniform": counter.widths["uniform"]}
    return {name: width for name, width in widths.items() if width}


def _described(function: Any) -> dict[str, Any]:
    """The inputs and outputs of a function, as shapes and dtypes by name."""
    outputs = function.get_concrete_function().structured_outputs
    return {
        "inputs": {spec.name: _spec(spec) for spec in function.input_signature},
        "outputs": {name: _spec(spec) for name, spec in sorted(outputs.items())},
    }


def _spec(spec: Any) -> dict[str, Any]:
    return {"shape": list(spec.shape), "dtype": spec.dtype.name}
