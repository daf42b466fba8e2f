"""The distance between codes and prior, seen along lines."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty, codes, prior_codes
from vaekit.refusal import Refusal, setting
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class SlicedWasserstein(Penalty):
    """The squared 2-Wasserstein distance of codes and as many draws from the prior, along random lines, on average.

    projections: number of lines. It depends on the batch as a set: two sets of B draws differ by chance, less as B
    grows.

    References:
        Soheil Kolouri et al. Sliced-Wasserstein Autoencoder: An Embarrassingly Simple Generative Model. In ICLR 2019.
            https://arxiv.org/abs/1804.01947
    """

    requires = frozenset({Capability.RSAMPLE, Capability.SINGLE_LEVEL})

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, projections: int = 50):
        super().__init__(vae, weight)
        if projections < 1:
            raise Refusal(
                f"{setting('projections')}={projections} must be at least 1; use {setting('projections')}=50."
            )
        self.projections = projections

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        z = codes(terms)
        lines = normalize(torch.randn(z.shape[-1], self.projections).to(z), dim=0)
        a, b = ((each @ lines).sort(1).values for each in (z, prior_codes(terms)))
        return (a - b).square().mean()
