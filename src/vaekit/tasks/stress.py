"""Paths of series under a scenario, and the losses of a portfolio on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaekit.capabilities import Capability
from vaekit.data.module import Part
from vaekit.latents.tower import Level, Step, descend
from vaekit.media.figures import Headings
from vaekit.media.plots import save_panels
from vaekit.metrics.series import autocorrelation, correlation, drawdown, kurtosis, risk
from vaekit.refusal import Refusal
from vaekit.spaces import Real, Series
from vaekit.tasks.shared.checks import one_of, positive, within
from vaekit.tasks.shared.context import Context
from vaekit.tasks.shared.requires import requires

ELITE, ROUNDS = 0.05, 10  # fraction of paths to fit a proposal to; largest number of proposals
LAGS = 10
LEVELS = (0.95, 0.99)
LINES = ("-", "--", "-.", ":")  # of test, training, synthetic and resampled windows, which may coincide

# severity `[n]` of paths of the portfolio value `[n, 1 + T]`, which start at 1
SEVERITY: dict[str, Callable[[Tensor], Tensor]] = {
    "drawdown": drawdown,
    "volatility": lambda value: (value[:, 1:] / value[:, :-1] - 1).std(1),
    "loss": lambda value: 1 - value[:, -1],
}


@dataclass
class Paths:
    """Paths of series with importance weights.

    Args:
        x: `[n, *space.shape]`.
        z: `[n, ...]`, of the top level.
        log_weight: `[n]`, log p(z) / q(z) for the proposal q that z was drawn from.
    """

    x: Tensor
    z: Tensor
    log_weight: Tensor


@requires(Capability.RETURNS)
def stress(
    context: Context,
    scenario: str = "drawdown",
    least: float | None = None,
    top: float = 0.05,
    n: int = 10_000,
    paths: int = 100,
) -> dict[str, Any]:
    """Write paths of an equally weighted portfolio, rebalanced at each step, without and under a scenario.

    Under the scenario, z is drawn half from the prior and half from a Gaussian fitted to the worst paths so far (the
    cross-entropy method, Rubinstein 1999); each path in the scenario has the importance weight p(z) / q(z).

    Writes stress.csv and stress.png, paths of the scenario drawn by their weights; risk.png, facts.png, and
    stress.json: probability of the scenario, effective number of paths (Kong 1992), value-at-risk and expected
    shortfall over the window at 95 and 99 %, also of real windows, of resampled days (`bootstrap`) and of normal days
    (`gaussian`), both from the training data; excess kurtosis, autocorrelation of absolute returns, correlation.

    Args:
        context: The run.
        scenario: drawdown (the deepest fall from a peak), volatility (the standard deviation of returns) or loss (over
            the whole window).
        least: Smallest severity in the scenario, as a fraction (0.1); None for the `top` fraction of all paths.
        top: Fraction of paths, without `least`.
        n: Paths drawn from the prior, and again under the scenario.
        paths: Paths that are written.

    Returns:
        The contents of stress.json.

    Raises:
        Refusal: For data that are not returns, and for a scenario that no path reaches.
    """
    space = context.vae.space
    one_of("task.scenario", scenario, tuple(SEVERITY))
    within("task.n", n, 100)
    within("task.paths", paths, 1)
    positive("task.top", top)
    if least is not None:
        positive("task.least", least)
    if top >= 1:
        raise Refusal(f"Got task.top={top}, expected a fraction below 1; use task.top=0.05.")
    assert isinstance(space, Series)

    def severity(each: Paths) -> Tensor:
        return SEVERITY[scenario](portfolio(space, each.x))

    from_prior = draw(context, n)
    least = float(severity(from_prior).quantile(1 - top)) if least is None else float(least)
    in_scenario = draw_scenario(context, from_prior, severity, least, n)
    reaches = severity(in_scenario) >= least
    weight = in_scenario.log_weight.exp().double() * reaches
    chosen = torch.multinomial(weight, paths, replacement=True)

    rows = {"train": real(context, "train", n), "test": real(context, "test", n)}
    returns = space.restore(rows["train"])
    days = returns.transpose(0, 1).flatten(1)  # [series, days]
    count, (series, steps) = n * space.shape[1], space.shape
    drawn = days[:, torch.randint(days.shape[1], (count,))].reshape(series, n, steps).transpose(0, 1)
    root = torch.linalg.cholesky(torch.cov(days).reshape(series, series) + 1e-12 * torch.eye(series).double())
    normal = days.mean(1)[:, None] + root @ torch.randn(n, series, steps, dtype=torch.float64)
    samples = {
        "test": space.restore(rows["test"]),
        "training": returns,
        "synthetic": space.restore(from_prior.x),
        "bootstrap": drawn,
        "gaussian": normal,
    }
    risks = {name: measure(value(each)) for name, each in samples.items()}
    risks["scenario"] = measure(value(space.restore(in_scenario.x)), weight)
    facts = {name: describe(each) for name, each in samples.items()}
    found: dict[str, Any] = {
        "scenario": f"{scenario} of at least {least:.4g}",
        "probability": float(weight.mean()),
        "effective_paths": float(weight.sum().square() / weight.square().sum()),
        "risk": risks,
        "facts": facts,
    }
    context.write_json("stress.json", found)
    context.show("stress", in_scenario.x[chosen], 1, Headings(f"Paths with a {found['scenario']}"))
    fans = {
        "test windows": fan(value(samples["test"])),
        "synthetic paths": fan(value(samples["synthetic"])),
        f"synthetic paths with a {found['scenario']}": fan(portfolio(space, in_scenario.x[chosen])),
    }
    save_panels(context.out / "risk.png", fans, "Value of the portfolio", one_scale=True)
    save_panels(context.out / "facts.png", draw_facts({name: samples[name] for name in (*samples,)[:4]}))
    show(found)
    return found


@torch.no_grad()
def draw(context: Context, n: int, proposal: Distribution | None = None) -> Paths:
    """Draw paths from the prior or, at the top level, half from a proposal.

    Args:
        context: The run.
        n: Number of paths.
        proposal: Distribution of z at the top level; None for the prior alone.
    """
    vae, parts = context.vae, []
    for count in context.chunks(n):
        condition = vae.condition.draw(count) if vae.condition is not None and vae.needs_condition else None
        levels, start = vae.initial_state(condition)
        log_weight = torch.zeros(count, device=vae.device)

        def pick(
            level: Level,
            state: Tensor | None,
            p: Distribution,
            top: Level = levels[0],
            count: int = count,
            log_weight: Tensor = log_weight,
        ) -> Step:
            z = p.sample(torch.Size([] if p.batch_shape else [count]))
            if proposal is not None and level is top:
                other = torch.rand(count, device=z.device) < 0.5
                z = torch.where(other.reshape(-1, *[1] * (z.dim() - 1)), proposal.sample(torch.Size([count])), z)
                log_p = p.log_prob(z)
                log_weight.copy_(log_p - torch.logaddexp(log_p, proposal.log_prob(z)) + math.log(2))
            return Step(z, None, p)

        drawn = descend(levels, pick, start)
        x = vae.likelihood(drawn.state).sample()
        parts.append((x.cpu(), drawn.steps[0].z.cpu(), log_weight.cpu()))
    return Paths(*(torch.cat(each) for each in zip(*parts, strict=True)))


def draw_scenario(
    context: Context, from_prior: Paths, severity: Callable[[Paths], Tensor], least: float, n: int
) -> Paths:
    """Draw paths of which many are in a scenario, by proposals fitted to the worst paths of the round before.

    Args:
        context: The run.
        from_prior: Paths from the prior.
        severity: Severity of each path, `[n]`.
        least: Smallest severity in the scenario.
        n: Number of paths.

    Raises:
        Refusal: If no path reaches the scenario.
    """
    if not isinstance(context.vae.latents.levels[0].space, Real):  # a Gaussian proposal requires a Euclidean space
        return from_prior
    each, edge, severities = from_prior, -math.inf, severity(from_prior)
    for _ in range(ROUNDS):
        before, edge = edge, min(float(severities.quantile(1 - ELITE)), least)
        if edge <= before:
            break
        elite = severities >= edge
        loc, scale = moments(each.z[elite], each.log_weight[elite].exp())
        each = draw(
            context, n, Independent(Normal(loc.to(context.vae.device), scale.to(context.vae.device)), loc.dim())
        )
        severities = severity(each)
    if (worst := float(severities.max())) < least:
        raise Refusal(f"No path reaches {least:.4g}; the worst has {worst:.4g}; use task.least={worst / 2:.2g}.")
    return each


def moments(z: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation of z.

    The standard deviation is at least 0.1: a narrower proposal would miss too much.

    Args:
        z: `[n, ...]`.
        weight: `[n]`.
    """
    weight = (weight / weight.sum()).reshape(-1, *[1] * (z.dim() - 1))
    mean = (weight * z).sum(0)
    return mean, (weight * (z - mean).square()).sum(0).sqrt().clamp(min=0.1)


