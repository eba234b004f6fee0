"""Bad arguments of every public function: which one is named, and that nothing moved.

A case is a call and the argument that its error must name. The wording is tested in
`test_errors.py`, the programs in `cli/test_bad_input.py`.
"""

import numpy as np
import pytest

import keras_vae
from keras_vae import networks
from keras_vae.data.binarized import binarized
from keras_vae.data.shapes import Shapes
from keras_vae.evaluation import anomaly, comparison, disentanglement, likelihood
from keras_vae.evaluation.samplers import fit_density
from keras_vae.models.schedules import Cyclical, LinearWarmup
from keras_vae.networks import RowDropout
from keras_vae.networks.noise import InputNoise, with_input_noise
from keras_vae.training.config import TrainConfig
from keras_vae.visualization import curves, grids, latents, lines, paths, picture_files
from keras_vae.visualization.graph import Block, model_graph

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, 6, 4), np.uint8)
UNIT = (X / 255).astype(np.float32)[..., np.newaxis]
Z = np.zeros((3, 2), np.float32)
NAN = float("nan")
FACTORS = RNG.integers(0, 3, (100, 2))
CODES = RNG.normal(size=(100, 2))
PICTURES = UNIT[:3]
WORDS = dict.fromkeys(("posterior", "prior", "latent", "title"), "")
WALKS = UNIT[:24].reshape(2, 3, 4, 6, 4, 1)


def with_value(array, index, value):
    copy = np.array(array, np.float64)
    copy[index] = value
    return copy


def objects(fill):
    return np.full((2, 6, 4, 1), fill)


METHODS = {
    "fit NaN": ("x", lambda m: m.fit(with_value(UNIT, 0, NAN), verbose=0)),
    "fit infinity": ("x", lambda m: m.fit(with_value(UNIT, 0, np.inf), verbose=0)),
    "fit 0 to 255": ("x", lambda m: m.fit(UNIT * 255, verbose=0)),
    "fit another shape": ("x", lambda m: m.fit(UNIT[:, 1:], verbose=0)),
    "fit text": ("x", lambda m: m.fit(objects("a"), verbose=0)),
    "fit objects": ("x", lambda m: m.fit(objects({}), verbose=0)),
    "fit no examples": ("x", lambda m: m.fit(UNIT[:0], verbose=0)),
    "fit batches of -1": (
        "batch_size",
        lambda m: m.fit(UNIT, batch_size=-1, verbose=0),
    ),
    "evaluate NaN": ("x", lambda m: m.evaluate(with_value(UNIT, 0, NAN), verbose=0)),
    "evaluate another shape": ("x", lambda m: m.evaluate(UNIT[:, 1:], verbose=0)),
    "adapt to NaN": ("x", lambda m: m.adapt(with_value(UNIT, 0, NAN))),
    "compile a loss": ("loss", lambda m: m.compile(loss="mse")),
    "compile -1 steps": (
        "steps_per_execution",
        lambda m: m.compile(steps_per_execution=-1),
    ),
    "sample -1": ("n", lambda m: m.sample(-1)),
    "sample 1.5": ("n", lambda m: m.sample(1.5)),
    "sample text": ("n", lambda m: m.sample("3")),
    "sample with a condition": (
        "condition",
        lambda m: m.sample(3, condition=[1, 2, 3]),
    ),
    "a preset of other weights": ("dtype", lambda m: m.to_preset("new", dtype="half")),
    "a preset with no card": ("card", lambda m: m.to_preset("new", card=3)),
    "decode another shape": ("z", lambda m: m.decode(Z[:, :1])),
    "decode one z": ("z", lambda m: m.decode(Z[0])),
    "decode text": ("z", lambda m: m.decode(np.full((3, 2), "a"))),
    "encode another shape": ("x", lambda m: m.encode(UNIT[:, 1:])),
    "encode one example": ("x", lambda m: m.encode(UNIT[0])),
    "reconstruct text": ("x", lambda m: m.reconstruct(objects("a"))),
    "reconstruct another shape": ("x", lambda m: m.reconstruct(UNIT[..., 0])),
    "interpolate in 0 steps": (
        "steps",
        lambda m: m.interpolate(UNIT[0], UNIT[1], steps=0),
    ),
    "interpolate in 1.5 steps": (
        "steps",
        lambda m: m.interpolate(UNIT[0], UNIT[1], steps=1.5),
    ),
    "interpolate two shapes": ("b", lambda m: m.interpolate(UNIT[0], UNIT[1, 1:])),
    "elbo of 0 samples": ("num_samples", lambda m: m.elbo(UNIT, num_samples=0)),
    "elbo of another shape": ("x", lambda m: m.elbo(UNIT[:, 1:])),
    "elbo of no examples": ("x", lambda m: likelihood.elbo_terms(m, UNIT[:0])),
    "an estimate of 0 samples": (
        "num_samples",
        lambda m: likelihood.importance_weighted_nll(m, UNIT, 0),
    ),
}
"""Of a model."""

