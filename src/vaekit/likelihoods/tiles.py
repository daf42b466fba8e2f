"""Maps of games: one tile in each cell."""

from torch import Tensor
from torch.distributions import Distribution

from vaekit.distributions import tiles
from vaekit.likelihoods.likelihood import BuildNetwork, Likelihood
from vaekit.spaces import Space

RARE = 1e-4  # least probability of a tile at the start, because a cell may need a tile that it never had in training


class Tiles(Likelihood):
    """p(x | z): a softmax over the tiles of each cell of a game map.

    Args:
        space: The space of x.
        network: `network(params)` builds the network from the latent state to `[N, params, *space.shape]`.

    References:
        Anurag Sarkar, Zhihan Yang, Seth Cooper. Conditional Level Generation and Game Blending. In EXAG 2020.
            https://arxiv.org/abs/2010.07735

    Example:
        >>> import torch
        >>> from vaekit.likelihoods.tiles import Tiles
        >>> from vaekit.networks.mlp import Decoder
        >>> from vaekit.spaces import Levels
        >>> space = Levels((2, 2, 2), tiles={"-": ["free"], "X": ["solid"]})
        >>> likelihood = Tiles(space, lambda params: Decoder((2,), space, params, hidden=[8]))
        >>> likelihood(torch.zeros(5, 2)).sample().shape
        torch.Size([5, 2, 2, 2])
    """

    values = frozenset({"tiles"})

    def __init__(self, space: Space, network: BuildNetwork):
        super().__init__(space, network, params=1)

    def distribution(self, *params: Tensor) -> Distribution:
        return tiles.Tiles(params[0])

    def bias_at(self, mean: Tensor) -> Tensor:
        return mean.clamp(min=RARE).log().unsqueeze(0)
