"""Captions: does z pay, `python benchmarks/text.py root=DIR`.

DIR holds Text/Multi30k_en/train.en and test_2016_flickr.en; without `root=` it is $VAEKIT_DATA. Trains model=text_vae,
and the same with a rate that costs a thousand times as much: its z is noise, so that what is left is a language model
of the same size. Both for as many epochs, from the same seed. Then, on the test sentences:

nll: in nats per sentence, importance-sampled. perplexity: of a token, a word or a mark, <eos> among them.
rate, active units: of the latents. mutual information: between x and z, in nats, of 1,000 sentences (`task=evaluate`).

Every further word is an override of both, e.g. trainer.max_epochs=8. What is finished is not run again: each set
of overrides has a folder of its own.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from roots import root

FOLDER = Path("outputs/benchmarks/text")
DEAR = ["objective.free_bits.value=0", "objective.beta.start=1000", "objective.beta.value=1000"]
MODELS = {"text_vae": [], "language model": DEAR}
FIGURES = ("test/nll", "test/token_perplexity", "test/rate", "mutual_information", "test/active_units")


def main() -> None:
    words = sys.argv[1:]
    files = root(words, "Text/Multi30k_en") / "Text" / "Multi30k_en"
    data = ["data=text", f"data.path={files}/train.en", f"data.test_path={files}/test_2016_flickr.en"]
    words = ["trainer.max_epochs=20", *(word for word in words if not word.startswith("root="))]
    folder = FOLDER / re.sub(r"[^\w.]+", "_", " ".join(words))
    runs = {name: folder / name.replace(" ", "_") for name in MODELS}
    for name, run in runs.items():
        if not (run / "metrics.json").exists():
            train = [sys.executable, "train.py", "model=text_vae", *data, *MODELS[name], *words, f"hydra.run.dir={run}"]
            subprocess.run(train, check=True)
        if not (run / "tasks" / "evaluate" / "evaluation.json").exists():
            subprocess.run([sys.executable, "apply.py", "task=evaluate", f"run={run}"], check=True)
    print(f"| | {' | '.join(name.removeprefix('test/').replace('_', ' ') for name in FIGURES)} |")
    print("| --- " * (1 + len(FIGURES)) + "|")
    for name, run in runs.items():
        found = json.loads((run / "tasks" / "evaluate" / "evaluation.json").read_text())
        print(f"| {name} | {' | '.join(f'{found[figure]:.2f}' for figure in FIGURES)} |")


if __name__ == "__main__":
    main()
