import numpy as np
import pytest

from keras_vae.visualization import palette

# Simulations at full severity, of linear sRGB (Machado et al. 2009, table 1).
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# From linear sRGB to OKLab (Ottosson 2020).
CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
OPPONENTS = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def linear(colors):
    rgb = np.array([list(bytes.fromhex(color[1:])) for color in colors]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast_on_white(colors):
    return 1.05 / (linear(colors) @ [0.2126, 0.7152, 0.0722] + 0.05)


def distances(colors, vision):
    seen = np.clip(linear(colors) @ np.transpose(VISION[vision]), 0, 1)
    lab = np.cbrt(seen @ np.transpose(CONES)) @ np.transpose(OPPONENTS)
    apart = np.linalg.norm(lab[:, None] - lab, axis=-1)
    return apart[np.triu_indices(len(colors), 1)]


def test_distances_know_what_the_colour_blind_confuse():
    red_and_green = ["#b03a2e", "#6b6b00"]
    assert distances(red_and_green, "normal")[0] > 0.13
    assert distances(red_and_green, "deuteranopia")[0] < 0.08
    assert contrast_on_white(["#000000", "#ffffff"]) == pytest.approx([21, 1])


@pytest.mark.parametrize(
    ("vision", "least"),
    [
        ("normal", 0.13),
        ("protanopia", 0.08),
        ("deuteranopia", 0.08),
        ("tritanopia", 0.08),
    ],
)
def test_ten_classes_are_told_apart(vision, least):
    assert distances(palette.class_colors(10), vision).min() >= least


@pytest.mark.parametrize("n", [1, 10, 11, 30, 100])
def test_every_class_is_seen_on_white_and_has_a_look_of_its_own(n):
    colors = palette.class_colors(n)
    assert contrast_on_white([*colors, palette.UNKNOWN]).min() >= 3.0
    assert len(set(colors)) == n
    assert distances([*palette.class_colors(10), palette.UNKNOWN], "normal").min() > 0.1
    looks = zip(colors[:10] * 10, palette.class_markers(n), strict=False)
    assert len(set(looks)) == n


def test_shapes_are_of_tens_or_of_each_class():
    assert len(set(palette.class_markers(10))) == 1
    assert len(set(palette.class_markers(10, every=True))) == 10
    tens = palette.class_markers(30)
    assert len(set(tens[:10])) == 1 and len(set(tens)) == 3
