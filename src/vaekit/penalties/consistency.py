"""A class that stays the same when an image is bent a little."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, one_hot

from vaekit.penalties.penalty import Penalty
from vaekit.refusal import Refusal
from vaekit.schedules.schedule import Schedule
from vaekit.vae import VAE, Terms


class Consistency(Penalty):
    """KL(q(y | x) || q(y | x')), x' being x turned, sheared, scaled and moved at random; averaged over the batch.

    The Pi-model's (Laine and Aila 2017, section 2.1), with the divergence of Xie et al. 2020 and no gradient through
    q(y | x); for labelled rows in training q(y | x) is the label. strength: the largest change of each entry of the
    2x3 matrix of the affine map, in units of half the image.

    Cite: Samuli Laine, Timo Aila. Temporal Ensembling for Semi-Supervised Learning. In ICLR 2017.
        https://arxiv.org/abs/1610.02242
    Cite: Qizhe Xie et al. Unsupervised Data Augmentation for Consistency Training. In NeurIPS 2020.
        https://arxiv.org/abs/1904.12848
    """

    needs = frozenset({"labelled", "image"})

    def __init__(self, vae: VAE, weight: float | Schedule = 100.0, strength: float = 0.2):
        super().__init__(vae, weight)
        if not 0 < strength < 1:
            raise Refusal(f"penalty.*.strength={strength} must lie between 0 and 1; use strength=0.2.")
        self.strength = strength

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        batch, top = terms.batch, vae.latents.levels[0]
        target: Tensor = terms.steps[0].q.mean.detach()  # type: ignore[union-attr]
        if batch.label is not None and epoch is not None:
            known = (batch.label >= 0)[:, None]
            target = torch.where(known, one_hot(batch.label.clamp(min=0), target.shape[1]), target)
        found: Any = top.infer(vae.encoder(bent(batch.x, self.strength)), None)
        log_q = found.logits.flatten(1)
        return (torch.special.xlogy(target, target) - target * log_q).sum(1).mean()


def bent(x: Tensor, strength: float) -> Tensor:
    """Each image of x `[B, C, H, W]` by an affine map of its own, what comes in from outside being 0."""
    change = (2 * torch.rand(len(x), 2, 3, device=x.device) - 1) * strength
    grid = affine_grid(torch.eye(2, 3, device=x.device) + change, list(x.shape), align_corners=False)
    return grid_sample(x, grid, align_corners=False)
