import dataclasses

import numpy as np
import pytest

from keras_vae.reporting.subject import LeftOut, Plane


def test_the_dimension_that_carries_most_comes_first(make_subject):
    variance = np.array([0.5, 0.001, 0.9, 0.05])
    subject = make_subject(4, (6, 4, 1), variance=variance, z=np.zeros((20, 4)))
    expected = 0.5 * (variance - 1 - np.log(variance))
    np.testing.assert_allclose(subject.kl, expected, rtol=1e-5)
    assert subject.order.tolist() == [1, 3, 0, 2]


def test_under_another_prior_units_are_those_of_the_latents(make_subject):
    z = np.random.default_rng(0).normal([1.0, -0.5], [0.2, 0.9], (400, 2))
    subject = make_subject(z=z)
    subject.model.has_standard_prior = False
    np.testing.assert_allclose(subject.centre, [1.0, -0.5], atol=0.1)
    np.testing.assert_allclose(subject.unit, [0.2, 0.9], atol=0.1)
    assert subject.kl.shape == (2,)
    assert subject.kl[1] > subject.kl[0] > 0


def test_a_plain_autoencoder_has_no_kl_and_orders_by_variance(make_subject):
    z = np.random.default_rng(0).normal(0, [0.1, 0.9, 0.4], (50, 3))
    subject = make_subject(3, z=z)
    subject.model.has_kl = False
    with pytest.raises(LeftOut, match="no KL"):
        subject.kl  # noqa: B018
    assert subject.order.tolist() == [1, 2, 0]


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_few_dimensions_are_drawn_as_they_are(make_subject, latent_dim):
    subject = make_subject(latent_dim)
    points = subject.map.place(subject.z)
    np.testing.assert_allclose(points, subject.z)
    np.testing.assert_allclose(subject.decoder_plane.place(subject.z), subject.z)


def test_many_dimensions_are_decoded_in_the_plane_of_highest_kl(make_subject):
    variance = np.full(20, 0.9)
    variance[[7, 3]] = 0.001, 0.01
    subject = make_subject(20, (6, 4, 1), variance=variance, z=np.zeros((9, 20)))
    z = subject.decoder_plane.latent(np.array([[1.5, -0.5]]))[0]
    expected = np.zeros(20)
    expected[[7, 3]] = 1.5, -0.5
    np.testing.assert_allclose(z, expected)
    assert "$z_{7}$" in subject.decoder_plane.labels[0]


def test_the_ends_are_classes_by_name_or_number(make_subject):
    assert make_subject().ends == (0, 7)
    assert make_subject(classes=3).ends == (0, 2)
    assert make_subject(ends=("3", "5")).ends == (3, 5)
    subject = make_subject(classes=3, ends=("2", None))
    run = dataclasses.replace(
        subject.run,
        data=dataclasses.replace(subject.run.data, label_names=("cat", "dog", "cow")),
    )
    assert type(subject)(run, "dog", "2").ends == (1, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ends": ("9", None)}, "--from_label"),
        ({"ends": (None, "cat")}, "--to_label: .*got 'cat'"),
        ({"ends": ("0", None), "labels": False}, "--from_label: .*no class labels"),
    ],
)
def test_a_class_that_is_not_there_is_refused_at_once(make_subject, options, message):
    with pytest.raises(ValueError, match=message):
        make_subject(**options)


def test_the_typical_example_is_the_nearest_to_the_mean_of_its_class(make_subject):
    z = [[0, 0], [1, 0], [2.2, 0], [-1, 3], [-1, 1], [-1, 1.8]]
    subject = make_subject(z=z, y=[0, 0, 0, 1, 1, 1])
    assert subject.typical.tolist() == [1, 5]
    assert subject.pair == (1, 5)


def test_varied_examples_take_each_class_in_its_turn(make_subject):
    subject = make_subject(classes=8)
    assert subject.shown_classes[subject.varied(10)].tolist() == [*range(8), 0, 1]
    assert len(set(subject.varied(48).tolist())) == 48


def test_labels_that_are_missing_or_far_apart_are_kept_in_order(make_subject):
    z = np.zeros((5, 2))
    subject = make_subject(z=z, y=[40, -1, 3, 40, 7])
    assert subject.labels == (3, 7, 40)
    assert subject.names == ("3", "7", "40")
    assert subject.shown_classes.tolist() == [2, -1, 0, 2, 1]


def test_more_labels_than_colours_are_no_classes(make_subject):
    subject = make_subject(z=np.zeros((150, 2)), y=np.arange(150))
    assert subject.labels == ()
    with pytest.raises(LeftOut, match="class labels"):
        subject.need_classes()


def test_a_plane_and_its_latents_are_inverse():
    axes = np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 1.0]])
    plane = Plane(np.array([1.0, 2.0, 3.0]), axes, ("right", "up"))
    points = np.array([[0.5, -1.0], [2.0, 0.0]])
    np.testing.assert_allclose(plane.place(plane.latent(points)), points, atol=1e-6)
