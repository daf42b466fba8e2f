"""The VAE: two spaces, three arrows, and the verbs that everything else is written in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vaekit.batch import Batch
from vaekit.distributions.kl import closed_form_kl
from vaekit.distributions.temperature import tempered
from vaekit.latents.tower import Draw, Level, Step, Tower, descend
from vaekit.likelihoods.likelihood import Likelihood
from vaekit.refusal import Refusal
from vaekit.spaces import Real

# Numbers that the decoder makes at once when likelihoods are estimated, 2 MB of them: with fewer an MLP waits for
# Python, with more a convolutional one loses up to a third to memory that the system hands out anew for each chunk.
CHUNK_VALUES = 2**19


@dataclass
class Terms:
    """Everything an objective or a metric may read, per example, in nats. K importance samples come first.

    log_px: `[K, B]`. log_pz, log_qz: a `[K, B]` per level. kl: per level `[B]` or `[K, B]`, or None where q and p
    have no closed form. Densities that nobody asks for are not computed.
    """

    batch: Batch
    steps: list[Step]
    px: Distribution
    log_px: Tensor

    @cached_property
    def log_pz(self) -> list[Tensor]:
        return [step.p.log_prob(step.z) for step in self.steps]

    @cached_property
    def log_qz(self) -> list[Tensor]:
        return [_posterior(step).log_prob(step.z) for step in self.steps]

    @cached_property
    def kl(self) -> list[Tensor | None]:
        return [closed_form_kl(_posterior(step), step.p) for step in self.steps]

    @cached_property
    def log_w(self) -> Tensor:
        """log p(x, z) - log q(z | x), `[K, B]`: the log importance weights."""
        return self.log_px + sum(self.log_pz) - sum(self.log_qz)

    @cached_property
    def score(self) -> Tensor:
        """Zero, `[K, B]`, with the gradient of log q at a fixed z: the score that gradient estimators add or remove.

        For towers of height one; in a taller one, fixing z would stop the path through the levels above as well.
        """
        (step,) = self.steps
        log_q = _posterior(step).log_prob(step.z.detach())
        return log_q - log_q.detach()

    @cached_property
    def rates(self) -> list[Tensor]:
        """KL(q || p) per level, `[B]`: in closed form where there is one, else log q - log p at the draws."""
        closed_or_drawn = [
            kl if kl is not None else self.log_qz[level] - self.log_pz[level] for level, kl in enumerate(self.kl)
        ]
        return [kl.mean(0) if kl.dim() == 2 else kl for kl in closed_or_drawn]

    @property
    def rate(self) -> Tensor:
        """Nats per example that the latents carry, `[B]`."""
        return torch.stack(self.rates).sum(0)

    @property
    def distortion(self) -> Tensor:
        """-log p(x | z), `[B]`."""
        return -self.log_px.mean(0)

    @property
    def elbo(self) -> Tensor:
        """-(distortion + rate), `[B]`."""
        return -(self.distortion + self.rate)


class VAE(nn.Module):
    """posterior x prior (in `latents`) x likelihood, with an encoder that features come from.

    Called on a `Batch`, it gives its `Terms`.
    """

    def __init__(self, encoder: nn.Module, latents: Tower, likelihood: Likelihood):
        super().__init__()
        self.encoder, self.latents, self.likelihood = encoder, latents, likelihood

    @property
    def space(self) -> Real:
        """The space of x."""
        return self.likelihood.space

    @property
    def device(self) -> torch.device:
        return self.likelihood.bias.device

    @property
    def has_density(self) -> bool:
        """Whether the posterior has one, so that rates and likelihoods exist; an autoencoder's has none."""
        return all("log_prob" in level.gives for level in self.latents.levels)

    def start_from(self, data: Any) -> None:
        """Let each part start from the training data: a bias at their mean, pseudo-inputs at rows."""

        def start(module: nn.Module) -> None:
            for part in module.children():
                own: Any = getattr(part, "start_from", None)
                if own:  # what stands inside that part is its own affair
                    own(data)
                else:
                    start(part)

        start(self)

    # The walk down the tower, once for each who may pick z ---------------------------------------------------------

    def infer(self, features: Tensor, num_samples: int = 1, temperature: float | Sequence[float] = 1.0) -> Draw:
        """Draw z from the posterior: `num_samples` K draws for each of B rows of features, z `[K, B, ...]`.

        temperature multiplies the posterior's standard deviation: at every level, or one for each, top first.
        """
        temperatures = self._each(temperature)

        def pick(level: Level, state: Tensor | None, p: Distribution) -> Step:
            q = at_temperature(level.infer(features, state), next(temperatures))
            shape = torch.Size([num_samples] if state is None else [])
            return Step(q.rsample(shape) if q.has_rsample else q.sample(shape), q, p)

        return descend(self.latents.levels, pick)

    def generate(self, n: int, temperature: float | Sequence[float] = 1.0) -> Draw:
        """Draw z from the prior: z `[n, ...]`.

        temperature multiplies the prior's standard deviation: at every level, or one for each, top first. At 0 a level
        gives its mean.
        """
        temperatures = self._each(temperature)

        def pick(level: Level, state: Tensor | None, p: Distribution) -> Step:
            source = at_temperature(p, next(temperatures))
            return Step(source.sample(torch.Size([n] if state is None else [])), None, p)

        return descend(self.latents.levels, pick)

    def replay(self, zs: Sequence[Tensor]) -> Draw:
        """Take the z given for each level, top first, each `[..., *shape]`."""
        given = iter(zs)
        return descend(self.latents.levels, lambda level, state, p: Step(next(given), None, p))

    def _each(self, temperature: float | Sequence[float]) -> Iterator[float]:
        """The temperature of each level, top first."""
        levels = len(self.latents.levels)
        each = [temperature] * levels if isinstance(temperature, int | float) else list(temperature)
        if len(each) != levels:
            raise Refusal(f"Got {len(each)} temperatures, expected {levels}, one a level; use temperature=1 for all.")
        return iter(each)

    # Scoring ---------------------------------------------------------------------------------------------------------

    def forward(self, batch: Batch, num_samples: int = 1) -> Terms:
        return self.terms(batch, self.encoder(batch.x), num_samples)

    def terms(self, batch: Batch, features: Tensor, num_samples: int, temperature: float = 1.0) -> Terms:
        """`Terms` of `num_samples` K draws for each row, as `infer` draws; `features` are the encoder's of batch.x."""
        draw = self.infer(features, num_samples, temperature)
        px = self.likelihood(draw.state)
        return Terms(batch, draw.steps, px, _log_prob(px, batch))

    def joint(self, x: Tensor, zs: Sequence[Tensor]) -> Tensor:
        """log p(x, z) in nats, `[...]`, of x `[..., *space.shape]` and one z per level, `[..., *shape]`."""
        draw = self.replay(zs)
        return self.likelihood(draw.state).log_prob(x) + sum(step.p.log_prob(step.z) for step in draw.steps)

    @torch.no_grad()
    def log_weights(self, batch: Batch, num_samples: int) -> Tensor:
        """K log importance weights for each row, `[K, B]`, in nats: rows are encoded once, they and K go in chunks.

        Raises `Refusal` if the posterior has no density.
        """
        if not self.has_density:
            raise Refusal("This model's posterior has no density, so log p(x) is not known; use posterior=gaussian.")
        values = self.likelihood.bias.numel()  # that the decoder makes of one z
        rows = max(1, min(len(batch), CHUNK_VALUES // values))
        draws = max(1, CHUNK_VALUES // (rows * values))
        sizes = [min(draws, num_samples - done) for done in range(0, num_samples, draws)]
        parts = []
        for part in batch.split(rows):
            features = self.encoder(part.x)
            parts.append(torch.cat([self.terms(part, features, k).log_w for k in sizes]))
        return torch.cat(parts, 1)

    # For people: arrays in, arrays out --------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, n: int, temperature: float | Sequence[float] = 1.0, draw: bool = False) -> Tensor:
        """n new examples, `[n, *space.shape]`: the means of p(x | z), or draws from it with `draw=True`.

        temperature: see `generate`.
        """
        px = self.likelihood(self.generate(n, temperature).state)
        return px.sample() if draw else px.mean

    @torch.no_grad()
    def encode(self, x: Tensor, levels: int | None = None) -> list[Tensor]:
        """The posterior's means, one `[B, ...]` per latent level, top first, for x `[B, *space.shape]`.

        levels: of that many from the top alone; the others are at their prior's mean, given those above. A distribution
        that knows no mean gives a draw. Raises `Refusal` if x does not lie in the data space, or for unknown levels.
        """
        features, height = self.encoder(self._checked(x)), len(self.latents.levels)
        if levels is not None and not 1 <= levels <= height:
            raise Refusal(
                f"levels={levels} must lie between 1 and {height}, the number of levels; use levels={height}."
            )
        inferred = iter(range(height if levels is None else levels))

        def pick(level: Level, state: Tensor | None, p: Distribution) -> Step:
            q = None if next(inferred, None) is None else level.infer(features, state)
            return Step(posterior_mean(p if q is None else q), q, p)

        return [step.z for step in descend(self.latents.levels, pick).steps]

    @torch.no_grad()
    def decode(self, zs: Sequence[Tensor]) -> Tensor:
        """The means of p(x | z), `[..., *space.shape]`, for one z per level as `encode` gives them."""
        return self.likelihood(self.replay(zs).state).mean

    def reconstruct(self, x: Tensor, levels: int | None = None) -> Tensor:
        """The mean of p(x | z) at the posterior's mean, `[B, *space.shape]`; levels, and refusals: see `encode`."""
        return self.decode(self.encode(x, levels))

    def interpolate(self, a: Tensor, b: Tensor, steps: int) -> Tensor:
        """Decode `steps` points of the latent space's own path from each a to its b (`[B, ...]`): `[B, steps, ...]`."""
        t = torch.linspace(0, 1, steps)
        ends = zip(self.latents.levels, self.encode(a), self.encode(b), strict=True)
        return self.decode([level.space.path(za, zb, t) for level, za, zb in ends]).transpose(0, 1)

    @torch.no_grad()
    def vary(self, x: Tensor, n: int, temperature: float = 1.0) -> Tensor:
        """n variants of each x, `[B, n, *space.shape]`: the means of p(x | z) at draws from the posterior.

        temperature multiplies the posterior's standard deviation: above 1 the variants differ more.
        """
        features = self.encoder(self._checked(x))
        return self.likelihood(self.infer(features, n, temperature).state).mean.transpose(0, 1)

    def log_likelihood(self, x: Tensor, num_samples: int = 500) -> Tensor:
        """log p(x) in nats, `[B]`: the importance-sampled lower bound of Burda et al. 2016, equation 8.

        It grows with `num_samples` towards the truth. Raises `Refusal` if x does not lie in the data space.
        """
        if num_samples < 1:
            raise Refusal(f"num_samples={num_samples} must be at least 1; try num_samples=500.")
        parts = self._checked(x).split(max(1, CHUNK_VALUES // num_samples))  # log_weights keeps K numbers a row
        log_px = [self.log_weights(Batch(part), num_samples).logsumexp(0) for part in parts]
        return torch.cat(log_px) - math.log(num_samples)

    def _checked(self, x: Tensor) -> Tensor:
        x = torch.as_tensor(x).to(self.likelihood.bias)
        if x.dim() != len(self.space.shape) + 1:
            expected = ", ".join(map(str, self.space.shape))
            raise Refusal(f"Got an array of shape {list(x.shape)}, expected [B, {expected}].")
        self.space.check(x)
        return x


def at_temperature(d: Distribution, temperature: float) -> Distribution:
    return d if temperature == 1 else tempered(d, temperature)


def _posterior(step: Step) -> Distribution:
    assert step.q is not None, "only draws from the posterior are scored against it"
    return step.q


def posterior_mean(q: Distribution, otherwise: Tensor | None = None) -> Tensor:
    """The mean of q; where it knows none (a flow), `otherwise`, or a draw."""
    try:
        return q.mean
    except NotImplementedError:
        return q.sample() if otherwise is None else otherwise


def _log_prob(px: Distribution, batch: Batch) -> Tensor:
    """log p(x | z), `[K, B]`; over the observed values alone where the batch has a mask."""
    if batch.mask is None:
        return px.log_prob(batch.x)
    assert isinstance(px, Independent), "compatibility refuses masks for likelihoods that do not factorise"
    return (px.base_dist.log_prob(batch.x) * batch.mask).flatten(-px.reinterpreted_batch_ndims).sum(-1)
