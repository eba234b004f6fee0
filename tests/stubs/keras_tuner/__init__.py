import types

import numpy as np


class HyperModel:
    pass


def Objective(name, direction):  # noqa: N802
    assert direction == "min"
    return name


class _HyperParameters:
    def __init__(self, random):
        self.values, self._random = {}, random

    def Choice(self, name, values):  # noqa: N802
        chosen = values[self._random.integers(len(values))]
        return self.values.setdefault(name, chosen)

    def Float(self, name, min_value, max_value, sampling="linear"):  # noqa: N802
        assert sampling == "log"
        ends = np.log(min_value), np.log(max_value)
        return self.values.setdefault(name, float(np.exp(self._random.uniform(*ends))))


class RandomSearch:
    def __init__(
        self, hypermodel, objective, max_trials, seed, directory, project_name
    ):
        self._make, self._objective, self._trials = hypermodel, objective, max_trials
        self._random, self._found = np.random.default_rng(seed), []

    def search(self, *args, **kwargs):
        for _ in range(self._trials):
            hp = _HyperParameters(self._random)
            model = self._make.build(hp)
            scores = self._make.fit(hp, model, *args, callbacks=[], **kwargs)
            trial = {"score": scores[self._objective], "hp": hp, "model": model}
            self._found.append(types.SimpleNamespace(**trial))
        self._found.sort(key=lambda trial: trial.score)

    def get_best_hyperparameters(self):
        return [trial.hp for trial in self._found]

    def get_best_models(self):
        return [trial.model for trial in self._found]
