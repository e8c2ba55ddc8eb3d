"""The autoencoder: a code from which the row can be rebuilt (Hinton & Salakhutdinov 2006, Science 313)."""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from skrep.backbones import (
    ACTIVATIONS,
    ConvDecoder,
    InputEncoder,
    MLPModule,
    TiedLinear,
    by_units,
    default_code,
    default_widths,
    make_encoder,
)
from skrep.base import TorchTransformer, Views
from skrep.data import ArraySource, Batch, Source
from skrep.data.sources import ENCODED_IMAGES, ENCODED_ROWS
from skrep.objectives import bernoulli_cross_entropy, squared_error
from skrep.params import Integer, Real, SequenceOf, check_params, param, params
from skrep.views import GaussianNoise, MaskingNoise

__all__ = ["AutoEncoderTransformer"]


class AutoEncoder(nn.Module):
    """An encoder to codes, and a decoder back to standardised rows or images (or to logits of scaled ones)."""

    def __init__(self, encoder: InputEncoder, decoder: nn.Module, bernoulli: bool):
        super().__init__()
        self.encoder, self.decoder, self.bernoulli = encoder, decoder, bernoulli

    def extra_repr(self) -> str:
        return f"bernoulli={self.bernoulli}"

    def forward(self, x: Tensor) -> Tensor:
        rebuilt: Tensor = self.decoder(self.encoder.backbone(x))  # standardised in, standardised (or logits) out
        return rebuilt

    def decode(self, code: Tensor) -> Tensor:
        """From codes to rows or images in the units of the data."""
        encoder: Any = self.encoder
        decoded: Tensor = self.decoder(code)
        rebuilt: Tensor = encoder.scale.inverse(
            decoded.sigmoid() if self.bernoulli else encoder.standardize.inverse(decoded)
        )
        return rebuilt


