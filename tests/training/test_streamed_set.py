"""Vectors that are read from disk: every one once, in an order that depends on the seed and the
epoch alone."""

import itertools

import numpy as np
import pytest
import torch
from test_resume import keepable, state_of

from aectl.data.vectors.stored_vectors import StoredVectors
from aectl.data.vectors.vector_file import VectorFile
from aectl.data.vectors.vector_inputs import of_file
from aectl.errors import ConfigError, DataError
from aectl.training import checkpoint, loop
from aectl.training.reading import Reading
from aectl.training.streamed_set import StreamedSet, split
from aectl.verbs.planning import new_run, prepare

SIZES = (700, 1, 299)
COUNT = sum(SIZES)
ROWS = np.arange(2 * COUNT, dtype="f4").reshape(COUNT, 2)
BUFFER = 96


def joined(lists):
    return list(itertools.chain.from_iterable(lists))


@pytest.fixture
def vectors(tmp_path):
    """Three files, the rows of which are numbered one after the other."""
    paths = [tmp_path / f"{number}.npy" for number in range(len(SIZES))]
    for path, rows in zip(paths, np.split(ROWS, np.cumsum(SIZES)[:-1]), strict=True):
        np.save(path, rows)
    return StoredVectors(tuple(map(of_file, paths)))


def sets(vectors, fraction=0.0, held_out=None, buffer=BUFFER):
    labels = torch.arange(COUNT)
    both = split(vectors, buffer, fraction, held_out)
    return [StreamedSet(vectors, labels, blocks, buffer) for blocks in both]


def shuffled(found, size, first=0, seed=5, epoch=0):
    """The rows of each batch, by their numbers; labels are these numbers, too."""
    batches = list(found.shuffled(size, torch.Generator().manual_seed(seed), first, epoch))
    for batch in batches:
        assert torch.equal(batch.inputs, torch.from_numpy(ROWS)[batch.labels])
    return [batch.labels.tolist() for batch in batches]


