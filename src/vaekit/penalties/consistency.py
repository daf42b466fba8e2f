"""A class that stays the same when an image is bent."""

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
    """-log q(y | x'), where q(y | x) > threshold and else 0, of the likeliest y; x' is x bent at random.

    FixMatch, Sohn et al. 2020, equation 4: averaged over the batch, with no gradient through q(y | x). For labelled
    rows in training y is the label. strength, elastic: see `bent`.

    Raises `Refusal` for numbers out of their range.

    References:
        Kihyuk Sohn et al. FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence. In NeurIPS
            2020. https://arxiv.org/abs/2001.07685
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
        usual = {"threshold": (threshold, 0.95), "strength": (strength, 0.3), "elastic": (elastic, 0.12)}
        for name, (value, instead) in usual.items():
            if not 0 <= value < 1:
                raise Refusal(f"{setting(name)}={value} must be in [0, 1); use {setting(name)}={instead}.")
        self.threshold, self.strength, self.elastic = threshold, strength, elastic

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        batch, top = terms.batch, vae.latents.levels[0]
        confidence, y = terms.steps[0].q.mean.detach().max(1)  # type: ignore[union-attr]
        sure = confidence > self.threshold
        if batch.label is not None and epoch is not None:
            y, sure = torch.where(batch.label < 0, y, batch.label), sure | (batch.label >= 0)
        found: Any = top.infer(vae.encoder(bent(batch.x, self.strength, self.elastic)), None)
        return (sure * cross_entropy(found.logits.flatten(1), y, reduction="none")).mean()


def bent(x: Tensor, strength: float, elastic: float) -> Tensor:
    """Each image of x `[B, C, H, W]` bent by a draw of its own, what comes in from outside being 0.

    strength: the largest change of each entry of the 2x3 matrix of an affine map: turned, sheared, scaled and moved.
    elastic: the largest shift of each of 5x5 points, between which the others' are interpolated (Simard et al. 2003).
    Both are in units of half the image.
    """
    change = (2 * torch.rand(len(x), 2, 3, device=x.device) - 1) * strength
    shift = (2 * torch.rand(len(x), 2, 5, 5, device=x.device) - 1) * elastic
    grid = affine_grid(torch.eye(2, 3, device=x.device) + change, list(x.shape), align_corners=False)
    smooth = interpolate(shift, size=x.shape[-2:], mode="bicubic", align_corners=True)
    return grid_sample(x, grid + smooth.movedim(1, -1), align_corners=False)
