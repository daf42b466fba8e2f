"""The density of the aggregate posterior q(z) = 1/N sum_n q(z | x_n), estimated from a batch of B of the N rows."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from vaekit.refusal import Refusal


class Aggregate(nn.Module):
    """log q(z_i | x_j) `[..., i, j]` -> log q(z_i) `[..., i]`, in nats, z_i being a draw from q(z | x_i).

    Chen et al. 2018, https://arxiv.org/abs/1802.04942. `stratified` (appendix C.2) is unbiased inside the log: x_i
    counts as the one row in N that it is, the others share the rest evenly (which is the paper's estimate averaged
    over the order of the batch). `weighted` (appendix C.1) counts each row of the batch as one in B. The paper divides
    by N B in its place, which has the same gradient, but is too small by log N: at q(z | x) = p(z), where there is no
    information, its figures would be log N. N is the number of training rows, and until that is known the batch's.
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
