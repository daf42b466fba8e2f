"""Draws and means of missing values, given the observed ones."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vaekit.data.module import DataModule
from vaekit.distributions.autoregressive import Autoregressive
from vaekit.distributions.marginal import log_prob_observed
from vaekit.latents.tower import Step, descend
from vaekit.spaces import Table
from vaekit.track import track
from vaekit.vae import CHUNK_VALUES, VAE


@dataclass(frozen=True)
class IncompleteRows:
    """Rows of which some values are missing.

    Args:
        x: `[N, *space.shape]`, 0 where the value is unknown.
        observed: Like x, true for values that the model reads.
        hidden: Like x, true for known values that are withheld from the model, by which an imputation is scored.
        condition: `[N, ...]`; None for an unconditional model.
    """

    x: Tensor
    observed: Tensor
    hidden: Tensor
    condition: Tensor | None = None

    @classmethod
    def fully_observed(cls, x: Tensor, known: Tensor) -> IncompleteRows:
        """Rows whose known values are all observed."""
        return cls(x, known, torch.zeros_like(known))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice) -> IncompleteRows:
        return self._map(lambda part: part[rows])

    def to(self, device: torch.device) -> IncompleteRows:
        return self._map(lambda part: part.to(device))

    def repeat(self, times: int) -> IncompleteRows:
        """All rows, repeated this many times."""
        return self._map(lambda part: part.repeat(times, *[1] * (part.dim() - 1)))

    def _map(self, change: Callable[[Tensor], Tensor]) -> IncompleteRows:
        parts = (self.x, self.observed, self.hidden, self.condition)
        return IncompleteRows(*(part if part is None else change(part) for part in parts))  # type: ignore[arg-type]

    def filled(self, fill: Tensor) -> Tensor:
        """x, with `fill` where it is not observed."""
        return torch.where(self.observed, self.x, fill)


@dataclass(frozen=True)
class Imputation:
    """Imputed rows. Observed values are as they were.

    Args:
        mean: E[x | observed], `[N, *space.shape]`.
        draws: `[M, N, *space.shape]`, M multiple imputations.
        nll: -log p(hidden | observed) of the true values, `[N]`, nats.
        plain: For tables the mean in the units of the file (`Table.in_units`); None for other data. The mean of
            transformed values, transformed back, is not this mean.
    """

    mean: Tensor
    draws: Tensor
    nll: Tensor
    plain: Tensor | None = None

    def cpu(self) -> Imputation:
        return Imputation(self.mean.cpu(), self.draws.cpu(), self.nll.cpu(), self.plain)

    @classmethod
    def join(cls, parts: Sequence[Imputation]) -> Imputation:
        """The rows of all parts, one after the other."""
        plain = [part.plain for part in parts if part.plain is not None]
        return cls(
            torch.cat([part.mean for part in parts]),
            torch.cat([part.draws for part in parts], 1),
            torch.cat([part.nll for part in parts]),
            torch.cat(plain) if plain else None,
        )


@torch.no_grad()
def importance_weighted(vae: VAE, rows: IncompleteRows, fill: Tensor, num_samples: int, draws: int) -> Imputation:
    """Impute by K draws of z from q(z | x), weighted with p(observed, z) / q(z | x).

    The mean is self-normalized (Mattei and Frellsen 2019, https://arxiv.org/abs/1812.02633, section 3). Each multiple
    imputation is resampled among K / M draws of its own, at least one: with a single dominant weight, all would come
    from one z. K is processed in chunks, so memory does not grow with it.

    Args:
        vae: The model.
        rows: The rows.
        fill: `[*space.shape]`, input of the encoder where values are missing.
        num_samples: Number K of draws of z.
        draws: Number M of multiple imputations.
    """
    x, features = rows.x, vae.encoder(rows.filled(fill))
    total = joint = x.new_full((len(rows),), -math.inf)  # log of the sum of weights, for observed and for all values
    mean, drawn = torch.zeros_like(x), x.expand(draws, *x.shape).clone()
    table = vae.space if isinstance(vae.space, Table) else None
    plain = None if table is None else torch.zeros_like(x, dtype=torch.float64, device="cpu")
    chunk = max(1, CHUNK_VALUES // (len(rows) * vae.likelihood.bias.numel()))
    for number in range(draws):
        own = max(1, num_samples // draws + (number < num_samples % draws))
        best = torch.full_like(total, -math.inf)
        for k in (min(chunk, own - done) for done in range(0, own, chunk)):
            steps, state = vae.infer(features, k, condition=rows.condition)
            completed, expected, observed, hidden = complete(vae.likelihood(state), rows)
            log_w = observed + sum(step.p.log_prob(step.z) - step.q.log_prob(step.z) for step in steps if step.q)
            joint = joint.logaddexp((log_w + hidden).logsumexp(0))
            chunk_total, weight = log_w.logsumexp(0), log_w.softmax(0)
            total = total.logaddexp(chunk_total)
            new = (chunk_total - total).exp()  # fraction of the weights so far that belongs to this chunk
            mean += _like(new, mean) * (_average(weight, expected) - mean)
            if table is not None and plain is not None:
                of_chunk = _average(weight.cpu().double(), table.in_units(completed))
                plain += _like(new.cpu(), plain) * (of_chunk - plain)
            key, chosen = (log_w - torch.empty_like(log_w).exponential_().log()).max(0)  # by their weights
            picked = completed[chosen, torch.arange(len(rows), device=x.device)]
            drawn[number] = torch.where(_like(key > best, x), picked, drawn[number])
            best = best.maximum(key)
    return Imputation(rows.filled(mean), rows.filled(drawn), total - joint, _plain(table, rows, plain))


def _average(weight: Tensor, values: Tensor) -> Tensor:
    """The mean `[B, ...]` of values `[K, B, ...]` by weights `[K, B]`. Values that are all equal are not rounded."""
    return values[0] + torch.einsum("kb,kb...->b...", weight, values - values[0])


def _plain(table: Table | None, rows: IncompleteRows, mean: Tensor | None) -> Tensor | None:
    """The mean of a table in the units of the file, with observed values unchanged."""
    if table is None or mean is None:
        return None
    return torch.where(rows.observed.cpu(), table.in_units(rows.x), mean)


@torch.no_grad()
def gibbs(vae: VAE, reader: VAE, rows: IncompleteRows, fill: Tensor, steps: int, draws: int) -> Imputation:
    """Impute by pseudo-Gibbs sampling: z from q(z | x), then the missing values from p(x | z), repeatedly.

    Rezende et al. 2014, https://arxiv.org/abs/1401.4082, appendix F. There is a chain for each multiple imputation.
    Mean and nll are averages over the second half of the steps.

    Args:
        vae: The model.
        reader: Model whose posterior draws the first z, from x with `fill` in place of missing values.
        rows: The rows.
        fill: `[*space.shape]`.
        steps: Steps of each chain.
        draws: Number M of chains and multiple imputations.
    """
    chains = rows.repeat(draws)
    total, log_p = torch.zeros_like(chains.x), chains.x.new_full((len(chains),), -math.inf)
    table = vae.space if isinstance(vae.space, Table) else None
    plain = None if table is None else torch.zeros_like(total, dtype=torch.float64, device="cpu")
    state = reader.infer(reader.encoder(chains.filled(fill)), condition=chains.condition).state[0]
    kept = range(steps // 2, steps)
    for step in range(steps):
        px = vae.likelihood(state)
        x = chains.filled(px.sample())
        if step in kept:
            total += px.mean
            if table is not None and plain is not None:
                plain += table.in_units(px.sample())
            log_p = log_p.logaddexp(log_probs(px, chains)[1])
        state = vae.infer(vae.encoder(x), condition=chains.condition).state[0]
    mean = (total / len(kept)).unflatten(0, (draws, -1)).mean(0)
    if plain is not None:
        plain = (plain / len(kept)).unflatten(0, (draws, -1)).mean(0)
    log_p = log_p.unflatten(0, (draws, -1)).logsumexp(0) - math.log(draws * len(kept))
    return Imputation(rows.filled(mean), x.unflatten(0, (draws, -1)), -log_p, _plain(table, rows, plain))


def complete(px: Distribution, rows: IncompleteRows) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draws of x, their means, and log-likelihoods of observed and hidden values.

    An autoregressive likelihood draws each value given the observed values before it. The log-probability of the
    observed values, computed on the way, corrects the weights of such draws, and the draws replace the mean.

    Args:
        px: p(x | z), batch shape `[K, B]`.
        rows: B rows.

    Returns:
        Draws and means `[K, B, *space.shape]`; log p(x | z) of the observed and of the hidden values, `[K, B]`, nats.
    """
    if isinstance(px, Independent) and isinstance(px.base_dist, Autoregressive):
        x, observed, hidden = px.base_dist.impute(rows.x, rows.observed, rows.hidden)
        return x, x, observed, hidden
    return px.sample(), px.mean, *log_probs(px, rows)


def log_probs(px: Distribution, rows: IncompleteRows) -> tuple[Tensor, Tensor]:
    """Log-likelihoods of observed and of hidden values.

    Args:
        px: A factorized p(x | z), batch shape `[..., B]`.
        rows: B rows.

    Returns:
        `[..., B]` each, nats.
    """
    return log_prob_observed(px, rows.x, rows.observed), log_prob_observed(px, rows.x, rows.hidden)


def train_on_missing(vae: VAE, data: DataModule, draw: Callable[[int], Tensor], fill: Tensor, updates: int) -> VAE:
    """A copy of a VAE whose posterior is trained for rows with missing values.

    q(z | observed) is trained on draws z from q(z | x) of the same rows without missing values, by maximum likelihood.
    This minimizes the inclusive KL divergence, so q covers all possible missing values (Harvey et al. 2022,
    https://arxiv.org/abs/2102.12037, equation 8). p(x, z) does not change.

    Args:
        vae: The model.
        data: Data of the run.
        draw: `draw(n)` gives which values are observed, `[n, *space.shape]`, bool.
        fill: `[*space.shape]`, input of the encoder where values are missing.
        updates: Steps of Adam, with a training batch each.
    """
    reader = copy.deepcopy(vae).requires_grad_(False)
    posterior = [
        weight.requires_grad_()
        for name, weight in reader.named_parameters()
        if name.startswith("encoder.") or ".posterior." in name
    ]
    optimizer = torch.optim.Adam(posterior, lr=1e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, updates))
    rows = data.in_order("train")
    for _ in track(range(updates), "training the encoder for missing values"):
        numbers = rows.indices[torch.randint(len(rows.indices), (data.batch_size,))]
        batch = data.transform(rows.gather(numbers).to(vae.device), training=False)
        observed = draw(len(batch)).to(vae.device)
        if batch.mask is not None:
            observed = observed & batch.mask.bool()
        condition = vae.condition_of(batch)
        with torch.no_grad():
            zs = [step.z[0] for step in vae.infer(vae.encoder(batch.x), condition=condition).steps]
        loss = -_log_posterior(reader, torch.where(observed, batch.x, fill), zs, condition).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
    return reader.requires_grad_(False)


def _log_posterior(vae: VAE, x: Tensor, zs: list[Tensor], condition: Tensor | None) -> Tensor:
    """log q(z | x) of the z given for each level, `[B]`."""
    features, given = vae.encoder(x), iter(zs)
    levels, start = vae.initial_state(condition)
    walk = descend(levels, lambda level, state, p: Step(next(given), level.infer(features, state), p), start)
    return sum((step.q.log_prob(step.z) for step in walk.steps if step.q), x.new_zeros(len(x)))


def _like(each: Tensor, values: Tensor) -> Tensor:
    """A number for each row, with trailing dimensions to broadcast against `values`."""
    return each.reshape(*each.shape, *[1] * (values.dim() - each.dim()))
