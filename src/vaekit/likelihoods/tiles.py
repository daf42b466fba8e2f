"""Levels of a game: one of its tiles in each cell."""

from collections.abc import Callable

from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions import tiles
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.spaces import Space

RARE = 1e-4  # the least probability of a tile at the start: one that a cell never had in training may come up in others


class Tiles(Likelihood):
    """p(x | z): a softmax over the tiles of each cell.

    References:
        Anurag Sarkar, Zhihan Yang, Seth Cooper. Conditional Level Generation and Game Blending. In EXAG 2020.
            https://arxiv.org/abs/2010.07735
    """

    values = frozenset({"tiles"})

    def __init__(self, space: Space, network: Callable):
        super().__init__(space, network, params=1)

    def distribution(self, *params: Tensor) -> Distribution:
        return tiles.Tiles(params[0])

    def bias_at(self, mean: Tensor) -> Tensor:
        return mean.clamp(min=RARE).log().unsqueeze(0)