DATA = {
    "a number": ("dataset", lambda: keras_vae.load(3)),
    "an array": ("dataset", lambda: keras_vae.load(X)),
    "all of it aside": (
        "validation_fraction",
        lambda: keras_vae.load("digits", validation_fraction=1.0),
    ),
    "NaN aside": (
        "validation_fraction",
        lambda: keras_vae.load("digits", validation_fraction=NAN),
    ),
    "another kind": ("data_kind", lambda: keras_vae.load("digits", data_kind="image")),
    "columns of no table": (
        "label_column",
        lambda: keras_vae.load("digits", label_column="a"),
    ),
    "steps of no features": (
        "features_per_step",
        lambda: keras_vae.load("digits", features_per_step=0),
    ),
    "batches of 0": ("batch_size", lambda: keras_vae.batches(X, batch_size=0)),
    "no examples": ("x", lambda: keras_vae.batches(X[:0], batch_size=2)),
    "fewer labels": ("y", lambda: keras_vae.batches(X, X[:3], batch_size=2)),
    "one weight": (
        "sample_weight",
        lambda: keras_vae.batches(X, batch_size=2, sample_weight=[1.0]),
    ),
    "another binarisation": (
        "binarize",
        lambda: keras_vae.batches(X, batch_size=2, binarize="always"),
    ),
    "another binarisation of what is held out": (
        "binarize",
        lambda: binarized(X, "statik"),
    ),
    "sprites of 28 pixels": ("size", lambda: Shapes(28)),
    "a model that is not there": ("path", lambda: keras_vae.load_model("gone.keras")),
    "a model of a folder": ("path", lambda: keras_vae.load_model(".")),
    "a model from a network": ("path", lambda: keras_vae.load_model("hf://a/b")),
    "a preset that is not there": ("preset", lambda: keras_vae.from_preset("gone")),
    "a number as preset": ("preset", lambda: keras_vae.from_preset(3)),
    "a preset with a list of classes": (
        "custom_objects",
        lambda: keras_vae.from_preset("digits", custom_objects=[3]),
    ),
    "a configuration with NaN": ("--beta", lambda: TrainConfig(beta=NAN)),
    "a configuration with text": ("--epochs", lambda: TrainConfig(epochs="3")),
}

