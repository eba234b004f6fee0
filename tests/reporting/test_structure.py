import keras
import pytest

from keras_vae import networks
from keras_vae.networks.noise import with_input_noise
from keras_vae.reporting.structure import blocks, shape_text


def test_a_chain_is_read_in_order_with_activations_written_in():
    encoder = networks.mlp_encoder((6, 4, 1), 2, hidden_units=(8, 5), activation="tanh")
    found = blocks(encoder)
    assert [(block.text, block.shape, block.learns) for block in found] == [
        ("Flatten", "24", False),
        ("Dense 8, tanh", "8", True),
        ("Dense 5, tanh", "5", True),
        ("Dense 4", "4", True),
    ]
    assert [block.inputs for block in found] == [(), (0,), (1,), (2,)]


def test_a_residual_connection_has_two_inputs():
    found = blocks(networks.resmlp_encoder((6, 4, 1), 2, hidden_units=(8,)))
    adds = [block for block in found if block.text.startswith("Add")]
    assert len(adds) == 1
    skipped, last = adds[0].inputs
    assert found[skipped].text == "Dense 8"
    assert last - skipped == 3


@pytest.mark.parametrize("name", ["mlp", "resmlp", "conv", "resnet"])
def test_every_network_of_images_has_blocks_that_end_at_its_output(name):
    decoder = networks.DECODERS[name](3, (9, 6, 3))
    found = blocks(decoder)
    assert found[-1].shape == "9 × 6 × 3"
    assert all(
        source < place for place, block in enumerate(found) for source in block.inputs
    )


def test_a_network_that_is_no_graph_is_one_block():
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    network = Own()
    network(keras.ops.zeros((1, 2)))
    (block,) = blocks(network)
    assert block.text == "own, 9 weights"


def test_a_very_deep_network_is_one_block():
    x = h = keras.Input((4,))
    for _ in range(50):
        h = keras.layers.Dense(4)(h)
    assert len(blocks(keras.Model(x, h))) == 1


def test_shapes_are_written_with_times_signs():
    assert shape_text((28, 28, 1)) == "28 × 28 × 1"
    assert shape_text((None, 3)) == "? × 3"


def test_a_denoising_encoder_is_opened():
    encoder = networks.mlp_encoder((6, 4, 1), 2, hidden_units=(8,), activation="tanh")
    found = blocks(with_input_noise(encoder, "masking:0.25"))
    assert [block.text for block in found] == [
        "masking noise in training, 0.25",
        "Flatten",
        "Dense 8, tanh",
        "Dense 4",
    ]
    assert [block.inputs for block in found] == [(), (0,), (1,), (2,)]
