"""From raw rows to the data space: augment, scale, binarize, dequantize, a whole batch at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from vaekit.batch import Batch

BINARIZE = ("none", "dynamic", "fixed", "threshold")


@dataclass(frozen=True)
class Transform:
    """From raw rows to the data space.

    The dtype of raw x determines its meaning: uint8 for gray values, bool for binary images, float for the data space.

    Args:
        bins: Number L of gray values of raw images; None for continuous rows.
        binarize: `dynamic` draws x ~ Bernoulli(k / (L - 1)) at each access (Salakhutdinov & Murray 2008), `fixed` once
            for each row, `threshold` takes x >= 0.5, `none` keeps k / (L - 1).
        dequantize: Whether to add uniform noise u, (k + u) / L.
        flip: Whether to mirror half of the training images.
        shift: Largest translation of training images in pixels, padded by zeros.

    Example:
        >>> import torch
        >>> from vaekit.batch import Batch
        >>> from vaekit.data.transform import Transform
        >>> Transform(bins=3)(Batch(torch.tensor([[0, 1, 2]], dtype=torch.uint8)), training=False).x
        tensor([[0.0000, 0.5000, 1.0000]])
    """

    bins: int | None
    binarize: str = "none"
    dequantize: bool = False
    flip: bool = False
    shift: int = 0

    def __call__(self, batch: Batch, training: bool) -> Batch:
        """The batch in the data space, float32. Random draws come from torch's generator."""
        if training and (self.flip or self.shift):
            batch = self.augment(batch)
        x = batch.x
        if x.dtype == torch.uint8:
            if self.binarize in ("dynamic", "fixed"):
                # k > r, with r uniform on 0 .. L - 2, has probability k / (L - 1); bytes are cheaper than floats, and
                # bytes turn into floats in a quarter of the time that booleans take
                fast = self.steps == 255 and x.device.type == "cpu"
                r = bytes_below_255(x.shape) if fast else torch.randint_like(x, self.steps)
                x = (x > r).view(torch.uint8)
            elif self.dequantize:
                x = self.draw(x, torch.rand(x.shape, device=x.device))
            else:
                x = self.expected(x)
        return replace(batch, x=x.float(), mask=None if batch.mask is None else batch.mask.float())

    @property
    def steps(self) -> int:
        return (self.bins or 2) - 1

    def draw(self, x: Tensor, u: Tensor) -> Tensor:
        """Binarize or dequantize raw images by the uniform noise `u`, both `[B, *shape]`."""
        if not self.dequantize:
            return x > u * self.steps
        # the noise avoids the ends, so that rounding to float32 moves no value into the next bin, or to 0 or 1
        return (x + (u * (1 - 2**-15) + 2**-16)) / (self.steps + 1)

    def expected(self, x: Tensor) -> Tensor:
        """The mean of transformed rows: gray values if they are binarized at random."""
        if x.is_floating_point() or x.dtype == torch.bool:
            return x.float()
        if self.binarize == "threshold":
            return (x >= (self.steps + 1) // 2).float()
        return (x + 0.5) / (self.steps + 1) if self.dequantize else x / self.steps

    def augment(self, batch: Batch) -> Batch:
        """Flip and shift each image, and its mask, at random."""
        count, height, width = len(batch), *batch.x.shape[-2:]
        device, s = batch.x.device, self.shift
        flipped = torch.rand(count, 1, device=device) < (0.5 if self.flip else 0.0)
        down, right = torch.randint(0, 2 * s + 1, (2, count, 1), device=device)
        rows = torch.arange(height, device=device) + down  # [B, H], in the padded image
        columns = torch.arange(width, device=device)
        columns = torch.where(flipped, columns.flip(0), columns) + right
        images = torch.arange(count, device=device)[:, None, None]

        def move(x: Tensor) -> Tensor:
            padded = F.pad(x, (s, s, s, s)).movedim(1, -1)
            return padded[images, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)

        return replace(batch, x=move(batch.x), mask=None if batch.mask is None else move(batch.mask))


def bytes_below_255(shape: torch.Size) -> Tensor:
    """Uniform on 0 .. 254, in a third of the time of torch.randint.

    Eight bytes are drawn at once, and again if one of them is 255.

    Args:
        shape: Of the result, uint8.
    """
    size = shape.numel()
    words = _words(-(-size // 8))
    redrawn = _holds_255(words).nonzero().view(-1)
    while len(redrawn):
        words[redrawn] = drawn = _words(len(redrawn))
        redrawn = redrawn[_holds_255(drawn)]
    return words.view(torch.uint8)[:size].view(shape)


def _words(count: int) -> Tensor:
    return torch.empty(count, dtype=torch.int64).random_(-(2**63), None)


def _holds_255(words: Tensor) -> Tensor:
    return (words.view(torch.uint8) != 255).view(torch.int64) != 0x0101010101010101
