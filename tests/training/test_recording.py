"""CUDA graphs of some work, on a GPU alone; those of whole steps are in `test_replayed`."""

import pytest
import torch

from aectl.training.recording import CudaGraphs

pytestmark = pytest.mark.gpu


def test_a_recording_repeats_the_work_on_the_same_memory():
    numbers, graphs = torch.zeros(3, device="cuda"), CudaGraphs()

    def adding():
        return {"numbers": numbers.add_(1).clone()}

    assert graphs.waiting(adding)[1] == ""
    found, repeat = graphs.record(adding)
    assert numbers.tolist() == [1.0] * 3
    repeat()
    repeat()
    assert numbers.tolist() == found["numbers"].tolist() == [3.0] * 3


def test_work_that_waits_for_the_device_is_told_with_its_line():
    numbers = torch.ones(3, device="cuda")
    found, waits = CudaGraphs().waiting(lambda: {"twice": numbers * numbers.max().item()})
    assert found["twice"].tolist() == [1.0] * 3
    assert waits.startswith("test_recording.py:")
    assert torch.cuda.get_sync_debug_mode() == 0


def test_results_of_a_recording_that_is_gone_do_not_stand_in_the_way_of_the_next():
    numbers, graphs = torch.ones(3, device="cuda"), CudaGraphs()
    kept = []
    for factor in (2, 3, 4):
        graphs.waiting(lambda factor=factor: {"product": numbers * factor})
        found, repeat = graphs.record(lambda factor=factor: {"product": numbers * factor})
        repeat()
        kept.append(found["product"])
        del repeat
    assert [one.tolist() for one in kept] == [[2.0] * 3, [3.0] * 3, [4.0] * 3]


def test_after_a_capture_that_failed_random_numbers_and_captures_are_as_before():
    total, graphs = torch.zeros(3, device="cuda"), CudaGraphs()

    def adding():
        return {"total": total.add_(torch.rand(3, device="cuda")).clone()}

    def waiting():
        return {"total": adding()["total"] * total.sum().item()}

    waiting()
    torch.manual_seed(0)
    expected = torch.rand(3, device="cuda")
    for failures in range(3):
        total.zero_()
        torch.manual_seed(0)
        if failures:
            with pytest.raises(RuntimeError):
                graphs.record(waiting)
        assert torch.cuda.current_stream() == torch.cuda.default_stream()
        assert adding()["total"].equal(expected)
        total.zero_()
        torch.manual_seed(0)
        found, replay = graphs.record(adding)
        replay()
        assert found["total"].equal(expected)
