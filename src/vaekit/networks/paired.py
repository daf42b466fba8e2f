"""An encoder and a decoder of images by any network of vectors, with a layer for their labels.

References:
    Mike Wu, Noah Goodman. Multimodal Generative Models for Scalable Weakly-Supervised Learning. In NeurIPS 2018.
        https://arxiv.org/abs/1802.05335
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vaekit.capabilities import Capability
from vaekit.networks.glorot import glorot
from vaekit.networks.network import Features
from vaekit.refusal import Refusal, at_least_one, setting
from vaekit.spaces import Image, Pairs


class Encoder(Features):
    """x `[N, *space.shape]` -> the features of image and label, each followed by 1 if it is observed, else 0.

    Args:
        space: The space of x.
        image: `image(space)` builds the encoder of images.

    Returns:
        `[N, 2, features + 1]`.

    Raises:
        Refusal: If the encoder of images gives maps instead of a vector.

    Example:
        >>> import torch
        >>> from functools import partial
        >>> from vaekit.networks import mlp, paired
        >>> from vaekit.spaces import Image, Pairs
        >>> space = Pairs.of(Image((1, 8, 8), bins=2), 10)
        >>> paired.Encoder(space, partial(mlp.Encoder, hidden=[4])).out_shape
        (2, 5)
    """

    reads = Pairs
    gives = frozenset({Capability.MODALITIES})

    def __init__(self, space: Pairs, image: Callable[[Image], Any]):
        super().__init__()
        self.space, self.image = space, image(space.image)
        if len(self.image.out_shape) != 1:
            raise Refusal(
                f"{setting('image')} gives maps, expected a vector; use network@{setting('image')}=mlp or conv."
            )
        (width,) = self.image.out_shape
        self.label = glorot(nn.Sequential(nn.Linear(space.classes, width), nn.ReLU()))
        self.out_shape = (space.modalities, width + 1)

    def forward(self, x: Tensor) -> Tensor:
        image, label, observed = self.space.split(x)
        features = torch.stack([self.image(image).to(x), self.label(label).to(x)], 1)
        return torch.cat([features, observed.unsqueeze(-1)], -1)


class Decoder(nn.Module):
    """Latent state `[N, *in_shape]` -> `params` numbers for each of x, `[N, params, *space.shape]`.

    Args:
        in_shape: Shape of the latent state of a row.
        space: The space of x.
        params: Parameters per value that the likelihood needs.
        image: `image(in_shape, space, params)` builds the decoder of images.
        label: Units of the hidden layer between z and the label.

    Raises:
        Refusal: If `label` is below 1.

    Example:
        >>> import torch
        >>> from functools import partial
        >>> from vaekit.networks import mlp, paired
        >>> from vaekit.spaces import Image, Pairs
        >>> space = Pairs.of(Image((1, 8, 8), bins=2), 10)
        >>> paired.Decoder((3,), space, 1, partial(mlp.Decoder, hidden=[4]))(torch.zeros(2, 3)).shape
        torch.Size([2, 1, 76])
    """

    def __init__(
        self, in_shape: tuple[int, ...], space: Pairs, params: int, image: Callable[..., Any], label: int = 256
    ):
        super().__init__()
        at_least_one(label=(label, 256))
        self.in_shape, self.params, self.rest = in_shape, params, space.modalities
        self.image = image(in_shape, space.image, params)
        self.label = glorot(
            nn.Sequential(
                nn.Flatten(),
                nn.Linear(math.prod(in_shape), label),
                nn.ReLU(),
                nn.Linear(label, params * space.classes, bias=False),  # the likelihood adds a bias
                nn.Unflatten(1, (params, space.classes)),
            )
        )

    def forward(self, z: Tensor) -> Tensor:
        image, label = self.image(z).flatten(2), self.label(z)
        return torch.cat([image, label, label.new_zeros(len(z), self.params, self.rest)], 2)
