"""All names of inputs and capabilities by which parts are matched, with a sentence for each."""

from __future__ import annotations

from enum import StrEnum


class _Described(StrEnum):
    """Members with a `sentence`."""

    sentence: str

    def __new__(cls, value: str, sentence: str) -> _Described:
        member = str.__new__(cls, value)
        member._value_, member.sentence = value, sentence
        return member


class Input(_Described):
    """What the constructor of a posterior or prior takes in addition to its space, as an argument of that name.

    Example:
        >>> from vaekit.capabilities import Input
        >>> Input.DATA_SPACE.sentence
        'the space of x'
    """

    DATA_SPACE = "data_space", "the space of x"
    MODALITIES = "modalities", "the number of modalities of x"
    INFER = "infer", "q(z | x) as a function of x"
    JOINT = "joint", "log p(x, z) as a function of x and z; x itself is then appended to the features"


class Capability(_Described):
    """What a part `gives`, and what another part `requires`.

    Example:
        >>> from vaekit.capabilities import Capability
        >>> Capability("rsample").sentence
        'draws of z have a gradient'
    """

    # Posteriors
    RSAMPLE = "rsample", "draws of z have a gradient"
    LOG_PROB = "log_prob", "log q(z | x) of its own draws, so that rates and likelihoods exist"
    DENSITY = "density", "log q(z | x) of any z"
    MEAN = "mean", "the mean of q(z | x) in closed form"
    MAPS = "maps", "latent maps [c, H, W] of feature maps; of a network, feature maps"
    ENUMERATE = "enumerate", "every possible z, with its probability"
    DETERMINISTIC = "deterministic", "one z for each x"
    QUANTIZED = "quantized", "the distance of z to the input of the quantizer"
    WHOLE = "whole", "q(z | x) of rows without missing values only"
    STRATIFIED = (
        "stratified",
        "draws that are spread evenly over the components of a mixture, and so are not independent",
    )

    # Likelihoods, posteriors and priors
    FACTORISED = "factorised", "a distribution of each value, or position, separately"

    CODED = "coded", "a distribution whose dimensions are entropy-coded one by one"

    # Likelihoods
    AUTOREGRESSIVE = "autoregressive", "each value given those before it, so that its mean is an average of draws"
    GIVEN = "given", "draws of some values given others"
    MARGINAL = "marginal", "the log-probability of some values without the others"

    # Networks
    MODALITIES = "modalities", "features of each modality separately"

    # What a whole VAE has
    CONTINUOUS = "continuous", "latents that are not discrete codes"
    EUCLIDEAN = "euclidean", "latents in Euclidean space"
    SINGLE_LEVEL = "single_level", "one latent level"
    LABELLED = "labelled", "a class as top level, inferred where it is missing"
    LEARNED_PRIOR = "learned_prior", "a prior with parameters"
    INDEPENDENT_DRAWS = "independent_draws", "importance samples that are independent"
    NO_PENALTY = "no_penalty", "no penalty in addition to the objective"
    IMAGE = "image", "data that are images"
    FACTORS = "factors", "data with labels of several factors"
    PAIRS = "pairs", "data that are pairs of images and labels"
    QUANTITIES = "quantities", "data that are quantities rather than tokens"
    DOUBLE_BACKWARD = "double_backward", "networks that can be differentiated twice"
    UNCONDITIONAL = "unconditional", "a model without a condition"
    AXES = "axes", "a latent level in Euclidean space, whose variables can vary one at a time"
    PARTIAL = "partial", "a likelihood that can leave out values, or draws some given others"
    DISCRETE = "discrete", "data of discrete gray values"
    RETURNS = "returns", "data that are returns of prices"
    PLAYABLE = "playable", "data that are levels of a game with `spawn` and `pickupable` tiles"
