"""Figures of hierarchies: what each group of latents says and adds."""

import numpy as np

from keras_vae.evaluation.likelihood import elbo_terms
from keras_vae.probability.latents import LatentGroups
from keras_vae.reporting.drawings import LARGE, Drawings, cells, framed
from keras_vae.reporting.subject import LeftOut, Subject
from keras_vae.visualization import latents

_SHOWN = 500  # examples whose KL is averaged
_COLUMNS = 10
_TEMPERATURES = (0.0, 0.4, 0.7, 0.85, 1.0)
_SEED = 0


def kl_per_group(subject: Subject) -> Drawings:
    """Draws the KL of each group of latents."""
    model, groups = subject.model, _groups(subject)
    x, condition = subject.examples.x[:_SHOWN], subject.condition
    condition = None if condition is None else condition[: len(x)]
    per_dimension = elbo_terms(model, x, condition).kl_per_dimension
    if per_dimension is None or not np.isfinite(per_dimension).all():
        raise LeftOut("the KL is not finite: the model has diverged")
    mean = per_dimension.mean(axis=0)
    kl = [float(mean[where].sum()) for _, where in groups.slices()]
    names = [f"{group.name}\n{group.size:,} numbers" for group in groups]
    title = f"KL of each group of latents, {sum(kl):.1f} nats in all"
    by_resolution = groups.by_resolution()
    label = "KL(q ‖ p), nats"
    return {"kl_per_group": latents.group_bars(kl, names, title, label, by_resolution)}


def levels(subject: Subject) -> Drawings:
    """Draws reconstructions with the posterior down to a group, then the prior."""
    model, groups = subject.model, _groups(subject)
    rows = subject.varied(_COLUMNS)
    x, given = subject.examples.x[rows], subject.rows_of(subject.condition, rows)
    z = model.encode(x, given)
    below = [model.decode(z[:, : where.stop], given) for _, where in groups.slices()]
    labels = ["example", *(f"to {group.name}" for group in groups)]
    picture = cells(subject, np.concatenate([x, *below]), len(rows))
    title = "Reconstructed from the groups down to one; below it the prior's means"
    return {"levels": framed(subject, picture, title, rows=labels)}


def temperatures(subject: Subject) -> Drawings:
    """Draws samples of several temperatures, each from the same noise."""
    model, _ = subject.model, _groups(subject)
    rows = subject.varied(_COLUMNS)
    given = subject.rows_of(subject.condition, rows)
    count = len(rows)
    drawn = [
        model.sample(count, seed=_SEED, condition=given, temperature=t)
        for t in _TEMPERATURES
    ]
    labels = [f"{t:g}" for t in _TEMPERATURES]
    picture = cells(subject, np.concatenate(drawn), count, side=LARGE // 2)
    title = "Samples: standard deviations of the prior times a temperature"
    return {"temperatures": framed(subject, picture, title, rows=labels)}


def _groups(subject: Subject) -> LatentGroups:
    groups: LatentGroups | None = subject.model.latent_groups
    if groups is None:
        raise LeftOut("it is of hierarchies: train with --model hvae")
    return groups
