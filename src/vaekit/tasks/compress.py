"""Lossless compression of images with a trained VAE."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from vaekit.batch import Batch
from vaekit.capabilities import Capability
from vaekit.coding.archive import Archive, fingerprint
from vaekit.coding.bits_back import encode
from vaekit.coding.originals import Form, read
from vaekit.refusal import Refusal
from vaekit.runs import read_weights
from vaekit.tasks.shared.checks import flag, within
from vaekit.tasks.shared.context import Context, ExamplesFile
from vaekit.tasks.shared.requires import requires
from vaekit.track import track

NAME = "compressed.vaekit"
COMPARED = 10_000  # largest number of examples for other compressors


@requires(Capability.DISCRETE, Capability.CODED)
def compress(
    context: Context,
    input: ExamplesFile = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    num_samples: int | None = None,
    label: int | Sequence[int] | None = None,
) -> dict[str, float]:
    """Compress examples into one file, from which `decompress` restores them bit for bit: compressed.vaekit.

    Uses bits-back coding (`vaekit.coding.bits_back`). Requires images with discrete gray values, a matching likelihood,
    and latents coded one dimension at a time, in any number of levels. Writes compression.json.

    Args:
        context: The run.
        input: A folder of images or one image (pixels are kept, as PNG; metadata are not), or rows in .npy or .npz.
            None for the test examples.
        output: The file to write; None for one in the folder of the task.
        overwrite: Whether an existing file may be replaced.
        num_samples: Importance samples of the nll; None for as many as after training.
        label: Of all examples, or one for each, for a model with labels; None for those of the test examples.
            Conditions are stored in the file.

    Returns:
        Bits per dimension: of the complete file, of the bounds elbo and nll of the model for these examples, and of
            other compressors for the first 10,000 (PNG and WebP: one file for each image).

    Raises:
        Refusal: For examples that do not fit or could not be restored exactly, and a model that cannot code them.
    """
    if num_samples is None:
        num_samples = context.config["evaluation"]["num_samples"]
    within("task.num_samples", num_samples, 1)
    space = context.vae.space
    assert space.bins is not None
    file = destination(context.out / NAME if output is None else output, overwrite, input)
    if input is not None:
        x, form = read(Path(input).expanduser(), space)
    else:
        x, form = _test_rows(context, space.bins)
        label = context.condition(slice(None), label)
    condition = context.vae.parse_condition(label, len(x))
    context.vae.initial_state(None if condition is None else condition[:1])  # refuses if one is missing
    start = time.perf_counter()
    with Progress() as bar:
        task = bar.add_task("compressing", total=len(x))
        stream = encode(context.vae, x, context.batch_size, lambda n: bar.advance(task, n), condition)
    seconds = time.perf_counter() - start
    run = "/".join(context.run.absolute().parts[-2:])
    known = None if condition is None else condition.tolist()
    archive = Archive(
        fingerprint(read_weights(context.run)), run, form, form.checksum(x, space.bins), stream, known
    ).to_bytes()
    write(file, archive)

    bits = {
        "vaekit": 8 * len(archive) / x.size,
        **_bounds(context, x, condition, num_samples),
        **_others(x, space.bins),
    }
    context.write_json("compression.json", bits)
    table = Table("", "bits per dimension", title=f"{len(x):,} examples", title_justify="left")
    for name, value in bits.items():
        table.add_row(
            {"elbo": "model's elbo", "nll": f"model's nll ({num_samples} samples)"}.get(name, name), f"{value:.4f}"
        )
    Console().print(table)
    best = min(bits, key=lambda name: bits[name] if name not in ("elbo", "nll") else math.inf)
    if best != "vaekit":
        Console().print(
            f"{best} needs fewer bits ({bits[best]:.4f} against {bits['vaekit']:.4f} per dimension): this model is no "
            "better than a general compressor on these examples. Train it longer, or on more data.",
            soft_wrap=True,
            highlight=False,
        )
    if len(x) > COMPARED:
        Console().print(f"gzip, bz2, xz, PNG and WebP: of the first {COMPARED:,} examples")
    Console().print(
        f"{file.name}: {len(archive):,} bytes, {len(x) / seconds:,.0f} examples/s", soft_wrap=True, highlight=False
    )
    return bits


def destination(path: str | Path, overwrite: bool, input: str | Path | None) -> Path:
    """The file or folder to write.

    Args:
        path: The setting `task.output`.
        overwrite: Whether an existing one may be replaced.
        input: The setting `task.input`, which is never replaced.

    Raises:
        Refusal: If it may not be written.
    """
    flag("task.overwrite", overwrite)
    path = Path(path).expanduser()
    if input is not None and path.exists() and path.resolve().is_relative_to(Path(input).expanduser().resolve()):
        raise Refusal(f"task.output={path} is the input or inside it, which is not changed; name another.")
    if path.exists() and not overwrite:
        raise Refusal(f"{path} exists already; name another task.output, or use task.overwrite=true.")
    if not path.parent.is_dir():
        raise Refusal(f"There is no folder {path.parent}; create it, or name another task.output.")
    return path


def write(file: Path, data: bytes) -> None:
    """Write a file atomically.

    Args:
        file: The file.
        data: Its contents.

    Raises:
        Refusal: If it cannot be written.
    """
    unfinished = file.with_name(f".{file.name}-{os.getpid()}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(file)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise Refusal(f"Cannot write {file} ({error.strerror}); name another task.output.") from error


def _test_rows(context: Context, levels: int) -> tuple[np.ndarray, Form]:
    kind = np.min_scalar_type(levels - 1)
    total, size = len(context.test.indices), context.batch_size
    parts = (context.examples(slice(start, start + size)) for start in range(0, total, size))
    x = torch.cat([(part * (levels - 1)).round().cpu() for part in parts]).numpy().astype(kind)
    return x, Form(levels - 1, kind.str)


@torch.no_grad()
def _bounds(context: Context, x: np.ndarray, condition: Tensor | None, num_samples: int) -> dict[str, float]:
    """Bounds of the model on the size of the examples, in bits per dimension."""
    vae, nats = context.vae, np.zeros(2)
    assert vae.space.bins is not None
    for start in track(range(0, len(x), context.batch_size), "evaluating"):
        part = slice(start, start + context.batch_size)
        rows = torch.from_numpy(x[part]).to(vae.device).float() / (vae.space.bins - 1)
        given = None if condition is None else condition[part]
        log_px = vae.log_weights(Batch(rows), num_samples, given).double().logsumexp(0) - np.log(num_samples)
        elbo = vae.terms(Batch(rows), vae.encoder(rows), 1, condition=given).elbo
        nats -= float(elbo.double().sum()), float(log_px.sum())
    return dict(zip(("elbo", "nll"), map(float, nats / x.size / np.log(2)), strict=True))


def _others(x: np.ndarray, levels: int) -> dict[str, float]:
    """Bits per dimension of other compressors at their best: of all examples as bytes, or bits if they are binary; of
    an image each, files of their own added up."""
    x = x[:COMPARED]
    rows = (np.packbits(x) if levels == 2 else x).tobytes()
    sizes = {
        "gzip": len(gzip.compress(rows, 9)),
        "bz2": len(bz2.compress(rows, 9)),
        "xz": len(lzma.compress(rows, preset=9 | lzma.PRESET_EXTREME)),
    }
    if x.shape[1] in (1, 3) and levels <= 256:
        sizes |= {"PNG": 0, "WebP": 0}
        for image in track(x * np.uint8(255) if levels == 2 else x, "comparing"):
            picture = PIL.Image.fromarray(
                image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
            )
            sizes["PNG"] += _size(
                picture.convert("1") if levels == 2 and len(image) == 1 else picture, "PNG", optimize=True
            )
            sizes["WebP"] += _size(picture.convert("RGB"), "WebP", lossless=True)
    return {name: 8 * size / x.size for name, size in sizes.items()}


def _size(picture: PIL.Image.Image, kind: str, **options: bool) -> int:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.tell()
