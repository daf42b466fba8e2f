"""The density of the aggregate posterior q(z) = 1/N sum_n q(z | x_n), estimated from a batch."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from vaekit.penalties.penalty import Penalty
from vaekit.refusal import Refusal
from vaekit.schedules.schedule import Schedule
from vaekit.vae import VAE


class Aggregate(nn.Module):
    """log q(z_i | x_j), `[..., i, j]`, to estimates of log q(z_i), `[..., i]`, in nats; z_i is a draw from q(z | x_i).

    Chen et al. 2018, https://arxiv.org/abs/1802.04942. N is the number of training rows, once it is known, and else the
    batch size B.

    `stratified` (appendix C.2) is unbiased before the logarithm: x_i has the weight 1/N, and the other rows of the
    batch share the rest evenly, which is the paper's estimate averaged over orders of the batch. `weighted` (appendix
    C.1) gives each row of the batch the weight 1/B. The paper divides by N B instead, which has the same gradient but
    is too small by log N: with q(z | x) = p(z) the mutual information would be log N instead of 0.

    Args:
        estimator: `stratified` or `weighted`.

    Raises:
        Refusal: If `estimator` is unknown.

    Example:
        >>> import torch
        >>> from vaekit.penalties.aggregate import Aggregate
        >>> Aggregate("weighted")(torch.zeros(3, 3))   # q(z | x) is the same for each x
        tensor([0., 0., 0.])
    """

    num_train: Tensor

    def __init__(self, estimator: str):
        super().__init__()
        if estimator not in ("stratified", "weighted"):
            raise Refusal(f"penalty.*.estimator={estimator} is unknown; use stratified or weighted.")
        self.estimator = estimator
        self.register_buffer("num_train", torch.zeros(()))

    def start_from(self, data: Any) -> None:
        self.num_train.fill_(data.num_train)

    def forward(self, log_q: Tensor) -> Tensor:
        batch = log_q.shape[-1]
        if self.estimator == "weighted":
            return log_q.logsumexp(-1) - math.log(batch)
        n = self.num_train.clamp_min(batch)
        own = torch.eye(batch, dtype=torch.bool, device=log_q.device)
        weights = torch.where(own, 1 / n, (n - 1) / n / max(batch - 1, 1))
        return (log_q + weights.log().to(log_q)).logsumexp(-1)


class AggregatePenalty(Penalty):
    """A penalty of the aggregate posterior, whose density `aggregate` estimates.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss, a number or a schedule.
        estimator: `stratified` or `weighted`, see `Aggregate`.

    Raises:
        Refusal: If `estimator` is unknown.
    """

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, estimator: str = "stratified"):
        super().__init__(vae, weight)
        self.aggregate = Aggregate(estimator)

    def start_from(self, data: Any) -> None:
        self.aggregate.start_from(data)
