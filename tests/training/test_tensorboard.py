import re
import types

import keras
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util.tensor_util import make_ndarray

from keras_vae import VAE, LinearWarmup, networks
from keras_vae.data.datasets import Data, Split
from keras_vae.evaluation.latents import active_units
from keras_vae.training import tensorboard
from keras_vae.training.config import TrainConfig
from keras_vae.training.folder import RunFolder
from keras_vae.training.tensorboard import TensorBoard, thumbnails, write_projector

SHAPE = (4, 6, 1)


def examples(n=12, seed=0):
    return np.random.default_rng(seed).random((n, *SHAPE), np.float32)


def small_vae(latent_dim=2, rate=1e-3, **options):
    keras.utils.set_random_seed(0)
    vae = VAE(
        latent_dim,
        SHAPE,
        encoder=networks.mlp_encoder(SHAPE, latent_dim, hidden_units=(4,)),
        decoder=networks.mlp_decoder(latent_dim, SHAPE, hidden_units=(4,)),
        seed=0,
        **options,
    )
    vae.compile(optimizer=keras.optimizers.Adam(rate))
    return vae


def fit(callback, vae=None, epochs=3, **options):
    vae = vae or small_vae()
    x = examples(20, seed=1)
    options = {"validation_data": examples(8, seed=2), "batch_size": 5, **options}
    history = vae.fit(x, epochs=epochs, verbose=0, callbacks=[callback], **options)
    return vae, history


def read(folder):
    """What TensorBoard itself reads there."""
    sizes = {plugin_event_accumulator.TENSORS: 0}  # all of them
    events = plugin_event_accumulator.EventAccumulator(str(folder), sizes)
    events.Reload()
    return events


def scalars(folder):
    """Tag to [(step, value), ...]."""
    events = read(folder)
    return {
        tag: [
            (event.step, float(make_ndarray(event.tensor_proto)))
            for event in events.Tensors(tag)
        ]
        for tag in events.PluginTagToContent("scalars")
    }


def values(series):
    return [value for _, value in series]


# Scalars


@pytest.mark.slow
def test_train_and_validation_have_the_metrics_of_every_epoch(tmp_path):
    _, history = fit(TensorBoard(tmp_path))
    train, validation = scalars(tmp_path / "train"), scalars(tmp_path / "validation")
    for name in ("loss", "reconstruction_loss", "kl_loss"):
        tag = f"objective/{name}"
        assert [step for step, _ in train[tag]] == [1, 2, 3]
        np.testing.assert_allclose(values(train[tag]), history.history[name], 1e-6)
        held_out = history.history[f"val_{name}"]
        np.testing.assert_allclose(values(validation[tag]), held_out, 1e-6)
    assert not any(tag.startswith("training/") for tag in validation)


@pytest.mark.slow
def test_the_weight_of_the_kl_and_the_learning_rate_are_those_of_the_epochs_end(
    tmp_path,
):
    rate = keras.optimizers.schedules.PolynomialDecay(0.1, 16, end_learning_rate=0.0)
    fit(TensorBoard(tmp_path), small_vae(beta=LinearWarmup(8), rate=rate))
    train = scalars(tmp_path / "train")
    np.testing.assert_allclose(values(train["training/kl_weight"]), [0.5, 1, 1])
    learning_rate = values(train["training/learning_rate"])
    np.testing.assert_allclose(learning_rate, [0.075, 0.05, 0.025], rtol=1e-5)


@pytest.mark.slow
def test_images_per_second_counts_training_alone(tmp_path, monkeypatch):
    now = iter(range(0, 10_000, 2))  # every look at the clock is two seconds later
    clock = types.SimpleNamespace(perf_counter=lambda: next(now), time=lambda: 0.0)
    monkeypatch.setattr(tensorboard, "time", clock)
    vae = small_vae()
    vae.compile(optimizer="adam", steps_per_execution=2)  # two calls an epoch
    fit(TensorBoard(tmp_path, num_examples=20), vae)
    speed = values(scalars(tmp_path / "train")["training/images_per_second"])
    np.testing.assert_allclose(speed, [5.0, 5.0, 5.0])  # 20 in two times two seconds


# Latents


@pytest.mark.slow
def test_active_units_and_histograms_are_those_of_the_encoder(tmp_path):
    x = examples()
    vae, _ = fit(TensorBoard(tmp_path, x), epochs=1)
    z_mean, z_log_var = vae.posterior(x)
    found = scalars(tmp_path / "latents")["z/active_units"]
    assert found == [(1, active_units(z_mean).sum())]
    events = read(tmp_path / "latents")
    for tag, numbers in (
        ("z/mean", z_mean),
        ("z/standard_deviation", np.exp(0.5 * z_log_var)),
    ):
        (event,) = events.Tensors(tag)
        buckets = make_ndarray(event.tensor_proto)
        assert buckets[:, 2].sum() == numbers.size
        ends = (buckets[0, 0], buckets[-1, 1])
        np.testing.assert_allclose(ends, (numbers.min(), numbers.max()), rtol=1e-5)
    assert "z/drawn" in events.Tags()["tensors"]


@pytest.mark.slow
def test_the_latents_are_looked_at_every_so_often_and_at_the_end(tmp_path):
    fit(TensorBoard(tmp_path, examples(), every=2), epochs=5)
    steps = [step for step, _ in scalars(tmp_path / "latents")["z/active_units"]]
    assert steps == [2, 4, 5]


