"""One short fit of every estimator on every modality that it reads, and what identifies the numbers that come out."""

import hashlib
import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy
import sklearn
import torch
from sklearn.base import BaseEstimator
from torch import nn

import skrep
from skrep import (
    AutoEncoderTransformer,
    FineTuneClassifier,
    MaskedLMTransformer,
    MoCoTransformer,
    RandomEncoder,
    RBMEncoder,
    SimCLRTransformer,
    Word2VecTransformer,
)
from skrep.backbones import ConvNet, ResNet, Transformer
from skrep.patches import ImagePatches
from skrep.text import WordVectors
from tests.estimators import ESTIMATORS, TAKES_IMAGES, quick

HERE = Path(__file__).parent


def rows() -> np.ndarray:
    """120 rows of 9 columns that mix four independent sources, float32."""
    rng = np.random.default_rng(0)
    return (rng.laplace(size=(120, 4)) @ rng.normal(size=(4, 9)) + 0.1 * rng.normal(size=(120, 9))).astype(np.float32)


def images() -> np.ndarray:
    """60 colour images of 9x10 pixels, uint8."""
    coarse = np.random.default_rng(0).integers(0, 256, size=(60, 3, 4, 3), dtype=np.uint8)
    return coarse.repeat(3, axis=1).repeat(3, axis=2)[:, :, :10]


def texts() -> list[str]:
    """80 texts of up to 24 words, of which few are frequent."""
    rng = np.random.default_rng(0)
    return [" ".join(f"w{word}" for word in rng.geometric(0.1, size=rng.integers(2, 25))) for _ in range(80)]


def classes(X: Any) -> np.ndarray:
    return np.arange(len(X)) % 3


def language(**options: Any) -> MaskedLMTransformer:
    small = Transformer(n_layers=2, n_heads=2, dropout=0.1)
    given = {"backbone": small, "max_length": 16, "max_epochs": 2, "batch_size": 16, "random_state": 0} | options
    return MaskedLMTransformer(8, **given)


def words(**options: Any) -> Word2VecTransformer:
    return Word2VecTransformer(8, **{"max_epochs": 2, "min_count": 2, "random_state": 0, "n_jobs": 1} | options)


def fine_tuned(encoder: Any, **options: Any) -> FineTuneClassifier:
    return FineTuneClassifier(encoder, **{"max_epochs": 2, "batch_size": 16, "random_state": 0} | options)


# Where a gradient is zero but for rounding (a bias ahead of a batch norm), Adam makes a whole step of it, and other
# processors round differently.
PLAIN_STEPS = {"optimizer": "sgd", "lr": 0.01}


def _cases() -> dict[str, Callable[[], tuple[Any, Any]]]:
    made: dict[str, Callable[[], tuple[Any, Any]]] = {}
    contrastive = (MoCoTransformer, SimCLRTransformer)
    for name, cls in ESTIMATORS.items():
        steps = PLAIN_STEPS if cls in contrastive else {}
        made[f"{name}-table"] = lambda cls=cls, steps=steps: (quick(cls, n_components=3, **steps), rows())
        if cls in TAKES_IMAGES.values():
            images_too = {"n_components": 3, "hidden": None} | PLAIN_STEPS
            made[f"{name}-images"] = lambda cls=cls, options=images_too: (quick(cls, **options), images())

    def add(name: str, make: Callable[[], Any], X: Callable[[], Any]) -> None:
        made[name] = lambda: (make(), X())

    add("PatchEncoder-images", lambda: quick(skrep.PatchEncoder, n_components=4), images)
    add("MaskedLMTransformer-texts", language, texts)
    add("Word2VecTransformer-texts", words, texts)
    small = {"hidden": (8,), "max_epochs": 1, "random_state": 0}
    add("FineTuneClassifier-table", lambda: fine_tuned(AutoEncoderTransformer(3, **small)), rows)
    tiny = {"backbone": ConvNet(2), "max_epochs": 1, "random_state": 0} | PLAIN_STEPS
    add("FineTuneClassifier-images", lambda: fine_tuned(SimCLRTransformer(3, **tiny), **PLAIN_STEPS), images)
    add("FineTuneClassifier-texts", lambda: fine_tuned(language(max_epochs=1)), texts)

    # one fit of each way through a method that its defaults do not take
    short = {"max_epochs": 2, "random_state": 0}
    validated = {"validation_fraction": 0.2, "early_stopping": 3, "batch_size": 16, "lr_schedule": "constant"}
    auto = AutoEncoderTransformer
    add("AutoEncoderTransformer-tied", lambda: auto(3, hidden=(8,), tied=True, noise=0.0, **short), rows)
    add("AutoEncoderTransformer-bernoulli", lambda: auto(3, hidden=(8,), loss="bernoulli", **short),
        lambda: rows() > 0)  # fmt: skip
    add("AutoEncoderTransformer-validated", lambda: auto(3, hidden=(8,), optimizer="sgd", **short, **validated), rows)
    add("RandomEncoder-like", lambda: RandomEncoder(like=SimCLRTransformer(3, ConvNet(2)), random_state=0), images)
    for dictionary in ("memory_bank", "end_to_end"):
        options = {"dictionary": dictionary} | short | PLAIN_STEPS
        add(f"MoCoTransformer-{dictionary}", lambda o=options: MoCoTransformer(3, ConvNet(2), **o), images)
    add(
        "SimCLRTransformer-resnet",
        lambda: SimCLRTransformer(3, ResNet(), max_epochs=1, random_state=0, optimizer="sgd", lr=1e-4),
        images,
    )
    for options in ({"persistent": False}, {"visible": "gaussian"}):
        (name,) = options
        add(f"RBMEncoder-{name}", lambda o=options: RBMEncoder(3, **o, **short), rows)
    for options in ({"algorithm": "omp"}, {"algorithm": "threshold"}, {"learning": "batch"}, {"learning": "online"},
                    {"positive": True, "positive_dict": True}):  # fmt: skip
        name = "-".join(str(value) for value in options.values())
        add(f"SparseCoder-{name}", lambda o=options: skrep.SparseCoder(6, **o, max_iter=5, random_state=0), rows)
    for solver in ("covariance_eigh", "randomized"):
        add(f"PCAEncoder-{solver}", lambda s=solver: skrep.PCAEncoder(3, svd_solver=s, random_state=0), rows)
    add("PCAEncoder-whiten", lambda: skrep.PCAEncoder(3, whiten=True), rows)
    add("FastICAEncoder-deflation", lambda: skrep.FastICAEncoder(3, algorithm="deflation", random_state=0), rows)
    add("PatchEncoder-omp1",
        lambda: skrep.PatchEncoder(skrep.SparseCoder(8, algorithm="threshold", learning="omp1", max_iter=3),
                                   patches=ImagePatches(4, n_patches=300), random_state=0), images)  # fmt: skip
    for options in ({"algorithm": "cbow"}, {"loss": "hierarchical_softmax"}, {"subwords": (3, 4), "n_buckets": 64}):
        name = next(iter(options.values()))
        add(f"Word2VecTransformer-{name}", lambda o=options: words(**o), texts)
    for options in ({"masking": "static"}, {"next_sentence": True}, {"embeddings": "random", "layer": "all"},
                    {"whole_words": True, "pooling": "max"}):  # fmt: skip
        name = next(iter(options))
        add(f"MaskedLMTransformer-{name}", lambda o=options: language(**o), texts)
    return made


