"""Files as a training set: its shape, its classes, and what is left out."""

import os
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aectl.data.images.decode import shape_in_header
from aectl.data.images.training_images import BATCH, load
from aectl.data.inputs import IMAGES, Inputs
from aectl.data.layout import layout_of
from aectl.data.selection import EVERY_IMAGE
from aectl.errors import DataError


def picture(path, value=0, size=(6, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path, format="PNG")


def load_folder(folder, on_bad, sides=None, channels=None, *, layout=None, workers=1, **how):
    inputs = Inputs(
        IMAGES.sources([folder], None),
        Path(),
        labels_from_folders=True,
        loose_labels=False,
        workers=workers,
    )
    return load(inputs, [layout], on_bad, sides, channels, **how)


def refuse(path, reason):
    raise AssertionError(f"{path}: {reason}")


def test_subfolders_are_the_classes(tmp_path):
    for name, value in (("sea/1.png", 1), ("hill/deep/2.png", 2), ("sea/3.png", 3)):
        picture(tmp_path / name, value)
    loaded = load_folder(str(tmp_path), refuse)
    assert loaded.classes == ("hill", "sea")
    assert [loaded.classes[label] for label in loaded.labels] == ["hill", "sea", "sea"]
    assert loaded.images[:, 0, 0, 0].tolist() == [2, 1, 3]
    wanted = [str(tmp_path / name) for name in ("hill/deep/2.png", "sea/1.png", "sea/3.png")]
    assert [loaded.path(row) for row in range(3)] == wanted


@pytest.mark.parametrize(
    "names", [("a.png", "b.png"), ("a.png", "sea/b.png", "hill/c.png"), ("sea/a.png", "sea/b.png")],
    ids=["flat", "of mixed depth", "of one subfolder"],
)  # fmt: skip
def test_a_folder_without_a_subfolder_for_each_class_has_no_labels(tmp_path, names):
    for name in names:
        picture(tmp_path / name)
    loaded = load_folder(str(tmp_path), refuse)
    assert len(loaded) == len(names)
    assert loaded.labels is None
    assert loaded.classes == ()


@pytest.mark.parametrize(
    ("size", "mode", "shape"),
    [
        ((6, 4), "L", (1, 4, 6)),
        ((6, 4), "RGB", (3, 4, 6)),
        ((32, 32), "L", (1, 32, 32)),
        ((33, 33), "RGB", (3, 32, 32)),
        ((500, 400), "L", (1, 32, 32)),
    ],
)
def test_the_default_shape_is_that_of_most_images_up_to_32_pixels(tmp_path, size, mode, shape):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")  # an icon among photos
    for name in "bcd":
        Image.new(mode, size, "red").save(tmp_path / f"{name}.png")
    Image.new("L", (16, 3000)).save(tmp_path / "e.png")
    loaded = load_folder(str(tmp_path), refuse)
    assert loaded.shape == shape
    assert loaded.images.shape == (5, *shape)


@pytest.mark.parametrize(
    ("sizes", "shape", "told"),
    [
        ([(16, 16), *[(640, 480)] * 3], (32, 32), "32x32: the median of 4 images is 480x640"),
        ([(20, 10), (24, 12), (28, 30)], (12, 24), "12x24: the median of 3 images is 12x24"),
        ([(8, 8), (9, 9)], (9, 9), "9x9: the median of 2 images is 9x9"),
        ([(28, 28)] * 3, (28, 28), None),
        ([(4, 5)] * 700 + [(6, 7)] * 800, (7, 6), "7x6: the median of 300 images is 7x6"),
    ],
)
def test_the_default_shape_is_told_where_images_differ(tmp_path, logged, sizes, shape, told):
    for number, size in enumerate(sizes):
        picture(tmp_path / f"{number:04}.png", size=size)
    assert load_folder(str(tmp_path), refuse).shape == (1, *shape)
    assert (told in logged.getvalue()) if told else ("resized" not in logged.getvalue())


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_size_is_that_of_an_image_as_it_is_shown(tmp_path, ending, orientation):
    """Orientations 5 to 8 lie on their side (CIPA DC-008, section 4.6.4)."""
    exif = Image.Exif()
    exif[274] = orientation
    Image.new("L", (7, 4)).save(tmp_path / f"a.{ending}", exif=exif)
    _, *sides = shape_in_header(tmp_path / f"a.{ending}")
    assert sides == ([4, 7] if orientation < 5 else [7, 4])


SPLITS = ["train/hill/1.png", "train/sea/2.png", "train/sea/3.png"]
FOUND = "train: 3 images of 2 classes (hill 1, sea 2)"


@pytest.mark.parametrize(
    ("names", "held_out", "told"),
    [
        (["val/sea/4.png", "val/hill/5.png"], [3, 4],
         "val, held out: 2 images of 2 classes (hill 1, sea 1)"),
        (["Validation/sea/4.png"], [3], "Validation, held out: 1 image of 1 class (sea 1)"),
        (["test/sea/4.png"], None, "test is kept for tests"),
        (["test/sea/4.png", "ground_truth/sea/5.png"], None, "not read: ground_truth"),
        (["valid/sea/4.png", "test/hill/5.png"], [3], "valid, held out"),
    ],
)  # fmt: skip
def test_a_folder_of_splits_learns_from_the_training_set(tmp_path, logged, names, held_out, told):
    for number, name in enumerate([*SPLITS, *names], 1):
        picture(tmp_path / name, number)
    layout = layout_of(str(tmp_path), EVERY_IMAGE)
    loaded = load_folder(str(tmp_path), refuse, layout=layout)
    assert loaded.classes == ("hill", "sea")
    rows = [*range(3), *(held_out or [])]
    assert len(loaded) == len(rows)
    assert [loaded.label(row) for row in range(3)] == ["hill", "sea", "sea"]
    assert (None if loaded.held_out is None else loaded.held_out.tolist()) == held_out
    assert f"{tmp_path}/{FOUND}" in logged.getvalue()
    assert told in logged.getvalue()


def test_a_class_with_the_name_of_a_split_stays_a_class_beside_others(tmp_path, logged):
    for name in ("train/1.png", "ship/2.png"):
        picture(tmp_path / name)
    loaded = load_folder(str(tmp_path), refuse, layout=layout_of(str(tmp_path), EVERY_IMAGE))
    assert loaded.classes == ("ship", "train")
    assert f"{tmp_path}: 2 images of 2 classes" in logged.getvalue()


def test_a_folder_without_classes_is_told_too(tmp_path, logged):
    picture(tmp_path / "a.png")
    load_folder(str(tmp_path), refuse)
    assert f"{tmp_path}: 1 image, no classes" in logged.getvalue()


def test_every_image_takes_the_wanted_shape(tmp_path):
    picture(tmp_path / "a.png", 70)
    picture(tmp_path / "b.png", 80, size=(50, 20))
    loaded = load_folder(str(tmp_path), refuse, (5, 7), 3)
    wanted = np.broadcast_to(np.array([70, 80]).reshape(2, 1, 1, 1), (2, 3, 5, 7))
    np.testing.assert_array_equal(loaded.images, wanted)


def test_bad_files_are_told_and_left_out(tmp_path):
    for name, value in (("sea/1.png", 1), ("hill/3.png", 3), ("sea/5.png", 5)):
        picture(tmp_path / name, value)
    (tmp_path / "hill" / "2.png").write_bytes(b"no picture")
    (tmp_path / "sea" / "4.png").write_bytes(b"")
    bad = []
    loaded = load_folder(str(tmp_path), lambda *told: bad.append(told))
    assert loaded.images[:, 0, 0, 0].tolist() == [3, 1, 5]
    assert loaded.labels.tolist() == [0, 1, 1]
    assert [os.path.relpath(path, tmp_path) for path, _ in bad] == ["hill/2.png", "sea/4.png"]
    assert "not an image" in bad[0][1]
    assert "is empty" in bad[1][1]


def test_a_bad_file_does_not_decide_the_default_shape(tmp_path):
    Image.fromarray(np.full((3, 3), np.nan, np.float32)).save(tmp_path / "a.tif")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "b.png")
    bad = []
    loaded = load_folder(str(tmp_path), lambda *told: bad.append(told))
    assert len(bad) == 1
    assert loaded.shape == (3, 8, 8)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DataError, match=r"no images in .*\.png"):
        load_folder(str(tmp_path), refuse)


