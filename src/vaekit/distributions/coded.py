"""Distributions over codes: one of K atoms at each position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, constraints, kl_divergence, register_kl
from torch.nn.functional import embedding
from torch.types import _size

from vaekit.distributions.codes import code
from vaekit.distributions.temperature import tempered
from vaekit.entropy_coder import Code
from vaekit.spaces import Codes


class Coded(Distribution):
    """z `[..., *space.shape]` that holds an atom at each position, by a distribution over the atoms' numbers.

    A value between atoms is scored as the nearest one. The atoms are read from the codebook once, here.

    Args:
        indices: Over integers, with event shape `space.positions`.
        space: The space of z.

    Example:
        >>> import torch
        >>> from torch.distributions import Categorical, Independent
        >>> from vaekit.distributions.coded import Coded
        >>> from vaekit.spaces import Codes
        >>> p = Coded(Independent(Categorical(logits=torch.zeros(3, 2)), 1), Codes((3,)))
        >>> p.log_prob(torch.tensor([0.0, 1.0, 0.9])).exp().item()
        0.125
    """

    arg_constraints = {}
    support = constraints.real

    def __init__(self, indices: Distribution, space: Codes):
        self.indices, self.space, self.atoms = indices, space, space.codebook()
        super().__init__(indices.batch_shape, torch.Size(space.shape), validate_args=False)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        return Coded(self.indices.expand(batch_shape), self.space)

    @torch.no_grad()
    def index(self, z: Tensor) -> Tensor:
        """The number of the atom at each position, `[..., *positions]`."""
        return nearest(self.space.points(z), self.atoms)

    def from_index(self, index: Tensor) -> Tensor:
        """The z of atoms with these numbers `[..., *positions]`."""
        return self.space.array(embedding(index, self.atoms))

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        with torch.no_grad():
            return self.from_index(self.indices.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return self.indices.log_prob(self.index(value))

    @property
    def mode(self) -> Tensor:
        return self.from_index(self.indices.mode)

    def tempered(self, temperature: float) -> Distribution:
        """The distribution with its logits divided by the temperature."""
        return Coded(tempered(self.indices, temperature), self.space)

    def code(self, alphabet: Any) -> Code:
        return code(self.indices, alphabet)

    def alphabet(self) -> Points:
        return Points(self)


@dataclass(frozen=True)
class Points:
    """The values that the numbers of atoms represent.

    Args:
        coded: A distribution over codes.
    """

    coded: Coded

    def values(self, symbols: Tensor) -> Tensor:
        return self.coded.from_index(symbols)


def nearest(points: Tensor, atoms: Tensor) -> Tensor:
    """The number of the atom nearest to each point.

    Args:
        points: `[..., D]`.
        atoms: `[K, D]`.

    Returns:
        Integers `[...]`.

    Example:
        >>> import torch
        >>> from vaekit.distributions.coded import nearest
        >>> nearest(torch.tensor([[0.1], [0.8]]), torch.tensor([[0.0], [1.0]]))
        tensor([0, 1])
    """
    with torch.autocast(points.device.type, enabled=False):  # these are differences of large numbers
        return (points @ atoms.T - atoms.square().sum(1) / 2).argmax(-1)


class Choice(Coded):
    """An independent categorical distribution over the atoms at each position, with a straight-through gradient.

    Draws are atoms and carry the gradient of the mean (Bengio et al. 2013, https://arxiv.org/abs/1308.3432).

    Args:
        logits: `[..., *space.positions, K]`.
        space: The space of z.

    Example:
        >>> import torch
        >>> from vaekit.distributions.coded import Choice
        >>> from vaekit.spaces import Codes
        >>> p = Choice(torch.zeros(3, 2), Codes((3,)))
        >>> p.mean, p.sample((4,)).shape
        (tensor([0.5, 0.5, 0.5]), torch.Size([4, 3]))
    """

    has_rsample = True

    def __init__(self, logits: Tensor, space: Codes):
        self.logits = logits.log_softmax(-1)
        each = Categorical(logits=self.logits, validate_args=False)
        super().__init__(Independent(each, len(space.positions), validate_args=False), space)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        return Choice(self.logits.expand(*batch_shape, *self.space.positions, -1), self.space)

    @property
    def mean(self) -> Tensor:
        """The mean of the atoms, which lies between them."""
        return self.space.array(self.logits.exp() @ self.atoms)

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        return self.sample(sample_shape) + (self.mean - self.mean.detach())


class Relaxed(Choice):
    """A `Choice` with the gradient of a Gumbel softmax (Jang et al. 2017, Maddison et al. 2017).

    Args:
        logits: `[..., *space.positions, K]`.
        space: The space of z.
        temperature: Of the softmax, `[]`.
        hard: True: draws are atoms. False: draws are the softmax's mixtures of atoms; their density has no closed form,
            so `log_prob` and KL are those of the choice.

    Example:
        >>> import torch
        >>> from vaekit.distributions.coded import Relaxed
        >>> from vaekit.spaces import Codes
        >>> p = Relaxed(torch.zeros(3, 2), Codes((3,)), torch.tensor(0.5), hard=True)
        >>> bool(((p.rsample() == 0) | (p.rsample() == 1)).any())
        True
    """

    def __init__(self, logits: Tensor, space: Codes, temperature: Tensor, hard: bool):
        super().__init__(logits, space)
        self.temperature, self.hard = temperature, hard

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        shape = torch.Size(sample_shape) + self.logits.shape
        gumbel = -torch.empty(shape, dtype=self.logits.dtype, device=self.logits.device).exponential_().log()
        noisy = self.logits + gumbel
        soft = self.space.array((noisy / self.temperature).softmax(-1) @ self.atoms)
        return self.from_index(noisy.argmax(-1)) + (soft - soft.detach()) if self.hard else soft


@register_kl(Coded, Coded)
def _kl(q: Coded, p: Coded) -> Tensor:
    """KL of the indices, because equal indices stand for equal points."""
    return kl_divergence(q.indices, p.indices)
