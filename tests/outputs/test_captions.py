"""Names that tell images apart."""

import itertools

import pytest

from aectl.outputs.captions import distinguished


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["photos/cat/1.png"], ["1.png"]),
        (["cat/000.png", "dog/000.png", "dog/001.png"], ["cat/000.png", "dog/000.png", "001.png"]),
        (["a/x/0.png", "b/x/0.png"], ["a/x/0.png", "b/x/0.png"]),
        (["x/0.png", "a/x/0.png"], ["x/0.png", "a/x/0.png"]),
        (["0.png", "/0.png"], ["0.png", "/0.png"]),
        (["a.png", "a.png"], ["a.png", "a.png"]),
        (["digits:test/3", "digits:test/4"], ["digits:test/3", "digits:test/4"]),
        (["photos/17", "17"], ["photos/17", "17"]),
        (["shots.zip/a/0.png", "more.zip/a/0.png"], ["shots.zip/a/0.png", "more.zip/a/0.png"]),
        ([], []),
    ],
)
def test_a_name_is_the_shortest_end_of_a_path_that_no_other_has(paths, names):
    assert distinguished(paths) == names


def test_different_paths_never_have_the_same_name():
    parts = ("a", "b", "0", "a.png")
    paths = ["/".join(path) for n in (1, 2, 3, 4) for path in itertools.product(parts, repeat=n)]
    assert len(set(distinguished(paths))) == len(paths)
