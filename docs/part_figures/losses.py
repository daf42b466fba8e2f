"""Figures of objectives and penalties: their values, and gradients, as a model changes."""

import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

from part_figures.drawing import Drawing, chosen, fit
from vaekit.batch import Batch
from vaekit.capabilities import Capability
from vaekit.hydra_job import compose
from vaekit.latents.tower import Step
from vaekit.objectives.objective import Objective
from vaekit.penalties.penalty import Adversarial
from vaekit.plan.plan import Plan
from vaekit.refusal import Refusal
from vaekit.spaces import Image, Pairs, Space
from vaekit.terms import Terms

# Objectives -----------------------------------------------------------------------------------------------------------

X = 1.5  # the one row of a model whose log p(x) is known: z ~ N(0, 1), x ~ N(z, 1)
REPEATS = 500
POSTERIOR = Normal(X / 2, math.sqrt(0.5))  # p(z | x)


def objective(name: str) -> Drawing | str:
    part = chosen("objective", name)()
    if part.num_samples is None:
        return "No figure: it sums over classes, which the model of the other objectives' figures does not have."
    means = torch.linspace(POSTERIOR.loc - 1.5, POSTERIOR.loc + 1.5, 31)
    times = {"end of training": None, "start of training": 0.0}
    values = {when: loss_of_mean(part, means, epoch) for when, epoch in times.items()}
    if torch.equal(*(loss for loss, _ in values.values())):
        values = {"": values["end of training"]}
    reference = exact_elbo(means)

    def loss(axis: Any) -> None:
        for when, (each, _) in values.items():
            axis.plot(means, each.mean(1), label=", ".join(filter(None, ("loss", when))))
        axis.plot(means, -reference, color="gray", linestyle="--", label="-ELBO")
        axis.axhline(
            -float(Normal(0.0, math.sqrt(2)).log_prob(torch.tensor(X))), color="black", linestyle=":", label="-log p(x)"
        )
        axis.set(xlabel="mean of q(z | x)", ylabel="mean loss, nats")
        axis.legend(fontsize=8)

    def slope(axis: Any) -> None:
        for when, (_, each) in values.items():
            mean, deviation = each.mean(1), each.std(1)
            axis.plot(means, mean, label=", ".join(filter(None, ("mean", when))))
            axis.fill_between(means, mean - deviation, mean + deviation, alpha=0.25, label="± standard deviation")
        axis.axhline(0, color="gray", linewidth=0.5)
        axis.set(xlabel="mean of q(z | x)", ylabel="d loss / d mean, nats")
        axis.legend(fontsize=8)

    draws = f"{part.num_samples} draw{'s' * (part.num_samples > 1)} of z"
    return Drawing(
        {"loss": loss, "gradient": slope},
        f"For z ~ N(0, 1), x ~ N(z, 1) and the one row x = {X}, with {draws}: loss and its gradient, over the mean of "
        f"q(z | x), whose standard deviation is that of p(z | x), which has the mean {X / 2}. Default settings.",
    )


def loss_of_mean(part: Objective, means: Tensor, epoch: float | None) -> tuple[Tensor, Tensor]:
    """The loss for each mean of q, and its gradient, `[means, REPEATS]`."""
    torch.manual_seed(0)
    loc = means.repeat_interleave(REPEATS).requires_grad_()
    q = Independent(Normal(loc.unsqueeze(1), POSTERIOR.scale), 1)
    z = q.rsample((part.num_samples,))
    p = Independent(Normal(torch.zeros(1), 1.0), 1)
    px = Independent(Normal(z, 1.0), 1)
    x = torch.full((len(loc), 1), X)
    loss = part(Terms(Batch(x), [Step(z, q, p)], px, px.log_prob(x)), epoch)
    (slope,) = torch.autograd.grad(loss.sum(), loc, materialize_grads=True) if loss.requires_grad else (0 * loc,)
    return loss.detach().unflatten(0, (-1, REPEATS)), slope.detach().unflatten(0, (-1, REPEATS))


def exact_elbo(means: Tensor) -> Tensor:
    evidence = Normal(0.0, math.sqrt(2)).log_prob(torch.tensor(X))
    return evidence - torch.distributions.kl_divergence(Normal(means, POSTERIOR.scale), POSTERIOR)


# Penalties ------------------------------------------------------------------------------------------------------------

ROWS = 256
ESTIMATES = 12  # of a penalty; the first ones are left out, as one that tracks the weights needs some steps
SPREAD = 0.5  # standard deviation of q(z | x)
OF_THE_MODEL = {  # required by penalties of more than the latents
    Capability.DOUBLE_BACKWARD,
    Capability.IMAGE,
    Capability.LABELLED,
    Capability.PAIRS,
    Capability.QUANTIZED,
}
DIGITS = Image((1, 8, 8), bins=2)
MODELS: list[tuple[Space, str]] = [  # a penalty is drawn of the first one that it fits
    (DIGITS, "model=mlp_vae network.hidden=[32] latents.dim=2"),
    (DIGITS, "model=vq_vae network.channels=[8] posterior.codes=16"),
    (DIGITS, "model=m2_vae"),
    (Pairs.of(DIGITS, 10), "model=mvae likelihood=paired"),
]


