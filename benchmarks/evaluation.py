"""Importance-sampled likelihoods of an MLP VAE, 784-512-256-32, in vaekit and in pythae: speed and value.

    python benchmarks/evaluation.py                         # vaekit alone, unless pythae can be imported
    python benchmarks/evaluation.py --pythae venv/bin/python

The model is trained for a moment on scikit-learn's digits, enlarged to 28x28 and binarized. Both libraries get its
weights and take turns; pythae runs in a separate process, at the batch size that suits it best. Prints Markdown.
"""

import argparse
import copy
import json
import math
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PRECISIONS = ("float32", "bf16")
TEST = 500  # images


def digits() -> Tensor:
    """Binary images `[1797, 1, 28, 28]`."""
    from sklearn.datasets import load_digits

    images = torch.from_numpy(load_digits().images).float().unsqueeze(1) / 16
    return (F.interpolate(images, size=28, mode="bilinear") > 0.5).float()


def trained(x: Tensor, steps: int) -> Any:
    """A VAE that `python train.py` would compose, after a few steps."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    from vaekit import commands  # noqa: F401  (registers the resolvers that conf/train.yaml uses)
    from vaekit.batch import Batch
    from vaekit.configs import CONF
    from vaekit.plan.plan import Plan
    from vaekit.spaces import Image

    parts = ["model=mlp_vae", "network.hidden=[512,256]", "latents.dim=32", "likelihood=bernoulli"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra_compose("train", overrides=parts)
    torch.manual_seed(0)
    vae, objective, _ = Plan.read(config, Image((1, 28, 28), bins=2)).build()
    optimizer = torch.optim.Adam(vae.parameters(), 1e-3, fused=True)
    for _ in range(steps):
        optimizer.zero_grad()
        objective(vae(Batch(x[torch.randint(len(x), (128,))])), None).mean().backward()
        optimizer.step()
    return vae.eval()


def autocast(precision: str) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


# The same model in pythae ---------------------------------------------------------------------------------------------


def weights(vae: Any) -> dict[str, Tensor]:
    """The layers' weights, in the order of the data; `.bias` of the last one is the likelihood's."""
    names = {"encoder": vae.encoder.body, "decoder": vae.likelihood.network.body}
    linear = {part: [layer for layer in body if isinstance(layer, nn.Linear)] for part, body in names.items()}
    linear["head"] = [vae.latents.levels[0].posterior.head]
    held = {f"{part}.{i}.weight": layer.weight for part, layers in linear.items() for i, layer in enumerate(layers)}
    held |= {f"{part}.{i}.bias": layer.bias for part, layers in linear.items() for i, layer in enumerate(layers)}
    return {name: value.detach() for name, value in held.items() if value is not None} | {
        "decoder.2.bias": vae.likelihood.bias.detach().flatten()
    }


def serve_pythae(folder: Path, samples: int) -> None:
    """For each line of the input: the seconds of one `get_nll`, and its value."""
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    held, x = torch.load(folder / "weights.pt"), torch.load(folder / "x.pt")

    def linear(name: str) -> nn.Linear:
        weight, bias = held[f"{name}.weight"], held[f"{name}.bias"]
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
        return layer

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(linear("encoder.0"), nn.ReLU(), linear("encoder.1"), nn.ReLU())
            self.head = linear("head.0")

        def forward(self, x: Tensor) -> Any:
            mean, log_scale = self.head(self.body(x.flatten(1))).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=2 * log_scale)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            hidden = [linear("decoder.0"), nn.ReLU(), linear("decoder.1"), nn.ReLU()]
            self.body = nn.Sequential(*hidden, linear("decoder.2"), nn.Sigmoid())

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.body(z).view(-1, 1, 28, 28))

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=32, reconstruction_loss="bce")
    model = VAE(config, encoder=Encoder(), decoder=Decoder()).eval()
    for _ in sys.stdin:
        start = perf_counter()
        with torch.no_grad():
            nll = -model.get_nll(x, n_samples=samples, batch_size=samples)
        print(json.dumps([perf_counter() - start, float(nll)]), flush=True)


# Speed ----------------------------------------------------------------------------------------------------------------


def race(vae: Any, x: Tensor, samples: int, repeats: int, pythae: str | None) -> dict[str, dict[str, float]]:
    """Image-samples per second and nll of each contender, measured in turns; the first turn is for warming up."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in PRECISIONS}
    with TemporaryDirectory() as folder:
        torch.save(weights(vae), Path(folder) / "weights.pt")
        torch.save(x, Path(folder) / "x.pt")
        other = None
        if pythae:
            found["pythae"] = []
            words = [pythae, __file__, "--serve", folder, "--samples", str(samples)]
            other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(1 + repeats):
            for precision in PRECISIONS:
                start = perf_counter()
                with autocast(precision):
                    nll = -float(vae.log_likelihood(x, samples).mean())
                found[precision].append((perf_counter() - start, nll))
            if other and other.stdin and other.stdout:
                other.stdin.write("\n")
                other.stdin.flush()
                found["pythae"].append(json.loads(other.stdout.readline()))
        if other:
            other.communicate()
    done = len(x) * samples
    return {name: summary([done / each[0] for each in turns[1:]], turns[-1][1]) for name, turns in found.items()}


