"""A mixture of discretized logistic distributions over the channels of a pixel."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size

from vaekit.distributions.discretized_logistic import DiscretizedLogistic, in_bins
from vaekit.entropy_coder import STEP, Code, Digits, rounded


class LogisticMixture(Distribution):
    """Each pixel has one of M components, in which a channel's location depends linearly on the channels before it.

    Salimans et al. 2017 (PixelCNN++, https://arxiv.org/abs/1701.05517), sections 2.1 and 2.2. Values `[..., C, H, W]`
    are the gray values 0, 1/(L-1), ..., 1.

    Args:
        logits: Of the components, `[..., M, H, W]`.
        loc: `[..., M, C, H, W]`, on the scale of images in [0, 1].
        scale: `[..., M, C, H, W]`.
        coefficients: Of the channels before, `[..., M, C(C-1)/2, H, W]`, the rows of the lower triangle.
        bins: Number L of gray values.

    Example:
        >>> import torch
        >>> from vaekit.distributions.logistic_mixture import LogisticMixture
        >>> loc = torch.rand(2, 5, 3, 4, 4)
        >>> p = LogisticMixture(torch.zeros(2, 5, 4, 4), loc, 0.1 + 0 * loc, torch.zeros(2, 5, 3, 4, 4), bins=256)
        >>> p.sample().shape, p.log_prob(p.sample()).shape
        (torch.Size([2, 3, 4, 4]), torch.Size([2]))
    """

    arg_constraints = {}
    support = constraints.unit_interval

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor, coefficients: Tensor, bins: int):
        self.logits, self.loc, self.scale = logits.log_softmax(-3), loc, scale
        self.coefficients, self.bins = coefficients, bins
        super().__init__(loc.shape[:-4], loc.shape[-3:], validate_args=False)

    def expand(self, batch_shape: _size, _instance: Any = None) -> Any:
        logits, loc, scale, coefficients = (
            t.expand(*batch_shape, *t.shape[len(self.batch_shape) :])
            for t in (self.logits, self.loc, self.scale, self.coefficients)
        )
        return LogisticMixture(logits, loc, scale, coefficients, self.bins)

    def _shifted(self, channel: int, loc: Tensor, coefficients: Tensor, before: Tensor) -> Tensor:
        """The location of a channel given those before it. before `[..., channel, H, W]`."""
        if channel == 0:
            return loc[..., 0, :, :]
        start = channel * (channel - 1) // 2
        of_channel = coefficients[..., start : start + channel, :, :]
        return loc[..., channel, :, :] + (of_channel * (2 * before - 1)).sum(-3)

    def log_prob(self, value: Tensor) -> Tensor:
        x = value.unsqueeze(-4)
        score = self.logits
        for channel in range(self.event_shape[0]):
            loc = self._shifted(channel, self.loc, self.coefficients, x[..., :channel, :, :])
            logistic = DiscretizedLogistic(loc, self.scale[..., channel, :, :], self.bins)
            score = score + logistic.log_prob(x[..., channel, :, :])
        return score.logsumexp(-3).sum((-2, -1))

    def _with_component(self, pick: Tensor, follow: str) -> Tensor:
        """An image `[..., C, H, W]`, channel by channel, from component `pick` `[..., H, W]` of each pixel."""
        index = pick.unsqueeze(-3).unsqueeze(-3)

        def chosen(t: Tensor) -> Tensor:
            t = t.expand(*pick.shape[:-2], *t.shape[-4:])
            return t.gather(-4, index.expand(*pick.shape[:-2], 1, *t.shape[-3:-2], *pick.shape[-2:])).squeeze(-4)

        loc, scale, coefficients = chosen(self.loc), chosen(self.scale), chosen(self.coefficients)
        image = loc[..., :0, :, :]
        for channel in range(self.event_shape[0]):
            shifted = self._shifted(channel, loc, coefficients, image)
            logistic = DiscretizedLogistic(shifted, scale[..., channel, :, :], self.bins)
            drawn = logistic.sample() if follow == "sample" else getattr(logistic, follow)
            image = torch.cat([image, drawn.unsqueeze(-3)], -3)
        return image

    @torch.no_grad()
    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:
        logits = self.logits.movedim(-3, -1)
        pick = torch.distributions.Categorical(logits=logits, validate_args=False).sample(torch.Size(sample_shape))
        return self._with_component(pick, "sample")

    @property
    def mean(self) -> Tensor:
        """Exact for the first channel; later ones follow the means of those before, component by component."""
        weights = self.logits.exp()
        means = [
            self._with_component(torch.full_like(weights[..., 0, :, :], m, dtype=torch.long), "mean")
            for m in range(self.logits.shape[-3])
        ]
        return (torch.stack(means, -4) * weights.unsqueeze(-3)).sum(-4)

    @property
    def mode(self) -> Tensor:
        """The mode of the component with the largest weight of each pixel, channel by channel."""
        return self._with_component(self.logits.argmax(-3), "mode")

    def code(self, alphabet: Any) -> Code:
        return Channels(self)


class Channels:
    """The code of the pixels of a mixture of logistics: one channel after another, each a mixture given those before
    it.

    Args:
        d: The distribution.
    """

    def __init__(self, d: LogisticMixture):
        self.d = d

    def push(self, coder: Any, symbols: Tensor) -> None:
        for channel in reversed(range(symbols.shape[1])):
            self._given(symbols[:, :channel]).push(coder, symbols[:, channel])

    def pop(self, coder: Any) -> Tensor:
        batch, (channels, height, width) = len(self.d.logits), self.d.event_shape
        symbols = torch.zeros(batch, 0, height, width, dtype=torch.long)
        for _ in range(channels):
            symbols = torch.cat([symbols, self._given(symbols).pop(coder).unsqueeze(1)], 1)
        return symbols

    def _given(self, before: Tensor) -> Digits:
        """The code of the channel after those in `before` `[B, channel, H, W]`."""
        d, logits = self.d, self.d.logits
        x = (before.to(d.loc) / (d.bins - 1)).unsqueeze(1)
        for channel in range(before.shape[1]):
            logistic = DiscretizedLogistic(self._loc(channel, x), d.scale[:, :, channel], d.bins)
            logits = logits + logistic.log_prob(x[:, :, channel])
        channel = before.shape[1]
        params = rounded(logits, STEP), *in_bins(self._loc(channel, x), d.scale[:, :, channel], d.bins)
        return Digits(torch.sigmoid, d.bins, *(each.transpose(0, 1) for each in params))

    def _loc(self, channel: int, x: Tensor) -> Tensor:
        return self.d._shifted(channel, self.d.loc, self.d.coefficients, x[:, :, :channel])
