"""How a training set is read: options that choose among the files of a folder."""

import pytest

from aectl.config.configuration import Config
from aectl.data.inputs import IMAGES
from aectl.data.selection import of_options
from aectl.data.training_sources import TrainingSources
from aectl.errors import ConfigError
from aectl.training.reading import refuse_patterns


def configured(*words, **options):
    config = Config.from_options({"dataset": list(words), **options})
    return config, TrainingSources.named(IMAGES, words, None, of_options(options))


@pytest.mark.parametrize(
    ("options", "name"),
    [({"ext": "png"}, "--ext"), ({"include": ["*"]}, "--include"), ({"exclude": ["x"]}, "--excl")],
)
def test_patterns_need_a_folder_to_choose_among(options, name, tmp_path):
    refuse_patterns(*configured("digits", str(tmp_path), **options))
    refuse_patterns(*configured("digits"))
    with pytest.raises(ConfigError, match=f"{name}.* chooses among .* which digits is not"):
        refuse_patterns(*configured("digits", **options))
