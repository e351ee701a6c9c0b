"""The inputs of a model without INPUT, by the data that its file says it was trained on."""

import dataclasses
import io
from pathlib import Path

import pytest

from aectl.data.inputs import IMAGES
from aectl.data.selection import EVERY_IMAGE
from aectl.errors import DataError
from aectl.modalities.request import Request
from aectl.modalities.trained_on import requested_selection, sources_of
from aectl.models import model_file

CARD = model_file.read_card(Path(__file__).parents[1] / "formats" / "3-dense.safetensors")


def card(*words, **options):
    """A model that was trained on some data."""
    named = {"dataset": list(words), **options}
    return dataclasses.replace(CARD, training={**CARD.training, "options": named})


def asked(*words, told=None, **given):
    take = [].append if told is None else told.append
    return Request(words or None, Path(), notice=take, warning=take, **given)


def found(model, request):
    return [source.word for source in sources_of(model, request, IMAGES)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Makes empty files in the current folder."""
    monkeypatch.chdir(tmp_path)

    def make(*files):
        for file in files:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).touch()

    return make


def test_words_of_a_request_are_read_and_not_the_training_data():
    assert found(card("mnist"), asked("digits", "digits:train/3")) == ["digits", "digits:train/3"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [(["digits"], ["digits"]), (["digits:train", "mnist"], ["digits", "mnist"])],
)
def test_of_a_dataset_the_usual_split_is_measured_and_nothing_is_told(words, wanted):
    told = []
    assert found(card(*words), asked(told=told)) == wanted
    assert told == []


@pytest.mark.parametrize(
    ("files", "wanted", "said"),
    [
        (["a.png"], "set", "measured on set, the data that it was trained on"),
        (["train/a.png"], "set", "measured on set, the data that it was trained on"),
        (["train/a.png", "val/b.png"], "set/val", "measured on set/val"),
        (["train/a.png", "val/b.png", "test/c.png"], "set/test", "measured on set/test"),
    ],
)
def test_of_a_folder_a_split_that_was_not_learnt_is_measured(here, files, wanted, said):
    here(*(f"set/{file}" for file in files))
    told = []
    assert found(card("set"), asked(told=told)) == [wanted]
    assert told == [said]


@pytest.mark.parametrize("options", [{}, {"validation": 0.1}], ids=["all", "held out"])
def test_of_an_older_model_it_is_not_known_what_was_held_out(here, options):
    here("set/a.png")
    told = []
    assert found(card("set", **options), asked(told=told, unseen=True)) == ["set"]
    more = "; which of it was held out is not known" if options else ""
    assert told == [f"measured on set, the data that it was trained on{more}"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "does not say what it was trained on; name an INPUT"),
        (["gone/"], "trained on gone/, which is not found from here; name an INPUT"),
        (["-"], "trained on a list on stdin; name an INPUT"),
    ],
)
def test_training_data_that_cannot_be_found_again_are_not_guessed(here, words, said):
    with pytest.raises(DataError, match=said):
        sources_of(card(*words), asked(stdin=io.BytesIO()), IMAGES)


def test_the_files_are_those_of_the_training_unless_words_or_rules_are_given():
    model, own = (
        card("set", include=["*.png"], ext=None),
        dataclasses.replace(EVERY_IMAGE, include=("*.png",)),
    )
    assert requested_selection(model, asked(), IMAGES) == own
    assert requested_selection(model, asked("set"), IMAGES) == EVERY_IMAGE
    others = dataclasses.replace(EVERY_IMAGE, exclude=("x",))
    assert requested_selection(model, asked(selection=others), IMAGES) == others
