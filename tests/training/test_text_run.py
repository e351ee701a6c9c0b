"""Runs on texts: what is learnt, what is held out, what a weight does."""

import math

import pytest
import torch

from aectl.config.configuration import Config
from aectl.data.text.text_inputs import Line
from aectl.data.text.text_sets import TextSet
from aectl.training.run import Epoch
from aectl.training.text_run import TextRun

WORDS = {
    "who": ["the cat", "a dog", "the old man", "she", "he"],
    "does": ["sat on", "looked at", "ate", "liked"],
    "what": ["the mat .", "a fish .", "the sea .", "an apple .", "it ."],
}
LINES = [f"{a} {b} {c}" for a in WORDS["who"] for b in WORDS["does"] for c in WORDS["what"]]
GUESSED = 0.31
"""The part of the tokens that a guess without a model gets right."""


def run_of(lines=LINES, labels=None, **options):
    usual = {"length": 8, "vocabulary": 300, "swap": 0.0, "batch_size": 50, "lr": 0.02}
    usual["hidden"] = "24" if "bottleneck" in options else "24,24"
    config = Config.from_options({"model": "text-autoencoder", "dataset": "x", **usual, **options})
    labels = labels or [None] * len(lines)
    texts = TextSet(
        ("x",), tuple(Line("x", n, *line) for n, line in enumerate(zip(lines, labels, strict=True)))
    )
    config = config.resolved(None, 0, texts.parts(config.data.length))
    torch.set_num_threads(1)
    return TextRun(config, texts, torch.device("cpu"))


def last_row(run):
    return [event.row for event in run.epochs() if isinstance(event, Epoch)][-1]


@pytest.mark.parametrize(
    "options", [{}, {"sparsity": "kl"}], ids=lambda options: options.get("sparsity", "dense")
)
def test_a_code_sparse_or_not_carries_the_text(options):
    """Here that of a penalty on activations; one whose units compete, below."""
    row = last_row(run_of(LINES[::2], epochs=60, **options))
    assert row["train_token_accuracy"] > 2 * GUESSED
    assert row["train_dead"] < 0.5
    if options:
        assert 1 < row["train_l0"] < 12


def test_nearly_all_units_of_a_sparse_code_are_of_use():
    row = last_row(run_of(hidden="24,64", sparsity="topk", k=8, epochs=40))
    assert row["train_token_accuracy"] > 0.87
    assert row["train_dead"] < 0.1


@pytest.mark.parametrize("seed", range(8))
def test_each_class_of_texts_has_the_same_fraction_held_out(seed):
    labels = ["rare"] * 4 + ["common"] * 40
    run = run_of(LINES[:44], labels, validation=0.5, epochs=1, seed=seed)
    assert sum(labels[row] == "rare" for row in run.held_out) == 2
    assert len(run.held_out) == 22


def test_a_single_text_is_learnt_by_a_code_of_competing_units_too():
    row = last_row(run_of(LINES[:1], epochs=2, sparsity="topk", k=2))
    assert row["loss"] > 0


def test_a_kl_code_of_texts_starts_near_rho():
    run = run_of(epochs=1, sparsity="kl", rho=0.1)
    with torch.no_grad():
        code = run.network.encode(next(run._training.in_order(100)).inputs)
    assert code.mean(0).sub(0.1).abs().max() < 0.08


def test_the_language_model_stays_as_its_own_training_left_it():
    run = run_of(bottleneck="words", epochs=2, lm_epochs=2, lambda_q=1.0)
    after_its_own, before = None, run.network.language_model.state_dict()
    before = {name: value.clone() for name, value in before.items()}
    for event in run.epochs():
        if isinstance(event, Epoch) and event.row["epoch"] == 2:
            after_its_own = {
                name: value.clone()
                for name, value in run.network.language_model.state_dict().items()
            }
    at_the_end = run.network.language_model.state_dict()
    assert any(not torch.equal(before[name], after_its_own[name]) for name in before)
    assert all(torch.equal(at_the_end[name], after_its_own[name]) for name in before)


def test_the_quality_of_what_is_held_out_counts_in_full_from_the_first_epoch():
    run = run_of(bottleneck="words", epochs=1, lm_epochs=1, lambda_q=100.0, validation=0.2)
    row = last_row(run)
    assert row["validation_loss"] > 100.0  # of the kept words of each text, a nat at the very least
    assert row["loss"] < 100.0


def test_what_is_held_out_are_whole_documents():
    sizes = (1, 2, 4, 8, 16, 32)
    lines = [
        line
        for number, size in enumerate(sizes)
        for line in [f"= Title {number} =", *[f"line of {number}"] * size]
    ]
    run = run_of(lines, epochs=1, validation=0.34)
    held = {lines[row] for row in run.held_out}
    learnt = {line for row, line in enumerate(lines) if row not in set(run.held_out)}
    assert len(run.held_out) > 0
    assert not held & learnt
    assert len([line for line in held if line.startswith("=")]) == 2


def test_an_empty_lm_epochs_is_as_many_as_make_800_steps():
    run = run_of(bottleneck="words", epochs=1)
    assert run.stage_epochs == [math.ceil(800 / math.ceil(len(run._training) / 50))]


def test_words_that_the_decoder_cannot_guess_are_kept():
    """Each text has one word of ten that vary, among words that are always the same."""
    names = ["ann", "bob", "cid", "dan", "eve", "fay", "gus", "hal", "ida", "jim"]
    lines = [f"so then we saw {name} by the sea" for name in names for _ in range(32)]
    run = run_of(
        lines, bottleneck="words", ratio=0.125, lm_epochs=1, lambda_q=0.0, epochs=8, lr=0.01,
        vocabulary=400, length=16, batch_size=20, temperature=0.3,
    )  # fmt: skip
    row = last_row(run)
    run.network.eval()
    with torch.no_grad():
        kept = run.network.encode(next(run._training.in_order(len(lines))).inputs).text
    assert {run.vocabulary.decode(text) for text in kept.tolist()} == set(names)
    assert row["train_token_accuracy"] > 0.99
    assert row["choice_entropy"] < 1


def test_a_heavier_quality_keeps_likelier_words():
    options = {"bottleneck": "words", "epochs": 8, "lm_epochs": 25, "batch_size": 10, "ratio": 0.3}
    light, heavy = (
        last_row(run_of(LINES[::4], lambda_q=weight, **options)) for weight in (0.0, 300.0)
    )
    name = "train_bottleneck_perplexity"
    assert heavy[name] < light[name]
    assert heavy["reconstruction"] > light["reconstruction"]
    assert light["quality"] == 0 < heavy["quality"]
