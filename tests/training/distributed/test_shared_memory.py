"""Tensors that processes, here threads, exchange in memory that they share."""

import queue
import sys
import threading

import pytest
import torch

from aectl.training.distributed import shared_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="such memory is Linux's")
COUNT, LONGEST = 3, 20.0
MANY = 2 * shared_memory.SIZE // 4 + 5
"""float32 values that take three turns, of which the last has few."""


def together(work, longest=LONGEST):
    """What each of three processes gives or raises, in their order."""
    said, found = queue.Queue(), [None] * COUNT

    def told_by(number):
        def told(content):
            for _ in range(COUNT - 1 if number == 0 else 0):
                said.put(content)
            return content if number == 0 else said.get(timeout=LONGEST)

        return told

    def run(number):
        try:
            memory = shared_memory.opened(number, COUNT, told_by(number), longest)
            found[number] = work(memory, number)
        except OSError as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=[number]) for number in range(COUNT)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(3 * LONGEST)
        assert not one.is_alive()
    return found


def reduced(memory, own, how=torch.add):
    """What becomes of a copy of a tensor."""
    copy = own.clone()
    memory.reduce([copy], how)
    return copy


def values(number, size, dtype):
    """Integers, whose sums are exact in all types."""
    drawn = torch.Generator().manual_seed(number)
    return torch.randint(0, 50, size, generator=drawn).to(dtype)


@pytest.mark.parametrize("size", [(), (0,), (2,), (5, 7), (MANY,)], ids=str)
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.int64, torch.bfloat16], ids=str
)
def test_all_have_the_sums_the_least_and_the_tensors_of_all(size, dtype):
    def work(memory, number):
        own = values(number, size, dtype)
        found = [reduced(memory, own), reduced(memory, own, torch.minimum)]
        return [*found, torch.stack(memory.stacked(own))]

    tensors = torch.stack([values(number, size, dtype) for number in range(COUNT)])
    for found in together(work):
        for one, expected in zip(found, [tensors.sum(0), tensors.amin(0), tensors], strict=True):
            assert one.dtype == dtype
            torch.testing.assert_close(one, expected.to(dtype), rtol=0, atol=0)


def test_several_tensors_are_summed_at_once_also_where_they_take_more_turns_than_one():
    sizes = [(3,), (MANY,), (), (2, 5), (0,), (shared_memory.SIZE // 4,), (1,)]

    def work(memory, number):
        own = [values(10 * number + at, size, torch.float32) for at, size in enumerate(sizes)]
        memory.reduce(own, torch.add)
        return own

    everywhere = together(work)
    for at, size in enumerate(sizes):
        each = [values(10 * number + at, size, torch.float32) for number in range(COUNT)]
        assert all(torch.equal(found[at], sum(each)) for found in everywhere)


def test_tensors_of_other_layouts_are_exchanged_value_by_value():
    transposed = torch.arange(12.0).view(3, 4).t()
    for found in together(lambda memory, number: memory.stacked(transposed + number)):
        assert all(torch.equal(one, transposed + at) for at, one in enumerate(found))


@pytest.mark.parametrize("lost", range(COUNT))
def test_a_process_that_has_ended_is_noticed_by_all_others(lost):
    def work(memory, number):
        if number == lost:
            raise OSError("lost")
        for _ in range(3):
            memory.reduce([torch.ones(9)], torch.add)

    assert all(isinstance(one, OSError) for one in together(work))


def test_a_process_that_does_not_come_is_not_waited_for_without_end():
    other_ends = threading.Event()

    def work(memory, number):
        if number == 1:
            other_ends.wait(LONGEST)
            return "late"
        try:
            memory.reduce([torch.ones(9)], torch.add)
        finally:
            other_ends.set()

    first, late, third = together(work, longest=0.2)
    assert late == "late"
    assert isinstance(first, OSError) and isinstance(third, OSError)
    assert TimeoutError in (type(first), type(third))


def test_where_the_first_cannot_share_memory_no_other_waits(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("long" * 40)))
    assert all(isinstance(one, OSError) for one in together(lambda memory, number: "shared"))
