"""A run on text: a text autoencoder, and first, where it needs one, its language model."""

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from aectl.config.configuration import Config
from aectl.config.shapes import TextShape
from aectl.config.sparsity import RULES
from aectl.data.splits import split, stratified
from aectl.data.text.text_sets import TextSet
from aectl.errors import ConfigError
from aectl.inference.apply_text import measure_tokens
from aectl.inference.metrics import TextMetrics
from aectl.models.architecture import Architecture
from aectl.models.model_card import ModelCard
from aectl.models.networks import (
    Classifier,
    TextNetwork,
    ThroughText,
    ThroughVector,
    ThroughWords,
)
from aectl.models.vocabulary import Vocabulary
from aectl.models.word_choice import RarestWords
from aectl.objectives.step import Objective
from aectl.objectives.text_objectives import language_modelling
from aectl.training.initialisation import (
    Start,
    begin_at_places,
    begin_code,
    copy_weights,
    stand_on_encoder,
    standardize,
)
from aectl.training.measured import mean_error
from aectl.training.optimizers import follow
from aectl.training.run import Run
from aectl.training.stages import CurrentStage, Stage
from aectl.training.text_sketch import LEAST_BEGUN_WITH, MEASURED_TEXTS, SAMPLED_TEXTS, TextSketch
from aectl.training.token_set import TokenSet


class TextRun(Run):
    """A run on pieces of lines; a language model is trained first for a bottleneck of words.

    The vocabulary is that of the model that it starts from, or learnt from the text.
    """

    noun = "parts"
    network: TextNetwork | Classifier
    data: TextSet
    _training: TokenSet
    _held_out: TokenSet

    def __init__(
        self,
        config: Config,
        texts: TextSet,
        device: torch.device,
        start: Start | None = None,
        vocabulary: Vocabulary | None = None,
        architecture: Architecture | None = None,
    ) -> None:
        self.data, start = texts, start or Start()
        training, self.held_out = _split(texts, config)
        lines = [line.text for line in texts.lines]
        self.vocabulary = (
            vocabulary
            or start.vocabulary
            or Vocabulary.learnt((lines[row] for row in training), config.data.vocabulary)
        )
        self.architecture = architecture or _architecture(
            config, texts, start, len(self.vocabulary)
        )
        self.sketch = TextSketch(
            config, self.architecture, texts.parts(self.architecture.text.length),
            settled=start.weights is not None or start.encoder is not None,
        )  # fmt: skip
        super().__init__(config, device, start)
        of_classes = bool(self.architecture.classes)
        whole = TokenSet.of(
            self.vocabulary.encode(lines),
            self.architecture.text.length,
            device,
            [texts.classes.index(line.label or "") for line in texts.lines] if of_classes else None,
        )
        self._training = whole.of_texts(_chosen(training, len(lines)))
        self._held_out = whole.of_texts(_chosen(self.held_out, len(lines)))
        self._sample = self._training.some(SAMPLED_TEXTS, config.training.seed)
        measured = self._held_out if len(self._held_out) else self._training
        self._measured = measured.some(MEASURED_TEXTS, config.training.seed)
        self._begin(start)

    def _begin(self, start: Start) -> None:
        """Initialises the weights."""
        stand_on_encoder(self.network, start)
        if isinstance(self.network, ThroughWords):
            self.network.split_words(self.vocabulary)
            if isinstance(self.network.choice, RarestWords):
                lines_with = self._training.lines_with(len(self.vocabulary))
                self.network.choice.learn(lines_with, len(self._training))
        if isinstance(self.network, Classifier):
            self.network.fine_tune_encoder(self.config.training.fine_tune)
        if start.prior is not None:
            assert isinstance(self.network, ThroughWords)
            assert isinstance(start.prior, ThroughWords | ThroughText)
            copy_weights(start.prior.language_model, self.network.language_model, "--prior")
        if start.weights is not None:
            copy_weights(start.weights, self.network)
        elif isinstance(self.network, ThroughVector):
            few = max(self.config.training.batch_size, LEAST_BEGUN_WITH)  # fits where a step does
            some = next(self._measured.in_order(few))
            if RULES[self.config.model.sparsity].keeps_k:
                begin_at_places(self.network, some.inputs)
            begin_code(self.network.encoder, self.config, some.inputs)
        elif isinstance(self.network, Classifier):
            some_texts = self._training.some(MEASURED_TEXTS, self.config.training.seed)
            batches = some_texts.in_order(self.evaluation_batch)
            standardize(self.network, self.config, (batch.inputs for batch in batches))

    @property
    def _input_state(self) -> dict[str, Any]:
        return self.vocabulary.to_json()

    @property
    def stage_epochs(self) -> list[int]:
        """The epochs of the language model, unless it is that of a trained model."""
        needed = isinstance(self.network, ThroughWords) and self._fresh
        epochs = self.config.training.lm_epochs
        return [epochs] if needed and epochs else []

    def _stages(self) -> Iterator[Stage]:
        """The language model, which stays as it is thereafter; it learns from the prior, if any."""
        if not self.stage_epochs:
            return
        assert isinstance(self.network, ThroughWords)
        model = self.network.language_model
        learns = Objective(model, language_modelling)
        yield Stage(1, lambda _: learns, partial(_unfreeze, model), self._prior())
        model.requires_grad_(False)

    def _prior(self) -> TokenSet | None:
        """The text that the language model learns from, if it is not the training text."""
        if self.data.prior is None:
            return None
        tokens = self.vocabulary.encode([line.text for line in self.data.prior.lines])
        return TokenSet.of(tokens, self.architecture.text.length, self.device)

    def _constrain(self, stage: CurrentStage, optimizer: Optimizer) -> None:
        """Lets a code follow the standardisation of its units, where they compete."""
        network = stage.network
        if isinstance(network, ThroughVector) and RULES[self.config.model.sparsity].keeps_k:
            follow(network.encoder, stage.remembered, optimizer)

    def _metrics(self) -> dict[str, float]:
        self.network.eval()
        if isinstance(self.network, Classifier):
            return mean_error(self.network, self._measured.in_order(self.evaluation_batch))
        metrics = TextMetrics()
        for batch in self._measured.in_order(self.evaluation_batch):
            measure_tokens(self.network, batch.inputs, metrics)
        return metrics.result()

    def card(self) -> ModelCard:
        """The description of this run in a model file."""
        card = super().card()
        told: dict[str, Any] = {"texts": len(self.data) - len(self.held_out)}
        if self.data.prior is not None:
            told["prior_texts"] = len(self.data.prior)
        if not self.architecture.classes:
            told["baselines"] = self._training.most_frequent()
        return dataclasses.replace(
            card, vocabulary=self.vocabulary, training={**card.training, **told}
        )


