"""Differentially private training."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.overrides import TorchFunctionMode

from vaekit.batch import Batch
from vaekit.refusal import Refusal, reason, setting
from vaekit.vae import VAE

CHUNK_VALUES = 2**24  # of gradients that are held at once, 64 MiB
# orders of the Renyi divergences, of which the one with the least epsilon counts
ORDERS = [1 + step / 10 for step in range(1, 100)] + [*range(11, 64), 80, 96, 128, 192, 256, 384, 512, 1024]


class DifferentialPrivacy:
    """DP-SGD: each step adds normal noise to a sum of gradients, each of which belongs to one row and is clipped.

    With or without one row among the training rows, the probability of any set of final weights differs by at most a
    factor exp(`epsilon`), but for a probability `delta`. Each step draws every row with the same probability, so
    that the number of rows varies around `data.batch_size`. Gradients are computed row by row, so no part of the
    model may combine rows, and no part starts at statistics of the rows. Noise and rows are drawn from a generator that
    the operating system seeds, not from `seed`, with which anyone could subtract the noise. Privacy is accounted by
    Rényi divergences (Mironov 2017), by the package opacus.

    The guarantee is of the weights. It covers neither what the data space records of the training rows (the names,
    ranges, quantiles and categories of a table's columns) nor the metrics and figures of the run, nor the validation
    rows, which choose an epoch, and it treats every training row as a different person.

    Args:
        epsilon: Bound of the logarithm of the factor, above 0. Up to about 1 is a strong guarantee; beyond 10 a weak
            one.
        delta: Probability with which the bound may fail; None for a tenth of 1 / rows.
        clip: Euclidean norm to which the gradient of each row is clipped.

    Raises:
        Refusal: If a setting is out of range.

    References:
        Martín Abadi et al. Deep Learning with Differential Privacy. In CCS 2016. https://arxiv.org/abs/1607.00133

    Example:
        >>> from vaekit.training.privacy import DifferentialPrivacy
        >>> privacy = DifferentialPrivacy(epsilon=1.0)
        >>> privacy.start(rows=10_000, batch_size=100, steps=1000)
        >>> privacy.delta, round(privacy.spent(steps=1000), 1)
        (1e-05, 1.0)
    """

    def __init__(self, epsilon: float = 1.0, delta: float | None = None, clip: float = 1.0):
        for name, value in {"epsilon": epsilon, "clip": clip}.items():
            if not 0 < value < math.inf:
                raise Refusal(f"{setting(name)}={value} must be above 0 and finite; use {setting(name)}=1.")
        if delta is not None and not 0 < delta < 1:
            raise Refusal(f"{setting('delta')}={delta} must be between 0 and 1; use {setting('delta')}=1e-5.")
        self.epsilon, self.delta, self.clip = epsilon, delta, clip
        self.noise: float | None = None  # standard deviation of the noise, in units of `clip`
        self.rate, self.rows = 0.0, 0
        self.secret: torch.Generator | None = None

    def start(self, rows: int, batch_size: int, steps: int) -> None:
        """Choose the noise with which a whole training stays within `epsilon`.

        Args:
            rows: Training rows.
            batch_size: Expected number of rows in a step.
            steps: Steps of the whole training, those before a resumption included.

        Raises:
            Refusal: If opacus is not installed, or no amount of noise is enough, or a resumed run would exceed its
                `epsilon`.
        """
        rate = min(1.0, batch_size / rows)
        if self.noise is not None and rate != self.rate:
            raise Refusal(
                f"This run draws each row with probability {self.rate:.4g} in a step, and data.batch_size={batch_size} "
                f"would make it {rate:.4g}. Resume with data.batch_size={round(self.rate * rows)}."
            )
        self.rows, self.rate = rows, rate
        self.delta = 0.1 / rows if self.delta is None else self.delta
        if self.noise is None:
            accountants = _opacus()
            try:
                self.noise = accountants.utils.get_noise_multiplier(
                    target_epsilon=self.epsilon,
                    target_delta=self.delta,
                    sample_rate=self.rate,
                    steps=steps,
                    accountant="rdp",
                    alphas=ORDERS,
                )
            except ValueError as error:
                raise Refusal(
                    f"No amount of noise keeps {steps} steps within privacy.epsilon={self.epsilon} "
                    f"privacy.delta={self.delta:.3g}. Use larger ones, for example "
                    f"privacy.epsilon={max(1.0, self.epsilon):g} privacy.delta=null."
                ) from error
        elif (spent := self.spent(steps)) > self.epsilon:
            raise Refusal(
                f"{steps} steps with the noise of this run spend epsilon={spent:.3g}, expected at most "
                f"privacy.epsilon={self.epsilon}. Train fewer epochs, or start a new run with more of them."
            )

    def spent(self, steps: int) -> float:
        """The epsilon of a number of steps."""
        accountant = _opacus().RDPAccountant()
        accountant.history = [(self.noise, self.rate, steps)]
        return float(accountant.get_epsilon(self.delta, ORDERS)) if steps else 0.0

    def metrics(self, steps: int) -> dict[str, float]:
        """What a number of steps has spent, for the metrics of a run."""
        return {"privacy/epsilon": self.spent(steps), "privacy/delta": (self.delta or 0.0) if steps else 0.0}

    def state_dict(self) -> dict[str, float | None]:
        """With what the steps so far were taken; without noise before the first one."""
        return {"noise": self.noise, "rate": self.rate}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on as the steps so far were taken."""
        self.noise, self.rate = state["noise"], state["rate"]

    def loss(self, vae: VAE, objective: Any, batch: Batch, epoch: float | None) -> Tensor:
        """The mean loss of a batch, `[]`, with a private gradient.

        Args:
            vae: The model.
            objective: Computes the loss of each row.
            batch: Any number of rows.
            epoch: Time for schedules.
        """
        weights = {name: weight for name, weight in vae.named_parameters() if weight.requires_grad}
        total, loss = clipped_sum(vae, objective, batch, epoch, self.clip)
        device = next(iter(weights.values())).device
        if self.secret is None:
            self.secret = torch.Generator(device)
            self.secret.seed()
        product = torch.zeros((), device=device)
        for name, weight in weights.items():
            noise = torch.randn(weight.shape, generator=self.secret, device=device, dtype=weight.dtype)
            gradient = (total[name] + (self.noise or 0.0) * self.clip * noise) / (self.rate * self.rows)
            product = product + (weight * gradient).sum()  # whose gradient that is
        return loss + product - product.detach()


def clipped_sum(
    vae: VAE, objective: Any, batch: Batch, epoch: float | None, clip: float
) -> tuple[dict[str, Tensor], Tensor]:
    """The sum over rows of the gradient of each row's loss, clipped, by the names of weights; and the mean loss.

    A row whose gradient is not finite adds nothing to the sum.

    Args:
        vae: The model.
        objective: Computes the loss of each row.
        batch: Any number of rows.
        epoch: Time for schedules.
        clip: Largest Euclidean norm of the gradient of a row.
    """
    weights = {name: weight.detach() for name, weight in vae.named_parameters() if weight.requires_grad}

    def loss_of(weights: dict[str, Tensor], row: dict[str, Tensor]) -> Tensor:
        one = Batch(**{name: value.unsqueeze(0) for name, value in row.items()})
        loss: Tensor = objective(functional_call(vae, weights, (one, objective.num_samples)), epoch).squeeze(0)
        return loss

    of_each_row = vmap(grad_and_value(loss_of), in_dims=(None, 0), randomness="different")
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    loss = torch.zeros((), device=batch.x.device)
    if not len(batch):
        return total, loss
    for part in batch.split(max(1, CHUNK_VALUES // sum(weight.numel() for weight in weights.values()))):
        with DrawsByRow():
            gradients, losses = of_each_row(weights, part.tensors())
        flat = [gradient.reshape(len(losses), -1) for gradient in gradients.values()]
        norms = torch.stack([gradient.norm(dim=1) for gradient in flat]).norm(dim=0)
        # otherwise one row whose gradient is not finite would end the training, and so reveal that it is among the rows
        factors = torch.where(norms.isfinite(), clip / norms.clamp(min=clip), 0.0)
        for name, gradient in gradients.items():
            total[name] += torch.tensordot(factors.to(gradient), gradient.nan_to_num(0.0, 0.0, 0.0), 1)
        loss = loss + losses.sum() / len(batch)
    return total, loss


def check_rows_are_separate(vae: VAE, objective: Any, batch: Batch) -> None:
    """Raise `Refusal` unless the model computes the gradient of each row separately.

    Args:
        vae: The model.
        objective: Computes the loss of each row.
        batch: A few rows.
    """
    try:
        clipped_sum(vae, objective, batch, 0.0, clip=1.0)
    except RuntimeError as error:  # from vmap, which refuses to change a buffer by values of rows
        raise Refusal(
            f"privacy=dp computes the gradient of each row, which a part of this model does not support "
            f"({reason(error)}). Use other parts, for example model=mlp_vae."
        ) from error


def _opacus() -> Any:
    """The accountants of opacus."""
    try:
        from opacus import accountants
        from opacus.accountants import utils  # noqa: F401  # an attribute of `accountants` from now on
    except ImportError as error:
        raise Refusal("privacy=dp needs the package opacus. Type: pip install 'vaekit[privacy]'.") from error
    return accountants


def check_no_privacy(config: Any) -> None:
    """Raise `Refusal` for `privacy=dp` where the gradients are not those of a run.

    Args:
        config: The composed configuration.
    """
    if config["privacy"]:
        raise Refusal(
            "privacy=dp has no effect here: only vaekit.fit, vaekit.train and train.py add noise to gradients. "
            'Use vaekit.fit(x, "privacy=dp").'
        )


class DrawsByRow(TorchFunctionMode):
    """Within it, normal draws fill new tensors: `vmap` refuses to fill one tensor of all rows with draws of each."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.normal_ and len(args) == 1 and not kwargs:
            return torch.randn_like(args[0])
        return func(*args, **(kwargs or {}))
