"""Images with their labels."""

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
    """Images and their labels, either of which may be missing, shape (numbers,): the image's values, the one-hot label,
    and of each of the two whether it is there, 1 or 0. What is not there is 0 everywhere.

    image: where the images live. classes: of the labels.
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
        """The space of these images and labels."""
        return cls((image.size + classes + 2,), image, classes)

    @property
    def incomplete(self) -> bool:
        return True

    @property
    def modalities(self) -> int:
        return 2

    @property
    def sizes(self) -> list[int]:
        """How many numbers the image and the label have, and how many say which of them are there."""
        return [self.image.size, self.classes, self.modalities]

    @property
    def values(self) -> str:
        return "pairs" if self.image.values == "binary" else f"pairs of {self.image.values} images"

    @property
    def places(self) -> tuple[int, ...]:
        return (self.modalities,)

    def spread(self, each: Tensor) -> Tensor:
        return torch.cat([each.repeat_interleave(torch.tensor(self.sizes[:-1], device=each.device), -1), each], -1)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The images `[..., *image.shape]` of x, the labels, one-hot `[..., classes]`, and what is there `[..., 2]`."""
        image, label, there = x.split(self.sizes, -1)
        return image.unflatten(-1, self.image.shape), label, there

    def pair(self, image: Tensor | None, label: Tensor | None) -> Tensor:
        """x `[N, *shape]` of images `[N, *image.shape]` and numbers of classes `[N]`; None for what is missing."""
        n = len(image if image is not None else label)  # type: ignore[arg-type]
        x = torch.zeros(n, *self.shape)
        there = x[:, -self.modalities :]
        if image is not None:
            x[:, : self.image.size] = image.flatten(1)
            there[:, 0] = 1
        if label is not None:
            x[torch.arange(n), self.image.size + label.long()] = 1
            there[:, 1] = 1
        return x

    def alone(self, x: Tensor, modality: int) -> Tensor:
        """x `[..., *shape]` without all but one modality: 0 the image, 1 the label."""
        return x * self.spread((torch.arange(self.modalities, device=x.device) == modality).to(x))

    def check(self, x: Tensor) -> None:
        super().check(x)
        image, label, there = self.split(x)
        self.image.check(image)
        marked = ((there == 0) | (there == 1)).all() and (x * self.spread(there) == x).all()
        if not marked or not ((label == 0) | (label == 1)).all() or not (label.sum(-1) == there[..., 1]).all():
            raise Refusal(
                "Got labels that are not one of the classes, or numbers of what is missing, expected a one-hot label, "
                "1 for what is there, and 0 everywhere for what is not; draw some by task.draw=true."
            )
