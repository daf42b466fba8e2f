"""A shallow mixture of product distributions over the columns of a table, fitted by expectation-maximization (EM).

p(x) = sum_k w_k prod_d p(x_d | k), with a distribution over categories for each column d. Numbers are put into bins of
as many training values each, where a value that fills a bin has its own; a drawn number is a training value of its bin.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

BATCH = 2048  # rows of which responsibilities are computed at once


class Bins(NamedTuple):
    """A column as integer codes.

    Args:
        codes: `[N]`, bin or category of each value.
        values: `[N]`, sorted by code.
        starts: `[C + 1]`, where the values of each code begin.
    """

    codes: np.ndarray
    values: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, column: pd.Series, bins: int) -> "Bins":
        values = column.to_numpy()
        if column.dtype.kind == "f":
            quantiles = np.nanquantile(values, np.linspace(0, 1, bins + 1), method="lower")
            edges, counts = np.unique(quantiles, return_counts=True)
            keys = 2 * np.searchsorted(edges, values) + np.isin(values, edges[counts > 1])  # NaN comes last
        else:
            keys = values.astype(str)
        codes, sizes = np.unique(keys, return_inverse=True, return_counts=True)[1:]
        return cls(codes, values[np.argsort(codes, kind="stable")], np.concatenate([[0], np.cumsum(sizes)]))

    def draw(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A training value of each code."""
        return self.values[rng.integers(self.starts[codes], self.starts[codes + 1])]


class Mixture:
    """Mixture of K product distributions over integer codes.

    Args:
        codes: `[N, D]`, of the training rows.
        components: Number K.
        smoothing: Number of rows, distributed as the whole table, that are added to each component.
        seed: Of the training rows with which the components start.
    """

    def __init__(self, codes: np.ndarray, components: int, smoothing: float, seed: int) -> None:
        sizes = codes.max(0) + 1
        self.ends = np.cumsum(sizes)
        self.rows = torch.from_numpy(codes + self.ends - sizes)  # numbers of cells of `table`
        self.smoothing = smoothing
        self.marginal = (torch.bincount(self.rows.flatten(), minlength=int(self.ends[-1])) / len(codes)).unsqueeze(1)
        self.weight = torch.full((components,), 1 / components)
        picked = torch.randint(len(codes), (components,), generator=torch.Generator().manual_seed(seed))
        started = torch.zeros(len(self.marginal), components)
        started[self.rows[picked].T, torch.arange(components)] = 1
        self.table = (started + self.marginal) / 2  # [cells, K], p(x_d | k)

    def log_joint(self, rows: Tensor) -> Tensor:
        """log w_k + log p(x | k), `[B, K]`."""
        return embedding_bag(rows, self.table.log(), mode="sum") + self.weight.log()

    def step(self) -> float:
        """One step of EM; returns the mean log-likelihood before it, in nats of codes, with that of the smoothing."""
        total = float((self.smoothing * self.marginal * self.table.log()).sum())
        counts = (self.smoothing * self.marginal).expand_as(self.table).clone()
        weight = torch.zeros_like(self.weight)
        for rows in self.rows.split(BATCH):
            joint = self.log_joint(rows)
            total += float(joint.logsumexp(1).sum(dtype=torch.float64))
            joint = joint.softmax(1)
            weight += joint.sum(0)
            for column in rows.T:
                counts.index_add_(0, column, joint)
        self.weight = weight / weight.sum()
        self.table = counts / (weight + self.smoothing)
        return total / len(self.rows)

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Codes of n rows, `[n, D]`."""
        weight = self.weight.double().numpy()
        component = rng.choice(len(weight), n, p=weight / weight.sum())
        drawn = []
        for part in self.table.tensor_split(self.ends[:-1].tolist()):
            cumulative = part.double().cumsum(0).numpy()[:, component]
            drawn.append((cumulative < rng.random(n) * cumulative[-1]).sum(0))
        return np.stack(drawn, 1)


def synthesize(
    rows: pd.DataFrame,
    n: int,
    seed: int,
    components: int = 1000,
    bins: int = 50,
    smoothing: float = 0.1,
    steps: int = 100,
) -> pd.DataFrame:
    """Fit a mixture to a table, and draw n rows from it."""
    columns = {name: Bins.of(rows[name], bins) for name in rows}
    mixture = Mixture(np.stack([each.codes for each in columns.values()], 1), components, smoothing, seed)
    for _ in range(steps):
        mixture.step()
    rng = np.random.default_rng(seed)
    drawn = mixture.draw(n, rng)
    return pd.DataFrame({name: each.draw(drawn[:, i], rng) for i, (name, each) in enumerate(columns.items())})
