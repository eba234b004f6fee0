"""Plots of what only some runs do: complete images, take noise away, move an arm."""

import numpy as np
import tensorflow as tf

from keras_vae.data import motion
from keras_vae.networks.noise import input_noise_of
from keras_vae.noise import Domain, RowNoise, noise_scope
from keras_vae.reporting.drawings import Animation, Drawings, block, framed
from keras_vae.reporting.subject import LeftOut, Subject
from keras_vae.visualization import grids, paths

_SEED = 0
_IMAGES = 8  # that are completed,
_EACH = 6  # this often
_EVERY = 2  # moments of a movement from one frame to the next
_PAUSE = 8  # frames at the end of it


def completions(subject: Subject) -> Drawings:
    """Draws images of which a region is given: the region, completions, the image."""
    if not subject.run.completes:
        raise LeftOut(
            "no region of an image is given: train with --model cvae --condition "
            "left_half or another half, or mask"
        )
    model, rows = subject.model, subject.varied(_IMAGES)
    given = subject.rows_of(subject.condition, rows)
    each = np.repeat(given, _EACH, axis=0)
    made = model.sample(len(each), seed=_SEED, condition=each)
    made = made.reshape(len(rows), _EACH, *subject.shape)
    picture = grids.completion_grid(
        subject.examples.x[rows], np.asarray(model.condition.given(given)), made
    )
    name = "some pixels"
    if model.condition.name != "mask":
        name = f"the {model.condition.name.replace('_', ' ')}"
    title = f"{subject.split.capitalize()} examples of which {name} is given, completed"
    columns = ["given", *(f"{k + 1}" for k in range(_EACH)), "original"]
    return {"completions": framed(subject, picture, title, columns=columns)}


def denoising(subject: Subject) -> Drawings:
    """Draws examples, the same with the noise of the training, and without it again."""
    model = subject.model
    noise = input_noise_of(model.encoder)
    if noise is None:
        raise LeftOut("it trained without --input_noise")
    rows = subject.varied(10)
    x = subject.examples.x[rows]
    with noise_scope(RowNoise(_SEED, domain=Domain.EVALUATION)):
        noisy = noise(model.to_model(tf.convert_to_tensor(x)), training=True)
    z_mean, _ = model.encode_params(model.to_data(noisy), training=False)
    figure = block(
        subject,
        [x, np.asarray(model.to_data(noisy)), model.decode(np.asarray(z_mean))],
        f"{subject.split.capitalize()} examples, noise on them ({noise.kind}, "
        f"{noise.amount:g}), and what is made of that",
        ("original", "noisy input", "denoised output"),
    )
    return {"denoising": figure}


def movement(subject: Subject) -> Drawings:
    """Makes a GIF of the arm: how it draws examples, and their reconstructions."""
    if subject.run.data.name != "motion":
        raise LeftOut("it is of an arm: train with --dataset motion")
    rows = subject.varied(len(motion.FIGURES))
    given = subject.rows_of(subject.condition, rows)
    x = subject.examples.x[rows]
    elbow, pen = motion.arm_places(
        np.concatenate([x, subject.model.reconstruct(x, given)])
    )
    arms = np.stack([np.zeros_like(pen), elbow, pen], axis=2)  # (n, steps, 3, 2)
    positions = arms.reshape(-1, 2)
    limits = positions.min(axis=0), positions.max(axis=0)
    classes = subject.shown_classes
    titles = [""] * len(rows)
    if classes is not None:
        titles = [subject.names[index] for index in classes[rows]]
    titles += ["reconstruction"] * len(rows)
    frames = []
    for moment in range(0, pen.shape[1], _EVERY):
        drawn = pen[:, np.minimum(np.arange(pen.shape[1]), moment)]
        frames.append(
            paths.path_grid(
                drawn,
                arms=arms[:, moment],
                columns=len(rows),
                titles=titles,
                limits=limits,
            )
        )
    return {"movement": Animation(frames + frames[-1:] * _PAUSE)}
