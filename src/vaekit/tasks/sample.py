"""New examples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from vaekit.distributions.temperature import tempered
from vaekit.distributions.tokens import Tokens
from vaekit.media.figures import Headings
from vaekit.refusal import Refusal
from vaekit.tasks.shared.checks import flag, positive, within
from vaekit.tasks.shared.context import Context, Examples
from vaekit.tasks.shared.given import draw as draw_given
from vaekit.tasks.shared.quality import write_quality
from vaekit.tasks.shared.synthetic import prior
from vaekit.track import track


def sample(
    context: Context,
    n: int = 64,
    temperature: float | Sequence[float] = 1.0,
    draw: bool = False,
    quality: bool = False,
    label: int | Sequence[int] | None = None,
    given: str | Sequence[str] | Mapping[str, Any] | None = None,
    x_temperature: float = 1.0,
    top_p: float = 1.0,
    beam: int = 1,
) -> Examples:
    """Write new examples: samples.npz, with labels if the model has them, and samples.png, or samples.csv for a table.

    Args:
        context: The run.
        n: Number of examples.
        temperature: Multiplies the standard deviation of the prior, of all levels or of each, top first.
        draw: Whether x is drawn from p(x | z), as rows of a table always are, rather than its mean.
        quality: Whether to measure the quality of as many means as there are test rows: quality.json
            (`vaekit.tasks.shared.quality.write_quality`).
        label: Of all examples, for a model with labels; None for labels as frequent as in training.
        given: Fixed cells of all rows of a table, e.g. `income=>50K` (`vaekit.tasks.shared.given`).
        x_temperature: Multiplies the standard deviation of draws of x; for text it divides the logits.
        top_p: For text: draw each token from the likeliest ones that have this probability together.
        beam: For text: width of a beam search for the likeliest sentence, instead of a draw.

    Returns:
        x `[n, *space.shape]`.

    Raises:
        Refusal: For n < 1, an unknown label, a temperature that is not above 0, a prior without a standard deviation,
            and the quality of data without labels.
    """
    within("task.n", n, 1)
    for each in temperature if isinstance(temperature, list | tuple) else [temperature]:
        positive("task.temperature", each)
    flag("task.draw", draw)
    flag("task.quality", quality)
    positive("task.x_temperature", x_temperature)
    within("task.beam", beam, 1)
    if not 0 < top_p <= 1:
        raise Refusal(f"task.top_p={top_p} must be above 0 and at most 1; use task.top_p=0.9.")
    pick = partial(_pick, draw=draw or context.medium.drawn, temperature=x_temperature, top_p=top_p, beam=beam)
    if given is not None:
        rows = draw_given(context, given, n, label)
        labels = {} if rows.label is None else {"label": rows.label}
        context.save("samples", rows.x, 1, Headings(), x=rows.x, **labels)
        return Examples(rows.x)
    draw_z = prior(context, label, temperature)

    @torch.no_grad()
    def batch(n: int) -> dict[str, Tensor]:
        state, labels = draw_z(n)
        x = pick(context.vae.likelihood(state))
        return {"x": x} if labels is None else {"x": x, "label": labels}

    arrays = context.stream("samples", n, map(batch, track(context.chunks(n), "sampling")))
    x = arrays["x"]
    label_of = arrays.get("label")
    cells = [] if label_of is None else [f"label {each}" for each in label_of.tolist()]
    what = "draws from" if draw or context.medium.drawn else "means of"
    at = "" if temperature == 1 else f" at temperature {temperature}"
    headings = Headings(f"Samples: {what} p(x | z), z from the prior{at}", cells=cells)
    context.show("samples", x, min(16, math.ceil(math.sqrt(n))), headings, label_of)
    if quality:
        write_quality(context, temperature)
    return Examples(x)


def _pick(px: Any, draw: bool, temperature: float, top_p: float, beam: int) -> Tensor:
    if temperature != 1:
        px = tempered(px, temperature)
    if top_p == beam == 1:
        return px.sample() if draw or temperature != 1 else px.mean
    if not isinstance(px.base_dist, Tokens):
        raise Refusal(
            "task.top_p and task.beam are for text, and these data are not text. Try task.top_p=1 task.beam=1."
        )
    likeliest = px.base_dist.nucleus(top_p)
    return likeliest.beam(beam) if beam > 1 else likeliest.sample()
