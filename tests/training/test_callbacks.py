import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_vae import CVAE
from keras_vae.training.callbacks import (
    CompletionImages,
    InterpolationImages,
    PictureCallback,
    ReconstructionImages,
    SampleImages,
)
from keras_vae.visualization import grids


class Recorder(keras.Model):
    """Has a VAE's methods and remembers how they were called."""

    def __init__(self, data_shape):
        super().__init__()
        self.data_shape = tuple(data_shape)
        self.level = self.add_weight(name="level", shape=(), initializer="zeros")
        self.calls = []

    def call(self, x):
        return x * 0 + self.level

    def _made(self, n, *call):
        self.calls.append(call)
        return np.full((n, *self.data_shape), float(self.level), np.float32)

    def reconstruct(self, x):
        return self._made(len(x), "reconstruct", np.array(x))

    def interpolate(self, a, b, steps=10, spherical=False):
        return self._made(steps, "interpolate", np.array(a), np.array(b), spherical)

    def sample(self, n, seed=None):
        return self._made(n, "sample", n, seed)


def fit(callbacks, shape=(8, 8, 1), epochs=2, model=None, **options):
    """Trains a recorder towards 0.5 and returns it."""
    model = model or Recorder(shape)
    if not model.compiled:
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    x = np.zeros((4, *model.data_shape), np.float32)
    model.fit(
        x,
        x + 0.5,
        epochs=epochs,
        batch_size=2,
        verbose=0,
        callbacks=callbacks,
        **options,
    )
    return model


def examples(n, shape=(8, 8, 1)):
    return np.random.default_rng(0).random((n, *shape), np.float32)


def make(kind, path, shape=(8, 8, 1), **options):
    """Makes one of the three callbacks."""
    x = examples(3, shape)
    x[:2] = np.reshape([0.0, 1.0], (2, *[1] * len(shape)))  # lines keep to this range
    data = {"x": x} if kind is ReconstructionImages else {}
    data = {"a": x[0], "b": x[1]} if kind is InterpolationImages else data
    return kind(path, **data, **options)


def image_events(folder):
    """Reads (tag, step, width, height, PNG) from TensorBoard's files in a folder."""
    events = []
    for file in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "images"
                width, height, png = tf.make_ndarray(value.tensor)
                events.append((value.tag, event.step, int(width), int(height), png))
    return events


KINDS = pytest.mark.parametrize(
    "kind", [ReconstructionImages, InterpolationImages, SampleImages]
)


# When, where and what


@KINDS
def test_pictures_are_named_by_epoch(tmp_path, kind):
    fit([make(kind, tmp_path / "new" / "folder")], epochs=3)
    names = ["epoch_0001.png", "epoch_0002.png", "epoch_0003.png"]
    assert sorted(os.listdir(tmp_path / "new" / "folder")) == names


@KINDS
def test_every_counts_epochs_also_of_a_resumed_run(tmp_path, kind):
    model = fit([make(kind, tmp_path, every=2)], epochs=3)
    assert os.listdir(tmp_path) == ["epoch_0002.png"]
    fit([make(kind, tmp_path, every=2)], epochs=5, initial_epoch=3, model=model)
    assert sorted(os.listdir(tmp_path)) == ["epoch_0002.png", "epoch_0004.png"]


@KINDS
@pytest.mark.parametrize(
    "shape", [(8, 8, 1), (5, 9, 3), (7, 6, 4), (12, 2), (5,), (1,)]
)
def test_any_data_shape_gives_a_picture_that_follows_the_model(tmp_path, kind, shape):
    fit([make(kind, tmp_path, shape)], shape=shape)
    first, second = (
        np.asarray(Image.open(tmp_path / f"epoch_{i:04d}.png")) for i in (1, 2)
    )
    assert first.shape == second.shape
    # Samples of no image set their own range, and here are all alike.
    assert (first != second).any() or (kind is SampleImages and len(shape) < 3)


def test_originals_stand_above_what_the_model_makes_of_them(tmp_path):
    x = examples(3)
    model = fit([ReconstructionImages(tmp_path, x)], epochs=1)
    expected = grids.reconstruction_grid(x, np.full((3, 8, 8, 1), float(model.level)))
    found = np.asarray(Image.open(tmp_path / "epoch_0001.png"))
    np.testing.assert_array_equal(found, expected[..., 0])


def test_the_same_examples_and_seeds_are_used_every_time(tmp_path):
    x = examples(3)
    reconstruction = ReconstructionImages(tmp_path / "r", x)
    interpolation = InterpolationImages(
        tmp_path / "i", x[0], x[1], steps=5, spherical=True
    )
    samples = SampleImages(tmp_path / "s", num=7, seed=3)
    given = x.copy()
    x[:] = 0  # what becomes of the caller's array does not matter
    model = fit([reconstruction, interpolation, samples], epochs=2)
    calls = {
        name: [call[1:] for call in model.calls if call[0] == name]
        for name in ("reconstruct", "interpolate", "sample")
    }
    assert all(len(found) == 3 for found in calls.values())  # at the start, two epochs
    for (found,) in calls["reconstruct"]:
        np.testing.assert_array_equal(found, given)
    for a, b, spherical in calls["interpolate"]:
        np.testing.assert_array_equal((a, b), given[:2])
        assert spherical is True
    assert calls["sample"] == [(7, 3)] * 3


