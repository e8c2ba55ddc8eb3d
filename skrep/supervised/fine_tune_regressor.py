"""Fine-tuning on quantities: a network trained without labels learns to predict numbers, in all layers."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skrep.base import Views
from skrep.data import Batch, Source, as_targets, labelled_rows, read_quantities
from skrep.engine import Recipe
from skrep.objectives import squared_error
from skrep.params import params
from skrep.supervised.fine_tuning import FineTuning

__all__ = ["FineTuneRegressor"]


@params
class FineTuneRegressor(RegressorMixin, FineTuning):
    """A regressor that begins with a fitted encoder and trains all of its layers.

    A linear layer is put on a copy of the encoder's network, and both are trained to predict quantities, by squared
    error. Beside a ``Ridge`` on features that stay as they are (the probe), this is the other use of a network that was
    trained without labels: it needs more labels and time, and gets further.

    Targets are standardised inside, by the mean and standard deviation of the rows trained on, so their unit does not
    matter. Rows whose target is NaN or None are set aside; an encoder that is not fitted yet is fitted on all rows.

    Attributes
    ----------
    n_outputs_ : int
        Number of quantities.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", and "valid_loss" with `validation_fraction`: mean squared error
        of standardised targets, where 1 is the error of their mean.

    See Also
    --------
    FineTuneClassifier : The same for classes.
    AutoEncoderTransformer : An encoder of tables and images.
    MaskedLMTransformer : An encoder of texts.

    References
    ----------
    Howard & Ruder (2018), Universal language model fine-tuning for text classification, arXiv:1801.06146.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skrep import AutoEncoderTransformer, FineTuneRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> encoder = AutoEncoderTransformer(8, max_epochs=5, random_state=0).fit(X)
    >>> regressor = FineTuneRegressor(encoder, max_epochs=20, random_state=0).fit(X[:300], y[:300])
    >>> regressor.score(X[300:], y[300:]) > 0.4
    True
    """

    # --- hooks ----------------------------------------------------------------------------------------------------

    @property
    def recipe(self) -> Recipe:  # type: ignore[override]
        """Declared hook: behind tables and images twice the rate of a classifier; see docs/defaults.md."""
        recipe = super().recipe
        if "texts" in self.reads:
            return recipe
        return replace(recipe, lr={optimizer: 2 * lr for optimizer, lr in recipe.lr.items()})

    def make_module(self, data: Source) -> nn.Module:
        """Hook: the encoder's network, a linear layer, and the scale of the targets."""
        module = super().make_module(data)
        mean, scale = torch.zeros(self.n_outputs_), torch.ones(self.n_outputs_)
        if data.y is not None:  # else the numbers are in the file
            mean, scale = _mean_and_scale(data.y)
        module.register_buffer("target_mean", mean)
        module.register_buffer("target_scale", scale)
        return module

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: rows as they are, and their targets, standardised."""
        scaled: Any = module

        def views(batch: Batch, generator: torch.Generator) -> tuple[Any, Tensor | None]:
            if batch.y is None:  # to be shown
                return batch.x, None
            return batch.x, (batch.y - scaled.target_mean) / scaled.target_scale  # (batch, n_outputs)

        return views

    def objective(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Hook: mean squared error over rows and quantities."""
        return squared_error(outputs, target)

    # --- targets --------------------------------------------------------------------------------------------------

    def _learn_targets(self, y: Any, **options: Any) -> np.ndarray:
        labelled, targets = self._labelled(y)
        self.n_outputs_ = targets.shape[1]
        self._one_dimensional = as_targets(y).ndim == 1
        return labelled

    def _read_targets(self, y: Any) -> tuple[np.ndarray, Tensor]:
        labelled, targets = self._labelled(y)
        if targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {targets.shape[1]} columns, but this {type(self).__name__} was fitted to {self.n_outputs_}. "
                "Pass the same quantities, or call fit."
            )
        return labelled, targets

    def _labelled(self, y: Any) -> tuple[np.ndarray, Tensor]:
        name = type(self).__name__
        if y is None:
            return np.ones(0, bool), read_quantities(y, None, name)  # raises
        values = as_targets(y)
        labelled = labelled_rows(values, regression=True)
        self._require_labels(labelled)
        return labelled, read_quantities(values[labelled], None, name)

    @property
    def _n_outputs(self) -> int:
        return self.n_outputs_

    # --- use ------------------------------------------------------------------------------------------------------

    def predict(self, X: Any) -> np.ndarray:
        """The quantities of each row, in the units of the targets.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
            Of as many dimensions as `y` had in ``fit``.
        """
        check_is_fitted(self)
        module: Any = self.net_.module_
        mean, scale = (part.cpu().double().numpy() for part in (module.target_mean, module.target_scale))
        predicted: np.ndarray = self._outputs(X).astype(np.float64) * scale + mean
        return predicted[:, 0] if self._one_dimensional else predicted

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The coefficient of determination, R2, on the rows that have a target.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets. Rows without one are set aside.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        float
            1 where all is predicted, 0 for a constant prediction of the mean; the mean over quantities.
        """
        predicted, labelled = self.predict(X), self._labelled(y)[0]
        if labelled.all():
            return float(r2_score(y, predicted, sample_weight=sample_weight))
        weights = None if sample_weight is None else np.asarray(sample_weight)[labelled]
        return float(r2_score(as_targets(as_targets(y)[labelled]), predicted[labelled], sample_weight=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _mean_and_scale(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column, float32; 1 for a column of one value."""
    exact = y.double()
    mean, deviation = exact.mean(0), exact.std(0, correction=0)
    info = torch.finfo(torch.float32)
    varies = deviation > torch.clamp(info.eps * mean.abs(), min=info.tiny)  # above what float32 rounds to
    return mean.float(), torch.where(varies, deviation, 1.0).float()
