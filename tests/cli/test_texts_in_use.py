"""Models of text, from the command line."""

import csv
import dataclasses
import io
import json
import math
import operator
import shutil
import sys

import numpy as np
import pytest
import torch
from conftest import LINES, shell
from rouge_score.rouge_scorer import RougeScorer

from aectl.inference.ngrams import NgramModel, words_of
from aectl.models import model_file


def small(*options):
    """The options of a model of text that is trained in a moment."""
    usual = {
        "--model": "text-autoencoder",
        "--hidden": "16" if "words" in options else "16,8",
        "--length": "8", "--vocabulary": "300", "--epochs": "2",
    }  # fmt: skip
    left = [word for pair in usual.items() if pair[0] not in options for word in pair]
    return (*left, *options)


@pytest.fixture
def made(trained, corpus):
    """Trains a small model of text; the same options train only once."""

    def train(*options):
        return trained("--dataset", str(corpus), *small(*options))

    return train


@pytest.fixture
def vector(made):
    return made()


@pytest.fixture
def text(made):
    """A model whose code is a text."""
    return made("--bottleneck", "words", "--lm-epochs", "1")


def rows(finished):
    assert finished.status in (0, 1), finished.err
    return list(csv.DictReader(io.StringIO(finished.out)))


def test_a_run_folder_holds_the_model_and_what_it_writes(text):
    names = {path.name for path in text.iterdir()}
    assert names == {
        "model.safetensors", "config.toml", "metrics.csv", "curves.png", "reconstructions.txt",
        "checkpoint", "report.html",
    }  # fmt: skip
    first, second, third = (text / "reconstructions.txt").read_text().splitlines()[:3]
    assert first.startswith("original")
    assert second.startswith("bottleneck")
    assert third.startswith("reconstruction")
    with (text / "metrics.csv").open() as file:
        language, _, last = csv.DictReader(file)
    assert float(language["language_model"]) > 0
    total = sum(float(last[part]) for part in ("reconstruction", "quality"))
    assert float(last["loss"]) == pytest.approx(total, rel=1e-5)
    assert float(last["train_compression_ratio"]) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("bottleneck", ["vector", "words"])
def test_the_same_seed_gives_the_same_weights(aectl, made, corpus, bottleneck, tmp_path):
    through = ["--bottleneck", bottleneck, "--lm-epochs", "1"]
    options = [] if bottleneck == "vector" else through
    first = made(*options)
    arguments = ["--dataset", corpus, *small(*options)]
    digests = [model_file.read_card(first).weights_sha256]
    for seed in (0, 1):
        out = tmp_path / f"again-{seed}"
        assert aectl("train", "-q", *arguments, "--out", out, "--seed", seed).status == 0
        digests.append(model_file.read_card(out).weights_sha256)
    assert digests[0] == digests[1] != digests[2]


def test_the_code_of_a_line_on_stdin(aectl, vector):
    found = aectl("encode", vector, "-", stdin=b"the cat sat\n")
    (row,) = rows(found)
    network = model_file.load(vector)[0]
    vocabulary = model_file.read_card(vector).vocabulary
    (tokens,) = vocabulary.encode(["the cat sat"])
    code = network.encode(torch.tensor([tokens[:8] + [0] * (8 - len(tokens))]))[0]
    assert row.pop("path") == "stdin:1"
    assert [float(value) for value in row.values()] == pytest.approx(code.tolist(), abs=1e-6)
    assert list(row) == [f"f{number}" for number in range(8)]


@pytest.mark.parametrize("size", [1, 7, 60])
def test_codes_do_not_depend_on_the_batch_size(aectl, vector, corpus, size):
    usual = rows(aectl("encode", vector, corpus))
    other = rows(aectl("encode", vector, corpus, "--batch-size", size))
    assert [row.pop("path") for row in usual] == [row.pop("path") for row in other]
    for one, same in zip(usual, other, strict=True):
        assert {n: float(v) for n, v in one.items()} == pytest.approx(
            {n: float(v) for n, v in same.items()}, abs=1e-6
        )


@pytest.mark.parametrize("size", [3, 250])
def test_a_code_does_not_depend_on_its_place_in_the_batch(aectl, made, size):
    model = made("--hidden", "33,13")
    done = aectl("encode", model, "-", "--batch-size", size, stdin=b"the cat sat on it .\n" * 300)
    assert len({line.partition(",")[2] for line in done.out.splitlines()[1:]}) == 1


