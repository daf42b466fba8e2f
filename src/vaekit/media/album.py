"""Draws the figures of a run: what its VAE generates, and its learning curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from vaekit.batch import Batch
from vaekit.media.figures import Headings
from vaekit.media.medium import medium as medium_of
from vaekit.media.plots import save_bars, save_curves, save_latent_map
from vaekit.spaces import Real
from vaekit.vae import VAE

MANIFOLD = 15  # values of each of two latent variables


@torch.no_grad()
def draw_run(folder: Path, vae: VAE, examples: Batch, classes: Mapping[str, int], weights: str = "") -> None:
    """Draw everything in a run's figures/.

    Samples, reconstructions, interpolations, latent map and learning curves; the rates of several latent levels; the
    manifold of two latent variables.

    Args:
        folder: The run's folder; its metrics.csv is drawn if there is one.
        vae: In evaluation mode.
        examples: Test examples in the data space.
        classes: The label of each class that has a name.
        weights: Which weights these are, for the titles.
    """
    figures, examples = folder / "figures", examples.to(vae.device)
    figures.mkdir(parents=True, exist_ok=True)
    of = "test examples"
    draw_examples(figures, vae, examples, classes, of, weights)
    _draw_interpolations(figures, vae, examples, of, weights)
    _draw_manifold(figures, vae, weights)
    means = vae.encode(examples.x, condition=vae.condition_of(examples))
    save_latent_map(figures / "latent_map.png", means[0].flatten(1), examples.label, classes, of=_titled(of, weights))
    if len(vae.latents.levels) > 1:
        rates = torch.stack(vae(examples).rates).mean(1)
        title = _titled(f"Rate of each latent level, {of}", weights)
        save_bars(figures / "rates.png", title, rates, "level (0 is the top)", "nats per example")
    if (metrics := folder / "metrics.csv").exists():
        save_curves(figures / "learning_curves.png", metrics)


def _titled(title: str, weights: str) -> str:
    return f"{title}; {weights}" if weights else title


def draw_examples(
    figures: Path, vae: VAE, examples: Batch, classes: Mapping[str, int], of: str = "test examples", weights: str = ""
) -> None:
    """Write samples and reconstructions in the file format of the data.

    Samples of a model with classes are a row for each of the first ten classes.

    Args:
        figures: A folder that exists.
        vae: In evaluation mode.
        examples: Examples in the data space, of which the first 32 are reconstructed.
        classes: The label of each class that has a name.
        of: What these examples are, for the titles.
        weights: Which weights these are, for the titles.
    """
    x, known, medium = examples.x[:32], vae.condition_of(examples), medium_of(vae.space)
    condition = None if vae.condition is None else vae.condition.rows(80)
    names = {number: name for name, number in classes.items()}
    rows = (
        [names.get(int(each), f"{each:g}") for each in condition[::8]]
        if condition is not None and condition.dim() == 1
        else []
    )
    samples = vae.sample(64 if condition is None else len(condition), draw=medium.drawn, condition=condition)
    what = "draws from" if medium.drawn else "means of"
    title = _titled(f"Samples: {what} p(x | z), z from the prior", weights)
    medium.write(figures / "samples", samples, 8, Headings(title, rows=rows, ylabel="label" if rows else ""))
    pairs = torch.stack([x, vae.reconstruct(x, condition=None if known is None else known[:32])], 1)
    medium.write(figures / "reconstructions", pairs.flatten(0, 1), 8, reconstruction_headings(_titled(of, weights)))


def reconstruction_headings(of: str) -> Headings:
    """Headings of originals, each left of its reconstruction.

    Args:
        of: What is reconstructed, for the title.
    """
    return Headings(f"Reconstructions of {of}", ("original", "reconstruction"))


def interpolation_headings(of: str, steps: int, ends: bool = False) -> Headings:
    """Headings of points on the path between examples a and b.

    Args:
        of: What a and b are, for the title.
        steps: Number of decoded points.
        ends: Whether a and b themselves are shown left and right of them.
    """
    fractions = [f"{step / (steps - 1):.2g}" for step in range(steps)]
    columns = ["a", *fractions, "b"] if ends else fractions
    return Headings(f"Interpolations between {of}", columns, xlabel="position from a (0) to b (1)")


def _draw_interpolations(figures: Path, vae: VAE, examples: Batch, of: str, weights: str) -> None:
    x, known = examples.x, vae.condition_of(examples)
    if n := min(8, len(x) // 2):  # a single example has no partner
        walks = vae.interpolate(x[:n], x[n : 2 * n], steps=10, condition=None if known is None else known[:n])
        headings = interpolation_headings(_titled(f"reconstructions of {of} a and b", weights), 10)
        medium_of(vae.space).write(figures / "interpolations", walks.flatten(0, 1), 10, headings)


def _draw_manifold(figures: Path, vae: VAE, weights: str) -> None:
    """Decode a grid over a plane of latents, at quantiles of the prior (Kingma and Welling 2014, figure 4)."""
    levels = vae.latents.levels
    space = levels[0].space
    if len(levels) > 1 or vae.condition is not None or not isinstance(space, Real) or space.size != 2:
        return
    drawn = vae.generate(10_000).steps[0].z.flatten(1)
    across, up = drawn.quantile(torch.linspace(0.02, 0.98, MANIFOLD).to(drawn), 0).unbind(1)
    z = torch.cartesian_prod(up.flip(0), across).flip(1).reshape(-1, *space.shape)
    columns, rows = ([f"{value:.2f}" for value in each.tolist()] for each in (across, up.flip(0)))
    title = _titled("Manifold: means of p(x | z) at quantiles of the prior", weights)
    headings = Headings(title, columns, rows, xlabel="latent variable 0", ylabel="latent variable 1")
    medium_of(vae.space).write(figures / "manifold", vae.decode(z), MANIFOLD, headings)
