"""Feature distance of reconstructions in a trained network."""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from vaekit.capabilities import Capability
from vaekit.networks.conv import Encoder
from vaekit.penalties.penalty import Penalty
from vaekit.refusal import Refusal, setting
from vaekit.schedules.schedule import Schedule
from vaekit.spaces import Space
from vaekit.terms import Terms
from vaekit.vae import VAE

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Tanh)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and standard deviation of the colors


class Perceptual(Penalty):
    """The mean squared distance of x and the mean of p(x | z) in the output of each activation of a network, summed.

    The network is not trained.

    Args:
        vae: The model that the penalty is for; only shapes are read from it.
        weight: Coefficient of the penalty in the loss, a number or a schedule.
        weights: A file: either model.safetensors of a finished run with network=conv on such images, whose encoder is
            used, or a state_dict of the torchvision model called `network`, whose `features` are used.
        network: The torchvision model that the weights are of; vgg16 as in the paper.

    Raises:
        Refusal: If the file is missing or does not hold such weights.

    References:
        Xianxu Hou et al. Deep Feature Consistent Variational Autoencoder. In WACV 2017.
            https://arxiv.org/abs/1610.00291

    Example:
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> import torch, vaekit
        >>> from vaekit.penalties.perceptual import Perceptual
        >>> from vaekit.spaces import Image
        >>> vae, folder = vaekit.build(Image((1, 8, 8), bins=2), "model=conv_vae"), Path(mkdtemp(), "run")
        >>> vae.save(folder)
        >>> penalty = Perceptual(vae, weights=str(folder / "model.safetensors"))
        >>> bool(penalty(vae(torch.zeros(4, 1, 8, 8)), vae, epoch=None) > 0)
        True
    """

    requires = frozenset({Capability.RSAMPLE, Capability.IMAGE})
    mean: Tensor
    deviation: Tensor

    def __init__(self, vae: VAE, weight: float | Schedule = 1.0, weights: str | None = None, network: str = "vgg16"):
        super().__init__(vae, weight)
        if weights is None or not Path(weights).is_file():
            raise Refusal(
                f"{setting('weights')}={weights} is not a file, and weights are not downloaded; give those of a "
                f"trained network: {setting('weights')}=outputs/latest/model.safetensors of a run with "
                f"network=conv on such images, or a file of torchvision's {network}."
            )
        of_run = Path(weights).suffix == ".safetensors"
        self.layers = encoder_of_run(vae.space, weights) if of_run else torchvision_features(network, weights)
        self.layers.requires_grad_(False).eval()
        for name, values in zip(("mean", "deviation"), ((0.0,), (1.0,)) if of_run else IMAGENET, strict=True):
            self.register_buffer(name, torch.tensor(values).reshape(-1, 1, 1), persistent=False)
        self.features(torch.zeros(1, *vae.space.shape))  # fails for images that are too small

    def train(self, mode: bool = True) -> Self:
        return super().train(False)  # no dropout, no batch statistics

    def forward(self, terms: Terms, vae: VAE, epoch: float | None) -> Tensor:
        mean = terms.px.mean
        made, real = (self.features(x.flatten(0, -4)) for x in (mean, terms.batch.filled(mean)))
        pairs = ((each.unflatten(0, (-1, mean.shape[1])) for each in pair) for pair in zip(made, real, strict=True))
        return sum((mse_loss(a, b.expand_as(a)) for a, b in pairs), mean.new_zeros(()))

    def features(self, x: Tensor) -> list[Tensor]:
        """The output of each activation for images `[N, C, H, W]`."""
        features, x = [], (x - self.mean) / self.deviation
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, ACTIVATIONS):
                features.append(x)
        return features


def encoder_of_run(space: Space, file: str) -> nn.Sequential:
    """The layers of the convolutional encoder of a run.

    Args:
        space: The space of the images.
        file: model.safetensors of the run.

    Raises:
        Refusal: If the file holds no encoder of network=conv.
    """
    from safetensors.torch import load_file

    prefix = "encoder."
    weights = {name.removeprefix(prefix): value for name, value in load_file(file).items() if name.startswith(prefix)}
    channels = [len(value) for value in weights.values() if value.dim() == 4]
    features = [len(value) for value in weights.values() if value.dim() == 2]
    if not channels or len(features) != 1:
        raise Refusal(f"{file} holds no encoder of network=conv; train one with python train.py network=conv.")
    encoder = Encoder(space, channels, features[0])
    encoder.load_state_dict(weights)
    return encoder.body


def torchvision_features(network: str, file: str) -> nn.Sequential:
    """The convolutional layers of a torchvision model.

    Args:
        network: The name of the model.
        file: Its state_dict.

    Raises:
        Refusal: If the model has no sequence of layers called `features`.
    """
    from torchvision.models import get_model

    model = get_model(network)
    model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    if not isinstance(getattr(model, "features", None), nn.Sequential):
        raise Refusal(f"{setting('network')}={network} has no sequence of features; use vgg16, vgg19 or alexnet.")
    for layer in model.modules():
        if hasattr(layer, "inplace"):
            layer.inplace = False  # would overwrite outputs of activations
    return model.features
