"""The names of the files of a training run, by which its folder is known."""

MODEL = "model.safetensors"
CONFIG = "config.toml"
METRICS = "metrics.csv"
REPORT = "report.html"
RECONSTRUCTIONS = "reconstructions.txt"
CURVES, FILTERS, PICTURES = "curves.png", "filters.png", "reconstructions.png"

CHECKPOINT_FOLDER, CHECKPOINT = "checkpoint", "checkpoint.safetensors"
FINISHED = "finished.safetensors"
"""The checkpoint of a training that is over."""

TENSORBOARD = "tensorboard"

OWN = frozenset(
    [
        MODEL, CONFIG, METRICS, REPORT, RECONSTRUCTIONS, CURVES, FILTERS, PICTURES,
        CHECKPOINT_FOLDER, TENSORBOARD,
    ]
)  # fmt: skip
"""All that aectl itself writes into the folder of a run."""