def test_codes_do_not_depend_on_the_order(aectl, vector, corpus):
    usual = rows(aectl("encode", vector, corpus))
    backwards = "\n".join(LINES[::-1]).encode()
    turned = rows(aectl("encode", vector, "-", stdin=backwards))
    for one, other in zip(usual, turned[::-1], strict=True):
        del one["path"], other["path"]
        assert one == other


def test_vectors_are_scaled_and_written_as_images_codes_are(aectl, vector, corpus, tmp_path):
    usual = np.array(
        [list(row.values())[1:] for row in rows(aectl("encode", vector, corpus))], "f8"
    )
    out = tmp_path / "codes.npz"
    options = ["--normalize", "l2", "--dtype", "float16", "--out", out]
    assert aectl("encode", vector, corpus, *options).status == 0
    found = np.load(out)["features"]
    assert found.dtype == np.float16
    wanted = usual / np.linalg.norm(usual, axis=1, keepdims=True)
    np.testing.assert_allclose(found, wanted, atol=1e-3)


@pytest.mark.parametrize(
    "option", [("--normalize", "l2"), ("--dtype", "float16"), ("--layout", "sparse")]
)
def test_a_code_that_is_a_text_is_no_vector_to_be_scaled(aectl, text, corpus, option):
    found = aectl("encode", text, corpus, *option)
    assert (found.status, found.out) == (2, "")
    assert f"{option[0]} has no effect with a code that is a text" in found.err


def test_the_files_of_a_folder_are_chosen_and_named_as_images_are(aectl, vector, tmp_path):
    folder = tmp_path / "notes"
    (folder / "old").mkdir(parents=True)
    for name in ("a.md", "b.txt", "=c.md", "old/d.md"):
        (folder / name).write_text("she ate\nhe sat\n")

    def paths(*options):
        return [row["path"] for row in rows(aectl("encode", vector, *options))]

    assert paths(folder) == [f"{folder}/b.txt:1", f"{folder}/b.txt:2"]
    chosen = paths(folder, "--ext", "md", "--exclude", "old", "--relative-to", folder)
    assert chosen == ["./=c.md:1", "./=c.md:2", "a.md:1", "a.md:2"]
    assert paths(folder, "--include", "old/*") == [f"{folder}/old/d.md:1", f"{folder}/old/d.md:2"]
    assert paths(folder / "a.md", "--absolute")[0] == f"{folder}/a.md:1"


def test_encode_through_words_writes_the_texts_that_reconstruct_tells(aectl, text, corpus):
    encoded = rows(aectl("encode", text, corpus))
    assert list(encoded[0]) == ["path", "bottleneck"]
    told = rows(aectl("reconstruct", text, corpus))
    assert list(told[0]) == ["original", "bottleneck", "reconstruction"]
    assert [row["bottleneck"] for row in encoded] == [row["bottleneck"] for row in told]
    many = aectl("reconstruct", text, *[corpus] * 3, "--count", 130)
    assert rows(many) == (told * 3)[:130]


@pytest.mark.parametrize("size", [1, 7])
def test_encode_through_words_writes_whole_words_of_each_line(aectl, made, corpus, size):
    whole = "--length", "24"
    kept = made("--bottleneck", "words", "--lm-epochs", "1", "--ratio", "0.4", *whole)
    encoded = rows(aectl("encode", kept, corpus, "--batch-size", size))
    assert len(encoded) == len(LINES)
    for row, line in zip(encoded, LINES, strict=True):
        found, left = row["bottleneck"].split(), iter(line.split())
        assert all(word in left for word in found), row  # each behind the one before
        assert len(found) == math.ceil(0.4 * len(line.split()))
    told = rows(aectl("reconstruct", kept, corpus, "--count", len(LINES)))
    assert [row["bottleneck"] for row in told] == [row["bottleneck"] for row in encoded]


def test_eval_measures_what_reconstruct_writes(aectl, vector, corpus):
    (found,) = json.loads(aectl("eval", vector, "--dataset", corpus, "--json").out)
    vocabulary = model_file.read_card(vector).vocabulary
    right = total = 0
    for row in rows(aectl("reconstruct", vector, corpus)):
        wanted, written = vocabulary.encode([row["original"], row["reconstruction"]])
        total += len(wanted)
        right += sum(a == b for a, b in zip(wanted, written, strict=False))
    assert found["n"] == len(LINES)
    assert found["token_accuracy"] == pytest.approx(right / total, abs=0.02)
    assert found["perplexity"] == pytest.approx(2.718281828 ** found["cross_entropy"], rel=1e-6)
    assert 0 < found["unigram_accuracy"] <= found["sentence_accuracy"] < 1


