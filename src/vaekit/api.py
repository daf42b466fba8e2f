"""vaekit in Python: what train.py and apply.py do, on the same configurations and the same run folders."""

from __future__ import annotations

import html
import inspect
import io
import os
import re
import shutil
import textwrap
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import cache, cached_property, partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_type_hints

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from vaekit import folders, in_memory, runs
from vaekit.apply import perform
from vaekit.catalogue import choices
from vaekit.hydra_job import compose, run_here
from vaekit.in_memory import Like
from vaekit.overrides import nearest, spelled
from vaekit.plan.compatibility import lacks
from vaekit.plan.plan import Plan
from vaekit.refusal import Refusal
from vaekit.runs import OUTPUTS, load
from vaekit.spaces import Space, Table
from vaekit.summary import picture
from vaekit.tasks.fit_prior import fit_prior as fit_prior_task
from vaekit.tasks.shared.context import FILE
from vaekit.tasks.shared.imputation import Imputation
from vaekit.tasks.synthesize import Synthesized
from vaekit.training.run import run as train_run
from vaekit.vae import VAE

PLACES = ("ckpt_path", "hydra.run.dir")  # words that say where a run is
CONVERTED = ("Tensor", "Examples", "ndarray", "Imputation", "Synthesized")  # returned in the user's container type
__all__ = ["Run", "build", "fit", "load", "open", "train"]


def train(*overrides: str | Mapping[str, Any], **settings: Any) -> Run:
    """Train a VAE, as `python train.py` does with the same words, in a new run folder.

    Args:
        overrides: Words of the command line, `"model=conv_vae"`, or settings by name, `{"trainer.max_epochs": 5}`.
        settings: More of these, whose names have no dot: `seed=2`, `data="mnist"`. With `ckpt_path` that run goes on
            in its folder; repeat the words that it was started with, `run.words`.

    Returns:
        The finished run.

    Raises:
        Refusal: With the message that the command prints.
        KeyboardInterrupt: On Ctrl-C, or when a notebook interrupts its kernel. The message says how to resume.

    Example:
        >>> import vaekit
        >>> run = vaekit.train("model=mlp_vae", {"trainer.max_epochs": 1}, data="digits")  # doctest: +SKIP
        >>> run.sample(16).shape  # doctest: +SKIP
        (16, 1, 8, 8)
    """
    words = spell(*overrides, settings)

    def job(config: DictConfig) -> Path:
        folder = Path(HydraConfig.get().runtime.output_dir)
        started.append(folder)
        train_run(config)
        return folder

    started: list[Path] = []
    with restored_state():
        try:
            folder = run_here("train", job, words)
        except (SystemExit, KeyboardInterrupt):  # the first is raised by Lightning on an interruption
            raise KeyboardInterrupt(_how_to_go_on(started, words)) from None
    return open(folder)


def _how_to_go_on(started: list[Path], words: list[str]) -> str:
    last = started[0] / "checkpoints" / "last.ckpt" if started else Path()
    if started and runs.is_finished(started[0]):
        return f"The run was finished before. Use vaekit.open({str(started[0])!r})."
    if not last.is_file():
        return "No epoch was finished, so there is nothing to resume. Repeat the call to start again."
    kept = [f"{word!r}, " for word in words if _setting(word) not in PLACES]
    return f"Resume with vaekit.train({''.join(kept)}ckpt_path={str(last)!r})."


def _setting(word: str) -> str:
    """The name of the setting or group of a word."""
    return word.lstrip("+~").partition("=")[0]


