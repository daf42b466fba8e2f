"""Images and their labels, each number by itself, so that either can be left out."""

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.nn.functional import one_hot

from vaekit.distributions.bernoulli import Bernoulli


class Pairs(Distribution):
    """The numbers of `vaekit.spaces.Pairs`, batch shape `[..., numbers]`: p(image) p(label), whatever may be missing.

    logits: of each pixel, Bernoulli, and of all classes together. What a value says is missing, and the numbers that
    say so, cost nothing: their log_prob is 0. All classes have one probability: log_prob of those that are 0 is 0.
    """

    arg_constraints = {}
    support = constraints.unit_interval

    def __init__(self, image: Tensor, label: Tensor):
        self.image, self.label = Bernoulli(logits=image, validate_args=False), label.log_softmax(-1)
        self.sizes = [image.shape[-1], label.shape[-1], 2]
        super().__init__(torch.Size([*image.shape[:-1], sum(self.sizes)]), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        image, label, there = value.split(self.sizes, -1)
        of_image, of_label = self.image.log_prob(image) * there[..., :1], label * self.label
        return torch.cat([of_image, of_label, torch.zeros_like(there).expand(*of_image.shape[:-1], -1)], -1)

    def sample(self, sample_shape=torch.Size()) -> Tensor:
        with torch.no_grad():
            return self._whole(
                self.image.sample(sample_shape),
                Categorical(logits=self.label, validate_args=False).sample(sample_shape),
            )

    @property
    def mean(self) -> Tensor:
        """The probability of each pixel and class."""
        return torch.cat([self.image.mean, self.label.exp(), self._there(self.label)], -1)

    @property
    def mode(self) -> Tensor:
        return self._whole((self.image.logits > 0).to(self.label), self.label.argmax(-1))

    def _whole(self, image: Tensor, number: Tensor) -> Tensor:
        label = one_hot(number, self.sizes[1]).to(image)
        return torch.cat([image, label, self._there(label)], -1)

    @staticmethod
    def _there(label: Tensor) -> Tensor:
        return label.new_ones(*label.shape[:-1], 2)
