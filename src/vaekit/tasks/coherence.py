"""Whether generated images and labels belong together."""

from __future__ import annotations

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vaekit.capabilities import Capability
from vaekit.media.figures import Headings
from vaekit.spaces import Pairs
from vaekit.tasks.shared.checks import within
from vaekit.tasks.shared.classifier import Classifier, accuracy, of_training_rows, real_rows
from vaekit.tasks.shared.context import Context
from vaekit.tasks.shared.requires import requires
from vaekit.track import track

ROW = 8  # images of each class in the picture


@requires(Capability.PAIRS, Capability.UNCONDITIONAL)
def coherence(context: Context, num_samples: int = 10) -> dict[str, float]:
    """Write how often generated images and labels are of the right class: coherence.json and two figures.

    Fractions of those test rows that have both image and label. label_given_image: the likeliest label under the mean
    of p(label | z) over num_samples draws z from q(z | image) is right. image_given_label: a classifier assigns the
    right class to the mean of p(image | z), at a draw z from q(z | label). joint: that class and the likeliest label
    agree, for z from p(z). real: the accuracy of the classifier, trained on the training rows, for test images.
    from_labels.png shows images given each label in turn, from_images.png labels given the first test images; a .csv
    file with the labels belongs to each.

    Args:
        context: The run.
        num_samples: Draws of z for each image.

    Returns:
        Fractions by name.

    Raises:
        Refusal: For num_samples < 1, data that are not pairs, and a conditional model.
    """
    within("task.num_samples", num_samples, 1)
    vae, space = context.vae, context.vae.space
    assert isinstance(space, Pairs)
    classifier, right, count = of_training_rows(context), torch.zeros(3), 0

    @torch.no_grad()
    def decode_modality(x: Tensor, modality: int, draws: int) -> Tensor:
        """The mean of p(x | z) over draws of z from q(z | one modality of x)."""
        return vae.likelihood(vae.infer(vae.encoder(space.keep_modality(x, modality)), draws).state).mean.mean(0)

    for batch in map(context.ready, track(context.test, "comparing")):
        x = batch.x[space.split(batch.x)[2].all(-1)]
        label, made = likeliest(space, x), vae.sample(len(x))
        pairs = [
            (likeliest(space, decode_modality(x, 0, num_samples)), label),
            (predicted_class(classifier, decode_modality(x, 1, 1)), label),
            (predicted_class(classifier, made), likeliest(space, made)),
        ]
        right += torch.tensor([float((one == other).sum()) for one, other in pairs])
        count += len(x)
    names = ("label_given_image", "image_given_label", "joint")
    found = dict(zip(names, (right / count).tolist(), strict=True))
    found["real"] = accuracy(classifier, real_rows(context, "test"))
    context.write_json("coherence.json", found)

    labeled = space.pair(None, torch.arange(space.classes).repeat_interleave(ROW)).to(vae.device)
    completed = torch.where(
        space.per_value(torch.tensor([False, True], device=vae.device)), labeled, decode_modality(labeled, 1, 1)
    )
    labels = [str(number) for number in range(space.classes)]
    context.show("from_labels", completed, ROW, Headings("Images given each label", rows=labels, ylabel="label"))
    x = context.examples(context.sample(64))
    completed = torch.where(
        space.per_value(torch.tensor([True, False], device=x.device)), x, decode_modality(x, 0, num_samples)
    )
    context.show("from_images", completed, 16, Headings("Likeliest labels of test images, below each image"))
    table = Table("", "fraction", title=f"Coherence, {count:,} test rows", title_justify="left")
    for name, fraction in found.items():
        table.add_row(name, f"{fraction:.4f}")
    Console().print(table)
    return found


def likeliest(space: Pairs, x: Tensor) -> Tensor:
    """The class with the highest probability, for each row.

    Args:
        space: Space of the pairs.
        x: `[N, *space.shape]`.

    Returns:
        `[N]`.
    """
    return space.split(x)[1].argmax(-1)


@torch.no_grad()
def predicted_class(classifier: Classifier, x: Tensor) -> Tensor:
    """The class that a classifier predicts for each image.

    Args:
        classifier: The classifier.
        x: `[N, *space.shape]`.

    Returns:
        `[N]`.
    """
    return classifier.classes[classifier(x).argmax(1)]