def fit(
    x: Any,
    *overrides: str | Mapping[str, Any],
    labels: Any = None,
    store_data: bool = True,
    **settings: Any,
) -> Run:
    """Train a VAE on rows in memory, in a new run folder.

    Args:
        x: An array or tensor `[N, D]`, `[N, H, W]`, or with 1 or 3 channels `[N, C, H, W]` or `[N, H, W, C]`, of any
            library by `__array__` or `__dlpack__`: images are uint8, bool, or floats from 0 to 1; NaN is missing. A
            DataFrame of pandas or polars, another table with `__arrow_c_stream__`, or a dict of columns. A list of
            sentences. A list of image or sound files. A path of such a file, or of a folder. A `datasets.Dataset`, or
            a DatasetDict with its splits: images come back as arrays, sentences as lists, tables as DataFrames.
        overrides: As of `train`; without `model=` one that fits these rows is chosen.
        labels: The class of each row `[N]`: whole numbers from 0, text, booleans or categories; -1, NaN or None where
            it is missing. Of a table the name of its column, or these, which become the column `label`.
        store_data: Whether to keep a copy of the rows in the folder, for tasks that read the training data. Otherwise
            the run only has their checksum.
        settings: As of `train`.

    Returns:
        The finished run. Its methods return rows in the container type of `x`: DataFrame, numpy or torch.

    Raises:
        Refusal: As `train`, and for rows of another type.

    Example:
        >>> import torch, vaekit
        >>> x = torch.randn(200, 5)
        >>> run = vaekit.fit(x, {"trainer.max_epochs": 1})  # doctest: +SKIP
        >>> run.sample(3).shape  # doctest: +SKIP
        torch.Size([3, 5])
    """
    rows, words = in_memory.convert(x), spell(*overrides, settings)
    labels = in_memory.as_labels(labels, x, rows)
    given = set(map(_setting, words))
    if taken := given & {"ckpt_path", "hydra.run.dir"}:
        raise Refusal(f"Got {taken.pop()}, but vaekit.fit starts a run in a new folder. Use vaekit.train for others.")
    folder = (OUTPUTS / folders.stamp()).resolve()
    try:
        with in_memory.named({folder / "data": "x"}):
            data = in_memory.write(rows, folder / "data", labels)
            chosen = {name: value for name, value in data.items() if name not in given}
            run = train({"hydra.run.dir": folder, **chosen}, *words)
    except (Refusal, KeyboardInterrupt) as end:
        if not (folder / "checkpoints").is_dir():  # nothing was trained
            shutil.rmtree(folder, ignore_errors=True)
        elif isinstance(end, KeyboardInterrupt) and not store_data and not runs.is_finished(folder):
            raise KeyboardInterrupt("The run has no rows to resume with (store_data=False). Train again.") from None
        raise
    finally:
        if not store_data:
            shutil.rmtree(folder / "data", ignore_errors=True)
    run.like = Like.of(x, rows, run.vae.space)
    return run


def open(
    run: str | Path = OUTPUTS / "latest",
    device: str = "auto",
    batch_size: int | None = None,
    data: Mapping[str, Any] | None = None,
    trust: Collection[str] = (),
) -> Run:
    """A finished run.

    Args:
        run: Its folder.
        device: Device for tasks: auto, cpu, cuda or mps.
        batch_size: Number of rows on the device at once; None for that of evaluation in the run.
        data: Settings of its data to change, e.g. `{"root": "/data"}`.
        trust: Your own classes that its configuration may name, e.g. `["my_package.MyPrior"]`.

    Raises:
        Refusal: If the folder holds no finished run.

    Example:
        >>> import vaekit
        >>> run = vaekit.open("outputs/latest")  # doctest: +SKIP
        >>> run.metrics["test/nll"], run.evaluate(num_samples=5000)["nll"]  # doctest: +SKIP
    """
    return Run(run, device=device, batch_size=batch_size, data=dict(data or {}), trust=trust)


def build(space: Space, *overrides: str | Mapping[str, Any], **settings: Any) -> VAE:
    """Build an untrained VAE, for your own training loop.

    Args:
        space: The space of x, one of `vaekit.spaces`.
        overrides: As of `train`; those of data, trainer and logger have no effect.
        settings: As of `train`.

    Returns:
        The VAE, in training mode. `vae.loss(x)` is the loss of the chosen objective.

    Raises:
        Refusal: For a combination of parts that does not fit.

    Example:
        >>> import torch, vaekit
        >>> from vaekit.spaces import Real
        >>> vae = vaekit.build(Real((5,)), "model=mlp_vae", "likelihood=gaussian", "latents.dim=2")
        >>> vae.loss(torch.randn(8, 5)).shape
        torch.Size([])
    """
    vae, objective, _ = Plan.read(compose("train", spell(*overrides, settings)), space).build()
    vae.objective = objective
    return vae


def spell(*overrides: str | Mapping[str, Any]) -> list[str]:
    """Words of the command line.

    Args:
        overrides: Such words, or settings by name.

    Returns:
        Words as Hydra reads them, without a shell's quotes.

    Raises:
        Refusal: For anything else.

    Example:
        >>> spell("model=mlp_vae", {"data.path": "my files/a.npz", "seed": 2})
        ['model=mlp_vae', 'data.path=my files/a.npz', 'seed=2']
    """
    words: list[str] = []
    for each in overrides:
        if isinstance(each, Mapping):
            words += [f"{name}={spelled(value)}" for name, value in each.items()]
        elif isinstance(each, str):
            words.append(each)
        else:
            raise Refusal(f"Got {each!r}, expected words such as 'model=mlp_vae', or a dict. Rows go to vaekit.fit.")
    return words