@pytest.mark.slow
def test_the_projector_gets_the_latents_of_the_trained_model(tmp_path):
    x = examples()
    labels = [f"class {k % 3}\tof three" for k in range(12)]
    vae, _ = fit(TensorBoard(tmp_path, x, labels), small_vae(latent_dim=4))
    folder = tmp_path / "latents"
    points = np.loadtxt(folder / "latents.tsv", delimiter="\t")
    np.testing.assert_allclose(points, vae.encode(x), rtol=1e-3, atol=1e-4)
    shown = (folder / "labels.tsv").read_text().splitlines()
    assert shown == [f"class {k % 3} of three" for k in range(12)]
    sprite = np.asarray(Image.open(folder / "thumbnails.png"))
    assert sprite.shape == (3 * 4, 4 * 6)
    expected = np.round(x[5, ..., 0] * 255)
    np.testing.assert_allclose(sprite[4:8, 6:12], expected, atol=1)
    config = (folder / "projector_config.pbtxt").read_text()
    assert "single_image_dim: 6 single_image_dim: 4" in config


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_fewer_than_three_dimensions_are_filled_up_with_zeros(tmp_path, latent_dim):
    z = np.random.default_rng(0).standard_normal((5, latent_dim))
    write_projector(tmp_path, z)
    points = np.loadtxt(tmp_path / "latents.tsv", delimiter="\t")
    np.testing.assert_allclose(points[:, :latent_dim], z, rtol=1e-4)
    assert points.shape == (5, 3) and not points[:, latent_dim:].any()
    assert (tmp_path / "labels.tsv").read_text().split() == list("01234")
    assert "sprite" not in (tmp_path / "projector_config.pbtxt").read_text()


def test_large_images_become_thumbnails_by_averages_of_blocks():
    x = np.zeros((2, 130, 81, 3), np.uint8)
    x[1, :4, :4] = [200, 100, 40]
    x[1, 4:, :4] = [10, 10, 10]
    sprite, height, width = thumbnails(x)
    assert (height, width) == (32, 20)
    assert sprite.shape == (32, 40, 3)
    assert sprite[0, 20].tolist() == [200, 100, 40]
    assert sprite[1:, 20].tolist() == [[10, 10, 10]] * 31
    assert not sprite[:, :20].any() and not sprite[:, 21:].any()


# Runs


@pytest.mark.slow
def test_one_object_serves_two_fits(tmp_path):
    callback = TensorBoard(tmp_path, examples())
    fit(callback, epochs=1)
    _, history = fit(callback, epochs=2)
    found = scalars(tmp_path / "train")["objective/loss"]
    assert [step for step, _ in found] == [1, 2]
    np.testing.assert_allclose(values(found), history.history["loss"], 1e-6)


@pytest.mark.slow
def test_what_an_interrupted_run_wrote_of_a_repeated_epoch_is_void(tmp_path):
    vae, _ = fit(TensorBoard(tmp_path), epochs=3)
    _, history = fit(TensorBoard(tmp_path), vae, epochs=4, initial_epoch=1)
    found = scalars(tmp_path / "train")["objective/loss"]
    assert [step for step, _ in found] == [1, 2, 3, 4]
    np.testing.assert_allclose(values(found)[1:], history.history["loss"], 1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"x": examples(), "labels": ["a"]},
            "`labels`. Expected one for each",
        ),
        ({"x": np.zeros((2001, 1))}, "Expected 1 to 2,000 examples"),
        ({"x": np.zeros((0, 1))}, "Expected 1 to 2,000 examples"),
        ({"every": 0}, "`every`. Expected a whole number of at least 1"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        TensorBoard(tmp_path, **options)


def test_a_run_shows_the_examples_it_is_monitored_by_evenly_chosen(tmp_path):
    y = np.repeat(np.arange(3, dtype=np.int32), 1000)
    y[-1] = -1
    split = Split(np.zeros((3000, 2, 2, 1), np.uint8), y)
    data = Data("d", "images", (2, 2, 1), split, None, split, ("a", "b", "c"))
    config = TrainConfig(epochs=50)
    callback = tensorboard.for_run(config, RunFolder(tmp_path), data, split)
    assert callback.every == 3
    assert callback.x.shape == (2000, 2, 2, 1)
    names, counts = np.unique(callback.labels, return_counts=True)
    assert names.tolist() == ["a", "b", "c", "no label"]
    assert counts[:3].min() > 660


@pytest.mark.slow
def test_to_hparams_a_run_is_one_training_with_its_flags(tmp_path):
    data = Data("d", "images", SHAPE, Split(examples()), None, Split(examples(4)))
    config = TrainConfig(epochs=1, beta=2.5, hidden_units=(5, 6), output_dir="there")
    run = RunFolder(tmp_path / "run")
    fit(tensorboard.for_run(config, run, data, data.test), epochs=1)
    events = read(run.logs)
    (content,) = events.PluginTagToContent("hparams").values()
    start = HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["beta"].number_value == 2.5
    assert start.hparams["model"].string_value == "vae"
    assert start.hparams["hidden_units"].string_value == "5,6"
    assert start.hparams["batch_norm"].bool_value is False
    assert "output_dir" not in start.hparams and "dropout" in start.hparams
    text = make_ndarray(events.Tensors("settings")[0].tensor_proto).item()
    assert b"| beta | 2.5 |" in text
    assert {path.name for path in run.logs.iterdir() if path.is_dir()} == {
        "train",
        "validation",
        "latents",
    }


@pytest.mark.slow
def test_without_settings_there_are_none(tmp_path):
    fit(TensorBoard(tmp_path), epochs=1)
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []
