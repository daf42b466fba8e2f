"""The Bernoulli posterior over binary codes."""

from dataclasses import replace

from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import pad

from vaekit.capabilities import Capability
from vaekit.distributions.coded import Choice
from vaekit.distributions.precision import full_precision
from vaekit.networks.glorot import head
from vaekit.posteriors.posterior import Posterior
from vaekit.spaces import Codes, binary_atoms


class Bernoulli(Posterior):
    """q(z | x): each number of z is 1 with probability sigmoid(linear), else 0.

    Draws are 0 or 1. objective=elbo uses the straight-through gradient, objective=vimco needs no gradient of z.

    Args:
        context_shape: Shape of the features of a row, (F,) for vectors z or (C, H, W) for maps z.
        space: The space of z.

    References:
        Yoshua Bengio, Nicholas Léonard, Aaron Courville. Estimating or Propagating Gradients Through Stochastic Neurons
            for Conditional Computation. arXiv 2013. https://arxiv.org/abs/1308.3432

    Example:
        >>> import torch
        >>> from vaekit.posteriors.bernoulli import Bernoulli
        >>> from vaekit.spaces import Codes
        >>> q = Bernoulli((8,), Codes((3,)))(torch.randn(5, 8))
        >>> q.sample().shape, q.sample().unique()
        (torch.Size([5, 3]), tensor([0., 1.]))
    """

    latent = Codes
    gives = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.DENSITY, Capability.MAPS, Capability.CODED})
    atoms: Tensor

    def __init__(self, context_shape: tuple[int, ...], space: Codes):
        super().__init__()
        self.register_buffer("atoms", binary_atoms(), persistent=False)
        self.space = replace(space, atoms=2, width=1, codebook=self.codebook)
        self.head = head(context_shape, space.shape[0])

    def codebook(self) -> Tensor:
        """The atoms 0 and 1, `[2, 1]`."""
        return self.atoms

    def forward(self, context: Tensor) -> Distribution:
        logits = self.space.points(full_precision(self.head(context)))  # log-odds of 1
        return Choice(pad(logits, (1, 0)), self.space)
