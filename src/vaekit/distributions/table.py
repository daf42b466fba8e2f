"""The numbers of a table's rows, each by the kind of its column."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, Normal, constraints
from torch.nn.functional import logsigmoid, one_hot
from torch.types import _size

from vaekit.spaces.symbols import HALF, count_of, log_fraction


class Counts(Distribution):
    """The negative binomial distribution of n = 0 ... largest, normalized over these, batch shape `[..., C]`.

    Args:
        total: Number of failures, `[C]`.
        logits: Of a success, `[..., C]`.
        largest: The largest count, `[C]`.

    Example:
        >>> import torch
        >>> from vaekit.distributions.table import Counts
        >>> p = Counts(torch.tensor([2.0]), torch.zeros(3, 1), torch.tensor([9]))
        >>> p.sample().shape
        torch.Size([3, 1])
    """

    arg_constraints = {}
    support = constraints.nonnegative_integer

    def __init__(self, total: Tensor, logits: Tensor, largest: Tensor):
        super().__init__(logits.shape, validate_args=False)
        self.n = torch.arange(int(largest.max()) + 1 if len(largest) else 1, device=logits.device)
        log_binomial = (total.unsqueeze(-1) + self.n).lgamma() - (self.n + 1.0).lgamma()
        log_binomial = log_binomial.masked_fill(self.n > largest.unsqueeze(-1), -torch.inf)
        self.log_mass = (log_binomial + self.n * logsigmoid(logits).unsqueeze(-1)).log_softmax(-1)  # [..., C, n]
        self.largest = largest

    def log_prob(self, value: Tensor) -> Tensor:
        """log p of integers `[..., C]`; a count outside 0 ... largest gets the probability of the nearer end."""
        n = value.clamp(min=0).minimum(self.largest).long()
        shape = torch.broadcast_shapes(n.shape, self.batch_shape)
        return self.log_mass.expand(*shape, -1).gather(-1, n.expand(shape).unsqueeze(-1)).squeeze(-1)

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        with torch.no_grad():
            return Categorical(logits=self.log_mass, validate_args=False).sample(sample_shape).to(self.log_mass)

    @property
    def mean(self) -> Tensor:
        return self.log_mass.exp() @ self.n.to(self.log_mass)

    @property
    def mode(self) -> Tensor:
        return self.log_mass.argmax(-1).to(self.log_mass)


class Cells(Distribution):
    """The numbers of a row of `vaekit.spaces.Table`, batch shape `[..., numbers]`.

    The numbers of a one-hot block share one probability: the log_prob of those that are 0 is 0. A cell with an unseen
    value, a block of zeros or a binary number of .5, has the probability `unseen`; draws are never unseen.

    Args:
        normal: Of the numeric columns.
        counts: Of n, where x is log(1 + n).
        binary: Of 0 and 1.
        blocks: Logits of each one-hot block.
        missing: Whether a cell is missing, 1 or 0.
        order: The positions of all these numbers in the row.
        unseen: The probability of a category that is not in the file, or of a count beyond the largest: of each count,
            binary column and block.

    Example:
        >>> import torch
        >>> from torch.distributions import Bernoulli, Normal
        >>> from vaekit.distributions.table import Cells, Counts
        >>> none, no_counts = torch.zeros(0), Counts(torch.zeros(0), torch.zeros(0), torch.zeros(0))
        >>> binary, missing = Bernoulli(logits=torch.zeros(1)), Bernoulli(logits=none)
        >>> p = Cells(Normal(torch.zeros(2), 1.0), no_counts, binary, [], missing, torch.arange(3), torch.zeros(1))
        >>> p.log_prob(torch.tensor([0.0, 0.0, 1.0]))
        tensor([-0.9189, -0.9189, -0.6931])
    """

    arg_constraints = {}
    support = constraints.real

    def __init__(
        self,
        normal: Normal,
        counts: Counts,
        binary: Bernoulli,
        blocks: Sequence[Tensor],
        missing: Bernoulli,
        order: Tensor,
        unseen: Tensor,
    ):
        self.normal, self.counts, self.binary, self.missing = normal, counts, binary, missing
        self.blocks = [block.log_softmax(-1) for block in blocks]
        widths = [block.shape[-1] for block in blocks]
        self.sizes = [*(part.batch_shape[-1] for part in (normal, counts, binary)), *widths, missing.batch_shape[-1]]
        self.order, self.back = order, order.argsort()
        self.log_unseen, self.log_seen = (
            each.split([*self.sizes[1:3], len(blocks)]) for each in (unseen.log(), (-unseen).log1p())
        )
        super().__init__(torch.Size([*normal.batch_shape[:-1], sum(self.sizes)]), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        x, n, binary, *hots, missing = value[..., self.order].split(self.sizes, -1)
        n = count_of(n)
        beyond = (n - n.clamp(min=0).minimum(self.counts.largest)).abs()
        numbers = [
            self.normal.log_prob(x),
            torch.where(beyond > 0, self.log_unseen[0], self.log_seen[0] + self.counts.log_prob(n))
            + log_fraction(beyond),
            torch.where(binary == HALF, self.log_unseen[1], self.log_seen[1] + self.binary.log_prob(binary)),
        ]
        for hot, block, unseen, seen in zip(hots, self.blocks, self.log_unseen[2], self.log_seen[2], strict=True):
            log_p = hot * (block + seen)
            first = torch.where((hot == 0).all(-1), unseen, log_p[..., 0])
            numbers.append(torch.cat([first.unsqueeze(-1), log_p[..., 1:]], -1))
        return self._row(*numbers, self.missing.log_prob(missing))

    def _row(self, *numbers: Tensor) -> Tensor:
        """Normal, counts, binary ones, blocks and missing ones in the order of the row."""
        return torch.cat(numbers, -1)[..., self.back]

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        with torch.no_grad():
            chosen = (Categorical(logits=block, validate_args=False).sample(sample_shape) for block in self.blocks)
            hot = [one_hot(each, block.shape[-1]) for each, block in zip(chosen, self.blocks, strict=True)]
            x, counts, binary, missing = (
                each.sample(sample_shape) for each in (self.normal, self.counts, self.binary, self.missing)
            )
            return self._row(x, counts.log1p(), binary, *(each.to(x) for each in hot), missing)

    @property
    def mean(self) -> Tensor:
        """Probabilities of binary and one-hot numbers, and log(1 + the mean of n) of counts."""
        blocks = [block.exp() for block in self.blocks]
        return self._row(self.normal.mean, self.counts.mean.log1p(), self.binary.mean, *blocks, self.missing.mean)

    @property
    def mode(self) -> Tensor:
        most_probable = [one_hot(block.argmax(-1), block.shape[-1]).to(block) for block in self.blocks]
        binary, missing = ((each.probs > 0.5).to(each.probs) for each in (self.binary, self.missing))
        return self._row(self.normal.mean, self.counts.mode.log1p(), binary, *most_probable, missing)
