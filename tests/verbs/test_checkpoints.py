"""The state of a training that is interrupted: what is said about it."""

import pytest

from aectl.verbs.checkpoints import Checkpoints


@pytest.mark.parametrize(
    ("goes_on", "said"),
    [(False, "nothing was kept"), (True, "is as it was before this command")],
)
def test_an_interruption_before_the_first_step_says_what_is_kept(tmp_path, goes_on, said):
    explained = Checkpoints(tmp_path, None, goes_on, print).explained()
    with pytest.raises(KeyboardInterrupt) as interrupted, explained:
        raise KeyboardInterrupt
    (note,) = interrupted.value.__notes__
    assert said in note
