"""A training that goes on from its kept state ends as one that never stopped."""

import dataclasses
import itertools

import pytest
import torch
from test_checkpoint import equal
from test_run import digits, prepared, same, weights
from test_state import SESSION

from aectl.config.configuration import Config
from aectl.data.text.text_inputs import Line
from aectl.data.text.text_sets import TextSet
from aectl.errors import DivergedError, ModelFileError
from aectl.training import checkpoint, loop
from aectl.training.run import Epoch
from aectl.training.state import TrainingState
from aectl.training.text_run import TextRun

TIMES = ("seconds", "images_per_second", "parts_per_second", "patches_per_second")
KINDS = {
    "dense": {"dropout": 0.2, "hidden": "20,10"},
    "sparse": {"sparsity": "kl"},
    "conv": {"model": "conv-autoencoder", "bottleneck": "vector", "hidden": "4,8"},
    "map": {"model": "conv-autoencoder", "hidden": "4,8"},
    "crops": {"model": "conv-autoencoder", "hidden": "4,8", "crop": (3, 5), "validation": 0.2},
    "classifier, the best kept": {"model": "classifier", "validation": 0.2, "keep": "best"},
    "layer by layer": {"stack": 2, "hidden": "20,10", "dropout": 0.1},
    "k falls": {"sparsity": "topk", "k": 4, "k_start": 10, "aux_k": 4},
    "p falls": {"sparsity": "l1", "p_end": 0.3, "validation": 0.2},
    "batch-topk": {"sparsity": "batch-topk", "k": 4},
    "gated": {"sparsity": "gated", "decoder_columns": "orthonormal"},
    "muon": {"optimizer": "muon", "weight_decay": 0.1},
    "lbfgs": {"optimizer": "lbfgs"},
    "in bf16": {"precision": "bf16", "sparsity": "topk", "k": 4, "dropout": 0.2},
    "state in bf16": {"optimizer_state": "bf16", "dropout": 0.2, "optimizer": "adamw"},
    "sgd": {"optimizer": "sgd", "clip_grad": 0.1},
    "denoising": {"noise": "masking", "shift": 1, "input_dropout": 0.1},
    "patches": {
        "model": "patch-autoencoder",
        "patch_size": 4,
        "patches": 120,
        "hidden": 6,
        "validation": 0.2,
    },
    "winners": {
        "model": "conv-wta-autoencoder",
        "hidden": "3,4",
        "kernel_size": 3,
        "filter_size": 5,
        "grid": 2,
        "whitening": 0.1,
        "validation": 0.2,
        "keep": "best",
    },
    "text": {"model": "text-autoencoder", "sparsity": "topk", "k": 2},
    "text, kept words": {"model": "text-autoencoder", "bottleneck": "words", "lm_epochs": 1},
    "text, a prior": {
        "model": "text-autoencoder",
        "bottleneck": "words",
        "lm_epochs": 1,
        "prior": "y",
    },
}
LINES = [
    f"{who} {does}, {n} times"
    for who in ("she", "he")
    for does in ("runs", "sits", "eats")
    for n in range(20)
]


@pytest.fixture(autouse=True)
def _tell_of_every_step(monkeypatch):
    monkeypatch.setattr(loop, "PROGRESS_SECONDS", -1.0)


def run_of(kind, **options):
    chosen = {"epochs": 2, **KINDS[kind], **options}
    if "text" in kind:
        return of_text(**chosen)
    return prepared(**chosen, **({} if "lbfgs" in kind else {"batch_size": 30}))


def of_text(**options):
    config = Config.from_options(
        {
            "dataset": "x",
            "hidden": "8" if "bottleneck" in options else "8,6",
            "length": 8,
            "vocabulary": 300,
            "batch_size": 40,
            **options,
        }
    )
    texts = set_of_lines(LINES)
    if "prior" in options:
        texts = dataclasses.replace(texts, prior=set_of_lines(LINES[::-2] * 4))
    return TextRun(config.resolved(None, 0, len(LINES)), texts, torch.device("cpu"))


def set_of_lines(lines):
    return TextSet(("x",), tuple(Line("x", n, line) for n, line in enumerate(lines)))


def keepable(run):
    """The events of a run after which its state may be kept."""
    return (event for event in run.epochs() if isinstance(event, Epoch) or event.losses is None)


