"""The splits of a training set that was read, and its classes, in words."""

import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aectl.config.spelling import first_of
from aectl.data.layout import Layout
from aectl.data.named_inputs import NamedInputs, Naming

log = logging.getLogger(__name__)

MOST_NAMED = 20
"""Maximum number of classes, or folders, that a line names."""


def rows_held_out(
    layouts: Sequence[Layout | None], paths: Sequence[str]
) -> NDArray[np.int64] | None:
    """The rows of the inputs in validation sets; None if there are none, or no others."""
    folders = [layout.validation for layout in layouts if layout and layout.validation]
    starts = tuple(f"{Naming()(folder)}/" for folder in folders)
    below = np.array([path.startswith(starts) for path in paths])
    return np.flatnonzero(below) if below.any() and not below.all() else None


def tell(
    inputs: NamedInputs,
    layouts: Sequence[Layout | None],
    labels: Sequence[str | None],
    paths: Sequence[str],
    held_out: NDArray[np.int64] | None,
    noun: str,
) -> None:
    """Logs the classes of each split of the inputs, with the number of each (`noun`: "image"), and
    warns of classes that only the validation set has.

    `labels` and `paths`: those of all rows, of which `held_out` is the validation set.
    """
    held = set() if held_out is None else set(held_out.tolist())
    learnt = [label for row, label in enumerate(labels) if row not in held]
    unlearnt = [labels[row] for row in sorted(held)]
    classes = set(labels)
    labelled = None not in classes and len(classes) > 1
    why_none = "" if labelled else _why_unlabelled(labels, paths, noun)
    split = [layout for layout in layouts if layout]
    named = [
        layout.training if layout else called
        for layout, called in zip(layouts, inputs.called(), strict=True)
    ]
    parts = [f"{', '.join(named)}: {_counted(learnt, labelled, noun)}{why_none}"]
    if held:
        validation = ", ".join(one.validation for one in split if one.validation)
        parts.append(f"{validation}, held out: {_counted(unlearnt, labelled, noun)}")
    if test := [one.test for one in split if one.test]:
        parts.append(f"{', '.join(test)} {'is' if len(test) == 1 else 'are'} kept for tests")
    if others := [name for one in split for name in one.others]:
        parts.append(f"not read: {first_of(others, MOST_NAMED)}")
    log.info("%s", "; ".join(parts))
    if labelled and (missing := set(unlearnt) - set(learnt)):
        log.warning(
            "warning: no training %ss of classes that the validation set has: %s",
            noun, first_of(sorted(map(str, missing)), MOST_NAMED),
        )  # fmt: skip


def _counted(labels: Sequence[str | None], labelled: bool, noun: str) -> str:
    if not labelled:
        return f"{_number(len(labels), noun)}, no classes"
    counts = Counter(map(str, labels))
    named = [f"{name} {number:,}" for name, number in sorted(counts.items())[:MOST_NAMED]]
    more = f" and {len(counts) - len(named):,} more" if len(counts) > len(named) else ""
    of = f"{_number(len(labels), noun)} of {_number(len(counts), 'class')}"
    return f"{of} ({', '.join(named)}{more})"


def _why_unlabelled(labels: Sequence[str | None], paths: Sequence[str], noun: str) -> str:
    """The reason why inputs of which some are in sub-folders have no classes, in brackets."""
    without = [path for path, label in zip(paths, labels, strict=True) if label is None]
    if len(without) == len(labels):
        return ""
    if not without:
        return f" (all are in {labels[0]})"
    verb = "is" if len(without) == 1 else "are"
    return f" ({_number(len(without), noun)} {verb} in no sub-folder: {first_of(without, 1)})"


def _number(count: int, noun: str) -> str:
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"
