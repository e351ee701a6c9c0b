"""Steps that are recorded once and replayed do what eager ones do, to the last bit.

Without a GPU, operations of the CPU are recorded by the same rules as those of a CUDA graph.
"""

import itertools
from collections import Counter

import pytest
import torch
from every_kind import made, of_tables, others
from operations import OnCpu
from test_distributed import CASES, write_data
from together import trained as trained_by_a_run
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from aectl.config.configuration import Config
from aectl.objectives.step import Batch, Losses, Objective
from aectl.training import replayed, run
from aectl.training.bfloat16_adam import AdamInBfloat16
from aectl.training.loop import MemorySet, train_epochs
from aectl.training.means import Means
from aectl.training.optimizers import SGD, Adam, AdamW
from aectl.training.recording import CudaGraphs
from aectl.training.replayed import Replayed
from aectl.training.schedules import Schedule
from aectl.training.steps import Eager

WARM_UP, SUMS = 3, Means()
STEPS = 3 * WARM_UP + 3


@pytest.fixture(autouse=True)
def _few_warm_up_steps(monkeypatch):
    monkeypatch.setattr(replayed, "WARM_UP", WARM_UP)


@pytest.fixture(autouse=True)
def _sums_in_the_same_order_each_time(monkeypatch):
    """Those of convolutions on a GPU; a training amplifies what others change."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


def rate(step):
    """A part of the learning rate that is exact in float32."""
    return 0.5 ** (step // 2)


def batches(first: Batch, second: Batch):
    """Two batches in turns, and a smaller one as the last of each epoch of three."""
    small = Batch(first.inputs[:-1], None if first.labels is None else first.labels[:-1])
    return itertools.islice(itertools.cycle((first, second, small)), STEPS)


def trained(options, recorder=None, build=Adam, device="cpu"):
    """The losses of each step, and the weights and what is remembered after all; `recorder`: that
    of replayed steps."""
    remembered: dict[str, Tensor] = {}
    whole, given = made(options, remembered)
    whole.to(device)
    optimizer = build(whole.parameters(), 2**-10, fused=True)
    take, said = Eager(whole, optimizer, 1.0, options.get("precision", "fp32")), []
    if recorder is not None:
        take = Replayed(take, remembered, recorder, said.append)
    schedule, found, sums = Schedule(optimizer, rate), [], Means()
    torch.manual_seed(1)
    for batch in batches(*given):
        labels = None if batch.labels is None else batch.labels.to(device)
        losses = take(Batch(batch.inputs.to(device), labels), sums)
        found += [one.detach().clone() for one in losses.values()]
        schedule.step()
    assert said == []
    state = [*whole.parameters(), *whole.buffers(), *remembered.values()]
    return [*found, *state, torch.tensor([*sums.means().values()])]


def same(one, other):
    return len(one) == len(other) and all(map(torch.equal, one, other))


EVERY = [one for one in [*of_tables(), *others()] if one.get("optimizer") != "lbfgs"]


def waits_on_a_cpu(options):
    """Kernels of a CPU alone look for the active places, and for the longest text of a batch."""
    return options["model"] == "conv-wta-autoencoder" or options.get("bottleneck") == "words"


@pytest.mark.parametrize(
    "options", [one for one in EVERY if not waits_on_a_cpu({"model": "", **one})], ids=str
)
def test_replayed_steps_of_any_kind_and_rule_are_the_eager_ones(options):
    recorder = OnCpu()
    assert same(trained(options, recorder), trained(options))
    assert recorder.replays >= STEPS - 3 * WARM_UP


@pytest.mark.parametrize(
    ("build", "more"),
    [
        (AdamW, {}),
        (AdamInBfloat16, {"dropout": 0.2}),
        (lambda *given, **more: SGD(*given, momentum=0.9, **more), {}),
        (SGD, {"precision": "bf16"}),
        (Adam, {"sparsity": "l1", "p_end": 0.5}),
    ],
)
def test_so_are_those_of_other_optimizers_and_in_bfloat16(build, more):
    options = {"hidden": (12,), "noise": "masking", **more}
    recorder = OnCpu()
    assert same(trained(options, recorder, build), trained(options, build=build))
    assert recorder.replays


@pytest.mark.gpu
@pytest.mark.parametrize("options", EVERY, ids=str)
def test_captured_steps_of_any_kind_and_rule_have_the_losses_of_eager_ones(options):
    found = [trained(options, one, device="cuda") for one in (CudaGraphs(), None)]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


class Refusing(OnCpu):
    """Records nothing."""

    def record(self, work):
        raise RuntimeError("not recorded")


WHOLE = {
    "k falls": {**CASES["none"], "sparsity": "topk", "k": 2, "k_start": 5, "aux_k": 4},
    **{name: CASES[name] for name in ("batch-topk", "best", "conv", "labelled vectors")},
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_training_of_replayed_steps_has_the_weights_and_metrics_of_one_of_eager_steps(
    folder, name, monkeypatch
):
    """Between the epochs, the network is measured, and thresholds are settled."""
    monkeypatch.chdir(folder)
    found, recording = [], OnCpu()
    for recorder in (recording, Refusing()):
        monkeypatch.setattr(run, "recorder_on", lambda *_, one=recorder: one)
        state, rows = trained_by_a_run({**WHOLE[name], "epochs": 4})
        losses = [{k: v for k, v in row.items() if "second" not in k} for row in rows]
        found.append((state, losses))
    assert recording.replays > 3
    (state, losses), (eager, expected) = found
    assert losses == expected
    assert same([*state.values()], [*eager.values()])


@pytest.mark.gpu
@pytest.mark.parametrize("name", WHOLE)
def test_so_has_a_training_of_captured_steps_but_for_rounding(folder, name, monkeypatch):
    monkeypatch.chdir(folder)
    replays, record = [], CudaGraphs.record

    def counted(graphs, work):
        found, replay = record(graphs, work)
        return found, lambda: replays.append(replay())

    monkeypatch.setattr(CudaGraphs, "record", counted)
    options = {**WHOLE[name], "epochs": 4, "precision": "fp32"}
    (state, rows), (eager, expected) = (
        trained_by_a_run({**options, "cuda_graphs": graphs}, "cuda") for graphs in (True, False)
    )
    assert len(replays) > 3
    torch.testing.assert_close(state, eager, rtol=1e-3, atol=1e-4)
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in expected], 1e-3)


def small(compute, recorder):
    """Replayed steps of a layer, the batches that it takes, and what is said."""
    torch.manual_seed(0)
    whole, said = Objective(nn.Linear(3, 3), compute), []
    optimizer = Adam(whole.parameters(), 2**-6, fused=True)
    return Replayed(Eager(whole, optimizer), {}, recorder, said.append), said


def half_square(network, batch):
    return Losses((network(batch.inputs) - batch.inputs).square().sum(), {})


def weights_after(take, count=2 * WARM_UP, rows=5):
    torch.manual_seed(1)
    for _ in range(count):
        take(Batch(torch.rand(rows, 3), None), SUMS)
    return [one.detach().clone() for one in take.objective.parameters()]


def by_hand(compute):
    return weights_after(small(compute, OnCpu())[0]._eager)


def test_a_step_that_waits_for_the_device_is_not_recorded_and_says_so_once():
    def waiting(network, batch):
        loss = half_square(network, batch).loss
        return Losses(loss * (1.0 if loss.item() > 0 else 2.0), {})

    recorder = OnCpu()
    take, said = small(waiting, recorder)
    assert same(weights_after(take), by_hand(waiting))
    assert len(said) == 1
    assert "waits for the device (aten._local_scalar_dense" in said[0]
    assert recorder.replays == 0


class Forgetful(OnCpu):
    """Replays all operations but the last change of a weight."""

    def repeat(self, tape):
        operations = tape.operations
        tape.operations = [one for one in operations if one[0].overloadpacket != forgotten]
        super().repeat(tape)


forgotten = torch.ops.aten._fused_adam_


class Failing(OnCpu):
    """Cannot record, which it finds after the work."""

    def record(self, work):
        super().record(work)
        raise RuntimeError("no graph\nmore of it")


@pytest.mark.parametrize(
    ("recorder", "reason"),
    [(Forgetful(), "a replayed step has other results"), (Failing(), "no graph")],
)
def test_after_a_recording_that_fails_or_differs_training_goes_on_as_if_nothing_had_been(
    recorder, reason
):
    take, said = small(half_square, recorder)
    assert same(weights_after(take), by_hand(half_square))
    assert said == [reason]


def test_a_step_that_depends_on_more_than_its_inputs_in_memory_is_found():
    """A number of Python stays in a recording as it was, and is another one in the eager step with
    which a replay is compared."""
    scale = itertools.count(1)

    def growing(network, batch):
        loss, _ = half_square(network, batch)
        return Losses(loss * next(scale), {})

    take, said = small(growing, OnCpu())
    weights_after(take)
    assert said == ["a replayed step has other results"]


class Unseen(OnCpu):
    """Whose replays are seen by no mode, as those of a GPU are none of its operations."""

    def repeat(self, tape):
        with _disable_current_modes():
            super().repeat(tape)


class Counted(TorchDispatchMode):
    """Counts operations by their names."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def test_beside_a_replay_a_step_copies_the_places_of_its_inputs_and_sets_the_rate_alone():
    """The CPU also looks at each loss, which another device does not."""
    steps, images = 10, torch.rand(50, 1, 1, 3).mul(255).byte()
    inputs = MemorySet(images, torch.arange(50), torch.arange(50))

    def compute(network, batch):
        x = batch.inputs.flatten(1)
        return Losses((network(x) - x).square().sum(), {"label": batch.labels.sum() / 1.0})

    take, said = small(compute, Unseen())
    schedule = Schedule(take._eager.optimizer, rate)
    epochs = train_epochs(
        take, inputs, schedule, epochs=2, batch_size=5, generator=torch.Generator()
    )
    next(event for event in epochs if event.losses)
    with Counted() as counted:
        next(event for event in epochs if event.losses)
    each = {name: count for name, count in counted.counts.items() if count >= steps}
    assert each == {"copy_": steps, "fill_": steps, "_local_scalar_dense": steps + 2}
    assert said == []


