"""The model card of an exported run: README.md in the form of Hugging Face."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from vaekit import runs
from vaekit.spaces import Image
from vaekit.summary import number, parts
from vaekit.tasks.shared.context import Context

USE = """```python
import vaekit

vae = vaekit.load("{address}")  # config.yaml and model.safetensors; no code is run
x = vae.sample(16)
```
"""
PRIVATE = """## Privacy

The weights are differentially private with regard to one training row: epsilon {privacy/epsilon:.3g}, delta
{privacy/delta:.2g}. This covers neither what the data space records (names, ranges and categories of columns) nor the
metrics and figures of this card, and it holds only if training did not start from weights trained on the same rows.
"""
EXPORTED = """Each `.pt2` file is read by `torch.export.load`; an `.onnx` file needs neither vaekit nor torch:

```python
import numpy
import onnxruntime

decoder = onnxruntime.InferenceSession("decoder.onnx")
{inputs}
(x,) = decoder.run(["x"], {feed})  # the mean of p(x | z)
```
"""


def model_card(
    context: Context, differences: Mapping[str, float], figures: Sequence[str], address: str = "FOLDER"
) -> str:
    """Metadata, parts, metrics, figures, and the use of the exported files.

    Args:
        context: The run.
        differences: Largest difference of each exported file from the module, by its name.
        figures: Names of the figures.
        address: From which `vaekit.load` reads the run.

    Returns:
        Markdown.
    """
    vae, data = context.vae, context.config["data"]["name"]
    _, objective, _ = context.plan.build()
    metrics = runs.read_metrics(context.run)
    tested = {name: value for name, value in metrics.items() if name.startswith("test/")}
    kind = "unconditional-image-generation" if isinstance(vae.space, Image) else "other"
    results = {
        "task": {"type": kind},
        "dataset": {"name": data, "type": data},
        "metrics": [{"type": name.removeprefix("test/"), "value": value} for name, value in tested.items()],
    }
    about: dict[str, Any] = {"library_name": "vaekit", "tags": ["vae", "variational-autoencoder"]}
    about |= {"pipeline_tag": kind} if isinstance(vae.space, Image) else {}
    about["model-index"] = [{"name": f"vaekit-{data}", "results": [results]}]

    levels = vae.latents.levels
    names = ["z"] if len(levels) == 1 else [f"z_{level}" for level in range(len(levels))]
    shapes = [", ".join(map(str, level.space.shape)) for level in levels]
    inputs = [
        f'{name} = numpy.zeros((16, {shape}), "float32")  # a point of {level.space.description} each'
        for name, shape, level in zip(names, shapes, levels, strict=True)
    ]
    feed = "{" + ", ".join(f'"{name}": {name}' for name in names) + "}"
    composition = (
        (row.part.strip(), row.choice, row.over, f"{row.parameters:,}" if row.parameters else "")
        for row in parts(vae, objective, {}, data)
    )
    sections = [
        f"---\n{yaml.safe_dump(about, sort_keys=False)}---",
        f"# Variational autoencoder of {data}",
        table(("part", "choice", "over", "parameters"), composition),
        "## Test\n\nIn nats per example, but for bits per dimension and counts.",
        table(("metric", "value"), ((name, number(value)) for name, value in tested.items())),
        *(f"![{name}]({name})" for name in figures),
        *([PRIVATE.format(**metrics)] if "privacy/epsilon" in metrics else []),
        "## Use",
        USE.format(address=address),
    ]
    if differences:
        rows = ((file, f"{value:.1e}") for file, value in differences.items())
        sections += [EXPORTED.format(inputs="\n".join(inputs), feed=feed), table(("file", "largest difference"), rows)]
    return "\n\n".join(sections) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown.

    Args:
        head: Names of the columns.
        rows: Cells of each row.
    """
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
