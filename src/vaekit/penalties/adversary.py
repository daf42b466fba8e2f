"""The adversarial autoencoder's penalty."""

from collections.abc import Sequence

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.critic import discriminator, discriminator_loss, frozen, generator_loss
from vaekit.penalties.penalty import Adversarial, codes, prior_codes
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class Adversary(Adversarial):
    """A critic learns to tell codes from draws of the prior; the encoder learns to fool it. In nats.

    Makhzani et al. 2015, section 2; the WAE-GAN of Tolstikhin et al. 2018, algorithm 1. hidden: widths of the critic.

    References:
        Alireza Makhzani et al. Adversarial Autoencoders. arXiv 2015. https://arxiv.org/abs/1511.05644
    """

    requires = frozenset({Capability.RSAMPLE, Capability.SINGLE_LEVEL})

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, hidden: Sequence[int] = (512, 512)):
        super().__init__(vae, weight)
        self.critic = discriminator(vae.latents.levels[0].space.size, hidden)

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        return generator_loss(frozen(self.critic)(codes(terms)))

    def critic_loss(self, terms: Terms, vae: VAE) -> Tensor:
        return discriminator_loss(self.critic(prior_codes(terms)), self.critic(codes(terms).detach()))
