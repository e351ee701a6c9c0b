"""The loop: which images it fetches, what it steps with, and what it yields."""

from itertools import chain

import numpy as np
import pytest
import torch
from torch import nn

from aectl.errors import DivergedError
from aectl.models.networks import Autoencoder
from aectl.objectives.step import Losses, Objective
from aectl.training.loop import MemorySet, mean_losses, train_epochs
from aectl.training.schedules import Schedule
from aectl.training.steps import Eager


def numbered(count):
    """Images of one pixel, each of another value."""
    images = torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1)
    return MemorySet(images, None, torch.arange(count))


def random_set(count=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 1, 4, 4), dtype=torch.uint8, generator=generator)
    return MemorySet(images, None, torch.arange(count))


def small(seed=0, **options):
    torch.manual_seed(seed)
    return Autoencoder((1, 4, 4), (8, 4), output_activation="linear", **options)


def half_square(network, batch):
    loss = 0.5 * (network(batch.inputs) - batch.inputs).square().sum() / len(batch.inputs)
    return Losses(loss, {"per pixel": loss.detach() / 8})


def trained(network, images, compute=half_square, *, lr=0.01, epochs=2, batch_size=16, seed=0):
    """What the loop yields with plain sgd of a constant rate."""
    optimizer = torch.optim.SGD(network.parameters(), lr)
    return list(
        train_epochs(
            Eager(Objective(network, compute), optimizer), images,
            Schedule(optimizer, lambda step: 1.0),
            epochs=epochs, batch_size=batch_size,
            generator=torch.Generator().manual_seed(seed),
        )
    )  # fmt: skip


def orders(count, batch_size, epochs, seed=0):
    """The numbers of the images in the order in which the loop fetched them, batch by batch."""
    fetched = []

    def note(network, batch):
        fetched.append((batch.inputs * 255).round().int().flatten().tolist())
        return Losses(network.weight.sum(), {})

    trained(nn.Linear(1, 1), numbered(count), note, epochs=epochs, batch_size=batch_size, seed=seed)
    return fetched


@pytest.mark.parametrize(("count", "batch_size"), [(50, 16), (48, 16), (5, 16), (7, 1)])
def test_each_image_is_seen_exactly_once_an_epoch(count, batch_size):
    batches = orders(count, batch_size, epochs=3)
    per_epoch = -(-count // batch_size)
    assert len(batches) == 3 * per_epoch
    for epoch in range(3):
        mine = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert sorted(chain.from_iterable(mine)) == list(range(count))
        assert all(len(batch) == batch_size for batch in mine[:-1])


def test_images_come_in_another_order_each_epoch_and_for_each_seed():
    first, second = orders(50, 50, 2)
    assert first != list(range(50))
    assert first != second
    assert orders(50, 50, 2) == orders(50, 50, 2)
    assert orders(50, 50, 1, seed=1) != orders(50, 50, 1, seed=0)


def test_labels_stay_with_their_images():
    images = MemorySet(numbered(50).images, torch.arange(50), torch.arange(50))
    for drawn in images.shuffled(16, torch.Generator().manual_seed(0)):
        batch = drawn.made()
        assert (batch.inputs * 255).round().long().flatten().tolist() == batch.labels.tolist()


def test_batches_are_float32_between_zero_and_one():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1)
    batch = MemorySet(images, None, torch.arange(3)).whole()
    assert batch.inputs.dtype == torch.float32
    assert batch.inputs.flatten().tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert batch.inputs[2].item() == 1.0


def test_batches_are_made_on_the_device_wherever_the_images_lie():
    images = MemorySet(
        numbered(10).images, torch.arange(10), torch.arange(10), torch.device("meta")
    )
    for batch in images.shuffled(4, torch.Generator().manual_seed(0)):
        assert batch.inputs.device.type == batch.labels.device.type == "meta"


