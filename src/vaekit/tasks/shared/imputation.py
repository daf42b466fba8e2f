"""Draws and means of what is missing, given what is observed."""

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
from vaekit.latents.tower import Step, descend
from vaekit.spaces import Table
from vaekit.track import track
from vaekit.vae import CHUNK_VALUES, VAE


@dataclass(frozen=True)
class IncompleteRows:
    """Rows with holes.

    x: `[N, *space.shape]`, 0 where nobody knows the value. observed: true where it may be looked at. hidden: true where
    it is known, but not shown: there an imputation can be scored. condition: of each row, where the model needs one.
    """

    x: Tensor
    observed: Tensor
    hidden: Tensor
    condition: Tensor | None = None

    @classmethod
    def whole(cls, x: Tensor, known: Tensor) -> IncompleteRows:
        """Rows of which all that is known is shown."""
        return cls(x, known, torch.zeros_like(known))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice) -> IncompleteRows:
        return self._each(lambda part: part[rows])

    def to(self, device: torch.device) -> IncompleteRows:
        return self._each(lambda part: part.to(device))

    def repeat(self, times: int) -> IncompleteRows:
        """All rows, so many times, one after the other."""
        return self._each(lambda part: part.repeat(times, *[1] * (part.dim() - 1)))

    def _each(self, change: Callable[[Tensor], Tensor]) -> IncompleteRows:
        parts = (self.x, self.observed, self.hidden, self.condition)
        return IncompleteRows(*(part if part is None else change(part) for part in parts))  # type: ignore[arg-type]

    def filled(self, fill: Tensor) -> Tensor:
        """x, with `fill` where it is not observed."""
        return torch.where(self.observed, self.x, fill)


@dataclass(frozen=True)
class Imputation:
    """mean: E[x | observed], `[N, *space.shape]`. draws: M multiple imputations, `[M, N, *space.shape]`. Both hold what
    is observed as it is. nll: -log p(hidden | observed) of each row's true values, `[N]`, in nats. plain: of a table
    the mean in the units of the file (`Table.in_units`), which is that of no number of the model.
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
    """By K draws z from q(z | x), weighted with p(observed, z) / q(z | x), where x has `fill` in its holes.

    The mean is self-normalised (Mattei and Frellsen 2019, https://arxiv.org/abs/1812.02633, section 3). Each multiple
    imputation is resampled among K / M draws of its own, at least one: where a single weight exceeds all others, they
    would come of the same z. K goes in chunks: `[K, B, ...]` never stands in memory.
    """
    x, features = rows.x, vae.encoder(rows.filled(fill))
    total = joint = x.new_full((len(rows),), -math.inf)  # log sum of the weights, of observed and of all values
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
            chunk_total, share = log_w.logsumexp(0), log_w.softmax(0)
            total = total.logaddexp(chunk_total)
            new = (chunk_total - total).exp()  # the share of this chunk in all weights so far
            mean += _like(new, mean) * (_average(share, expected) - mean)
            if table is not None and plain is not None:
                of_chunk = _average(share.cpu().double(), table.in_units(completed))
                plain += _like(new.cpu(), plain) * (of_chunk - plain)
            key, chosen = (log_w - torch.empty_like(log_w).exponential_().log()).max(0)  # as often as weights say
            picked = completed[chosen, torch.arange(len(rows), device=x.device)]
            drawn[number] = torch.where(_like(key > best, x), picked, drawn[number])
            best = best.maximum(key)
    return Imputation(rows.filled(mean), rows.filled(drawn), total - joint, _plain(table, rows, plain))


def _average(share: Tensor, values: Tensor) -> Tensor:
    """The mean `[B, ...]` of values `[K, B, ...]` by shares `[K, B]`. What all values agree on is not rounded."""
    return values[0] + torch.einsum("kb,kb...->b...", share, values - values[0])


def _plain(table: Table | None, rows: IncompleteRows, mean: Tensor | None) -> Tensor | None:
    """The mean of a table in the units of the file, with what is observed as it is."""
    if table is None or mean is None:
        return None
    return torch.where(rows.observed.cpu(), table.in_units(rows.x), mean)


@torch.no_grad()
def gibbs(vae: VAE, reader: VAE, rows: IncompleteRows, fill: Tensor, steps: int, draws: int) -> Imputation:
    """By pseudo-Gibbs sampling: z from q(z | x), then the missing values from p(x | z), and again (Rezende et al. 2014,
    https://arxiv.org/abs/1401.4082, appendix F).

    A chain per multiple imputation, each begun by the z that `reader` draws for x with `fill` in its holes. Mean and
    nll are of the second half of the `steps`.
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
    """Draws x and their means `[K, B, *space.shape]`, and log p(x | z) of what is observed and hidden, `[K, B]` each.

    What is drawn value by value is drawn given the observed values before: log p of these, met on the way, is what the
    weights of such draws lack, and the draws are all that is known of the mean.
    """
    if isinstance(px, Independent) and isinstance(px.base_dist, Autoregressive):
        x, observed = px.base_dist.sample_given(rows.x, rows.observed)
        return x, x, observed, px.log_prob(rows.x) - observed
    return px.sample(), px.mean, *log_probs(px, rows)


def log_probs(px: Distribution, rows: IncompleteRows) -> tuple[Tensor, Tensor]:
    """log p(x | z) of what is observed and of what is hidden, `[..., B]` each."""
    assert isinstance(px, Independent), "likelihoods that do not factorise are refused"
    each = px.base_dist.log_prob(rows.x)
    dims = list(range(-px.reinterpreted_batch_ndims, 0))
    zero = each.new_zeros(())  # no product: what stands for an unknown value may be impossible, and 0 * -inf is NaN
    return torch.where(rows.observed, each, zero).sum(dims), torch.where(rows.hidden, each, zero).sum(dims)


def learn_holes(vae: VAE, data: DataModule, draw: Callable[[int], Tensor], fill: Tensor, updates: int) -> VAE:
    """A copy of the VAE whose posterior has learned to read training rows with `fill` in their holes.

    q(z | observed) climbs its own mean log-density at draws z from q(z | x) of the same rows without holes: the
    inclusive KL divergence, under which it covers all that the missing values may have been (Harvey et al. 2022,
    https://arxiv.org/abs/2102.12037, equation 8). Nothing else changes, so p(x, z) is the same.

    draw(n): which values are observed, `[n, *space.shape]`, true or false. updates: by Adam, a batch of training each.
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
    for _ in track(range(updates), "learning to read holes"):
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
    """A number per row, with dimensions behind it to broadcast against `values`."""
    return each.reshape(*each.shape, *[1] * (values.dim() - each.dim()))
