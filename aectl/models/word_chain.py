"""Which words of a text are kept: a chain over the kept words, in the order of the text.

The words of a text are numbered from 0; `counts`, (batch,), is how many of each text are kept.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aectl.models.precision import single
from aectl.models.whole_batch import whole

NEVER = -1e9
"""The score of a link that cannot be; finite, so that differences of scores are numbers."""


class Links(NamedTuple):
    """Scores of the steps of a chain. `onwards`: (batch, words + 1, words), from no word (0) or
    word i (i + 1) to a later word; `ends`: (batch, words), of a word as the last one.
    """

    onwards: Tensor
    ends: Tensor

    def repeated(self, times: int) -> "Links":
        """Those of the batch, several times one after the other."""
        return Links(self.onwards.repeat(times, 1, 1), self.ends.repeat(times, 1))


class WordLinks(nn.Module):
    """Scores each step from a kept word to the next by the states of both, and by how many words
    are left out between them.
    """

    def __init__(self, width: int, units: int, longest: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(units))
        self.leaves, self.reaches = nn.Linear(width, units), nn.Linear(width, units)
        self.keeps, self.ends = nn.Linear(width, 1), nn.Linear(width, 1)
        self.skips = nn.Parameter(torch.zeros(longest))

    def forward(self, states: Tensor, there: Tensor) -> Links:
        """states: (batch, words, width); there: (batch, words), which of them are words."""
        batch, words = there.shape
        leaves = torch.cat([self.first.expand(batch, 1, -1), self.leaves(states)], 1)
        scores = single(leaves @ self.reaches(states).transpose(1, 2)) / leaves.shape[2] ** 0.5
        places = torch.arange(words, device=states.device)
        skipped = places - torch.arange(words + 1, device=states.device)[:, None]
        scores = scores + self.keeps(states).transpose(1, 2) + self.skips[skipped.clamp(min=0)]
        onwards = scores.masked_fill((skipped < 0) | ~there[:, None], NEVER)
        return Links(onwards, single(self.ends(states))[..., 0].masked_fill(~there, NEVER))


def totals(links: Links, most: int) -> Tensor:
    """The logarithm of the summed exponentials of the scores of all chains of 1 to `most` words, by
    their last word: (batch, most, words). The forward algorithm (Rabiner 1989, equation 20).
    """
    return _reached(links, most, torch.logsumexp)


def drawn(links: Links, reached: Tensor, counts: Tensor) -> Tensor:
    """The words of a chain, drawn with its probability: (batch, words), True where kept.

    From the last word backwards, each by the Gumbel-max rule.
    """
    return _backwards(links, whole().changed(_with_noise, reached), counts)


def _with_noise(scores: Tensor) -> Tensor:
    return scores + torch.empty_like(scores).exponential_().log().neg()


def best(links: Links, counts: Tensor, most: int) -> Tensor:
    """The words of the most probable chain: (batch, words), True where kept (Viterbi)."""
    return _backwards(links, _reached(links, most, torch.amax), counts)


def _reached(links: Links, most: int, merge: Callable[[Tensor, int], Tensor]) -> Tensor:
    """The merged scores of all chains of 1 to `most` words, by their last word: (batch, most,
    words).
    """
    reached = [links.onwards[:, 0]]
    for _ in range(most - 1):
        paths = reached[-1][:, :, None] + links.onwards[:, 1:]
        reached.append(merge(paths, 1).clamp(min=NEVER))
    return torch.stack(reached, 1)


def _backwards(links: Links, reached: Tensor, counts: Tensor) -> Tensor:
    """From the last word to the first, the word with the highest score of the way to it and on."""
    batch, most, words = reached.shape
    rows = torch.arange(batch, device=reached.device)
    kept = torch.zeros(batch, words, dtype=torch.bool, device=reached.device)
    word = torch.zeros(batch, dtype=torch.long, device=reached.device)
    for step in range(most - 1, -1, -1):
        onwards = torch.where(
            (counts == step + 1)[:, None], links.ends, links.onwards[rows, 1:, word]
        )
        word = torch.where(counts > step, (reached[:, step] + onwards).argmax(1), word)
        kept[rows, word] |= counts > step
    return kept


def log_probability(links: Links, reached: Tensor, kept: Tensor) -> Tensor:
    """That of the chain of the kept words, among all with as many words: (batch,)."""
    places = torch.arange(kept.shape[1], device=kept.device)
    after = torch.where(kept, places + 1, 0).cummax(1).values
    before = torch.nn.functional.pad(after[:, :-1], (1, 0))
    steps = links.onwards.gather(1, before[:, None])[:, 0].where(kept, 0.0).sum(1)
    last = (after[:, -1:] - 1).clamp(min=0)
    score = steps + links.ends.gather(1, last)[:, 0]
    ways = reached[torch.arange(kept.shape[0], device=kept.device), kept.sum(1) - 1] + links.ends
    return score - ways.logsumexp(1)
