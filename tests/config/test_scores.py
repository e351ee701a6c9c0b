"""The table of anomaly scores, and what is refused by it."""

import pkgutil

import pytest

from aectl.config.scores import (
    CODE,
    DISSIMILARITY,
    ERROR,
    OF_ALL,
    OF_IMAGES,
    OF_VECTORS,
    SCORES,
    combined,
    needed,
    refuse_alarm_rate,
    refuse_score,
)
from aectl.errors import ConfigError
from aectl.inference.anomaly_scores import AnomalyScore


@pytest.mark.parametrize("name", SCORES)
def test_each_row_names_a_score(name):
    assert issubclass(pkgutil.resolve_name(SCORES[name].made_by), AnomalyScore)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("eror", "no score 'eror'; did you mean 'error'?; --score is one of error, region, "),
        ("neighbours", "--score neighbours needs codes that are vectors, which m does not have"),
    ],
)
def test_other_scores_are_refused_with_the_reason(name, said):
    with pytest.raises(ConfigError) as caught:
        refuse_score(name, (ERROR,), "m")
    assert str(caught.value).startswith(said)
    refuse_score("neighbours", (CODE,), "m")


def test_fisher_needs_what_the_scores_that_a_model_has_need():
    assert combined((ERROR,)) == ["error"]
    assert combined(OF_ALL) == ["error", "mahalanobis", "neighbours", "cosine"]
    assert needed("fisher", OF_ALL) == {*OF_ALL}
    assert needed("fisher", OF_IMAGES) == {*OF_IMAGES}
    assert combined(OF_VECTORS)[-1] == "code-and-error"
    assert needed("ssim", OF_IMAGES) == {DISSIMILARITY}


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, float("nan")])
def test_a_rate_that_is_no_probability_is_refused(rate):
    with pytest.raises(ConfigError, match="--alarm-rate must lie between 0 and 1"):
        refuse_alarm_rate(rate)