def test_bytes_are_scaled_as_in_training(tmp_path):
    x = (examples(3) * 255).astype(np.uint8)
    model = fit([ReconstructionImages(tmp_path, x)], epochs=1)
    np.testing.assert_allclose(model.calls[0][1], x / 255, rtol=1e-6)
    picture = np.asarray(Image.open(tmp_path / "epoch_0001.png"))
    gap = grids.cell_gap(64, 64)
    cell = picture[gap : gap + 64, gap : gap + 64]
    np.testing.assert_array_equal(cell[::8, ::8], x[0, ..., 0])


@pytest.mark.slow
@KINDS
def test_one_object_serves_two_fits(tmp_path, kind):
    callback = make(kind, tmp_path / "images", log_dir=tmp_path / "logs")
    fit([callback], epochs=1)
    other = fit([callback], epochs=2)
    assert len(other.calls) == 3
    assert len(os.listdir(tmp_path / "images")) == 2
    assert len(image_events(tmp_path / "logs" / "images")) == 3


def test_any_function_of_the_model_can_be_the_picture(tmp_path):
    def draw(model):
        return np.full((2, 3, 1), 7, np.uint8)

    fit([PictureCallback(tmp_path, draw)], epochs=1)
    assert np.asarray(Image.open(tmp_path / "epoch_0001.png")).tolist() == [[7] * 3] * 2


# TensorBoard


@KINDS
def test_tensorboard_gets_the_very_pictures(tmp_path, kind):
    path = tmp_path / "images" / "walk"
    fit([make(kind, path, log_dir=tmp_path / "logs")], epochs=2)
    events = image_events(tmp_path / "logs" / "walk")
    assert [event[:2] for event in events] == [("walk", 1), ("walk", 2)]
    for _, step, width, height, png in events:
        file = path / f"epoch_{step:04d}.png"
        assert file.read_bytes() == png
        assert Image.open(file).size == (width, height)


def test_without_a_log_dir_nothing_but_pictures_is_written(tmp_path):
    fit([make(SampleImages, tmp_path)], epochs=1)
    assert os.listdir(tmp_path) == ["epoch_0001.png"]


# Several workers


def test_a_worker_that_is_not_chief_draws_but_writes_nothing(tmp_path, monkeypatch):
    extended = type(tf.distribute.get_strategy().extended)
    monkeypatch.setattr(extended, "should_save_summary", property(lambda self: False))
    callback = make(SampleImages, tmp_path / "images", log_dir=tmp_path / "logs")
    model = fit([callback], epochs=2)
    assert len(model.calls) == 3
    assert os.listdir(tmp_path) == []


# What is refused, and when


@KINDS
@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_every_is_a_whole_number_from_one(tmp_path, kind, every):
    with pytest.raises(ValueError, match="`every`"):
        make(kind, tmp_path, every=every)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 8, 8, 1)), r"\(0, 8, 8, 1\)"),
        (np.zeros((300, 8, 8, 1)), r"1 to 256.*\(300, 8, 8, 1\)"),
        (np.zeros(8), r"\(8,\)"),
        (np.full((2, 8), np.nan), "`x`.*NaN"),
        (np.array([["a", "b"]]), "`x`.*array of numbers"),
    ],
)
def test_examples_that_cannot_be_shown_are_refused_at_once(tmp_path, x, message):
    with pytest.raises(ValueError, match=message):
        ReconstructionImages(tmp_path, x)


def test_the_ends_of_an_interpolation_have_one_shape(tmp_path):
    with pytest.raises(ValueError, match=r"\(8, 8, 1\).*\(8, 8, 3\)"):
        InterpolationImages(tmp_path, np.zeros((8, 8, 1)), np.zeros((8, 8, 3)))
    with pytest.raises(ValueError, match="`steps`"):
        InterpolationImages(tmp_path, np.zeros(3), np.zeros(3), steps=1)


