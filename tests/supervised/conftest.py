"""Encoders to fine-tune, fitted once."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skrep import AutoEncoderTransformer, MaskedLMTransformer
from tests.supervised.texts import reviews


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300].astype(np.float32), y[:300]


@pytest.fixture(scope="module")
def encoder(digits):
    return AutoEncoderTransformer(16, max_epochs=5, random_state=0).fit(digits[0])


@pytest.fixture(scope="module")
def language():
    return MaskedLMTransformer(16, max_epochs=3, random_state=0).fit(reviews(200)[0])
