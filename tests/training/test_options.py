import dataclasses
from typing import Any

import numpy as np
import pytest

from keras_vae.training.options import Options, option


@dataclasses.dataclass(frozen=True)
class Example(Options):
    run: str = option(help="folder of the run")
    count: int = option(3, "how many", minimum=1, maximum=5)
    rate: float = option(0.5, "how fast", above=0, below=1)
    maybe: float | None = option(None, "or not")
    widths: tuple[int, ...] | None = option(None, "how wide", minimum=1)
    loud: bool = option(False, "whether")
    colour: str = option("red", "which", choices=("red", "green"))
    shade: float = option(0.1, "of green", only_with={"colour": ("green",)})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 0),
        ("count", 6),
        ("count", 2.0),
        ("count", True),
        ("count", "2"),
        ("count", None),
        ("rate", 0.0),
        ("rate", 1.0),
        ("rate", float("nan")),
        ("rate", "0.5"),
        ("rate", True),
        ("maybe", float("inf")),
        ("maybe", 10**400),
        ("widths", ()),
        ("widths", (4, 0)),
        ("widths", 4),
        ("widths", "44"),
        ("loud", 1),
        ("loud", "true"),
        ("colour", "blue"),
        ("colour", ["red"]),
        ("run", ""),
        ("run", "  "),
        ("run", 7),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_name(name, value):
    values: dict[str, Any] = {"run": "r", name: value}
    with pytest.raises(ValueError, match=f"^--{name}: expected .*, got "):
        Example(**values)


def test_values_come_out_in_the_type_of_the_option():
    example = Example("r", np.int64(2), rate=np.float32(0.25), maybe=3, widths=[4, 5])
    assert example == Example("r", 2, 0.25, 3.0, (4, 5))
    assert type(example.count) is int
    assert type(example.rate) is float
    assert type(example.maybe) is float


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ValueError) as caught:
        Example("r", colour="blue" * 10_000)
    assert len(str(caught.value)) < 300


def test_the_nearest_choice_is_named():
    with pytest.raises(ValueError, match="Did you mean 'green'"):
        Example("r", colour="gren")


def test_of_several_values_the_one_that_is_no_choice_is_named():
    @dataclasses.dataclass(frozen=True)
    class Several(Options):
        colours: tuple[str, ...] = option(("red",), choices=("red", "green"))

    with pytest.raises(ValueError, match="got 'gren'. Did you mean 'green'"):
        Several(("red", "gren"))


def test_resolve_names_what_must_be_given_and_what_is_unknown():
    with pytest.raises(ValueError, match="--run must be given: folder of the run"):
        Example.resolve({"count": 2})
    with pytest.raises(ValueError, match="no option --cuont. Did you mean 'count'"):
        Example.resolve({"run": "r", "cuont": 2})


def test_what_is_given_without_effect_is_refused():
    assert Example.resolve({"run": "r", "colour": "green", "shade": 0.2}).shade == 0.2
    with pytest.raises(ValueError, match="--shade has no effect with --colour red"):
        Example.resolve({"run": "r", "shade": 0.2})
