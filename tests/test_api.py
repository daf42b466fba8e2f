"""vaekit in Python: rows in memory, and results in the same type."""

import base64
import inspect
import os
import pydoc
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import chdir
from dataclasses import replace
from importlib import import_module
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import PIL.Image as Image_
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from sklearn.datasets import load_digits

import vaekit
from helpers import BINARY, GRAY, LEVELS, PAIRS, SERIES, TABLE, TEXT, VECTORS, write_run
from helpers import rows as logged
from vaekit import api, in_memory
from vaekit.configs import CONF, options
from vaekit.hydra_job import spell
from vaekit.spaces import Image, Real
from vaekit.tasks.shared.context import open_run
from vaekit.training.module import Training

pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
CODED = {"coherence", "play", "stress", "compress", "decompress"}
ONE = {"trainer.max_epochs": 1, "evaluation.num_samples": 2}
DIGITS = (load_digits().images[:300] / 16).astype(np.float32)


def table(n=300):
    generator = np.random.default_rng(0)
    day = pandas.to_timedelta(generator.integers(0, 900, n), unit="D")
    frame = pandas.DataFrame(
        {
            "age": generator.integers(18, 90, n),
            "income": generator.lognormal(3, 1, n).round(2),
            "town": pandas.Categorical(generator.choice(["Ulm", "Bonn", "Kiel"], n)),
            "smokes": generator.random(n) < 0.3,
            "since": pandas.Timestamp("2020-01-01") + day,
            "code": generator.choice(["01", "02", "13"], n),
        },
        index=[f"row {i}" for i in range(n)],
    )
    frame.loc[frame.index[::7], "income"] = np.nan
    return frame


