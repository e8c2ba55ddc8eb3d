"""The autoencoder: a code from which the row can be rebuilt (Hinton & Salakhutdinov 2006, Science 313)."""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skrep.backbones import ACTIVATIONS, MLP, Standardize, TiedLinear, default_widths
from skrep.base import TorchTransformer, Views
from skrep.data import ArraySource, Batch, Source
from skrep.engine import encode
from skrep.objectives import bernoulli_cross_entropy, squared_error
from skrep.params import Integer, Real, SequenceOf, check_params, param, params
from skrep.views import GaussianNoise, MaskingNoise

__all__ = ["AutoEncoderTransformer"]


class AutoEncoder(nn.Module):
    """An encoder from rows to codes, and a decoder back to scaled rows (or to logits)."""

    def __init__(self, standardize: Standardize, widths: Sequence[int], activation: str, tied: bool, bernoulli: bool):
        super().__init__()
        mlp = MLP(widths, activation)
        self.encoder = nn.Sequential(standardize, mlp)  # (batch, n_features) -> (batch, n_components)
        self.decoder: nn.Module = MLP(widths[::-1], activation)  # (batch, n_components) -> (batch, n_features)
        if tied:
            layers: list[nn.Module] = []
            for linear in reversed(mlp.linears):
                layers += [TiedLinear(linear), ACTIVATIONS[activation]()]
            self.decoder = nn.Sequential(*layers[:-1])
        self.bernoulli = bernoulli

    def extra_repr(self) -> str:
        return f"bernoulli={self.bernoulli}"

    def forward(self, x: Tensor) -> Tensor:
        rows: Tensor = self.decoder(self.encoder(x))
        return rows

    def decode(self, code: Tensor) -> Tensor:
        """From codes to rows in the units of the data."""
        rows: Tensor = self.decoder(code)
        standardize: Any = self.encoder[0]
        scaled: Tensor = rows.sigmoid() if self.bernoulli else standardize.inverse(rows)
        return scaled


