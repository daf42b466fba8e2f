"""The LightningModule: optimisers, random state and logging. The mathematics is elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor

from vaekit import optimizers
from vaekit.batch import Batch
from vaekit.metrics.evaluation import Evaluation
from vaekit.refusal import Refusal
from vaekit.vae import VAE, Terms


class Training(L.LightningModule):
    """Trains `vae` on `objective`; knows no model, objective or data set by name.

    optimizer(parameters) builds the optimiser; decay(optimizer, total_steps, steps_per_epoch) its learning-rate
    schedule (see `vaekit.optimizers`), after `warmup` epochs of linear warm-up. nll_samples: importance samples of
    test/nll. seed: with the step it decides every random draw, so that a resumed run repeats an uninterrupted one.
    """

    def __init__(
        self,
        vae: VAE,
        objective: Any,
        optimizer: Callable[[Any], torch.optim.Optimizer],
        decay: Callable[..., dict] | None = None,
        warmup: float = 0.0,
        nll_samples: int = 100,
        seed: int = 0,
    ):
        super().__init__()
        if nll_samples < 1:
            raise Refusal(f"evaluation.num_samples={nll_samples} must be at least 1; use evaluation.num_samples=100.")
        if warmup < 0:
            raise Refusal(f"optimizer.warmup={warmup} must be at least 0 epochs; use optimizer.warmup=0.")
        self.vae, self.objective = vae, objective
        self.optimizer, self.decay, self.warmup = optimizer, decay, warmup
        self.nll_samples, self.seed = nll_samples, seed
        self.evaluation = Evaluation(vae.space, len(vae.latents.levels))
        self.last_loss: Tensor | None = None

    # Training --------------------------------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        # a fifth of Adam's moments would become denormal numbers, which take a CPU many times as long
        torch.set_flush_denormal(True)
        if self.trainer.global_step == 0 and self.trainer.ckpt_path is None:
            self.vae.likelihood.start_at(self.trainer.datamodule.mean())

    def on_train_epoch_start(self) -> None:
        self._reseed(0)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        epoch = self.current_epoch + batch_idx / self.trainer.num_training_batches
        terms: Terms = self.vae(batch, self.objective.num_samples)
        loss = self.objective(terms, epoch).mean()
        self._refuse_non_finite(terms, loss)
        self.last_loss = loss.detach()
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:
            with torch.no_grad():
                figures = {"loss": loss, **{name: getattr(terms, name).mean() for name in ("distortion", "rate")}}
            self.log_dict({f"train/{name}": value for name, value in figures.items()}, batch_size=len(batch))
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        self._reseed(batch_idx + 1)

    def _reseed(self, batch_idx: int) -> None:
        """Fix the draws of the coming batch, whatever came before it: a validation, a resumption."""
        # the hash of a tuple of integers is the same in every process
        torch.manual_seed(hash((self.seed, self.current_epoch, batch_idx, self.global_rank)) & 0x7FFFFFFFFFFFFFFF)

    def _refuse_non_finite(self, terms: Terms, loss: Tensor) -> None:
        if torch.isfinite(loss):
            return
        named = {"log p(x|z)": terms.log_px}
        for level in range(len(terms.steps)):
            named[f"log p(z) of level {level}"] = terms.log_pz[level]
            named[f"log q(z|x) of level {level}"] = terms.log_qz[level]
        bad = next((name for name, term in named.items() if not torch.isfinite(term).all()), "the loss itself")
        checkpoint = getattr(self.trainer.checkpoint_callback, "last_model_path", "")
        kept = f"The last good checkpoint is {checkpoint}" if checkpoint else "There is no checkpoint yet"
        raise Refusal(
            f"The loss is not finite at step {self.global_step}: {bad} went bad first. {kept}; "
            "try optimizer.lr=1e-4 or trainer.gradient_clip_val=1."
        )

    # Evaluation: validation and test use the final value of every schedule -------------------------------------------

    def on_validation_batch_start(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        torch.manual_seed(batch_idx)  # the same draws at every validation: less noise between epochs

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._score(batch)

    def on_validation_epoch_end(self) -> None:
        self._log_figures("val")

    def on_validation_end(self) -> None:
        if self.trainer.training:
            self._reseed(self.trainer.fit_loop.epoch_loop.batch_idx + 1)

    def on_test_batch_start(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        torch.manual_seed(batch_idx)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._score(batch, self.vae.log_weights(batch, self.nll_samples))

    def on_test_epoch_end(self) -> None:
        self._log_figures("test")

    def _score(self, batch: Batch, log_w: Tensor | None = None) -> None:
        terms = self.vae(batch, self.objective.num_samples)
        self.evaluation.update(terms, self.objective(terms, None), log_w)

    def _log_figures(self, split: str) -> None:
        figures = self.evaluation.compute()
        self.evaluation.reset()
        self.log_dict({f"{split}/{name}": value for name, value in figures.items()})

    # Optimisation ----------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.vae.parameters())
        total_steps = self.trainer.estimated_stepping_batches
        steps_per_epoch = max(1, self.trainer.num_training_batches // self.trainer.accumulate_grad_batches)
        schedulers = []
        if warmup_steps := round(self.warmup * steps_per_epoch):
            schedulers.append(optimizers.warmup(optimizer, warmup_steps))
        if self.decay is not None:
            schedulers.append(self.decay(optimizer, total_steps, steps_per_epoch))
        return [optimizer], schedulers

    def compile_networks(self) -> None:
        """Compile encoder and decoder in place, which leaves the names of their weights as they are."""
        self.vae.encoder.compile()
        self.vae.likelihood.network.compile()

    def load_best(self, checkpoint: Path) -> None:
        """Take the weights of a checkpoint that this training wrote."""
        state = torch.load(checkpoint, map_location=self.device, weights_only=True)["state_dict"]
        self.load_state_dict(state)