@pytest.mark.parametrize("size", [1, 7, BUFFER, 250, 5000])
def test_every_vector_comes_once_in_batches_of_one_size(vectors, size):
    whole, none = sets(vectors)
    batches = shuffled(whole, size)
    assert {len(batch) for batch in batches[:-1]} <= {size}
    assert sorted(joined(batches)) == list(range(COUNT))
    assert (len(whole), len(none), len(batches)) == (COUNT, 0, -(-COUNT // size))


def test_an_epoch_goes_on_from_any_batch_and_draws_as_much_as_a_whole_one(vectors):
    whole, _ = sets(vectors)
    batches = shuffled(whole, 7)
    assert all(shuffled(whole, 7, first) == batches[first:] for first in range(len(batches) + 1))
    assert shuffled(whole, 7, seed=6) != batches
    after = [torch.Generator().manual_seed(3) for _ in range(2)]
    for generator, first in zip(after, (0, 50), strict=True):
        list(whole.shuffled(7, generator, first))
    assert torch.equal(*(generator.get_state() for generator in after))


def test_blocks_come_in_another_order_in_each_epoch_and_in_the_same_with_each_seed(vectors):
    whole, _ = sets(vectors)
    first = [set(shuffled(whole, 90, seed=seed, epoch=epoch)[0]) for seed, epoch in
             ((5, 0), (6, 0), (5, 1))]  # fmt: skip
    assert len(first[0] & first[1]) > 80
    assert len(first[0] & first[2]) < 30
    assert shuffled(whole, 90, seed=5)[0] != shuffled(whole, 90, seed=6)[0]


class Counted(VectorFile):
    """A file that notes which of its rows are read."""

    def read(self, first, into, alone=False):
        READ.extend(range(first, first + len(into)))
        super().read(first, into, alone)


READ = []


def test_several_who_go_through_the_same_rows_side_by_side_read_them_once(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    file = of_file(tmp_path / "rows.npy")
    READ.clear()
    vectors = StoredVectors((Counted(**vars(file)),))
    whole, _ = sets(vectors)
    of_seeds = [whole.shuffled(24, torch.Generator().manual_seed(seed)) for seed in range(3)]
    seen = [[], [], []]
    for batches in zip(*of_seeds, strict=True):
        for rows, batch in zip(seen, batches, strict=True):
            assert torch.equal(batch.inputs, torch.from_numpy(ROWS)[batch.labels])
            rows += batch.labels.tolist()
    assert sorted(READ) == list(range(COUNT))
    assert [sorted(rows) for rows in seen] == [sorted(READ)] * 3
    assert len({tuple(rows) for rows in seen}) == 3


def test_one_who_falls_far_behind_still_gets_every_row(vectors):
    whole, _ = sets(vectors)
    ahead, behind = (whole.shuffled(10, torch.Generator().manual_seed(3)) for _ in range(2))
    first = [next(behind)]
    for one, other in zip(list(ahead), [*first, *behind], strict=True):
        assert torch.equal(one.inputs, other.inputs)


def test_the_vectors_of_a_buffer_are_from_many_places_and_mixed(vectors):
    whole, _ = sets(vectors)
    first = np.array(joined(shuffled(whole, 1)[: BUFFER - 3]))
    places = np.count_nonzero(np.diff(np.sort(first)) > 1)
    assert places > 20 and np.ptp(first) > COUNT / 2
    assert (np.diff(first) == 1).mean() < 0.1


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_a_fraction_of_every_block_is_held_out(vectors, fraction):
    learnt, held = sets(vectors, fraction)
    of_both = [joined(batch.labels.tolist() for batch in one.in_order(9)) for one in (learnt, held)]
    assert all(rows == sorted(rows) for rows in of_both)
    assert sorted(joined(of_both)) == list(range(COUNT))
    assert len(held) == len(of_both[1]) == round(fraction * COUNT)
    among = np.histogram(of_both[1], 10, (0, COUNT))[0]
    assert abs(among - fraction * COUNT / 10).max() <= 2
    with pytest.raises(ConfigError, match=r"--validation 0\.0001 of 1000 vectors leaves nothing"):
        split(vectors, BUFFER, 0.0001, None)


def test_the_files_of_a_validation_set_are_held_out(vectors):
    learnt, held = sets(vectors, held_out=np.arange(700, 1000))
    assert (len(learnt), len(held)) == (700, 300)
    assert torch.equal(torch.cat(list(held.unscaled(64))), torch.from_numpy(ROWS[700:]))


def test_some_vectors_are_kept_in_memory(vectors):
    whole, _ = sets(vectors)
    some = whole.some(50, 3)
    batch = some.whole()
    assert len(some) == len(set(batch.labels.tolist())) == 50
    assert torch.equal(batch.inputs, torch.from_numpy(ROWS)[batch.labels])
    assert len(whole.some(5000, 3)) == COUNT


def test_a_file_that_becomes_shorter_or_is_gone_is_named(vectors, tmp_path):
    whole, _ = sets(vectors)
    (tmp_path / "2.npy").write_bytes((tmp_path / "2.npy").read_bytes()[:-8])
    with pytest.raises(DataError, match=r"2\.npy became shorter while it was read"):
        list(whole.in_order(100))
    (tmp_path / "2.npy").unlink()
    with pytest.raises(DataError, match=r"cannot read .*2\.npy: No such file"):
        list(whole.in_order(100))


@pytest.mark.parametrize("moment", [1, 5, 9, 14])
def test_a_training_from_disk_goes_on_from_any_step(tmp_path, monkeypatch, moment):
    monkeypatch.setattr(loop, "PROGRESS_SECONDS", -1.0)
    np.save(tmp_path / "rows.npy", ROWS)
    given = {"dataset": (str(tmp_path / "rows.npy"),), "hidden": (9,), "epochs": 2,
             "batch_size": 50, "shuffle_buffer": 64, "scale": "standard"}  # fmt: skip
    found = prepare(given, {}, Reading(tmp_path, print))
    whole, stopped, again = (new_run(*found, torch.device("cpu"), None) for _ in range(3))
    list(whole.epochs())
    next(itertools.islice(keepable(stopped), moment, None))
    checkpoint.save(tmp_path, state_of(stopped))
    again.restore(checkpoint.load(tmp_path).run)
    list(again.epochs())
    weights_of_both = [run.network.state_dict() for run in (whole, again)]
    assert all(torch.equal(value, weights_of_both[1][k]) for k, value in weights_of_both[0].items())
