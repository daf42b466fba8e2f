"""The VAE: posterior, prior and likelihood between the spaces of x and z."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit import run_files
from vaekit.batch import Batch
from vaekit.capabilities import Capability
from vaekit.conditions.condition import Condition
from vaekit.distributions.coded import Coded
from vaekit.distributions.exemplars import leave_out
from vaekit.distributions.marginal import log_prob_observed
from vaekit.distributions.temperature import tempered
from vaekit.latents.tower import Draw, Level, Step, Tower, descend
from vaekit.likelihoods.likelihood import Likelihood, check_missing
from vaekit.refusal import Refusal, reason
from vaekit.spaces import Space
from vaekit.terms import Terms, posterior

# Numbers that the decoder computes at once when likelihoods are estimated, 2 MB. Fewer make an MLP wait for Python;
# with more, allocating memory for each chunk costs a convolutional network up to a third of the time.
CHUNK_VALUES = 2**19


class VAE(nn.Module):
    """A variational autoencoder: an encoder, latents with a posterior and a prior at each level, and a likelihood.

    Called on a `Batch`, or on x, it returns the `Terms` of draws from the posterior. With a `condition`, posterior,
    prior and likelihood depend on it; the argument `condition` of a method is then one value for all rows or one for
    each, e.g. a label.

    Args:
        encoder: x `[N, *space.shape]` -> features `[N, *features]`.
        latents: The latent levels.
        likelihood: p(x | z), from the state that the latents return.
        condition: What x is conditioned on; None for an unconditional model.

    Example:
        >>> import torch
        >>> from functools import partial
        >>> from vaekit.latents.single import Single
        >>> from vaekit.likelihoods.bernoulli import Bernoulli
        >>> from vaekit.networks.mlp import Decoder, Encoder
        >>> from vaekit.posteriors.gaussian import Gaussian
        >>> from vaekit.priors.standard_normal import StandardNormal
        >>> from vaekit.spaces import Image, Real
        >>> from vaekit.vae import VAE
        >>> space = Image((1, 4, 4), bins=2)
        >>> latents = Single((8,), Gaussian, StandardNormal, Real, dim=2)
        >>> vae = VAE(Encoder(space, [8]), latents, Bernoulli(space, partial(Decoder, (2,), space, hidden=[8])))
        >>> vae(torch.zeros(5, 1, 4, 4), num_samples=3).log_w.shape
        torch.Size([3, 5])
        >>> vae.sample(4).shape
        torch.Size([4, 1, 4, 4])
    """

    def __init__(self, encoder: nn.Module, latents: Tower, likelihood: Likelihood, condition: Condition | None = None):
        super().__init__()
        self.encoder, self.latents, self.likelihood, self.condition = encoder, latents, likelihood, condition
        self.objective: Callable[[Terms, float | None], Tensor] | None = None  # of `loss`; the ELBO where it is None
        self.config: Mapping[str, Any] | None = None  # which `save` writes

    @property
    def space(self) -> Space:
        """The space of x."""
        return self.likelihood.space

    @property
    def device(self) -> torch.device:
        return self.likelihood.bias.device

    @property
    def has_density(self) -> bool:
        """Whether the posterior has a density, so that rates and likelihoods exist; an autoencoder's has none."""
        return all(Capability.LOG_PROB in level.gives for level in self.latents.levels)

    @property
    def needs_condition(self) -> bool:
        """Whether each row needs a condition, which it does not if the model infers missing ones."""
        return self.condition is not None and not self.latents.infers

    def start_from(self, data: Any) -> None:
        """Initialize each part from the training data: a bias at their mean, pseudo-inputs at rows."""

        self.likelihood.start_from(data)
        if self.condition is not None:
            self.condition.start_from(data)
        for level in self.latents.levels:
            level.prior.start_from(data)

    # Walks down the levels, with z from the posterior, the prior or the caller ---------------------------------------

    def infer(
        self,
        features: Tensor,
        num_samples: int | None = 1,
        temperature: float | Sequence[float] = 1.0,
        condition: Tensor | None = None,
    ) -> Draw:
        """Draw z from the posterior: K = `num_samples` draws for each of B rows of features, z `[K, B, ...]`.

        num_samples=None takes every value of the top level once, if its posterior can enumerate them. `temperature`
        multiplies the posterior's standard deviation: at all levels, or one for each, top first.
        """
        levels, start = self.initial_state(condition)
        temperatures = self._each(temperature, len(levels))

        def pick(level: Level, state: Tensor | None, p: Distribution) -> Step:
            q = at_temperature(level.infer(features, state), next(temperatures))
            if num_samples is None and level is levels[0]:
                return Step(q.enumerate_support(), q, p)
            shape = torch.Size([num_samples or 1] if len(q.batch_shape) == 1 else [])  # [B], until one level has K
            return Step(q.rsample(shape) if q.has_rsample else q.sample(shape), q, p)

        return descend(levels, pick, start)

    def generate(self, n: int, temperature: float | Sequence[float] = 1.0, condition: Tensor | None = None) -> Draw:
        """Draw z from the prior, `[n, ...]`.

        `temperature` multiplies the prior's standard deviation: at all levels, or one for each, top first. At 0 a level
        is at its mean, discrete codes at their mode. Without a condition, one is drawn for each row with the
        frequencies of training.
        """
        if not isinstance(n, Integral) or n < 0:
            raise Refusal(f"Got n={n}, expected a whole number of examples. Try n=16.")
        if condition is None and self.needs_condition:
            assert self.condition is not None
            condition = self.condition.draw(n)
        levels, start = self.initial_state(condition)
        temperatures = self._each(temperature, len(levels))

        def pick(level: Level, state: Tensor | None, p: Distribution) -> Step:
            source = at_temperature(p, next(temperatures))
            return Step(source.sample(torch.Size([] if source.batch_shape else [n])), None, p)

        return descend(levels, pick, start)

    def replay(self, zs: Sequence[Tensor], condition: Tensor | None = None) -> Draw:
        """Use the z given for each level, top first, each `[..., *shape]`."""
        given = iter(zs)
        levels, start = self.initial_state(condition)
        return descend(levels, lambda level, state, p: Step(next(given), None, p), start)

    def initial_state(self, condition: Tensor | None) -> tuple[Sequence[Level], Tensor | None]:
        """The levels to descend, and the state above them, computed from the condition of each row.

        Raises:
            Refusal: If a condition is missing that the model needs.
        """
        if condition is None and self.needs_condition:
            raise Refusal(
                "This model is conditional and needs a condition. Try task.label=7, or condition=7 of the VAE."
            )
        if self.condition is None or condition is None:
            return self.latents.initial_state(None)
        return self.latents.initial_state(self.condition(condition).to(self.likelihood.bias))

    def parse_condition(self, condition: Any, n: int) -> Tensor | None:
        """A condition as callers give it, one value for all n rows or one for each, as a tensor of n rows.

        Raises:
            Refusal: If a value is invalid, or the model has no condition.
        """
        if condition is None:
            return None
        if self.condition is None:
            raise Refusal(
                "This model has no condition. Leave out task.label (of a VAE condition), or train with condition=label."
            )
        return self.condition.parse(condition, n)

    def condition_of(self, batch: Batch) -> Tensor | None:
        """The condition of a batch; None without one, or if the model infers it."""
        return self.condition.values_of(batch) if self.condition is not None and self.needs_condition else None

    def _each(self, temperature: float | Sequence[float], levels: int) -> Iterator[float]:
        """The temperature of each level, top first."""
        each = [temperature] * levels if isinstance(temperature, int | float) else list(temperature)
        if len(each) != levels:
            raise Refusal(f"Got {len(each)} temperatures, expected {levels}, one per level; use temperature=1 for all.")
        return iter(each)

    # Scoring ---------------------------------------------------------------------------------------------------------

    def forward(self, batch: Batch | Tensor, num_samples: int | None = 1) -> Terms:
        batch = batch if isinstance(batch, Batch) else Batch(self._checked(batch, scored=True))
        return self.terms(batch, self.encoder(batch.x), num_samples)

    def loss(self, x: Batch | Tensor) -> Tensor:
        """The mean loss of a batch, with its gradient: that of `objective`, else the negative ELBO, in nats.

        Args:
            x: `[B, *space.shape]`, or a `Batch` with labels, a mask or a condition.

        Returns:
            A scalar.
        """
        if self.objective is None:
            return -self(x).elbo.mean()
        return self.objective(self(x, getattr(self.objective, "num_samples", 1)), None).mean()

    def save(self, folder: str | Path) -> None:
        """Write config.yaml and model.safetensors, from which `vaekit.load` makes this VAE again.

        Raises:
            Refusal: If the folder holds a run already, or the VAE was not made by `vaekit.build` or `vaekit.load`.
        """
        folder = Path(folder)
        if self.config is None:
            raise Refusal("This VAE has no configuration to save. Make it by vaekit.build or vaekit.load.")
        if (folder / "config.yaml").exists() or (folder / "model.safetensors").exists():
            raise Refusal(f"{folder} holds a run already; name a new folder.")
        folder.mkdir(parents=True, exist_ok=True)
        run_files.write_config(folder, dict(self.config), self.space)
        run_files.write_weights(folder, self.state_dict())

    def terms(
        self,
        batch: Batch,
        features: Tensor,
        num_samples: int | None,
        temperature: float = 1.0,
        condition: Tensor | None = None,
    ) -> Terms:
        """`Terms` of K = `num_samples` draws for each row, as `infer` draws; `features` are the encoder's output for
        batch.x.

        `condition` replaces that of the batch.
        """
        draw = self.infer(
            features, num_samples, temperature, self.condition_of(batch) if condition is None else condition
        )
        steps = draw.steps
        if self.training and batch.row is not None:
            steps = [replace(step, p=leave_out(step.p, batch.row)) for step in steps]
        px, top = self.likelihood(draw.state), steps[0]
        weight = posterior(top).log_prob(top.z).exp() if num_samples is None else None
        return Terms(batch, steps, px, self._log_prob(px, batch), weight)

    def _log_prob(self, px: Distribution, batch: Batch) -> Tensor:
        """log p(x | z), `[K, B]`; of observed values only, if the batch has a mask."""
        if batch.mask is None:
            return px.log_prob(batch.x)
        check_missing(self.space, self.likelihood.gives, (level.gives for level in self.latents.levels))
        return log_prob_observed(px, batch.x, batch.mask.bool())

    def joint(self, x: Tensor, zs: Sequence[Tensor], condition: Tensor | None = None) -> Tensor:
        """log p(x, z) in nats, `[...]`, for x `[..., *space.shape]` and one z per level, each `[..., *shape]`."""
        draw = self.replay(zs, condition)
        return self.likelihood(draw.state).log_prob(x) + sum(step.p.log_prob(step.z) for step in draw.steps)

    @torch.no_grad()
    def log_weights(self, batch: Batch, num_samples: int, condition: Tensor | None = None) -> Tensor:
        """log of K importance weights for each row, `[K, B]`, in nats. Rows are encoded once and processed in chunks.

        `condition`, one for each row, replaces that of the batch.

        Raises:
            Refusal: If the posterior has no density.
        """
        if not self.has_density:
            raise Refusal("This model's posterior has no density, so log p(x) is not known; use posterior=gaussian.")
        if num_samples > 1 and all(
            Capability.DETERMINISTIC in level.gives for level in self.latents.levels
        ):  # all draws are the same
            return self.log_weights(batch, 1, condition).expand(num_samples, -1)
        values = self.likelihood.bias.numel()  # that the decoder computes from one z
        rows = max(1, min(len(batch), CHUNK_VALUES // values))
        draws = max(1, CHUNK_VALUES // (rows * values))
        sizes = [min(draws, num_samples - done) for done in range(0, num_samples, draws)]
        parts = []
        given = [None] * len(batch) if condition is None else condition.split(rows)
        for part, c in zip(batch.split(rows), given, strict=False):
            features = self.encoder(part.x)
            parts.append(torch.cat([self.terms(part, features, k, condition=c).log_w for k in sizes]))
        return torch.cat(parts, 1)

    def _repr_html_(self) -> str:
        """For notebooks: parts and samples."""
        return import_module("vaekit.summary").page(self)  # which stands above this module, as it reads plans and media

    # For callers: arrays in, tensors out ------------------------------------------------------------------------------
    # `encode` and `decode` keep gradients, as any module does; the others have none

    @torch.no_grad()
    def sample(
        self,
        n: int,
        temperature: float | Sequence[float] = 1.0,
        draw: bool = False,
        condition: Any = None,
    ) -> Tensor:
        """n new examples, `[n, *space.shape]`: means of p(x | z), or draws from it with `draw=True`.

        For `temperature` see `generate`. `condition` is one value for all or one for each; None draws them with the
        frequencies of training.
        """
        px = self.likelihood(self.generate(n, temperature, self.parse_condition(condition, n)).state)
        return px.sample() if draw else px.mean

    def encode(self, x: Tensor, levels: int | None = None, condition: Any = None, grad: bool = True) -> list[Tensor]:
        """The posterior's mean of each latent level, top first, each `[B, ...]`, for x `[B, *space.shape]`.

        With `levels`, only that many from the top depend on x; the others are at their prior's mean, given those above.
        A distribution without a mean in closed form returns a draw. If a class is inferred and a label is given, the
        level of the class is left out. x may be means of p(x | z), e.g. gray values between the discrete ones; uint8
        images are 0 to 255. `grad=False` saves the memory of gradients.

        Raises:
            Refusal: If x is not in the data space, `levels` is out of range, or a condition is missing.
        """
        if not grad:
            with torch.no_grad():
                return self.encode(x, levels, condition)
        features = self.encoder(self._checked(x))
        levels_below, start = self.initial_state(self.parse_condition(condition, len(features)))
        height = len(levels_below)
        if levels is not None and not 1 <= levels <= height:
            raise Refusal(
                f"levels={levels} must lie between 1 and {height}, the number of levels; use levels={height}."
            )
        inferred = iter(range(height if levels is None else levels))

        def pick(level: Level, state: Tensor | None, p: Distribution) -> Step:
            q = None if next(inferred, None) is None else level.infer(features, state)
            return Step(posterior_mean(p if q is None else q), q, p)

        return [step.z for step in descend(levels_below, pick, start).steps]

    def decode(self, zs: Tensor | Sequence[Tensor], condition: Any = None) -> Tensor:
        """The means of p(x | z), `[..., *space.shape]`, for one z per level as `encode` returns them, or for the only
        z.

        Raises:
            Refusal: If their number or a shape is wrong.
        """
        given = [zs] if isinstance(zs, Tensor | np.ndarray) else zs
        drawn = [torch.as_tensor(z).to(self.likelihood.bias) for z in given]
        last = len(self.latents.levels[-1].space.shape)
        rows = drawn[-1].shape[-last - 1] if drawn and drawn[-1].dim() > last else 1
        condition = self.parse_condition(condition, rows)
        shapes = [tuple(level.space.shape) for level in self.initial_state(condition)[0]]
        if len(drawn) != len(shapes) or any(
            z.dim() <= len(shape) or z.shape[z.dim() - len(shape) :] != shape
            for z, shape in zip(drawn, shapes, strict=True)
        ):
            expected = ", ".join(f"[B, {', '.join(map(str, shape))}]" for shape in shapes)
            raise Refusal(f"Got z of shapes {[list(z.shape) for z in drawn]}, expected one per level: {expected}.")
        return self.likelihood(self.replay(drawn, condition).state).mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor, levels: int | None = None, condition: Any = None) -> Tensor:
        """The mean of p(x | z) at the posterior's mean, `[B, *space.shape]`. For `levels` and refusals see `encode`."""
        return self.decode(self.encode(x, levels, condition), condition)

    @torch.no_grad()
    def interpolate(self, a: Tensor, b: Tensor, steps: int = 10, condition: Any = None) -> Tensor:
        """Decode `steps` points of the path in latent space from each a to its b (`[B, ...]`): `[B, steps, ...]`.

        `condition` is that of a; it also applies to b and to the points between.
        """
        t = torch.linspace(0, 1, steps)
        levels, _ = self.initial_state(self.parse_condition(condition, len(a)))
        ends = zip(levels, self.encode(a, None, condition), self.encode(b, None, condition), strict=True)
        return self.decode([level.space.path(za, zb, t) for level, za, zb in ends], condition).transpose(0, 1)

    @torch.no_grad()
    def vary(self, x: Tensor, n: int, temperature: float = 1.0, condition: Any = None) -> Tensor:
        """n variants of each x, `[B, n, *space.shape]`: means of p(x | z) at draws from the posterior.

        `temperature` multiplies the posterior's standard deviation: above 1 the variants differ more.
        """
        features = self.encoder(self._checked(x))
        drawn = self.infer(features, n, temperature, self.parse_condition(condition, len(features)))
        return self.likelihood(drawn.state).mean.transpose(0, 1)

    def log_likelihood(self, x: Tensor, num_samples: int = 500, condition: Any = None) -> Tensor:
        """log p(x) in nats, `[B]`: the importance-sampled lower bound (Burda et al. 2016, equation 8).

        For a conditional model it is log p(x | condition); for x with values that are not observed, that of the
        observed ones. It increases with `num_samples` towards log p(x).

        Raises:
            Refusal: If x is not in the data space, or a condition is missing.
        """
        if num_samples < 1:
            raise Refusal(f"num_samples={num_samples} must be at least 1; try num_samples=500.")
        x = self._checked(x, scored=True)
        batch = Batch(x, mask=self.space.observed(x), condition=self.parse_condition(condition, len(x)))
        parts = batch.split(max(1, CHUNK_VALUES // num_samples))  # log_weights keeps K numbers per row
        log_px = [
            self.log_weights(Batch(part.x, mask=part.mask), num_samples, part.condition).logsumexp(0) for part in parts
        ]
        return torch.cat(log_px) - math.log(num_samples)

    def _checked(self, x: Tensor, scored: bool = False) -> Tensor:
        try:
            given = x if isinstance(x, Tensor) else torch.as_tensor(np.ascontiguousarray(x))
        except (TypeError, ValueError) as error:
            raise Refusal(
                f"Got {type(x).__name__} ({reason(error)}), expected an array or tensor of numbers."
            ) from error
        x = self.space.from_user(given).to(self.likelihood.bias)
        if x.dim() != len(self.space.shape) + 1:
            expected = ", ".join(map(str, self.space.shape))
            one = " Give one example as x[None]." if tuple(x.shape) == self.space.shape else ""
            raise Refusal(f"Got an array of shape {list(x.shape)}, expected [B, {expected}].{one}")
        (self.space.check if scored else self.space.check_readable)(x)
        return x


def at_temperature(d: Distribution, temperature: float) -> Distribution:
    """A distribution with its standard deviation multiplied by a temperature.

    Args:
        d: The distribution.
        temperature: The factor; 1 returns `d` itself.
    """
    return d if temperature == 1 else tempered(d, temperature)


def posterior_mean(q: Distribution, otherwise: Tensor | None = None) -> Tensor:
    """The mean of a distribution, for discrete codes the mode.

    Args:
        q: The distribution.
        otherwise: Returned if there is no mean in closed form, e.g. for a flow; None for a draw.

    Example:
        >>> import torch
        >>> from torch.distributions import Normal
        >>> from vaekit.vae import posterior_mean
        >>> posterior_mean(Normal(torch.tensor(3.0), 1.0))
        tensor(3.)
    """
    try:
        return q.mode if isinstance(q, Coded) else q.mean
    except NotImplementedError:
        return q.sample() if otherwise is None else otherwise
