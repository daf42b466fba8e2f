"""Training speed: `python train.py` as a user runs it, the tightest loop in plain PyTorch, and pythae's trainer.

    python benchmarks/throughput.py                         # all, without pythae unless it can be imported; an hour
    python benchmarks/throughput.py --quick --json speed.json
    python benchmarks/throughput.py --only mlp_128 mlp_128_bf16 --pythae venv/bin/python

Every contender trains the same architecture on the same 60,000 rows (scikit-learn's digits, enlarged to 28x28, with
noise), in a separate process, and they take turns. Prints the images/s of an epoch: the median of the epochs after the
first, the first and the last, which differ if training slows down. train.py runs on a separate
terminal, with its bar and its logger. Waits for a quiet machine before each turn, and says how many cores others kept
busy during it. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from quiet import Foreign, wait
from torch import Tensor, nn
from torch.nn import functional as F

HERE = Path(__file__).parent
ROWS = 60_000
HELD_OUT = 100  # rows that train.py keeps to validate, and as many to test


class Case(NamedTuple):
    """What is trained, how; `name` is its key in the table and in the JSON."""

    network: str
    batch: int
    precision: str

    @property
    def name(self) -> str:
        return f"{self.network}_{self.batch}" + ("_bf16" if self.precision == "bf16" else "")


CASES = [Case(n, b, p) for n in ("mlp", "conv") for b in (128, 1024) for p in ("float32", "bf16")]


class Turn(NamedTuple):
    """Images/s: median of the epochs after the first, first and last epoch; and the cores that other processes used."""

    speed: float
    first: float
    last: float
    foreign_cores: float


EPOCHS = {"mlp": 6, "conv": 2}  # about 20 s; the first is not counted


def write_rows(file: Path) -> None:
    """`[60000, 28, 28]` gray images."""
    from sklearn.datasets import load_digits

    small = torch.from_numpy(load_digits().images).float().unsqueeze(1) / 16
    large = F.interpolate(small, size=28, mode="bilinear").squeeze(1).numpy()
    random = np.random.default_rng(0)
    picked = large[random.integers(len(large), size=ROWS)]
    gray = picked * random.uniform(0.7, 1, (ROWS, 1, 1)) * 255
    np.save(file, gray.astype(np.uint8))


# The tightest loop --------------------------------------------------------------------------------------------------


def mlp() -> tuple[nn.Module, nn.Module]:
    encoder = [nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 64)]
    decoder = [nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784)]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


def conv() -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(64 * 7 * 7, 256), nn.ReLU(), nn.Linear(256, 64)),
    )
    decoder = nn.Sequential(
        *(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 64 * 7 * 7), nn.Unflatten(1, (64, 7, 7)), nn.ReLU()),
        *(nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 32, 4, 2, 1), nn.ReLU()),
        nn.Conv2d(32, 1, 3, 1, 1),
    )
    return encoder, decoder


NETWORKS: dict[str, Callable[[], tuple[nn.Module, nn.Module]]] = {"mlp": mlp, "conv": conv}


def hand_loop(case: Case, file: Path, compiled: bool) -> Iterator[float]:
    """Images/s of each epoch."""
    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = torch.from_numpy(np.load(file)).unsqueeze(1).to(device)
    encoder, decoder = (part.to(device) for part in NETWORKS[case.network]())
    if device == "cuda" or case.precision == "bf16":
        encoder, decoder = (part.to(memory_format=torch.channels_last) for part in (encoder, decoder))

    def loss_of(x: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=case.precision == "bf16"):
            mean, log_scale = encoder(x).float().chunk(2, 1)
            scale = log_scale.exp()
            logits = decoder(mean + scale * torch.randn_like(scale)).float().view_as(x)
        distortion = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        rate = 0.5 * (mean**2 + scale**2 - 1).sum() - log_scale.sum()
        return (distortion + rate) / len(x)

    step = torch.compile(loss_of, dynamic=False) if compiled else loss_of
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(weights, 1e-3, fused=True)
    whole = ROWS - ROWS % case.batch  # without the smaller last batch, which would be compiled again
    for _ in range(EPOCHS[case.network]):
        start = perf_counter()
        for index in torch.randperm(ROWS, device=device)[:whole].split(case.batch):
            gray = rows.index_select(0, index)
            x = (torch.randint_like(gray, 255) < gray).float()
            loss = step(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()  # waits for the device
        yield whole / (perf_counter() - start)


# pythae ---------------------------------------------------------------------------------------------------------------


def pythae_loop(case: Case, file: Path, folder: Path) -> Iterator[float]:
    """Images/s of each epoch of its trainer, without worker processes, which cost more than they bring here."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    encoder, decoder = NETWORKS[case.network]()

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = encoder

        def forward(self, x: Tensor) -> Any:
            mean, log_variance = self.body(x).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = decoder

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.body(z).sigmoid().view(-1, 1, 28, 28))

    class Timed(BaseTrainer):
        speeds: list[float] = []

        def train_step(self, epoch: int) -> Any:
            start = perf_counter()
            loss = super().train_step(epoch)
            self.speeds.append(ROWS / (perf_counter() - start))
            return loss

    x = torch.from_numpy(np.load(file)).unsqueeze(1).float() / 255
    rows = BaseDataset((torch.rand_like(x) < x).float(), torch.zeros(ROWS))  # it binarizes once
    model = VAE(VAEConfig((1, 28, 28), latent_dim=32, reconstruction_loss="bce"), encoder=Encoder(), decoder=Decoder())
    config = BaseTrainerConfig(
        output_dir=str(folder),
        num_epochs=EPOCHS[case.network],
        per_device_train_batch_size=case.batch,
        learning_rate=1e-3,
        train_dataloader_num_workers=0,
        amp=case.precision == "bf16",
    )
    trainer = Timed(model, rows, training_config=config)
    trainer.train()
    yield from trainer.speeds