def test_eval_writes_a_row_a_text(aectl, vector, corpus, tmp_path):
    out = tmp_path / "texts.csv"
    arguments = ["eval", vector, "--dataset", corpus, "--json", "--per-image", out]
    (figures,) = json.loads(aectl(*arguments).out)
    table = list(csv.DictReader(out.open()))
    assert [(row["path"], row["text"]) for row in table] == [
        (f"{corpus}:{number}", line) for number, line in enumerate(LINES, 1)
    ]
    vocabulary = model_file.read_card(vector).vocabulary
    lengths = [min(8, len(tokens)) for tokens in vocabulary.encode(LINES)]
    right = [float(row["token_accuracy"]) for row in table]
    mean = sum(map(operator.mul, right, lengths)) / sum(lengths)
    assert mean == pytest.approx(figures["token_accuracy"], abs=1e-6)
    assert aectl(*arguments, "--sort", "--overwrite").status == 0
    worst = list(csv.DictReader(out.open()))
    assert [float(row["token_accuracy"]) for row in worst] == sorted(right)
    assert sorted(row["text"] for row in worst) == sorted(LINES)


def test_eval_tells_the_rouge_l_of_what_reconstruct_writes(aectl, made, corpus, tmp_path):
    vector = made("--epochs", "8", "--swap", "0", "--batch-size", "10", "--lr", "0.02")
    told = rows(aectl("reconstruct", vector, corpus, "--count", len(LINES)))
    score = RougeScorer(["rougeL"]).score
    wanted = [score(row["original"], row["reconstruction"])["rougeL"].fmeasure for row in told]
    out = tmp_path / "texts.csv"
    done = aectl("eval", vector, "--dataset", corpus, "--json", "--per-image", out)
    (found,) = json.loads(done.out)
    assert found["rouge_l"] == pytest.approx(sum(wanted) / len(LINES))
    assert 0 < found["rouge_l"] < 1
    table = csv.DictReader(out.open())
    assert [float(row["rouge_l"]) for row in table] == pytest.approx(wanted)


def test_bad_lines_cost_their_own_row(aectl, vector):
    found = aectl("encode", vector, "-", stdin=b"good\n\n\xff\nthis line has far too many tokens\n")
    assert found.status == 1
    assert [row["path"] for row in rows(found)] == ["stdin:1", "stdin:4"]
    assert "left out stdin:3: is not UTF-8" in found.err
    assert "lines of more than 8 tokens, cut: 1; empty lines, skipped: 1" in found.err


def test_a_bad_line_is_told_once_whatever_the_number_of_models(aectl, vector, made, tmp_path):
    other = made("--seed", "1")
    (tmp_path / "in.txt").write_bytes(b"the cat\n\n\xff\nthe cat sat on the mat and ate it all\n")
    found = aectl("eval", vector, other, "--dataset", "in.txt", "--json", "--errors", "bad.csv")
    assert found.status == 1
    assert [figures["n"] for figures in json.loads(found.out)] == [2, 2]
    assert found.err.splitlines() == [
        "aectl: left out in.txt:3: is not UTF-8, from byte 1 on; if all of it is in another"
        " encoding, convert it with iconv -f ENCODING -t utf-8 in.txt",
        "lines of more than 8 tokens, cut: 1; empty lines, skipped: 1",
        "1 of 3 inputs were left out",
    ]
    assert (tmp_path / "bad.csv").read_text().count("in.txt:3") == 1


@pytest.mark.parametrize(
    "guesses",
    [{"unigram": [10**30] * 8}, {"unigram": [300] * 8}, {"unigram": [3]}, {"sentence": "abc"},
     {"tokens": [-1] * 8}, {"unigram": [True] * 8}, []],
    ids=str,
)  # fmt: skip
def test_guesses_that_are_none_are_refused_by_name(aectl, vector, corpus, guesses, tmp_path):
    card = model_file.read_card(vector)
    training = {**card.training, "baselines": guesses}
    path = tmp_path / "m.safetensors"
    model_file.save(path, model_file.load(vector)[0], dataclasses.replace(card, training=training))
    found = aectl("eval", path, "--dataset", corpus, "--json")
    assert (found.status, found.out) == (2, "")
    assert "training.baselines" in found.err
    assert len(found.err.splitlines()) == 1


