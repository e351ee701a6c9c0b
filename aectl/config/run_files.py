"""The names of the files of a training run, by which its folder is recognised."""

from collections.abc import Collection

MODEL = "model.safetensors"
CONFIG = "config.toml"
METRICS = "metrics.csv"
REPORT = "report.html"
RECONSTRUCTIONS = "reconstructions.txt"
COLUMNS = "columns.csv"
TRUTH = "truth.npy"
CURVES, FILTERS, PICTURES = "curves.png", "filters.png", "reconstructions.png"

CHECKPOINT_FOLDER, CHECKPOINT = "checkpoint", "checkpoint.safetensors"
FINISHED = "finished.safetensors"
"""The checkpoint of a finished training."""

TENSORBOARD = "tensorboard"


def are_of_finished_run(names: Collection[str]) -> bool:
    """Whether files of such names lie in the folder of a run that is finished."""
    return MODEL in names and (CONFIG in names or METRICS in names)


OWN = frozenset(
    [
        MODEL, CONFIG, METRICS, REPORT, RECONSTRUCTIONS, COLUMNS, TRUTH, CURVES, FILTERS, PICTURES,
        CHECKPOINT_FOLDER, TENSORBOARD,
    ]
)  # fmt: skip
"""All files and folders that aectl writes into the folder of a run."""
