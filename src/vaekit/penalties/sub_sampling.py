"""The ELBO of each modality separately, next to that of all of them."""

import torch
from torch import Tensor

from vaekit.batch import Batch
from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty
from vaekit.spaces import Pairs
from vaekit.terms import Terms
from vaekit.vae import VAE


class SubSampling(Penalty):
    """-sum_m ELBO(x_m) over the modalities m of examples that have all of them, averaged over the batch.

    With objective=elbo and a weight of 1 the loss is that of Wu and Goodman 2018, section 2.2; its third part, random
    subsets of modalities, is empty for two modalities. Each ELBO draws from q(z | x_m) and scores only x_m. Without
    this penalty, the experts of a product are not trained to be used separately.

    References:
        Mike Wu, Noah Goodman. Multimodal Generative Models for Scalable Weakly-Supervised Learning. In NeurIPS 2018.
            https://arxiv.org/abs/1802.05335

    Example:
        >>> import torch, vaekit
        >>> from vaekit.penalties.sub_sampling import SubSampling
        >>> from vaekit.spaces import Image, Pairs
        >>> space = Pairs.of(Image((1, 8, 8), bins=2), classes=10)
        >>> vae = vaekit.build(space, "model=mopoe", "likelihood=paired")
        >>> x = space.pair(torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 2, 3]))
        >>> bool(SubSampling(vae)(vae(x), vae, epoch=None) > 0)   # nats
        True
    """

    requires = frozenset({Capability.RSAMPLE, Capability.LOG_PROB, Capability.PAIRS})

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        x, space = terms.batch.x, vae.space
        assert isinstance(space, Pairs)
        alone = torch.cat([space.keep_modality(x, modality) for modality in range(space.modalities)])
        elbo = vae(Batch(alone), len(terms.log_px)).elbo.unflatten(0, (space.modalities, -1))
        whole = space.split(x)[2].prod(-1)
        return -(whole * elbo.sum(0)).mean()
