"""A run that is killed and resumed ends as if nothing had happened."""

import itertools
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from helpers import assert_same, rows
from vaekit.callbacks.whole_checkpoints import WholeCheckpoints
from vaekit.checkpoints import check_resumption
from vaekit.metrics.evaluation import Evaluation
from vaekit.refusal import Refusal
from vaekit.run_files import write_config, write_metrics
from vaekit.runs import is_finished
from vaekit.spaces import Real
from vaekit.training.module import Training


@pytest.mark.long
def test_killed_within_an_epoch_and_resumed(start, train_apart):
    words = ["data.batch_size=8", "trainer.max_epochs=3", "optimizer/decay=cosine", "optimizer.warmup=1"]
    killed = start(*words, "hydra.run.dir=outputs/killed")
    folder = Path("outputs/killed")
    while not (folder / "checkpoints/last.ckpt").exists() or not any(row["epoch"] == "1" for row in rows(folder)):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (folder / "model.safetensors").exists()

    resumed = train_apart(*words, "ckpt_path=last")
    assert resumed.code == 0, resumed.err
    assert train_apart(*words, "hydra.run.dir=whole").code == 0
    assert_same(folder, "whole")
    assert [path.name for path in Path("outputs").iterdir() if not path.is_symlink()] == ["killed"]


# each as if the run had been stopped after its second epoch of four
@pytest.mark.long
@pytest.mark.parametrize(
    "words",
    [
        ["callbacks=ema", "trainer.accumulate_grad_batches=2"],
        ["optimizer/decay=plateau", "optimizer.decay.patience=0", "optimizer.lr=0.3", "optimizer.warmup=0.5"],
        ["optimizer/decay=step", "optimizer.decay.epochs=[1,3]", "schedule@objective.beta=cyclical"],
        ["penalty=[factor,total_correlation]", "penalty.factor.hidden=[16]", "schedule@penalty.factor.weight=linear",
         "optimizer/decay=cosine", "trainer.gradient_clip_val=1", "trainer.accumulate_grad_batches=2"],
        ["trainer.check_val_every_n_epoch=2", "objective=iwae", "objective.num_samples=3", "data.dequantize=true",
         "likelihood=gaussian"],
    ],
    ids=["ema", "plateau", "step", "critic", "iwae"],
)  # fmt: skip
def test_resumed_from_an_earlier_checkpoint(train, monkeypatch, words):
    saved = WholeCheckpoints.save_checkpoint

    def save_and_keep(self, checkpoint, path, storage_options=None):
        saved(self, checkpoint, path)
        if checkpoint["epoch"] == 1 and not Path("half").exists() and Path(path).stem == "last":
            shutil.copytree("whole", "half")

    monkeypatch.setattr(WholeCheckpoints, "save_checkpoint", save_and_keep)
    whole = train(*words, folder="whole", epochs=4)
    assert whole.code == 0, whole.err
    resting = Path("whole").rename("done")  # Lightning's checkpoints name the folder in which they lie
    Path("half").rename("whole")
    resumed = train(*words, "ckpt_path=whole/checkpoints/last.ckpt", epochs=4)
    assert resumed.code == 0, resumed.err
    assert_same(resting, "whole")


@pytest.mark.long
def test_the_same_command_gives_the_same_numbers_and_another_seed_does_not(train):
    assert train(folder="a").code == train(folder="b").code == train("seed=2", folder="c").code == 0
    assert_same("a", "b")
    assert json.loads(Path("a/metrics.json").read_text()) != json.loads(Path("c/metrics.json").read_text())


