import keras
import pytest

from keras_vae.models.network_shapes import check_output, check_pair

X = keras.KerasTensor((None, 6))


def network(*sizes):
    x = keras.Input((6,))
    outputs = [keras.layers.Dense(size)(x) for size in sizes]
    return keras.Model(x, outputs if len(sizes) > 1 else outputs[0])


def test_networks_that_fit_are_taken():
    assert check_output("decoder", network(4), X, (4,), "logits") is None
    assert check_pair("encoder", network(3, 3), X, 3) is None


@pytest.mark.parametrize(
    ("sizes", "found"), [((5,), r"\(None, 5\)"), ((4, 4), "KerasTensor")]
)
def test_an_output_of_another_shape_is_refused_with_both_shapes(sizes, found):
    message = rf"`decoder`.*returns logits of shape \(None, 4\).*returns shape.*{found}"
    with pytest.raises(ValueError, match=message):
        check_output("decoder", network(*sizes), X, (4,), "logits")


@pytest.mark.parametrize("sizes", [(3,), (3, 4), (3, 3, 3)])
def test_what_is_no_pair_of_the_size_is_refused(sizes):
    message = r"`encoder`.*the pair \(z_mean, z_log_var\), each of shape \(None, 3\)"
    with pytest.raises(ValueError, match=message):
        check_pair("encoder", network(*sizes), X, 3)


def test_a_network_that_cannot_be_called_is_refused_with_its_own_words():
    x = keras.KerasTensor((None, 7))
    with pytest.raises(
        ValueError, match=r"called on shape \(None, 7\).*fails there.*6"
    ):
        check_output("decoder", network(4), x, (4,), "logits")