def task(name):
    return getattr(import_module(f"vaekit.tasks.{name}"), name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with chdir(tmp_path_factory.mktemp("python")):
        yield Path.cwd()


@pytest.fixture(scope="module")
def digits(folder):
    return vaekit.fit(DIGITS, "model=mlp_vae", ONE, labels=load_digits().target[:300])


@pytest.fixture(scope="module")
def people(folder):
    return vaekit.fit(table(), ONE)


@pytest.mark.long
def test_a_run_in_python_is_a_run_folder(digits):
    assert (digits.folder / "model.safetensors").is_file()
    assert digits.folder.is_relative_to(Path("outputs").resolve())
    assert Path("outputs/latest").resolve() == digits.folder
    assert digits.metrics["test/nll"] == pytest.approx(digits.evaluate(num_samples=2)["test/nll"], rel=0.1)
    assert list(digits.history["step"]) == [float(row["step"]) for row in logged(digits.folder)]
    assert digits.figures["samples"].is_file()
    assert digits.config["data"]["name"] == "arrays"
    assert "data:image/png" in digits._repr_html_()
    assert "data:image/png" in digits.vae._repr_html_()


def test_images_come_back_as_they_were_given(digits):
    assert digits.sample(3).shape == (3, 8, 8)
    assert digits.reconstruct(DIGITS[:2]).shape == (2, 8, 8)
    assert digits.embed(DIGITS[:2]).shape == (2, 32)
    assert digits.vary(DIGITS[0], n=4).shape == (4, 8, 8)
    assert digits.interpolate(DIGITS[0], DIGITS[1], steps=3).shape == (1, 3, 8, 8)
    assert digits.sample(np.int64(2), seed=np.int64(3)).shape == (2, 8, 8)
    holes = DIGITS[:2].copy()
    holes[:, :4] = np.nan
    filled = digits.impute(holes, updates=0, num_samples=5, draws=1)
    assert np.array_equal(filled[:, 4:], holes[:, 4:])
    assert np.isfinite(filled).all()
    tensors = digits.score(torch.from_numpy(DIGITS[:2]), num_samples=2)
    assert isinstance(tensors, torch.Tensor)
    values = digits.score(DIGITS[:2], num_samples=2)
    assert np.allclose(values, tensors.numpy())


def test_an_opened_run_makes_images_of_the_axes_that_were_stored(digits):
    opened = vaekit.open(digits.folder)
    assert opened.sample(3).shape == (3, 8, 8)
    assert opened.reconstruct(DIGITS[:2].tolist()).shape == (2, 8, 8)


def test_whole_numbers_and_lists_are_the_images_that_training_read():
    gray, color = Image((1, 8, 8)), Image((3, 6, 6))

    def like(x, space):
        return in_memory.Container.of(x, in_memory.convert(x), space)

    whole = like(np.full((2, 8, 8), 200), gray)
    assert (whole.bytes, whole.gray) == (True, True)
    assert like([DIGITS[0], DIGITS[1]], gray).gray
    assert like(DIGITS[:1], gray).gray, "one row, whose shape is also that of an example"
    assert not like(DIGITS[:2, None], gray).gray
    assert like(torch.rand(2, 6, 6, 3), color).channels_last


@pytest.mark.long
def test_another_prior_is_fitted_in_a_run_of_its_own(digits):
    before = {path: path.read_bytes() for path in digits.folder.iterdir() if path.is_file()}
    better = digits.fit_prior("prior=mixture", {"prior.components": 3}, epochs=2)
    assert better.folder != digits.folder
    assert better.config["prior"]["components"] == 3
    assert better.sample(3).shape == (3, 8, 8)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.long
def test_synthetic_images_come_with_labels(digits):
    x, y = digits.synthesize(5)
    assert x.shape == (5, 8, 8)
    assert set(y) <= set(range(10))


@pytest.mark.long
def test_bytes_with_channels_last_come_back_so(folder):
    x = np.random.default_rng(0).integers(0, 256, (60, 6, 6, 3), dtype=np.uint8)
    run = vaekit.fit(x, "model=mlp_vae", ONE)
    assert run.config["likelihood"]["_target_"].endswith("DiscretizedLogistic")
    made = run.reconstruct(x[:2])
    assert (made.shape, made.dtype) == ((2, 6, 6, 3), np.uint8)
    bits = vaekit.fit(x[..., 0] > 127, "model=mlp_vae", ONE)
    assert bits.config["likelihood"]["_target_"].endswith("Bernoulli")


@pytest.mark.long
def test_tables_keep_names_types_categories_and_index(people):
    given = table()
    made = people.synthesize(40)
    assert list(made.dtypes) == list(given.dtypes)
    assert set(made["town"].cat.categories) == {"Ulm", "Bonn", "Kiel"}
    assert set(made["code"]) <= {"01", "02", "13"}
    assert made["since"].between("2020-01-01", "2022-07-01").all()
    holes = given.iloc[:4].copy()
    holes["town"] = None
    filled = people.impute(holes, updates=0, num_samples=5)
    assert list(filled.index) == list(given.index[:4])
    assert filled["town"].notna().all()
    assert (filled["age"] == holes["age"]).all()
    found = people.detect(given.iloc[:5])
    assert list(found.index) == list(given.index[:5])
    assert found["p/path_statistics"].between(0, 1).all()
    codes, scores = people.embed(given.iloc[:3]), people.score(given.iloc[:3], num_samples=2)
    assert codes.shape == (3, 32)
    assert isinstance(scores, pandas.Series)
    assert list(codes.index) == list(scores.index) == list(given.index[:3])


@pytest.mark.long
def test_columns_are_described_by_the_training_alone(folder, caplog):
    run = vaekit.fit(table(60).assign(name=[f"N{i:03}" for i in range(60)]), ONE)
    assert "'name' identifies rows" in caplog.text
    caplog.clear()
    run.evaluate(num_samples=2)
    run.score(table(5).assign(name="N001"), num_samples=2)
    assert "identifies rows" not in caplog.text


@pytest.mark.long
def test_imputed_tables_keep_observed_cells_as_they_are(folder):
    given = table(60).assign(name=[f"N{i:03}" for i in range(60)])
    run = vaekit.fit(given, ONE)
    holes = given.iloc[:4].copy()
    holes.loc["row 0", "age"] = np.nan
    holes["income"] = [1e6, 2.5, -3.0, 4.0]
    holes["town"] = ["Rome", None, "Bonn", "Ulm"]
    filled = run.impute(holes, updates=0, num_samples=5)
    assert filled.notna().all(axis=None)
    for column in holes:
        observed = holes[column].notna()
        assert list(filled[column][observed]) == list(holes[column][observed]), column
    assert filled["age"].dtype == np.int64


@pytest.mark.long
def test_an_opened_run_makes_tables_of_the_types_that_were_stored(people):
    opened = vaekit.open(people.folder)
    kinds = opened.sample(3).dtypes
    assert kinds["age"] == np.int64
    assert kinds["smokes"] == np.bool_
    assert dict(kinds) == dict(table().dtypes), "categories too"


@pytest.mark.long
def test_a_moved_run_finds_its_rows(people, tmp_path):
    moved = shutil.copytree(people.folder, tmp_path / "moved")
    before = vaekit.open(people.folder).evaluate(num_samples=2)
    shutil.move(people.folder, tmp_path / "away")
    try:
        assert vaekit.open(moved).evaluate(num_samples=2) == before
    finally:
        shutil.move(tmp_path / "away", people.folder)


@pytest.mark.long
def test_polars_in_polars_out_and_rows_that_are_not_stored(folder):
    given = polars.from_pandas(table().reset_index(drop=True))
    run = vaekit.fit(given, ONE, store_data=False)
    assert dict(run.sample(3).schema) == dict(given.schema)
    assert isinstance(run.score(given[:3], num_samples=2), polars.Series)
    assert not (run.folder / "data").exists()
    with pytest.raises(vaekit.Refusal, match=r"There is no file of the training rows.*store_data=False"):
        run.evaluate()


@pytest.mark.long
def test_sentences(folder):
    run = vaekit.fit(["A man walks.", "A dog runs home.", "The man has a dog."] * 30, ONE, {"data.min_count": 1})
    assert all(isinstance(each, str) for each in run.sample(3))
    assert run.score(["A man has a dog."], num_samples=2).shape == (1,)
    named = pandas.Series(["A man has a dog.", "A dog runs home."], index=["first", "second"])
    for rows in (run.score(named, num_samples=2), run.reconstruct(named), run.embed(named)):
        assert list(rows.index) == ["first", "second"]


@pytest.mark.long
def test_files_and_folders_of_images(folder):
    import PIL.Image

    for i in range(30):
        PIL.Image.fromarray((DIGITS[i] * 255).astype(np.uint8)).save(f"{i}.png")
    files = [f"{i}.png" for i in range(30)]
    words = ONE | {"data.image_size": 8, "data.channels": 1, "model": "mlp_vae"}
    run = vaekit.fit(files, words)
    twice = run.reconstruct([files[2], files[10]])
    assert twice.shape == (2, 1, 8, 8)
    assert np.allclose(twice[0], run.reconstruct(files[2:3])[0], atol=1e-5), "in the order that was given"
    assert len(list((run.folder / "data" / "files").iterdir())) == 30


@pytest.mark.long
def test_data_sets_of_hugging_face(folder):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    import PIL.Image

    names = datasets.ClassLabel(names=[f"digit {i}" for i in range(10)])
    features = datasets.Features({"image": datasets.Image(), "label": names})
    images = [PIL.Image.fromarray((x * 255).astype(np.uint8)) for x in DIGITS]
    rows = {"image": images, "label": load_digits().target[:300]}
    whole = datasets.Dataset.from_dict(rows, features=features)
    parts = {"train": range(200), "validation": range(200, 240), "test": range(240, 300)}
    x = datasets.DatasetDict({name: whole.select(part) for name, part in parts.items()})
    run = vaekit.fit(x, ONE, model="mlp_vae")
    assert len(run.score(num_samples=2)) == 60, "its own test split"
    assert run.sample(3).shape == (3, 1, 8, 8)
    assert np.allclose(run.embed(x["train"].select(range(5))), run.embed(images[:5]), atol=1e-5)
    with pytest.raises(vaekit.Refusal, match=r"^data\.split=train is not in x\. It has a, b\. Try data\.split=a"):
        vaekit.fit(datasets.DatasetDict(a=whole, b=whole))
    frame = table().reset_index(drop=True)
    people = vaekit.fit(datasets.Dataset.from_pandas(frame), ONE, labels="smokes")
    assert list(people.sample(3).columns) == list(frame.columns)
    assert people.impute(datasets.Dataset.from_pandas(frame.iloc[:3]), updates=0, num_samples=5).shape == (3, 6)


@pytest.mark.long
def test_words_of_the_command_line_train_in_new_folders_each_time(folder):
    environment, hydra = dict(os.environ), GlobalHydra.instance().hydra
    handler, state = signal.getsignal(signal.SIGINT), random.getstate()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, second = (vaekit.train("model=mlp_vae", "data=digits", ONE, seed=3) for _ in range(2))
    assert torch.equal(torch.rand(3), expected), "training draws from the caller's generator"
    assert first.folder != second.folder
    assert first.metrics == second.metrics
    assert dict(os.environ) == environment
    assert GlobalHydra.instance().hydra is hydra
    assert signal.getsignal(signal.SIGINT) is handler
    assert random.getstate() == state
    longer = vaekit.train(
        "model=mlp_vae",
        "data=digits",
        ONE | {"trainer.max_epochs": 2},
        seed=3,
        ckpt_path=first.folder / "checkpoints" / "last.ckpt",
    )
    assert longer.folder == first.folder


def test_a_call_that_leaves_no_run_is_refused(folder):
    with pytest.raises(vaekit.Refusal, match=r"^No run was left to open: dry_run"):
        vaekit.train("data=digits", "model=mlp_vae", "dry_run=true")


def test_an_unknown_argument_of_a_task_is_named_with_the_nearest_one(digits):
    with pytest.raises(TypeError, match=r"^run\.evaluate has no argument 'samples'\. Did you mean num_samples\?$"):
        digits.evaluate(samples=5)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda run: run.sample(0), r"^Got n=0, expected a whole number at least 1; use n=1\.$"),
        (lambda run: run.sample(10**12), r"examples take 238,419 GiB, .* use n=1000\.$"),
        (lambda run: run.interpolate(a=DIGITS[0]), r"Got one of a and b, .*; use a='FILE', b='FILE'\.$"),
        (lambda run: run.detect(scores=["?"]), r"use scores='path_statistics'\.$"),
        (lambda run: run.coherence(), r"^run\.coherence requires .* Train with data=paired\.$"),
        (lambda run: run.push_to_hub(), r"^Got repository=None, .* Try repository='me/digits'\.$"),
        (lambda run: run.fit_prior("trainer.max_epochs=1"), r"^trainer\.max_epochs=1 is a setting .* mean epochs=1\?$"),
        (lambda run: run.fit_prior("latents.dim=3"), r"^latents\.dim=3 is a setting .* There is .*, epochs, lr, "),
        (lambda run: vaekit.open(run, device="x").sample(), r"; use device='auto' or device='cpu'\.$"),
        (
            lambda run: vaekit.open(run.folder / "data"),
            r"train one with vaekit\.train\(\), or give run='outputs/\.\.\.'$",
        ),
    ],
)
def test_refusals_say_what_to_type_in_python(digits, call, says):
    with pytest.raises(vaekit.Refusal, match=says) as refused:
        call(digits)
    assert refused.value.__cause__ is None, "one traceback"


