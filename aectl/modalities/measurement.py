"""Metrics of a network on batches of inputs, of any modality."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aectl.config.all_options import OPTIONS
from aectl.config.declaration import coerce
from aectl.config.kinds import KINDS
from aectl.progress import SILENT, Progress

if TYPE_CHECKING:
    from aectl.inference.apply import ToTensor
    from aectl.inference.ngrams import NgramModel
    from aectl.modalities import Modality
    from aectl.models.model_card import ModelCard


@dataclass
class Measurement:
    """Measures a network: pass batches to `results`, then ask for the `metrics`.

    With `skip_unknown`, inputs of classes that a classifier does not know are counted and left out;
    with `ssim`, the structural similarity is among the metrics of images; with `judge`, the
    perplexity of shorter texts by that model is among those of text, with `references` their ROUGE.
    `network` and `count`, the number of inputs, are those of the last results.
    """

    card: "ModelCard"
    modality: "Modality"
    skip_unknown: bool = False
    ssim: bool = False
    judge: "NgramModel | None" = None
    references: bool = False
    progress: Progress = SILENT
    count: int = 0
    network: Any = None
    collected: Any = None

    def results(self, network: Any, batches: Iterable[Any], to_tensor: "ToTensor") -> Iterator[Any]:
        """The metrics of each input, by batch.

        Raises DataError where a classifier is given inputs without labels, or with labels that it
        does not know, and ModelFileError for results that are not finite.
        """
        from aectl.inference import apply as inference
        from aectl.inference.metrics import ClassificationMetrics
        from aectl.inference.ngrams import Judge
        from aectl.inference.prefixes import PrefixErrors
        from aectl.inference.references import References

        self.network, self.count, classes = network, 0, self.card.classes
        if classes:
            self.collected = ClassificationMetrics(len(classes), self.skip_unknown)
            found: Iterator[Any] = inference.measure_labels(
                network, batches, to_tensor, self.collected, classes
            )
        else:
            self.collected = self.modality.metrics(self.card, network)
            widths = self.card.options.get("prefixes")
            if widths and KINDS[self.card.architecture.kind].stacked:
                self.collected.prefixes = PrefixErrors(network, coerce(OPTIONS["prefixes"], widths))
            if self.ssim:
                self.collected.with_ssim = True
            if self.judge:
                self.collected.comparison.judge = Judge(self.judge)
            if self.references:
                config = self.card.architecture.config
                self.collected.comparison.references = References(config.ratio, config.words)
            found = self.modality.measure(network, batches, to_tensor, self.collected)
        for result in found:
            self.count += len(result.paths)
            yield result

    def metrics(self) -> dict[str, Any]:
        """The metrics of all inputs, by name. Raises DataError where there were none."""
        return dict(self.collected.result())
