import numpy as np
import pytest

from keras_vae.evaluation.comparison import paired_difference


def test_a_paired_error_does_not_see_what_both_find_hard():
    rng = np.random.default_rng(0)
    hard = rng.normal(100.0, 30.0, 2_000)
    noise = rng.normal(0.0, 1.0, 2_000)
    gain = paired_difference(hard, hard + 2.0 + noise)
    assert gain.mean == pytest.approx(2.0, abs=0.1)
    assert gain.standard_error == pytest.approx(1 / np.sqrt(2_000), rel=0.1)


def test_the_sign_says_who_gains():
    assert paired_difference(np.zeros(3), np.ones(3)).mean == 1
    assert paired_difference(np.ones(3), np.zeros(3)).mean == -1
