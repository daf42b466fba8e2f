"""The VAE-GAN's penalty."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vaekit.capabilities import Capability
from vaekit.networks.conv import Encoder
from vaekit.networks.glorot import glorot
from vaekit.penalties.critic import discriminator_loss, frozen, generator_loss
from vaekit.penalties.penalty import Adversarial
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class Discriminator(nn.Module):
    """Images `[N, C, H, W]` -> features `[N, F]` and a logit each, `[N, 1]`."""

    def __init__(self, vae: VAE, channels: Sequence[int], features: int):
        super().__init__()
        self.body = Encoder(vae.space, channels, features, "LeakyReLU")
        self.head = glorot(nn.Linear(features, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x)
        return features, self.head(features)


class ImageAdversary(Adversarial):
    """A critic tells data from reconstructions and samples; its features measure reconstructions, and the likelihood's
    network learns to fool it.

    Larsen et al. 2016, algorithm 1: half the squared distance of the features of x and of its reconstruction, plus
    `fooling` times the adversarial term in nats, of which, as there, the encoder feels nothing. They leave out the
    likelihood of pixels; here it stays, so that nll means what it says. Images are the means of p(x | z), of the first
    draw of z. channels, features: sizes of the critic.

    References:
        Anders Boesen Lindbo Larsen et al. Autoencoding beyond Pixels Using a Learned Similarity Metric. In ICML 2016.
            https://arxiv.org/abs/1512.09300
    """

    requires = frozenset({Capability.RSAMPLE, Capability.IMAGE})

    def __init__(
        self,
        vae: VAE,
        weight: float | Schedule = 1.0,
        fooling: float = 1.0,
        channels: Sequence[int] = (32, 64),
        features: int = 256,
    ):
        super().__init__(vae, weight)
        self.fooling = fooling
        self.critic = Discriminator(vae, channels, features)

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        critic = frozen(self.critic)
        mean = terms.px.mean[0]
        apart = critic(terms.batch.filled(mean))[0] - critic(mean)[0]
        zs = [step.z[0].detach() for step in terms.steps]
        again = vae.likelihood(vae.replay(zs, vae.condition_of(terms.batch)).state).mean
        made = torch.cat([again, self._samples(terms, vae)])
        return apart.square().sum(1).mean() / 2 + self.fooling * generator_loss(critic(made)[1])

    def critic_loss(self, terms: Terms, vae: VAE) -> Tensor:
        mean = terms.px.mean[0]
        made = torch.cat([mean, self._samples(terms, vae)]).detach()
        return discriminator_loss(self.critic(terms.batch.filled(mean))[1], self.critic(made)[1])

    def _samples(self, terms: Terms, vae: VAE) -> Tensor:
        return vae.likelihood(vae.generate(len(terms.batch)).state).mean
