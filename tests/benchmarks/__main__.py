"""What aectl reaches, measured beside its peers and the limits of the machine.

    python -m tests.benchmarks NAME [ARGUMENT...]

Each NAME is a module of this folder, whose first lines say what it measures and what it needs.
"""

import importlib
import sys
from pathlib import Path

NAMES = (
    "train",
    "threads",
    "gpu",
    "fused",
    "wide",
    "dictionaries",
    "outliers",
    "planted-defects",
    "tiles",
    "startup",
    "growth",
    "folder",
    "encode",
    "detect",
    "recipes",
    "photos",
    "sparsity",
    "few-labels",
    "one-class",
    "text",
    "exports",
)


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        sys.exit(f"give one of {', '.join(NAMES)}")
    sys.argv = sys.argv[1:]
    importlib.import_module(f"{__package__}.{sys.argv[0].replace('-', '_')}").main()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
