"""Settings that no part reads are refused, with the nearest one that exists."""

import re

import pytest

from vaekit.hydra_job import compose
from vaekit.refusal import Refusal

UNREAD = {  # words: what the sentence says
    "+modle=mlp_vae": r"^\+modle=mlp_vae is not read by any part\. Did you mean model=mlp_vae\?$",
    "+optimizer.weight_decay=5": r"Did you mean \+optimizer\.algorithm\.weight_decay=5\?$",
    "+latents.dimm=4": r"Did you mean latents\.dim=4\?$",
    "+latents={dimm:4}": r"Did you mean latents\.dim=",
    "++network.hiden=[3]": r"Did you mean 'network\.hidden=\[3\]'\?$",
    "latents_dim=8": r"Did you mean latents\.dim=8\?$",
    "lr=0.1": r"Did you mean optimizer\.lr=0\.1\?$",
    "latent_dim=8": r"Did you mean latents\.dim=8\?$",
    "epochs=3": r"Did you mean .*trainer\.max_epochs=3\?$",
    "data=MNIST": r"^data=MNIST is unknown\. Did you mean data=mnist\?",
    "+trainer.max_epoch=3": r"Did you mean trainer\.max_epochs=3\?$",
    "+callbacks.best.monitr=val/nll": r"Did you mean callbacks\.best\.monitor=val/nll\?$",
    "+callbacks.mine=3": r"^\+callbacks\.mine=3 is not read by any part",
    "+penalty.mmd.weight=3": r"^\+penalty\.mmd\.weight=3 is not read by any part",
    "+data.standardize=false": r"^\+data\.standardize=false is not read by any part\. There is data\.",
    "+data.size=3": r"^\+data\.size=3 is not read by any part",
    "+schedule=linear": r"^\+schedule=linear is not read by any part",
    "+prior@latents.above=vamp": r"^\+prior@latents\.above=vamp is not read by any part",
    "prior=two_stage +prior.second.latnets.dim=4": r"Did you mean prior\.second\.latents\.dim=4\?$",
    "batch_size=3": r"Did you mean data\.batch_size=3\?$",
    "network.hiden=[3]": r"Did you mean 'network\.hidden=\[3\]'\?$",
    "network={hiden:[3]}": r"Did you mean network\.hidden=",
    "optimizer/deca=cosine": r"Did you mean optimizer/decay=cosine\?$",
    "latents=ladder prior@latents.belo=flow": r"Did you mean prior@latents\.below=flow\?$",
    "hydra.run.dirr=here": r"Did you mean hydra\.run\.dir=here\?$",
    "~latents.dimm": r"Did you mean '~latents\.dim'\?$",
    "network.color=red": r"There is network\.hidden, network\.activation, network\.encoder, network\.decoder\.$",
    "model=mlp_va": r"^model=mlp_va is unknown\. Did you mean model=mlp_vae\? Available options in 'model': .*vq_vae",
    "penalty=[mmdd]": r"Did you mean 'penalty=\[mmd\]'\? Available options in 'penalty': .*dip",
    "latents=ladder prior@latents.below=vmap": r"Did you mean prior@latents\.below=vamp\?",
    "mlp_vae": r"^mlp_vae sets nothing, expected KEY=VALUE\. Did you mean model=mlp_vae\?$",
    "data.cache=~/cache": r"^data\.cache=~/cache has characters that need quotes\. Try data\.cache=/\S+/cache$",
    "data.name=(one)": r"""Try 'data\.name="\(one\)"'$""",
    "tags=a,b": r"""^tags=a,b has a comma\. Try 'tags="a,b"' for one value, 'tags=\[a,b\]' for a list""",
    "--multirun latents.dim=2,3 +latents.dimm=4": r"Did you mean latents\.dim=4\?",
    "~optimizer": r"^~optimizer removes a setting that is always read\. Leave the word out\.$",
    "data.source=null": r"^data.source=null removes a setting that is always read\. Leave the word out\.$",
    "network.encoder=null": r"^network.encoder=null removes a setting",
    "optimizer.decay=null": r"^optimizer.decay=null removes a setting",
    "~optimizer.lr": r"^~optimizer\.lr removes a setting",
    "task=sample": r"^task=sample is a setting of apply\.py\.$",
    "data.root=here": r"^data\.root=here is not read by any part\. There is data\.",
    "hydra=here": r"^hydra=here is not read by any part\. There is ",
    "callbacks=none privacy=none": r"^privacy=none is unknown\. Available options in 'privacy': dp",
    "model= seed=1": r"^model= is unknown\. Available options in 'model'",
    "+=mlp_vae": r"^\+=mlp_vae sets nothing, expected KEY=VALUE\. Did you mean model=mlp_vae\?$",
    "\u00e9=1": "^\u00e9=1 sets nothing, expected KEY=VALUE",
    "latents=[1]": r"^Got latents=\[1\], expected one of",
    "optimizer.lr={a:1}": r"^Got optimizer\.lr=\{'a': 1\}, expected a number",
}