def test_the_oldest_of_so_many_kinds_of_steps_makes_room_for_another(monkeypatch):
    monkeypatch.setattr(replayed, "MOST", 4)
    recorder = OnCpu()
    take, said = small(half_square, recorder)

    def replays(rows, steps):
        before = recorder.replays
        weights_after(take, steps, rows)
        return recorder.replays - before

    assert [replays(rows, WARM_UP) for rows in range(1, 7)] == [1] * 6  # the trial of each
    assert [replays(rows, 1) for rows in range(1, 7)] == [0, 0, 1, 1, 1, 1]
    assert replays(1, WARM_UP) == 2
    assert replays(3, 1) == 0
    assert said == []


def test_the_batches_of_a_set_in_memory_are_made_in_the_recorded_step():
    """The recording reads the places of the inputs alone: what is changed in the set afterwards is
    seen by a replay."""
    images = torch.arange(60, dtype=torch.uint8).view(20, 1, 1, 3)
    inputs, recorder = MemorySet(images, torch.arange(20), torch.arange(20)), OnCpu()
    seen = []

    def flat(network, batch):
        seen.append(batch.labels)
        x = batch.inputs.flatten(1)
        return Losses((network(x) - x).square().sum(), {"label": batch.labels.sum() / 1.0})

    take, sums = small(flat, recorder)[0], Means()
    for _ in range(WARM_UP + 1):
        for drawn in inputs.shuffled(10, torch.Generator().manual_seed(0)):
            found = take(drawn, sums)
    assert (len(seen), recorder.replays) == (WARM_UP + 1, 1 + 2 * (WARM_UP + 1) - WARM_UP)
    assert sums.inputs == 20 * (WARM_UP + 1)
    assert sums.means()["label"] == pytest.approx(190 / 2)
    inputs.labels.zero_()
    found = take(drawn, sums)
    assert found["label"] == 0


@pytest.mark.parametrize(
    ("device", "options", "reason"),
    [
        ("cpu", {}, ""),
        ("cuda", {"cuda_graphs": False}, ""),
        ("cuda", {"compile": True}, ""),
        ("cuda", {"optimizer": "muon"}, "--optimizer muon computes"),
        ("cuda", {"optimizer": "lbfgs"}, "--optimizer lbfgs computes"),
        ("cuda", {"decoder_columns": "orthonormal"}, "--decoder-columns orthonormal waits"),
    ],
)
def test_no_steps_are_recorded_where_they_cannot_be_or_are_not_to_be(device, options, reason):
    config, said = Config.from_options({"hidden": (12,), **options}), []
    given = torch.device(device), config, lambda: True
    assert replayed.recorder_on(*given, said.append) is None
    assert "".join(said).startswith(reason) and len(said) == bool(reason)


def test_no_steps_are_recorded_where_there_is_no_room_for_it():
    config, device, said = Config.from_options({"hidden": (12,)}), torch.device("cuda"), []
    assert replayed.recorder_on(device, config, lambda: False, said.append) is None
    assert said == ["the GPU has no room for a recording beside a step"]
