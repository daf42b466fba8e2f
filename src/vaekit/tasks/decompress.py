"""Restores the examples that `compress` compressed."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.progress import Progress

from vaekit.capabilities import Capability
from vaekit.coding.archive import fingerprint, read
from vaekit.coding.bits_back import NOT_RESTORED, decode
from vaekit.coding.originals import check_name, write_images
from vaekit.overrides import typed
from vaekit.refusal import Refusal
from vaekit.runs import read_weights
from vaekit.tasks.compress import NAME, destination, write
from vaekit.tasks.shared.context import Context
from vaekit.tasks.shared.requires import requires


@requires(Capability.DISCRETE, Capability.CODED)
def decompress(
    context: Context, input: str | Path | None = None, output: str | Path | None = None, overwrite: bool = False
) -> np.ndarray:
    """Restore the examples of a compressed file, bit for bit: restored.npy, or PNG files in restored/.

    The model must be the one that compressed; the machine may differ, as networks run in float64 and their outputs are
    rounded. If a machine still computes different values, their checksum does not match, and
    nothing is written.

    Args:
        context: The run.
        input: The file; None for the last one that `compress` wrote for this run.
        output: A .npy file, or a folder for images; None for the folder of the task.
        overwrite: Whether existing files may be replaced.

    Returns:
        `[N, *space.shape]`.

    Raises:
        Refusal: For a file that `compress` did not write, a damaged one, and one of another version, model or machine.
    """
    file = context.run / "tasks" / "compress" / NAME if input is None else Path(input).expanduser()
    archive = read(file)
    space, form = context.vae.space, archive.form
    assert space.bins is not None
    if archive.model != fingerprint(read_weights(context.run)):
        raise Refusal(
            f"{file} was compressed by another model than that of {context.run}; give its run, "
            f"run=.../{shlex.quote(archive.run)}."
        )
    if form.scale not in (1, 255, space.bins - 1):
        raise Refusal(f"{file} has a scale of {form.scale}, which does not fit the values of this run; compress again.")
    target = destination(output or context.out / ("restored" if form.names else "restored.npy"), overwrite, file)
    if form.names is None and target.suffix != ".npy":
        raise Refusal(f"{file} holds an array, got task.output={target}; use {typed('task.output', f'{target}.npy')}.")
    for name in form.names or []:
        check_name(name)
        if (target / name).resolve() == file.resolve():
            raise Refusal(f"{file} would be overwritten by one of its images; name another task.output.")
    with Progress() as bar:
        task = bar.add_task("decompressing", total=sum(archive.stream.sizes))
        condition = context.vae.parse_condition(archive.condition, sum(archive.stream.sizes))
        x = decode(context.vae, archive.stream, lambda n: bar.advance(task, n), condition)
    if form.checksum(x, space.bins) != archive.checksum:
        raise Refusal(NOT_RESTORED)
    values = form.restore(x, space.bins)
    if form.names is None:
        array = io.BytesIO()
        np.save(array, values, allow_pickle=False)
        write(target, array.getvalue())
    else:
        _write_folder(target, form.names, values)
    Console().print(f"{len(values):,} examples came back as they were: {values.dtype} {list(values.shape)}")
    return values


def _write_folder(folder: Path, names: list[str], values: np.ndarray) -> None:
    try:
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as unfinished:
            write_images(Path(unfinished), names, values)
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(unfinished) / name).replace(folder / name)
    except OSError as error:
        raise Refusal(f"Cannot write to {folder} ({error.strerror}); name another task.output.") from error