def value(returns: Tensor) -> Tensor:
    """The value of the portfolio, from 1 at the start.

    Args:
        returns: `[n, series, T]`, log-returns.

    Returns:
        `[n, 1 + T]`.
    """
    growth = returns.exp().mean(1)
    return torch.cat([torch.ones_like(growth[:, :1]), growth.cumprod(1)], 1)


def portfolio(space: Series, x: Tensor) -> Tensor:
    """The value of the portfolio on paths of the data space.

    Args:
        space: Space of x.
        x: `[n, *space.shape]`.

    Returns:
        `[n, 1 + T]`.
    """
    return value(space.restore(x))


def real(context: Context, part: Part, n: int) -> Tensor:
    """Random windows of a part of the data, without missing values.

    Args:
        context: The run.
        part: Which windows.
        n: Largest number.

    Returns:
        `[at most n, *space.shape]`.
    """
    rows = context.data.in_order(part)
    found = rows.gather(rows.indices[torch.randperm(len(rows.indices))[:n]])
    whole = torch.ones(len(found)).bool() if found.mask is None else found.mask.flatten(1).all(1)
    if whole.sum() < 2:
        raise Refusal(
            f"Of the {part} windows, fewer than two are complete. Use task=sample, or a file without missing values."
        )
    return found.x[whole].float()


