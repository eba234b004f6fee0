"""Networks are refused by their number of weights before they are made."""

import pytest

from keras_vae import networks
from keras_vae.networks import limit

OPTIONS = {"hidden_units": (20, 10)}
NETWORKS = {
    "mlp encoder": lambda: networks.mlp_encoder((50,), 2, **OPTIONS),
    "mlp decoder": lambda: networks.mlp_decoder(2, (50,), **OPTIONS),
    "resmlp encoder": lambda: networks.resmlp_encoder((50,), 2, **OPTIONS),
    "resmlp decoder": lambda: networks.resmlp_decoder(2, (50,), **OPTIONS),
    "conv encoder": lambda: networks.conv_encoder((16, 16, 1), 200),
    "conv decoder": lambda: networks.conv_decoder(200, (16, 16, 1)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_at_most_the_weights_allowed(name):
    with pytest.raises(limit.TooManyWeights) as caught, limit.at_most(1000):
        NETWORKS[name]()
    assert caught.value.weights > 1000
    with limit.at_most(10**9):
        made = NETWORKS[name]()
    assert made.count_params() >= caught.value.weights


def test_the_limit_holds_for_all_networks_together():
    weights = 50 * 20 + 20 * 10 + 10 * 4
    with limit.at_most(2 * weights - 1), pytest.raises(limit.TooManyWeights):
        for _ in range(2):
            networks.mlp_encoder((50,), 2, **OPTIONS)
