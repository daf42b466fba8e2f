"""A small classifier of the data of a run, in whose features generated examples are compared with real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR

from vaekit.data import sound
from vaekit.data.cache import cached, fingerprint
from vaekit.data.module import Part
from vaekit.refusal import Refusal
from vaekit.spaces import Audio, Maps, Pairs, Space
from vaekit.tasks.shared.context import Context
from vaekit.track import track

STEPS, BATCH, CHUNK = 1500, 128, 1024
COMPARED = 1000  # number of rows that identify a data set in the cache


@dataclass
class Examples:
    """Rows that are read on access.

    Args:
        count: Number of rows.
        read: Row numbers `[B]` to x `[B, *space.shape]`.
        label: `[count]`; None without labels.
    """

    count: int
    read: Callable[[Tensor], Tensor]
    label: Tensor | None

    def some(self, n: int) -> Tensor:
        """x of n rows drawn at random, or of all where there are fewer."""
        return self.read(torch.randperm(self.count)[:n])


class Images(nn.Module):
    """The images of pairs: `[B, *space.shape]` to `[B, C, H, W]`.

    Args:
        space: Space of the pairs.
    """

    def __init__(self, space: Pairs):
        super().__init__()
        self.space = space

    def forward(self, x: Tensor) -> Tensor:
        return self.space.split(x)[0]


class Spectrograms(nn.Module):
    """The spectrograms of waves: `[B, 1, 1, samples]` to `[B, 1, mels, frames]`.

    Args:
        space: Space of the waves.
    """

    def __init__(self, space: Audio):
        super().__init__()
        self.space = space

    def forward(self, x: Tensor) -> Tensor:
        return sound.spectrograms(x, self.space.rate, self.space.hop)


class Classifier(nn.Module):
    """A convolutional network for maps, an MLP for other data: x `[B, *space.shape]` to logits `[B, K]`.

    Of a pair it reads only the image, of a waveform its spectrogram. The attribute `features` computes
    the input of the last layer, `[B, 128]`.

    Args:
        space: Space of x.
        classes: `[K]`, the label of each class.
    """

    classes: Tensor

    def __init__(self, space: Space, classes: Tensor):
        super().__init__()
        body: list[nn.Module] = []
        if isinstance(space, Pairs):
            body.append(Images(space))
        elif isinstance(space, Audio) and space.bins:
            body.append(Spectrograms(space))
        if isinstance(space, Maps | Pairs):
            shape = nn.Sequential(*body)(torch.zeros(1, *space.shape)).shape
            body += [nn.Conv2d(shape[1], 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU()]
            body += [nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.BatchNorm2d(64), nn.ReLU()]
            body += [nn.AdaptiveAvgPool2d(7)] if min(shape[2:]) > 28 else []
        else:
            body += [nn.BatchNorm1d(space.size), nn.Linear(space.size, 256), nn.ReLU()]
        self.features = nn.Sequential(*body, nn.Flatten(), nn.LazyLinear(128), nn.ReLU())
        self.head = nn.Linear(128, len(classes))
        self.register_buffer("classes", classes)
        self.features.eval()(torch.zeros(2, *space.shape))  # sets the size of the lazy layer

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def class_of(label: Tensor) -> Tensor:
    """One class for each row.

    Args:
        label: `[N]`, or `[N, F]` factors, of which the first counts.

    Returns:
        `[N]`.

    Example:
        >>> import torch
        >>> from vaekit.tasks.shared.classifier import class_of
        >>> class_of(torch.tensor([[3, 0], [5, 1]]))
        tensor([3, 5])
    """
    return label.reshape(len(label), -1)[:, 0]


def real_rows(context: Context, part: Part) -> Examples:
    """Rows of the data of a run before random transforms: gray values where the model reads binarized images.

    Args:
        context: The run.
        part: Which rows.
    """
    rows, transform = context.data.in_order(part), context.data.transform
    rows.draw = None
    label = None if rows.label is None else class_of(rows.label[rows.indices])
    return Examples(len(rows.indices), lambda n: transform.expected(rows.gather(rows.indices[n]).x), label)


def fit(rows: Examples, space: Space, device: torch.device, what: str) -> Classifier:
    """Train a classifier for `STEPS` steps.

    Args:
        rows: Training rows.
        space: Space of x.
        device: Where it is trained.
        what: Text of the progress bar.

    Raises:
        Refusal: If the rows have no labels.
    """
    if rows.label is None:
        raise Refusal("The data have no labels to train a classifier on. Use data with labels.")
    known = (rows.label >= 0).nonzero().flatten()  # other labels are missing
    classes = rows.label[known].unique()
    classifier = Classifier(space, classes).to(device).train()
    targets = torch.searchsorted(classes, rows.label)
    optimizer = torch.optim.Adam(classifier.parameters())
    decay = OneCycleLR(optimizer, max_lr=3e-3, total_steps=STEPS)
    for _ in track(range(STEPS), what):
        drawn = known[torch.randint(len(known), (BATCH,))]
        optimizer.zero_grad()
        cross_entropy(classifier(rows.read(drawn).to(device)), targets[drawn].to(device)).backward()
        optimizer.step()
        decay.step()
    return classifier.eval()


def of_training_rows(context: Context) -> Classifier:
    """A classifier of the training rows of a run.

    It depends on these rows alone, and is cached next to the data for all runs on them.

    Args:
        context: The run.
    """
    rows, space, device = real_rows(context, "train"), context.vae.space, context.vae.device
    some = rows.read(torch.linspace(0, rows.count - 1, min(COMPARED, rows.count)).long())
    digest = hashlib.sha256(str((STEPS, BATCH, rows.count)).encode())
    for part in (some, rows.label):
        digest.update(b"" if part is None else part.numpy().tobytes())

    def train(folder: Path) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            trained = fit(rows, space, device, "training a classifier")
        for name, weight in trained.state_dict().items():
            np.save(folder / f"{name}.npy", weight.cpu().numpy())

    folder = context.data.source.cache
    weights = cached(folder, f"classifier-{digest.hexdigest()[:16]}", fingerprint([]), train)
    classifier = Classifier(space, torch.from_numpy(weights["classes"])).to(device).eval()
    classifier.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    return classifier


@torch.no_grad()
def accuracy(classifier: Classifier, rows: Examples) -> float:
    """The fraction of labeled rows whose class is predicted.

    Args:
        classifier: The classifier.
        rows: Rows with labels.
    """
    assert rows.label is not None
    correct, known = 0, (rows.label >= 0).nonzero().flatten()
    for numbers in known.split(CHUNK):
        found = classifier(rows.read(numbers).to(classifier.classes.device)).argmax(1)
        correct += int((classifier.classes[found].cpu() == rows.label[numbers]).sum())
    return correct / len(known)


@torch.no_grad()
def features(classifier: Classifier, x: Tensor) -> Tensor:
    """The input of the last layer of a classifier.

    Args:
        classifier: The classifier.
        x: `[N, *space.shape]`.

    Returns:
        `[N, 128]`.
    """
    return torch.cat([classifier.features(part.to(classifier.classes.device)) for part in x.split(CHUNK)])