# A turn ---------------------------------------------------------------------------------------------------------------


def train_py(case: Case, file: Path, folder: Path, words: list[str]) -> list[float]:
    """Images/s of each epoch, as its bar shows them."""
    parts = {
        "mlp": ["model=mlp_vae", "network.hidden=[512,256]"],
        "conv": ["model=conv_vae", "network.channels=[32,64]", "network.features=256"],
    }[case.network]
    command = [
        *(sys.executable, str(HERE.parent / "train.py"), *parts, "latents.dim=32", f"hydra.run.dir={folder}"),
        *("data=arrays", f"data.path={file}", "data.binarize=dynamic", "likelihood=bernoulli", f"data.cache={folder}"),
        *(f"data.validation={HELD_OUT}", f"data.test={HELD_OUT}", f"data.batch_size={case.batch}"),
        *(f"trainer.max_epochs={EPOCHS[case.network]}", "evaluation.num_samples=1", *words),
        f"trainer.precision={'bf16-mixed' if case.precision == 'bf16' else '32-true'}",
    ]
    own, other = pty.openpty()
    termios.tcsetwinsize(own, (24, 200))  # on a terminal of no width a bar shows nothing
    process = subprocess.Popen(command, stdout=other, stderr=other)
    os.close(other)
    shown = b""
    while True:
        try:
            shown += os.read(own, 65536)
        except OSError:  # so Linux says that the other end is closed
            break
    os.close(own)
    if process.wait():
        sys.exit(f"{' '.join(command)}\n{shown.decode()[-3000:]}")
    last: dict[int, float] = {}  # of each epoch, the figure that was shown last
    for epoch, speed in re.findall(r"Epoch (\d+):[^\r\n]*?speed=([\d,]+)", shown.decode()):
        last[int(epoch)] = float(speed.replace(",", ""))
    return [*last.values()]


def in_a_process(python: str, contender: str, case: Case, file: Path) -> list[float]:
    words = [python, __file__, "--turn", contender, case.name, str(file)]
    # discards the log of pythae
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def turn(contender: str, case: Case, file: Path, pythae: str | None) -> Turn:
    wait()
    foreign = Foreign()
    with TemporaryDirectory() as folder:
        if contender.startswith("train.py"):
            words = ["compile=true"] if contender.endswith("compiled") else []
            speeds = train_py(case, file, Path(folder), words)
        else:
            python = pythae if contender == "pythae" and pythae else sys.executable
            speeds = in_a_process(python, contender, case, file)
    return Turn(median(speeds[1:]), speeds[0], speeds[-1], foreign.cores())