def test_a_model_that_training_starts_from_keeps_its_vocabulary(aectl, vector, corpus, tmp_path):
    arguments = [
        "train",
        "-q",
        "--load",
        vector,
        "--epochs",
        1,
        "--dataset",
        corpus,
        "--out",
        "run",
    ]
    found = aectl(*arguments, "--vocabulary", 400)
    assert (found.status, found.out) == (2, "")
    assert "--vocabulary cannot go with --load" in found.err
    assert aectl(*arguments, "--vocabulary", 300).status == 0
    assert "vocabulary = 300" in (tmp_path / "run" / "config.toml").read_text()


def test_what_would_steer_a_terminal_is_spelt_out(vector, tmp_path):
    (tmp_path / "in.txt").write_bytes(b"\x1b]0;x\x07\n")
    command = f"script -qec 'aectl reconstruct {vector} in.txt' /dev/null"
    shown = shell(command, tmp_path, warmed=True).out
    assert "original        \\x1b]0;x" in shown
    assert "\x1b]0" not in shown


def test_nothing_but_empty_lines_is_an_error(aectl, vector):
    found = aectl("encode", vector, "-", stdin=b"\n\n")
    assert (found.status, found.out) == (2, "")
    assert "there are no texts in stdin" in found.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["classify"], "classify needs a classifier"),
        (["encode", "--layer", "1"], "--layer has no effect with a model of text"),
        (["encode", "--null"], "--null has no effect with a model of text"),
        (["reconstruct", "--traverse", "1"], "--traverse has no effect with a model of text"),
        (["eval", "--pca"], "--pca has no effect with a model of text"),
    ],
)
def test_what_has_no_meaning_for_texts_is_refused(aectl, vector, arguments, said):
    found = aectl(arguments[0], vector, *arguments[1:])
    assert (found.status, found.out) == (2, "")
    assert said in found.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "needs --dataset"),
        (["--dataset", "absent.txt"], "no dataset, file or folder 'absent.txt'"),
        (["--size", "8"], "--size has no effect on text"),
        (["--hidden", "9"], "--hidden must name exactly 2 widths"),
        (["--hidden", "9,8,7"], "--hidden must name exactly 2 widths"),
        (["--bottleneck", "words", "--hidden", "9,8"], "--hidden must name exactly 1 width for"),
        (["--optimizer", "lbfgs"], "--optimizer lbfgs cannot go with"),
        (["--sparsity", "gated"], "--sparsity gated cannot go with"),
        (["--sparsity", "topk", "--aux-k", "2"], "--aux-k cannot go with"),
        (["--bottleneck", "words", "--sparse"], "--sparsity needs --bottleneck vector, not words"),
        (["--ratio", "0.3"], "--ratio has no effect without --bottleneck words\n"),
        (["--dataset", "-"], "there is no text in -"),
        (["--dataset", "digits"], "digits is a dataset of images"),
    ],
)
def test_options_that_do_not_go_with_texts_are_refused(aectl, options, said):
    found = aectl("train", "--model", "text-autoencoder", *options)
    assert (found.status, found.out) == (2, "")
    assert said in found.err


@pytest.mark.parametrize("sparsity", ["kl", "l1", "topk", "batch-topk", "jumprelu", "wta"])
def test_a_vector_can_be_sparse_in_the_ways_of_images(aectl, made, sparsity, corpus):
    run = made("--sparsity", sparsity)
    (found,) = json.loads(aectl("eval", run, "--dataset", corpus, "--json").out)
    assert 0 <= found["l0"] <= 8
    if sparsity == "topk":
        assert found["l0"] <= 1


def test_what_is_held_out_are_whole_documents(aectl, tmp_path):
    path = tmp_path / "wiki.txt"
    path.write_text("".join(f"= Title {n} =\n" + "a line of it\n" * 5 for n in range(4)))
    found = aectl(
        "train", "--dataset", path, *small("--validation", "0.25"), "--out", tmp_path / "run"
    )  # fmt: skip
    assert found.status == 0, found.err
    assert "on 18 parts of" in found.err
    with (tmp_path / "run" / "metrics.csv").open() as file:
        assert "validation_token_accuracy" in next(csv.reader(file))


