"""Train autoencoders and put them to work.

>>> trained = aectl.train("run", dataset="digits", hidden=[8], epochs=1)
>>> for result in aectl.encode(trained.model, "photos/"):
...     print(result.paths, result.code.shape)
['photos/0.png', 'photos/1.png', 'photos/2.png'] (3, 8)

Each function has the name of a command (`evaluate` that of `aectl eval`), its arguments have those
of the options, and its result is a value; nothing is printed. `encode`, `classify`, `detect` and
`reconstruct` return iterables: each item is the result for a batch of inputs, with their `paths`
and `labels`, computed when it is asked for. The functions are loaded when they are first used.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aectl.verbs.classify import classify
    from aectl.verbs.detect import detect
    from aectl.verbs.encode import encode
    from aectl.verbs.evaluate import evaluate
    from aectl.verbs.export import export
    from aectl.verbs.import_model import import_model
    from aectl.verbs.load import load
    from aectl.verbs.reconstruct import reconstruct
    from aectl.verbs.train import train

# Without it, the order of summation in MKL's small matrix products depends on the place of a row,
# and the features of an image on the images before it, on AMD's processors for instance. MKL reads
# this at its first product.
os.environ.setdefault("MKL_CBWR", "AUTO")

__version__ = "0.3.0.dev0"

__all__ = [
    "classify", "detect", "encode", "evaluate", "export", "import_model", "load", "reconstruct",
    "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'aectl' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"aectl.verbs.{name}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
