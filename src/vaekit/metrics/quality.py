"""How close made examples are to real ones, from features `[N, D]` of both."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

CHUNK = 2**24  # distances held at once
CANDIDATES = 8  # rows whose distance is computed exactly


def quality(real: Tensor, made: Tensor, k: int = 3) -> dict[str, float]:
    """frechet, precision and recall of `made` `[M, D]` as seen from `real` `[N, D]`."""
    precision, recall = precision_recall(real, made, k)
    return {"frechet": frechet_distance(real, made), "precision": precision, "recall": recall}


def frechet_distance(real: Tensor, made: Tensor) -> float:
    """The squared Wasserstein distance of two Gaussians with the features' moments (Heusel et al. 2017,
    https://arxiv.org/abs/1706.08500): 0 at best. Few rows add to it, so compare equal numbers of rows.
    """
    features: nn.Module = nn.Identity()
    features.num_features = real.shape[1]  # type: ignore[assignment]
    metric = FrechetInceptionDistance(feature=features).set_dtype(torch.float64).to(real.device)
    metric.update(real, real=True)
    metric.update(made, real=False)
    return float(metric.compute())


def precision_recall(real: Tensor, made: Tensor, k: int = 3) -> tuple[float, float]:
    """Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991, section 2: the share of made rows that lie in a ball
    about a real row as wide as the distance to its k-th neighbour among the real rows, and the other way round.
    """
    return _covered(made, real, k), _covered(real, made, k)


def _covered(points: Tensor, centres: Tensor, k: int) -> float:
    """The share of points within the distance of some centre to its k-th neighbour among the centres."""
    points, centres = points.cpu().double(), centres.cpu().double()
    distances = (torch.cdist(part, centres) for part in _chunks(centres, len(centres)))
    rank = min(k + 1, len(centres))  # the first is the centre itself
    radii = torch.cat([each.kthvalue(rank, 1).values for each in distances])
    inside = [(torch.cdist(part, centres) <= radii).any(1) for part in _chunks(points, len(centres))]
    return float(torch.cat(inside).float().mean())


def nearest(points: Tensor, rows: Tensor) -> Tensor:
    """The Euclidean distance of each point `[M, D]` to the row `[N, D]` that is nearest, `[M]`; of a copy it is 0.

    A product of matrices finds the `CANDIDATES` nearest rows, in double precision about the rows' mean; their distances
    come from differences, because those by the product are off by rounding.
    """
    points, rows = points.cpu().double(), rows.cpu().double()
    centre = rows.mean(0)
    centred, found = rows - centre, []
    for part in _chunks(points, len(rows)):
        candidates = torch.cdist(part - centre, centred).topk(min(CANDIDATES, len(rows)), largest=False).indices
        found.append((part.unsqueeze(1) - rows[candidates]).norm(dim=2).amin(1))
    return torch.cat(found).float()


def copied(to_train: Tensor, to_test: Tensor, by_chance: float) -> float:
    """The fraction of made rows that are nearer to a training row than to any test row, of their distances `[N]`.

    A copy of a training row counts, whether or not a test row is the same; any other tie counts as much as training
    rows make up of all, `by_chance`.
    """
    near = torch.where(to_train == to_test, by_chance, (to_train < to_test).float())
    return float(near.masked_fill(to_train == 0, 1).mean())


def _chunks(points: Tensor, others: int) -> tuple[Tensor, ...]:
    return points.split(max(1, CHUNK // others))
