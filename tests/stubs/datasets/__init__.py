import numpy as np
import tensorflow as tf


class Image:
    pass


class Features(dict):
    pass


class Dataset:
    def __init__(self, columns):
        self._columns = columns

    @classmethod
    def from_dict(cls, mapping, features=None):
        return cls({name: list(map(np.asarray, mapping[name])) for name in mapping})

    def to_tf_dataset(self, columns, batch_size, shuffle=False):
        values = np.stack(self._columns[columns]).astype(np.int64)
        dataset = tf.data.Dataset.from_tensor_slices(values)
        if shuffle:
            dataset = dataset.shuffle(len(values))
        return dataset.batch(batch_size)
