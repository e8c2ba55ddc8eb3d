"""Independent components of white signals: FastICA's fixed points, Picard, and the order of what they find."""

import importlib
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.integrate import quad
from scipy.stats import norm

__all__ = [
    "CONTRASTS",
    "Contrast",
    "Cube",
    "Exp",
    "LogCosh",
    "as_float64",
    "as_signals",
    "by_negentropy",
    "deflation",
    "gaussian_mean",
    "like",
    "mean_product",
    "parallel",
    "picard",
]

# A skewness closer to zero than this does not decide a sign.
LEAST_SKEWNESS = 1e-3

# Signals are arrays, or tensors on the device. Matrices of n_components rows are float64 in NumPy.


def as_signals(tensor: torch.Tensor) -> Any:
    """An array if it is on the CPU, where NumPy's tanh is several times as fast as torch's."""
    return tensor.numpy() if tensor.device.type == "cpu" else tensor


def as_float64(array: Any) -> np.ndarray:
    """As float64 in NumPy."""
    return np.asarray(array.cpu() if isinstance(array, torch.Tensor) else array, dtype=np.float64)


def like(small: np.ndarray, big: Any) -> Any:
    """A small matrix in the type, and on the device, of a big one."""
    if isinstance(big, torch.Tensor):
        return torch.from_numpy(small).to(big)
    converted: np.ndarray = small.astype(big.dtype, copy=False)
    return converted


def _library(array: Any) -> Any:
    return torch if isinstance(array, torch.Tensor) else np


def mean_product(a: Any, b: Any) -> np.ndarray:
    """The mean over each row of a * b."""
    sums = as_float64(_library(a).einsum("ij,ij->i", a, b))
    return sums / float(a.shape[1])


