"""The penalty of the adversarial autoencoder."""

from collections.abc import Sequence

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.critic import discriminator, discriminator_loss, frozen, generator_loss
from vaekit.penalties.penalty import Adversarial, posterior_draws, prior_draws
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class Adversary(Adversarial):
    """Adversarial divergence of q(z) and p(z): the generator loss of a critic that separates latents from prior draws,
    in nats.

    Makhzani et al. 2015, section 2; the WAE-GAN of Tolstikhin et al. 2018, algorithm 1.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss, a number or a schedule.
        hidden: Widths of the critic's hidden layers.

    References:
        Alireza Makhzani et al. Adversarial Autoencoders. arXiv 2015. https://arxiv.org/abs/1511.05644

    Example:
        >>> from types import SimpleNamespace
        >>> from vaekit.penalties.adversary import Adversary
        >>> from vaekit.spaces import Real
        >>> vae = SimpleNamespace(latents=SimpleNamespace(levels=[SimpleNamespace(space=Real((2,)))]))
        >>> Adversary(vae, hidden=[8]).critic
        Sequential(...)
    """

    requires = frozenset({Capability.RSAMPLE, Capability.SINGLE_LEVEL})

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, hidden: Sequence[int] = (512, 512)):
        super().__init__(vae, weight)
        self.critic = discriminator(vae.latents.levels[0].space.size, hidden)

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        return generator_loss(frozen(self.critic)(posterior_draws(terms)))

    def critic_loss(self, terms: Terms, vae: VAE) -> Tensor:
        return discriminator_loss(self.critic(prior_draws(terms)), self.critic(posterior_draws(terms).detach()))
