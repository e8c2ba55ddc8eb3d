"""What LinearProbe and LinearProbeRegressor share: an encoder fitted on all rows, a probe on labelled ones."""

import inspect
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from sklearn import get_config
from sklearn.base import TransformerMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_method_params, check_consistent_length, check_is_fitted, check_memory

from skrep.data import report_set_aside
from skrep.evaluation.labels import take_labels
from skrep.evaluation.rows import as_sized, count_rows, followed_by, take_rows
from skrep.params import FittedParts, RowCount, SharedRows, check_params, is_fitted

__all__ = ["EncoderProbe", "HasMethods", "few_labels", "probe_has"]


class HasMethods:
    """What a parameter accepts: instances that have these methods."""

    def __init__(self, *methods: str):
        self.methods = methods

    def accepts(self, value: object) -> bool:
        return not isinstance(value, type) and all(hasattr(value, name) for name in self.methods)

    def __str__(self) -> str:
        return f"an estimator with {' and '.join(self.methods)}: an instance, not the class"


class _Rows:
    """Rows of X and unlabeled ones, as the key of a cache: their number is what is written into its folder."""

    def __init__(self, X: Any, unlabeled: Any):
        self.X, self.unlabeled = X, unlabeled

    def __repr__(self) -> str:
        return repr(RowCount(self.X))


def probe_has(name: str) -> Callable[[Any], bool]:
    """Whether the probe has a method."""

    def check(self: Any) -> bool:
        getattr(self._fitted_probe if hasattr(self, "encoder_") else self._new_probe(), name)
        return True

    return check


def _encoder_has(name: str) -> Callable[[Any], bool]:
    def check(self: Any) -> bool:
        getattr(getattr(self, "encoder_", self.encoder), name)
        return True

    return check