def crops(size, seeds, first=0, count=40):
    """The top left corner of the crop of each image, from epochs whose generators have `seeds`.

    The pixels of image n, of 3 rows and 2 columns, are n + 40 * column + 80 * row.
    """
    place = 40 * torch.arange(2).view(1, 1, 1, 2) + 80 * torch.arange(3).view(1, 1, 3, 1)
    images = (torch.arange(count).view(-1, 1, 1, 1) + place).to(torch.uint8)
    cropped = MemorySet(images, None, torch.arange(count), crop=(2, 1))
    for seed in seeds:
        found = {}
        for batch in cropped.shuffled(size, torch.Generator().manual_seed(seed), first):
            for crop in (batch.inputs * 255).round().int():
                assert crop.shape == (1, 2, 1)
                top = crop[0, 0, 0].item()
                assert crop[0, 1, 0] == top + 80
                found[top % 40] = divmod(top // 40, 2)
        yield found


def test_a_crop_of_each_image_is_drawn_anew_in_each_epoch_at_all_places():
    one, other = crops(7, (0, 1))
    assert one.keys() == other.keys() == set(range(40))
    assert one != other
    assert set(one.values()) == {(top, left) for top in (0, 1) for left in (0, 1)}


@pytest.mark.parametrize(("size", "first"), [(1, 0), (13, 0), (40, 0), (7, 3)])
def test_crops_depend_neither_on_the_size_of_batches_nor_on_where_an_epoch_goes_on(size, first):
    (whole,) = crops(7, [0])
    (found,) = crops(size, [0], first)
    assert found.items() <= whole.items()
    assert len(found) == 40 - size * first


def test_in_order_is_the_order_of_the_set():
    batches = [batch.inputs for batch in numbered(10).in_order(4)]
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert (torch.cat(batches) * 255).round().flatten().tolist() == list(range(10))


def test_a_part_has_the_images_and_labels_at_its_places_alone():
    images = MemorySet(numbered(50).images, torch.arange(50), torch.arange(50))
    part = images.part(torch.tensor([40, 3, 7, 9])).part(torch.tensor([3, 0]))
    assert len(part) == 2
    assert (part.whole().inputs * 255).round().flatten().tolist() == [9, 40]
    assert part.whole().labels.tolist() == [9, 40]
    shuffled = chain.from_iterable(
        drawn.made().labels.tolist() for drawn in part.shuffled(1, torch.Generator().manual_seed(0))
    )
    assert sorted(shuffled) == [9, 40]


def test_an_epoch_s_losses_are_means_over_images_also_with_a_smaller_last_batch():
    network, images = small(), random_set()
    expected = half_square(network, images.whole())[0].item()
    _, end = trained(network, images, lr=0.0, epochs=1)
    assert (end.epoch, end.step, end.steps) == (1, 4, 4)
    assert end.losses["loss"] == pytest.approx(expected, rel=1e-5)
    assert end.losses["per pixel"] == pytest.approx(expected / 8, rel=1e-5)


def test_training_yields_the_end_of_every_epoch_and_the_loss_falls():
    ends = [p for p in trained(small(), random_set(), epochs=20) if p.losses is not None]
    assert [end.epoch for end in ends] == list(range(1, 21))
    assert ends[-1].losses["loss"] < 0.8 * ends[0].losses["loss"]


def test_every_epoch_trains_in_training_mode_even_if_the_network_was_measured_between():
    network, images = small(dropout=0.5), random_set()
    modes = []

    def note(network, batch):
        modes.append(network.training)
        return half_square(network, batch)

    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    schedule = Schedule(optimizer, lambda step: 1.0)
    for progress in train_epochs(
        Eager(Objective(network, note), optimizer), images, schedule,
        epochs=2, batch_size=50, generator=torch.Generator(),
    ):  # fmt: skip
        if progress.losses is not None:
            mean_losses(Objective(network, half_square), images, 50)
            assert not network.training
    assert modes == [True, True]


@pytest.mark.parametrize("batch_size", [1, 7, 50, 1000])
def test_mean_losses_neither_drop_nor_depend_on_the_batch_size(batch_size):
    network, images = small(dropout=0.5), random_set()
    x = images.images.double() / 255
    off = network.eval().double()(x) - x
    expected = 0.5 * off.square().sum().item() / 50
    found = mean_losses(Objective(network.float().train(), half_square), images, batch_size)
    assert found["loss"] == pytest.approx(expected, rel=1e-5)


def test_mean_losses_leave_the_weights_alone():
    network = small()
    before = [p.detach().clone() for p in network.parameters()]
    mean_losses(Objective(network, half_square), random_set(), 16)
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_a_loss_that_is_no_finite_number_ends_training_and_names_epoch_step_and_rate():
    steps = iter(range(1, 100))

    def infinite_in_the_seventh(network, batch):
        return Losses(network.weight.sum() * (np.inf if next(steps) == 7 else 1), {})

    with pytest.raises(DivergedError, match=r"at step 3 of epoch 2, .* rate of 0\.02.*--lr"):
        trained(nn.Linear(1, 1), numbered(50), infinite_in_the_seventh, lr=0.02, batch_size=16)
    assert next(steps) == 8
