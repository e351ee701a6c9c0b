"""`--loss ssim` and `eval --ssim`, from the command line."""

import json

import pytest

LARGER = ("--size", "12", "--hidden", "30", "--epochs", "2")


def ssim_of(aectl, model):
    (found,) = json.loads(aectl("eval", model, "--ssim", "--json").out)
    return found["ssim"]


def test_the_loss_brings_a_higher_similarity_than_the_squared_error(aectl, trained):
    by_similarity = ssim_of(aectl, trained(*LARGER, "--loss", "ssim"))
    by_error = ssim_of(aectl, trained(*LARGER))
    assert 0 < by_error < by_similarity < 1


def test_the_function_of_the_library_gives_what_the_command_does(aectl, trained):
    import aectl as package

    model = trained(*LARGER)
    assert package.evaluate(model, ssim=True)["ssim"] == ssim_of(aectl, model)
    assert "ssim" not in package.evaluate(model)


def test_the_similarity_of_small_images_or_of_classes_is_refused(aectl, dense, classifier):
    for model, message in [
        (dense, "--ssim needs images of at least 11x11 pixels; these have 8x8"),
        (classifier, "--ssim has no effect with a classifier"),
    ]:
        done = aectl("eval", model, "--ssim")
        assert (done.status, done.out) == (2, "")
        assert message in done.err


@pytest.mark.parametrize("more", [(), ("--size", "12", "--crop", "8")], ids=["small", "crop"])
def test_a_loss_of_images_or_crops_that_are_too_small_is_refused(aectl, more):
    words = ("--dataset", "digits", "--model", "conv-autoencoder", "--loss", "ssim", *more)
    done = aectl("train", *words, "--out", "run")
    assert (done.status, done.out) == (2, "")
    assert "--loss ssim needs images of at least 11x11 pixels; these have 8x8" in done.err