@params
class AutoEncoderTransformer(TorchTransformer):
    """A multilayer perceptron that compresses each row to a code and rebuilds the row from it.

    It is a denoising autoencoder (Vincent et al. 2010): in training it sees a corrupted row and rebuilds the clean one,
    for which it must learn how columns hang together. With ``noise=0`` it is the plain one; without hidden layers
    either, its code spans the subspace of the first principal components (Baldi & Hornik 1989).

    Columns are centred, and all divided by one common scale, inside the network; columns in different units are better
    standardised one by one beforehand, as for PCA.

    Parameters
    ----------
    n_components : int or None, default=None
        Width of the code: the number of features. None takes half of the columns, 2 to 64.
    hidden : sequence of int or None, default=None
        Units of the encoder's hidden layers, the decoder's mirrored. ``()`` is a linear autoencoder; None takes two
        layers of up to 512 and 256 units.
    activation : {"gelu", "relu", "sigmoid", "silu", "tanh"}, default="gelu"
        Between layers; the code itself is linear.
    noise : float, GaussianNoise or MaskingNoise, default=0.5
        Corruption of the input in training. A number is the standard deviation of Gaussian noise in units of the data's
        own. Noise makes better features, no noise (0) the better compression.
    tied : bool, default=False
        Whether the decoder's weights are the encoder's, transposed.
    loss : {"mse", "bernoulli"}, default="mse"
        "mse" is the squared error; "bernoulli" the cross-entropy of values in [0, 1], such as pixels or binary columns.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained network, ``net_.module_``, with ``encoder`` and ``decoder``.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", and "valid_loss" with `validation_fraction`. With "mse" the
        loss is the part of the data's variance that is not rebuilt; with "bernoulli" it is nats per column.
    n_epochs_ : int
        Number of epochs trained.
    resumed_from_ : tuple of (int, int) or None
        Epochs and batches that a checkpoint had done.
    n_features_out_ : int
        Number of features.
    n_features_in_ : int
        Number of columns seen in ``fit``.

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
    noise: Any = param(Real(low=0), GaussianNoise, MaskingNoise, default=0.5)
    tied: bool = param(bool, default=False)
    loss: str = param("mse", "bernoulli", default="mse")

    def make_module(self, data: Source) -> nn.Module:
        """Hook: encoder and decoder."""
        if self.loss == "bernoulli":
            self._require_unit_interval(data)
        widths = default_widths(data.shape[0], self.n_components, self.hidden)
        return AutoEncoder(Standardize(*data.moments()), widths, self.activation, self.tied, self.loss == "bernoulli")

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: the row, corrupted, and what it should become."""
        standardize: Any = module.encoder[0]  # type: ignore[index]
        noise = GaussianNoise(self.noise) if isinstance(self.noise, numbers.Real) else self.noise
        check_params(noise)
        corrupts = not (isinstance(noise, GaussianNoise) and noise.sd == 0)

        def views(batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            scaled = standardize(batch.x)  # (batch, n_features)
            inputs = standardize.inverse(noise(scaled, generator)) if corrupts else batch.x
            return inputs, batch.x if self.loss == "bernoulli" else scaled

        return views

    def objective(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Hook: the reconstruction error."""
        return bernoulli_cross_entropy(outputs, target) if self.loss == "bernoulli" else squared_error(outputs, target)

    def _require_unit_interval(self, data: Source) -> None:
        low = min(float(chunk.min()) for chunk in data.chunks())
        high = max(float(chunk.max()) for chunk in data.chunks())
        if low < 0 or high > 1:
            raise ValueError(
                f"loss='bernoulli' needs values in [0, 1]; X goes from {low:.4g} to {high:.4g}. "
                "Rescale it (sklearn.preprocessing.MinMaxScaler), or use loss='mse'."
            )

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows rebuilt from features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Features, as ``transform`` gives them.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32
            In the units of the data.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float32, order="C", copy=True)
        if codes.shape[1] != self.n_features_out_:
            raise ValueError(
                f"X has {codes.shape[1]} columns, but the codes of this {type(self).__name__} have "
                f"{self.n_features_out_}."
            )
        decoder = _Decoder(self.net_.module_)
        return encode(decoder, ArraySource(codes), torch.device(self.net_.device), self._chunk_rows)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the reconstruction error, so that greater is better.

        Parameters
        ----------
        X : array-like, DataFrame, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            Rows.
        y : None
            Not used.

        Returns
        -------
        float
            Minus the mean over rows of the error summed over columns: the squared error in the units of the data, or
            the cross-entropy in nats for ``loss="bernoulli"``.
        """
        return -float(np.mean(self.reconstruction_error(X)))

    def reconstruction_error(self, X: Any) -> np.ndarray:
        """How badly each row is rebuilt, summed over its columns; large for rows unlike the training data.

        Parameters
        ----------
        X : array-like, DataFrame, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Squared error in the units of the data, or cross-entropy in nats for ``loss="bernoulli"``.
        """
        rebuilt = self.inverse_transform(self.transform(X))
        errors, start = [], 0
        for chunk in self._read(X, reset=False).chunks():
            x = chunk.double()
            p = torch.from_numpy(rebuilt[start : start + len(x)]).double()
            if self.net_.module_.bernoulli:
                p = p.clamp(1e-7, 1 - 1e-7)
                error = -(x * p.log() + (1 - x) * (1 - p).log())
            else:
                error = (x - p).square()
            errors.append(error.sum(1).numpy())
            start += len(x)
        return np.concatenate(errors)


class _Decoder(nn.Module):
    """Runs the decoder alone."""

    def __init__(self, module: AutoEncoder):
        super().__init__()
        self.module = module

    def forward(self, code: Tensor) -> Tensor:
        return self.module.decode(code)
