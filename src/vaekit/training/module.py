"""The LightningModule: optimizers, random state and logging. The mathematics is elsewhere."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MeanMetric

from vaekit import checkpoints, renames
from vaekit.batch import Batch
from vaekit.callbacks.whole_checkpoints import rebase
from vaekit.capabilities import Capability
from vaekit.metrics.evaluation import Evaluation
from vaekit.overrides import typed
from vaekit.penalties.penalty import Adversarial
from vaekit.posteriors.posterior import Posterior
from vaekit.refusal import Refusal
from vaekit.schedules.schedule import at, scheduled
from vaekit.spaces import Codes
from vaekit.terms import Terms
from vaekit.training.decay import constant
from vaekit.training.privacy import DifferentialPrivacy, check_rows_are_separate
from vaekit.vae import VAE

log = logging.getLogger(__name__)
USUAL_LR = 1e-3  # a higher one that fails is replaced by this, if that is lower than a tenth


class Training(L.LightningModule):
    """Trains a VAE on an objective and penalties.

    The loss is the mean of the objective plus each penalty times its weight. A penalty with a discriminator adds the
    discriminator loss. No parameter gets a gradient from both (see `vaekit.penalties.penalty`), so one backward pass
    and one optimizer replace alternating updates.

    Args:
        vae: The model.
        objective: Computes the loss of each row from its `Terms`.
        penalties: Penalties by name.
        optimizer: Builds the optimizer from parameters.
        decay: Learning-rate schedule, see `vaekit.training.decay`.
        warmup: Epochs in which the learning rate rises linearly.
        nll_samples: Importance samples of test/nll.
        seed: With the step number it determines every random draw, so a resumed run repeats an uninterrupted one.
        compiled: Whether the computation of the terms of a whole batch is compiled. Smaller last batches and evaluation
            run uncompiled.
        privacy: Makes the gradients differentially private; None for plain ones.
        weights: Weights, by name, of parts that start from another run.
        frozen: Modules that stay in evaluation mode, see `vaekit.training.transfer`.

    Raises:
        Refusal: For `nll_samples` below 1 and a negative `warmup`.
    """

    penalties: Any
    averages: Any

    def __init__(
        self,
        vae: VAE,
        objective: Any,
        penalties: nn.ModuleDict,
        optimizer: Callable[[Any], torch.optim.Optimizer],
        decay: Callable[..., list[dict[str, Any]]] = constant,
        warmup: float = 0.0,
        nll_samples: int = 100,
        seed: int = 0,
        compiled: bool = False,
        privacy: DifferentialPrivacy | None = None,
        weights: Mapping[str, Tensor] | None = None,
        frozen: Sequence[nn.Module] = (),
    ):
        super().__init__()
        if nll_samples < 1:
            raise Refusal(f"evaluation.num_samples={nll_samples} must be at least 1; use evaluation.num_samples=100.")
        if warmup < 0:
            raise Refusal(f"optimizer.warmup={warmup} must be at least 0 epochs; use optimizer.warmup=0.")
        self.vae, self.objective, self.penalties = vae, objective, penalties
        self.optimizer, self.decay, self.warmup = optimizer, decay, warmup
        self.nll_samples, self.seed, self.compiled = nll_samples, seed, compiled
        self.privacy, self.weights, self.frozen = privacy, weights or {}, list(frozen)
        atoms = [level.space.atoms if isinstance(level.space, Codes) else 0 for level in vae.latents.levels]
        if vae.latents.infers:
            atoms[0] = 0  # all classes are enumerated, so their usage is not measured
        self.evaluation = Evaluation(vae.space, len(vae.latents.levels), vae.has_density, atoms, vae.latents.infers)
        self.averages = nn.ModuleDict({name: MeanMetric(nan_strategy="disable") for name in penalties})  # NaN stays NaN
        self.annealed: list[Any] = [
            part for part in vae.modules() if isinstance(part, Posterior)
        ]  # by their own schedules
        self.last_loss: Tensor | None = None
        self.compiled_vae: Callable[[Batch, int], Terms] | None = None
        self.compiled_rows = 0
        self.private_step = -1  # the step of the last private gradient
        self.unscaled = ""  # warning about the scale of the data
        self.validation: dict[str, float] = {}  # metrics of the last validation, and the epoch of the weights

    # Training --------------------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        trainer: Any = self.trainer
        if stage == TrainerFn.FITTING:
            self.unscaled = trainer.datamodule.unscaled()
            if self.unscaled and trainer.is_global_zero:
                log.warning(self.unscaled)
        if stage == TrainerFn.FITTING and trainer.global_step == 0 and trainer.ckpt_path is None:
            if self.privacy is None:  # otherwise the weights would tell statistics of the rows
                self.vae.start_from(trainer.datamodule)
                for penalty in self.penalties.values():
                    penalty.start_from(trainer.datamodule)
            self.vae.load_state_dict(self.weights, strict=False)
        if stage == TrainerFn.FITTING and self.privacy is not None:
            check_rows_are_separate(self.vae, self.objective, trainer.datamodule.sample("train", 2))

    def train(self, mode: bool = True) -> Training:
        """Frozen parts stay in evaluation mode, so that their batch statistics do not change."""
        super().train(mode)
        for module in self.frozen:
            module.training = False
        return self

    def on_fit_start(self) -> None:
        if self.compiled:
            self._compile()

    def on_train_start(self) -> None:
        """Apply the current optimizer settings after Lightning restored the old ones, and resume at the next batch.

        The learning rate is scaled, so that its position on the schedule is kept.
        """
        trainer: Any = self.trainer
        if trainer.ckpt_path:
            self._check_restored()
            with checkpoints.restoring(Path(trainer.ckpt_path)):
                self._renew_settings()
        if self.privacy is not None:
            data = trainer.datamodule
            self.privacy.start(data.num_train, data.batch_size, int(trainer.estimated_stepping_batches))
        if (loop := trainer.fit_loop).restarted_mid_epoch:  # Lightning created the loader before it restored its state
            done = loop.epoch_loop.batch_progress.current.ready
            trainer.train_dataloader.load_state_dict({"epoch": self.current_epoch, "batch": done})
            self._reseed(done)

    def _renew_settings(self) -> None:
        for optimizer in self.trainer.optimizers:
            for group, settings in zip(optimizer.param_groups, self.settings, strict=True):
                full = group.get("initial_lr", group["lr"])
                group |= settings | {"lr": group["lr"] * (settings["lr"] / full) if full else settings["lr"]}
                if "initial_lr" in group:
                    group["initial_lr"] = settings["lr"]
            for config in self.trainer.lr_scheduler_configs:
                if hasattr(config.scheduler, "base_lrs"):
                    config.scheduler.base_lrs = [settings["lr"] for settings in self.settings]

    def _check_restored(self) -> None:
        """Raise `Refusal` unless the restored state of each weight has the shapes that it has after a step.

        torch only compares the number of weights. Fused kernels would read and write beyond the memory of a smaller
        state. A weight without a gradient has no state.
        """

        def after_a_step(weight: Tensor) -> dict[str, Any]:
            one = nn.Parameter(torch.zeros_like(weight))
            one.grad = torch.zeros_like(one)
            trial = self.optimizer([{"params": [one]}])
            trial.step(lambda: 0.0)
            return trial.state[one]

        def shape(value: Any) -> Any:
            return value.shape if isinstance(value, Tensor) else None

        (optimizer,) = self.trainer.optimizers
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        known = [weight for weight in weights if weight in optimizer.state]
        for weight in known or (weights[:1] if self.global_step else []):
            expected, held = after_a_step(weight), optimizer.state.get(weight, {})
            if wrong := [name for name in expected if name not in held or shape(held[name]) != shape(expected[name])]:
                folder = Path(str(self.trainer.ckpt_path)).parent.parent
                raise Refusal(
                    f"{self.trainer.ckpt_path} does not hold the state of this optimizer ({wrong[0]} of a weight of "
                    f"shape {list(weight.shape)}). Expected what the run has saved. Go on from another checkpoint of "
                    f"the run, or start a new run from its weights: {typed('init_from', folder)}."
                )
            held |= {name: new.copy_(held[name]) for name, new in expected.items() if isinstance(new, Tensor)}

    def on_train_epoch_start(self) -> None:
        self._reseed(0)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        trainer: Any = self.trainer
        epoch = self.current_epoch + batch_idx / trainer.num_training_batches
        for part in self.annealed:
            part.anneal(epoch)
        if self.privacy is not None:  # of whose rows no figures are logged
            return self._private_loss(self.privacy, batch, epoch)
        terms = self._terms(batch)
        losses, penalties = self._losses(terms, epoch)
        loss = losses.mean()
        critics = self._critic_losses(terms)
        self.last_loss = loss.detach()
        first_of_step = batch_idx % trainer.accumulate_grad_batches == 0
        logged = first_of_step and (self.global_step + 1) % trainer.log_every_n_steps == 0
        if logged or self.device.type == "cpu":  # on other devices, reading it at each step would wait for the device
            self._refuse_non_finite(terms, loss, penalties | critics)
        if logged:
            self._log_step(terms, {"loss": loss, **penalties, **critics}, epoch)
        return sum(critics.values(), loss)

    def _private_loss(self, privacy: DifferentialPrivacy, batch: Batch, epoch: float) -> Tensor:
        if self.private_step == self.global_step:
            raise Refusal(
                "privacy=dp accounts for one gradient in a step; this optimizer computes several. Use optimizer=adam."
            )
        self.private_step = self.global_step
        loss = privacy.loss(self.vae, self.objective, batch, epoch)
        self.last_loss = loss.detach()  # not checked: to end the training by it would reveal a row
        return loss

    def _terms(self, batch: Batch) -> Terms:
        self.compiled_rows = self.compiled_rows or len(batch)
        if self.compiled_vae is not None and len(batch) == self.compiled_rows:
            try:
                return self.compiled_vae(batch, self.objective.num_samples)
            except TorchDynamoException as error:
                self._stay_eager(f"torch.compile failed ({type(error).__name__}: {str(error).splitlines()[0]})")
        return self.vae(batch, self.objective.num_samples)

    def _compile(self) -> None:
        if self.privacy is not None:
            self._stay_eager("privacy=dp computes the gradient of each row")
        elif (
            Capability.NO_PENALTY in self.objective.requires
        ):  # it changes the gradient at z, which lies within the compiled graph
            self._stay_eager("this objective changes gradients half way")
        else:
            mode = "reduce-overhead" if self.device.type == "cuda" else "default"
            self.compiled_vae = torch.compile(self.vae.forward, dynamic=False, mode=mode)

    def _stay_eager(self, reason: str) -> None:
        log.warning(f"compile=true: {reason}, so this run continues uncompiled.")
        self.compiled_vae = None

    @torch.no_grad()
    def _log_step(self, terms: Terms, losses: dict[str, Tensor], epoch: float) -> None:
        """Send this step to the loggers. `self.log` would take a millisecond, as long as a step of a small network."""
        trainer: Any = self.trainer
        parts = {name: getattr(terms, name).mean() for name in ("distortion", "rate")[: 1 + self.vae.has_density]}
        figures = {f"train/{name}": value for name, value in (losses | parts).items()}
        values = trainer.strategy.reduce(torch.stack([*figures.values()]), reduce_op="mean").cpu()
        trainer.callback_metrics.update(zip(figures, values, strict=True))  # for callbacks that monitor them
        row = dict(zip(figures, values.tolist(), strict=True))
        parts_of = {"": self.objective} | {f"{name}.": each for name, each in self.penalties.items()}
        parts_of |= {f"posterior_{level}.": each for level, each in enumerate(self.annealed)}
        for prefix, part in parts_of.items():
            row |= {f"schedule/{prefix}{name}": value for name, value in scheduled(part, epoch).items()}
        for logger in trainer.loggers:
            logger.log_metrics(row | {"epoch": self.current_epoch}, self.global_step)

    def _losses(self, terms: Terms, epoch: float | None) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each example, `[B]`, and the unweighted penalties by name."""
        losses = self.objective(terms, epoch)
        if not self.penalties:
            return losses, {}
        with torch.autocast(self.device.type, enabled=False):  # differences of sums, in full precision as densities are
            penalties = {name: penalty(terms, self.vae, epoch) for name, penalty in self.penalties.items()}
        weights = {name: at(penalty.weight, epoch) for name, penalty in self.penalties.items()}
        return sum((weights[name] * penalties[name] for name in weights), losses), penalties

    def _critic_losses(self, terms: Terms) -> dict[str, Tensor]:
        critics = {name: each for name, each in self.penalties.items() if isinstance(each, Adversarial)}
        if not critics:
            return {}
        with torch.autocast(self.device.type, enabled=False):
            return {f"{name}_critic": each.critic_loss(terms, self.vae) for name, each in critics.items()}

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        self._reseed(batch_idx + 1)

    def _reseed(self, batch_idx: int) -> None:
        """Seed the draws of the next batch, so that a validation or a resumption before it does not change them."""
        # the hash of a tuple of integers is the same in every process
        self._seed(hash((self.seed, self.current_epoch, batch_idx, self.global_rank)) & 0x7FFFFFFFFFFFFFFF)

    def _seed(self, seed: int) -> None:
        # torch.manual_seed keeps a stack trace for each missing backend, which costs 1 ms and memory
        torch.default_generator.manual_seed(seed)
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(seed)

    def _refuse_non_finite(self, terms: Terms, loss: Tensor, penalties: dict[str, Tensor]) -> None:
        if math.isfinite(sum(penalties.values(), loss).item()):
            return
        named = {"log p(x|z)": terms.log_px}
        for level in range(len(terms.steps) if self.vae.has_density else 0):
            named[f"log p(z) of level {level}"] = terms.log_pz[level]
            named[f"log q(z|x) of level {level}"] = terms.log_qz[level]
        named |= {f"the penalty {name}": value for name, value in penalties.items()}
        bad = next((name for name, term in named.items() if not torch.isfinite(term).all()), "the loss itself")
        self._stop(f"The loss is not finite at step {self.global_step}: {bad} went bad")

    def _stop(self, reason: str) -> None:
        written = [getattr(each, "best_model_path", "") for each in self.trainer.checkpoint_callbacks]
        written.append(self.trainer.ckpt_path)
        good = next((path for path in reversed(written) if path and Path(path).is_file()), None)
        if self.unscaled:  # a lower learning rate does not help
            raise Refusal(f"{reason}. {self.unscaled}")
        kept = f"the last good checkpoint is {good}" if good else "no checkpoint yet"
        on = f"{typed('ckpt_path', good)} " if good else ""
        slower = f"{on}optimizer.lr={min(self.settings[0]['lr'] / 10, USUAL_LR):.3g}"
        clipped = "" if self.trainer.gradient_clip_val else f", or {on}trainer.gradient_clip_val=1"
        raise Refusal(f"{reason} ({kept}). Try {slower}{clipped}.")

    def on_train_epoch_end(self) -> None:  # before a checkpoint is written
        for name, weights in self.named_parameters():
            if not torch.isfinite(weights).all():
                self._stop(f"The weights {name} are not finite after step {self.global_step - 1}")

    # Evaluation: validation and test use the final value of every schedule -------------------------------------------

    def on_validation_batch_start(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._seed(batch_idx)  # the same draws at every validation: less noise between epochs

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._score(batch)

    def on_validation_epoch_end(self) -> None:
        self.validation = {"epoch": self.current_epoch, **self._log_figures("val")}
        if self.trainer.sanity_checking:
            return
        if not math.isfinite(loss := self.validation["val/loss"]):
            self._stop(f"val/loss is not finite ({loss}) after step {self.global_step - 1}")
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau):
                config.scheduler.step(loss)

    def on_validation_end(self) -> None:
        if self.trainer.state.fn == TrainerFn.FITTING:
            self._reseed(self.trainer.fit_loop.epoch_loop.batch_idx + 1)

    def on_test_batch_start(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._seed(batch_idx)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._score(batch, self.vae.log_weights(batch, self.nll_samples) if self.vae.has_density else None)

    def on_test_epoch_end(self) -> None:
        self._log_figures("test")

    def _score(self, batch: Batch, log_w: Tensor | None = None) -> None:
        terms = self.vae(batch, self.objective.num_samples)
        losses, penalties = self._losses(terms, None)
        self.evaluation.update(terms, losses, log_w)
        for name, penalty in penalties.items():
            self.averages[name].update(penalty, len(terms.batch))

    def _log_figures(self, split: str) -> dict[str, float]:
        figures = {f"{split}/{name}": value for name, value in self.evaluation.compute().items()}
        figures |= {f"{split}/{name}": average.compute().item() for name, average in self.averages.items()}
        for each in (self.evaluation, *self.averages.values()):
            each.reset()
        self.log_dict(figures)
        return figures

    # Optimization ----------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        critics = [
            penalty.critic.parameters() for penalty in self.penalties.values() if isinstance(penalty, Adversarial)
        ]
        groups = (self.vae.parameters(), *critics)
        optimizer = self.optimizer([{"params": [w for w in group if w.requires_grad]} for group in groups])
        self.settings = [{name: group[name] for name in group if name != "params"} for group in optimizer.param_groups]
        self.trainer.fit_loop.setup_data()  # otherwise the number of batches is unknown in a run without an end
        total_steps = self.trainer.estimated_stepping_batches
        steps_per_epoch = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        warmup_steps = round(self.warmup * steps_per_epoch)
        return [optimizer], self.decay(optimizer, warmup_steps, total_steps, steps_per_epoch)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if not isinstance(scheduler, ReduceLROnPlateau):  # stepped at each validation instead
            scheduler.step()

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the gradients of the VAE and of each discriminator separately.

        It uses torch, because Lightning refuses a fused optimizer even without gradient scaling. With FSDP only the
        wrapped model can compute the norm of all parameters.
        """
        by_value, model = gradient_clip_algorithm == "value", self._trainer and self._trainer.model
        if gradient_clip_val and isinstance(model, FullyShardedDataParallel) and not by_value:
            model.clip_grad_norm_(gradient_clip_val)
        elif gradient_clip_val:
            for group in optimizer.param_groups:
                (clip_grad_value_ if by_value else clip_grad_norm_)(group["params"], gradient_clip_val)

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["validation"] = self.validation
        if self.privacy is not None:
            checkpoint["privacy"] = self.privacy.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.validation = checkpoint["validation"]
        if self.privacy is not None:
            self.privacy.load_state_dict(checkpoint["privacy"])
        for weights in checkpoint.keys() & {"state_dict", "current_model_state"}:  # not that of callbacks=ema
            checkpoint[weights] = renames.weights_of(checkpoint[weights], self)
        if len(checkpoint["optimizer_states"]) != 1:  # Lightning does not check their number
            raise ValueError(f"{len(checkpoint['optimizer_states'])} optimizers")
        for each in self.trainer.checkpoint_callbacks:
            if isinstance(each, ModelCheckpoint) and (state := checkpoint["callbacks"].pop(each.state_key, None)):
                rebased = rebase(state, str(each.dirpath))
                if not rebased["best_model_path"] or Path(rebased["best_model_path"]).is_file():
                    checkpoint["callbacks"][each.state_key] = rebased
                elif each.monitor:
                    log.warning(f"{rebased['best_model_path']} is missing: the best weights will be of later epochs.")

    def load_best(self, checkpoint: Path) -> None:
        """Load weights and validation metrics of a checkpoint of this run."""
        state = checkpoints.read_checkpoint(checkpoint, self.device)
        with checkpoints.restoring(checkpoint):
            self.load_state_dict(renames.weights_of(state["state_dict"], self))
            self.validation = state["validation"]
