import math

import numpy as np
import pytest

from keras_vae.arguments import checked_shape, in_range, refuse_unused


def test_numbers_of_every_kind_are_taken():
    assert in_range("beta", np.float32(0.5), 0) == 0.5
    assert in_range("latent_dim", np.int64(3), 1, whole=True) == 3
    assert isinstance(in_range("latent_dim", np.int64(3), 1, whole=True), int)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, True, "1", None])
def test_a_number_out_of_range_is_refused_with_its_name_and_both_ends(value):
    with pytest.raises(
        ValueError, match="`share`. Expected a number of at least 0 and "
    ):
        in_range("share", value, 0, 1)


def test_a_part_is_no_whole_number():
    with pytest.raises(ValueError, match="whole number of at least 1. Received: n=1.5"):
        in_range("n", 1.5, 1, whole=True)


def test_a_shape_has_one_to_three_sizes():
    assert checked_shape([np.int64(4), 3]) == (4, 3)
    assert checked_shape(7) == (7,)
    for wrong in ((), (1, 2, 3, 4), (0,), (2.5,), "ab"):
        with pytest.raises(ValueError, match="`input_shape`"):
            checked_shape(wrong)


def test_only_what_differs_from_its_default_is_given():
    options = {"beta": (1.0, 1.0), "prior": ("vamp", "standard_normal")}
    refuse_unused("IWAE", ("beta",), options)
    with pytest.raises(ValueError, match="`prior`.*objective of IWAE.*prior='vamp'"):
        refuse_unused("IWAE", ("beta", "prior"), options)
