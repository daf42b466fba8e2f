"""How much the codes of a set of examples tell of which example they are of."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

CHUNK = 2**24  # numbers held at once


def mutual_information(q: Distribution, z: Tensor) -> float:
    """I(x; z) in nats, from a draw z_i `[N, *shape]` of each of N posteriors q(z | x_i) (Hoffman and Johnson 2016).

        I = E_i [log q(z_i | x_i) - log q(z_i)],   q(z) = 1/N sum_j q(z | x_j)

    of the N rows as the whole set, so that it is log N at most, and grows with N up to there.
    """
    n = len(z)
    rows = max(1, CHUNK // z.numel())
    log_q = torch.cat([q.log_prob(part.unsqueeze(1)) for part in z.split(rows)])  # [i, j]
    return float((log_q.diagonal() - log_q.logsumexp(1) + math.log(n)).mean())
