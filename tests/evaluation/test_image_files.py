import numpy as np

from keras_vae.evaluation.image_files import lossless_bits_per_dimension

NOISE = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)


def test_noise_needs_eight_bits_and_a_plain_field_next_to_none():
    bits = lossless_bits_per_dimension(NOISE)
    plain = lossless_bits_per_dimension(np.full_like(NOISE, 7))
    for name in ("png_bits_per_dimension", "webp_bits_per_dimension"):
        assert 8.0 < bits[name] < 8.5
        assert plain[name] < 0.4
    assert bits == lossless_bits_per_dimension((NOISE / 255.0).astype(np.float32))


def test_what_is_no_8_bit_image_has_no_files():
    assert lossless_bits_per_dimension(NOISE[..., :2]) == {}
    assert lossless_bits_per_dimension(NOISE[0]) == {}
    assert lossless_bits_per_dimension(NOISE / 256.0) == {}
    assert lossless_bits_per_dimension(255 * (NOISE > 99).astype(np.uint8)) == {}
