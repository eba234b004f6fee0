"""Options said once: a dataclass field that is also a flag and a JSON key.

    @dataclasses.dataclass(frozen=True)
    class EvaluateOptions(Options):
        run: str = option(help="folder of the run")
        num_importance_samples: int = option(5000, "samples an image", minimum=1)

    EvaluateOptions.resolve({"run": "saved_models/digits-vae-z20"})

Fields are of type `bool`, `int`, `float`, `str`, a tuple of one of these of any length
(`tuple[int, ...]`), or one of these or None. Values are checked when an object is made.
Nothing here imports TensorFlow: a program's `--help` must answer at once.
"""

import dataclasses
import json
import math
import operator
import typing
from collections.abc import Collection, Iterable, Mapping
from types import NoneType
from typing import Any, Self

from keras_vae import naming
from keras_vae.errors import invalid_flag

LARGE = 1_000_000
"""Bounds counts and factors that no sensible run comes near."""


def option(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    group: str | None = None,
    choices: Collection[str] | Mapping[str, str] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    only_with: Mapping[str, tuple[Any, ...]] | None = None,
    shapes_result: bool = True,
    alias: str | None = None,
) -> Any:
    """Returns the dataclass field of one option.

    Args:
        default: Value where none is given; without one the option must be given.
        help: What the option does, in lower case and without a full stop.
        group: Heading in `--help` above this option and those that follow.
        choices: The values it can take; a mapping says one line about each.
        minimum: Smallest value allowed.
        maximum: Largest value allowed.
        above: Bound below that is itself not allowed.
        below: Bound above that is itself not allowed.
        only_with: Other options and the values of theirs with which this one has an
            effect; anywhere else it is refused when given.
        shapes_result: Whether a run with another value would be another run.
        alias: The name that the flag had before, still read on the command line.
    """
    metadata = {
        "help": help,
        "group": group,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "above": above,
        "below": below,
        "only_with": only_with or {},
        "shapes_result": shapes_result,
        "alias": alias,
    }
    return dataclasses.field(default=default, metadata=metadata)


class Kind(typing.NamedTuple):
    """The type of an option: `many` for a tuple, `optional` with None."""

    base: type
    many: bool
    optional: bool


def kind_of(field: dataclasses.Field[Any]) -> Kind:
    """Returns the type of an option, taken apart."""
    arguments = typing.get_args(field.type)
    optional = NoneType in arguments
    whole: Any = (
        next(a for a in arguments if a is not NoneType) if optional else field.type
    )
    many = typing.get_origin(whole) is tuple
    return Kind(typing.get_args(whole)[0] if many else whole, many, optional)


def expected(field: dataclasses.Field[Any]) -> str:
    """Says which values the option takes: "an integer, at least 1"."""
    kind, limits = kind_of(field), field.metadata
    if limits["choices"]:
        return "one of " + ", ".join(limits["choices"])
    one, several = {
        bool: ("true or false", "booleans"),
        int: ("an integer", "integers"),
        float: ("a finite number", "finite numbers"),
        str: ("UTF-8 text that is not empty", "UTF-8 texts that are not empty"),
    }[kind.base]
    bounds = [
        f"{words} {limits[key]:,}"
        for key, words in (
            ("minimum", "at least"),
            ("above", "above"),
            ("maximum", "at most"),
            ("below", "below"),
        )
        if limits[key] is not None
    ]
    return ", ".join([f"comma-separated {several}" if kind.many else one, *bounds])


def checked(field: dataclasses.Field[Any], value: Any) -> Any:
    """Returns `value` in the option's own type.

    Raises:
        ValueError: If it is of another type, not finite, out of range or no choice.
    """
    kind = kind_of(field)
    if value is None and kind.optional:
        return None
    try:
        if not kind.many:
            return _checked_one(field, kind.base, value)
        if isinstance(value, str) or not len(value):
            raise ValueError
        return tuple(_checked_one(field, kind.base, part) for part in value)
    except (TypeError, ValueError, OverflowError):
        hint, choices = "", field.metadata["choices"]
        if choices and kind.many and isinstance(value, tuple):
            value = next((part for part in value if part not in choices), value)
        if choices and isinstance(value, str):
            hint = naming.nearest(value, choices)
        raise invalid_flag(
            field.name, expected(field), naming.shortened(value), hint
        ) from None


