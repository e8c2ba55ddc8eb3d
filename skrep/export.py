"""The network of a fitted encoder as an ONNX file (https://onnx.ai), which other languages and machines can run."""

import copy
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skrep._version import __version__
from skrep.base import Encoder
from skrep.persistence import replacing

__all__ = ["export_onnx"]

# The most that one file of protocol buffers holds is 2 GiB; the difference is room for the graph.
MAX_WEIGHT_BYTES = 2_000_000_000


def export_onnx(encoder: Encoder, path: str | os.PathLike) -> None:
    """Write what ``encoder.transform`` computes as an ONNX file, weights and scaling included.

    The file has one input, "X", float32 of shape (n_samples, n_features) or (n_samples, height, width, channels), in
    the units of the data that were fitted (pixels of uint8 images go from 0 to 255), and one output, "features",
    float32 of shape (n_samples, n_features_out). Any number of rows may be passed.

    Parameters
    ----------
    encoder : Encoder
        A fitted network, such as :class:`SimCLRTransformer`, :class:`AutoEncoderTransformer`, :class:`RandomEncoder`
        or a subclass of :class:`TorchTransformer`. It is not changed.
    path : path-like
        The file to write or replace, all of it or nothing.

    Raises
    ------
    TypeError
        If `encoder` is anything else, such as a Pipeline or an estimator of scikit-learn.
    sklearn.exceptions.NotFittedError
        Before ``fit``.
    ImportError
        Without the packages of the extra ``skrep[onnx]``.
    ValueError
        If the network is a user's own and does what ONNX cannot say, or has 2 GB of weights or more.

    Notes
    -----
    The features agree with those of ``transform`` up to the rounding of float32, about 1e-6 of their size. What
    ``transform`` checks of `X` (NaN, infinity, names of columns) is not in the file.

    All networks of this package can be written. A user's own module is followed once, on two rows of zeros, by
    :func:`torch.export.export`: its ``forward`` must be made of torch operations that ONNX has, keep no state from call
    to call, and ask for the number of rows as ``x.shape[0]``, not ``len(x)``. The file holds the operators of opset 20,
    for onnxruntime 1.18 or later.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skrep import SimCLRTransformer, export_onnx
    >>> X, _ = load_digits(return_X_y=True)
    >>> encoder = SimCLRTransformer(max_epochs=1, random_state=0).fit(X)
    >>> export_onnx(encoder, "digits.onnx")  # doctest: +SKIP

    Where it runs, nothing else is needed:

    >>> import onnxruntime  # doctest: +SKIP
    >>> session = onnxruntime.InferenceSession("digits.onnx")  # doctest: +SKIP
    >>> (features,) = session.run(["features"], {"X": X.astype("float32")})  # doctest: +SKIP
    >>> np.allclose(features, encoder.transform(X), atol=1e-5)  # doctest: +SKIP
    True
    """
    if not isinstance(encoder, Encoder):
        raise TypeError(
            f"export_onnx takes a fitted network of skrep, such as SimCLRTransformer; got {_kind(encoder)}. Of a "
            "Pipeline pass the step that is the network, pipeline['its name']; for estimators of scikit-learn there is "
            "the package skl2onnx."
        )
    check_is_fitted(encoder)
    with replacing(path) as file:
        file.write(_onnx_bytes(encoder))


def _kind(what: Any) -> str:
    return f"the class {what.__name__}, not an instance" if isinstance(what, type) else f"a {type(what).__name__}"


def _onnx_bytes(encoder: Encoder) -> bytes:
    try:
        import onnxscript  # noqa: F401  (torch writes ONNX with it)
        from onnx_ir.passes.common import ClearMetadataAndDocStringPass
    except ImportError as error:
        raise ImportError("export_onnx needs onnx and onnxscript: pip install 'skrep[onnx]'.") from error
    name, network = type(encoder).__name__, encoder.net_.module_.encoder
    n_bytes = sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))
    if n_bytes >= MAX_WEIGHT_BYTES:
        raise ValueError(
            f"the network of this {name} has {n_bytes / 1e9:.1f} GB of weights; one ONNX file holds less than "
            f"{MAX_WEIGHT_BYTES / 1e9:.0f}. Fit one with a smaller backbone."
        )
    example = torch.zeros(2, *encoder._outline["shape"])  # sizes of 0 and 1 are taken for constants
    dynamic = ({0: torch.export.Dim("n_samples")},)
    try:
        with _without_news_of_torch():
            function = _Function(copy.deepcopy(network).cpu()).eval()
            # torch.onnx.export would do this step too, but of a network that cannot take any number of rows it writes
            # without a word what two rows need
            program = torch.export.export(function, (example,), dynamic_shapes=dynamic, strict=False)
            written: Any = torch.onnx.export(
                program,
                dynamo=True,
                dynamic_shapes=dynamic,
                input_names=["X"],
                output_names=["features"],
                verbose=False,
            )
    except Exception as error:
        raise ValueError(
            f"the network of this {name} cannot be written as ONNX: its forward must be made of torch operations that "
            "ONNX has, for any number of rows (x.shape[0], not len(x)), without branches on values and without state. "
            f"The exporter says: {_first_line(error)}"
        ) from error
    ClearMetadataAndDocStringPass()(written.model)  # it names source lines and folders of the user's
    proto = written.model_proto
    proto.producer_name, proto.producer_version = "skrep", __version__
    proto.doc_string = f"{name}.transform of skrep {__version__}: features of rows X in the units of the data."
    serialized: bytes = proto.SerializeToString()
    return serialized


class _Function(nn.Module):
    """What ``transform`` runs, as a function of rows whose weights are constants.

    The network is in a tuple, so that it is not registered as a part. Of parts the tracer keeps a stack, which breaks
    where an exception leaves one (as that with which InputEncoder stops at its `layer`), and a state that they keep
    from call to call it freezes; with constants that is an error.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self._network = (network.eval(),)

    def forward(self, X: Tensor) -> Tensor:
        features: Tensor = self._network[0](X)
        return features.float()  # (n_samples, ...) -> (n_samples, n_features_out)


@contextmanager
def _without_news_of_torch() -> Iterator[None]:
    """Keep from the user two messages of torch's exporter that are about itself."""

    def concerns_the_user(record: logging.LogRecord) -> bool:
        return "torchvision is not installed" not in record.getMessage()

    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    registration.addFilter(concerns_the_user)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            yield
    finally:
        registration.removeFilter(concerns_the_user)


def _first_line(error: BaseException) -> str:
    """Of the error that began it; those around it are torch's advice to authors of exporters."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