NETWORKS = {
    "vectors for conv": ("input_shape", lambda: networks.conv_encoder((5,), 2)),
    "sequences for conv": ("params_shape", lambda: networks.conv_decoder(2, (9, 3))),
    "images for conv1d": ("input_shape", lambda: networks.conv1d_encoder((8, 8, 1), 2)),
    "vectors for resnet": ("input_shape", lambda: networks.resnet_encoder((5,), 2)),
    "a size of 0": ("input_shape", lambda: networks.mlp_encoder((8, 0), 2)),
    "a number as shape": ("input_shape", lambda: networks.mlp_encoder(784, 2)),
    "an unknown size": ("input_shape", lambda: networks.mlp_encoder((None, 3), 2)),
    "no dimension": ("latent_dim", lambda: networks.mlp_encoder((5,), 0)),
    "half a dimension": ("latent_dim", lambda: networks.conv_decoder(2.5, (8, 8, 1))),
    "a truth for a number": ("latent_dim", lambda: networks.mlp_encoder((5,), True)),
    "a number of widths": (
        "hidden_units",
        lambda: networks.mlp_encoder((5,), 2, hidden_units=500),
    ),
    "a width of 0": (
        "hidden_units",
        lambda: networks.mlp_decoder(2, (5,), hidden_units=(5, 0)),
    ),
    "no residual block": (
        "hidden_units",
        lambda: networks.resmlp_encoder((5,), 2, hidden_units=()),
    ),
    "no filter": ("filters", lambda: networks.conv_encoder((8, 8, 1), 2, filters=())),
    "another activation": (
        "activation",
        lambda: networks.mlp_encoder((5,), 2, activation="rellu"),
    ),
    "a number as activation": (
        "activation",
        lambda: networks.mlp_encoder((5,), 2, activation=3),
    ),
    "another initializer": (
        "initializer",
        lambda: networks.mlp_encoder((5,), 2, initializer="he_norm"),
    ),
    "another normalization": (
        "normalization",
        lambda: networks.mlp_encoder((5,), 2, normalization="bacth"),
    ),
    "all dropped": ("dropout", lambda: networks.mlp_encoder((5,), 2, dropout=1.0)),
    "outputs of no size": (
        "output_gain",
        lambda: networks.conv_decoder(2, (8, 8, 1), output_gain=0),
    ),
    "NaN dropped": ("dropout", lambda: networks.mlp_encoder((5,), 2, dropout=NAN)),
    "a rate below 0": ("rate", lambda: RowDropout(-0.1)),
    "another noise": ("kind", lambda: InputNoise("blur", 0.1)),
    "noise below 0": ("amount", lambda: InputNoise("gaussian", -1.0)),
    "all masked": ("amount", lambda: noisy("masking:1")),
    "noise of another name": ("input_noise", lambda: noisy("salt:0.1")),
    "noise without a number": ("input_noise", lambda: noisy("gaussian:")),
}


def noisy(text):
    return with_input_noise(networks.mlp_encoder((3,), 1, hidden_units=()), text)


STATEMENTS = {
    "a scale of 0": ("scale", lambda: keras_vae.GaussianFixed(scale=0.0)),
    "a scale of NaN": ("scale", lambda: keras_vae.GaussianFixed(scale=NAN)),
    "a scale of infinity": ("scale", lambda: keras_vae.GaussianFixed(scale=np.inf)),
    "no component": ("components", lambda: keras_vae.GaussianMixture(0)),
    "True components": ("components", lambda: keras_vae.GaussianMixture(True)),
    "pseudo-inputs of no shape": (
        "data_shape",
        lambda: keras_vae.VampPrior(2).build((None, 1)),
    ),
    "no step of a warm-up": ("warmup_steps", lambda: LinearWarmup(0)),
    "half a step of a cycle": ("cycle_steps", lambda: Cyclical(0.5)),
    "a ratio of 0": ("ratio", lambda: Cyclical(10, 0)),
    "a ratio of NaN": ("ratio", lambda: Cyclical(10, NAN)),
}
"""Priors, likelihoods and schedules."""

EVALUATION = {
    "one z for a density": ("z", lambda: fit_density(Z[:1])),
    "NaN for a density": ("z", lambda: fit_density(np.full((5, 2), NAN))),
    "anomalies alone": (
        "is_anomaly",
        lambda: anomaly.auroc(np.arange(3.0), np.ones(3, bool)),
    ),
    "pairs of other lengths": (
        "second",
        lambda: comparison.paired_difference(np.zeros(3), np.zeros(2)),
    ),
    "latents of other examples": (
        "latents",
        lambda: disentanglement.mig(CODES[1:], FACTORS, 0),
    ),
    "latents with NaN": (
        "latents",
        lambda: disentanglement.mig(with_value(CODES, 3, NAN), FACTORS, 0),
    ),
    "factors of halves": (
        "factors",
        lambda: disentanglement.mig(CODES, FACTORS / 2, 0),
    ),
    "one factor": ("factors", lambda: disentanglement.mig(CODES, FACTORS * [0, 1], 0)),
    "factors that none share": (
        "factors",
        lambda: disentanglement.beta_vae(
            CODES, np.stack([np.arange(100) % 4, np.arange(100)], axis=1), 0
        ),
    ),
    "another predictor": (
        "predictor",
        lambda: disentanglement.dci(CODES, FACTORS, predictor="lasso"),
    ),
}