@params
class AutoEncoderTransformer(TorchTransformer):
    """A network that compresses each row or image to a code and rebuilds it from there.

    It is a denoising autoencoder (Vincent et al. 2010): in training it sees a corrupted row and rebuilds the clean one,
    for which it must learn how columns depend on one another. With ``noise=0`` it is the plain one; without hidden
    layers either and with ``scale="common"``, its code spans the subspace of the first principal components (Baldi &
    Hornik 1989).

    Tables pass through a multilayer perceptron, images through convolutions. Columns may
    come in any units (`scale`). Images are scaled to [0, 1] and standardised channel by channel.

    With few labels its features are behind the columns themselves where a handful of measurements is all that there
    is, or where a plane through very many columns separates the classes: of the tables in docs/defaults.md, diabetes
    and "wide".

    Parameters
    ----------
    n_components : int or None, default=None
        Width of the code: the number of features. None takes half of the columns, 16 to 64,
        all of up to 16, or 64 for images.
    hidden : sequence of int or None, default=None
        For tables: units of the encoder's hidden layers, the decoder's mirrored. ``()`` is a linear autoencoder; None
        takes two layers of up to 512 and 256 units.
    activation : {"gelu", "relu", "sigmoid", "silu", "tanh"}, default="gelu"
        For tables: between layers; the code itself is linear.
    backbone : ConvNet, ResNet, torch.nn.Module or None, default=None
        For images: the encoder, from :mod:`skrep.backbones`. None takes a small convolutional network. The decoder is
        always a small convolutional network.
    noise : float, GaussianNoise or MaskingNoise, default=0.5
        Corruption of the input in training. A number is the standard deviation of Gaussian noise in units of the data's
        own. Noise makes better features, no noise (0) the better compression.
    tied : bool, default=False
        For tables: whether the decoder's weights are the encoder's, transposed.
    scale : {"auto", "columns", "common"}, default="auto"
        For tables: whether each column is divided by its own standard deviation inside the network, or all by one
        number, as for PCA. With scales of their own, values of more than three of them are compressed to their
        logarithm, and columns with heavy tails are measured by their quartiles. "auto" takes each column's own where
        they come in different units, told by their ranges, and one number where they are alike, as pixels are.
    loss : {"mse", "bernoulli"}, default="mse"
        "mse" is the squared error; "bernoulli" the cross-entropy of values in [0, 1], such as binary columns or the
        pixels of images.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained network, ``net_.module_``, with ``encoder`` and ``decoder``.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", and "valid_loss" with `validation_fraction`. With "mse" the
        loss is the part of the data's variance that is not rebuilt; with "bernoulli" it is nats per column or pixel.

    See Also
    --------
    PCAEncoder : The best linear code, in closed form.
    RandomEncoder : The same network, untrained.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import AutoEncoderTransformer
    >>> X, _ = load_digits(return_X_y=True)
    >>> encoder = AutoEncoderTransformer(16, max_epochs=5, random_state=0).fit(X)
    >>> encoder.transform(X).shape
    (1797, 16)
    >>> encoder.inverse_transform(encoder.transform(X)).shape
    (1797, 64)
    """

    n_components: int | None = param(Integer(low=1), None, default=None)
    hidden: Sequence[int] | None = param(SequenceOf(Integer(low=1)), None, default=None)
    activation: str = param(*ACTIVATIONS, default="gelu")
    backbone: Any = param(BaseEstimator, nn.Module, None, default=None)
    noise: Any = param(Real(low=0), GaussianNoise, MaskingNoise, default=0.5)
    tied: bool = param(bool, default=False)
    scale: str = param("auto", "columns", "common", default="auto")
    loss: str = param("mse", "bernoulli", default="mse")

    reads = ("table", "images")
    shares_batches = True

    def make_module(self, data: Source) -> nn.Module:
        """Hook: encoder and decoder."""
        bernoulli = self.loss == "bernoulli"
        if len(data.shape) == 3:
            self._refuse("images", hidden=None, activation="gelu", tied=False, scale="auto")
            encoder, width = make_encoder(data, self.backbone, self.n_components or 64)
            return AutoEncoder(encoder, ConvDecoder(width, data.shape), bernoulli)
        self._refuse("tables", backbone=None)
        if bernoulli:
            data.require_unit_interval("loss='bernoulli'", "loss='mse'")
        n_features = data.shape[0]
        widths = default_widths(n_features, self.n_components or default_code(n_features), self.hidden)
        mlp = MLPModule(widths, self.activation)
        decoder: nn.Module = MLPModule(widths[::-1], self.activation)  # (batch, n_components) -> (batch, n_features)
        if self.tied:
            layers: list[nn.Module] = []
            for linear in reversed(mlp.linears):
                layers += [TiedLinear(linear), ACTIVATIONS[self.activation]()]
            decoder = nn.Sequential(*layers[:-1])
        return AutoEncoder(InputEncoder(Units(), by_units(data, self.scale), mlp), decoder, bernoulli)

    def _refuse(self, kind: str, **defaults: Any) -> None:
        """An error for parameters that these data have no use for."""
        for name, default in defaults.items():
            if getattr(self, name) != default:
                raise ValueError(
                    f"{type(self).__name__}({name}={getattr(self, name)!r}) has no meaning for {kind}; leave {name} at "
                    f"{default!r}."
                )

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: the row, corrupted, and what it should become."""
        encoder: Any = module.encoder
        noise = GaussianNoise(self.noise) if isinstance(self.noise, numbers.Real) else self.noise
        check_params(noise)
        corrupts = not (isinstance(noise, GaussianNoise) and noise.sd == 0)

        def views(batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            scaled = encoder.scale(batch.x)
            clean = encoder.standardize(scaled)  # (batch, n_features) or (batch, channels, height, width)
            return noise(clean, generator) if corrupts else clean, scaled if self.loss == "bernoulli" else clean

        return views

    def shown_views(self, module: nn.Module, inputs: Tensor) -> list[Tensor]:
        """Hook: the corrupted rows."""
        encoder: Any = module.encoder
        return [encoder.show(encoder.standardize.inverse(inputs))]

    def objective(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Hook: the reconstruction error."""
        return bernoulli_cross_entropy(outputs, target) if self.loss == "bernoulli" else squared_error(outputs, target)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows rebuilt from features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Features, as ``transform`` gives them.

        Returns
        -------
        ndarray of shape (n_samples, n_features) or (n_samples, height, width, channels), float32
            In the units of the data.
        """
        codes = self._read_features(X, "codes")
        decoder = _Decoder(self.net_.module_)
        rows = ENCODED_IMAGES if hasattr(self, "image_shape_") else ENCODED_ROWS
        return ArraySource(codes).encode(decoder, torch.device(self.net_.device), rows)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the reconstruction error, so that greater is better.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            Rows, or images (n_samples, height, width, channels).
        y : None
            Not used.

        Returns
        -------
        float
            Minus the mean over rows of the error summed over columns or pixels: the squared error in the units of the
            data, or the cross-entropy in nats for ``loss="bernoulli"``.
        """
        return -float(np.mean(self.reconstruction_error(X)))

    def reconstruction_error(self, X: Any) -> np.ndarray:
        """How badly each row is rebuilt, summed over its columns or pixels; large for rows unlike the training data.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            Rows, or images (n_samples, height, width, channels).

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Squared error in the units of the data, or cross-entropy in nats for ``loss="bernoulli"``.
        """
        codes = self.transform(X)
        encoder, errors, start = self.net_.module_.encoder, [], 0
        for chunk in self.read(X, reset=False).chunks():
            x, p = chunk, torch.from_numpy(self.inverse_transform(codes[start : start + len(chunk)]))
            if self.net_.module_.bernoulli:
                x, p = (encoder.scale(part.to(self.net_.device)).cpu().double() for part in (x.float(), p))
                p = p.clamp(1e-7, 1 - 1e-7)
                error = -(x * p.log() + (1 - x) * (1 - p).log())
            else:
                error = (x.double() - p.double()).square()
            errors.append(error.flatten(1).sum(1).numpy())  # (batch, ...) -> (batch,)
            start += len(chunk)
        return np.concatenate(errors)


class Units(nn.Identity):
    """Rows of a table are viewed in their own units."""

    def inverse(self, rows: Tensor) -> Tensor:
        return rows


class _Decoder(nn.Module):
    """Runs the decoder alone."""

    def __init__(self, module: AutoEncoder):
        super().__init__()
        self.module = module

    def forward(self, code: Tensor) -> Tensor:
        return self.module.decode(code)
