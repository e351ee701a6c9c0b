"""Anomaly scores by the distance of a code from the codes of reference inputs."""

from collections.abc import Callable, Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from aectl.errors import DataError, ModelFileError
from aectl.inference.anomaly_scores import AnomalyScore, Evidence, as_scores, refuse_others

BLOCK = 32
"""Codes whose distances are computed at a time: always as many, since the order of summation in a
matrix product depends on the number of rows."""

NEIGHBOURS = 2
"""Nearest reference codes, the mean distance to which is a score: as many as in Bergman, Cohen &
Hoshen, Deep nearest neighbor anomaly detection (2020), section 3.3."""

MOST_REFERENCES, MOST_VALUES = 4096, 1 << 24
"""Maximum number of reference codes that are kept, and of numbers in all of them."""

SAME = 1e-6
"""The standard deviation, as a fraction of the largest, up to which a number is the same in all
reference vectors, but for rounding."""

FLOOR = 1e-9
"""The smallest variance in a direction, as a fraction of the mean one: that of a unit which is
always 0 would be 0."""


class Mahalanobis(AnomalyScore):
    """sqrt((c - m)' S^-1 (c - m)) of a code c, for the mean m and the covariance S of reference
    codes.

    S is shrunk towards a multiple of the identity (Ledoit & Wolf, A well-conditioned estimator for
    large-dimensional covariance matrices, 2004), so that more units than reference inputs do no
    harm. It is kept as its directions V, (r, features), with the variance in each, (r,), and that
    in all others, `rest`.
    """

    def __init__(self, given: Collection[str] = ()) -> None:
        super().__init__(given)
        self._take(*[torch.empty(0)] * 4)

    def fit(self, reference: Evidence) -> None:
        """Raises DataError for fewer than two inputs."""
        from sklearn.covariance import ledoit_wolf_shrinkage

        codes = kept(reference.code).double()
        if len(codes) < 2:
            raise DataError("there are too few normal inputs to fit the score to")
        mean = codes.mean(0)
        centred = codes - mean
        _, sizes, directions = torch.linalg.svd(centred, full_matrices=False)
        average = float(centred.square().mean())
        shrinkage = float(ledoit_wolf_shrinkage(centred.numpy(), assume_centered=True))
        least = max(shrinkage * average, FLOOR * average) or 1.0
        variances = (1 - shrinkage) * sizes.square() / len(codes) + shrinkage * average
        rest = torch.tensor([least], dtype=torch.float32)
        self._take(mean.float(), directions.float(), variances.clamp(min=least).float(), rest)

    def _take(self, mean: Tensor, directions: Tensor, variances: Tensor, rest: Tensor) -> None:
        """Sets all that is fitted, and the same with 64 bits, as distances are computed."""
        self._fitted = {
            "mean": mean, "directions": directions, "variances": variances, "rest": rest,
        }  # fmt: skip
        self._wide = [tensor.double() for tensor in self._fitted.values()]

    def of(self, evidence: Evidence) -> Tensor:
        """The distances."""
        mean, directions, variances, rest = self._wide

        def distances(codes: Tensor) -> Tensor:
            centred = codes.double() - mean
            along = centred @ directions.T
            squares = (along.square() / variances).sum(1)
            if len(directions) < len(mean):
                squares += (centred - along @ directions).square().sum(1) / rest
            return as_scores(squares.sqrt())

        return in_blocks(evidence.code, len(mean), distances)

    def tensors(self) -> Mapping[str, Tensor]:
        """`mean`, `directions`, `variances` and `rest`."""
        return self._fitted

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Raises ModelFileError where they do not fit each other."""
        refuse_others(tensors, self.tensors())
        mean, directions = tensors["mean"], tensors["directions"]
        variances, rest = tensors["variances"], tensors["rest"]
        shapes = [tuple(one.shape) for one in (mean, directions, variances, rest)]
        features, count = len(mean.flatten()), len(variances.flatten())
        if shapes != [(features,), (count, features), (count,), (1,)] or count > features:
            raise ModelFileError("the tensors of its calibration do not fit each other")
        if not (variances > 0).all() or not (rest > 0).all():
            raise ModelFileError("its calibration has variances that are not positive")
        self._take(mean, directions, variances, rest)


class Neighbours(AnomalyScore):
    """The mean Euclidean distance of a code from its two nearest reference codes."""

    def __init__(self, given: Collection[str] = ()) -> None:
        super().__init__(given)
        self._take(torch.empty(0, 0))

    def fit(self, reference: Evidence) -> None:
        """Raises DataError without inputs."""
        codes = kept(self._compared(reference))
        if not len(codes):
            raise DataError("there are too few normal inputs to fit the score to")
        self._measure(codes)
        self._take(codes)

    def _take(self, codes: Tensor) -> None:
        """Sets the reference codes, and the points and norms that the nearest are found with."""
        self._codes, points = codes, self._placed(codes)
        self._mean = points.mean(0)
        self._centred = points - self._mean
        self._norms = self._centred.square().sum(1)

    def of(self, evidence: Evidence) -> Tensor:
        """The distances: the nearest codes are found with 32-bit floats, and their distances are
        computed with 64-bit ones."""
        count = min(NEIGHBOURS, len(self._codes))

        def distances(codes: Tensor) -> Tensor:
            places = self._placed(codes) - self._mean
            near = torch.addmm(self._norms, places, self._centred.T, alpha=-2)
            nearest = near.topk(count, largest=False).indices
            exact = self._distances(self._codes[nearest].double(), codes[:, None].double())
            return as_scores(exact.sort(1).values.mean(1))

        return in_blocks(self._compared(evidence), len(self._mean), distances)

    def _measure(self, codes: Tensor) -> None:
        """Fits what else is needed to place codes."""

    def _compared(self, evidence: Evidence) -> Tensor | None:
        """The codes of n inputs, (n, features)."""
        return evidence.code

    def _placed(self, codes: Tensor) -> Tensor:
        """Codes as points, the nearest of which are the nearest codes."""
        return codes

    def _distances(self, references: Tensor, codes: Tensor) -> Tensor:
        """The distances of codes, (n, 1, features), from some references, (n, k, features)."""
        return (references - codes).square().sum(2).sqrt()

    def tensors(self) -> Mapping[str, Tensor]:
        """`codes`."""
        return {"codes": self._codes}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Raises ModelFileError where it is no matrix."""
        self._take(self._codes_in(tensors))

    def _codes_in(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The reference codes. Raises ModelFileError where they are no matrix."""
        refuse_others(tensors, self.tensors())
        codes = tensors["codes"]
        if codes.ndim != 2 or not codes.numel():
            raise ModelFileError("the tensors of its calibration do not fit each other")
        return codes


class Cosine(Neighbours):
    """The mean cosine distance, 1 - cosine similarity, of a code from its two nearest reference
    codes; a code of zeros has a similarity of 0 with all."""

    def _placed(self, codes: Tensor) -> Tensor:
        return F.normalize(codes.double()).float()

    def _distances(self, references: Tensor, codes: Tensor) -> Tensor:
        return (1 - F.cosine_similarity(references, codes, dim=2)).clamp(min=0)


class CodeAndError(Neighbours):
    """The mean Euclidean distance from the two nearest reference vectors, of the code together with
    the difference from the reconstruction, each number divided by its standard deviation over the
    reference vectors; one that is the same in all of them is not divided."""

    def __init__(self, given: Collection[str] = ()) -> None:
        self._deviations = torch.empty(0)
        super().__init__(given)

    def _measure(self, codes: Tensor) -> None:
        found = codes.double().std(0, correction=0)
        self._deviations = found.where(found > SAME * found.max(), 1.0).float()

    def _compared(self, evidence: Evidence) -> Tensor:
        assert evidence.code is not None and evidence.difference is not None
        return torch.cat([evidence.code, evidence.difference], 1)

    def _placed(self, codes: Tensor) -> Tensor:
        return codes / self._deviations

    def _distances(self, references: Tensor, codes: Tensor) -> Tensor:
        deviations = self._deviations.double()
        return super()._distances(references / deviations, codes / deviations)

    def tensors(self) -> Mapping[str, Tensor]:
        """`codes`, with the differences, and `deviations`."""
        return {**super().tensors(), "deviations": self._deviations}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Raises ModelFileError where they do not fit each other."""
        codes, deviations = self._codes_in(tensors), tensors["deviations"]
        if deviations.shape != codes.shape[1:]:
            raise ModelFileError("the tensors of its calibration do not fit each other")
        if not (deviations > 0).all():
            raise ModelFileError("its calibration has deviations that are not positive")
        self._deviations = deviations
        self._take(codes)


def kept(codes: Tensor | None) -> Tensor:
    """The first of reference codes, which are in random order: as many as are kept."""
    assert codes is not None
    return codes[: min(MOST_REFERENCES, max(1, MOST_VALUES // codes.shape[1]))].clone()


def in_blocks(codes: Tensor | None, features: int, distances: Callable[[Tensor], Tensor]) -> Tensor:
    """The distances of codes, (n, features) -> (n,), of which a function computes those of BLOCK at
    a time, and in an exported program all at once.

    Raises ModelFileError for codes of another width.
    """
    assert codes is not None
    if codes.shape[1] != features:
        raise ModelFileError(
            f"its calibration is of codes of {features:,} numbers, and codes have"
            f" {codes.shape[1]:,}: calibrate it again (aectl detect --calibrate)"
        )
    if torch.compiler.is_exporting():
        return distances(codes)
    found = [torch.empty(0)]
    for block in torch.split(codes, BLOCK):
        padded = F.pad(block, (0, 0, 0, BLOCK - len(block)))
        found.append(distances(padded)[: len(block)])
    return torch.cat(found)