def test_training_can_start_from_a_model_and_keeps_its_vocabulary(aectl, text, tmp_path):
    (tmp_path / "more.txt").write_text("other words altogether\n" * 9)
    out = tmp_path / "further"
    found = aectl(
        "train", "--load", text, "--dataset", tmp_path / "more.txt", "--epochs", 1, "--out", out
    )
    assert found.status == 0, found.err
    first, second = model_file.read_card(text), model_file.read_card(out)
    assert first.vocabulary == second.vocabulary
    assert "language_model" not in (out / "metrics.csv").read_text().splitlines()[0]


@pytest.fixture(scope="session")
def labelled(tmp_path_factory):
    """Texts of two classes, by their verb, in a .tsv file."""
    path = tmp_path_factory.mktemp("labelled") / "texts.tsv"
    path.write_text("".join(f"{'eats' if 'ate' in line else 'sees'}\t{line}\n" for line in LINES))
    return path


@pytest.fixture
def of_classes(made, trained, labelled):
    """A classifier that stands on a text autoencoder's code."""
    encoder = made("--epochs", "40", "--swap", "0")
    return trained(
        "--model", "classifier", "--encoder", str(encoder), "--dataset", str(labelled),
        "--fine-tune", "--hidden", "16", "--epochs", "30", "--dropout", "0", "--lr", "0.01",
        "--batch-size", "20",
    )  # fmt: skip


def test_a_classifier_of_texts_learns_their_labels(aectl, of_classes, labelled):
    table = rows(aectl("classify", of_classes, labelled, "--top-k", 2))
    assert list(table[0]) == [
        "path", "label", "prediction", "probability", "prediction_2", "probability_2",
    ]  # fmt: skip
    right = sum(row["label"] == row["prediction"] for row in table)
    (found,) = json.loads(aectl("eval", of_classes, "--dataset", labelled, "--json").out)
    assert found["accuracy"] == pytest.approx(right / len(table))
    assert found["accuracy"] > 0.95  # three quarters are of one class
    for row in table:
        assert float(row["probability"]) + float(row["probability_2"]) == pytest.approx(1, abs=1e-5)


def test_texts_of_unknown_classes_alone_are_no_texts_to_measure(aectl, of_classes, tmp_path):
    (tmp_path / "other.tsv").write_text("owl\ta fish .\nemu\ta dog .\nowl\tthe sea .\n")
    done = aectl("eval", of_classes, "--dataset", "other.tsv", "--skip-unknown")
    assert (done.status, done.out) == (2, "")
    assert "the input has 3 labelled inputs, and the model knows none of" in done.err
    assert "their classes: owl, emu; it knows" in done.err


def test_lines_without_labels_are_classified_and_not_measured(aectl, of_classes):
    (row,) = rows(aectl("classify", of_classes, "-", stdin=b"she ate a fish .\n"))
    assert row["prediction"] in ("eats", "sees")
    found = aectl("eval", of_classes, "--dataset", "-")
    assert (found.status, found.out) == (2, "")


def test_a_folder_of_sub_folders_has_the_labels_of_its_texts(aectl, of_classes, tmp_path):
    for name in ("eats", "sees"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "all.txt").write_text("she ate a fish .\n")
    table = rows(aectl("classify", of_classes, tmp_path / "in", "--label-from-folder"))
    assert [row["label"] for row in table] == ["eats", "sees"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--size", "8"], "--size has no effect on text"),
        (["--shift", "1"], "--shift has no effect on text"),
        (["--labels", "4"], "--labels has no effect on text"),
        ([], "a classifier learns from texts of two classes or more"),
    ],
)
def test_a_classifier_of_texts_refuses_what_it_cannot_use(aectl, vector, options, said):
    found = aectl("train", "--encoder", vector, *options)
    assert (found.status, found.out) == (2, "")
    assert said in found.err


def test_a_classifier_cannot_stand_on_a_text(aectl, text, labelled):
    found = aectl("train", "--encoder", text, "--dataset", labelled)
    assert (found.status, found.out) == (2, "")
    assert "--encoder needs a code that is a vector" in found.err


@pytest.mark.parametrize("word", ["notes.txt", "wikitext-2", "wikitext-2:valid"])
def test_text_without_a_model_of_text_says_which_it_needs(aectl, tmp_path, word):
    (tmp_path / "notes.txt").write_text("a line\n")
    found = aectl("train", "--dataset", word)
    assert (found.status, found.out) == (2, "")
    assert f"{word} is text, which --model text-autoencoder learns from" in found.err


