"""Bits."""

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
    """q(z | x): each number of z is 1 with probability sigmoid(linear), else 0. Draws are bits; objective=elbo takes
    their gradient straight through, objective=vimco needs none.

    context `[..., *context_shape]` -> batch shape `[...]` over `space`, vectors or maps.

    References:
        Yoshua Bengio, Nicholas Léonard, Aaron Courville. Estimating or Propagating Gradients Through Stochastic Neurons
            for Conditional Computation. arXiv 2013. https://arxiv.org/abs/1308.3432
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
        """0 and 1, `[2, 1]`."""
        return self.atoms

    def forward(self, context: Tensor) -> Distribution:
        logits = self.space.points(full_precision(self.head(context)))  # of 1 against 0
        return Choice(pad(logits, (1, 0)), self.space)