def test_a_folder_of_bad_images_is_refused(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no picture")
    bad = []
    with pytest.raises(DataError, match="none of the 2 images"):
        load_folder(str(tmp_path), lambda *told: bad.append(told))
    assert len(bad) == 2


def test_one_colour_image_makes_the_set_one_of_colour(tmp_path):
    Image.new("L", (6, 4)).save(tmp_path / "a.png")
    Image.new("RGB", (6, 4), (200, 10, 10)).save(tmp_path / "b.png")
    loaded = load_folder(str(tmp_path), refuse)
    assert loaded.images[:, :, 0, 0].tolist() == [[0, 0, 0], [200, 10, 10]]


@pytest.mark.parametrize(("sides", "channels"), [((48, 40), None), (None, 3), ((48, 40), 3)])
def test_each_side_of_the_shape_can_be_asked_for_alone(tmp_path, sides, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (96, 80), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    loaded = load_folder(str(tmp_path), refuse, sides, channels)
    height, width = sides or (32, 32)
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    for channel in loaded.images[0]:
        np.testing.assert_array_equal(channel, np.asarray(resized))
    assert loaded.shape == (channels or 1, height, width)


def test_more_images_than_are_read_at_a_time_keep_their_order_for_any_number_of_workers(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (BATCH + 50, 4, 6), np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(tmp_path / f"{number:04}.bmp")
    bad = [0, 7, BATCH, BATCH + 49]
    for number in bad:
        (tmp_path / f"{number:04}.bmp").write_text("no picture")
    told = []
    for workers in (1, 2):
        loaded = load_folder(str(tmp_path), lambda *one: told.append(one), (4, 6), workers=workers)
        np.testing.assert_array_equal(loaded.images[:, 0], np.delete(noise, bad, 0))
    assert [path for path, _ in told] == [f"{tmp_path}/{number:04}.bmp" for number in bad] * 2


def test_the_default_shape_is_that_of_an_image_as_it_is_shown(tmp_path):
    """A photo that lies on its side, by its EXIF, is upright in the set."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 7), np.uint8)
    exif = Image.Exif()
    exif[274] = 6  # shown turned to the right (CIPA DC-008, section 4.6.4)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    loaded = load_folder(str(tmp_path), refuse)
    np.testing.assert_array_equal(loaded.images, [[np.rot90(pixels, -1)]])


@pytest.mark.parametrize(
    "names", [[b"caf\xe9.png", b"two\nlines.png"], [b"s\xe9a/a.png", b"b/b.png"]]
)
def test_unusual_names_keep_their_bytes(tmp_path, names):
    for name in names:
        picture(tmp_path / os.fsdecode(name))
    loaded = load_folder(str(tmp_path), refuse)
    found = {os.fsencode(os.path.relpath(loaded.path(row), tmp_path)) for row in range(2)}
    assert found == set(names)


def test_archives_within_a_folder_are_not_opened(tmp_path):
    picture(tmp_path / "a.png", 5)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as packed:
        packed.write(tmp_path / "a.png", "a.png")
    assert len(load_folder(str(tmp_path), refuse)) == 1


def test_a_class_of_bad_images_alone_is_no_class(tmp_path):
    for name in ("hill/1.png", "sea/2.png"):
        picture(tmp_path / name)
    (tmp_path / "moor").mkdir()
    (tmp_path / "moor" / "3.png").write_text("no picture")
    loaded = load_folder(str(tmp_path), lambda *told: None)
    assert loaded.classes == ("hill", "sea")
    assert loaded.labels.tolist() == [0, 1]


def test_a_late_colour_image_makes_those_before_it_ones_of_colour_too(tmp_path):
    for number in range(BATCH + 5):
        picture(tmp_path / f"{number:04}.png", number % 256)
    Image.new("RGB", (6, 4), (200, 10, 10)).save(tmp_path / "9999.png")
    loaded = load_folder(str(tmp_path), refuse)
    grey = np.arange(BATCH + 5) % 256
    np.testing.assert_array_equal(loaded.images[:-1, :, 0, 0], np.stack([grey] * 3, axis=1))
    assert loaded.images[-1, :, 3, 5].tolist() == [200, 10, 10]


def test_grey_pictures_in_files_of_colour_make_a_grey_set(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6), np.uint8)
    Image.fromarray(pixels).convert("RGB").save(tmp_path / "a.png")
    Image.fromarray(pixels).convert("P").save(tmp_path / "b.png")
    loaded = load_folder(str(tmp_path), refuse)
    np.testing.assert_array_equal(loaded.images, [[pixels]] * 2)


def test_large_images_are_read_one_at_a_time_so_that_progress_is_seen(tmp_path):
    for number in range(3):
        picture(tmp_path / f"{number}.png", number)
    seen = []

    def watch(batches, files):
        for batch in batches:
            seen.append(len(batch.paths))
            yield batch

    loaded = load_folder(str(tmp_path), refuse, (4096, 4096), 1, watch=watch)
    assert loaded.images[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert seen == [1, 1, 1]


def test_images_beyond_the_memory_lie_in_a_temporary_file_and_are_the_same(tmp_path, logged):
    for number in range(BATCH + 5):
        picture(tmp_path / f"{number:04}.png", number % 256)
    count = 24 * (BATCH + 5)
    within = load_folder(str(tmp_path), refuse, memory=count)
    assert not isinstance(within.images.base, np.memmap)
    assert "--memory" not in logged.getvalue()
    beyond = load_folder(str(tmp_path), refuse, memory=count - 1)
    assert isinstance(beyond.images, np.memmap)
    assert f"{BATCH + 5} images take up to 1 MiB, more than --memory" in logged.getvalue()
    np.testing.assert_array_equal(beyond.images, within.images)


def test_images_of_which_some_have_colour_are_said_once_to_lie_in_a_file(tmp_path, logged):
    for number in range(BATCH + 5):
        picture(tmp_path / f"{number:04}.png", number)
    Image.new("RGB", (6, 4), "red").save(tmp_path / "1000.png")
    loaded = load_folder(str(tmp_path), refuse, memory=0)
    assert loaded.images[:, :, 0, 0].tolist() == [
        *([number] * 3 for number in range(BATCH + 5)), [255, 0, 0]
    ]  # fmt: skip
    assert logged.getvalue().count("a temporary file") == 1


def test_a_disk_without_room_for_the_images_is_told(tmp_path):
    picture(tmp_path / "a.png", size=(640, 480))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        with pytest.raises(DataError, match=r"no space for .* TMPDIR names another"):
            load_folder(str(tmp_path), refuse, (480, 640), memory=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