@pytest.mark.parametrize("option", [("--max-pixels", 10), ("--truncated", "keep")])
def test_options_of_images_are_refused_with_a_model_of_text(aectl, vector, option):
    done = aectl("encode", vector, "-", *option, stdin=b"a line\n")
    assert done.status == 2
    assert f"{option[0]} has no effect" in done.err


def test_of_many_bad_lines_some_are_told_and_all_are_listed(aectl, vector, tmp_path):
    french = "".join(f"un caf\u00e9 {n}\n" for n in range(200)).encode("latin-1")
    (tmp_path / "french.txt").write_bytes(b"a fish .\n" + french)
    (tmp_path / "no tabs.tsv").write_text("good\tyes\n" + "no tab\n" * 50)
    (tmp_path / "utf-8.txt").write_bytes(b"yes\n\xff\n")
    done = aectl("encode", vector, "french.txt", "no tabs.tsv", "utf-8.txt", "--out", "codes.csv",
                 "--errors", "bad.csv")  # fmt: skip
    assert done.status == 1
    assert done.err.splitlines()[:2] == [
        "aectl: left out french.txt:2: is not UTF-8, from byte 7 on; it looks like Latin-1:"
        " convert it with iconv -f latin1 -t utf-8 french.txt",
        "aectl: left out no tabs.tsv:2: has no tab between its label and its text",
    ]
    assert done.err.splitlines()[2].startswith("aectl: left out utf-8.txt:2: is not UTF-8, from")
    assert "aectl: left out 199 more: is not UTF-8, like french.txt:2\n" in done.err
    assert "left out 49 more: has no tab between its label and its text, like no tabs" in done.err
    assert "251 of 254 inputs were left out" in done.err
    listed = [row["path"] for row in csv.DictReader((tmp_path / "bad.csv").open())]
    wanted = [f"french.txt:{n}" for n in range(2, 202)] + [f"no tabs.tsv:{n}" for n in range(2, 52)]
    assert listed == [*wanted, "utf-8.txt:2"]


def means_of(pairs):
    """The means of the words of outputs, and of their ROUGE against references, by the package."""
    names = ["rouge1", "rouge2", "rougeL"]
    score = RougeScorer(names, use_stemmer=True).score
    rows = [
        [len(output.split()), *(score(reference, output)[name].fmeasure for name in names)]
        for output, reference in pairs
    ]
    return dict(
        zip(("words", "rouge_1", "rouge_2", "rouge_l"), np.mean(rows, axis=0).tolist(), strict=True)
    )


@pytest.fixture
def with_references(tmp_path):
    """A file of texts and references: the same words, often in another form."""
    path = tmp_path / "pairs.tsv"
    lines = [f"{line} and so do {line}\t{line.replace('liked', 'likes')}" for line in LINES[::3]]
    path.write_text("\n".join([*lines, "she ate\tshe eats"]) + "\n")
    return path


@pytest.mark.parametrize(
    ("bottleneck", "count"),
    [(("words", "--ratio", "0.4"), lambda words: math.ceil(0.4 * words)),
     (("words", "--words", "3"), lambda words: 3)],
    ids=["a ratio", "three words"],
)  # fmt: skip
def test_shorter_texts_are_compared_with_references(
    aectl, made, with_references, bottleneck, count
):
    """Each output, in each bracket of lengths, as by the package and by slices of the texts."""
    model = made("--bottleneck", *bottleneck, "--lm-epochs", "1", "--length", "50")
    done = aectl("eval", model, "--dataset", with_references, "--references", "--json")
    (found,) = json.loads(done.out)
    pairs = [line.split("\t") for line in with_references.read_text().splitlines()]
    texts = "".join(f"{text}\n" for text, _ in pairs).encode()
    told = rows(aectl("encode", model, "-", stdin=texts))
    wanted = {
        "bottleneck": [row["bottleneck"] for row in told],
        "lead_8": [" ".join(text.split()[:8]) for text, _ in pairs],
        "lead": [" ".join(text.split()[: count(len(text.split()))]) for text, _ in pairs],
    }
    table = iter(found["rouge_by_words"])
    for name, outputs in wanted.items():
        both = [(one, reference) for one, (_, reference) in zip(outputs, pairs, strict=True)]
        means = {key: found[f"{name}_{key}"] for key in ("words", "rouge_1", "rouge_2", "rouge_l")}
        assert means == pytest.approx(means_of(both))
        for bracket in ("0-4", "5-8", "9-12", "13-16"):
            least, most = map(int, bracket.split("-"))
            inside = [pair for pair in both if least <= len(pair[0].split()) <= most]
            if inside:
                row = next(table)
                assert (row.pop("output"), row.pop("bracket")) == (name, bracket)
                assert row.pop("n") == len(inside)
                assert row == pytest.approx(means_of(inside))
    assert not list(table)
    assert found["lead_8_rouge_2"] > found["bottleneck_rouge_2"]


