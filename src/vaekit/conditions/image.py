"""Images as conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from vaekit import spaces
from vaekit.conditions.attributes import Attributes
from vaekit.networks.conv import Encoder
from vaekit.refusal import Refusal


class Image(Attributes):
    """An image of each row, flat, `[B, C * H * W]`, as the features that a convolutional network computes from it.

    The network learns with the model. The images are the array `condition` of the data (data=arrays).

    Args:
        shape: Channels, height and width, [C, H, W].
        channels: Channels of each layer of the network (`vaekit.networks.conv.Encoder`).
        features: Number of features.

    Raises:
        Refusal: If `shape` is missing or does not hold three numbers from 1 on.

    References:
        Kihyuk Sohn, Honglak Lee, Xinchen Yan. Learning Structured Output Representation using Deep Conditional
            Generative Models. In NeurIPS 2015. https://papers.nips.cc/paper/5775

    Example:
        >>> import torch
        >>> from vaekit.conditions.image import Image
        >>> Image([1, 8, 8], channels=[4], features=16)(torch.zeros(5, 64)).shape
        torch.Size([5, 16])
    """

    def __init__(self, shape: Sequence[int] | None, channels: Sequence[int], features: int = 64):
        if shape is None or len(shape) != 3 or min(shape) < 1:
            raise Refusal(f"condition.shape={shape} must be channels, height, width; use condition.shape=[1,28,28].")
        super().__init__(math.prod(shape))
        self.image, self.size = tuple(shape), features
        self.network = Encoder(spaces.Image(self.image, bins=None), channels, features)

    def forward(self, values: Tensor) -> Tensor:
        return self.network(values.reshape(-1, *self.image))

    def fix(self, column: Tensor) -> str:
        return f"use the channels, height and width of its {column.shape[-1]} values"