@pytest.mark.parametrize(
    "space", [Image((1, 8, 8), bins=None), GRAY, BINARY, VECTORS, TABLE, SERIES, LEVELS, PAIRS, TEXT]
)
def test_a_vae_is_built_of_parts_that_read_its_space(space):
    vae = vaekit.build(space, "latents.dim=2")
    assert vae.likelihood.scores(space)
    if isinstance(space, Image):
        assert vaekit.build(space, "prior=vamp", "model=mlp_vae").likelihood.scores(space)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    deleted = tmp_path / "deleted"
    deleted.mkdir()
    (tmp_path / "outputs").write_text("a file")
    with chdir(tmp_path), pytest.raises(vaekit.Refusal, match=r"^Cannot use \S+: Not a directory"):
        vaekit.fit(np.eye(9), ONE)
    with chdir(deleted):
        deleted.rmdir()
        for call in (lambda: vaekit.fit(np.eye(9), ONE), lambda: vaekit.train(ONE), lambda: vaekit.build(VECTORS)):
            with pytest.raises(vaekit.Refusal, match=r"^The current folder was deleted\. .*os\.chdir"):
                call()


def test_vaekit_does_not_change_the_hydra_state_of_other_programs(folder):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        vae = vaekit.build(Real((4,)), "model=mlp_vae", "likelihood=gaussian")
        assert compose("train", ["seed=5"])["seed"] == 5
    assert vae.space == Real((4,))


