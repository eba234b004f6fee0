import numpy as np

run = None


class Image:
    def __init__(self, data):
        self.data = np.asarray(data)
        if self.data.ndim not in (2, 3):
            raise ValueError(f"an image of shape {self.data.shape}")


class Run:
    def __init__(self, config):
        self.config, self.summary, self.history = dict(config), {}, []

    def log(self, values):
        self.history.append(values)
        self.summary.update(values)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        global run
        run = None


def init(project, mode="online", config=None):
    global run
    run = Run(config or {})
    return run