class EncoderProbe(SharedRows, FittedParts, TransformerMixin):
    """An estimator with an encoder, fitted on all rows, and a probe, fitted on features of the labelled ones."""

    encoder: Any
    unlabeled: Any
    memory: Any

    _part = ""  # the parameter that holds the probe
    _not_saved = ("unlabeled", "memory")  # skrep.save leaves them out

    @property
    def n_features_in_(self) -> int:
        """Number of columns that the encoder has seen, for tables."""
        n_features: int = self._of_encoder("n_features_in_")
        return n_features

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the columns that the encoder has seen, if they had any."""
        names: np.ndarray = self._of_encoder("feature_names_in_")
        return names

    def _of_encoder(self, name: str) -> Any:
        if "encoder_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no {name} before fit.")
        return getattr(self.encoder_, name)

    # --- fit ------------------------------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, metadata: dict[str, Any]) -> Self:
        check_params(self)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        X = as_sized(X)
        check_consistent_length(X, y)
        rows = self._labelled(y)
        positions = np.flatnonzero(rows)
        if not len(positions):
            raise ValueError(f"none of the {len(rows)} rows in y has a label: {self._needed}.")
        labels = self._checked(take_labels(y, positions))
        to_encoder, to_probe = self._routed(X, positions, metadata)
        report_set_aside(rows, type(self).__name__)
        encoder = self._trained_encoder(X, to_encoder)
        features = _features(encoder, take_rows(X, positions))
        probe = clone(self._new_probe())
        with few_labels():
            probe.fit(features, labels, **to_probe)
        self.encoder_ = encoder
        setattr(self, f"{self._part}_", probe)
        return self

    def _trained_encoder(self, X: Any, metadata: dict[str, Any]) -> Any:
        if isinstance(self.encoder, FrozenEstimator):
            check_is_fitted(self.encoder)
        if is_fitted(self.encoder):
            return self.encoder
        if metadata and self.unlabeled is not None:
            raise ValueError(
                f"the encoder's fit requests {', '.join(sorted(metadata))}, of which X has one value a row "
                "and `unlabeled` has none. Append its rows to X, with NaN or None in y."
            )
        memory = os.fspath(self.memory) if isinstance(self.memory, os.PathLike) else self.memory
        fit = check_memory(memory).cache(_fit_encoder)
        return fit(clone(self.encoder), _Rows(X, self.unlabeled), metadata)

    def _new_probe(self) -> Any:
        """What is cloned to be fitted."""
        given = getattr(self, self._part)
        if given is not None:
            return given
        probe = self._default()
        if get_config()["enable_metadata_routing"]:
            probe[-1].set_fit_request(sample_weight=True)
        return probe

    def _default(self) -> Pipeline:
        raise NotImplementedError

    @property
    def _fitted_probe(self) -> Any:
        return getattr(self, f"{self._part}_")

    # each class has its own
    _needed = ""

    def _labelled(self, y: Any) -> np.ndarray:
        raise NotImplementedError

    def _checked(self, labels: Any) -> Any:
        raise NotImplementedError

    # --- metadata -------------------------------------------------------------------------------------------------

    def get_metadata_routing(self) -> MetadataRouter:
        """Where metadata go: those of ``fit`` to the ``fit`` of the encoder and of the probe.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
        """
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(method_mapping=to_fit, **{"encoder": self.encoder, self._part: self._new_probe()})

    def _routed(self, X: Any, positions: np.ndarray, metadata: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the fits of the encoder and of the probe get."""
        metadata = {name: value for name, value in metadata.items() if value is not None}
        if "sample_weight" in metadata:
            check_consistent_length(X, metadata["sample_weight"])
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", **metadata)
            to_encoder, to_probe = routed["encoder"]["fit"], routed[self._part]["fit"]
        else:
            for name in metadata.keys() - {"sample_weight"}:
                raise TypeError(
                    f"{type(self).__name__}.fit() got an unexpected keyword argument {name!r}. It takes sample_weight; "
                    "other metadata need sklearn.set_config(enable_metadata_routing=True)."
                )
            to_encoder, to_probe = {}, {self._weight_name(): weight for weight in metadata.values()}
        return to_encoder, _check_method_params(X, to_probe, indices=positions)

    def _weight_name(self) -> str:
        """Under which name the probe's fit takes weights."""
        step, name = self._new_probe(), "sample_weight"
        while isinstance(step, Pipeline):
            name, step = f"{step.steps[-1][0]}__{name}", step.steps[-1][1]
        taken = inspect.signature(step.fit).parameters.values()
        if not any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in taken):
            raise ValueError(
                f"{type(self).__name__}.fit got sample_weight, which {type(step).__name__}.fit does not take. Leave it "
                f"out, or pass another {self._part}."
            )
        return name

    # --- use ------------------------------------------------------------------------------------------------------

    def transform(self, X: Any) -> Any:
        """Features of the encoder.

        Parameters
        ----------
        X : array-like, sparse matrix, or iterable of length n_samples
            Rows as the encoder takes them.

        Returns
        -------
        array-like or sparse matrix of shape (n_samples, n_features_out)
            What the encoder's ``transform`` returns.
        """
        check_is_fitted(self)
        return self.encoder_.transform(X)

    @available_if(_encoder_has("get_feature_names_out"))
    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the features that ``transform`` returns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns.

        Returns
        -------
        ndarray of str
            Those of the encoder.
        """
        check_is_fitted(self)
        names: np.ndarray = self.encoder_.get_feature_names_out(input_features)
        return names

    def predict(self, X: Any) -> np.ndarray:
        """What the probe predicts from the encoder's features.

        Parameters
        ----------
        X : array-like, sparse matrix, or iterable of length n_samples
            Rows as the encoder takes them.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        predicted: np.ndarray = self._ask("predict", X)
        return predicted

    def _ask(self, method: str, X: Any) -> Any:
        check_is_fitted(self)
        return getattr(self._fitted_probe, method)(_features(self.encoder_, as_sized(X)))

    # --- as an estimator ------------------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        encoder, probe = self.encoder, self._new_probe()
        if hasattr(encoder, "__sklearn_tags__") and not isinstance(encoder, type):
            found = get_tags(encoder)
            tags.input_tags, tags.transformer_tags = found.input_tags, found.transformer_tags
            tags.non_deterministic = found.non_deterministic
        if hasattr(probe, "__sklearn_tags__") and not isinstance(probe, type):
            found = get_tags(probe)
            tags.target_tags.multi_output = found.target_tags.multi_output
            if found.estimator_type == tags.estimator_type:
                tags.classifier_tags, tags.regressor_tags = found.classifier_tags, found.regressor_tags
        return tags


@contextmanager
def few_labels() -> Iterator[None]:
    """Silence scikit-learn's warning about nearly as many classes as labels: a probe may well get one label a class."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%", UserWarning)
        yield


def _fit_encoder(encoder: Any, rows: _Rows, metadata: dict[str, Any]) -> Any:
    """Fit an encoder; what `memory` caches."""
    X = rows.X if rows.unlabeled is None else followed_by(rows.X, rows.unlabeled)
    return encoder.fit(X, **metadata)


def _features(encoder: Any, X: Any) -> Any:
    """Features for the probe: an array or a sparse matrix, whatever the encoder's output is set to."""
    features = encoder.transform(X)
    if hasattr(features, "to_numpy"):
        features = features.to_numpy()
    elif hasattr(features, "detach"):
        features = features.detach().cpu().numpy()
    shape = np.shape(features)
    if len(shape) != 2 or shape[0] != count_rows(X):
        raise ValueError(
            f"{type(encoder).__name__}.transform returned features of shape {shape} for {count_rows(X)} rows; a probe "
            "needs one vector a row, (n_samples, n_features). Flatten or pool them in the encoder."
        )
    return features
