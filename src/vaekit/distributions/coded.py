"""Distributions over codes: at each position one of K points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, constraints, kl_divergence, register_kl
from torch.nn.functional import embedding

from vaekit.distributions.codes import code
from vaekit.distributions.temperature import tempered
from vaekit.entropy_coder import Code
from vaekit.spaces import Codes


class Coded(Distribution):
    """z `[..., *space.shape]` that holds an atom at each position, given a distribution over the atoms' numbers.

    indices: batch shape `[...]`, event shape `space.positions`. The atoms are those that the codebook holds now. What
    lies between them is scored as the nearest.
    """

    arg_constraints = {}
    support = constraints.real

    def __init__(self, indices: Distribution, space: Codes):
        self.indices, self.space, self.atoms = indices, space, space.codebook()
        super().__init__(indices.batch_shape, torch.Size(space.shape), validate_args=False)

    def expand(self, batch_shape, _instance=None):
        return Coded(self.indices.expand(batch_shape), self.space)

    @torch.no_grad()
    def index(self, z: Tensor) -> Tensor:
        """The number of the atom at each position, `[..., *positions]`."""
        return nearest(self.space.points(z), self.atoms)

    def at(self, index: Tensor) -> Tensor:
        """The z of numbers `[..., *positions]`."""
        return self.space.array(embedding(index, self.atoms))

    def sample(self, sample_shape=torch.Size()) -> Tensor:
        with torch.no_grad():
            return self.at(self.indices.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return self.indices.log_prob(self.index(value))

    @property
    def mode(self) -> Tensor:
        return self.at(self.indices.mode)

    def tempered(self, temperature: float) -> Distribution:
        """By that of the numbers: logits are divided."""
        return Coded(tempered(self.indices, temperature), self.space)

    def code(self, alphabet: Any) -> Code:
        return code(self.indices, alphabet)

    def alphabet(self) -> Points:
        return Points(self)


@dataclass(frozen=True)
class Points:
    """The points that the numbers of codes stand for."""

    coded: Coded

    def values(self, symbols: Tensor) -> Tensor:
        return self.coded.at(symbols)


def nearest(points: Tensor, atoms: Tensor) -> Tensor:
    """The number of the atom of `[K, D]` that is nearest to each point `[..., D]`: `[...]`."""
    with torch.autocast(points.device.type, enabled=False):  # differences of large numbers
        return (points @ atoms.T - atoms.square().sum(1) / 2).argmax(-1)


class Choice(Coded):
    """A choice at each position by itself: logits `[..., *space.positions, K]`.

    Draws are atoms, and carry the gradient of the mean (straight through: Bengio et al. 2013,
    https://arxiv.org/abs/1308.3432).
    """

    has_rsample = True

    def __init__(self, logits: Tensor, space: Codes):
        self.logits = logits.log_softmax(-1)
        each = Categorical(logits=self.logits, validate_args=False)
        super().__init__(Independent(each, len(space.positions), validate_args=False), space)

    def expand(self, batch_shape, _instance=None):
        return Choice(self.logits.expand(*batch_shape, *self.space.positions, -1), self.space)

    @property
    def mean(self) -> Tensor:
        """Between the atoms."""
        return self.space.array(self.logits.exp() @ self.atoms)

    def rsample(self, sample_shape=torch.Size()) -> Tensor:
        return self.sample(sample_shape) + (self.mean - self.mean.detach())


class Relaxed(Choice):
    """A choice whose draws carry the gradient of a Gumbel softmax (Jang et al. 2017, Maddison et al. 2017).

    temperature: `[]`, of the softmax. hard: draws are atoms; otherwise they are the softmax's mixtures of atoms, whose
    density nobody here knows: KL and log_prob are those of the choice itself.
    """

    def __init__(self, logits: Tensor, space: Codes, temperature: Tensor, hard: bool):
        super().__init__(logits, space)
        self.temperature, self.hard = temperature, hard

    def rsample(self, sample_shape=torch.Size()) -> Tensor:
        shape = torch.Size(sample_shape) + self.logits.shape
        gumbel = -torch.empty(shape, dtype=self.logits.dtype, device=self.logits.device).exponential_().log()
        noisy = self.logits + gumbel
        soft = self.space.array((noisy / self.temperature).softmax(-1) @ self.atoms)
        return self.at(noisy.argmax(-1)) + (soft - soft.detach()) if self.hard else soft


@register_kl(Coded, Coded)
def _kl(q: Coded, p: Coded) -> Tensor:
    """Of the numbers: both name the same points by them."""
    return kl_divergence(q.indices, p.indices)
