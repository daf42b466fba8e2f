"""Images a second with channels first and last: `python benchmarks/layout.py`, a minute on a quiet machine."""

import statistics
import time

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from vaekit.batch import Batch
from vaekit.callbacks.layout import set_layout
from vaekit.configs import CONF
from vaekit.plan.plan import Plan
from vaekit.spaces import Image

ROWS, ROUNDS, STEPS = 128, 5, 10


def build(model: str):
    with initialize_config_dir(config_dir=str(CONF), version_base=None):
        config = compose("train", overrides=[f"model={model}"])
    names = ("network", "posterior", "prior", "latents", "likelihood", "objective", "condition")
    parts = {name: OmegaConf.to_container(config[name], resolve=True) if config[name] else None for name in names}
    vae, objective, _ = Plan.read(parts, Image((1, 28, 28), bins=2)).build()
    return vae, objective, torch.optim.Adam(vae.parameters(), fused=True)


def speed(vae, objective, optimizer, x: torch.Tensor, bf16: bool) -> float:
    """Images a second."""
    start = time.perf_counter()
    for _ in range(STEPS):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = objective(vae(Batch(x), 1), 0.0).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return STEPS * len(x) / (time.perf_counter() - start)


def main() -> None:
    torch.set_flush_denormal(True)
    x = (torch.rand(ROWS, 1, 28, 28) < 0.2).float()
    print(f"{torch.get_num_threads()} threads, batch {ROWS}: images per second")
    print(f"{'':24}{'first':>8}{'last':>8}{'ratio':>8}")
    for model in ("conv_vae", "resnet_vae", "deep_vae"):
        for bf16 in (False, True):
            first, last = build(model), build(model)
            set_layout(last[0], torch.channels_last)
            speeds = [(speed(*first, x, bf16), speed(*last, x, bf16)) for _ in range(ROUNDS + 1)][1:]
            a, b = (statistics.median(each) for each in zip(*speeds, strict=True))
            print(f"{model:14}{'bfloat16' if bf16 else 'float32':10}{a:8,.0f}{b:8,.0f}{b / a:8.2f}", flush=True)


if __name__ == "__main__":
    main()
