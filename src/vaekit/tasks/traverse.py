"""Traversals: one latent variable varies at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.distributions import Independent

from vaekit.capabilities import Capability
from vaekit.distributions.kl import closed_form_kl
from vaekit.media.figures import Headings
from vaekit.media.plots import save_bars
from vaekit.refusal import Refusal
from vaekit.spaces import Real
from vaekit.tasks.shared.checks import positive, within
from vaekit.tasks.shared.context import Context, Examples, ExamplesFile
from vaekit.tasks.shared.requires import requires
from vaekit.track import track
from vaekit.vae import posterior_mean

ROWS, DRAWS = 1000, 16  # test examples that the variables are ordered by, and draws of the latents of each


@requires(Capability.AXES, instead="use task=interpolate, which goes along geodesics")
@torch.no_grad()
def traverse(
    context: Context,
    input: ExamplesFile = None,
    index: int | None = None,
    n: int = 10,
    steps: int = 11,
    deviations: float = 3.0,
    level: int = 0,
    label: int | Sequence[int] | None = None,
) -> Examples:
    """Write decoded traversals of the most informative latent variables: the means of p(x | z).

    Each variable goes from `deviations` standard deviations below its mean to as many above, both over the latents of
    test examples; the others stay at those of one example. Variables are ordered by their rates: KL(q || p) of each in
    nats, averaged over test examples; if posterior or prior do not factorize over variables, by the variance of the
    posterior mean. Writes traversals.png, a row for each variable, rates.png, a bar for each variable of the level, and
    traversals.npz: x, variable `[n]`, z `[n, steps]`, information `[n]`.

    Args:
        context: The run.
        input: A file with the example.
        index: Number of a test example, from 0. Without either, a typical one: the distance of its latents from the
            mean is the median of the test examples.
        n: Number of variables.
        steps: Points of each traversal.
        deviations: Its length to either side, in standard deviations.
        level: Latent level, 0 for the top.
        label: Of everything that is decoded, for a model with labels (an inferred class is then not a level); None for
            that of the example.

    Returns:
        x `[n, steps, *space.shape]`.

    Raises:
        Refusal: For latent spaces without axes, such as spheres, and numbers out of range.
    """
    levels, _ = context.vae.initial_state(_labels_for(context, slice(0, 1), label))
    within("task.n", n, 1)
    within("task.steps", steps, 2)
    positive("task.deviations", deviations)
    within("task.level", level, 0, len(levels) - 1)
    if not isinstance(levels[level].space, Real):
        raise Refusal(
            f"Latent variables on a {type(levels[level].space).__name__} cannot vary one at a time; "
            f"use task=interpolate, which goes along its geodesics."
        )
    latents, information, measure = survey(context, level, label)
    deviation, mean = (each.flatten() for each in torch.std_mean(latents[level], 0))
    if input is not None:
        example, name = context.read_one(input), Path(input).name
    else:
        index = _typical(context, latents[level]) if index is None else index
        within("task.index", index, 0, len(context.test.indices) - 1)
        example, name = context.examples(slice(index, index + 1)), f"test example {index}"
        label = context.condition(slice(index, index + 1), label)
    start = [each.cpu() for each in context.vae.encode(example, condition=label)]

    best = information.argsort(descending=True)[:n]
    z = mean[best, None] + deviation[best, None] * torch.linspace(-deviations, deviations, steps)
    moved = start[level].flatten().repeat(len(best), steps, 1)
    moved.scatter_(2, best[:, None, None].expand(-1, steps, 1), z.unsqueeze(2))
    paths = [each.expand(len(best) * steps, *each.shape[1:]) for each in start]
    paths[level] = moved.reshape(-1, *start[level].shape[1:])
    chunks = zip(*(each.to(context.vae.device).split(context.batch_size) for each in paths), strict=True)
    x = torch.cat([context.vae.decode(zs, label).cpu() for zs in chunks]).unflatten(0, (len(best), steps))

    headings = Headings(
        f"Traversals from {name}",
        [
            f"{each:+.2g}" if abs(each) > 1e-4 else "0"
            for each in torch.linspace(-deviations, deviations, steps).tolist()
        ],
        [f"z {variable}: {information[variable]:.2f}" for variable in best.tolist()],
        xlabel="value of the variable, in standard deviations from its mean",
        ylabel=f"latent variable: {measure}",
    )
    arrays = {"x": x, "variable": best, "z": z, "information": information[best]}
    context.save("traversals", x.flatten(0, 1), steps, headings, **arrays)
    title, of = "Information of each latent variable", f" of level {level}" if len(start) > 1 else ""
    save_bars(context.out / "rates.png", title, information, f"latent variable{of}", measure)
    table = Table("latent variable", measure, title="Traversals", title_justify="left")
    for variable in best.tolist():
        table.add_row(str(variable), f"{information[variable]:.3f}")
    Console().print(table)
    return Examples(x)


@torch.no_grad()
def survey(context: Context, level: int, label: Any = None) -> tuple[list[Tensor], Tensor, str]:
    """The latents of test examples, and the information of each latent variable of a level.

    Args:
        context: The run.
        level: Latent level, 0 for the top.
        label: As for `traverse`.

    Returns:
        `[N, *shape]` for each level; the information `[D]`; its name and unit.
    """
    vae, n = context.vae, min(ROWS, len(context.test.indices))
    numbers = context.sample(n)
    parts = track(numbers.split(context.batch_size), "encoding")
    features = torch.cat([vae.encoder(context.examples(part)) for part in parts])
    steps = vae.infer(features, DRAWS, condition=_labels_for(context, numbers, label)).steps
    latents, step = [each.z.flatten(0, 1).cpu() for each in steps], steps[level]
    assert step.q is not None
    if isinstance(step.q, Independent) and isinstance(step.p, Independent):
        kl = closed_form_kl(step.q.base_dist, step.p.base_dist)
        if kl is not None:
            return latents, kl.reshape(-1, n, step.z[0, 0].numel()).mean((0, 1)).cpu(), "rate (nats)"
    mean = posterior_mean(step.q, otherwise=step.z).reshape(-1, n, step.z[0, 0].numel()).mean(0)
    return latents, mean.var(0).cpu(), "variance of the mean"


def _labels_for(context: Context, numbers: slice | Tensor, label: Any) -> Tensor | None:
    """The condition of test examples, if the model needs one or `label` is given."""
    vae, batch = context.vae, context.test.gather(context.test.indices[numbers]).to(context.vae.device)
    return vae.condition_of(batch) if label is None or vae.condition is None else vae.condition.values_of(batch)


def _typical(context: Context, latents: Tensor) -> int:
    """The test example whose latents lie at the median distance from the mean of latents `[DRAWS * N, *shape]`."""
    mean_of = latents.unflatten(0, (DRAWS, -1)).mean(0).flatten(1)
    distance = (mean_of - mean_of.mean(0)).norm(dim=1)
    return int(context.sample(len(distance))[distance.argsort()[len(distance) // 2]])
