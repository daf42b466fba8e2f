"""Anomaly scores of a VAE, and baselines of scikit-learn and pyod."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import KernelDensity
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from vaekit.batch import Batch
from vaekit.latents.tower import Step, descend
from vaekit.refusal import Refusal
from vaekit.vae import VAE, posterior_mean

SCORES = ("path_statistics", "nll", "elbo", "distortion", "rate", "reconstruction", "latent", "typicality", "regret")
DENSITY = {"nll", "elbo", "rate", "typicality", "regret"}  # scores that an autoencoder does not have
PATH = ("distortion", "rate", "reconstruction")
EXPLAINED = 0.9  # largest fraction of the variance that principal components explain
WIDEST = 2048  # largest number of columns whose covariance is estimated
AT_ONCE = 10  # number of draws of z for the distortion
ALPHA = 0.05  # largest p-value that counts as an alarm
EXACT = ("latent", "reconstruction")  # scores without random draws
TWO_SIDED = {"rate"}  # the rate of an anomaly may be higher or lower than usual

Figures = dict[str, np.ndarray]


@dataclass(frozen=True)
class Measured:
    """N rows, and statistics of a VAE about them.

    Args:
        x: `[N, *space.shape]`.
        mean: E[x | z] at the posterior mean of z, like x.
        latents: `[N, D]`, posterior means at the top level.
        statistics: `[N]` each, by name.
    """

    x: np.ndarray
    mean: np.ndarray
    latents: np.ndarray
    statistics: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def flat(self) -> np.ndarray:
        """x as vectors, `[N, D]`."""
        return self.x.reshape(len(self), -1)


def join(parts: list[Measured]) -> Measured:
    """Concatenate the rows of several parts.

    Args:
        parts: The parts.
    """
    x, mean, latents = (np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "mean", "latents"))
    names = parts[0].statistics
    return Measured(
        x, mean, latents, {name: np.concatenate([part.statistics[name] for part in parts]) for name in names}
    )


def measure(vae: VAE, batches: Iterable[Batch], num_samples: int, regret_steps: int = 0) -> Measured:
    """The statistics of rows under a VAE: nll, distortion, rate and elbo in nats, and the squared reconstruction error.

    The nll uses `num_samples` draws of z, the distortion at most ten. `reconstruction` is the squared error of E[x | z]
    at the posterior mean of z. Missing values do not count. An autoencoder has neither nll, rate nor elbo.

    Args:
        vae: The model.
        batches: The rows.
        num_samples: Draws of z for each row.
        regret_steps: Steps of `regret`; 0 to leave it out.
    """
    parts = []
    for batch in batches:
        with torch.no_grad():
            features = vae.encoder(batch.x)
            terms = vae.terms(batch, features, min(num_samples, AT_ONCE))
            latents, mean = latents_and_mean(vae, features, vae.condition_of(batch))
            errors = (mean - batch.x).square() * (1 if batch.mask is None else batch.mask)
            part = {"distortion": terms.distortion, "reconstruction": errors.flatten(1).sum(1)}
            if vae.has_density:
                nll = math.log(num_samples) - vae.log_weights(batch, num_samples).logsumexp(0)
                part |= {"nll": nll, "elbo": -terms.elbo, "rate": terms.rate}
        if regret_steps:
            part["regret"] = regret(vae, batch, features, regret_steps)
        part |= {"x": batch.x, "mean": mean, "latents": latents}
        parts.append({name: each.cpu() for name, each in part.items()})
    arrays = {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
    return Measured(arrays.pop("x"), arrays.pop("mean"), arrays.pop("latents"), arrays)


def latents_and_mean(vae: VAE, features: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
    """The posterior's mean at the top level, `[B, D]`, and E[x | z] at the means of all.

    Args:
        vae: The model.
        features: Output of the encoder.
        condition: Of each row; None for an unconditional model.
    """

    def pick(level: Any, state: Tensor | None, p: Distribution) -> Step:
        q = level.infer(features, state)
        return Step(posterior_mean(q), q, p)

    levels, start = vae.initial_state(condition)
    steps, state = descend(levels, pick, start)
    return steps[0].z.flatten(1), vae.likelihood(state).mean


def regret(vae: VAE, batch: Batch, features: Tensor, steps: int, draws: int = 16) -> Tensor:
    """Likelihood regret of each row: the gain in ELBO when q is fitted to the row alone.

    q starts at the output of the encoder and is fitted by Adam (Xiao et al. 2020, https://arxiv.org/abs/2003.02977,
    section 4).

    Args:
        vae: The model.
        batch: B rows.
        features: Output of the encoder for them.
        steps: Steps of Adam.
        draws: Draws of z for each estimate of the ELBO.

    Returns:
        `[B]`, nats.

    Raises:
        Refusal: Unless q is a diagonal Gaussian on one level, and for missing values.
    """
    condition = vae.condition_of(batch)
    with torch.no_grad():
        first, *others = vae.infer(features, condition=condition).steps
    q = first.q
    if others or batch.mask is not None or not (isinstance(q, Independent) and isinstance(q.base_dist, Normal)):
        raise Refusal(
            "regret needs posterior=gaussian, latents=single and no missing values; leave it out of task.scores."
        )
    loc, log_scale = q.mean.clone().requires_grad_(), q.stddev.log().requires_grad_()

    def elbo(noise: Tensor) -> Tensor:
        z = loc + log_scale.exp() * noise
        now = Independent(Normal(loc, log_scale.exp(), validate_args=False), q.reinterpreted_batch_ndims)
        return (vae.joint(batch.x, [z], condition) - now.log_prob(z)).mean(0)

    optimizer, noise = torch.optim.Adam([loc, log_scale], lr=0.05), torch.randn(draws, *loc.shape, device=loc.device)
    with torch.no_grad():
        before = elbo(noise)
    for _ in range(steps):
        loss = -elbo(torch.randn_like(loc).unsqueeze(0)).sum()
        loc.grad, log_scale.grad = torch.autograd.grad(loss, (loc, log_scale))
        optimizer.step()
    with torch.no_grad():
        return elbo(noise) - before


class Detector:
    """Anomaly scores, fitted to normal rows. High scores are unusual.

    `path_statistics` is -log of a kernel density of distortion, rate and reconstruction error, which describe the path
    from x to z and back (Huang et al. 2024, https://arxiv.org/abs/2401.04933). `typicality` is the distance of the nll
    from its mean (Nalisnick et al. 2019, https://arxiv.org/abs/1906.02994, for one row). Both are fitted to the
    held-out rows. `latent` is the Mahalanobis distance from the training latents. All other scores are statistics of
    `measure`.

    Args:
        train: Training rows.
        held_out: Held-out rows.
        names: Scores to compute.
    """

    def __init__(self, train: Measured, held_out: Measured, names: Iterable[str]):
        self.names = list(names)
        self.latents = LedoitWolf().fit(train.latents)
        self.typical = held_out.statistics["nll"].mean() if "nll" in held_out.statistics else None
        path = self._path(held_out)
        self.location, self.scale = path.mean(0), path.std(0) + 1e-6
        self.density = KernelDensity(bandwidth="scott").fit((path - self.location) / self.scale)

    def _path(self, rows: Measured) -> np.ndarray:
        return np.stack([rows.statistics[name] for name in PATH if name in rows.statistics], 1).astype(np.float64)

    def scores(self, rows: Measured) -> dict[str, np.ndarray]:
        """By name, `[N]` each."""
        special: dict[str, Callable[[], np.ndarray]] = {
            "path_statistics": lambda: -self.density.score_samples((self._path(rows) - self.location) / self.scale),
            "latent": lambda: np.sqrt(self.latents.mahalanobis(rows.latents)),
            "typicality": lambda: np.abs(rows.statistics["nll"] - self.typical),
        }
        return {name: special[name]() if name in special else rows.statistics[name] for name in self.names}


def save_detector(path: Path, detector: Detector, calibration: Figures) -> None:
    """Write what the scores `EXACT` of new rows need, as NPZ.

    Args:
        path: The file.
        detector: Gives mean and precision matrix of the latents.
        calibration: `[n]` each, scores of normal rows.
    """
    scores: dict[str, Any] = {name: np.sort(calibration[name]) for name in EXACT if name in calibration}
    np.savez(path, mean=detector.latents.location_, precision=detector.latents.get_precision(), **scores)


def p_values(scores: Figures, calibration: Figures, within: np.ndarray) -> Figures:
    """Conformal p-values: how often a normal row has this score, or a higher one.

    For a normal row that is exchangeable with the n calibration rows, p <= alpha has at most the probability alpha
    (Bates et al. 2023, https://arxiv.org/abs/2104.08279, equation 2). The smallest value is 1 / (n + 1), and twice that
    for the rate, which is unusual on both sides.

    Args:
        scores: `[N]` each, by name.
        calibration: `[n]` each, scores of normal rows.
        within: `[N]`, which of the rows are calibration rows; each is compared with the others.
    """
    p = {}
    for name, each in scores.items():
        ordered, n = np.sort(calibration[name]), len(calibration[name]) + 1 - within
        higher = len(ordered) - np.searchsorted(ordered, each, side="left")
        p[name] = (1 - within + higher) / n
        if name in TWO_SIDED:
            lower = (1 - within + np.searchsorted(ordered, each, side="right")) / n
            p[name] = np.minimum(1, 2 * np.minimum(p[name], lower))
    return p


def baselines(train: np.ndarray, rows: np.ndarray, components: int, seed: int) -> Figures:
    """Scores of other methods for the same rows.

    By scikit-learn: an isolation forest, and the squared error of a principal component analysis with `components`
    components, or as few as explain `EXPLAINED` of the variance. Up to `WIDEST` columns also the Mahalanobis distance,
    which weighs all principal components by their variance (Shyu et al. 2003, "A novel anomaly detection scheme based
    on principal component classifier"). ECOD if pyod is installed.

    Args:
        train: `[n, D]`, rows to fit to.
        rows: `[N, D]`, rows to score.
        components: Number of principal components.
        seed: Of the isolation forest.
    """
    pca = PCA(min(components, *train.shape), random_state=seed).fit(train)
    kept = pca.components_[: 1 + np.searchsorted(pca.explained_variance_ratio_.cumsum(), EXPLAINED)]
    centered = rows - pca.mean_
    found = {
        "isolation forest": -IsolationForest(random_state=seed).fit(train).score_samples(rows),
        "PCA": np.square(centered - centered @ kept.T @ kept).sum(1),
    }
    if train.shape[1] <= WIDEST:
        found["Mahalanobis"] = LedoitWolf().fit(train).mahalanobis(rows)
    if importlib.util.find_spec("pyod"):  # requires an older pandas, so it is not a dependency
        ecod = importlib.import_module("pyod.models.ecod").ECOD()
        found["ECOD"] = ecod.fit(train).decision_function(rows)
    return found
