"""Class predictions that stay the same for deformed images."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, interpolate

from vaekit.capabilities import Capability
from vaekit.penalties.penalty import Penalty
from vaekit.refusal import Refusal, setting
from vaekit.schedules.schedule import Schedule
from vaekit.terms import Terms
from vaekit.vae import VAE


class Consistency(Penalty):
    """-log q(y | x') for the most probable y where q(y | x) > threshold, else 0; x' is x deformed at random.

    FixMatch (Sohn et al. 2020, equation 4), averaged over the batch, without a gradient through q(y | x). For labeled
    rows in training, y is the label. The deformation is `deform`.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss, a number or a schedule.
        threshold: Probability of y above which an unlabeled image is used, in [0, 1); 0.95 as in the paper.
        strength: Strength of the affine map, in [0, 1), in units of half the image.
        elastic: Strength of the elastic deformation, in [0, 1), in the same units.

    Raises:
        Refusal: If a number is out of its range.

    References:
        Kihyuk Sohn et al. FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence. In NeurIPS
            2020. https://arxiv.org/abs/2001.07685

    Example:
        >>> import torch, vaekit
        >>> from vaekit.penalties.consistency import Consistency
        >>> from vaekit.spaces import Image
        >>> vae = vaekit.build(Image((1, 8, 8), bins=2), "model=m2_vae", "condition.classes=3")
        >>> penalty = Consistency(vae, threshold=0.0)   # uses every image
        >>> bool(penalty(vae(torch.zeros(4, 1, 8, 8)), vae, epoch=None) > 0)
        True
    """

    requires = frozenset({Capability.LABELLED, Capability.IMAGE})

    def __init__(
        self,
        vae: VAE,
        weight: float | Schedule = 100.0,
        threshold: float = 0.95,
        strength: float = 0.3,
        elastic: float = 0.12,
    ):
        super().__init__(vae, weight)
        defaults = {"threshold": (threshold, 0.95), "strength": (strength, 0.3), "elastic": (elastic, 0.12)}
        for name, (value, default) in defaults.items():
            if not 0 <= value < 1:
                raise Refusal(f"{setting(name)}={value} must be in [0, 1); use {setting(name)}={default}.")
        self.threshold, self.strength, self.elastic = threshold, strength, elastic

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        batch, top = terms.batch, vae.latents.levels[0]
        confidence, y = terms.steps[0].q.mean.detach().max(1)  # type: ignore[union-attr]
        sure = confidence > self.threshold
        if batch.label is not None and epoch is not None:
            y, sure = torch.where(batch.label < 0, y, batch.label), sure | (batch.label >= 0)
        predicted: Any = top.infer(vae.encoder(deform(batch.x, self.strength, self.elastic)), None)
        return (sure * cross_entropy(predicted.logits.flatten(1), y, reduction="none")).mean()


def deform(x: Tensor, strength: float, elastic: float) -> Tensor:
    """Deform each image by a random affine map and a random elastic shift; what comes in from outside is 0.

    Args:
        x: Images `[B, C, H, W]`.
        strength: Largest change of an entry of the 2x3 matrix of the affine map, in units of half the image.
        elastic: Largest shift of each of 5x5 points, between which shifts are interpolated (Simard et al. 2003), in
            units of half the image.

    Returns:
        `[B, C, H, W]`.

    Example:
        >>> import torch
        >>> from vaekit.penalties.consistency import deform
        >>> deform(torch.ones(1, 1, 8, 8), strength=0.0, elastic=0.0)[0, 0, 4].round()
        tensor([1., 1., 1., 1., 1., 1., 1., 1.])
    """
    change = (2 * torch.rand(len(x), 2, 3, device=x.device) - 1) * strength
    shift = (2 * torch.rand(len(x), 2, 5, 5, device=x.device) - 1) * elastic
    grid = affine_grid(torch.eye(2, 3, device=x.device) + change, list(x.shape), align_corners=False)
    smooth = interpolate(shift, size=x.shape[-2:], mode="bicubic", align_corners=True)
    return grid_sample(x, grid + smooth.movedim(1, -1), align_corners=False)
