"""The picture of a training run."""

import numpy as np
import pytest
from PIL import Image

from aectl.errors import OutputError
from aectl.outputs.curves import save_curves


def autoencoder_rows(epochs):
    return [
        {
            "epoch": epoch, "lr": 1e-3, "loss": 0.5 / epoch, "reconstruction": 0.4 / epoch,
            "sparsity": 0.1 / epoch, "validation_loss": 0.6 / epoch, "validation_mse": 0.4 / epoch,
            "validation_mean_activation": 0.05, "validation_l0": 3.0, "validation_dead": 0.0,
            "seconds": 1.5, "images_per_second": 100.0,
        }
        for epoch in range(1, epochs + 1)
    ]  # fmt: skip


def classifier_rows(epochs):
    return [
        {
            "epoch": epoch, "lr": 1e-3, "loss": 2.3 / epoch, "cross_entropy": 2.3 / epoch,
            "train_error": 50.0 / epoch, "seconds": 1.5, "images_per_second": 100.0,
        }
        for epoch in range(1, epochs + 1)
    ]  # fmt: skip


def pixels_of(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("L"))


@pytest.mark.parametrize("epochs", [1, 2, 30])
@pytest.mark.parametrize("rows", [autoencoder_rows, classifier_rows])
def test_a_run_becomes_a_picture(tmp_path, rows, epochs):
    folder = tmp_path / "run"
    folder.mkdir()
    save_curves(folder / "curves.png", rows(epochs))
    pixels = pixels_of(folder / "curves.png")
    assert pixels.min() < 100
    assert pixels.max() == 255
    assert [path.name for path in folder.iterdir()] == ["curves.png"]


@pytest.mark.parametrize("name", ["loss", "sparsity", "validation_mse", "validation_loss"])
def test_a_column_that_takes_another_course_gives_another_picture(tmp_path, name):
    rows = autoencoder_rows(5)
    save_curves(tmp_path / "a.png", rows)
    save_curves(tmp_path / "b.png", [row | {name: row[name] * row["epoch"] ** 2} for row in rows])
    assert not np.array_equal(pixels_of(tmp_path / "a.png"), pixels_of(tmp_path / "b.png"))


def test_the_same_rows_give_the_same_picture(tmp_path):
    for name in ("a.png", "b.png"):
        save_curves(tmp_path / name, autoencoder_rows(5))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("errors", [(0.0, 0.0, 0.0), (50.0, 5.0, 0.0)])
def test_an_error_of_zero_is_drawn(tmp_path, errors):
    rows = [
        row | {"train_error": error}
        for row, error in zip(classifier_rows(3), errors, strict=True)
    ]  # fmt: skip
    save_curves(tmp_path / "curves.png", rows)
    assert pixels_of(tmp_path / "curves.png").min() < 100


def test_a_picture_that_cannot_be_saved_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"nowhere/curves\.png"):
        save_curves(tmp_path / "nowhere" / "curves.png", classifier_rows(2))


LOSSES = {
    "tiny": (1.5e-12, 1.25e-12), "negative": (-0.00021, -0.00037), "large": (98765.0, 812345.0),
    "huge": (1.2e300, 1e300), "close": (123456.1, 123456.2), "decades": (3e-7, 2e7),
    "one decade": (1.0, 11.0), "same": (0.123456789, 0.123456789),
}  # fmt: skip


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
def test_no_number_reaches_beyond_its_margin(tmp_path, losses):
    """White edges, and a white gap before the axis of the second panel: nothing is cut or met."""
    rows = [{"epoch": n, "loss": loss, "train_mse": loss} for n, loss in enumerate(losses, 1)]
    save_curves(tmp_path / "curves.png", rows)
    pixels = pixels_of(tmp_path / "curves.png")
    middle = pixels.shape[1] // 2
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1], pixels[:, middle]):
        assert edge.min() == 255
