"""The parts of a run."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from vaekit.summary import composition, parts
from vaekit.tasks.shared.context import Context


def describe(context: Context) -> dict[str, Any]:
    """Write the parts of a run, its spaces of x and z, and the number of its weights: describe.json.

    Penalties belong to the training rather than the model, and are left out.

    Args:
        context: The run.

    Returns:
        The contents of describe.json.
    """
    vae, data = context.vae, context.config["data"]["name"]
    _, objective, _ = context.plan.build()
    found = {
        "run": str(context.run),
        "x": vae.space.description,
        "z": [level.space.description for level in vae.latents.levels],
        "parameters": sum(weights.numel() for weights in vae.parameters()),
        "parts": [{**row._asdict(), "part": row.part.strip()} for row in parts(vae, objective, {}, data)],
    }
    context.write_json("describe.json", found)
    Console().print(composition(vae, objective, {}, data))
    return found
