"""Small VAEs for tests, composed as `train.py` composes them."""

import csv
import io
import logging
from contextlib import chdir, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from unittest.mock import patch

import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file
from torch.nn.functional import one_hot

from vaekit import commands, run_files
from vaekit.batch import Batch
from vaekit.configs import CONF
from vaekit.data.text import learn
from vaekit.plan.plan import Plan
from vaekit.spaces import UNKNOWN, Audio, Image, Levels, Pairs, Real, Series, Space, Table, Text
from vaekit.spaces.column import QUANTILES, Column
from vaekit.written import Number

GROUPS = ("data", "condition", "network", "posterior", "prior", "latents", "likelihood", "objective", "penalty")
GROUPS += ("evaluation",)
SMALL = ("network.hidden=[16]", "latents.dim=3")
BINARY = Image((1, 8, 8), bins=2)
GRAY = Image((1, 8, 8), bins=17)
DEQUANTIZED = Image((1, 8, 8), bins=17, dequantized=True)
VECTORS = Real((6,))
LEVELS = Levels(
    (4, 8, 8), tiles={"b": ["solid", "diggable"], ".": ["passable"], "G": ["pickupable"], "M": ["passable", "spawn"]}
)
SERIES = Series((2, 10), ["a", "b"], [0.0, 0.01], [0.01, 0.02])
SOUND = Audio((1, 1, 64), bins=256)
TEXT = Text((6,), learn(["A man, a hat.", "Two men in hats?", "A man runs!"]))
PAIRS = Pairs.of(BINARY, 10)
TABLE = Table.of(
    [
        Column("town", "categorical", ["Ulm", "Bonn", "Kiel"]),
        Column("height", "real", quantiles=torch.linspace(1, 2, QUANTILES).tolist(), form=Number(2, 2)),
        Column("children", "count"),
        Column("smokes", "binary", ["no", "yes"]),
        Column("grade", "ordinal", ["1", "2", "3", "6"]),
    ]
)
# an example of each space of x; tests/test_spaces.py says which one is missing
SPACES = {
    "binary": BINARY,
    "gray": GRAY,
    "dequantized": DEQUANTIZED,
    "vectors": VECTORS,
    "table": TABLE,
    "levels": LEVELS,
    "series": SERIES,
    "sound": SOUND,
    "text": TEXT,
    "pairs": PAIRS,
}


@cache
def config(*overrides: str) -> DictConfig:
    """The configuration of `python train.py *overrides`."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra_compose("train", overrides=list(overrides))


def write_run(folder: Path, space: Space, *overrides: str) -> Path:
    """The folder of a run, as if it had been trained for no step."""
    folder.mkdir(exist_ok=True)
    composed = config("evaluation.num_samples=2", *overrides)
    chosen = [group for group in GROUPS if composed[group] is not None]
    plain = {group: OmegaConf.to_container(composed[group], resolve=True) for group in chosen}
    torch.manual_seed(0)
    vae, *_ = Plan.read(plain, space).build()
    run_files.write_config(folder, plain, vae.space)
    run_files.write_metrics(folder, {"test/nll": 200.0})
    run_files.write_weights(folder, vae.state_dict())
    return folder


def build(space: Space, *overrides: str, seed: int = 0, start: float = 0):
    """VAE and objective over `space`."""
    return build_all(space, *overrides, seed=seed, start=start)[:2]


def build_all(space: Space, *overrides: str, seed: int = 0, start: float = 0):
    """VAE, objective and penalties over `space`.

    start: nats that the posterior costs at first. Here it starts as wide as the prior, so that importance weights of a
    VAE that has not been trained vary little.
    """
    torch.manual_seed(seed)
    with patch("vaekit.networks.glorot.INITIAL_RATE", start):
        return Plan.read(config(*overrides), space).build()


def drawn(monkeypatch):
    """The matplotlib figures that are saved from now on, which also still reach their files."""
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig

    def savefig(figure, *args, **kwargs):
        figures.append(figure)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def texts(figure):
    """Every text that a figure shows."""
    from matplotlib.text import Text as Shown

    return {each.get_text() for each in figure.findobj(Shown)} - {""}


def examples(space: Space, n: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Batch:
    """n random rows of a space."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(space, Table):
        sizes = [len(column.categories) or 3 for column in space.columns]
        picked = [torch.randint(size, (n,), generator=generator).tolist() for size in sizes]
        cells = [[(c.categories or "012")[i] for i in each] for c, each in zip(space.columns, picked, strict=True)]
        return Batch(torch.from_numpy(space.encode(cells)[0]).to(dtype))
    if isinstance(space, Text):
        lengths = torch.randint(space.size + 1, (n,), generator=generator).tolist()
        tokens = torch.randint(UNKNOWN, space.vocabulary, (n, space.size), generator=generator).tolist()
        return Batch(torch.from_numpy(space.pad([row[:k] for row, k in zip(tokens, lengths, strict=True)])).to(dtype))
    if isinstance(space, Pairs):  # the last lacks its image, the one before it its label
        image, label = examples(space.image, n, seed).x, torch.randint(space.classes, (n,), generator=generator)
        x = space.pair(image, label)
        x[-2:] = torch.stack([space.keep_modality(row, modality) for modality, row in enumerate(x[-2:])])
        return Batch(x.to(dtype))
    if isinstance(space, Levels):
        tiles = torch.randint(len(space.tiles), (n, *space.cell_shape), generator=generator)
        return Batch(one_hot(tiles, len(space.tiles)).movedim(-1, 1).to(dtype))
    if space.values in ("unit", "continuous"):
        x = torch.rand(n, *space.shape, generator=generator, dtype=dtype)
    else:
        assert space.bins is not None, f"say in tests/helpers.py how rows of {type(space).__name__} are drawn"
        x = torch.randint(space.bins, (n, *space.shape), generator=generator).to(dtype) / (space.bins - 1)
    return Batch(x)