def test_the_table_of_eval_shows_rouge_by_length(aectl, text, with_references):
    arguments = "eval", text, "--dataset", with_references, "--references"
    (found,) = json.loads(aectl(*arguments, "--json").out)
    shown = aectl(*arguments).out.splitlines()
    head = shown.index("ROUGE by words of the output")
    names, *lines = map(str.split, shown[head + 1 :])
    assert [dict(zip(names, line, strict=True)) for line in lines] == [
        {key: f"{value:.4g}" if isinstance(value, float) else str(value)
         for key, value in row.items()}
        for row in found["rouge_by_words"]
    ]  # fmt: skip
    both = aectl("eval", text, *arguments[1:]).out
    assert both.count(f"ROUGE by words of the output: {text}") == 2


def test_the_function_of_the_library_compares_with_references_as_the_command_does(
    aectl, text, with_references
):
    import aectl as package

    (found,) = json.loads(
        aectl("eval", text, "--dataset", with_references, "--references", "--json").out
    )
    assert package.evaluate(text, str(with_references), references=True) == found


def test_lines_without_a_reference_are_left_out(aectl, text):
    lines = b"she ate\tshe eats\nshe ate\nshe ate\t \n\tshe eats\n\n"
    done = aectl("eval", text, "--dataset", "-", "--references", "--json", stdin=lines)
    assert done.status == 1
    assert json.loads(done.out)[0]["n"] == 1
    assert done.err.splitlines()[:3] == [
        "aectl: left out stdin:2: has no tab between its text and its reference",
        "aectl: left out stdin:3: has no reference after its tab",
        "aectl: left out stdin:4: has no text before its tab",
    ]


def test_references_need_shorter_texts_and_a_package(
    aectl, text, vector, with_references, trained, monkeypatch
):
    image = "a model of images"
    for model, said in (
        (vector, "--references has no effect with a code that is a vector"),
        (trained("--hidden", "4"), f"--references has no effect with {image}"),
        (text, "--references needs a package: pip install 'aectl[rouge]'"),
    ):
        if model == text:
            monkeypatch.setitem(sys.modules, "nltk", None)  # as where it is not installed
        done = aectl("eval", model, "--dataset", with_references, "--references")
        assert (done.status, done.out) == (2, "")
        assert said in done.err


def test_a_judge_rates_the_shorter_texts_and_the_texts(aectl, text, corpus, tmp_path):
    """The perplexities are those of an n-gram model that is given the same texts by hand."""
    unseen = tmp_path / "unseen.txt"
    unseen.write_text("\n".join([*LINES[::2], "\n", *LINES[1::3]]) + "\n")
    done = aectl("eval", text, "--dataset", corpus, "--judge", unseen, "--json")
    assert done.status == 0, done.err
    (report,) = json.loads(done.out)
    model = NgramModel([*LINES[::2], *LINES[1::3]])
    told = rows(aectl("reconstruct", text, corpus, "--count", len(LINES)))

    def perplexity(texts):
        words = [words_of(one) for one in texts]
        return math.exp(sum(map(model.nats, words)) / sum(len(one) + 1 for one in words))

    assert report["judged_perplexity"] == pytest.approx(perplexity(r["bottleneck"] for r in told))
    originals = perplexity(r["original"] for r in told)
    assert report["judged_perplexity_of_texts"] == pytest.approx(originals)


def test_a_judge_has_lines_and_shorter_texts(aectl, text, vector, corpus, tmp_path, trained):
    (tmp_path / "empty.txt").write_text("\n")
    for model, judge, said in (
        (text, "empty.txt", "empty.txt has no lines"),
        (text, "missing.txt", "missing.txt"),
        (vector, corpus, "--judge has no effect with a code that is a vector"),
        (trained("--hidden", "4"), corpus, "--judge has no effect with a model of images"),
    ):
        found = aectl(
            "eval", model, *(["--dataset", corpus] if said[0] != "-" else []), "--judge", judge
        )
        assert (found.status, found.out) == (2, ""), found
        assert said in found.err


