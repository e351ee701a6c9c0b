"""How a training set is read: the files that a config chooses among."""

import pytest

from aectl.config.configuration import Config
from aectl.data.inputs import IMAGES
from aectl.data.selection import Selection
from aectl.errors import ConfigError
from aectl.training.reading import refuse_patterns, selection_of


def configured(*words, **options):
    config = Config.from_options({"dataset": list(words), **options})
    return config, [IMAGES.source(word) for word in words]


def test_the_patterns_of_a_config_are_a_selection_with_its_usual_endings():
    config, _ = configured("digits", include=["a*"], exclude=["b"])
    assert selection_of(config) == Selection((), ("a*",), ("b",))
    assert selection_of(config, (".txt",)) == Selection((".txt",), ("a*",), ("b",))
    config, _ = configured("digits", ext="md")
    assert selection_of(config, (".txt",)) == Selection(("md",))


@pytest.mark.parametrize(
    ("options", "name"),
    [({"ext": "png"}, "--ext"), ({"include": ["*"]}, "--include"), ({"exclude": ["x"]}, "--excl")],
)
def test_patterns_need_a_folder_to_choose_among(options, name, tmp_path):
    refuse_patterns(*configured("digits", str(tmp_path), **options))
    refuse_patterns(*configured("digits"))
    with pytest.raises(ConfigError, match=f"{name}.* chooses among .* which digits is not"):
        refuse_patterns(*configured("digits", **options))