def state_of(run):
    """The content of a checkpoint of this run."""
    return TrainingState(SESSION, run.state())


def figures(rows):
    return [{name: row[name] for name in row if name not in TIMES} for row in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_from_every_third_step_it_goes_on_to_the_same_weights_and_figures(kind, tmp_path):
    whole = run_of(kind)
    moments = len(list(keepable(whole)))
    assert moments > 2
    for moment in range(0, moments, 3):
        stopped = run_of(kind)
        next(itertools.islice(keepable(stopped), moment, None))
        checkpoint.save(tmp_path, state_of(stopped))
        torch.manual_seed(moment)
        again = run_of(kind)
        again.restore(checkpoint.load(tmp_path).run)
        list(again.epochs())
        assert same(weights(again.network), weights(whole.network))
        assert figures(again.rows) == figures(whole.rows)


def test_another_learning_rate_holds_from_there_on(tmp_path):
    stopped = run_of("dense", schedule="constant", warmup=0)
    for event in stopped.epochs():
        if isinstance(event, Epoch):
            break
    checkpoint.save(tmp_path, state_of(stopped))
    again = run_of("dense", schedule="constant", warmup=0, lr=0.0001)
    again.restore(checkpoint.load(tmp_path).run)
    list(again.epochs())
    assert [row["lr"] for row in again.rows] == [0.003, 0.0001]


def test_weights_that_are_no_numbers_are_not_kept():
    run = run_of("dense")
    next(run.epochs())
    with torch.no_grad():
        run.network.encoder.to_code.bias[0] = torch.nan
    with pytest.raises(DivergedError, match="no longer finite"):
        run.state()


@pytest.mark.parametrize("kind", ["dense", "lbfgs", "muon", "state in bf16", "text"])
def test_what_is_kept_comes_back_as_it_was(kind, tmp_path):
    run = run_of(kind)
    next(itertools.islice(keepable(run), 2, None))
    state = state_of(run)
    checkpoint.save(tmp_path, state)
    back = checkpoint.load(tmp_path)
    assert back.session == SESSION
    assert equal(dataclasses.asdict(back.run), dataclasses.asdict(state.run))


def test_the_digest_of_the_data_changes_with_a_pixel_and_with_a_label():
    images = digits(50)
    before = images.checksum
    assert digits(50).checksum == before
    pixels, labels = images.images.copy(), images.labels.copy()
    pixels[7, 0, 3, 3] ^= 1
    labels[7] ^= 1
    assert dataclasses.replace(images, images=pixels).checksum != before
    assert dataclasses.replace(images, labels=labels).checksum != before


def without_losses(state):
    return dataclasses.replace(state, loop=dataclasses.replace(state.loop, sums={}))


def with_moments_in(dtype):
    def damage(state):
        (held,) = state.optimizer
        first = {**held[0], "exp_avg_sq": held[0]["exp_avg_sq"].to(dtype)}
        return dataclasses.replace(state, optimizer=[{**held, 0: first}])

    return damage


def with_another_shape(state):
    (held,) = state.optimizer
    first = {**held[0], "exp_avg": held[0]["exp_avg"][1:]}
    return dataclasses.replace(state, optimizer=[{**held, 0: first}])


def without_step_size(state):
    (held,) = state.optimizer
    return dataclasses.replace(state, optimizer=[{0: {**held[0], "t": None}}])


@pytest.mark.parametrize(
    ("kind", "damage", "said"),
    [
        ("dense", without_losses, "lacks the losses of the current epoch"),
        ("dense", with_moments_in(torch.bfloat16), "exp_avg_sq of parameter 0 has the wrong type"),
        ("state in bf16", with_moments_in(torch.float32), "parameter 0 has the wrong type"),
        ("state in bf16", with_another_shape, "has the wrong shape"),
        ("lbfgs", without_step_size, "t has the wrong form for lbfgs"),
    ],
)
def test_a_state_that_training_could_not_continue_with_is_refused(kind, damage, said):
    run = run_of(kind)
    next(itertools.islice(keepable(run), 1, None))
    again = run_of(kind)
    with pytest.raises(ModelFileError, match=said):
        again.restore(damage(run.state()))
        next(again.epochs())
