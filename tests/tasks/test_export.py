"""Exported files, read by the libraries that they are for."""

import sys
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml

import vaekit
from vaekit.refusal import Refusal
from vaekit.tasks import export as module
from vaekit.tasks.detect import detect
from vaekit.tasks.export import export
from vaekit.tasks.shared.context import open_run

FILES = {f"{part}.{suffix}" for part in ("encoder", "decoder") for suffix in ("onnx", "pt2")}


def run(file, **inputs):
    session = onnxruntime.InferenceSession(file)
    return session.run(None, {name: array.numpy() for name, array in inputs.items()})


@pytest.fixture(scope="module")
def exported(digits_run, tmp_path_factory):
    context = open_run(digits_run, tmp_path_factory.mktemp("exported"), device="cpu")
    return context, export(context)


@pytest.mark.long
def test_differences_are_small_and_of_every_file(exported):
    _, differences = exported
    assert set(differences) == FILES
    assert max(differences.values()) < 1e-5


@pytest.mark.parametrize("n", [1, 5, 130])
def test_both_agree_with_the_vae_for_batches_of_any_size(exported, n):
    context, _ = exported
    x = context.data.sample("test", n).x
    with torch.no_grad():
        (z,) = context.vae.encode(x)
    (by_onnx,) = run(context.out / "encoder.onnx", x=x)
    assert np.abs(by_onnx - z.numpy()).max() < 1e-4
    (again,) = run(context.out / "decoder.onnx", z=z)
    assert np.abs(again - context.vae.decode([z]).detach().numpy()).max() < 1e-4
    (by_torch,) = torch.export.load(context.out / "encoder.pt2").module()(x)
    (again,) = torch.export.load(context.out / "decoder.pt2").module()(by_torch)
    assert torch.allclose(again, context.vae.reconstruct(x), atol=1e-4)


def test_onnx_files_are_valid_alone_and_named(exported):
    context, _ = exported
    for part, given, made in (("encoder", "x", "z"), ("decoder", "z", "x")):
        file = context.out / f"{part}.onnx"
        onnx.checker.check_model(file, full_check=True)
        graph = onnx.load(file, load_external_data=False)
        assert graph.opset_import[0].version == 20
        session = onnxruntime.InferenceSession(file)
        assert [(each.name, each.shape[0]) for each in session.get_inputs()] == [(given, "batch")]
        assert [each.name for each in session.get_outputs()] == [made]
    assert {path.name for path in context.out.iterdir()} == FILES | {
        "README.md", "config.yaml", "model.safetensors", "samples.png", "reconstructions.png", "interpolations.png",
    }  # fmt: skip


@pytest.mark.long
def test_a_decoder_that_draws_value_by_value_is_left_out(untrained, tmp_path, capsys):
    words = ("likelihood=pixel_autoregressive", "likelihood.width=4", "likelihood.layers=1")
    assert set(export(open_run(untrained(*words), tmp_path, device="cpu"))) == {"encoder.onnx", "encoder.pt2"}
    assert "no decoder" in capsys.readouterr().out


def test_the_folder_is_loaded_as_a_run(exported):
    context, _ = exported
    x = context.data.sample("test", 3).x
    assert torch.equal(vaekit.load(context.out).reconstruct(x), context.vae.reconstruct(x))


def test_the_model_card(exported):
    context, differences = exported
    text = (context.out / "README.md").read_text()
    _, about, body = text.split("---\n", 2)
    about = yaml.safe_load(about)
    assert about["library_name"] == "vaekit" and about["pipeline_tag"] == "unconditional-image-generation"
    (result,) = about["model-index"][0]["results"]
    metrics = {each["type"]: each["value"] for each in result["metrics"]}
    assert metrics["nll"] == vaekit.runs.read_metrics(context.run)["test/nll"]
    assert result["dataset"]["name"] == "digits"
    for figure in ("samples.png", "reconstructions.png"):
        assert f"]({figure})" in body
    assert all(f"| {file} | {value:.1e} |" in body for file, value in differences.items())


def test_the_card_s_own_lines_run(exported, monkeypatch):
    context, _ = exported
    (_, code) = (part.split("```")[0] for part in (context.out / "README.md").read_text().split("```python\n")[1:])
    monkeypatch.chdir(context.out)
    names = {}
    exec(code, names)
    assert names["x"].shape == (16, 1, 8, 8)


@pytest.mark.long
def test_two_levels(untrained, tmp_path):
    context = open_run(untrained("latents=ladder", "latents.levels=2", "latents.width=8"), tmp_path, device="cpu")
    assert set(export(context)) == FILES
    x = context.data.sample("test", 6).x
    means = run(tmp_path / "encoder.onnx", x=x)
    assert [each.shape for each in means] == [(6, 1), (6, 3)]
    (again,) = run(tmp_path / "decoder.onnx", z_0=torch.tensor(means[0]), z_1=torch.tensor(means[1]))
    assert np.abs(again - context.vae.reconstruct(x).numpy()).max() < 1e-4


@pytest.mark.long
def test_vectors(vectors):
    assert max(export(vectors).values()) < 1e-5
    assert "pipeline_tag" not in (vectors.out / "README.md").read_text()


