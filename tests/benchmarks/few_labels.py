"""A classifier of few labels of MNIST: on pixels, and on what an autoencoder learnt of all images.

    python tests/benchmarks/few_labels.py OUT ENCODER...

For each number of labels, ten draws of them; each classifier is trained on the same draws: from
pixels, and for each ENCODER (a run folder) on its frozen code and fine-tuned. Prints the error on
the test set, mean and standard deviation over the draws. OUT keeps the models. AECTL_DATA_DIR names
the folder of the datasets.
"""

import statistics
import sys
from pathlib import Path

from commands import aectl, reports

LABELS = (100, 1000)
DRAWS = 10
COMMON = ("--dataset", "mnist", "--model", "classifier", "--shift", "1", "--weight-decay", "0.01")
LINEAR = ("--hidden", "")
MLP = ("--hidden", "1000,1000", "--dropout", "0.5")


def errors(folder: Path, *words: object) -> str:
    """The test error over the draws, in percent."""
    models = [folder / f"seed-{seed}" for seed in range(DRAWS)]
    if not all((model / "model.safetensors").exists() for model in models):
        options = ("--seeds", DRAWS, "--out", folder)
        aectl("train", "-q", "--overwrite", *COMMON, *words, *options)
    found = [report["error"] for report in reports(*models)]
    return f"{statistics.mean(found):.2f} ± {statistics.stdev(found):.2f}"


def main() -> None:
    out, encoders = Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]]
    ways = {"pixels, linear": LINEAR, "pixels, MLP 1000,1000": MLP}
    for encoder in encoders:
        name = "/".join(encoder.parts[-2:])
        ways[f"{name}, frozen, linear"] = (*LINEAR, "--encoder", encoder)
        tuned = (*LINEAR, "--encoder", encoder, "--fine-tune", "--dropout", "0.2")
        ways[f"{name}, fine-tuned"] = tuned
    print("| error, percent | " + " | ".join(f"{count} labels" for count in LABELS) + " |")
    print("|---" * (len(LABELS) + 1) + "|")
    for number, (way, words) in enumerate(ways.items()):
        cells = [errors(out / f"{number}-{count}", *words, "--labels", count) for count in LABELS]
        print(f"| {way} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