@pytest.mark.long
def test_a_run_that_starts_from_another_one_leaves_it_as_it_is(digits, folder, monkeypatch):
    def contents():
        return {path: path.read_bytes() for path in digits.folder.rglob("*") if path.is_file()}

    def encoder(run):
        return {name: weight for name, weight in run.vae.state_dict().items() if name.startswith("encoder.")}

    before, hub = contents(), SimpleNamespace(snapshot_download=lambda name, **_: str(digits.folder))
    monkeypatch.setattr("vaekit.hub._package", lambda: hub)
    words = {"init_from": "hf://me/digits", "freeze": ["network.encoder"]}
    tuned = vaekit.fit(1 - DIGITS[:100], ONE, words, model="mlp_vae")
    longer = vaekit.train(*tuned.words, {"trainer.max_epochs": 2}, ckpt_path=tuned.folder / "checkpoints" / "last.ckpt")
    assert longer.folder == tuned.folder != digits.folder
    for run in (tuned, longer):
        assert all(torch.equal(weight, encoder(run)[name]) for name, weight in encoder(digits).items())
    assert not torch.equal(longer.vae.likelihood.bias, digits.vae.likelihood.bias)
    assert contents() == before


@pytest.mark.long
def test_refusals_are_exceptions_and_leave_no_folder(folder):
    before = set(Path("outputs").rglob("*"))
    for call in (
        lambda: vaekit.train("modle=mlp_vae"),
        lambda: vaekit.fit(DIGITS, "model=mlp_vea"),
        lambda: vaekit.fit(DIGITS, "optimizer.lr=-1"),
        lambda: vaekit.fit(DIGITS * 40),
        lambda: vaekit.fit(DIGITS, labels=[0, 1]),
        lambda: vaekit.fit("nowhere.csv"),
        lambda: vaekit.fit(object()),
        lambda: vaekit.fit([object()]),
        lambda: vaekit.fit(DIGITS, ckpt_path="last"),
        lambda: vaekit.train(DIGITS),
        lambda: vaekit.open("nowhere"),
        lambda: vaekit.train("model=3"),
    ):
        with pytest.raises(vaekit.Refusal):
            call()
    assert {path for path in Path("outputs").rglob("*") if path.is_file()} <= before


