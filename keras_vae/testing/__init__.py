"""The contract of a model: what each of them promises, checked on any of them.

`check_model` holds a model to it, one of the package or a subclass of one's own:

    from keras_vae import testing

    def make(**options):
        return MyVAE(2, (8, 8, 1), power=3.0, **options)

    testing.check_model(make, x)
"""

from collections.abc import Callable, Collection
from typing import Any

from keras_vae.errors import invalid_argument
from keras_vae.testing import files, measures, steps
from keras_vae.testing.candidate import Candidate

CLAUSES: dict[str, Callable[[Candidate], None]] = {
    "config": files.config,
    "elbo": measures.elbo_of_batches,
    "sum": measures.sum_of_terms,
    "sample_weight": steps.sample_weight,
    "steps": steps.steps_per_call,
    "microbatches": steps.microbatches,
    "replicas": steps.replicas,
    "eager": steps.eager,
    "xla": steps.xla,
    "traces": measures.traces,
    "mixed_precision": steps.mixed_precision,
    "continuation": steps.continuation,
    "saving": files.saving,
    "export": files.export,
}
"""What is promised, by name; the docstring of each function says it."""


def check_model(
    make: Callable[..., Any],
    x: Any,
    y: Any = None,
    *,
    clauses: Collection[str] | None = None,
    excused: Collection[str] = (),
) -> None:
    """Raises an AssertionError where a model breaks the contract of a `VAE`.

    What is promised is in `CLAUSES`. The model is trained for a few steps a dozen
    times, which takes a small one about a minute; the global random seeds are set.

    Args:
        make: `make(**options)` returns a new model with networks of its own, each time
            the same one but for its random weights. It hands on what it is given,
            `seed=`, to the constructor.
        x: Examples, an array `(n, *input_shape)`; a few are enough.
        y: Their conditions or labels, as `fit` takes them.
        clauses: Names in `CLAUSES`; None checks all.
        excused: Names of clauses that this model need not keep. A model of the package,
            and a subclass of one, is excused from what its entry in `models.registry`
            says. Networks with batch normalisation, which sees a batch as a whole, are
            to be excused from "replicas", "microbatches" and "sample_weight".

    Raises:
        AssertionError: Where a clause is broken, naming it and what differed.
        ValueError: If there is no clause of a name, or TensorFlow is already running on
            one logical CPU device only, so that there is no second replica.

    Example:
    >>> x = np.random.default_rng(0).random((8, 4, 4, 1), np.float32)
    >>> make = functools.partial(keras_vae.VAE, 2, (4, 4, 1))
    >>> keras_vae.testing.check_model(make, x, clauses=["config", "elbo"])
    """
    chosen = list(CLAUSES if clauses is None else clauses)
    for argument, names in (("clauses", chosen), ("excused", [*excused])):
        unknown = set(names) - CLAUSES.keys()
        if unknown:
            expected = f"names out of {', '.join(CLAUSES)}"
            raise invalid_argument(argument, expected, sorted(unknown))
    if "replicas" in chosen and "replicas" not in excused:
        steps.check_replicas()
    candidate = Candidate(make, x, y, excused)
    for name in chosen:
        if name in candidate.excused:
            continue
        try:
            CLAUSES[name](candidate)
        except AssertionError as error:
            raise AssertionError(f"The clause {name!r} is broken: {error}") from error
        except Exception as error:
            raise AssertionError(
                f"The clause {name!r} is broken by {type(error).__name__}: {error}"
            ) from error