PLOTS = {
    "an image without a batch": ("images", lambda: grids.to_uint8(np.zeros((8, 8)))),
    "no images": ("images", lambda: grids.to_uint8(np.zeros((0, 8, 8, 1)))),
    "images of int64": (
        "images",
        lambda: grids.to_uint8(np.zeros((1, 8, 8, 1), np.int64)),
    ),
    "images of text": ("images", lambda: grids.to_uint8(objects("a"))),
    "no column": ("columns", lambda: grids.tile(PICTURES, columns=0)),
    "a gap below 0": ("gap", lambda: grids.tile(PICTURES, gap=-1)),
    "a scale of 0": ("scale", lambda: grids.tile(PICTURES, scale=0)),
    "a background beyond white": (
        "background",
        lambda: grids.tile(PICTURES, background=300),
    ),
    "too few titles": ("titles", lambda: grids.tile(PICTURES, titles=["a", "b"])),
    "walks of one axis less": ("images", lambda: grids.montage_frames(WALKS[0])),
    "completions of other images": (
        "completions",
        lambda: grids.completion_grid(PICTURES, 1, UNIT[:6]),
    ),
    "series of two shapes": (
        "series",
        lambda: lines.line_grid(np.zeros((2, 5)), np.zeros((3, 5))),
    ),
    "series of images": ("series", lambda: lines.line_grid(np.zeros((2, 5, 1, 1)))),
    "no series": ("series", lambda: lines.line_grid(np.zeros((0, 5)))),
    "columns below 0": (
        "columns",
        lambda: lines.line_grid(np.zeros((2, 5)), columns=-1),
    ),
    "one title for two": (
        "titles",
        lambda: lines.line_grid(np.zeros((2, 5)), titles=["one"]),
    ),
    "paths of no plane": ("paths", lambda: paths.path_grid(np.zeros((3, 5, 3)))),
    "no paths": ("paths", lambda: paths.path_grid(np.zeros((0, 5, 2)))),
    "a history of nothing": ("history", lambda: curves.training_curves({})),
    "a history of no epoch": (
        "history",
        lambda: curves.training_curves({"epoch": [], "loss": []}),
    ),
    "t-SNE of three": ("z", lambda: latents.tsne(np.zeros((3, 2)))),
    "no frame": ("frames", lambda: picture_files.write_gif("a.gif", [], 80)),
    "frames of two shapes": (
        "frames",
        lambda: picture_files.write_gif(
            "a.gif", [np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8)], 80
        ),
    ),
    "too fast": (
        "duration_ms",
        lambda: picture_files.write_gif("a.gif", [np.zeros((2, 2), np.uint8)], 5),
    ),
    "a network of no block": (
        "encoder",
        lambda: model_graph([], [Block("c")], **WORDS),
    ),
}

FUNCTIONS = {
    f"{package}: {name}": case
    for package, cases in {
        "data": DATA,
        "networks": NETWORKS,
        "probability": STATEMENTS,
        "evaluation": EVALUATION,
        "visualization": PLOTS,
    }.items()
    for name, case in cases.items()
}


def names(sentence, argument):
    """Whether a message is one sentence that names the argument or flag."""
    assert "\n" not in sentence and sentence.endswith((".", "?")), sentence
    assert 20 < len(sentence) < 600, sentence
    start = f"{argument}: " if argument.startswith("--") else f"`{argument}`"
    return start in sentence


@pytest.mark.parametrize("case", FUNCTIONS)
def test_functions_name_the_argument_that_is_wrong(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    argument, call = FUNCTIONS[case]
    with pytest.raises(ValueError) as caught:
        call()
    assert names(str(caught.value), argument), caught.value
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def model():
    options = {"hidden_units": (4,)}
    model = keras_vae.VAE(
        2,
        (6, 4, 1),
        encoder=networks.mlp_encoder((6, 4, 1), 2, **options),
        decoder=networks.mlp_decoder(2, (6, 4, 1), **options),
        seed=0,
    )
    model.compile()
    model.ensure_built()
    return model


@pytest.mark.parametrize("case", METHODS)
def test_methods_name_the_argument_that_is_wrong_and_change_nothing(model, case):
    argument, call = METHODS[case]
    weights = [np.array(weight) for weight in model.get_weights()]
    with pytest.raises(ValueError) as caught:
        call(model)
    assert names(str(caught.value), argument), caught.value
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("text", ["{", "[" * 10**5, "[]"])
def test_a_configuration_that_is_no_json_object_is_refused(text):
    with pytest.raises(ValueError, match="JSON"):
        TrainConfig.from_json(text)
