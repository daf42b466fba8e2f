"""Whether each latent variable encodes one factor of the data."""

from __future__ import annotations

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from vaekit.capabilities import Capability
from vaekit.media.plots import save_heat_maps
from vaekit.metrics.disentanglement import disentanglement
from vaekit.refusal import Refusal
from vaekit.tasks.shared.checks import within
from vaekit.tasks.shared.context import Context
from vaekit.tasks.shared.requires import requires
from vaekit.track import track


@requires(Capability.FACTORS)
@torch.no_grad()
def disentangle(context: Context, n: int = 10_000) -> dict[str, float]:
    """Write disentanglement metrics of the posterior means of test examples: disentanglement.json.

    `vaekit.metrics.disentanglement` defines the metrics; all are from 0 to 1. Also writes disentanglement.png: the
    mutual information of each latent variable and factor, as a fraction of the entropy of the factor, and the
    importance of each variable for each factor. Constant factors are left out.

    Args:
        context: The run.
        n: Number of test examples, the first ones.

    Returns:
        Metrics by name.

    Raises:
        Refusal: For data without two factors that vary, and unless n is from 100 to the number of test rows.
    """
    label, rows, source = context.test.label, context.test.indices, context.data.source
    assert label is not None, "of a source with factors"
    within("task.n", n, 100, len(rows))
    numbers = context.sample(n)
    factors = label[rows[numbers]].numpy()
    varied = np.flatnonzero(np.ptp(factors, 0))
    if len(varied) < 2:
        raise Refusal(f"The rows of data={source.name} do not vary in several factors. Try data=sprites.")

    latents = []
    for part in track(numbers.split(context.batch_size), "encoding"):
        levels = context.vae.encode(context.examples(part), condition=context.condition(part))
        latents.append(torch.cat([z.flatten(1) for z in levels], 1).cpu())
    seed = int(torch.randint(2**31, ()))
    figures, maps = disentanglement(torch.cat(latents).numpy(), factors[:, varied], seed)
    context.write_json("disentanglement.json", figures)
    save_heat_maps(context.out / "disentanglement.png", maps, [source.factors[int(number)] for number in varied])
    table = Table("metric", "", title="Disentanglement", title_justify="left")
    for name, value in figures.items():
        table.add_row(name, f"{value:.3f}")
    Console().print(table)
    return figures