@pytest.mark.long
def test_validation_does_not_touch_training(train):
    words = {"on": [], "off": ["+trainer.limit_val_batches=0"], "often": ["+trainer.val_check_interval=3"]}
    weights = {}
    for folder in words:
        done = train(*words[folder], folder=folder, epochs=2)
        assert done.code == 0, done.err
        weights[folder] = torch.load(f"{folder}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    for folder in ("off", "often"):
        assert all(torch.equal(weights["on"][name], weights[folder][name]) for name in weights["on"])


@pytest.mark.long
def test_a_finished_run_resumes_at_its_end_and_is_tested_again(train):
    words = ["optimizer/decay=cosine"]
    assert train(*words, folder="outputs/run", epochs=1).code == 0
    done = train(*words, "ckpt_path=last", epochs=2)
    assert done.code == 0, done.err
    steps = [int(row["step"]) for row in rows("outputs/run")]
    assert steps == sorted(set(steps)) and steps[-1] == 22
    assert sum("test/nll" in row for row in rows("outputs/run")) == 1
    last = torch.load("outputs/run/checkpoints/last.ckpt", weights_only=True)
    assert last["optimizer_states"][0]["param_groups"][0]["lr"] == 0  # the cosine ends where the longer run does


@pytest.mark.long
def test_another_model_is_refused_with_the_settings_of_the_first(train):
    assert train("latents.dim=3", folder="outputs/run").code == 0
    before = {path: path.read_bytes() for path in Path("outputs").rglob("*") if path.is_file()}
    done = train("ckpt_path=last", "trainer.max_epochs=2")
    assert done.code == 1
    assert "another latents" in done.err and "latents.dim=3" in done.err and "Traceback" not in done.err
    assert before == {path: path.read_bytes() for path in Path("outputs").rglob("*") if path.is_file()}
    again = re.search(r"\((\S+)\)", done.err)[1]
    assert train(again, "ckpt_path=last", epochs=2).code == 0


@pytest.mark.parametrize("ckpt_path", ["last", "nowhere/checkpoints/last.ckpt", "loose.ckpt", "a" * 999, "[a]"])
def test_a_missing_checkpoint_is_refused_without_writing_files(train, here, ckpt_path):
    (here / "loose.ckpt").touch()
    done = train(f"ckpt_path={ckpt_path}")
    assert done.code == 1
    assert "is not a checkpoint in" in done.err and "Traceback" not in done.err
    assert [path.name for path in here.iterdir()] == ["loose.ckpt"]


@pytest.mark.long
def test_a_run_resumed_through_latest_keeps_its_folder(train):
    assert train().code == 0
    done = train("ckpt_path=outputs/latest/checkpoints/last.ckpt", epochs=2)
    assert done.code == 0, done.err
    assert os.readlink("outputs/latest") == "day/run0" and Path("outputs/latest/metrics.json").is_file()


@pytest.mark.parametrize(
    ("name", "kept", "message"),
    [
        ("checkpoints/last.ckpt", 1, "last.ckpt is damaged"),
        ("checkpoints/last.ckpt", 20_000, "last.ckpt is damaged"),
        ("config.yaml", 200, "config.yaml is damaged; delete it"),
    ],
)
def test_a_damaged_file_is_refused_by_name(train, name, kept, message):
    assert train(folder="run").code == 0
    damaged = Path("run", name)
    damaged.write_bytes(damaged.read_bytes()[:kept])
    done = train("ckpt_path=run/checkpoints/last.ckpt", epochs=2)
    assert done.code == 1 and message in done.err and "Traceback" not in done.err


@pytest.mark.long
def test_a_truncated_configuration_is_refused_wherever_it_is_cut(train):
    assert train(folder="run").code == 0
    config = Path("run/config.yaml")
    whole = config.read_text()
    for kept in range(0, whole.index("\nspace:"), 23):
        config.write_text(whole[:kept])
        with pytest.raises(Refusal, match="is damaged; delete it"):
            check_resumption(Path("run/checkpoints/last.ckpt"), {}, Real((1,)))


def test_an_incomplete_checkpoint_never_has_the_final_name(here, monkeypatch):
    (here / "last.ckpt").write_text("whole")

    def killed(checkpoint, file):
        file.write(b"ha")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        WholeCheckpoints().save_checkpoint({}, here / "last.ckpt")
    assert (here / "last.ckpt").read_text() == "whole"


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("config.yaml", lambda folder: write_config(folder, {"seed": 1}, Real((1,)))),
        ("metrics.json", lambda folder: write_metrics(folder, {"test/nll": 1.0})),
    ],
)
def test_an_incomplete_file_of_a_run_never_has_the_final_name(here, monkeypatch, name, write):
    (here / name).write_text("whole")

    def full(path, text):
        with path.open("w") as file:
            file.write(text[:5])
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space"):
            write(here)
    assert (here / name).read_text() == "whole"
    write(here)
    assert len((here / name).read_text()) > 5


