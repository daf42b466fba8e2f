"""A run's figures/: what its VAE makes, and how it learned."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from vaekit.batch import Batch
from vaekit.figures import save_curves, save_latent_map, save_rates
from vaekit.media.medium import medium
from vaekit.vae import VAE


def draw_run(folder: Path, vae: VAE, examples: Batch) -> None:
    """Everything in a run's figures/: samples, reconstructions, interpolations, latent map, learning curves; in a
    taller tower the rate of each level. Samples of a model with classes are a row a class, of ten classes at most.
    """
    figures, examples = folder / "figures", examples.to(vae.device)
    x, known = examples.x, vae.of(examples)
    figures.mkdir(parents=True, exist_ok=True)
    _draw_examples(figures, vae, x, known)
    save_latent_map(figures / "latent_map.png", vae.encode(x, condition=known)[0].flatten(1), examples.label)
    if len(vae.latents.levels) > 1:
        with torch.no_grad():
            save_rates(figures / "rates.png", torch.stack(vae(examples).rates).mean(1))
    if (metrics := folder / "metrics.csv").exists():
        save_curves(figures / "learning_curves.png", metrics)


def _draw_examples(figures: Path, vae: VAE, x: Tensor, known: Tensor | None) -> None:
    """Samples, reconstructions and interpolations. known: the condition of each x."""
    asked = None if vae.condition is None else vae.condition.rows(80)
    shown = medium(vae.space)
    samples = vae.sample(64 if asked is None else len(asked), draw=shown.drawn, condition=asked)
    shown.write(figures / "samples", samples, 8)
    pairs = torch.stack([x[:32], vae.reconstruct(x[:32], condition=None if known is None else known[:32])], 1)
    shown.write(figures / "reconstructions", pairs.flatten(0, 1), 8)
    if n := min(8, len(x) // 2):  # of one example there is no way to another
        walks = vae.interpolate(x[:n], x[n : 2 * n], steps=10, condition=None if known is None else known[:n])
        shown.write(figures / "interpolations", walks.flatten(0, 1), 10)
