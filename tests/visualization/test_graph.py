from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from keras_vae.visualization.graph import Block, model_graph

WORDS = {"posterior": "q", "prior": "N(0, I)", "latent": "z", "title": "VAE"}
ENCODER = [
    Block("x", "4"),
    Block("a", learns=True),
    Block("b"),
    Block("sum", "", (0, 2)),
]


def parts(figure, kind):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, kind)]


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_every_block_is_a_box_and_every_input_an_arrow():
    figure = model_graph(ENCODER, [Block("c"), Block("d")], **WORDS)
    assert len(parts(figure, FancyBboxPatch)) == 4 + 2 + 3
    # Within: 4 and 1; from x to q, to z, to the decoder: 3.
    assert len(parts(figure, FancyArrowPatch)) == 4 + 1 + 3
    assert {"x", "a", "b", "sum", "c", "d", "4", "VAE"} <= set(texts(figure))


def test_what_learns_has_a_colour_of_its_own():
    boxes = parts(model_graph(ENCODER, [Block("c")], **WORDS), FancyBboxPatch)
    colours = [box.get_facecolor() for box in boxes[:3]]
    assert colours[0] == colours[2] != colours[1]


def test_the_encoder_goes_down_and_the_decoder_up():
    figure = model_graph(ENCODER, [Block("c"), Block("d")], **WORDS)
    height = {t.get_text(): t.get_position()[1] for t in figure.axes[0].texts}
    assert height["x"] > height["a"] > height["b"] > height["q"] == height["z"]
    assert height["z"] < height["c"] < height["d"] == height["x"]


def test_a_model_without_a_prior_says_nothing_of_the_kl():
    figure = model_graph(ENCODER, [Block("c")], **{**WORDS, "prior": ""})
    assert not any("KL" in text for text in texts(figure))


def test_noise_classifier_and_loss_are_drawn_where_there_are_some():
    more = {"noise": "e ~ N(0, I)", "classifier": "q(y|x)", "loss": "-log p(x|z)"}
    plain = model_graph(ENCODER, [Block("c")], **WORDS)
    figure = model_graph(ENCODER, [Block("c")], **WORDS, **more)
    assert set(more.values()) <= set(texts(figure))
    assert not set(more.values()) & set(texts(plain))
    boxes, arrows = (
        len(parts(figure, kind)) - len(parts(plain, kind))
        for kind in (FancyBboxPatch, FancyArrowPatch)
    )
    assert (boxes, arrows) == (2, 2)


def test_nothing_is_cut_off_even_where_networks_are_deep():
    deep = [Block(f"layer {k}", "8 × 8 × 256") for k in range(30)]
    figure = model_graph(deep, deep[:3], **WORDS)
    box = figure.get_tightbbox()
    assert box.x0 > -1e-6 and box.y0 > -1e-6
    assert box.x1 < figure.get_figwidth() + 1e-6
    assert box.y1 < figure.get_figheight() + 1e-6


def test_names_are_taken_as_they_are_not_as_formulas():
    figure = model_graph(ENCODER, [Block("$\\frac$")], **{**WORDS, "title": "$x$"})
    figure.canvas.draw()
    assert "$x$" in texts(figure)
