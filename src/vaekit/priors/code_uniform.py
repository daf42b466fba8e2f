"""The uniform prior of codes."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.distributions.coded import Choice
from vaekit.spaces import Codes


class CodeUniform(nn.Module):
    """p(z): every atom is as likely as any other, at every position by itself (van den Oord et al. 2017, section 3.1).

    Cite: Aäron van den Oord, Oriol Vinyals, Koray Kavukcuoglu. Neural Discrete Representation Learning. In NeurIPS
        2017. https://arxiv.org/abs/1711.00937
    """

    latent = Codes
    needs = frozenset[str]()
    asks = frozenset[str]()
    gives = frozenset({"factorised"})
    logits: Tensor

    def __init__(self, space: Codes):
        super().__init__()
        self.space = space
        self.register_buffer("logits", torch.zeros(*space.positions, space.atoms), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return Choice(self.logits, self.space)
