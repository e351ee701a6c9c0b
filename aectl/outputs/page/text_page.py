"""The section of a model of text: sentences with marked words, and units."""

from collections.abc import Mapping, Sequence
from typing import Any

from aectl.config.spelling import spelt, spelt_out
from aectl.inference.findings import TextExample, TextFindings
from aectl.outputs.page.numbers import finite, of_units


def of_text(findings: TextFindings, _results: Mapping[str, Any], _sheets: object) -> dict[str, Any]:
    """The texts of a model's section and, of a vector code, its units."""
    sample, units = findings.sample, findings.units
    return {
        "sample": {
            "words": [_words(words) for words in sample.words],
            "paths": list(map(spelt, sample.paths)),
            "labels": [None if label is None else spelt(label) for label in sample.labels],
            "count": len(sample.paths),
        },
        "examples": {
            name: [_example(example) for example in examples]
            for name, examples in findings.examples.items()
        },
        "units": units
        and {
            "total": units.total,
            "numbers": units.numbers.tolist(),
            "peaks": units.peaks.tolist(),
            **of_units(units),
        },
    }


def _example(example: TextExample) -> dict[str, Any]:
    return {
        "path": spelt(example.path),
        "accuracy": finite(example.token_accuracy),
        "original": _words(example.original),
        "reconstruction": _words(example.reconstruction),
        "shorter": None if example.shorter is None else _words(example.shorter),
        "lost": list(example.lost),
        "wrong": list(example.wrong),
        "kept": list(example.kept),
    }


def _words(words: Sequence[str]) -> list[str]:
    """Words in which control characters, which could reorder a line, are escaped."""
    return list(map(spelt_out, words))