def summary(speeds: list[float], nll: float) -> dict[str, float]:
    return {"per_second": median(speeds), "slowest": min(speeds), "fastest": max(speeds), "nll": nll}


# Value ----------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def compare(vae: Any, x: Tensor, samples: int, seeds: int = 5) -> dict[str, dict[str, float]]:
    """nll of each precision; how far it is from float64 at the very same draws, in nats per image: the largest and the
    mean; and the standard error of float64 itself, by other draws.
    """
    exact, exact_x = copy.deepcopy(vae).double(), x.double()

    def log_weights(model: Any, x: Tensor, z: Tensor) -> Tensor:
        (step,) = model.infer(model.encoder(x)).steps
        return model.joint(x, [z]) - step.q.log_prob(z)

    def nll(log_w: Tensor) -> Tensor:
        return math.log(len(log_w)) - log_w.double().logsumexp(0)

    found: dict[str, dict[str, float]] = {}
    estimates = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        z = vae.infer(vae.encoder(x), samples).steps[0].z
        reference = nll(log_weights(exact, exact_x, z.double()))
        estimates.append(reference.mean())
    spread = float(torch.stack(estimates).std())
    found["float64"] = {"nll": float(reference.mean()), "standard_error": spread}
    for precision in PRECISIONS:
        with autocast(precision):
            own = nll(log_weights(vae, x, z))
        off = own - reference
        found[precision] = {"nll": float(own.mean()), "mean": float(off.mean()), "largest": float(off.abs().max())}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pythae", help="a Python that can import pythae; default: this one, if it can")
    parser.add_argument("--samples", type=int, default=500, help="importance samples of an image")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=500, help="of training")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve_pythae(arguments.serve, arguments.samples)

    x = digits()
    vae = trained(x[TEST:], arguments.steps)
    pythae = arguments.pythae or (sys.executable if find_spec("pythae") else None)
    speed = race(vae, x[: arguments.images], arguments.samples, arguments.repeats, pythae)
    value = compare(vae, x[:100], arguments.samples)

    print(f"{arguments.images} images x {arguments.samples} samples, {torch.get_num_threads()} threads\n")
    print(
        "| | image-samples/s | slowest to fastest | times pythae | 10,000 images x 5000 | nll |\n" + "| --- " * 6 + "|"
    )
    for name, each in speed.items():
        pace, minutes = each["per_second"], 5e7 / each["per_second"] / 60
        times = f"{pace / speed['pythae']['per_second']:.1f}" if pythae else ""
        spread = f"{each['slowest']:,.0f} to {each['fastest']:,.0f}"
        label = name if name == "pythae" else f"vaekit, {name}"
        print(f"| {label} | {pace:,.0f} | {spread} | {times} | {minutes:.1f} min | {each['nll']:.2f} |")
    reference = value["float64"]
    print(f"\n100 images, the same draws; float64: {reference['nll']:.4f} nats, +- {reference['standard_error']:.4f}")
    print("\n| | nll | mean distance from float64 | largest of an image |\n" + "| --- " * 4 + "|")
    for name in PRECISIONS:
        each = value[name]
        print(f"| {name} | {each['nll']:.4f} | {each['mean']:+.1e} | {each['largest']:.1e} |")
    if arguments.json:
        arguments.json.write_text(json.dumps({"speed": speed, "value": value}, indent=2) + "\n")


if __name__ == "__main__":
    main()