@pytest.mark.long
@pytest.mark.parametrize(
    ("overrides", "files"),
    [
        (("posterior=dirac", "objective=reconstruction"), FILES),
        (("posterior=power_spherical", "prior=sphere_uniform"), FILES),
        (("posterior=von_mises_fisher", "prior=sphere_uniform"), FILES),
        (("posterior=low_rank_gaussian",), FILES),
        (("posterior=full_gaussian",), FILES),
        (("posterior=wrapped_normal", "prior=wrapped_normal"), FILES),
        (("posterior=flow",), FILES - {"encoder.onnx", "encoder.pt2"}),
    ],
)
def test_what_cannot_be_exported_is_left_out_with_a_sentence(untrained, tmp_path, capsys, overrides, files):
    context = open_run(untrained(*overrides), tmp_path, device="cpu")
    assert set(export(context)) == files
    assert FILES & {path.name for path in tmp_path.iterdir()} == files
    printed = capsys.readouterr().out
    assert ("no encoder to export" in printed or "is left out" in printed) == (files != FILES)


def test_nothing_to_export_is_refused(digits, monkeypatch, capsys):
    def fail(*args, **options):
        raise RuntimeError("cannot be traced")

    monkeypatch.setattr(torch.export, "export", fail)
    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(Refusal, match="Neither"):
        export(digits)
    assert "decoder.onnx is left out: cannot be traced" in capsys.readouterr().out
    assert not list(digits.out.iterdir())


@pytest.mark.long
def test_different_exports_are_refused(digits, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", -1)
    with pytest.raises(Refusal, match=r"differs from the module .* vaekit.load"):
        export(digits)


@pytest.mark.parametrize(
    ("package", "extra"), [("onnx", "export"), ("onnxruntime", "export"), ("huggingface_hub", "hub")]
)
def test_a_missing_package_is_named(digits, monkeypatch, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Refusal, match=rf"needs {package}, .*'\.\[{extra}\]'"):
        export(digits, push="me/mine")
    assert not list(digits.out.iterdir())


@pytest.mark.long
def test_push_uploads_the_folder(digits, monkeypatch):
    calls = []
    hub = SimpleNamespace(
        create_repo=lambda name, exist_ok, private: calls.append((name, exist_ok)),
        upload_folder=lambda repo_id, folder_path: calls.append(
            (repo_id, {path.name for path in folder_path.iterdir()})
        ),
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    export(digits, push="me/mine")
    (_, made), (name, files) = calls
    assert made and name == "me/mine" and files > {"README.md", "model.safetensors", "config.yaml"} | FILES


@pytest.mark.long
def test_an_upload_that_fails_is_refused(digits, monkeypatch):
    def fail(*args, **options):
        raise OSError("401 Client Error: no such account")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(create_repo=fail))
    with pytest.raises(Refusal, match=r"401 .*hf auth login"):
        export(digits, push="me/mine")


@pytest.mark.long
@pytest.mark.long
def test_detector_of_raw_bytes_equals_that_of_python(digits_run, tmp_path):
    context = open_run(digits_run, tmp_path / "detect", device="cpu")
    context.out.mkdir()
    x = np.random.default_rng(0).integers(0, 256, (200, 1, 8, 8), dtype=np.uint8)
    x[:150] = (context.data.sample("test", 150).x.numpy() * 255).round()
    np.save(tmp_path / "new.npy", x)
    names = ["latent", "reconstruction"]
    expected = detect(context, input=tmp_path / "new.npy", scores=names)
    out = open_run(digits_run, tmp_path / "export", device="cpu")
    out.out.mkdir()
    differences = export(out, detector=context.out / "detector.npz")
    assert set(differences) == FILES | {"detector.onnx", "detector.pt2"}
    session = onnxruntime.InferenceSession(out.out / "detector.onnx")
    outputs = [each.name for each in session.get_outputs()]
    found = dict(zip(outputs, session.run(None, {"x": x}), strict=True))
    for name in names:
        assert np.allclose(found[f"score_{name}"], expected[name], rtol=1e-4, atol=1e-4)
        p = expected[f"p/{name}"]
        close = np.abs(found[f"p_{name}"] - p) < 1e-4
        assert close[150:].all(), "of rows that were not calibrated on"
        assert np.array_equal(found[f"alarm_{name}"][close], p[close] <= 0.05)
        assert close.mean() > 0.95
    assert found["alarm_reconstruction"][150:].mean() > 0.5
    assert found["alarm_reconstruction"][:150].mean() < 0.2


def test_a_detector_that_is_not_one_is_refused(digits, tmp_path):
    (tmp_path / "text.npz").write_text("no arrays")
    np.savez(tmp_path / "other.npz", mean=np.zeros(2), precision=np.eye(3), latent=np.zeros(4))
    np.savez(tmp_path / "run.npz", mean=np.zeros(99), precision=np.eye(99), latent=np.zeros(4))
    np.savez(tmp_path / "none.npz", x=np.zeros(2))
    for name in ("missing.npz", "text.npz", "other.npz", "none.npz", "run.npz"):
        with pytest.raises(Refusal, match=r"Cannot read task\.detector"):
            export(digits, detector=tmp_path / name)
