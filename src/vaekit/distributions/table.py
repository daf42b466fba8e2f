"""Each number of a table's rows, by the kind of its column."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, NegativeBinomial, Normal, constraints
from torch.nn.functional import one_hot


class Cells(Distribution):
    """The numbers of a row of `vaekit.spaces.Table`, batch shape `[..., numbers]`.

    normal: of the numeric columns. counts: of n, where x is log(1 + n). binary: of 0 and 1. blocks: logits of each
    one-hot block, whose numbers together have one probability: log_prob of those that are 0 is 0.
    """

    arg_constraints = {}
    support = constraints.real

    def __init__(self, normal: Normal, counts: NegativeBinomial, binary: Bernoulli, blocks: Sequence[Tensor]):
        self.normal, self.counts, self.binary = normal, counts, binary
        self.blocks = [block.log_softmax(-1) for block in blocks]
        parts = (normal, counts, binary)
        self.sizes = [part.batch_shape[-1] for part in parts] + [block.shape[-1] for block in blocks]
        super().__init__(torch.Size([*normal.batch_shape[:-1], sum(self.sizes)]), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        x, n, binary, *one_hots = value.split(self.sizes, -1)
        numbers = [self.normal.log_prob(x), self.counts.log_prob(n.expm1().round()), self.binary.log_prob(binary)]
        return torch.cat([*numbers, *(a * b for a, b in zip(one_hots, self.blocks, strict=True))], -1)

    def sample(self, sample_shape=torch.Size()) -> Tensor:
        with torch.no_grad():
            chosen = (Categorical(logits=block, validate_args=False).sample(sample_shape) for block in self.blocks)
            hot = [one_hot(each, block.shape[-1]) for each, block in zip(chosen, self.blocks, strict=True)]
            numbers = [self.normal.sample(sample_shape), self.counts.sample(sample_shape).log1p()]
            return torch.cat([*numbers, self.binary.sample(sample_shape), *(each.to(numbers[0]) for each in hot)], -1)

    @property
    def mean(self) -> Tensor:
        """Of binary and one-hot numbers their probabilities; of a count log(1 + the mean of n)."""
        blocks = [block.exp() for block in self.blocks]
        return torch.cat([self.normal.mean, self.counts.mean.log1p(), self.binary.mean, *blocks], -1)

    @property
    def mode(self) -> Tensor:
        likeliest = [one_hot(block.argmax(-1), block.shape[-1]).to(block) for block in self.blocks]
        binary = (self.binary.probs > 0.5).to(self.binary.probs)
        return torch.cat([self.normal.mean, self.counts.mode.log1p(), binary, *likeliest], -1)
