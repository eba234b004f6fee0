import pytest

from keras_vae.naming import lookup, nearest

TABLE = {"bernoulli": 1, "gaussian": 2, "gaussian_fixed": 3}


def test_a_known_name_gives_what_the_table_holds():
    assert lookup("likelihood", "gaussian", TABLE) == 2


def test_an_unknown_name_is_refused_with_the_argument_and_all_known_names():
    with pytest.raises(ValueError) as error:
        lookup("likelihood", "poisson", TABLE)
    assert str(error.value) == (
        "Invalid value for argument `likelihood`. Expected one of 'bernoulli', "
        "'gaussian', 'gaussian_fixed'. Received: likelihood='poisson'."
    )


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("bernouli", "bernoulli"),
        ("Bernoulli", "bernoulli"),
        ("GAUSSIAN", "gaussian"),
        ("gaussian_fix", "gaussian_fixed"),
    ],
)
def test_the_nearest_known_name_is_offered(given, meant):
    with pytest.raises(ValueError, match=f"Did you mean '{meant}'\\?"):
        lookup("likelihood", given, TABLE)


def test_a_name_like_none_of_the_known_ones_gets_no_offer():
    assert nearest("xyz", TABLE) == ""
    assert nearest("", TABLE) == ""
    assert nearest("anything", []) == ""


def test_an_offer_is_spelled_as_the_known_name_is():
    assert nearest("label", ["Label", "weight"]) == " Did you mean 'Label'?"


@pytest.mark.parametrize("given", [None, 3, True])
def test_what_is_no_name_is_refused_in_the_same_words(given):
    with pytest.raises(ValueError, match=f"Received: prior={given!r}"):
        lookup("prior", given, TABLE)
