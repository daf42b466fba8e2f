"""The penalty of the VAE-GAN."""

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
    """A convolutional critic, `[N, C, H, W]` -> features `[N, F]` and logits `[N, 1]`.

    Args:
        vae: The model, of whose space the images are.
        channels: Channels of each layer.
        features: Number F of features.
    """

    def __init__(self, vae: VAE, channels: Sequence[int], features: int):
        super().__init__()
        self.body = Encoder(vae.space, channels, features, "LeakyReLU")
        self.head = glorot(nn.Linear(features, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x)
        return features, self.head(features)


class ImageAdversary(Adversarial):
    """Half the squared distance of critic features of x and of its reconstruction, plus `generator_weight` times
    the generator loss.

    Larsen et al. 2016, algorithm 1: the critic separates data from reconstructions and samples. As there, the generator
    loss (nats) does not train the encoder. The paper drops the likelihood of pixels; it is kept here, so that nll keeps
    its meaning. Images are means of p(x | z), of the first draw of z.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss, a number or a schedule.
        generator_weight: Weight of the generator loss relative to the feature distance.
        channels: Channels of the critic's convolutional layers.
        features: Number of the critic's features.

    References:
        Anders Boesen Lindbo Larsen et al. Autoencoding beyond Pixels Using a Learned Similarity Metric. In ICML 2016.
            https://arxiv.org/abs/1512.09300

    Example:
        >>> import torch, vaekit
        >>> from vaekit.penalties.image_adversary import ImageAdversary
        >>> from vaekit.spaces import Image
        >>> vae = vaekit.build(Image((1, 8, 8), bins=2), "model=mlp_vae")
        >>> terms, penalty = vae(torch.zeros(4, 1, 8, 8)), ImageAdversary(vae, channels=[4], features=8)
        >>> bool(penalty(terms, vae, epoch=None) > 0), bool(penalty.critic_loss(terms, vae) > 0)
        (True, True)
    """

    requires = frozenset({Capability.RSAMPLE, Capability.IMAGE})

    def __init__(
        self,
        vae: VAE,
        weight: float | Schedule = 1.0,
        generator_weight: float = 1.0,
        channels: Sequence[int] = (32, 64),
        features: int = 256,
    ):
        super().__init__(vae, weight)
        self.generator_weight = generator_weight
        self.critic = Discriminator(vae, channels, features)

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        critic = frozen(self.critic)
        mean = terms.px.mean[0]
        difference = critic(terms.batch.filled(mean))[0] - critic(mean)[0]
        zs = [step.z[0].detach() for step in terms.steps]
        reconstructed = vae.likelihood(vae.replay(zs, vae.condition_of(terms.batch)).state).mean
        generated = torch.cat([reconstructed, self._samples(terms, vae)])
        return difference.square().sum(1).mean() / 2 + self.generator_weight * generator_loss(critic(generated)[1])

    def critic_loss(self, terms: Terms, vae: VAE) -> Tensor:
        mean = terms.px.mean[0]
        generated = torch.cat([mean, self._samples(terms, vae)]).detach()
        return discriminator_loss(self.critic(terms.batch.filled(mean))[1], self.critic(generated)[1])

    def _samples(self, terms: Terms, vae: VAE) -> Tensor:
        return vae.likelihood(vae.generate(len(terms.batch)).state).mean