@pytest.mark.parametrize("options", [{"num": 0}, {"num": 1000}, {"seed": "x"}])
def test_the_number_and_seed_of_samples_are_checked(tmp_path, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}`"):
        SampleImages(tmp_path, **options)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 8, 1), r"\(n, 8, 8, 1\).*\(8, 8, 1\).*x\[:10\]"),
        ((2, 8, 8), r"\(n, 8, 8, 1\).*\(2, 8, 8\).*x\[\.\.\., np\.newaxis\]"),
        ((2, 9, 8, 1), r"\(n, 8, 8, 1\).*\(2, 9, 8, 1\).*made for.*\(8, 8, 1\)"),
    ],
)
def test_examples_of_another_shape_are_refused_before_training(
    tmp_path, shape, message
):
    model = Recorder((8, 8, 1))
    with pytest.raises(ValueError, match=message):
        fit([ReconstructionImages(tmp_path / "new", np.zeros(shape))], model=model)
    assert float(model.level) == 0
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 8, 8, 1), r"`a`.*\(8, 8, 1\).*\(1, 8, 8, 1\).*x\[0\]"),
        ((8, 8), r"`a`.*\(8, 8, 1\).*\(8, 8\).*x\[\.\.\., np\.newaxis\]"),
        ((9, 8, 1), r"`a`.*\(8, 8, 1\).*\(9, 8, 1\)"),
    ],
)
def test_ends_of_another_shape_are_refused_before_training(tmp_path, shape, message):
    model = Recorder((8, 8, 1))
    ends = np.zeros((2, *shape))
    with pytest.raises(ValueError, match=message):
        fit([InterpolationImages(tmp_path / "new", *ends)], model=model)
    assert float(model.level) == 0


@KINDS
def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path, kind):
    (tmp_path / "file").write_text("not a folder")
    model = Recorder((8, 8, 1))
    with pytest.raises(ValueError, match="`path`"):
        fit([make(kind, tmp_path / "file" / "images")], model=model)
    with pytest.raises(ValueError, match="`log_dir`"):
        log_dir = tmp_path / "file"
        fit([make(kind, tmp_path / "images", log_dir=log_dir)], model=model)
    assert float(model.level) == 0


# The real model


def trained(callbacks):
    """Trains a small VAE for two epochs and returns it."""
    from keras_vae.models.vae import VAE

    vae = VAE(latent_dim=2, input_shape=(8, 8, 1), seed=0)
    keras.utils.set_random_seed(0)
    vae.build()
    vae.compile(optimizer="sgd")
    vae.fit(examples(16), epochs=2, batch_size=8, verbose=0, callbacks=callbacks)
    return vae


@pytest.mark.slow
def test_pictures_of_a_vae_show_what_its_methods_return(tmp_path):
    x = examples(5)
    vae = trained(
        [
            ReconstructionImages(tmp_path / "r", x, log_dir=tmp_path / "logs"),
            InterpolationImages(tmp_path / "i", x[0], x[1], steps=6),
            SampleImages(tmp_path / "s", num=9, seed=4),
        ]
    )
    expected = {
        "r": grids.reconstruction_grid(x, vae.reconstruct(x)),
        "i": grids.interpolation_grid(
            vae.interpolate(x[0], x[1], 6), np.linspace(0, 1, 6)
        ),
        "s": grids.tile(vae.sample(9, seed=4)),
    }
    for name, picture in expected.items():
        found = np.asarray(Image.open(tmp_path / name / "epoch_0002.png"))
        np.testing.assert_array_equal(found, picture[..., 0])
        first = np.asarray(Image.open(tmp_path / name / "epoch_0001.png"))
        assert (first != found).any()


@pytest.mark.slow
def test_looking_does_not_change_what_is_trained(tmp_path):
    kinds = (ReconstructionImages, InterpolationImages, SampleImages)
    watched = trained([make(kind, tmp_path / kind.__name__) for kind in kinds])
    alone = trained([])
    for one, other in zip(watched.weights, alone.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


def conditional(condition, **options):
    keras.utils.set_random_seed(0)
    model = CVAE(2, (8, 8, 1), condition=condition, seed=0, **options)
    model.compile()
    return model


@pytest.mark.slow
def test_pictures_of_a_conditional_model_are_under_the_condition(tmp_path):
    x, labels = examples(4), np.arange(4) % 3
    model = conditional("label", num_classes=3)
    callbacks = [
        ReconstructionImages(tmp_path / "r", x, condition=labels),
        InterpolationImages(tmp_path / "i", x[0], x[1], steps=6, condition=[2]),
        SampleImages(tmp_path / "s", num=6, condition=np.arange(6) % 3, columns=3),
    ]
    model.fit(x, labels, epochs=1, verbose=0, callbacks=callbacks)
    expected = {
        "r": grids.reconstruction_grid(x, model.reconstruct(x, labels)),
        "i": grids.interpolation_grid(
            model.interpolate(x[0], x[1], 6, condition=2), np.linspace(0, 1, 6)
        ),
        "s": grids.tile(model.sample(6, 0, condition=np.arange(6) % 3), columns=3),
    }
    for name, picture in expected.items():
        found = np.asarray(Image.open(tmp_path / name / "epoch_0001.png"))
        np.testing.assert_array_equal(found, picture[..., 0])


@pytest.mark.slow
def test_completions_keep_the_part_that_is_given(tmp_path):
    x = examples(2)
    model = conditional("left_half")
    images = CompletionImages(tmp_path, x, count=3)
    model.fit(x, epochs=1, verbose=0, callbacks=[images])
    each = np.repeat(x[:, :, :4], 3, axis=0)
    made = model.sample(6, seed=0, condition=each).reshape(2, 3, 8, 8, 1)
    given = np.zeros((1, 8, 8, 1))
    given[:, :, :4] = 1
    picture = grids.completion_grid(x, given, made)
    found = np.asarray(Image.open(tmp_path / "epoch_0001.png"))
    np.testing.assert_array_equal(found, picture[..., 0])
