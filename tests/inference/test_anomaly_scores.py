"""Evidence of inputs, and scores by their names."""

import pytest
import torch

from aectl.config.scores import CODE, ERROR, SCORES
from aectl.errors import ModelFileError
from aectl.inference.anomaly_scores import Evidence, ReconstructionError, score_named


def test_evidence_is_joined_and_taken_by_rows():
    first, second = Evidence(torch.arange(3.0)), Evidence(torch.arange(3.0, 5))
    joined = Evidence.joined([first, second])
    assert joined.error.tolist() == [0, 1, 2, 3, 4]
    assert joined.rows(torch.tensor([4, 1])).error.tolist() == [4, 1]
    assert joined.code is None


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_made_by_its_name(name):
    assert score_named(name, (ERROR, CODE)).given == {ERROR, CODE}


def test_a_score_that_is_not_fitted_has_no_tensors():
    score = ReconstructionError()
    score.restore(score.tensors())
    with pytest.raises(ModelFileError, match="'mean'"):
        score.restore({"mean": torch.ones(1)})
    assert score.of(Evidence(torch.tensor([0.1], dtype=torch.float64))).dtype == torch.float32
