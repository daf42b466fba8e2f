"""The penalty of the FactorVAE."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.critic import discriminator, discriminator_loss, frozen
from vaekit.penalties.penalty import Adversarial, posterior_draws
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class Factor(Adversarial):
    """TC = KL(q(z) || prod_d q(z_d)) in nats, by the density ratio of a critic that separates latents from permuted
    latents.

    Kim and Mnih 2018, equation 3 and algorithms 1 and 2, with dimensions permuted within the batch of the VAE in place
    of a second batch. The critic's loss depends on the batch as a set.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss, a number or a schedule.
        hidden: Widths of the critic's hidden layers. Five of 1000 as in the paper.

    References:
        Hyunjik Kim, Andriy Mnih. Disentangling by Factorising. In ICML 2018. https://arxiv.org/abs/1802.05983

    Example:
        >>> import torch, vaekit
        >>> from vaekit.penalties.factor import Factor
        >>> from vaekit.spaces import Real
        >>> vae = vaekit.build(Real((3,)), "model=mlp_vae", "likelihood=gaussian", "latents.dim=2")
        >>> terms, penalty = vae(torch.randn(4, 3)), Factor(vae, hidden=[8])
        >>> penalty(terms, vae, epoch=None).shape, bool(penalty.critic_loss(terms, vae) > 0)
        (torch.Size([]), True)
    """

    requires = frozenset({Capability.RSAMPLE, Capability.SINGLE_LEVEL, Capability.EUCLIDEAN})

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, hidden: Sequence[int] = (1000,) * 5):
        super().__init__(vae, weight)
        self.critic = discriminator(vae.latents.levels[0].space.size, hidden)

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        return frozen(self.critic)(posterior_draws(terms)).mean()

    def critic_loss(self, terms: Terms, vae: VAE) -> Tensor:
        z = posterior_draws(terms).detach()
        return discriminator_loss(self.critic(z), self.critic(permute_dimensions(z)))


def permute_dimensions(z: Tensor) -> Tensor:
    """Permute each dimension over the batch, separately: draws from prod_d q(z_d).

    Args:
        z: Draws from q(z), `[K, B, D]`.

    Returns:
        `[K, B, D]`.

    Example:
        >>> import torch
        >>> from vaekit.penalties.factor import permute_dimensions
        >>> z = torch.randn(1, 8, 2)
        >>> bool((permute_dimensions(z).sort(1).values == z.sort(1).values).all())
        True
    """
    return z.gather(1, torch.rand_like(z).argsort(1))
