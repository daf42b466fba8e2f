"""What a run is composed of."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from vaekit.plan.plan import Plan
from vaekit.summary import composition, describe_space, parts
from vaekit.tasks.shared.context import Context


def describe(context: Context) -> dict[str, Any]:
    """The parts of a run, its two spaces and its parameter counts, by name: describe.json.

    Penalties are of the training and not of the model, and are left out.
    """
    vae, data = context.vae, context.config["data"]["name"]
    _, objective, _ = Plan.read(context.config, vae.space).build()
    found = {
        "run": str(context.run),
        "x": describe_space(vae.space),
        "z": [describe_space(level.space) for level in vae.latents.levels],
        "parameters": sum(weights.numel() for weights in vae.parameters()),
        "parts": [{**row._asdict(), "part": row.part.strip()} for row in parts(vae, objective, {}, data)],
    }
    context.write_json("describe.json", found)
    Console().print(composition(vae, objective, {}, data))
    return found