def test_refused_rows_are_named_as_the_argument(folder, people):
    with pytest.raises(vaekit.Refusal, match=r"^x holds infinite values"):
        vaekit.fit(np.full((9, 3), np.inf))
    wrong = table().iloc[:3].astype({"income": object})
    wrong.iloc[1, 1] = "1x"
    with pytest.raises(vaekit.Refusal, match=r"^input, row 1 .*column 'income': got '1x'"):
        people.detect(wrong)


def test_frames_and_dicts_of_any_names_come_back_with_their_codes(folder):
    given = table().rename(columns={"age": 0, "income": ("a", 1), "town": None})
    run = vaekit.fit(given, ONE, labels=given["smokes"])
    made = run.sample(3)
    assert list(made.columns) == [*given.columns, "label"]
    assert dict(made.dtypes[:-1]) == dict(given.dtypes)
    codes = run.embed(given.iloc[:3])
    assert list(codes.index) == list(given.index[:3])
    assert list(codes.columns[:2]) == ["z0", "z1"]
    opened = vaekit.open(run.folder).sample(3, given={None: "Ulm", "smokes": True})
    assert opened["smokes"].all()
    assert dict(opened.dtypes) == dict(made.dtypes)
    assert list(opened[None]) == ["Ulm"] * 3


def test_an_interrupted_run_says_how_to_go_on(folder, monkeypatch):
    def stop(config):
        folder = Path(api.HydraConfig.get().runtime.output_dir)
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "last.ckpt").touch()
        raise SystemExit(1)

    monkeypatch.setattr(api, "train_run", stop)
    with pytest.raises(KeyboardInterrupt, match=r"Resume with vaekit.train\('data=digits', ckpt_path='.*last.ckpt'\)"):
        vaekit.train("data=digits")


@pytest.fixture
def interrupted(monkeypatch):
    """`interrupted(epochs, x, ...)` calls `vaekit.fit`, interrupts it after some epochs, and returns what that says."""

    def call(epochs, *given, **keywords):
        start = Training.on_train_epoch_start

        def interrupt(training):
            if training.current_epoch == epochs:
                raise KeyboardInterrupt
            start(training)

        with monkeypatch.context() as patch:
            patch.setattr(Training, "on_train_epoch_start", interrupt)
            with pytest.raises(KeyboardInterrupt) as stopped:
                vaekit.fit(*given, **keywords)
        return str(stopped.value)

    return call


