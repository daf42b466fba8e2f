"""Pairs of an image and its label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.refusal import Refusal
from vaekit.spaces.image import Image
from vaekit.spaces.space import Space


@dataclass(frozen=True)
class Pairs(Space):
    """Pairs of an image and a label, flat: the image's values, the one-hot label, and for each of the two 1 if it is
    observed.

    A missing modality is 0 everywhere.

    Args:
        shape: (numbers,).
        image: The space of the images.
        classes: Number of classes.

    Raises:
        ValueError: If the shape does not fit the images and classes.

    Example:
        >>> from vaekit.spaces import Image, Pairs
        >>> Pairs.of(Image((1, 8, 8), bins=2), classes=10).shape
        (76,)
    """

    image: Image
    classes: int

    def __post_init__(self) -> None:
        if isinstance(self.image, Mapping):
            image = dict(self.image)
            object.__setattr__(self, "image", Image(**{**image, "shape": tuple(map(int, image["shape"]))}))
        if self.classes < 1 or self.shape != (sum(self.sizes),):
            raise ValueError(f"images of {self.image.size} values, {self.classes} classes, shape {self.shape}")

    @classmethod
    def of(cls, image: Image, classes: int) -> Pairs:
        """The space of pairs of these images and labels."""
        return cls((image.size + classes + 2,), image, classes)

    @property
    def incomplete(self) -> bool:
        return True

    @property
    def modalities(self) -> int:
        return 2

    @property
    def sizes(self) -> list[int]:
        """Length of the image, of the label, and of the indicators of which are observed."""
        return [self.image.size, self.classes, self.modalities]

    @property
    def values(self) -> str:
        return "pairs" if self.image.values == "binary" else f"pairs of {self.image.values} images"

    @property
    def cell_shape(self) -> tuple[int, ...]:
        return (self.modalities,)

    def per_value(self, each: Tensor) -> Tensor:
        return torch.cat([each.repeat_interleave(torch.tensor(self.sizes[:-1], device=each.device), -1), each], -1)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The parts of x `[..., *shape]`: images `[..., *image.shape]`, one-hot labels `[..., classes]`, and which of
        the two are observed, `[..., 2]`.
        """
        image, label, observed = x.split(self.sizes, -1)
        return image.unflatten(-1, self.image.shape), label, observed

    def pair(self, image: Tensor | None, label: Tensor | None) -> Tensor:
        """x `[N, *shape]` of images `[N, *image.shape]` and class numbers `[N]`; None for what is missing."""
        n = len(image if image is not None else label)  # type: ignore[arg-type]
        x = torch.zeros(n, *self.shape)
        observed = x[:, -self.modalities :]
        if image is not None:
            x[:, : self.image.size] = image.flatten(1)
            observed[:, 0] = 1
        if label is not None:
            x[torch.arange(n), self.image.size + label.long()] = 1
            observed[:, 1] = 1
        return x

    def keep_modality(self, x: Tensor, modality: int) -> Tensor:
        """x `[..., *shape]` with only one modality: 0 the image, 1 the label."""
        return x * self.per_value((torch.arange(self.modalities, device=x.device) == modality).to(x))

    def check(self, x: Tensor) -> None:
        super().check(x)
        image, label, observed = self.split(x)
        self.image.check(image)
        consistent = ((observed == 0) | (observed == 1)).all() and (x * self.per_value(observed) == x).all()
        if not consistent or not ((label == 0) | (label == 1)).all() or not (label.sum(-1) == observed[..., 1]).all():
            raise Refusal(
                "Got a pair with wrong labels or indicators, expected one-hot labels, indicators 1 for observed "
                "modalities, and 0 everywhere in missing ones; draw such pairs by task.draw=true."
            )
