"""The likelihood of each example."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.data.module import Part
from vaekit.spaces import Text, sentence_mask
from vaekit.tasks.shared.checks import one_of, within
from vaekit.tasks.shared.context import Context, ExamplesFile
from vaekit.tasks.shared.requires import requires
from vaekit.track import track


@requires(Capability.LOG_PROB)
def score(context: Context, split: Part = "test", input: ExamplesFile = None, num_samples: int = 100) -> Tensor:
    """Write log p(x) of each example: the importance-sampled bound of Burda et al. 2016.

    Writes scores.csv: `row` (number in the data, from 0) or `file`, log_px in nats, bits_per_dim where it is defined,
    and for text token_perplexity, exp(-log_px per token), <eos> included. With missing values, log_px is that of the
    observed ones.

    Args:
        context: The run.
        split: Part of the data: train, val or test.
        input: In place of the part, an image file, a folder of images, or rows in .npy or .npz.
        num_samples: Draws of z for each example.

    Returns:
        `[N]`, nats.

    Raises:
        Refusal: For an unknown split, num_samples < 1, and inputs that cannot be read or do not fit.
    """
    within("task.num_samples", num_samples, 1)
    one_of("task.split", split, ("test", "train", "val"))
    names: Sequence[Any]
    if input is not None:
        names, batches = context.read(input)
    else:
        examples = context.data.in_order(split)
        names, batches = examples.indices.tolist(), map(context.ready, examples)
    vae, scores = context.vae, torch.empty(len(names))
    bits = vae.space.bits_per_dim(0.0) is not None

    def rows() -> Iterator[list[Any]]:
        first = "file" if isinstance(names[0], str) else "row"
        text = ["token_perplexity"] if isinstance(vae.space, Text) else []
        yield [first, "log_px", "bits_per_dim"] if bits else [first, "log_px", *text]
        row = iter(names)
        parts = scores.split(context.batch_size)
        for log_px, batch in zip(parts, track(batches, "scoring", total=len(parts)), strict=True):
            log_px.copy_(vae.log_weights(batch, num_samples).logsumexp(0) - math.log(num_samples))
            columns: list[Any] = [log_px, vae.space.bits_per_dim(-log_px)] if bits else [log_px]
            if text:
                columns.append((-log_px / sentence_mask(batch.x).sum(1).cpu()).exp())
            for figures in zip(*(column.tolist() for column in columns), strict=True):
                yield [next(row), *(f"{each:.6f}" for each in figures)]

    context.write_csv("scores.csv", rows())
    Console().print(f"log p(x): {scores.mean():.2f} nats on average over {len(scores)} examples")
    return scores
