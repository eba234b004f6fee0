"""The one place that holds the wording of messages."""

import pytest

from keras_vae.errors import DataError, invalid_argument, invalid_flag, require


def test_an_argument_is_named_with_what_was_expected_and_what_came():
    error = invalid_argument("beta", "a number of at least 0", -1)
    assert type(error) is ValueError
    assert str(error) == (
        "Invalid value for argument `beta`. Expected a number of at least 0. "
        "Received: beta=-1."
    )


def test_what_came_can_be_put_into_words_and_what_to_do_comes_last():
    error = invalid_argument(
        "z", "shape (n, 2)", received="shape (2,)", advice="Give z[np.newaxis]."
    )
    assert str(error) == (
        "Invalid value for argument `z`. Expected shape (n, 2). Received: shape (2,). "
        "Give z[np.newaxis]."
    )


@pytest.mark.parametrize("flag", ["epochs", "--epochs"])
def test_a_flag_is_named_with_its_dashes(flag):
    error = invalid_flag(flag, "at least 1", 0, "Leave it out.")
    assert type(error) is ValueError
    assert str(error) == "--epochs: expected at least 1, got 0. Leave it out."


def test_what_is_required_is_refused_where_it_does_not_hold():
    require(True, "x", "numbers", "text")
    with pytest.raises(ValueError) as caught:
        require(False, "x", "numbers", "text")
    assert str(caught.value) == str(invalid_argument("x", "numbers", received="text"))


def test_an_error_of_data_is_one_of_values_under_its_old_name_too():
    from keras_vae.data.checks import DataError as of_0_1_0

    assert issubclass(DataError, ValueError) and of_0_1_0 is DataError
