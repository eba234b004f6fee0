import numpy as np
import pytest
from sklearn.datasets import make_swiss_roll

from keras_vae import VAE, networks
from keras_vae.training import embedding
from keras_vae.training.config import TrainConfig


def ranks(values):
    return np.argsort(np.argsort(values))


@pytest.mark.slow
def test_the_networks_start_with_the_roll_unrolled():
    x, position = make_swiss_roll(1000, random_state=0)
    x = x.astype(np.float32)
    options = {"hidden_units": (64, 64)}
    model = VAE(
        2,
        (3,),
        encoder=networks.mlp_encoder((3,), 2, **options),
        decoder=networks.mlp_decoder(2, (3,), **options),
        likelihood="gaussian",
        seed=0,
    )
    model.adapt(x)
    embedding.start_at_isomap(model, x, seed=0)
    z = model.encode(x)
    for axis, known in enumerate((position, x[:, 1])):
        together = np.corrcoef(ranks(z[:, axis]), ranks(known))[0, 1]
        assert abs(together) > 0.95
    error = np.square(model.reconstruct(x) - x).mean() / x.var()
    assert error < 0.1


def test_too_few_examples_are_refused():
    model = VAE(2, (3,), likelihood="gaussian", seed=0)
    model.adapt(np.zeros((5, 3), np.float32))
    with pytest.raises(ValueError, match="--init_latents"):
        embedding.start_at_isomap(model, np.zeros((5, 3), np.float32), seed=0)


@pytest.mark.parametrize(
    "given", [{"model": "cvae"}, {"model": "iwae"}, {"init_from": "runs/a"}]
)
def test_it_is_refused_where_it_has_no_effect(given):
    with pytest.raises(ValueError, match="--init_latents"):
        TrainConfig.resolve({"init_latents": "isomap", **given})
