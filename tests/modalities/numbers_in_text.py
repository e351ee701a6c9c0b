"""A modality in one file: rows of whole numbers from 0 to 255, a line of a .txt file each."""
# ruff: noqa: E402 -- a kind of model is added before the options are declared

import hashlib
import os
from contextlib import nullcontext

import numpy as np

from aectl.config import kinds

NUMBERS, MODEL = "numbers", "number-autoencoder"
kinds.KINDS[MODEL] = kinds.Kind(
    (NUMBERS,), has_code=True, usual_widths=lambda width, *_: (max(1, width // 2),)
)

from aectl.data.images.image_batches import InputBatch
from aectl.data.images.image_set import ImageSet
from aectl.data.named_inputs import Position
from aectl.data.sources import Names
from aectl.errors import DataError
from aectl.inference import apply
from aectl.inference.metrics import ReconstructionMetrics
from aectl.modalities import MODALITIES, EncodedRows, Modality
from aectl.modalities.request import InputStream
from aectl.modalities.trained_on import sources_of
from aectl.models import build
from aectl.models.architecture import INPUT_SPECS
from aectl.outputs.rows import leading_columns

MODALITIES[NUMBERS] = __name__
INPUT_SPECS[NUMBERS] = INPUT_SPECS["images"]
build.NETWORKS[MODEL] = build.NETWORKS["autoencoder"]
NAMES = Names(endings=(".txt",))


def rows_of(path):
    """(path:line, numbers) of each line of a file."""
    if not os.path.isfile(path):
        raise DataError(f"{path} is no file of numbers")
    with open(path) as file:
        for number, line in enumerate(file, 1):
            yield f"{path}:{number}", np.array(line.split(), np.uint8)


def set_of(path):
    """The rows of a file as a training set, each a picture of one line."""
    paths, rows = zip(*rows_of(path), strict=True)
    return ImageSet(path, np.stack(rows)[:, None, None], None, (), paths, None)


class NumberStream(InputStream):
    batch_size, labelled = 8, False

    def __init__(self, card, request):
        self.words = [source.word for source in sources_of(card, request, NAMES)]
        self._shape = card.shape

    def called(self):
        return self.words

    def batches(self, after=None, most=None):
        return nullcontext(self._batches(after.inputs if after else 0, most))

    def listed(self, inputs):
        return ((path, 1) for word in self.words for path, _ in rows_of(word))

    def _batches(self, first, most):
        rows = [row for word in self.words for row in rows_of(word)][:most]
        for start in range(first, len(rows), self.batch_size):
            paths, numbers = zip(*rows[start : start + self.batch_size], strict=True)
            read = start + len(paths)
            digest = hashlib.sha256("".join(path for path, _ in rows[:read]).encode()).hexdigest()
            images = np.stack(numbers).reshape(len(paths), *self._shape)
            labels = [None] * len(paths)
            yield InputBatch(list(paths), images, labels, self.batch_size, Position(read, digest))


class Numbers(Modality):
    name, noun, pictured = NUMBERS, "rows", False
    names, known_by_name, readable = NAMES, "rows of numbers", "a .txt file of numbers"

    def refused(self, card):
        return dict.fromkeys(("pca", "probe", "ssim", "report", "null"), "rows of numbers")

    def equip(self, network, card):
        pass

    def stream(self, card, request):
        return NumberStream(card, request)

    def tensor(self, network, batch, rows, device):
        return apply.image_tensor(batch, rows, device)

    def leading_columns(self, batch, labelled, request):
        return leading_columns(batch, labelled)

    def code(self, card, code, count, vectors):
        return EncodedRows(vectors(code)[:count], {})

    def reconstruct(self, card, network, batches, to_tensor):
        return apply.reconstruct(network, batches, to_tensor)

    def shown(self, card, result):
        made = np.round(result.reconstruction * 255).astype(int)
        both = {"original": result.batch.images, "reconstruction": made}
        columns = {
            name: [" ".join(map(str, row.ravel())) for row in rows] for name, rows in both.items()
        }
        return EncodedRows(None, columns)

    def metrics(self, card, network):
        return ReconstructionMetrics(network.active_above)

    def measure(self, network, batches, to_tensor, metrics):
        return apply.measure(network, batches, to_tensor, metrics)

    def columns(self, measured):
        return {"mse": measured.mse}

    def training_set(self, config, reading, request):
        rows = set_of(*config.data.dataset)
        return config.resolved(None, rows.shape[2], len(rows)), rows

    def training_set_again(self, config, reading, found):
        return set_of(*config.data.dataset)

    def input_again(self, data, resumed, found):
        return data.shape

    def run(self, config, data, device, start=None, resumed=None, architecture=None):
        from aectl.training.image_run import ImageRun

        return ImageRun(config, data, device, start, architecture)

    def fill(self, folder, run, card, data_dir, logs):
        pass

    def size(self, architecture):
        return f"{architecture.shape[2]} numbers"

    def shown_metrics(self, rule):
        return ("mse",)

    def remedy(self, config):
        return "a lower --lr"


MODALITY = Numbers()
