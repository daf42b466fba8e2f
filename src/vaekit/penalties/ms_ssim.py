"""Structural similarity of reconstructions."""

from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty
from vaekit.refusal import Refusal
from vaekit.schedules.schedule import Schedule
from vaekit.similarity import ms_ssim, scales
from vaekit.terms import Terms
from vaekit.vae import VAE

EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, finest scale first


class MSSSIM(Penalty):
    """1 - MS-SSIM of x and the mean of p(x | z), between 0 and 1, averaged over draws.

    The window has 11 pixels (5 in images below 22 pixels), on as many of the five scales as it fits into: two for
    28x28. The exponents of these scales are normalized to sum to 1, and a similarity s enters as (1 + s) / 2, because
    it may be negative.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss, a number or a schedule.

    Raises:
        Refusal: If the images are smaller than 5x5.

    References:
        Zhou Wang, Eero Simoncelli, Alan Bovik. Multi-Scale Structural Similarity for Image Quality Assessment. In
            Asilomar Conference on Signals, Systems and Computers 2003. https://doi.org/10.1109/ACSSC.2003.1292216
        Jake Snell et al. Learning to Generate Images with Perceptual Similarity Metrics. In ICIP 2017.
            https://arxiv.org/abs/1511.06409

    Example:
        >>> from types import SimpleNamespace
        >>> from vaekit.penalties.ms_ssim import MSSSIM
        >>> from vaekit.spaces import Image
        >>> len(MSSSIM(SimpleNamespace(space=Image((1, 28, 28)))).exponents)   # scales
        2
    """

    requires = frozenset({Capability.RSAMPLE, Capability.IMAGE})

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0):
        super().__init__(vae, weight)
        side = min(vae.space.shape[1:])
        self.sigma, self.window = (1.5, 11) if side >= 22 else (0.5, 5)
        used = EXPONENTS[: scales(side, self.window)]
        if not used:
            raise Refusal(
                f"penalty=ms_ssim requires images of at least 5x5 pixels, got {list(vae.space.shape)}; use penalty=mmd."
            )
        self.exponents = tuple(each / sum(used) for each in used)

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        made = terms.px.mean
        real = terms.batch.filled(made).expand_as(made)
        return 1 - ms_ssim(made.flatten(0, 1), real.flatten(0, 1), self.window, self.sigma, self.exponents).mean()
