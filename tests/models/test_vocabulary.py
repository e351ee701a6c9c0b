"""The vocabulary of a model of text."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aectl.errors import ModelFileError
from aectl.models.vocabulary import Vocabulary

TEXTS = ["the cat sat on the mat", "the cat ate", "a mat"]
SMALL = Vocabulary.learnt(TEXTS, 270)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_comes_back_from_its_tokens(text):
    (tokens,) = SMALL.encode([text])
    assert SMALL.decode(tokens) == text.removeprefix(" ")


def test_pairs_become_pieces_the_most_frequent_first():
    # "at" is in cat, sat, mat, cat, mat: five times; no other pair is there as often.
    assert SMALL.merges[0] == ("a", "t")
    # Of what is left, " t" and "he" three times each, as "the" twice and " at" never begin alike.
    assert len(SMALL) == len(SMALL.pieces) + 3 <= 270


def test_a_word_that_was_never_seen_falls_into_pieces_that_were():
    (tokens,) = SMALL.encode(["cats"])
    (cat,) = SMALL.encode(["cat"])
    assert tokens[: len(cat)] == cat
    assert len(tokens) == len(cat) + 1


def test_tokens_that_stand_for_no_text_are_passed_over():
    (tokens,) = SMALL.encode(["a mat"])
    assert SMALL.decode([1, *tokens, 2, 0, 0]) == "a mat"


def test_what_a_model_file_says_gives_the_same_vocabulary():
    again = Vocabulary.from_json(json.loads(json.dumps(SMALL.to_json())))
    assert again == SMALL
    assert list(again.encode(TEXTS)) == list(SMALL.encode(TEXTS))


def described(**changed):
    return json.loads(json.dumps({**SMALL.to_json(), **changed}))


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        described(other=1),
        described(pieces="abc"),
        described(pieces=[1, 2]),
        described(pieces=list(SMALL.pieces[1:])),
        described(pieces=[*SMALL.pieces, SMALL.pieces[-1]]),
        described(merges=["a"]),
        described(merges=["a t t"]),
        described(merges=["at nothing"]),
        described(merges=[None]),
        described(pieces=[*SMALL.pieces, "\ud800"]),
    ],
)
def test_anything_else_is_refused(wrong):
    with pytest.raises(ModelFileError, match="vocabulary"):
        Vocabulary.from_json(wrong)