def _architecture(config: Config, texts: TextSet, start: Start, tokens: int) -> Architecture:
    if config.model.model != "classifier":
        return Architecture(config.model, TextShape(config.data.length, tokens))
    assert start.encoder is not None
    if len(texts.classes) < 2:
        raise ConfigError(
            f"a classifier learns from texts of two classes or more, and {texts.name} has"
            f" {len(texts.classes)}; a .tsv file or a folder of sub-folders has them"
        )
    encoder = start.encoder[1].architecture
    return Architecture(config.model, encoder.input, len(texts.classes), encoder)


def _unfreeze(network: nn.Module) -> None:
    network.requires_grad_(True)


def _split(texts: TextSet, config: Config) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of the lines to train on, and of those that are held out: the set's own validation
    set, or random documents, the same fraction of each class.
    """
    if texts.held_out is not None:
        return np.setdiff1d(np.arange(len(texts)), texts.held_out), texts.held_out
    documents, fraction, seed = texts.documents, config.data.validation, config.training.seed
    starts = np.unique(documents, return_index=True)[1]
    if fraction and len(texts.classes) > 1:
        numbers = {name: number for number, name in enumerate(texts.classes)}
        labels = np.array([numbers[texts.lines[row].label or ""] for row in starts.tolist()])
        _, held_out = stratified(labels, texts.classes, fraction, seed, "documents")
    else:
        _, held_out = split(len(starts), fraction, seed, "documents")
    without = np.isin(documents, held_out)
    return np.flatnonzero(~without), np.flatnonzero(without)


def _chosen(rows: NDArray[np.int64], count: int) -> Tensor:
    """A mask that is True at the rows: (count,)."""
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[torch.from_numpy(rows)] = True
    return chosen
