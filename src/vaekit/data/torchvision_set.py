"""The data sets that torchvision downloads and reads, as arrays."""

from __future__ import annotations

import socket
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vaekit.data.cache import cached, fingerprint
from vaekit.data.source import Rows, Source, Split
from vaekit.refusal import Refusal
from vaekit.spaces import Image


class Layout(NamedTuple):
    """How torchvision stores a data set.

    Args:
        loader: torchvision's class.
        shape: Of an image.
        files: Pattern of its files below the root, with {} for the split.
        splits: Names of the training and test split in it.
    """

    loader: str
    shape: tuple[int, int, int]
    files: str
    splits: tuple[str, str] = ("train", "test")


SETS = {
    "mnist": Layout("MNIST", (1, 28, 28), "MNIST/raw/{}-*-ubyte", ("train", "t10k")),
    "fashion_mnist": Layout("FashionMNIST", (1, 28, 28), "FashionMNIST/raw/{}-*-ubyte", ("train", "t10k")),
    "kmnist": Layout("KMNIST", (1, 28, 28), "KMNIST/raw/{}-*-ubyte", ("train", "t10k")),
    "emnist": Layout("EMNIST", (1, 28, 28), "EMNIST/raw/emnist-balanced-{}-*-ubyte"),
    "omniglot": Layout("Omniglot", (1, 105, 105), "omniglot-py/images_{}*", ("background", "evaluation")),
    "cifar10": Layout("CIFAR10", (3, 32, 32), "cifar-10-batches-py/{}_batch*", ("data", "test")),
    "svhn": Layout("SVHN", (3, 32, 32), "{}_32x32.mat"),
}


class TorchvisionSet(Source):
    """One of torchvision's data sets, with 256 gray levels and labels.

    Args:
        name: mnist, fashion_mnist, kmnist, emnist (balanced), omniglot (background is training, evaluation is test;
            bright strokes on black), cifar10 or svhn.
        root: torchvision's root folder; missing files are downloaded into it.
        cache: Folder of decoded rows, see `cached`.
        image_size: Height and width in pixels to resize to; None keeps the data set's own.

    Raises:
        Refusal: If the name is unknown, and on loading if files are missing and cannot be downloaded.
    """

    def __init__(
        self, name: str, root: str | Path = "data", cache: str | Path | None = None, image_size: int | None = None
    ):
        if name not in SETS:
            raise Refusal(f"{name!r} is not a torchvision data set of vaekit, expected one of {', '.join(SETS)}.")
        if image_size is not None and image_size < 1:
            raise Refusal(f"Got data.image_size={image_size}, expected a number of pixels such as data.image_size=28.")
        self.name, self.root, self.cache = name, Path(root).expanduser(), cache
        self.layout = SETS[name]
        channels, *size = self.layout.shape
        height, width = size if image_size is None else (image_size, image_size)
        self._space = Image((channels, height, width))

    @property
    def space(self) -> Image:
        return self._space

    def load(self, split: Split) -> Rows:
        pattern = self.layout.files.format(self.layout.splits[split == "test"])
        if not any(self.root.glob(pattern)):
            self._open(split)  # downloads the files that the fingerprint reads
        key = f"{self.name}-{self.space.shape[1]}-{split}"
        stamp = fingerprint(sorted(self.root.glob(pattern)))
        return Rows(**cached(self.cache, key, stamp, lambda folder: self._build(split, folder)))

    def _build(self, split: Split, folder: Path) -> None:
        x, label = _arrays(self._open(split))
        if x.shape[-2:] != self.space.shape[-2:]:
            x = torch.cat([_resize(part, self.space.shape[-2:]) for part in x.split(1024)])
        np.save(folder / "x.npy", x.numpy())
        np.save(folder / "label.npy", label)

    def _open(self, split: Split) -> Any:
        """The data set of torchvision, downloaded if necessary."""
        from torchvision import datasets  # imported here: it takes seconds

        train = split == "train"
        others: dict[str, dict[str, Any]] = {
            "EMNIST": {"split": "balanced", "train": train},
            "Omniglot": {"background": train},
            "SVHN": {"split": split},
        }
        which = others.get(self.layout.loader, {"train": train})
        loader = getattr(datasets, self.layout.loader)
        timeout = socket.getdefaulttimeout()
        try:
            socket.setdefaulttimeout(5)  # seconds; torchvision sets none, and behind a firewall would wait for minutes
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of numpy, about old files
                try:
                    return loader(self.root, download=False, **which)
                except (RuntimeError, OSError):
                    return loader(self.root, download=True, **which)
        except (RuntimeError, OSError) as error:
            pattern = self.root.absolute() / self.layout.files.format(self.layout.splits[not train])
            raise Refusal(
                f"{self.layout.loader} is not in {self.root.absolute()} and could not be downloaded: put its files "
                f"there as {pattern}, name the folder that has them by data.root=FOLDER, or use data=digits, "
                f"which works offline."
            ) from error
        finally:
            socket.setdefaulttimeout(timeout)


def _arrays(dataset: Any) -> tuple[Tensor, np.ndarray]:
    """Images `[N, C, H, W]`, uint8, upright and bright on dark, and their labels `[N]`."""
    kind = type(dataset).__name__
    if kind == "Omniglot":
        images, labels = zip(*((255 - np.asarray(image), label) for image, label in dataset), strict=True)
        return torch.from_numpy(np.stack(images)[:, None]), np.asarray(labels, dtype=np.int64)
    x = torch.as_tensor(dataset.data)
    label = np.asarray(dataset.labels if kind == "SVHN" else dataset.targets, dtype=np.int64)
    if kind == "EMNIST":
        x = x.transpose(1, 2)  # its files store images by column
    if kind == "CIFAR10":
        x = x.permute(0, 3, 1, 2)
    return (x if x.dim() == 4 else x.unsqueeze(1)).contiguous(), label


def _resize(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """uint8 images `[N, C, H, W]` resized to `size` = (height, width)."""
    resized = F.interpolate(x.float(), size=list(size), mode="bilinear", antialias=True, align_corners=False)
    return resized.round().clamp(0, 255).byte()
