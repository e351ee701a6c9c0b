"""A model whose code is a shorter text, as aectl 0.2.0 trained it: used, but trained no further."""

import csv
import dataclasses
import io
import json
import shutil
from pathlib import Path

import pytest

from aectl.models import model_file
from aectl.training import checkpoint

OLDER = Path(__file__).parents[1] / "formats" / "3-shorter-text.safetensors"
LINES = b"the cat sat on the mat .\nshe ate\nthe dog liked the old sea\n"
SHORTER = ["thei the old", "she", "the do the sea"]
REBUILT = ["the cat sat on the mat .", "she atele it", "the cat looked liked the m ."]
METRICS = {
    "token_accuracy": 0.7647058823529411,
    "cross_entropy": 3.4228797912597657,
    "bottleneck_perplexity": 38.25870181059147,
    "compression_ratio": 0.5294117647058824,
    "copied": 0.7777777777777778,
}
"""What aectl 0.2.0 made of these lines with this model."""
REFUSED = "--bottleneck text can no longer be trained; --bottleneck words took its place"


def rows_of(done):
    assert done.status == 0, done.err
    return list(csv.DictReader(io.StringIO(done.out)))


def test_lines_are_encoded_and_reconstructed_as_the_older_version_did(aectl):
    encoded = rows_of(aectl("encode", OLDER, "-", stdin=LINES))
    assert [row["bottleneck"] for row in encoded] == SHORTER
    told = rows_of(aectl("reconstruct", OLDER, "-", stdin=LINES))
    assert [row["bottleneck"] for row in told] == SHORTER
    assert [row["reconstruction"] for row in told] == REBUILT


def test_its_metrics_are_those_of_the_older_version(aectl):
    done = aectl("eval", OLDER, "--dataset", "-", "--json", stdin=LINES)
    (found,) = json.loads(done.out)
    assert {name: found[name] for name in METRICS} == pytest.approx(METRICS, rel=1e-5)


def test_its_shorter_texts_are_judged_and_compared_with_references(aectl, corpus):
    lines = b"the cat sat on the mat\tthe cat\n"
    given = ("--references", "--judge", corpus, "--json")
    (found,) = json.loads(aectl("eval", OLDER, "--dataset", "-", *given, stdin=lines).out)
    assert found["judged_perplexity"] > found["judged_perplexity_of_texts"]
    assert 0 < found["bottleneck_rouge_1"] < 1


def test_info_tells_of_it(aectl):
    described = json.loads(aectl("info", OLDER, "--json").out)["architecture"]
    assert (described["bottleneck"], described["ratio"]) == ("text", 0.5)


@pytest.mark.parametrize("option", ["--load", "--config", "--bottleneck"])
def test_training_of_a_shorter_text_is_refused_with_what_took_its_place(
    aectl, corpus, tmp_path, option
):
    (tmp_path / "old.toml").write_text('bottleneck = "text"\nlambda-s = 0.1\nlambda-q = 0.3\n')
    given = {"--load": OLDER, "--config": "old.toml", "--bottleneck": "text"}[option]
    model = ("--model", "text-autoencoder", "--dataset", corpus)
    done = aectl("train", *model, option, given, "--out", "run")
    where = {"--load": f"--load {OLDER}: ", "--config": "old.toml: ", "--bottleneck": ""}[option]
    assert (done.status, done.out) == (2, "")
    assert done.err == f"aectl: {where}{REFUSED}\n"
    assert not (tmp_path / "run").exists()


def test_a_training_of_a_shorter_text_cannot_be_resumed(aectl, trained, corpus, tmp_path):
    of_words = ("--bottleneck", "words", "--lm-epochs", "1", "--epochs", "1", "--hidden", "6")
    made = trained("--model", "text-autoencoder", "--dataset", str(corpus), *of_words)
    run = tmp_path / "run"
    shutil.copytree(made, run)
    state = checkpoint.load(run)
    options = {**state.session.options, "bottleneck": "text", "lambda_s": 0.1}
    session = dataclasses.replace(state.session, options=options)
    checkpoint.save(run, dataclasses.replace(state, session=session))
    done = aectl("train", "--resume", run, "--epochs", 2)
    assert (done.status, done.out) == (2, "")
    assert done.err == f"aectl: --resume {run}: {REFUSED}\n"


def test_a_classifier_cannot_stand_on_it(aectl, corpus):
    done = aectl("train", "--encoder", OLDER, "--dataset", corpus, "--out", "run")
    assert done.status == 2
    assert f"--encoder needs a code that is a vector; {OLDER} gives texts" in done.err


def test_its_language_model_can_be_a_prior(aectl, corpus, tmp_path):
    of_words = ("--model", "text-autoencoder", "--bottleneck", "words", "--epochs", "1")
    done = aectl(
        "train", "-q", *of_words, "--dataset", corpus, "--prior", OLDER, "--out", tmp_path / "run"
    )
    assert done.status == 0, done.err
    wanted, taken = (
        model_file.load(path)[0].language_model.state_dict() for path in (OLDER, tmp_path / "run")
    )
    assert all(taken[name].equal(wanted[name]) for name in wanted)
