"""Conditions as a page names them, and the arrays that a model takes for them."""

from typing import Any

import numpy as np

from keras_vae.naming import shortened
from keras_vae.reporting.subject import Subject

_KEPT = 32  # conditions of uploaded images


class Conditions:
    """The conditions that can be asked for.

    One is named `{"label": 3}`; or, where it is no label, `{"example": 5}`, that of the
    held-out example of this number, or `{"own": 0}`, that of an uploaded image. None is
    the name of all conditions of a model that takes none.

    Args:
        subject: The run.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._own: dict[int, np.ndarray] = {}
        self._uploads = 0

    def labels(self) -> list[dict[str, Any]] | None:
        """Returns all labels with their names; None where conditions are no labels."""
        if not self._subject.is_given_labels:
            return None
        known = self._subject.run.data.label_names or ()
        model = self._subject.model
        count = getattr(model.condition, "num_classes", len(known))
        return [
            {"label": label, "name": known[label] if label < len(known) else str(label)}
            for label in range(count)
        ]

    def of(self, row: int) -> dict[str, int] | None:
        """Returns the name of the condition of an example."""
        given = self._subject.condition
        if given is None:
            return None
        if self._subject.is_given_labels:
            return {"label": int(given[row])}
        return {"example": int(row)}

    def arrays(self, condition: Any, n: int) -> Any:
        """Returns what the model takes for a condition, or for a list of `n`.

        Raises:
            ValueError: If a condition is none of this model.
        """
        given = self._subject.condition
        if given is None:
            return None
        if isinstance(condition, list) and len(condition) == n:
            return np.concatenate([self.arrays(one, 1) for one in condition])
        labels = self.labels()
        match condition:
            case {"label": bool()} | {"example": bool()} | {"own": bool()}:
                pass
            case {"label": int(label)} if labels is not None:
                if 0 <= label < len(labels):
                    return np.full(n, label, np.int32)
            case {"example": int(row)} if labels is None and 0 <= row < len(given):
                return np.repeat(given[row : row + 1], n, axis=0)
            case {"own": int(number)} if number in self._own:
                return np.repeat(self._own[number], n, axis=0)
        raise ValueError(
            f"condition: expected one of this model, got {shortened(condition)}."
        )

    def of_upload(self, x: np.ndarray, chosen: Any) -> tuple[Any, Any]:
        """Returns the condition of an uploaded image, by name and as an array.

        A region is one of the image itself, and a label that the model can tell is
        inferred. Otherwise the condition is the chosen one.

        Args:
            x: The image, `(1, height, width, channels)`.
            chosen: The name of a condition.

        Raises:
            ValueError: If the chosen one is needed and none of this model.
        """
        subject = self._subject
        if subject.condition is None:
            return None, None
        if subject.run.completes:
            number, self._uploads = self._uploads, self._uploads + 1
            self._own[number] = np.asarray(subject.model.region_of(x))
            self._own.pop(number - _KEPT, None)
            return {"own": number}, self._own[number]
        if subject.model.infers_condition:
            chosen = {"label": int(subject.model.predict_label(x).argmax())}
        return chosen, self.arrays(chosen, 1)
