"""A run's figures/: what its VAE makes, and how it learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from vaekit.batch import Batch
from vaekit.media.figures import save_curves, save_latent_map, save_rates
from vaekit.media.medium import medium as medium_of
from vaekit.vae import VAE


@torch.no_grad()
def draw_run(folder: Path, vae: VAE, examples: Batch, classes: Mapping[str, int]) -> None:
    """Everything in a run's figures/: samples, reconstructions, interpolations, latent map, learning curves; in a
    taller tower the rate of each level.

    classes: the label of each class that has a name.
    """
    figures, examples = folder / "figures", examples.to(vae.device)
    figures.mkdir(parents=True, exist_ok=True)
    draw_examples(figures, vae, examples)
    _draw_interpolations(figures, vae, examples)
    means = vae.encode(examples.x, condition=vae.condition_of(examples))
    save_latent_map(figures / "latent_map.png", means[0].flatten(1), examples.label, classes)
    if len(vae.latents.levels) > 1:
        save_rates(figures / "rates.png", torch.stack(vae(examples).rates).mean(1))
    if (metrics := folder / "metrics.csv").exists():
        save_curves(figures / "learning_curves.png", metrics)


def draw_examples(figures: Path, vae: VAE, examples: Batch) -> None:
    """Write samples and reconstructions into an existing folder, as the medium of the data does.

    Samples of a model with classes are a row a class, of ten classes at most.
    """
    x, known, medium = examples.x[:32], vae.condition_of(examples), medium_of(vae.space)
    asked = None if vae.condition is None else vae.condition.rows(80)
    samples = vae.sample(64 if asked is None else len(asked), draw=medium.drawn, condition=asked)
    medium.write(figures / "samples", samples, 8)
    pairs = torch.stack([x, vae.reconstruct(x, condition=None if known is None else known[:32])], 1)
    medium.write(figures / "reconstructions", pairs.flatten(0, 1), 8)


def _draw_interpolations(figures: Path, vae: VAE, examples: Batch) -> None:
    x, known = examples.x, vae.condition_of(examples)
    if n := min(8, len(x) // 2):  # of one example there is no way to another
        walks = vae.interpolate(x[:n], x[n : 2 * n], steps=10, condition=None if known is None else known[:n])
        medium_of(vae.space).write(figures / "interpolations", walks.flatten(0, 1), 10)