@pytest.mark.parametrize("words", UNREAD)
def test_unknown_settings_are_refused(train, words):
    done = train(*words.split())
    assert done.code == 1
    assert re.search(UNREAD[words], done.err.strip()), done.err
    assert not re.search("Traceback|HYDRA_FULL_ERROR|Error executing", done.err + done.out), done.err
    assert "epoch 0" not in done.out, "it trained"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("model =mlp_vae", "is not KEY=VALUE. Try model=mlp_vae"),
        ("optimizer.lr = 0.1", "is not KEY=VALUE. Try optimizer.lr=0.1"),
        ("--model=mlp_vae", "is not KEY=VALUE. Try model=mlp_vae"),
    ],
)
def test_words_with_spaces_and_dashes_are_refused_with_what_to_type(word, says):
    with pytest.raises(Refusal, match=re.escape(f"{word} {says}") + "$"):
        compose("train", [word])


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("seed=1,2 +modle=mlp_vae", r"^\+modle=mlp_vae is not read by any part\. Did you mean model=mlp_vae\?$"),
        ("seed=1,2 +latents.dimm=3,4", r"Did you mean latents\.dim=3\?$"),
        ("prior=standard_normal,vmap", r"^prior=vmap is unknown\. Did you mean prior=vamp\?"),
        ("prior=standard_normal,mixture +prior.component=3", r"^\+prior\.component=3 is not read by any part"),
        (
            "network=mlp,gated_mlp +network.encoder.dropout=0.1",
            r"^\+network\.encoder\.dropout=0\.1 is not read by any part",
        ),
        ("prior=mixture,standard_normal prior.components=3,4", r"^prior\.components=3 is not read by any part"),
        ("+optimizer.lrr=range(1,5)", r"Did you mean optimizer\.lr=1\?$"),
    ],
)
def test_a_multirun_with_an_unknown_setting_starts_no_job(train, here, words, says):
    done = train("--multirun", "hydra.sweep.dir=sweep", *words.split())
    assert done.code == 1 and not (here / "sweep").exists()
    assert re.search(says, done.err.strip()) and not re.search("Traceback|warn", done.err), done.err


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # warnings of optuna 2
def test_an_engine_sweep_with_an_unknown_setting_starts_no_job(train, here):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    for word, says in (
        ("+modle=choice(a,b)", r"^\+modle=a is"),
        ("prior=choice(vamp,vmap)", "Did you mean prior=vamp"),
    ):
        done = train("--multirun", "hydra.sweep.dir=sweep", "sweep=random", word)
        assert done.code == 1 and re.search(says, done.err.strip()) and not (here / "sweep").exists(), done.err


@pytest.mark.long
@pytest.mark.parametrize(
    "words",
    [
        "+trainer.enable_autolog_hparams=false",  # an argument that conf/trainer leaves out
        "+optimizer.algorithm.weight_decay=0.1",
        "+callbacks.timer._target_=lightning.pytorch.callbacks.Timer +callbacks.timer.interval=epoch",
        "+width=3 latents.dim=${width}",  # read by another setting
        "+logger.csv._convert_=all",
        "++latents.dim=3",
        "+hydra.job.env_set.WORD=1",
    ],
)
def test_known_settings_pass(train, words):
    assert train(*words.split(), "trainer.fast_dev_run=true").code == 0


@pytest.mark.long
@pytest.mark.parametrize("full", [True, False])
def test_user_defined_parts_in_a_user_defined_folder(train, here, full):
    (here / "my" / "prior").mkdir(parents=True)
    (here / "my" / "prior" / "mine.yaml").write_text("_target_: vaekit.priors.mixture.Mixture\ncomponents: 3\n")
    done = train("--config-dir=my", f"prior={'mine' if full else 'min'}", "trainer.fast_dev_run=true")
    assert (done.code, "Did you mean prior=mine?" in done.err) == ((0, False) if full else (1, True))


OWN = {  # a user's file and the message about it
    "optimizer: {weight_decay: 5}": r"^optimizer\.weight_decay in \S+/my/experiment/mine\.yaml is not read by any part"
    r"\. Did you mean optimizer\.algorithm\.weight_decay\?$",
    "modle: mlp_vae": r"modle in \S+mine\.yaml is not read by any part\. Did you mean model\?$",
    "trainer: {max_epoch: 3}": r"Did you mean trainer\.max_epochs\?$",
    "optimizer: {lr: 0.01}\nlatents: {dim: 3}": None,
    "width: 3\nlatents: {dim: '${width}'}": None,
    "penalty: {mmd: {weight: 3}}": None,  # of a part that is not chosen here
    "defaults: [{override /callbacks: [default, ema]}]\ncallbacks: {ema: {decay: 0.9}}": None,
}


@pytest.mark.long
@pytest.mark.parametrize("text", OWN)
def test_unknown_settings_in_a_user_file_are_refused(train, here, text):
    (here / "my" / "experiment").mkdir(parents=True)
    (here / "my" / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{text}\n")
    done = train("--config-dir=my", "experiment=mine", "trainer.fast_dev_run=true")
    assert done.code == (0 if OWN[text] is None else 1), done.err
    assert OWN[text] is None or re.search(OWN[text], done.err.strip()), done.err
