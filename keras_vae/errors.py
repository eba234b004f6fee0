"""What is wrong with an argument, a flag or data, in one sentence each."""

from typing import Any


class DataError(ValueError):
    """Data that cannot be used. The message is a sentence that says where and why."""


def invalid_argument(
    argument: str,
    expected: str,
    value: Any = None,
    *,
    received: str | None = None,
    advice: str = "",
) -> ValueError:
    """Returns the error of an argument of a function, to be raised.

    Args:
        argument: Its name.
        expected: What would do, such as "a number above 0".
        value: What came.
        received: The same in words, where the value itself says less or is large, such
            as "shape (3, 4)".
        advice: What to do now, as a sentence.
    """
    if received is None:
        received = f"{argument}={value!r}"
    return ValueError(
        f"Invalid value for argument `{argument}`. Expected {expected}. "
        f"Received: {received}.{_following(advice)}"
    )


def require(condition: bool, argument: str, expected: str, received: object) -> None:
    """Raises the ValueError of an argument unless `condition` holds."""
    if not condition:
        raise invalid_argument(argument, expected, received=str(received))


def invalid_flag(
    flag: str, expected: str, received: Any, advice: str = ""
) -> ValueError:
    """Returns the error of a flag of a program, to be raised.

    Args:
        flag: Its name, with or without the two dashes.
        expected: What would do, such as "a number above 0".
        received: What came, as the message shows it.
        advice: What to do now, as a sentence.
    """
    return ValueError(
        f"--{flag.removeprefix('--')}: expected {expected}, got {received}."
        f"{_following(advice)}"
    )


def as_flag(value: Any) -> str:
    """Returns the value of a flag as one would type it."""
    if value is None:
        return "not set"
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _following(sentence: str) -> str:
    return f" {sentence.strip()}" if sentence else ""