def step(vae, objective, batch: Batch, lr: float = 1e-2) -> torch.Tensor:
    """One step of gradient descent, which moves every weight that has a gradient; returns the loss before the step."""
    loss = objective(vae(batch, objective.num_samples), None).mean()
    vae.zero_grad()
    loss.backward()
    with torch.no_grad():
        for p in vae.parameters():
            if p.grad is not None:
                p -= lr * p.grad
    return loss.detach()


def assert_draws_follow_masses(p, every):
    """The probabilities of all possible x (`every`) sum to one, and draws of x have these frequencies.

    p: of batch shape `[2]`, for two different examples.
    """
    mass = p.log_prob(every.unsqueeze(1)).exp()
    assert mass.shape == (len(every), 2)
    torch.testing.assert_close(mass.sum(0), torch.ones(2, dtype=torch.float64))
    assert (mass[:, 0] - mass[:, 1]).abs().max() > 1e-3, "the context has no effect"
    draws = p.sample((20_000,)).flatten(2)
    for example in range(2):
        count = (draws[:, example].unsqueeze(1) - every.flatten(1)).abs().sum(-1).lt(1e-6).sum(0)
        assert (count / 20_000 - mass[:, example]).abs().max() < 6 * 0.5 / 20_000**0.5


def assert_completes(p, every, x, known):
    """Weighted draws given the known values of x follow p(missing values | known values). every: all possible x."""
    fits = ((every - x) * known == 0).flatten(1).all(1)
    mass = p.log_prob(every).exp() * fits
    drawn, log_w = p.expand((40_000,)).sample_given(x, known)
    assert ((drawn - x) * known == 0).all()
    weight = log_w.exp()
    torch.testing.assert_close(weight.mean(), mass.sum(), atol=0.01, rtol=0)
    expected = torch.einsum("i,i...->...", mass / mass.sum(), every)
    torch.testing.assert_close(torch.einsum("i,i...->...", weight / weight.sum(), drawn), expected, atol=0.03, rtol=0)


@contextmanager
def restored():
    """A context in which a command may run in this process: its loggers and the state of Hydra and torch are reset."""
    root, hydra = logging.getLogger(), HydraConfig.instance()
    before = root.handlers[:], root.level, hydra.cfg
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for handler in set(root.handlers) - set(before[0]):
            handler.close()
        root.handlers[:], root.level, hydra.cfg = before
        GlobalHydra.instance().clear()
        torch.use_deterministic_algorithms(False)


def train(folder: Path, *words: str, figures: bool = False) -> Path:
    """The folder of `python train.py *words`, run in this process. figures: whether they are drawn, which takes longer
    than the training.
    """
    flags_first = sorted(words, key=lambda word: not word.startswith("--"))
    argv = ["train.py", *map(str, flags_first), f"hydra.run.dir={folder}"]
    printed = io.StringIO()
    drawn = nullcontext() if figures else patch("vaekit.training.run.draw_run")
    with restored(), chdir(folder.parent), patch("sys.argv", argv), redirect_stdout(printed), redirect_stderr(printed):
        try:
            with drawn:
                commands.train()
        except SystemExit as end:
            raise AssertionError(f"{printed.getvalue()}{end.code}") from None
    return folder


def rows(folder):
    """The rows of a run's metrics.csv, less their empty cells."""
    with (Path(folder) / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def assert_same(a, b):
    """Two runs have the same numbers, to the last bit."""
    a, b = Path(a), Path(b)
    weights = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert (a / "metrics.json").read_text() == (b / "metrics.json").read_text()
    assert rows(a) == rows(b)