CASES = _cases()


def machine() -> str:
    """What bits depend on besides the seed: the processor and the libraries that compute on it."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        named = [line for line in information.read_text().splitlines() if line.startswith(("model name", "flags"))][:2]
        processor = f"{named[0].split(': ')[1]} {hashlib.sha256(named[1].encode()).hexdigest()[:8]}" if named else ""
    libraries = {m.__name__: m.__version__ for m in (np, scipy, sklearn, numba)} | {"torch": torch.__version__}
    blas = np.show_config("dicts")["Build Dependencies"]["blas"]
    parts = [processor, torch.backends.cpu.get_cpu_capability(), f"{blas['name']} {blas['version']}"]
    return ", ".join([*parts, *(f"{name} {version}" for name, version in libraries.items())])


def tensors(fitted: Any) -> Iterator[np.ndarray]:
    """Every array that was learned, of parts too; under whatever names."""
    if isinstance(fitted, np.ndarray):
        yield fitted
    elif isinstance(fitted, torch.Tensor):
        yield fitted.detach().cpu().numpy()
    elif isinstance(fitted, nn.Module):
        yield from (tensor.detach().cpu().numpy() for tensor in fitted.state_dict().values())
    elif isinstance(fitted, WordVectors):
        yield fitted.vectors
    elif isinstance(fitted, (list, tuple)):
        for part in fitted:
            yield from tensors(part)
    elif isinstance(fitted, BaseEstimator):
        for name, value in vars(fitted).items():
            if name == "net_":
                yield from tensors(value.module_)
            elif name.endswith("_") and not name.startswith("_"):
                yield from tensors(value)


def digest(array: np.ndarray) -> str:
    array = np.ascontiguousarray(array)
    return hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode() + array.tobytes()).hexdigest()


def results(case: str) -> dict[str, Any]:
    """Fit a case; its features, the norms of its weights, and the sha256 of both."""
    estimator, X = CASES[case]()
    estimator.fit(X, classes(X))
    features = estimator.transform(X)
    learned = [array for array in tensors(estimator) if array.dtype.kind in "fiub"]
    weights = hashlib.sha256("".join(sorted(digest(array) for array in learned)).encode()).hexdigest()
    # sorted, so that a weight may be renamed or moved
    norms = sorted([*array.shape, float(np.linalg.norm(array.astype(np.float64).ravel()))] for array in learned)
    return {"sha256": {"weights": weights, "features": digest(features)}, "norms": norms, "features": features}


def close(values: Any, recorded: Any) -> None:
    """Equal to 1e-5 of the largest value."""
    largest = np.abs(recorded).max(where=np.isfinite(recorded), initial=0)  # a limit may be infinite
    np.testing.assert_allclose(values, recorded, rtol=1e-5, atol=1e-5 * largest)


def expected() -> dict[str, Any]:
    return json.loads((HERE / "expected.json").read_text())
