"""Mutual information of examples and latents."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

CHUNK = 2**24  # numbers held at once


def mutual_information(q: Distribution, z: Tensor) -> float:
    """I(x; z) = E_i [log q(z_i | x_i) - log q(z_i)] with q(z) = 1/N sum_j q(z | x_j) (Hoffman and Johnson 2016).

    The N rows are the whole distribution of x, so the result is at most log N.

    Args:
        q: The posteriors of N rows, batch shape `[N]`.
        z: A draw from each of them, `[N, *shape]`.

    Returns:
        Nats.

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> from vaekit.metrics.information import mutual_information
        >>> loc = torch.tensor([[-100.0], [0.0], [100.0]])   # posteriors that do not overlap
        >>> mutual_information(Independent(Normal(loc, 1.0), 1), loc)   # log 3
        1.0986
    """
    n = len(z)
    rows = max(1, CHUNK // z.numel())
    log_q = torch.cat([q.log_prob(part.unsqueeze(1)) for part in z.split(rows)])  # [i, j]
    return float((log_q.diagonal() - log_q.logsumexp(1) + math.log(n)).mean())
