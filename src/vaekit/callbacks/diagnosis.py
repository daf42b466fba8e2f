"""Problems that a falling loss hides, and a test that takes long, and what to type to fix them."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.trainer.states import TrainerFn

from vaekit.batch import Batch
from vaekit.objectives.elbo import ELBO
from vaekit.schedules.constant import Constant
from vaekit.shards import whole
from vaekit.vae import VAE

MIN_RATE = 0.1  # nats per example
MIN_USAGE = 0.1  # fraction of the codes
MIN_GAIN = 0.1  # nats per example that a row gains by its own condition over that of another row
MINUTES = 2  # that a test may take without a word
ROWS = 256  # number of validation rows for the gain


class Diagnosis(L.Callback):
    """Prints a warning if the posterior has collapsed, codes are unused, or the model ignores its condition.

    It does so after the first validation that shows the problem, and again after the last one if the problem remains.
    Before a test that will take long it prints for how long.
    """

    def __init__(self) -> None:
        self.reported: set[str] = set()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        problems = dict(problems_in(pl_module.validation, pl_module.vae, pl_module.objective))
        if last and pl_module.vae.needs_condition:
            with whole(trainer):
                examples = trainer.datamodule.sample("val", ROWS).to(pl_module.device)
                problems |= ignored_condition(pl_module.vae, pl_module.objective, examples)
        for problem, warning in problems.items():
            if trainer.is_global_zero and (last or problem not in self.reported):
                print(warning, flush=True)
        self.reported |= problems.keys()

    def on_test_batch_start(self, trainer: Any, pl_module: Any, batch: Batch, batch_idx: int, *_: Any) -> None:
        draws = pl_module.nll_samples
        if batch_idx or draws == 1 or not pl_module.vae.has_density:
            return
        for _attempt in range(2):  # the first pass also sets up what later ones use again
            start = perf_counter()
            with trainer.precision_plugin.forward_context():
                pl_module.vae.log_weights(batch, 1)
        minutes = (perf_counter() - start) * draws * sum(trainer.num_test_batches) / 60
        if minutes > MINUTES and trainer.is_global_zero:
            print(
                f"The test takes about {minutes:,.0f} minutes: evaluation.num_samples={draws} draws of z for each row. "
                "With evaluation.num_samples=1 test/nll is the negative ELBO.",
                flush=True,
            )


def problems_in(validation: dict[str, float], vae: VAE, objective: Any) -> Iterator[tuple[str, str]]:
    """Problems that validation metrics show.

    Args:
        validation: Validation metrics by name.
        vae: The model.
        objective: Its objective.

    Returns:
        The name of each problem, and the warning.
    """
    if validation.get("val/rate", MIN_RATE) < MIN_RATE:
        yield (
            "collapse",
            f"val/rate is {validation['val/rate']:.3f} nats, so z carries almost no information about x: the "
            f"posterior has collapsed to the prior. Try {collapse_remedy(objective)}.",
        )
    for level, part in enumerate(vae.latents.levels):
        suffix = f"_{level}" if len(vae.latents.levels) > 1 else ""
        usage, perplexity = (validation.get(f"val/{name}{suffix}") for name in ("code_usage", "perplexity"))
        if usage is not None and perplexity is not None and usage < MIN_USAGE:
            codes = max(2, 2 ** round(perplexity * 2).bit_length())
            yield (
                f"codes{suffix}",
                f"Only {usage:.1%} of the {part.space.atoms} codes are used (perplexity {perplexity:.1f}). "
                f"Try posterior.codes={codes}.",
            )


def collapse_remedy(objective: Any) -> str:
    """What to type to prevent posterior collapse.

    Args:
        objective: Objective of the run. A remedy that it already contains is not repeated.
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
        The warning by the name of the problem; empty if there is none.
    """
    own = vae.condition_of(batch)
    assert own is not None
    other = own.roll(1, 0)
    changed = (own != other).reshape(len(own), -1).any(1)
    zs = [step.z[0] for step in vae.infer(vae.encoder(batch.x), condition=own).steps]
    gain = (vae.joint(batch.x, zs, own) - vae.joint(batch.x, zs, other))[changed].mean()
    if not gain < MIN_GAIN:
        return {}
    fix = "objective.beta.value=4" if isinstance(objective, ELBO) else f"latents.dim={max(1, len(zs[0][0]) // 2)}"
    return {
        "condition": f"The model ignores its condition: log p(x, z | condition) is only {gain:.3f} nats higher with "
        f"the condition of the row than with that of another row, because z already contains it. Try {fix}."
    }
