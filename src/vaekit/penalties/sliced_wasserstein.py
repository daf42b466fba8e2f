"""The sliced Wasserstein distance of latents and prior."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty, posterior_draws, prior_draws
from vaekit.refusal import Refusal, setting
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class SlicedWasserstein(Penalty):
    """The squared 2-Wasserstein distance of latents and as many prior draws, projected on random lines, averaged over
    lines.

    It depends on the batch as a set: two sets of B draws differ by chance, less for larger B.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss, a number or a schedule.
        projections: Number of lines; 50 as in the paper.

    Raises:
        Refusal: If `projections` is below 1.

    References:
        Soheil Kolouri et al. Sliced-Wasserstein Autoencoder: An Embarrassingly Simple Generative Model. In ICLR 2019.
            https://arxiv.org/abs/1804.01947

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from vaekit.batch import Batch
        >>> from vaekit.latents.tower import Step
        >>> from vaekit.penalties.sliced_wasserstein import SlicedWasserstein
        >>> from vaekit.terms import Terms
        >>> p = Independent(Normal(torch.zeros(2), 1.0), 1)
        >>> z = torch.full((1, 8, 2), 50.0)   # [K, B, D]
        >>> terms = Terms(Batch(z[0]), [Step(z, p.expand([8]), p)], px=None, log_px=torch.zeros(1, 8))
        >>> bool(SlicedWasserstein(vae=None)(terms, None, epoch=None) > 100)
        True
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
        z = posterior_draws(terms)
        lines = normalize(torch.randn(z.shape[-1], self.projections).to(z), dim=0)
        a, b = ((each @ lines).sort(1).values for each in (z, prior_draws(terms)))
        return (a - b).square().mean()