def _checked_one(field: dataclasses.Field[Any], base: type, value: Any) -> Any:
    """Returns one value in type `base`; the errors it raises carry no words."""
    if isinstance(value, bool) != (base is bool):
        raise TypeError
    if base is int:
        value = operator.index(value)
    elif base is float:
        value = float(value + 0.0)  # text is no number here
        if not math.isfinite(value):
            raise ValueError
    elif base is str:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise ValueError
        value.encode()  # bytes of a name that are no UTF-8 cannot be
    limits = field.metadata
    if (
        (limits["choices"] and value not in limits["choices"])
        or (limits["minimum"] is not None and value < limits["minimum"])
        or (limits["above"] is not None and value <= limits["above"])
        or (limits["maximum"] is not None and value > limits["maximum"])
        or (limits["below"] is not None and value >= limits["below"])
    ):
        raise ValueError
    return value


@dataclasses.dataclass(frozen=True)
class Options:
    """Base class of a program's options: checks every field when an object is made.

    Raises:
        ValueError: If a value is of the wrong type, not finite, out of range or not
            among the choices; the message names the option, what was expected and what
            came.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = checked(field, getattr(self, field.name))
            object.__setattr__(self, field.name, value)

    @classmethod
    def resolve(cls, given: Mapping[str, Any]) -> Self:
        """Returns the options for the values that were given, by name.

        Raises:
            ValueError: If a name is unknown, a value is wrong, one that must be given
                is not, or one has no effect with the others.
        """
        cls.check_names(given)
        for field in dataclasses.fields(cls):
            if field.default is dataclasses.MISSING and field.name not in given:
                raise ValueError(
                    f"--{field.name} must be given: {field.metadata['help']}."
                )
        options = cls(**given)
        options.refuse_unused(given)
        return options

    @classmethod
    def check_names(cls, names: Iterable[str]) -> None:
        """Raises ValueError for the first name that is no option's."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in names:
            if name not in known:
                hint = naming.nearest(name, known)
                raise ValueError(f"There is no option --{name}.{hint}")

    def unused(self, name: str) -> str | None:
        """Says why the option of this name has no effect here; None if it has one."""
        fields = {field.name: field for field in dataclasses.fields(self)}
        for other, values in fields[name].metadata["only_with"].items():
            if getattr(self, other) not in values:
                return (
                    f"--{name} has no effect with --{other} {getattr(self, other)}: "
                    f"leave it out, or set --{other} to "
                    f"{' or '.join(str(value) for value in values)}."
                )
        return None

    def refuse_unused(self, given: Iterable[str]) -> None:
        """Raises ValueError if one of the options that were given has no effect."""
        for name in given:
            if reason := self.unused(name):
                raise ValueError(reason)

    def to_json(self, environment: Mapping[str, Any] | None = None) -> str:
        """Returns the text of a `config.json`: a key for each flag.

        Args:
            environment: What else is to be kept under that key (versions, devices);
                `from_json` does not read it.
        """
        content = dataclasses.asdict(self)
        if environment is not None:
            content["environment"] = dict(environment)
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Returns the configuration that `to_json` made `text` of.

        Raises:
            ValueError: If it is not JSON, not an object, or holds an unknown key or a
                value that is not allowed.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"The configuration is not JSON: {error}.") from error
        if not isinstance(content, dict):
            raise ValueError(
                "The configuration is not a JSON object with a key for each flag."
            )
        content.pop("environment", None)
        cls.check_names(content)
        return cls(**content)

    def differences(self, other: "Options") -> dict[str, tuple[Any, Any]]:
        """Returns what makes another run of it: name to this and the other value.

        Where the files go makes no other run.
        """
        pairs = {
            field.name: (getattr(self, field.name), getattr(other, field.name))
            for field in dataclasses.fields(self)
            if field.metadata["shapes_result"]
        }
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
