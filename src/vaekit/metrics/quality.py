"""Quality of generated examples compared with real ones, from features of both."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

CHUNK = 2**24  # distances held at once
CANDIDATES = 8  # number of rows whose distance is computed exactly


def quality(real: Tensor, generated: Tensor, k: int = 3) -> dict[str, float]:
    """Frechet distance, precision and recall of generated examples.

    Args:
        real: Features of real examples, `[N, D]`.
        generated: Features of generated examples, `[M, D]`.
        k: Neighbors that determine the radius, as in `precision_recall`.

    Example:
        >>> import torch
        >>> from vaekit.metrics.quality import quality
        >>> x = torch.arange(20.0).reshape(10, 2)
        >>> quality(x, x)["precision"]
        1.0
    """
    precision, recall = precision_recall(real, generated, k)
    return {"frechet": frechet_distance(real, generated), "precision": precision, "recall": recall}


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """The squared Wasserstein distance of Gaussians with the moments of two sets of features; 0 is best.

    Heusel et al. 2017, https://arxiv.org/abs/1706.08500. It is larger for fewer rows, so compare equal numbers of rows.

    Args:
        real: Features of real examples, `[N, D]`.
        generated: Features of generated examples, `[M, D]`.

    Example:
        >>> import torch
        >>> from vaekit.metrics.quality import frechet_distance
        >>> x = torch.arange(20.0).reshape(10, 2)
        >>> round(frechet_distance(x, x + 1), 2)   # two dimensions
        2.0
    """
    features: nn.Module = nn.Identity()
    features.num_features = real.shape[1]  # type: ignore[assignment]
    metric = FrechetInceptionDistance(feature=features).set_dtype(torch.float64).to(real.device)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    return float(metric.compute())


def precision_recall(real: Tensor, generated: Tensor, k: int = 3) -> tuple[float, float]:
    """Precision and recall by nearest neighbors (Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991, section
    2).

    Precision is the fraction of generated rows that lie in a ball around a real row, whose radius is the distance to
    its k-th real neighbor; recall exchanges the two sets.

    Args:
        real: Features of real examples, `[N, D]`.
        generated: Features of generated examples, `[M, D]`.
        k: Neighbors that determine the radius; 3 as in the paper.

    Example:
        >>> import torch
        >>> from vaekit.metrics.quality import precision_recall
        >>> x = torch.arange(20.0).reshape(10, 2)
        >>> precision_recall(x, x + 1000)
        (0.0, 0.0)
    """
    return _covered(generated, real, k), _covered(real, generated, k)


def _covered(points: Tensor, centers: Tensor, k: int) -> float:
    """The fraction of points within the distance of a center to its k-th neighbor among the centers."""
    points, centers = points.cpu().double(), centers.cpu().double()
    distances = (torch.cdist(part, centers) for part in _chunks(centers, len(centers)))
    rank = min(k + 1, len(centers))  # the first is the center itself
    radii = torch.cat([each.kthvalue(rank, 1).values for each in distances])
    inside = [(torch.cdist(part, centers) <= radii).any(1) for part in _chunks(points, len(centers))]
    return float(torch.cat(inside).float().mean())


def nearest_distance(points: Tensor, rows: Tensor) -> Tensor:
    """The Euclidean distance of each point to the nearest row; exactly 0 for a copy.

    A matrix product finds the `CANDIDATES` nearest rows; their distances come from differences, because those from the
    product have rounding errors.

    Args:
        points: `[M, D]`.
        rows: `[N, D]`.

    Returns:
        `[M]`.

    Example:
        >>> import torch
        >>> from vaekit.metrics.quality import nearest_distance
        >>> x = torch.arange(20.0).reshape(10, 2)
        >>> nearest_distance(x + torch.tensor([0.0, 0.5]), x)[0]
        tensor(0.5000)
    """
    points, rows = points.cpu().double(), rows.cpu().double()
    center = rows.mean(0)
    centered, distances = rows - center, []
    for part in _chunks(points, len(rows)):
        candidates = torch.cdist(part - center, centered).topk(min(CANDIDATES, len(rows)), largest=False).indices
        distances.append((part.unsqueeze(1) - rows[candidates]).norm(dim=2).amin(1))
    return torch.cat(distances).float()


def copy_fraction(to_train: Tensor, to_test: Tensor, by_chance: float) -> float:
    """The fraction of generated rows that are nearer to a training row than to any test row.

    A copy of a training row counts, whether or not a test row is the same; another tie counts as `by_chance`.

    Args:
        to_train: Distance of each generated row to the nearest training row, `[N]`.
        to_test: Distance of each generated row to the nearest test row, `[N]`.
        by_chance: The fraction of training rows among training and test rows.

    Example:
        >>> import torch
        >>> from vaekit.metrics.quality import copy_fraction
        >>> x = torch.arange(20.0).reshape(10, 2)
        >>> copy_fraction(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]), by_chance=0.5)
        0.5
    """
    near = torch.where(to_train == to_test, by_chance, (to_train < to_test).float())
    return float(near.masked_fill(to_train == 0, 1).mean())


def _chunks(points: Tensor, others: int) -> tuple[Tensor, ...]:
    return points.split(max(1, CHUNK // others))
