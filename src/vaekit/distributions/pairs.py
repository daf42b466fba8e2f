"""Images and labels, each number separately, so that either modality may be missing."""

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.nn.functional import one_hot
from torch.types import _size

from vaekit.distributions.bernoulli import Bernoulli


class Pairs(Distribution):
    """p(image) p(label) over the numbers of `vaekit.spaces.Pairs`, batch shape `[..., numbers]`.

    Missing modalities, and the two numbers that mark what is observed, have log-probability 0. All classes share one
    probability: the log_prob of the class that is 1 is that of the label, those of the others are 0.

    Args:
        image: Bernoulli logits of the pixels, `[..., pixels]`.
        label: Logits of the classes, `[..., classes]`.

    Example:
        >>> import torch
        >>> from vaekit.distributions.pairs import Pairs
        >>> p = Pairs(torch.zeros(4), torch.zeros(10))
        >>> p.sample((3,)).shape
        torch.Size([3, 16])
    """

    arg_constraints = {}
    support = constraints.unit_interval

    def __init__(self, image: Tensor, label: Tensor):
        self.image, self.label = Bernoulli(logits=image, validate_args=False), label.log_softmax(-1)
        self.sizes = [image.shape[-1], label.shape[-1], 2]
        super().__init__(torch.Size([*image.shape[:-1], sum(self.sizes)]), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        image, label, observed = value.split(self.sizes, -1)
        of_image, of_label = self.image.log_prob(image) * observed[..., :1], label * self.label
        return torch.cat([of_image, of_label, torch.zeros_like(observed).expand(*of_image.shape[:-1], -1)], -1)

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        with torch.no_grad():
            return self._concatenate(
                self.image.sample(sample_shape),
                Categorical(logits=self.label, validate_args=False).sample(sample_shape),
            )

    @property
    def mean(self) -> Tensor:
        """The probability of each pixel and class."""
        return torch.cat([self.image.mean, self.label.exp(), self._observed(self.label)], -1)

    @property
    def mode(self) -> Tensor:
        return self._concatenate((self.image.logits > 0).to(self.label), self.label.argmax(-1))

    def _concatenate(self, image: Tensor, number: Tensor) -> Tensor:
        label = one_hot(number, self.sizes[1]).to(image)
        return torch.cat([image, label, self._observed(label)], -1)

    @staticmethod
    def _observed(label: Tensor) -> Tensor:
        return label.new_ones(*label.shape[:-1], 2)
