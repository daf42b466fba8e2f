"""Structural similarity of images."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

C1, C2 = 0.01**2, 0.03**2  # for values in [0, 1]
WINDOW, SIGMA = 11, 1.5  # pixels


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """The mean structural similarity of images with at least 11x11 pixels.

    Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861, section III.B: a Gaussian window of 11 pixels, at each
    position where it lies inside the image.

    Args:
        x: Images `[N, C, H, W]` in [0, 1].
        y: Images of the same shape.

    Returns:
        `[N]`, at most 1.

    Example:
        >>> import torch
        >>> from vaekit.similarity import ssim
        >>> x = torch.rand(2, 1, 16, 16)
        >>> ssim(x, x)
        tensor([1., 1.])
    """
    luminance, contrast = _parts(x, y, WINDOW, SIGMA)
    return (luminance * contrast).mean((1, 2, 3))


def scales(side: int, window: int) -> int:
    """How many of the five scales of `ms_ssim` a window fits into.

    Args:
        side: The shorter side of the images in pixels.
        window: The window in pixels.

    Example:
        >>> from vaekit.similarity import scales
        >>> scales(28, 11)
        2
    """
    return sum(side // 2**scale >= window for scale in range(5))


def ms_ssim(x: Tensor, y: Tensor, window: int, sigma: float, exponents: tuple[float, ...]) -> Tensor:
    """The multi-scale structural similarity of images, on as many scales as exponents, the finest first.

    Wang et al. 2003, equation 7. A similarity s enters as (1 + s) / 2, because it may be negative.

    Args:
        x: Images `[N, C, H, W]` in [0, 1].
        y: Images of the same shape.
        window: Width of the Gaussian window in pixels.
        sigma: Its standard deviation in pixels.
        exponents: The exponent of each scale.

    Returns:
        `[N]`, in [0, 1].

    Example:
        >>> import torch
        >>> from vaekit.similarity import ms_ssim
        >>> x = torch.rand(2, 1, 32, 32)
        >>> ms_ssim(x, x, window=11, sigma=1.5, exponents=(0.5, 0.5))
        tensor([1., 1.])
    """
    product = torch.ones((), device=x.device)
    for scale, exponent in enumerate(exponents):
        luminance, similarity = _parts(x, y, window, sigma)
        if scale == len(exponents) - 1:
            similarity = luminance * similarity
        product = product * ((1 + similarity.mean((1, 2, 3))) / 2) ** exponent
        x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
    return product


def _parts(x: Tensor, y: Tensor, window: int, sigma: float) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-structure in each window, `[N, C, H - window + 1, W - window + 1]`."""
    channels = x.shape[1]
    place = torch.arange(window, dtype=x.dtype, device=x.device) - (window - 1) / 2
    line = (-0.5 * (place / sigma) ** 2).exp()
    line = line / line.sum()

    def mean(each: Tensor) -> Tensor:
        rows = conv2d(each, line.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
        return conv2d(rows, line.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)

    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return luminance, (2 * covariance + C2) / (var_x + var_y + C2)
