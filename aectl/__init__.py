"""Train autoencoders and put them to work.

>>> model = aectl.load("model.safetensors")
>>> model.reconstruct(model.image("photo.jpg")[None])
>>> for batch in aectl.encode("model.safetensors", "photos/"):
...     print(batch.paths, batch.code.shape)

Each function has the name of a command, its arguments have those of the options, and its result is
a value; nothing is printed. They are loaded when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aectl.verbs.classify import classify
    from aectl.verbs.encode import encode
    from aectl.verbs.evaluate import evaluate
    from aectl.verbs.load import load
    from aectl.verbs.reconstruct import reconstruct
    from aectl.verbs.train import train

__version__ = "0.1.0"

__all__ = ["classify", "encode", "evaluate", "load", "reconstruct", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'aectl' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"aectl.verbs.{name}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
