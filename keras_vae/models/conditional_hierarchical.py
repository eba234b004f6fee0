"""The hierarchical VAE that is given a label or a vector: p(x|z, c)."""

from typing import Any

import keras
import tensorflow as tf

from keras_vae.models.conditional import CVAE
from keras_vae.models.hierarchical import Hierarchy
from keras_vae.naming import lookup

_CONDITIONS = dict.fromkeys(("label", "vector"))


@keras.saving.register_keras_serializable(package="keras_vae")
class ConditionalHierarchicalVAE(Hierarchy, CVAE):
    """A `HierarchicalVAE` of p(x|c) (Sohn et al. 2015; Vahdat and Kautz 2020).

    The condition enters the top-down path at each level, and so the prior of each
    group, its posterior and the decoder.

    Args: as `HierarchicalVAE`, and as `CVAE`
        condition: "label" or "vector".
        num_classes: How many labels there are, for "label".
        condition_shape: Of one condition, for "vector".

    Raises:
        ValueError: As `HierarchicalVAE` and `CVAE`, and for other conditions.

    Example:
    >>> x, y = np.zeros((16, 8, 8, 1)), np.arange(16) % 10
    >>> hvae = keras_vae.ConditionalHierarchicalVAE(
    ...     latent_dim=4, input_shape=(8, 8, 1), num_classes=10, width=8
    ... )
    >>> hvae.compile(optimizer="adam")
    >>> history = hvae.fit(x, y, epochs=1, verbose=0)
    >>> hvae.sample(3, condition=7).shape
    (3, 8, 8, 1)
    """

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        condition: str = "label",
        **kwargs: Any,
    ) -> None:
        lookup("condition", condition, _CONDITIONS)
        super().__init__(latent_dim, input_shape, condition=condition, **kwargs)

    @property
    def _code_shape(self) -> tuple[int, ...]:
        return tuple(self.condition.code_shape)

    def _codes(self, condition: Any, rows: Any, num_samples: Any = 1) -> tf.Tensor:
        code = self.code(condition)
        shape = self.condition.code_shape
        code = tf.broadcast_to(code, tf.concat([[rows], shape], axis=0))
        return tf.tile(code, [num_samples, *[1] * len(shape)])

    def _make_networks(self, encoder: Any, decoder: Any) -> tuple[Any, Any]:
        self.prior_network = None
        return super()._make_networks(encoder, decoder)
