"""Functions of networks of text, to be exported."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from aectl.config.shapes import PAD
from aectl.models.graphs import Graph
from aectl.models.shorter_text import ShorterText


class TextGraph(Graph):
    """Of text: tokens, int64, (batch, length), 0 after the end of each; so are reconstructions, and
    codes that are shorter texts."""

    takes = "tokens"

    def prepared(self, inputs: Tensor) -> Tensor:
        """Nothing changes."""
        return inputs

    def encoded(self, inputs: Tensor) -> Tensor:
        """The codes, or the tokens of the shorter texts, (batch, length)."""
        code: Any = self.network.encode(inputs)
        if isinstance(code, Tensor):
            return code
        return F.pad(code.text, (0, inputs.shape[1] - code.text.shape[1]), value=PAD)

    def rebuilt(self, inputs: Tensor) -> Tensor:
        """The tokens of the reconstructions."""
        return self.decoded(self.encoded(inputs))

    def decoded(self, code: Tensor) -> Tensor:
        """The tokens of the reconstructions from codes."""
        known = code if code.is_floating_point() else ShorterText(code, torch.zeros(()))
        tokens: Tensor = self.network.decode(known)
        return tokens
