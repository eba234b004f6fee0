import dataclasses

import keras
import numpy as np
import pytest

from keras_vae import CVAE, VAE, Autoencoder, networks
from keras_vae.networks.noise import with_input_noise
from keras_vae.reporting import plots, task_plots
from keras_vae.reporting.subject import LeftOut, Subject

SHAPE = (6, 4, 1)


@pytest.fixture
def subject_of(make_subject):
    """Makes the subject of a model of 6x4 images, untrained, with random examples."""

    def make(model):
        subject = make_subject(shape=SHAPE)
        x = np.random.default_rng(0).uniform(0.2, 1.0, subject.examples.x.shape)
        split = dataclasses.replace(subject.run.data.test, x=x.astype(np.float32))
        data = dataclasses.replace(subject.run.data, train=split, test=split)
        return Subject(dataclasses.replace(subject.run, data=data, model=model))

    return make


def values(cell):
    """The pixels of a 6x4 image in an enlarged cell, in [0, 1]."""
    scale = cell.shape[1] // 4
    return cell[scale // 2 :: scale, scale // 2 :: scale][:6, :4] / 255


def test_completions_show_what_was_given_what_was_made_and_what_was_there(
    subject_of, cell_of
):
    keras.utils.set_random_seed(0)
    model = CVAE(2, SHAPE, condition="left_half", seed=0)
    subject = subject_of(model)
    figure = task_plots.completions(subject)["completions"]
    x = subject.examples.x[subject.varied(8), ..., 0]
    for row in (0, 7):
        given, first, second, original = (
            values(cell_of(figure, 8, 8, row, column)) for column in (0, 1, 2, 7)
        )
        np.testing.assert_allclose(original, x[row], atol=0.01)
        for cell in (given, first):
            np.testing.assert_allclose(cell[:, :2], x[row, :, :2], atol=0.01)
        assert np.ptp(given[:, 2:]) == 0
        assert np.abs(first - second)[:, 2:].max() > 0
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    # Labels wider than such small cells are cut.
    assert labels[0] == "given" and labels[-1].startswith("orig")
    assert "left half" in figure.texts[0].get_text()


@pytest.mark.parametrize(
    "kind, options, context",
    [(Autoencoder, {}, {}), (VAE, {"posterior": "planar"}, {"context": 20})],
)
def test_denoised_output_is_of_the_noisy_input_that_is_shown(
    subject_of, cell_of, kind, options, context
):
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder(SHAPE, 2, hidden_units=(8,), **context)
    encoder = with_input_noise(encoder, "masking:0.5")
    model = kind(2, SHAPE, encoder=encoder, decoder="mlp", **options)
    model.ensure_built()
    subject = subject_of(model)
    figure = task_plots.denoising(subject)["denoising"]
    x = subject.examples.x[subject.varied(10)]
    noisy = np.stack([values(cell_of(figure, 3, 10, 1, k)) for k in range(10)])
    gone = noisy < 0.1
    assert 0.3 < gone.mean() < 0.7
    np.testing.assert_allclose(noisy[~gone], x[..., 0][~gone], atol=0.01)
    made = np.stack([values(cell_of(figure, 3, 10, 2, k)) for k in range(10)])
    expected = model.reconstruct(x * ~gone[..., np.newaxis])[..., 0]
    np.testing.assert_allclose(made, expected, atol=0.01)


def test_the_arm_moves_within_one_frame_of_places(make_subject):
    z = np.random.default_rng(0).uniform(0.5, 2.0, (10, 2))
    subject = make_subject(shape=(64, 2), z=z, labels=False)
    data = dataclasses.replace(subject.run.data, name="motion")
    subject = Subject(dataclasses.replace(subject.run, data=data))
    frames = task_plots.movement(subject)["movement"].frames
    assert len({frame.shape for frame in frames}) == 1
    assert (frames[0] != frames[10]).any()
    assert (frames[-1] == frames[-2]).all()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("completions", "--condition left_half"),
        ("denoising", "--input_noise"),
        ("movement", "--dataset motion"),
    ],
)
def test_they_are_left_out_of_other_runs(make_subject, simple, name, words):
    subject = make_subject()
    subject.model.encoder = simple(layers=[])
    with pytest.raises(LeftOut, match=words):
        plots.draw(subject, name)
