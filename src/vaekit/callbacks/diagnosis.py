"""Problems of a run although its loss falls, and what to type against them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.trainer.states import TrainerFn

from vaekit.batch import Batch
from vaekit.objectives.elbo import ELBO
from vaekit.schedules.constant import Constant
from vaekit.shards import whole
from vaekit.vae import VAE

LEAST_RATE = 0.1  # nats an example
LEAST_USAGE = 0.1  # of the codes
LEAST_GAIN = 0.1  # nats an example, by its own condition rather than another row's
ROWS = 256  # that are looked at for the last of these


class Diagnosis(L.Callback):
    """Prints a sentence where the posterior has collapsed, codes are not used, or the model ignores its condition.

    After the validation that first shows it, and again after the last one if it is still so.
    """

    def __init__(self) -> None:
        self.said: set[str] = set()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        found = dict(from_figures(pl_module.validation, pl_module.vae, pl_module.objective))
        if last and pl_module.vae.needs_condition:
            with whole(trainer):
                examples = trainer.datamodule.sample("val", ROWS).to(pl_module.device)
                found |= ignored_condition(pl_module.vae, pl_module.objective, examples)
        for problem, sentence in found.items():
            if trainer.is_global_zero and (last or problem not in self.said):
                print(sentence, flush=True)
        self.said |= found.keys()


def from_figures(validation: dict[str, float], vae: VAE, objective: Any) -> Iterator[tuple[str, str]]:
    """Problems that the figures of a validation show.

    Args:
        validation: Validation metrics by name.
        vae: The model.
        objective: Its objective.

    Returns:
        Pairs of the name of a problem and a sentence.
    """
    if validation.get("val/rate", LEAST_RATE) < LEAST_RATE:
        yield (
            "collapse",
            f"val/rate is {validation['val/rate']:.3f} nats, so z says next to nothing about x: the posterior has "
            f"collapsed to the prior. Try {against_collapse(objective)}.",
        )
    for level, part in enumerate(vae.latents.levels):
        which = f"_{level}" if len(vae.latents.levels) > 1 else ""
        usage, perplexity = (validation.get(f"val/{name}{which}") for name in ("code_usage", "perplexity"))
        if usage is not None and perplexity is not None and usage < LEAST_USAGE:
            codes = max(2, 2 ** round(perplexity * 2).bit_length())
            yield (
                f"codes{which}",
                f"Only {usage:.1%} of the {part.space.atoms} codes are used (perplexity {perplexity:.1f}). "
                f"Try posterior.codes={codes}.",
            )


def against_collapse(objective: Any) -> str:
    """What to type against a collapsed posterior.

    Args:
        objective: Objective of the run, which may already be such a measure.
    """
    if isinstance(objective, ELBO) and isinstance(objective.beta, float | int | Constant):
        return "objective=warm_up"
    return "objective.free_bits.value=2" if isinstance(objective, ELBO) else "'callbacks=[default,lagging]'"


@torch.no_grad()
def ignored_condition(vae: VAE, objective: Any, batch: Batch) -> dict[str, str]:
    """Whether the model ignores its condition: rows are as likely with the condition of another row as with their own.

    Args:
        vae: A conditional model.
        objective: Its objective.
        batch: Rows with their conditions.

    Returns:
        The problem by name, with a sentence; empty if there is none.
    """
    own = vae.condition_of(batch)
    assert own is not None
    other = own.roll(1, 0)
    differs = (own != other).reshape(len(own), -1).any(1)
    zs = [step.z[0] for step in vae.infer(vae.encoder(batch.x), condition=own).steps]
    gain = (vae.joint(batch.x, zs, own) - vae.joint(batch.x, zs, other))[differs].mean()
    if not gain < LEAST_GAIN:
        return {}
    fix = "objective.beta.value=4" if isinstance(objective, ELBO) else f"latents.dim={max(1, len(zs[0][0]) // 2)}"
    return {
        "condition": f"The model ignores its condition: log p(x, z | condition) is {gain:.3f} nats higher with a row's "
        f"own than with another row's, because z says it already. Try {fix}."
    }