def report(found: dict[str, dict[str, list[Turn]]]) -> dict[str, Any]:
    """Medians, spread and ratios; `ratio_to_hand_loop` is to the faster of the two loops."""
    keys = ("images_per_second", "spread", "first_and_last", "ratio_to_hand_loop", "ratio_to_pythae")
    figures: dict[str, Any] = {key: {} for key in keys}
    for name, contenders in found.items():
        speeds = {contender: [each.speed for each in turns] for contender, turns in contenders.items()}
        middle = {contender: median(each) for contender, each in speeds.items()}
        figures["images_per_second"][name] = middle
        figures["spread"][name] = {contender: [min(each), max(each)] for contender, each in speeds.items()}
        figures["first_and_last"][name] = {
            contender: [median(each.first for each in turns), median(each.last for each in turns)]
            for contender, turns in contenders.items()
        }
        ours = middle["train.py"]  # as it comes
        hand = max(middle[contender] for contender in middle if contender.startswith("hand loop"))
        figures["ratio_to_hand_loop"][name] = ours / hand
        float32 = found.get(name.removesuffix("_bf16"), {}).get("pythae")
        if float32:
            figures["ratio_to_pythae"][name] = ours / median(each.speed for each in float32)
    return figures


def table(figures: dict[str, Any]) -> str:
    lines = [
        "| | images/s | slowest to fastest | first to last epoch | train.py / hand loop | train.py / pythae, float32 |",
        "| --- " * 6 + "|",
    ]
    for name, middle in figures["images_per_second"].items():
        for contender, speed in middle.items():
            low, high = figures["spread"][name][contender]
            first, last = figures["first_and_last"][name][contender]
            ratios = ["", ""]
            if contender == "train.py":
                each = [figures[f"ratio_to_{other}"].get(name) for other in ("hand_loop", "pythae")]
                ratios = [f"{ratio:.2f}" if ratio else "" for ratio in each]
            spread = f"{low:,.0f} to {high:,.0f} | {first:,.0f} to {last:,.0f}"
            lines.append(f"| {name}, {contender} | {speed:,.0f} | {spread} | {' | '.join(ratios)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pythae", help="a Python that can import pythae; default: this one, if it can")
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES], help="cases; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of the eager ones, at batch 128 in float32")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("--turn", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.turn:
        contender, name, file = arguments.turn
        case = next(case for case in CASES if case.name == name)
        with TemporaryDirectory() as folder:
            if contender == "pythae":
                speeds = pythae_loop(case, Path(file), Path(folder))
            else:
                speeds = hand_loop(case, Path(file), compiled=contender.endswith("compiled"))
            return print(json.dumps([*speeds]))

    pythae = arguments.pythae or (sys.executable if find_spec("pythae") else None)
    chosen = arguments.only or (["mlp_128", "conv_128"] if arguments.quick else [case.name for case in CASES])
    contenders = ["train.py", "hand loop"]
    if not arguments.quick:
        contenders += ["train.py, compiled", "hand loop, compiled"]
    if pythae:
        contenders += ["pythae"]
    found: dict[str, dict[str, list[Turn]]] = {}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rows.npy"
        write_rows(file)
        for case in CASES:
            if case.name not in chosen:
                continue
            found[case.name] = {contender: [] for contender in contenders}
            for _ in range(1 if arguments.quick else arguments.rounds):
                for contender, turns in found[case.name].items():
                    turns.append(turn(contender, case, file, pythae))
                    print(f"{case.name}, {contender}: {turns[-1].speed:,.0f} images/s", file=sys.stderr)
    busy = [each.foreign_cores for turns in found.values() for of_one in turns.values() for each in of_one]
    figures = report(found) | {"threads": torch.get_num_threads(), "foreign_cores": max(busy)}
    print(f"{figures['threads']} threads; others kept at most {figures['foreign_cores']:.2f} cores busy\n")
    print(table(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