class Run:
    """A finished run: its VAE, metrics and figures, and a method for each task of apply.py.

    Args:
        folder: Of the run.
        like: Container type of the rows that its methods return; None for numpy, and DataFrames for tables.
        settings: See `open`.

    Attributes:
        folder: Its folder.
    """

    def __init__(self, folder: str | Path, like: Like | None = None, **settings: Any):
        self.folder, self.settings = runs.find(folder).resolve(), settings
        if like is not None:
            self.like = like

    @cached_property
    def vae(self) -> VAE:
        """The trained VAE, in evaluation mode, on the CPU."""
        return load(self.folder, self.settings.get("trust", ()))

    @cached_property
    def config(self) -> dict[str, Any]:
        """The whole configuration, as it was resolved."""
        return runs.read_whole_config(self.folder)

    @property
    def words(self) -> list[str]:
        """The words that the run was started with, which `train` needs to go on.

        They are read from the folder and may name any class: pass them on for runs of your own alone.
        """
        return [word for word in folders.read_words(self.folder) or () if _setting(word) not in PLACES]

    @cached_property
    def plan(self) -> Plan:
        """The parts of the model, not built."""
        config = runs.read_config(self.folder, self.settings.get("trust", ()))
        return Plan.read(config, runs.read_space(config))

    @property
    def metrics(self) -> dict[str, float]:
        """The final metrics by name, as in metrics.json: `test/nll`, ..."""
        return runs.read_metrics(self.folder)

    @property
    def history(self) -> Any:
        """The contents of metrics.csv, one row per logged step: a DataFrame; without pandas and polars a dict of
        lists.
        """
        return in_memory.read_csv(self.folder / "metrics.csv")

    @property
    def figures(self) -> dict[str, Path]:
        """The pictures that training left, by name."""
        return {path.stem: path for path in sorted((self.folder / "figures").glob("*.png"))}

    @cached_property
    def like(self) -> Like:
        """The container type of the rows that methods return."""
        return Like.stored(self.folder / "data", self.vae.space)

    def __getattr__(self, name: str) -> Any:
        tasks = _tasks()
        if name.startswith("_") or name not in tasks:
            near = "".join(f" Did you mean {each}?" for each in nearest(name, tasks)[:1])
            raise AttributeError(f"A run has no task or attribute {name!r}.{near} Tasks: {', '.join(tasks)}.")
        return _method(self, _task(name))

    def __dir__(self) -> list[str]:
        unsupported = {name for name in _tasks() if lacks(self.plan, _task(name))[0]}
        return sorted({*super().__dir__(), *_tasks()} - unsupported)

    def __repr__(self) -> str:
        return f"vaekit.open({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """Folder, metrics and samples, for notebooks."""
        rows = "".join(f"<tr><td>{html.escape(k)}</td><td>{v:.4g}</td></tr>" for k, v in self.metrics.items())
        shown = picture(self.figures["samples"]) if "samples" in self.figures else ""
        plan = html.escape(self.plan.describe())
        return f"<b>{html.escape(str(self.folder))}</b><table>{rows}</table>{shown}<details><pre>{plan}</pre></details>"

    def fit_prior(self, *overrides: str | Mapping[str, Any], **settings: Any) -> Run:
        """Fit another prior to the latent variables of the run, as `task=fit_prior`.

        Args:
            overrides: The prior and its settings, `"prior=flow"`, and more words of apply.py.
            settings: More of these; those of the task are `epochs` and `lr`.

        Returns:
            A new run in a folder of its own, with the same encoder and decoder.

        Raises:
            Refusal: For a prior that does not fit the posterior.
        """
        own = {f"task.{name}" if name in ("epochs", "lr") else name: value for name, value in settings.items()}
        config = compose("apply", ["task=fit_prior", *spell(*overrides, own)])
        chosen: Any = OmegaConf.to_container(config["task"], resolve=True)
        self.do(fit_prior_task, **{name: value for name, value in chosen.items() if not name.startswith("_")})
        return Run(chosen["folder"], self.like, **self.settings)

    def do(self, task: Callable[..., Any], seed: int = 1, **keywords: Any) -> Any:
        """Run a task, which writes its files into `<run>/tasks/<task>/`.

        Args:
            task: A function of a `Context`, e.g. your own.
            seed: Of what it draws.
            keywords: Its settings; examples may be paths, or in memory.

        Returns:
            What the task returns, in the container type of its input, or of the training rows.
        """
        parameters = inspect.signature(task).parameters
        space, like = self.vae.space, None
        with TemporaryDirectory() as scratch, isolate_rng(), redirect_stdout(io.StringIO()):
            for name, value in keywords.items():
                if name in parameters and parameters[name].annotation == FILE and value is not None:
                    rows = in_memory.convert(value)
                    with in_memory.named({Path(scratch, name): name}):
                        keywords[name] = file = in_memory.as_file(rows, Path(scratch, name), space)
                    if file is not rows:
                        like = like or Like.of(value, rows, space).typed(self.like)
            with in_memory.named({Path(scratch, name): name for name in keywords}):
                returned, _ = perform(partial(task, **keywords), self.folder, seed, **self.settings)
        return _convert(returned, like or self.like.rows(None), space, get_type_hints(task).get("return"))


def _convert(x: Any, like: Like, space: Space, hint: Any = None) -> Any:
    """Convert what a task returns to the container type of the user; `hint` is its type hint."""
    if isinstance(x, Imputation):
        return like.examples(x.mean, space, plain=x.plain)
    if isinstance(x, Synthesized):
        rows = like.examples(space.from_user(torch.from_numpy(np.array(x.x))), space, x.label)
        return rows if x.label is None or isinstance(space, Table) else (rows, like.numbers(x.label))
    if isinstance(x, list) and x and all(isinstance(each, Tensor) for each in x):
        converted = [_convert(each, like, space, hint) for each in x]
        return converted[0] if len(x) == 1 else converted
    if isinstance(x, Tensor):
        return like.examples(x, space) if "Examples" in str(hint) else like.codes(x)
    if isinstance(x, dict) and x and all(hasattr(each, "shape") for each in x.values()):
        return like.table({name: like.numbers(each) for name, each in x.items()})
    return x


@cache
def _tasks() -> list[str]:
    """The names of all tasks."""
    return [choice.name for choice in choices("task")]


def _task(name: str) -> Any:
    return getattr(import_module(f"vaekit.tasks.{name}"), name)


def _method(run: Run, task: Any) -> Any:
    """A task as a method: examples come first, then its other settings, and `seed`."""
    parameters = list(inspect.signature(task).parameters.values())[1:]  # without the context
    ordered = sorted(parameters, key=lambda each: each.name != "input")
    hints = get_type_hints(task) | {each.name: Any for each in parameters if each.annotation == FILE}
    seed = inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=1, annotation=int)
    converted = any(name in str(hints["return"]) for name in CONVERTED)
    returned = Any if converted else hints["return"]
    signature = inspect.Signature(
        [*(each.replace(annotation=hints[each.name]) for each in ordered), seed], return_annotation=returned
    )

    def method(*args: Any, **keywords: Any) -> Any:
        given = signature.bind(*args, **keywords).arguments
        return run.do(task, **given)

    method.__name__ = method.__qualname__ = task.__name__
    method.__doc__, method.__signature__ = _docstring(task, Any in hints.values()), signature  # type: ignore[attr-defined]
    method.__module__ = task.__module__
    return method


def _docstring(task: Any, reads: bool) -> str:
    """The docstring of a task, as that of a method."""
    about, _, arguments = (inspect.getdoc(task) or "").partition("\n\nArgs:")
    settings, _, rest = re.sub(r"^\n    context: .*", "", arguments).partition("\n\n")
    note = f"Files are written into `run.folder / 'tasks/{task.__name__}'`."
    if reads:
        note += " Examples may be files or in memory; what is returned has the container type of the latter."
    return f"{about}\n\n{textwrap.fill(note, 120)}\n\nArgs:{settings}\n    seed: Of random draws.\n\n{rest}"


@contextmanager
def restored_state() -> Iterator[None]:
    """A context that restores what training sets for the whole process: seeds, environment, warnings, and the lock of
    its folder.
    """
    environment, deterministic = dict(os.environ), torch.are_deterministic_algorithms_enabled()
    try:
        with isolate_rng(), warnings.catch_warnings(), folders.CLAIMED:
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