class Contrast:
    """A function G whose expectation tells a source from a Gaussian variable, and its derivative g."""

    density = ""  # its name in picard.densities

    def g(self, y: Any) -> tuple[Any, np.ndarray]:
        """Values of g at y (n_components, n_samples), which may be overwritten, and the mean of g' in each row."""
        raise NotImplementedError

    def G(self, y: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class LogCosh(Contrast):
    """G(y) = log cosh(alpha y) / alpha, g(y) = tanh(alpha y)."""

    density = "Tanh"

    def __init__(self, alpha: float):
        self.alpha = alpha

    def g(self, y: Any) -> tuple[Any, np.ndarray]:
        y *= self.alpha
        g = _library(y).tanh(y, out=y)
        return g, self.alpha * (1 - mean_product(g, g))

    def G(self, y: np.ndarray) -> np.ndarray:
        size = np.abs(self.alpha * y)
        log_cosh: np.ndarray = size + np.log(1 + np.exp(-2 * size)) - math.log(2)
        return log_cosh / self.alpha


class Exp(Contrast):
    """G(y) = -exp(-y² / 2), g(y) = y exp(-y² / 2)."""

    density = "Exp"

    def g(self, y: Any) -> tuple[Any, np.ndarray]:
        bell = _library(y).exp(-y * y / 2)
        g = y * bell
        return g, as_float64(bell.mean(1)) - mean_product(g, y)

    def G(self, y: np.ndarray) -> np.ndarray:
        bell: np.ndarray = np.exp(-y * y / 2)
        return -bell


class Cube(Contrast):
    """G(y) = y⁴ / 4, g(y) = y³."""

    density = "Cube"

    def g(self, y: Any) -> tuple[Any, np.ndarray]:
        return y * y * y, 3 * mean_product(y, y)

    def G(self, y: np.ndarray) -> np.ndarray:
        fourth: np.ndarray = y * y * y * y
        return fourth / 4


CONTRASTS = {"exp": Exp, "cube": Cube}


def _orthogonal(W: np.ndarray) -> np.ndarray:
    """The orthogonal matrix nearest to W: (W Wᵀ)^(-1/2) W."""
    values, vectors = np.linalg.eigh(W @ W.T)
    if values[0] > 1e-12 * values[-1]:
        nearest: np.ndarray = (vectors / np.sqrt(values)) @ vectors.T @ W
    else:  # the square has lost what is small
        left, _, right = np.linalg.svd(W)
        nearest = left @ right
    return nearest


def _step(signals: Any, W: np.ndarray, contrast: Contrast, buffer: Any) -> np.ndarray:
    """One fixed-point step: E[g(y) xᵀ] - E[g'(y)] W for y = W x (Hyvärinen 1999, equation 20)."""
    y = _library(signals).matmul(like(W, signals), signals, out=buffer)
    g, slope = contrast.g(y)
    stepped: np.ndarray = as_float64(g @ signals.T) / signals.shape[1] - slope[:, None] * W
    return stepped


def parallel(
    signals: Any, W: np.ndarray, contrast: Contrast, max_iter: int, tol: float
) -> tuple[np.ndarray, int, float]:
    """All components at once: W, iterations, the last change (NaN if there is no going on)."""
    W, buffer = _orthogonal(W), _library(signals).empty_like(signals)
    for n_iter in range(1, max_iter + 1):
        stepped = _step(signals, W, contrast, buffer)
        if not np.isfinite(stepped).all():
            return W, n_iter, math.nan
        before, W = W, _orthogonal(stepped)
        change = float(np.abs(np.abs(mean_product(W, before)) * len(W) - 1).max())
        if change < tol:
            break
    return W, n_iter, change


def deflation(
    signals: Any, W: np.ndarray, contrast: Contrast, max_iter: int, tol: float
) -> tuple[np.ndarray, int, float]:
    """One component after the other: W, most iterations and largest last change of any."""
    buffer = _library(signals).empty_like(signals[:1])
    found, counts, changes = np.zeros_like(W), [], []
    for j, w in enumerate(W):
        w = w / np.linalg.norm(w)
        for n_iter in range(1, max_iter + 1):  # noqa: B007
            before, w = w, _step(signals, w[None], contrast, buffer)[0]
            w = w - found[:j].T @ (found[:j] @ w)
            w = w / np.linalg.norm(w)
            change = abs(abs(w @ before) - 1)
            if not change >= tol:
                break
        found[j] = w
        counts.append(n_iter)
        changes.append(change)
    return found, max(counts), float(np.max(changes))


def picard(
    signals: np.ndarray, W: np.ndarray, contrast: Contrast, max_iter: int, tol: float
) -> tuple[np.ndarray, int, str]:
    """W, iterations, and what picard says if it did not converge."""
    try:
        package, densities = (importlib.import_module(name) for name in ("picard", "picard.densities"))
    except ImportError:
        raise ImportError('FastICAEncoder(solver="picard") needs python-picard: pip install python-picard') from None
    density, parameters = getattr(densities, contrast.density), vars(contrast)
    settings = {"ortho": True, "whiten": False, "centering": False, "check_fun": False}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, W, _, n_iter = package.picard(
            signals,
            density(parameters) if parameters else density(),
            w_init=_orthogonal(W),
            max_iter=max_iter,
            tol=tol,
            return_n_iter=True,
            **settings,
        )
    trouble = [str(warning.message) for warning in caught if "did not converge" in str(warning.message)]
    return _orthogonal(W), int(n_iter), "".join(trouble)


def gaussian_mean(G: Callable[[Any], Any]) -> float:
    """E[G(ν)] of a standard normal ν: 0.3746 for log cosh, -1/√2 for "exp", 3/4 for "cube"."""
    return float(quad(lambda v: G(v) * norm.pdf(v), -12, 12, epsabs=1e-12)[0])


def by_negentropy(sources: np.ndarray, weights: np.ndarray, contrast: Contrast) -> tuple[np.ndarray, np.ndarray]:
    """The order of the components by decreasing negentropy, and the signs of the components in that order."""
    gaussian = gaussian_mean(contrast.G)
    negentropy, signs = np.empty(len(sources)), np.empty(len(sources))
    for j, source in enumerate(sources):
        y = source - source.mean()
        y /= max(y.std(), np.finfo(np.float64).tiny)
        negentropy[j] = (contrast.G(y).mean() - gaussian) ** 2
        skewness = (y * y * y).mean()
        decides = skewness if abs(skewness) > LEAST_SKEWNESS else weights[j, np.abs(weights[j]).argmax()]
        signs[j] = -1 if decides < 0 else 1
    order = np.argsort(-negentropy, kind="stable")
    return order, signs[order]
