"""The FactorVAE's penalty."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.critic import discriminator, discriminator_loss, frozen
from vaekit.penalties.penalty import Adversarial, codes
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class Factor(Adversarial):
    """TC = KL(q(z) || prod_d q(z_d)) in nats, by the density ratio of a critic that tells codes from shuffled ones.

    Kim and Mnih 2018, equation 3 and algorithms 1 and 2, with the dimensions permuted within the batch that the VAE
    sees rather than in a second one. hidden: widths of the critic. The critic's loss depends on the batch as a set.

    References:
        Hyunjik Kim, Andriy Mnih. Disentangling by Factorising. In ICML 2018. https://arxiv.org/abs/1802.05983
    """

    requires = frozenset({Capability.RSAMPLE, Capability.SINGLE_LEVEL, Capability.EUCLIDEAN})

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, hidden: Sequence[int] = (1000,) * 5):
        super().__init__(vae, weight)
        self.critic = discriminator(vae.latents.levels[0].space.size, hidden)

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        return frozen(self.critic)(codes(terms)).mean()

    def critic_loss(self, terms: Terms, vae: VAE) -> Tensor:
        z = codes(terms).detach()
        return discriminator_loss(self.critic(z), self.critic(permute_dimensions(z)))


def permute_dimensions(z: Tensor) -> Tensor:
    """Shuffle each dimension of `[K, B, D]` over the batch by itself: draws from prod_d q(z_d)."""
    return z.gather(1, torch.rand_like(z).argsort(1))
