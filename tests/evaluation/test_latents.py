import csv

import numpy as np
import pytest

from keras_vae.evaluation.latents import (
    active_units,
    by_class,
    probe_accuracies,
    write_table,
)


def clusters(n, distance, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n).astype(np.int32)
    centres = distance * np.array([[0.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    return rng.normal(size=(n, 2)) + centres[labels], labels


def test_a_dimension_is_active_if_its_mean_varies_by_more_than_the_threshold():
    signs = np.array([[1.0], [-1.0]])
    z_mean = np.concatenate([3.0 + 0.099 * signs, 0.101 * signs, 5 * signs], axis=1)
    assert active_units(z_mean).tolist() == [False, True, True]
    assert active_units(z_mean, threshold=0.02).tolist() == [False, False, True]


def test_probes_read_labels_of_clusters_that_lie_apart():
    metrics = probe_accuracies(*clusters(300, 8.0, 0), *clusters(100, 8.0, 1))
    for probe in ("knn", "linear_probe"):
        assert metrics[f"{probe}_accuracy"] == 1.0
        assert metrics[f"{probe}_accuracy_by_class"] == {0: 1.0, 1: 1.0, 2: 1.0}


def test_probes_are_at_chance_where_latents_say_nothing():
    train, labels = clusters(600, 0.0, 0)
    test, asked = clusters(600, 0.0, 1)
    metrics = probe_accuracies(train, labels, test, asked)
    error = np.sqrt(1 / 3 * 2 / 3 / 600)
    for probe in ("knn", "linear_probe"):
        assert metrics[f"{probe}_accuracy"] == pytest.approx(1 / 3, abs=4 * error)


def test_the_nearest_neighbours_see_what_a_line_does_not_part():
    rng = np.random.default_rng(0)
    angle, ring = rng.uniform(0, 2 * np.pi, 800), rng.integers(0, 2, 800)
    z = (1.0 + 3.0 * ring)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    metrics = probe_accuracies(z[:400], ring[:400], z[400:], ring[400:])
    assert metrics["knn_accuracy"] == 1.0
    assert metrics["linear_probe_accuracy"] < 0.75


def test_accuracy_by_class_is_of_the_test_examples_of_that_class():
    train, labels = np.array([[0.0], [0.1], [5.0], [5.1]]), np.array([0, 0, 1, 1])
    test, asked = np.array([[0.0], [5.0], [0.1], [5.1]]), np.array([0, 0, 0, 1])
    metrics = probe_accuracies(train, labels, test, asked, neighbours=1)
    assert metrics["knn_accuracy"] == 0.75
    assert metrics["knn_accuracy_by_class"] == {0: pytest.approx(2 / 3), 1: 1.0}


def test_examples_without_a_label_are_left_out():
    train, labels = clusters(300, 8.0, 0)
    wrong = np.concatenate([train, train + 50.0])
    marked = np.concatenate([labels, np.full(300, -1, np.int32)])
    test, asked = clusters(50, 8.0, 1)
    unknown = np.concatenate([asked, np.full(50, -1, np.int32)])
    metrics = probe_accuracies(wrong, marked, np.tile(test, (2, 1)), unknown)
    assert metrics["knn_accuracy"] == 1.0
    assert -1 not in metrics["knn_accuracy_by_class"]


def test_there_is_nothing_to_read_without_two_classes():
    z, labels = clusters(20, 1.0, 0)
    assert probe_accuracies(z, np.zeros(20, np.int32), z, labels) == {}
    assert probe_accuracies(z, labels, z, np.full(20, -1, np.int32)) == {}


def test_the_mean_by_class_leaves_out_what_has_none():
    figure, labels = np.array([1.0, 3.0, 10.0, 99.0]), np.array([2, 2, 5, -1])
    assert by_class(figure, labels) == {2: 2.0, 5: 10.0}


def test_a_table_holds_each_column_by_name(tmp_path):
    z = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    labels = np.array([3, 1, -1, 0], np.int32)
    path = tmp_path / "sub" / "latents.csv"
    write_table(path, {"label": labels, "z_mean": z})
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["label", "z_mean_0", "z_mean_1"]
    assert [int(row[0]) for row in rows] == labels.tolist()
    found = np.array([[float(cell) for cell in row[1:]] for row in rows], np.float32)
    assert np.array_equal(found, z)
    assert [place.name for place in path.parent.iterdir()] == ["latents.csv"]