def nats_of(run, lines):
    """The mean negative log-likelihood of the tokens of lines under the language model of a run."""
    network, card = model_file.load(run)[0].eval(), model_file.read_card(run)
    total = count = 0
    for row in card.vocabulary.encode(lines):
        tokens = torch.tensor([row])
        with torch.no_grad():
            logits = network.language_model.predict(tokens)
        total += torch.nn.functional.cross_entropy(logits[0], tokens[0], reduction="sum").item()
        count += len(row)
    return total / count


OTHERS = [f"{n} mice under {n + 1} beds" for n in range(60)]
OF_WORDS = "--bottleneck", "words", "--lm-epochs", "8", "--batch-size", "10", "--lr", "0.02"


@pytest.fixture
def others(tmp_path):
    path = tmp_path / "others.txt"
    path.write_text("\n".join(OTHERS) + "\n")
    return path


def test_the_language_model_learns_from_a_prior(aectl, made, corpus, others, tmp_path):
    without, out = made(*OF_WORDS), tmp_path / "run"
    arguments = ["train", "-q", "--dataset", corpus, *small(*OF_WORDS), "--out", out]
    assert aectl(*arguments, "--prior", others).status == 0
    assert nats_of(out, OTHERS) < 0.7 * nats_of(without, OTHERS)
    assert nats_of(out, LINES) > nats_of(without, LINES)
    (told,) = [model_file.read_card(out).training]
    assert (told["options"]["prior"], told["prior_texts"]) == (str(others), len(OTHERS))
    others.write_text("else\n")
    done = aectl("train", "-q", "--resume", out, "--epochs", 3)
    assert (done.status, done.out) == (2, "")
    assert "are not those of the original training" in done.err


def test_the_language_model_of_a_model_is_taken(aectl, text, others, tmp_path):
    """With its units and its vocabulary, and also where training goes on without it."""
    prior = tmp_path / "prior"
    shutil.copytree(text, prior)
    options = "--bottleneck", "words", "--length", "10", "--epochs", "1", "--dataset", others
    arguments = ["train", "-q", "--model", "text-autoencoder", *options, "--prior", prior]
    assert aectl(*arguments, "--out", "run").status == 0
    shutil.rmtree(prior)
    assert aectl("train", "-q", "--resume", "run", "--epochs", 2).status == 0
    source, found = model_file.read_card(text), model_file.read_card(tmp_path / "run")
    assert found.vocabulary == source.vocabulary
    assert found.training["options"]["prior"] == str(prior)
    wanted, taken = (
        model_file.load(run)[0].language_model.state_dict() for run in (text, tmp_path / "run")
    )
    assert all(torch.equal(wanted[name], taken[name]) for name in wanted)
    assert "language_model" not in (tmp_path / "run" / "metrics.csv").read_text()
    assert "lm-epochs" not in (tmp_path / "run" / "config.toml").read_text()


def test_a_prior_that_cannot_be_used_is_refused_by_name(aectl, text, vector, corpus, tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    words = "--bottleneck", "words"
    for options, said in (
        ((*words, "--prior", vector), f"--bottleneck words; {vector} has no language"),
        ((*words, "--prior", text, "--hidden", 17), f"of --prior {text}: its --hidden is 16"),
        ((*words, "--prior", text, "--vocabulary", 400), "its --vocabulary is 300"),
        ((*words, "--prior", text, "--lm-epochs", 1), f"no effect with --prior {text}, which is"),
        ((*words, "--prior", corpus, "--load", text), "--prior cannot go with --load"),
        ((*words, "--prior", "absent.txt"), "no dataset, file or folder 'absent.txt'"),
        ((*words, "--prior", "empty.txt"), "there is no text in empty.txt"),
        (("--prior", corpus), "--prior has no effect without --bottleneck words"),
        (("--prior", text), "--prior has no effect without --bottleneck words"),
    ):
        arguments = ["train", "--model", "text-autoencoder", "--dataset", corpus, *options]
        done = aectl(*arguments, "--out", "run")
        assert (done.status, done.out) == (2, ""), options
        assert said in done.err
