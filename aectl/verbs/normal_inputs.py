"""Normal inputs, to which an anomaly score is fitted and on which it is calibrated."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aectl.config.scores import mapped, needed
from aectl.config.spelling import first_of
from aectl.data.images.masks import GOOD
from aectl.data.read_once import ReadOnce
from aectl.errors import DataError
from aectl.progress import Progress
from aectl.verbs.use import Use

if TYPE_CHECKING:
    from aectl.inference.apply import ToTensor
    from aectl.inference.calibrating import Calibrated

MOST_NAMED = 3


def evidence_of(use: Use, score: str, maps: bool) -> Callable[..., Iterator[Any]]:
    """The computation, for `Use.results`, of the evidence that a score, and maps, are made of."""
    modality = use.modality
    wanted = needed(score, modality.evidence(use.card)) | ({mapped(score)} if maps else set())

    def compute(network: Any, batches: Iterable[Any], to_tensor: "ToTensor") -> Iterator[Any]:
        return modality.examine(network, batches, to_tensor, wanted)

    return compute


def calibrated_on(
    normal: Use, fit_to: Use | None, score: str, maps: bool, progress: Progress
) -> "Calibrated":
    """A score, calibrated on normal inputs, and fitted to some of them or to those of `fit_to`;
    with `maps`, also the highest pixel of images. Each input is read once, so that none that
    calibrates the score counts twice, or fits it.

    A warning names those that may be anomalies. Raises DataError where there are too few.
    """
    from aectl.inference.calibrating import Calibrating

    calibrating = Calibrating.named(score, normal.modality.evidence(normal.card))
    of_pixels = Calibrating.marking(mapped(score))
    once = ReadOnce()
    made = [calibrating, of_pixels] if maps else [calibrating]
    compute = evidence_of(normal, score, maps)
    _read(normal, once, compute, "calibrating", [one.add for one in made], progress)
    if once.repeated:
        normal.request.notice(f"normal inputs named twice, read once: {once.repeated:,}")
    if fit_to:
        takers = [one.refer for one in made]
        if not _read(fit_to, once, compute, "fitting the score", takers, progress):
            raise DataError("--fit-to names no inputs but those that --normal names")
    with normal.noted():
        found = calibrating.result()
        with contextlib.suppress(DataError):  # too few images
            found = found._replace(pixels=of_pixels.result() if maps else None)
    for one, of in ((calibrating, "the score"), (of_pixels, "maps")):
        if one.dropped:
            normal.request.notice(
                f"normal inputs left out of {of}, at random, for want of memory: {one.dropped:,}"
            )
    if found.suspects:
        named = ", ".join(found.suspects[:MOST_NAMED])
        normal.request.warning(
            f"{len(found.suspects):,} of {len(found.normal):,} normal inputs have scores far"
            f" above the others: {named}; if they are anomalies, leave them out: with them,"
            " p-values are too large, and anomalies are missed"
        )
    return found


def _read(
    use: Use,
    once: ReadOnce,
    compute: Callable[..., Iterator[Any]],
    doing: str,
    takers: Sequence[Callable[[Any], None]],
    progress: Progress,
) -> int:
    """Gives the evidence of normal inputs, those not read before, to some functions; returns
    their number."""
    count = 0
    unread: list[tuple[str, str]] = []
    labels = set[str | None]()
    request = dataclasses.replace(use.request, on_bad=lambda *bad: unread.append(bad), once=once)
    with dataclasses.replace(use, request=request).results(compute) as results:
        for one in progress.counted(results, doing, use.modality.noun):
            count += len(one.paths)
            labels.update(one.labels)
            for take in takers:
                take(one)
    if unread:
        (path, reason), *others = unread
        more = f", and {len(others):,} more" if others else ""
        use.request.warning(f"left out of the normal inputs: {path}: {reason}{more}")
    if GOOD in labels and (unlike := sorted(one for one in labels if one not in (GOOD, None))):
        use.request.warning(
            f"some normal inputs are in a folder {GOOD}, others in {first_of(unlike, MOST_NAMED)}:"
            f" if those are anomalies, name the folder {GOOD}, or anomalies are missed"
        )
    return count
