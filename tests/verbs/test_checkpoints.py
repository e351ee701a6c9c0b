"""When the state of a training is saved, and what an exception is told of it."""

from pathlib import Path

import pytest
import torch

from aectl.data.storage.folders import ignore
from aectl.errors import DivergedError
from aectl.training import checkpoint
from aectl.training.reading import Reading
from aectl.training.run import Epoch
from aectl.verbs.checkpoints import Checkpoints
from aectl.verbs.planning import new_run, prepare


@pytest.fixture(scope="module")
def parts():
    given = {"dataset": "digits", "hidden": 3, "epochs": 2, "batch_size": 1437}
    return prepare(given, {}, Reading(Path("none"), ignore))


@pytest.fixture
def run(parts):
    return new_run(*parts, torch.device("cpu"), None)


@pytest.fixture
def session(dense):
    return checkpoint.load(dense).session


@pytest.fixture
def first(run):
    """The first event of the run, in its first epoch."""
    events = run.epochs()
    yield next(events)
    events.close()


def test_the_first_event_is_saved_and_the_next_ones_in_an_epoch_if_it_is_urgent(
    run, session, tmp_path, first
):
    states = Checkpoints(tmp_path, session, False, lambda run: None)
    assert first.losses is None
    assert states.after(run, first, urgent=False)
    assert not states.after(run, first, urgent=False)
    assert states.after(run, first, urgent=True)


def test_epochs_are_saved_and_the_last_one_is_not_published_again(run, session, tmp_path):
    published, epochs = [], 0
    states = Checkpoints(tmp_path, session, False, published.append)
    with states.explained():
        for event in run.epochs():
            if isinstance(event, Epoch):
                epochs += 1
                assert states.after(run, event, urgent=epochs == 1)
                assert len(checkpoint.load(tmp_path).run.rows) == epochs
            elif event.losses is not None:
                assert not states.after(run, event, urgent=True)
        states.finish()
    assert published == [run]
    assert checkpoint.is_finished(tmp_path)


@pytest.mark.parametrize(
    ("error", "told"), [(KeyboardInterrupt, ""), (DivergedError, " --lr X"), (OSError, "")]
)
def test_an_error_after_an_epoch_is_told_how_to_go_on(run, session, tmp_path, error, told):
    folder = tmp_path / "a run"
    folder.mkdir()
    states = Checkpoints(folder, session, False, lambda run: None)
    with pytest.raises(error) as raised, states.explained():
        for event in run.epochs():
            if isinstance(event, Epoch):
                states.after(run, event, urgent=True)
                raise error("it ends here")
    assert raised.value.__notes__ == [
        f"training is saved after 1 of 2 epochs: aectl train --resume '{folder}'{told} continues"
    ]
    assert checkpoint.is_kept(folder)


@pytest.mark.parametrize(
    ("error", "goes_on", "kept"),
    [(KeyboardInterrupt, False, True), (OSError, False, False), (OSError, True, True)],
)
def test_of_the_first_epoch_a_state_is_kept_only_if_someone_wanted_it(
    run, session, tmp_path, first, error, goes_on, kept
):
    states = Checkpoints(tmp_path, session, goes_on, lambda run: None)
    with pytest.raises(error), states.explained():
        states.after(run, first, urgent=False)
        raise error
    assert checkpoint.is_kept(tmp_path) == kept


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_state_of_before_stays_only_for_a_run_that_goes_on(
    run, session, tmp_path, first, goes_on
):
    Checkpoints(tmp_path, session, False, lambda run: None).after(run, first, urgent=True)
    half = tmp_path / "checkpoint" / ".checkpoint.safetensors.12.part"
    half.write_bytes(b"half")
    with Checkpoints(tmp_path, session, goes_on, lambda run: None).explained():
        assert checkpoint.is_kept(tmp_path) == goes_on
    assert not half.exists()