# Only the same run resumes --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def run(train, kept):
    """The folder "run" of a run of one epoch, trained once for all tests."""
    if not (kept / "run").exists():
        assert train(folder="run").code == 0
        shutil.copytree("run", kept / "run")
    else:
        shutil.copytree(kept / "run", "run")
    return Path("run")


def contents(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "epochs", "sentence"),
    [
        (["data.classes=[0,1,2]"], 2, r"not the data .* \(other checksum, rows\).*init_from="),
        (["data.seed=3"], 2, "not the data"),
        (["data.shift=1"], 2, "other transform"),
        (["objective.beta=2"], 2, r"another objective \(objective.beta\)"),
        (["optimizer=adamw"], 2, "another optimizer"),
        (["freeze=[posterior]"], 2, "another freeze"),
        (["seed=7"], 2, r"another seed \(seed=1\)"),
        ([], 1, r"finished: it has trained 1 epochs.*trainer.max_epochs=2.*init_from="),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_another_run_is_refused_and_nothing_is_touched(train, run, words, epochs, sentence):
    before = contents("run")
    done = train(*words, "ckpt_path=run/checkpoints/last.ckpt", epochs=epochs)
    assert done.code == 1 and "Traceback" not in done.err
    assert re.search(sentence, done.err), done.err
    assert contents("run") == before


@pytest.mark.long
def test_a_run_that_was_killed_during_its_test_is_finished(train):
    assert train(folder="run", epochs=2).code == 0
    whole = contents("run")
    (Path("run") / "metrics.json").unlink()
    assert train("ckpt_path=run/checkpoints/last.ckpt", epochs=2).code == 0
    after = contents("run")
    for name in ("run/metrics.json", "run/model.safetensors"):
        assert after[Path(name)] == whole[Path(name)]


@pytest.mark.long
def test_a_resumed_run_counts_as_unfinished(train, run, monkeypatch):
    assert is_finished(Path("run"))
    with monkeypatch.context() as patch:
        patch.setattr(Training, "training_step", lambda *_: (_ for _ in ()).throw(OSError("broken")))
        assert train("ckpt_path=run/checkpoints/last.ckpt", epochs=2).code == 1
    assert not is_finished(Path("run")) and Path("run/model.safetensors").is_file()
    assert train("ckpt_path=run/checkpoints/last.ckpt", epochs=2).code == 0
    assert is_finished(Path("run"))
    weights = Path("run/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    assert not is_finished(Path("run"))


@pytest.mark.long
@pytest.mark.parametrize("words", [[], ["optimizer.warmup=1", "optimizer/decay=cosine"]], ids=["constant", "cosine"])
def test_another_learning_rate_takes_effect(train, monkeypatch, words):
    rates = []

    def watched(self, batch, batch_idx, call=Training.training_step):
        rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return call(self, batch, batch_idx)

    monkeypatch.setattr(Training, "training_step", watched)
    assert train(*words, folder="run", epochs=2).code == 0
    (Path("run") / "metrics.json").unlink()
    shutil.copytree("run", "copy")
    seen = {}
    for folder, lr in (("run", 1e-3), ("copy", 1e-4)):
        rates.clear()
        done = train(*words, f"optimizer.lr={lr}", f"ckpt_path={folder}/checkpoints/last.ckpt", epochs=4)
        assert done.code == 0, done.err
        seen[lr] = list(rates)
    assert len(seen[1e-3]) == 22 and max(seen[1e-3]) > 0
    assert seen[1e-4] == pytest.approx([rate / 10 for rate in seen[1e-3]], rel=1e-9)


def test_changed_settings_are_named_and_take_effect(train, run):
    words = ["data.batch_size=32", "optimizer.lr=0.0005", "ckpt_path=run/checkpoints/last.ckpt"]
    done = train(*words, epochs=2)
    changes = re.search(r"other settings than before: (.*)\.$", done.out, re.MULTILINE)[1].split(", ")
    assert {*changes} == {
        "trainer.max_epochs=2 (before: 1)",
        "data.batch_size=32 (before: 128)",
        "optimizer.lr=0.0005 (before: 0.001)",
    }
    state = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    assert state["optimizer_states"][0]["param_groups"][0]["lr"] == 0.0005
    assert state["global_step"] == 11 + 41, "1294 rows: 11 batches of 128, 41 of 32"


def test_another_batch_size_within_an_epoch_is_refused(run, train):
    state = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    state["loops"]["fit_loop"]["epoch_loop.batch_progress"] |= {"is_last_batch": False}
    torch.save(state, "run/checkpoints/last.ckpt")
    done = train("data.batch_size=32", "ckpt_path=run/checkpoints/last.ckpt", epochs=2)
    assert done.code == 1 and "Repeat data.batch_size=128; it can be changed at the end of an epoch." in done.err


# Checkpoints of other places and other people ------------------------------------------------------------------------


def test_one_flipped_bit_is_refused(train, run):
    last = Path("run/checkpoints/last.ckpt")
    weight = torch.load(last, weights_only=True)["state_dict"]["vae.encoder.body.1.weight"].numpy().tobytes()
    content = bytearray(last.read_bytes())
    content[content.index(weight) + len(weight) // 2] ^= 1
    last.write_bytes(content)
    done = train("ckpt_path=run/checkpoints/last.ckpt", epochs=3)
    assert done.code == 1 and "Traceback" not in done.err
    assert "last.ckpt is damaged" in done.err and "best.ckpt" in done.err


@pytest.mark.long
@pytest.mark.parametrize("place", [Path.rename, shutil.copytree], ids=["moved", "copied"])
def test_a_run_that_was_moved_or_copied_keeps_its_best_weights(train, monkeypatch, place):
    compute, growth = Evaluation.compute, itertools.count(0, 1000)  # each validation is worse than the one before
    monkeypatch.setattr(Evaluation, "compute", lambda self: (f := compute(self)) | {"loss": f["loss"] + next(growth)})
    assert train(folder="old", epochs=2).code == 0
    best = Path("old/checkpoints/best.ckpt").read_bytes()
    before = contents("old")
    place(Path("old"), "new")
    done = train("ckpt_path=new/checkpoints/last.ckpt", epochs=4)
    assert done.code == 0, done.err
    assert Path("new/checkpoints/best.ckpt").read_bytes() == best
    assert contents("old") == ({} if place == Path.rename else before)
    best_state = torch.load("new/checkpoints/best.ckpt", weights_only=True)
    assert json.loads(Path("new/metrics.json").read_text())["val/loss"] == best_state["validation"]["val/loss"]


def test_a_run_without_its_best_checkpoint_is_resumed(train, run):
    Path("run/checkpoints/best.ckpt").unlink()
    done = train("ckpt_path=run/checkpoints/last.ckpt", epochs=2)
    assert done.code == 0 and "best.ckpt is missing" in done.out, done.err
    assert torch.load("run/checkpoints/best.ckpt", weights_only=True)["epoch"] == 1


@pytest.mark.long
def test_a_checkpoint_with_old_weight_names_is_resumed(train):
    words = ["prior=vamp", "prior.components=5", "callbacks=ema"]
    assert train(*words, folder="whole", epochs=2).code == 0
    assert train(*words, folder="run", epochs=1).code == 0
    for path in Path("run/checkpoints").glob("*.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        for weights in ("state_dict", "current_model_state"):
            held = checkpoint[weights].items()
            checkpoint[weights] = {name.replace("prior.pseudo_inputs", "prior.pseudo"): value for name, value in held}
        torch.save(checkpoint, path)
    done = train(*words, "ckpt_path=run/checkpoints/last.ckpt", epochs=2)
    assert done.code == 0, done.err
    assert_same("run", "whole")


def spoiled(run, change):
    last = Path(run, "checkpoints/last.ckpt")
    checkpoint = torch.load(last, weights_only=True)
    for name, state in checkpoint["callbacks"].items():
        if name.startswith("ModelCheckpoint"):
            change(state)
    torch.save(checkpoint, last)


def drop(name):
    return lambda checkpoint: checkpoint.pop(name)


FOREIGN = {
    "no weights": drop("state_dict"),
    "no figures": drop("validation"),
    "no loops": drop("loops"),
    "other weights": lambda checkpoint: checkpoint["state_dict"].popitem(),
    "another optimizer": lambda checkpoint: checkpoint.update(optimizer_states=[{}]),
    "no optimizer": lambda checkpoint: checkpoint.update(optimizer_states=[]),
    "two optimizers": lambda checkpoint: checkpoint["optimizer_states"].append(checkpoint["optimizer_states"][0]),
    "a rate that is text": lambda checkpoint: checkpoint["optimizer_states"][0]["param_groups"][0].update(lr="x"),
    "callbacks that are none": lambda checkpoint: checkpoint.update(
        callbacks=dict.fromkeys(checkpoint["callbacks"], 1)
    ),
    "no best ones": lambda checkpoint: [state.pop("best_k_models", 0) for state in checkpoint["callbacks"].values()],
}


def refused(train, change):
    """What is printed when a run resumes from its changed checkpoint."""
    last = Path("run/checkpoints/last.ckpt")
    checkpoint = torch.load(last, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, last)
    done = train(f"ckpt_path={last}", epochs=3)
    assert done.code == 1 and "Traceback" not in done.err
    return done.err


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN.keys())
def test_an_invalid_checkpoint_is_refused(train, run, change):
    said = refused(train, change)
    assert "last.ckpt is not a valid checkpoint" in said


def each_state(change):
    """Change the state of the last weight."""
    return lambda checkpoint: change(list(checkpoint["optimizer_states"][0]["state"].values())[-1])


@pytest.mark.parametrize(
    "change",
    [
        lambda checkpoint: checkpoint["optimizer_states"][0]["state"].clear(),
        each_state(lambda state: state.pop("exp_avg_sq")),
        each_state(lambda state: state.update(exp_avg=torch.zeros(3, 3))),
        each_state(lambda state: state.update(exp_avg=0)),
        each_state(lambda state: state.clear()),
    ],
    ids=["empty", "without a part", "another shape", "a number", "empty of a weight"],
)
def test_an_optimizer_s_state_of_other_weights_is_refused(train, run, change):
    said = refused(train, change)
    assert "does not hold the state of this optimizer" in said and "init_from=" in said


def test_expanded_optimizer_states_are_copied(train, run):
    """A fused kernel would write past the single number that an expanded tensor holds."""
    last = Path("run/checkpoints/last.ckpt")
    checkpoint = torch.load(last, weights_only=True)
    state = checkpoint["optimizer_states"][0]["state"][0]
    state["exp_avg"] = torch.zeros(1).expand_as(state["exp_avg"])
    torch.save(checkpoint, last)
    done = train(f"ckpt_path={last}", epochs=2)
    assert done.code == 0, done.err
    found = torch.load(last, weights_only=True)["optimizer_states"][0]["state"][0]["exp_avg"]
    assert found.is_contiguous() and len(found.unique()) > 100


@pytest.mark.parametrize("form", ["address", "dots", "consistent", "link"])
def test_a_foreign_checkpoint_does_not_delete_files(train, run, here, form):
    victim = here / "victim" / "best.ckpt"
    (victim / "deep").mkdir(parents=True)
    (victim / "deep" / "file").write_text("mine")
    place = {
        "address": f"local://{victim}",
        "dots": f"{here}/run/checkpoints/../../victim/best.ckpt",
        "consistent": str(victim),
        "link": f"{here}/run/checkpoints/link/best.ckpt",
    }[form]
    (here / "run/checkpoints/link").symlink_to(victim.parent)

    def lie(state):
        if form == "consistent":
            state["dirpath"] = str(victim.parent)
        state |= {"best_model_path": place, "last_model_path": place, "kth_best_model_path": place}
        state |= {"best_k_models": {place: torch.tensor(1e9)}, "best_model_score": torch.tensor(1e9)}
        state |= {"kth_value": torch.tensor(1e9)}

    spoiled("run", lie)
    done = train("ckpt_path=run/checkpoints/last.ckpt", epochs=3)
    assert "Traceback" not in done.err
    assert (done.code == 0) == (form == "consistent"), done.err  # as if the run had been moved
    assert (victim / "deep" / "file").read_text() == "mine"
    if form != "consistent":
        assert re.search("is outside of the checkpoints|is a link that leads out of", done.err)


def test_files_have_the_permissions_of_the_umask(train):
    before = os.umask(0o027)
    try:
        assert train(folder="run").code == 0
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in contents("run")} == {0o640}
