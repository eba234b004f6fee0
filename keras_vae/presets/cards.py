"""The model card of a preset, `README.md`, as hubs show it."""

import re
from typing import Any

from keras_vae.model_card import escaped

_HEAD = "---\nlibrary_name: keras_vae\ntags: [keras, variational-autoencoder]\n---\n"
_LOADING = re.compile(r"^## How to load\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_FRONT_MATTER = re.compile(r"\A---\n.*?^---\n", re.MULTILINE | re.DOTALL)
_WEIGHTS = {
    "float32": "The weights are float32.",
    "float16": "The weights are stored as float16 and read as float32: they have about "
    "three digits, and what the model gives differs a little from what the trained one "
    "gave.",
}


def text(model: Any, name: str, card: str | None, dtype: str) -> str:
    """Returns the card of a preset in Markdown.

    Args:
        model: The model, built.
        name: Of the folder.
        card: What is known of it in Markdown; None: what the model itself says.
        dtype: Of the weights in the file.
    """
    card = _of_model(model, name) if card is None else card
    head = "" if _FRONT_MATTER.match(card) else _HEAD
    body = _LOADING.sub("", card).rstrip()
    return f"{head}{body}\n\n{_loading(name, dtype)}"


def _of_model(model: Any, name: str) -> str:
    shape = "x".join(map(str, model.data_shape))
    facts = {
        "Class": f"keras_vae {type(model).__name__}",
        "Examples": shape,
        "Latent dimensions": f"{model.z_dim:,}",
        "Parameters": f"{model.count_params():,}",
        "Likelihood": type(model.likelihood).__name__,
    }
    if model.has_kl and not model.latent_groups:
        facts["Prior"] = type(model.prior).__name__
    if model.condition_spec is not None:
        dtype = model.condition_spec.dtype
        facts["Conditioned on"] = "a label" if dtype.is_integer else "numbers"
    lines = [f"- {fact}: {escaped(value)}" for fact, value in facts.items()]
    return f"# {escaped(name)}\n\n" + "\n".join(lines)


def _loading(name: str, dtype: str) -> str:
    return (
        "## How to load\n\n```python\nimport keras_vae\n\n"
        f'model = keras_vae.from_preset("path/to/{name}")\n'
        "# model.encode(x), .decode(z), .reconstruct(x), .sample(n), ...\n```\n\n"
        f'From the Hugging Face Hub: `from_preset("hf://user/{name}")`. '
        f"{_WEIGHTS[dtype]}\n"
    )