@pytest.mark.long
def test_an_interrupted_fit_goes_on_by_what_it_says_as_if_it_had_not_been_interrupted(folder, interrupted):
    given = DIGITS, "model=mlp_vae", ONE | {"trainer.max_epochs": 3, "latents.dim": 2, "data.classes": [0, 1, 2]}
    labels, handler = load_digits().target[:300], signal.getsignal(signal.SIGINT)
    whole = vaekit.fit(*given, labels=labels)
    said = interrupted(2, *given, labels=labels)
    assert signal.getsignal(signal.SIGINT) is handler
    resumed = eval(said.removeprefix("Resume with ").removesuffix("."))
    assert resumed.metrics == whole.metrics
    assert resumed.sample(2).shape == (2, 8, 8)
    longer = vaekit.train(
        *resumed.words, {"trainer.max_epochs": 4}, ckpt_path=resumed.folder / "checkpoints" / "last.ckpt"
    )
    assert longer.folder == resumed.folder
    assert longer.config["latents"]["dim"] == 2
    assert longer.history["val/loss"].count() == 4


@pytest.mark.long
def test_an_interruption_before_or_after_the_epochs_says_what_is_left(folder, interrupted, monkeypatch):
    given, before = (
        (DIGITS, "model=mlp_vae", ONE | {"trainer.max_epochs": 2}),
        set(Path("outputs").rglob("config.yaml")),
    )
    assert "nothing to resume" in interrupted(0, *given)
    assert set(Path("outputs").rglob("config.yaml")) == before
    assert "no rows to resume with" in interrupted(1, *given, store_data=False)
    monkeypatch.setattr("vaekit.training.run.draw_run", Mock(side_effect=KeyboardInterrupt))
    said = interrupted(9, *given)
    assert eval(said.partition("Use ")[2].removesuffix(".")).sample(2).shape == (2, 8, 8)


@pytest.mark.slow
def test_a_notebook_survives_an_interruption(folder):
    pytest.importorskip("IPython")
    cells = """import glob, numpy, pathlib, torch, vaekit
kept = 41
run = vaekit.fit(numpy.random.rand(300, 3), {"trainer.max_epochs": 10**6}, "network.hidden=[8]", "latents.dim=2")
print("kept", kept + 1)
(last,) = glob.glob("outputs/*/*/checkpoints/last.ckpt")
done = torch.load(last, weights_only=True)["epoch"] + 1
from vaekit.folders import read_words
words = read_words(pathlib.Path(last).parent.parent)
run = vaekit.train(*words, {"trainer.max_epochs": done}, ckpt_path=last)
print("samples", run.sample(2).shape)
"""
    notebook = Path("notebook")
    notebook.mkdir()
    words = [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"]
    process = subprocess.Popen(words, cwd=notebook, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)  # fmt: skip
    process.stdin.write(cells)
    process.stdin.flush()
    end = time.monotonic() + 120
    while time.monotonic() < end and not [*notebook.glob("outputs/*/*/checkpoints/last.ckpt")]:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)

    assert "KeyboardInterrupt: Resume with vaekit.train('" in out
    assert "kept 42" in out
    assert "samples (2, 3)" in out


@pytest.mark.parametrize(
    ("space", "words", "unsupported"),
    [
        (BINARY, ["model=mlp_vae"], {"coherence", "play", "stress"}),
        (BINARY, ["model=mlp_vae", "prior=flow"], {"coherence", "play", "stress", "compress", "decompress"}),
        (GRAY, ["model=mlp_vae", "likelihood=logistic_mixture"], {"coherence", "play", "stress", "impute"}),
        (GRAY, ["model=ae", "network=mlp", "likelihood=discretized_logistic"], CODED | {"score"}),
        (GRAY, ["model=s_vae", "network=mlp", "likelihood=discretized_logistic"], CODED | {"traverse"}),
        (GRAY, ["model=mlp_vae", "latents=ladder"], {"coherence", "play", "stress", "fit_prior"}),
        (GRAY, ["model=cvae", "network=mlp", "condition.classes=3"], {"coherence", "play", "stress", "export"}),
        (VECTORS, ["model=mlp_vae", "likelihood=gaussian"], CODED),
        (SERIES, ["model=series_vae", "likelihood=gaussian"], {"coherence", "play", "compress", "decompress"}),
        (replace(SERIES, returns=False), ["model=series_vae", "likelihood=gaussian"], CODED),
        (PAIRS, ["model=mvae", "data=paired"], {"play", "stress", "compress", "decompress"}),
        (LEVELS, ["model=mlp_vae", "likelihood=tiles"], {"coherence", "stress", "compress", "decompress"}),
    ],
)
def test_the_tab_key_offers_the_tasks_that_model_and_data_support(tmp_path, space, words, unsupported):
    run = vaekit.open(write_run(tmp_path / "run", space, *words))
    unsupported = unsupported | {"disentangle"}  # which needs labels of several factors
    assert options("task").keys() - dir(run) == unsupported
    for name in unsupported:
        with pytest.raises(
            vaekit.Refusal, match=rf"task={name} requires .*, which this run does not have\. Train with"
        ):
            task(name)(open_run(run.folder, tmp_path, device="cpu"))