def penalty(name: str) -> Drawing | str:
    refusals = []
    for space, words in MODELS:
        try:
            vae, _, penalties = Plan.read(compose("train", [*words.split(), f"penalty={name}"]), space).build()
        except Refusal as refusal:
            refusals.append(str(refusal))
            continue
        part = penalties[name]
        requires = part.requires & OF_THE_MODEL
        if requires == {Capability.IMAGE}:
            return of_reconstructions(part, vae)
        return of_latents(part, vae) if part.requires and not requires else of_weights(part, vae, words)
    return f"No figure: {refusals[0]}"


def value_of(part: Any, vae: Any, terms: Callable[[], Terms], epoch: float | None = None) -> float:
    """The mean value of a penalty, after training its critic if it has one."""
    if isinstance(part, Adversarial):
        fit(part.critic.parameters(), lambda: part.critic_loss(terms(), vae), steps=15, lr=1e-3)
    values = [part(terms(), vae, epoch).detach() for _ in range(ESTIMATES)]
    return float(torch.stack(values[ESTIMATES // 2 :]).mean())


def curves(values: dict[str, list[float]], at: Tensor, xlabel: str) -> Callable[[Any], None]:
    """A function that draws the values of a penalty, by label."""

    def draw(axis: Any) -> None:
        for label, each in values.items():
            axis.plot(at, each, marker=".", label=label)
        axis.set(xlabel=xlabel, ylabel="penalty, without its weight")
        if len(values) > 1:
            axis.legend()

    return draw


def of_latents(part: Any, vae: Any) -> Drawing:
    """The penalty of latents around means of some standard deviation and correlation."""
    points, rows = (4, 64) if isinstance(part, Adversarial) else (13, ROWS)  # training a critic takes time
    deviations = torch.linspace(0, 2, points)

    def terms(deviation: Tensor, correlation: float) -> Terms:
        covariance = torch.tensor([[1.0, correlation], [correlation, 1.0]])
        means = deviation * MultivariateNormal(torch.zeros(2), covariance).sample((rows,))
        q, p = Independent(Normal(means, SPREAD), 1), Independent(Normal(torch.zeros(2), 1.0), 1)
        return Terms(Batch(means), [Step(q.sample((1,)), q, p)], p, torch.zeros(1, rows))

    values = {
        f"correlation {correlation:g}": [value_of(part, vae, partial(terms, each, correlation)) for each in deviations]
        for correlation in (0.0, 0.5, 0.95)
    }
    trained = " Its critic is trained for a few steps at each point." if isinstance(part, Adversarial) else ""
    return Drawing(
        {"": curves(values, deviations, "standard deviation of the means of q(z | x)")},
        f"The value for {rows} rows whose q(z | x) are Gaussian in two dimensions, with standard "
        f"deviation {SPREAD}, around means of various standard deviations and correlations.{trained}",
    )


def digits(vae: Any) -> Batch:
    """Rows of the model's data."""
    from sklearn.datasets import load_digits

    images, label = load_digits(return_X_y=True)
    x, label = torch.tensor(images[:ROWS]).reshape(-1, *DIGITS.shape).gt(7).float(), torch.tensor(label[:ROWS])
    return Batch(vae.space.pair(x, label), label=label) if isinstance(vae.space, Pairs) else Batch(x, label=label)


def of_weights(part: Any, vae: Any, words: str) -> Drawing:
    """The penalty of a model whose weights are multiplied by a factor."""
    batch, factors = digits(vae), torch.linspace(0.25, 2, 8)
    weights = [each for each in vae.parameters() if each.dim() > 1]
    start = [each.detach().clone() for each in weights]

    def at(factor: Tensor) -> float:
        with torch.no_grad():
            for weight, first in zip(weights, start, strict=True):
                weight.copy_(factor * first)
        return value_of(part, vae, lambda: vae(batch), epoch=0.0)

    values = [at(factor) for factor in factors]
    return Drawing(
        {"": curves({"": values}, factors, "factor on all weights")},
        f"The value for {ROWS} digits of 8x8 pixels and a model before training (`{words}`), "
        "whose weights are multiplied by a factor.",
    )


def of_reconstructions(part: Any, vae: Any) -> Drawing:
    """The penalty of reconstructions with noise."""
    batch, noise = digits(vae), torch.linspace(0, 1, 9)
    whole = vae(batch)

    def terms(deviation: Tensor) -> Terms:
        mean = (batch.x + deviation * torch.randn_like(batch.x)).clamp(0, 1).unsqueeze(0)
        return Terms(batch, whole.steps, SimpleNamespace(mean=mean), whole.log_px.detach())

    values = [value_of(part, vae, partial(terms, each)) for each in noise]
    return Drawing(
        {"": curves({"": values}, noise, "standard deviation of the noise")},
        f"The value for {ROWS} digits of 8x8 pixels and reconstructions that are these digits "
        "with noise, of gray values from 0 to 1.",
    )
