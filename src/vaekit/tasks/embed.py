"""The latent variables of a data set, as a table and a map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from sklearn.decomposition import PCA
from torch import Tensor

from vaekit.batch import Batch
from vaekit.data.module import Part
from vaekit.latents.map import Map
from vaekit.media.plots import save_latent_map
from vaekit.metrics.representation import representation
from vaekit.refusal import Refusal
from vaekit.spaces import Real
from vaekit.tasks.shared.checks import needed, one_of, within
from vaekit.tasks.shared.classifier import class_of
from vaekit.tasks.shared.context import Context, ExamplesFile
from vaekit.tasks.shared.tiles import by_tiles, of_files
from vaekit.track import track

MAPPED = 10_000  # largest number of latents in the map: more would hide each other


def embed(
    context: Context,
    split: Part = "test",
    format: str = "npz",
    projection: str = "pca",
    rows: int = 5000,
    input: ExamplesFile = None,
    overlap: float = 0.25,
) -> list[Tensor]:
    """Write the posterior means of a part of the data: latents.npz, .csv, .parquet or .safetensors.

    The file holds `row` (number of the row in the data, from 0), `label` if there is one, and `z` (z_0, z_1, ... for
    several levels); .csv and .parquet have a column for each number. In .safetensors, for the training of a diffusion
    model, z is divided by its standard deviation (Rombach et al. 2022, https://arxiv.org/abs/2112.10752, appendix G),
    one number for each level; its inverse is scaling_factor (scaling_factor_0, ...) in the metadata of the file: the
    model decodes z = latents / scaling_factor. For a single latent map of images there is config.json too
    (`described`).

    latent_map.png shows at most 10,000 latents in two dimensions, colored by label. For data with labels, embed.json
    says how well a linear probe and the nearest neighbors predict the label from the latents, from as many principal
    components of x, and from x itself, and how well k-means clusters of each agree with it
    (`vaekit.metrics.representation`).

    Args:
        context: The run.
        split: Part of the data: train, val, calibration or test.
        format: npz, csv, parquet or safetensors.
        projection: Of the map: pca or umap.
        rows: Largest number of training and of test rows for embed.json.
        input: In place of the part, the examples of a file or folder, without map and metrics. A model with latent maps
            reads image files at their own size, as `reconstruct` does: latents.npz or latents.safetensors holds the map
            `[dim, h, w]` of each, by its name.
        overlap: Fraction of the side of a patch of an input that it has in common with the next.

    Returns:
        `[N, *shape]` for each latent level, top first.

    Raises:
        Refusal: For other values of these settings, and if a package for them is not installed.
    """
    one_of("task.split", split, ("train", "val", "test"))
    one_of("task.format", format, ("npz", "csv", "parquet", "safetensors"))
    one_of("task.projection", projection, ("pca", "umap"))
    within("task.rows", rows, 10)
    if input is not None and by_tiles(context, input):
        return list(of_images(context, input, overlap, format).values())
    pyarrow = needed("pyarrow", "embed") if format == "parquet" else None
    umap = needed("umap", "embed") if projection == "umap" else None

    rows_of, label, batches = _input(context, input) if input is not None else _split(context, split)
    latents = [torch.empty(len(rows_of), *level.space.shape) for level in context.vae.latents.levels]
    row = 0
    for batch in track(batches, "encoding"):
        for all_rows, found in zip(latents, context.encode(batch), strict=True):
            all_rows[row : row + len(batch)] = found
        row += len(batch)
    arrays = {"row": rows_of.numpy()} | ({} if label is None else {"label": label.numpy()})
    arrays |= {"z" if len(latents) == 1 else f"z_{level}": z.numpy() for level, z in enumerate(latents)}
    if format == "npz":
        np.savez(context.out / "latents.npz", **arrays)  # type: ignore[arg-type]
    elif format == "safetensors":
        factors = save_scaled(context.out / "latents.safetensors", arrays)
        if isinstance(context.vae.latents, Map) and isinstance(context.vae.latents.levels[0].space, Real):
            context.write_json("config.json", described(context, factors["scaling_factor"]))
    elif format == "csv":
        context.write_csv("latents.csv", [columns(arrays), *zip(*columns(arrays).values(), strict=True)])
    elif pyarrow:
        table = pyarrow.table(columns(arrays))
        needed("pyarrow.parquet", "embed").write_table(table, context.out / "latents.parquet")

    if input is not None:
        return latents
    shown = torch.randperm(row)[:MAPPED]
    flat = torch.cat([z[shown].flatten(1) for z in latents], 1)
    colors = None if label is None else label[shown]
    classes = context.data.source.classes()
    if umap is None:
        save_latent_map(context.out / "latent_map.png", flat, colors, classes)
    else:
        plane = torch.from_numpy(umap.UMAP(random_state=seed(), n_jobs=1).fit_transform(flat.numpy()))
        save_latent_map(context.out / "latent_map.png", plane, colors, classes, ("first UMAP coordinate", "second"))
    known = [context.data.in_order(part).label for part in ("train", "test")]
    if all(each is not None and len(class_of(each).unique()) > 1 for each in known):
        write_representation(context, rows)
    return latents


def _split(context: Context, split: Part) -> tuple[Tensor, Tensor | None, Iterable[Batch]]:
    """The row numbers `[N]` of a split, their labels, and its batches, in the data space."""
    part = context.data.in_order(split)
    label = None if part.label is None else part.label[part.indices]
    return part.indices, label, map(context.ready, part)


def _input(context: Context, path: str | Path) -> tuple[Tensor, None, Iterable[Batch]]:
    """The row numbers `[N]` of the examples of a file or folder, no labels, and their batches, in the data space."""
    names, batches = context.read(path)
    return torch.arange(len(names)), None, batches


def save_scaled(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """Write arrays as safetensors, those of z multiplied by a scaling factor, which the metadata hold.

    Args:
        path: The file.
        arrays: Arrays by name.

    Returns:
        The scaling factors by name.
    """
    tensors, factors = {name: torch.from_numpy(array) for name, array in arrays.items()}, {}
    for name in [name for name in tensors if name.startswith("z")]:
        factor = 1 / float(tensors[name].std())
        tensors[name] = tensors[name] * factor
        factors[f"scaling_factor{name[1:]}"] = factor
    save_file(tensors, path, {name: f"{factor:.6g}" for name, factor in factors.items()})
    return factors


@torch.no_grad()
def of_images(context: Context, path: str | Path, overlap: float, format: str) -> dict[str, Tensor]:
    """Write the latent maps of images at their own size; see `embed`.

    Args:
        context: The run.
        path: An image file, or a folder.
        overlap: Fraction of the side of a patch that it has in common with the next.
        format: npz or safetensors.

    Returns:
        Maps by the name of the image.
    """
    one_of("task.format", format, ("npz", "safetensors"))
    space = context.vae.latents.levels[0].space
    if not isinstance(space, Real):
        raise Refusal("Discrete codes of patches cannot be blended. Leave out task.input, or use posterior=gaussian.")
    maps = dict(of_files(context, path, lambda x: context.vae.encode(x)[0], space.shape[1:], overlap))
    if format == "npz":
        np.savez(context.out / "latents.npz", **{name: z.numpy() for name, z in maps.items()})  # type: ignore[arg-type]
    else:
        factor = 1 / float(torch.cat([z.flatten() for z in maps.values()]).std())
        scaled = {name: (z * factor).contiguous() for name, z in maps.items()}
        save_file(scaled, context.out / "latents.safetensors", {"scaling_factor": f"{factor:.6g}"})
        context.write_json("config.json", described(context, factor))
    return maps


def described(context: Context, factor: float) -> dict[str, Any]:
    """The configuration that trainers of latent diffusion read, by the names of AutoencoderKL in diffusers.

    Blocks and weights differ from that class. There block_out_channels begin at full resolution, so an image is
    2 ** (their number - 1) times as wide as its map.

    Args:
        context: The run.
        factor: The scaling factor.
    """
    colors, height, width = context.vae.space.shape
    network = context.config["network"]
    found: dict[str, Any] = {"in_channels": colors, "out_channels": colors}
    found["latent_channels"] = context.vae.latents.levels[0].space.shape[0]
    if isinstance(channels := network.get("channels"), Sequence):
        found |= {"block_out_channels": [channels[0], *channels], "layers_per_block": network["blocks"]}
    found |= {"sample_size": height} if height == width else {}
    return found | {"scaling_factor": factor}


def write_representation(context: Context, rows: int) -> dict[str, dict[str, float]]:
    """Write the metrics of `representation` for latents, as many principal components, and x: embed.json.

    Args:
        context: The run.
        rows: Largest number of training and of test rows.
    """
    latents, x, label = _drawn(context, "train", rows)
    test_latents, test_x, test_label = _drawn(context, "test", rows)
    pca = PCA(min(latents.shape[1], *x.shape), random_state=seed()).fit(x)
    pairs = {
        "latents": (latents, test_latents),
        f"{pca.n_components_} principal components": (pca.transform(x), pca.transform(test_x)),
        "x": (x, test_x),
    }
    found = {
        name: representation(learned, label, tested, test_label, seed())
        for name, (learned, tested) in track(pairs.items(), "evaluating")
    }
    context.write_json("embed.json", found)
    title = f"Label from features: {len(x):,} training rows, {len(test_x):,} test rows"
    table = Table("from", *found["latents"], title=title, title_justify="left")
    for name, figures in found.items():
        table.add_row(name, *(f"{value:.3f}" for value in figures.values()))
    Console().print(table)
    return found


def _drawn(context: Context, part: Part, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latents `[N, D]`, x `[N, P]` and label `[N]` of `most` rows of a part, drawn at random."""
    rows = context.data.in_order(part)
    assert rows.label is not None
    rows.indices = rows.indices[class_of(rows.label[rows.indices]) >= 0]
    rows.indices = rows.indices[torch.randperm(len(rows.indices))[:most]]
    latents, x, label = [], [], []
    for batch in track(rows, f"encoding {part}"):
        batch = context.ready(batch)
        assert batch.label is not None
        x.append(batch.x)
        latents.append(torch.cat([z.flatten(1) for z in context.encode(batch)], 1))
        label.append(class_of(batch.label))
    return torch.cat(latents).numpy(), torch.cat(x).flatten(1).cpu().numpy(), torch.cat(label).cpu().numpy()


def columns(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays as columns of a table.

    Args:
        arrays: `[N]` or `[N, ...]` each, by name.

    Returns:
        `[N]` each: name, or name_0, name_1, ...
    """
    return {
        name if array.ndim == 1 else f"{name}_{i}": column
        for name, array in arrays.items()
        for i, column in enumerate(array.reshape(len(array), -1).T)
    }


def seed() -> int:
    """A seed drawn from the generator of the task."""
    return int(torch.randint(2**31, ()))