def test_every_task_is_a_method_with_its_signature(digits):
    for name in options("task").keys() - {"fit_prior"}:  # whose method takes words
        method = getattr(digits, name)
        signature, doc = inspect.signature(method), pydoc.render_doc(method, renderer=pydoc.plaintext)
        assert "context" not in signature.parameters
        explained = re.findall(r"^ {8}(\w+): ", re.split(r"\n\s*\n", doc.partition("Args:\n")[2])[0], re.MULTILINE)
        assert set(explained) == set(signature.parameters)
        assert not any(isinstance(each.annotation, str) for each in signature.parameters.values())
        assert signature.return_annotation is not inspect.Signature.empty
        assert f"in module vaekit.tasks.{name}" in doc
        assert f"run.folder / 'tasks/{name}'" in doc
    assert next(iter(inspect.signature(digits.impute).parameters)) == "input"
    with pytest.raises(AttributeError, match="Did you mean sample"):
        digits.sampel  # noqa: B018
    with pytest.raises(TypeError, match="has no argument"):
        digits.sample(number=3)


def test_a_notebook_shows_a_vae_by_its_parts_and_samples():
    vae = vaekit.build(GRAY, "model=mlp_vae", "likelihood=discretized_logistic", "latents.dim=3", "network.hidden=[8]")
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    shown = vae._repr_html_()
    assert torch.equal(torch.rand(3), expected), "samples are drawn from the caller's generator"
    for words in ("posterior", "gaussian", "Real 3", "standard_normal", "discretized_logistic", "Image 1x8x8"):
        assert words in shown
    weights = sum(each.numel() for each in vae.latents.levels[0].posterior.parameters())
    assert f">{weights:,}<" in shown
    assert f">{sum(each.numel() for each in vae.parameters()):,}<" in shown
    picture = Image_.open(BytesIO(base64.b64decode(shown.partition("base64,")[2].partition('"')[0])))
    assert picture.size[0] > 8 * 4
    table = vaekit.build(TABLE, "model=table_vae", "likelihood=table", "network.hidden=[8]")._repr_html_()
    assert "table" in table
    assert "<img" not in table


@pytest.mark.long
def test_an_untrained_vae_learns_in_a_loop_of_its_own_and_is_saved(tmp_path):
    vae = vaekit.build(Image((1, 8, 8), bins=None), "model=mlp_vae", "likelihood=gaussian", "objective=iwae", seed=1)
    x = torch.from_numpy(DIGITS[:64, None])
    optimizer = torch.optim.Adam(vae.parameters(), 1e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = vae.loss(x)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert vae.encode(x, grad=True)[0].requires_grad
    assert not vae.encode(x, grad=False)[0].requires_grad
    vae.save(tmp_path / "saved")
    again = vaekit.load(tmp_path / "saved")
    assert torch.equal(again.encode(x)[0], vae.eval().encode(x)[0])
    with pytest.raises(vaekit.Refusal, match="holds a run already"):
        again.save(tmp_path / "saved")
    with pytest.raises(vaekit.Refusal, match=r"x\[None\]"):
        vae.encode(x[0])


def test_a_shape_in_place_of_a_space_is_refused():
    with pytest.raises(vaekit.Refusal, match=re.escape("Use vaekit.spaces.Image((1, 28, 28)) for images")):
        vaekit.build((5,), "model=mlp_vae")


def test_words_and_settings_are_spelled_for_hydra():
    assert spell("a=1", {"b": None, "c": [1, "x y"], "d": True, "e": Path("/my files/a.csv")}) == [
        "a=1",
        "b=null",
        "c=[1,x y]",
        "d=true",
        "e=/my files/a.csv",
    ]