def measure(value: Tensor, weight: Tensor | None = None) -> dict[str, float]:
    """Value-at-risk and expected shortfall over the window.

    Args:
        value: `[n, 1 + T]`, of the portfolio.
        weight: `[n]`; None for equal weights.

    Returns:
        Fractions of the initial value, by name.
    """
    gain, found = value[:, -1] - 1, {}
    for level in LEVELS:
        found[f"var_{level:.0%}"], found[f"es_{level:.0%}"] = risk(gain, level, weight)
    return found


def describe(returns: Tensor) -> dict[str, Any]:
    """Stylized facts of returns, means over the series.

    Args:
        returns: `[n, series, T]`.

    Returns:
        Excess kurtosis, and `clustering`, the autocorrelation of absolute returns over 1 to 5 steps.
    """
    pairs = correlation(returns)
    off_diagonal = pairs[~torch.eye(len(pairs)).bool()]
    return {
        "kurtosis": float(kurtosis(returns).mean()),
        "clustering": float(autocorrelation(returns.abs(), min(5, returns.shape[-1] - 1)).mean()),
        "correlation": float(off_diagonal.mean()) if len(off_diagonal) else None,
        "correlations": pairs.tolist(),
    }


# Figures and tables ---------------------------------------------------------------------------------------------------


def fan(value: Tensor) -> Callable[[Any], None]:
    """A function that draws some paths, their median, and the ranges of half and nine tenths of them.

    Args:
        value: `[n, 1 + T]`, of the portfolio.
    """
    edges = value.quantile(torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95]).to(value), 0)

    def plot(axis: Any) -> None:
        steps = range(value.shape[1])
        axis.plot(value[:20].T, color="gray", linewidth=0.3)
        for low, high, name in ((0, 4, "90% of paths"), (1, 3, "50% of paths")):
            axis.fill_between(steps, edges[low], edges[high], color="tab:blue", alpha=0.25, label=name)
        axis.plot(edges[2], color="tab:blue", label="median")
        axis.set(xlabel="step", ylabel="value of the portfolio, 1 at the start")
        axis.legend(fontsize=7)

    return plot


def draw_facts(samples: dict[str, Tensor]) -> dict[str, Callable[[Any], None]]:
    """Functions that draw tails and autocorrelations of returns, by their titles.

    Args:
        samples: `[n, series, T]` each, by name.
    """

    def tails(axis: Any) -> None:
        for (name, each), line in zip(samples.items(), LINES, strict=True):
            size = (each / each.std((0, 2), keepdim=True)).abs().flatten().sort(descending=True).values[:100_000]
            axis.loglog(size, torch.arange(1, len(size) + 1) / each.numel(), line, label=name)
        axis.set(xlabel="absolute return in standard deviations", ylabel="fraction beyond", xlim=(1, 30))
        axis.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
        axis.set_xticks([], minor=True)  # whose labels would overlap
        axis.legend()

    def clustering(axis: Any) -> None:
        for (name, each), line in zip(samples.items(), LINES, strict=True):
            lags = min(LAGS, each.shape[-1] - 1)
            axis.plot(range(1, lags + 1), autocorrelation(each.abs(), lags).mean(0), line, label=name)
        axis.set(xlabel="lag (steps)", ylabel="autocorrelation of absolute returns")
        axis.margins(y=0.3)
        axis.legend(loc="upper center", ncols=2)

    def correlations(axis: Any) -> None:
        truth = correlation(samples["test"])
        off_diagonal = ~torch.eye(len(truth)).bool()
        for (name, each), marker in zip(samples.items(), "os^x", strict=True):
            axis.plot(truth[off_diagonal], correlation(each)[off_diagonal], marker, label=name)
        axis.plot(truth[off_diagonal], truth[off_diagonal], color="gray", linewidth=0.5)
        axis.set(xlabel="correlation of two series in test windows", ylabel="correlation in windows of each set")
        axis.locator_params(axis="x", nbins=4)
        axis.legend()

    titles = ("fat tails", "volatility clusters", "correlation across series")
    return dict(zip(titles, (tails, clustering, correlations), strict=True))


def show(found: dict[str, Any]) -> None:
    """Print the results.

    Args:
        found: The contents of stress.json.
    """
    percent = [f"{name} {level * 100:.0f}" for level in LEVELS for name in ("VaR", "ES")]
    table = Table("", *percent, "kurt.", "clusters", "corr.", title_justify="left")
    table.title = (
        f"{found['scenario']}: probability {found['probability']:.3g}, {found['effective_paths']:.0f} effective paths"
    )
    for name, risks in found["risk"].items():
        facts = found["facts"].get(name, {})
        cells = (facts.get(key) for key in ("kurtosis", "clustering", "correlation"))
        table.add_row(
            name,
            *(f"{each:.1%}" for each in risks.values()),
            *("" if each is None else f"{each:.2f}" for each in cells),
        )
    Console().print(table)
