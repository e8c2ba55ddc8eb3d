"""Columns of a table in any units: one scale or one for each, and heavy tails."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.preprocessing import StandardScaler

from skrep import AutoEncoderTransformer, RandomEncoder, SimCLRTransformer
from skrep.backbones import ProjectionHead, by_units, default_code
from skrep.backbones.layers import Compress
from skrep.data import ArraySource


def source(X):
    return ArraySource(np.asarray(X, np.float32))


def test_alike_columns_share_one_scale_and_others_have_their_own():
    X = load_digits(return_X_y=True)[0]
    layer = by_units(source(X))
    np.testing.assert_allclose(layer.scale, np.full(64, X.var(axis=0).mean() ** 0.5), rtol=1e-5)
    assert layer.limit == np.inf
    X = load_wine(return_X_y=True)[0]
    layer = by_units(source(X))
    np.testing.assert_allclose(layer.scale, X.std(axis=0), rtol=1e-4)
    assert by_units(source(X), "common").scale.unique().numel() == 1
    digits = load_digits(return_X_y=True)[0]
    np.testing.assert_allclose(by_units(source(digits), "columns").scale[20:24], digits.std(axis=0)[20:24], rtol=1e-3)


def test_a_heavy_tail_is_measured_by_its_quartiles_and_compressed():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.lognormal(sigma=1.5, size=4000), 1000 * rng.normal(size=4000)])
    X = np.column_stack([X, np.r_[np.ones(5), np.zeros(3995)]])  # seldom 1, and no quartiles
    layer = by_units(source(X))
    first, median, third = np.quantile(X[:, 0], [0.25, 0.5, 0.75])
    np.testing.assert_allclose(layer.mean[0], median, rtol=0.01)
    np.testing.assert_allclose(layer.scale[0], (third - first) / 1.349, rtol=0.02)
    np.testing.assert_allclose(layer.scale[1:], X[:, 1:].std(axis=0), rtol=1e-4)
    Z = layer(torch.from_numpy(X.astype(np.float32)))
    assert Z.abs().max() < 10
    assert ((X[:, 0] - median) / layer.scale[0].item()).max() > 50
    np.testing.assert_allclose(layer.inverse(Z), X, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("limit", [3.0, float("inf")])
def test_compression_is_smooth_odd_and_undone(limit):
    layer = Compress(torch.tensor([2.0]), torch.tensor([0.5]), limit)
    z = torch.linspace(-60, 60, 2001).unsqueeze(1)  # (2001, 1)
    out = layer(2 + 0.5 * z).double().squeeze(1).numpy()  # (2001,)
    z_ = z.numpy()
    expected = np.where(np.abs(z_) > limit, np.sign(z_) * (limit + np.log1p(np.maximum(np.abs(z_) - limit, 0))), z_)
    if limit == 3.0:
        np.testing.assert_allclose(out, expected.squeeze(1), rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_allclose(out, z_.squeeze(1), rtol=1e-5, atol=1e-5)
    slopes = np.diff(out) / 0.06
    assert (slopes > 0).all()
    assert slopes.max() < 1.001
    np.testing.assert_allclose(layer.inverse(layer(2 + 0.5 * z)), 2 + 0.5 * z, rtol=1e-4, atol=1e-4)
    assert torch.isfinite(layer.inverse(torch.tensor([[1e6], [-1e6]]))).all()


@pytest.mark.parametrize(
    "encoder",
    [
        AutoEncoderTransformer(max_epochs=3, random_state=0),
        SimCLRTransformer(max_epochs=3, random_state=0),
        RandomEncoder(random_state=0),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_units_do_not_matter(encoder):
    X = load_wine(return_X_y=True)[0].astype(np.float32)
    units = 2.0 ** np.arange(-18, 21, 3)  # without rounding
    expected = clone(encoder).fit_transform(X)
    np.testing.assert_allclose(clone(encoder).fit_transform(X * units), expected, rtol=1e-4, atol=1e-4)


def test_scale_of_an_autoencoder_is_of_tables_and_may_be_chosen():
    X = load_wine(return_X_y=True)[0]
    common = AutoEncoderTransformer(3, max_epochs=2, scale="common", random_state=0).fit(X)
    assert common.net_.module_.encoder.standardize.scale.unique().numel() == 1
    with pytest.raises(ValueError, match=r"scale='columns'.*images"):
        AutoEncoderTransformer(scale="columns").fit(np.zeros((4, 8, 8, 1)))


def test_codes_keep_narrow_tables():
    assert [default_code(n) for n in (1, 5, 16, 17, 32, 40, 200)] == [1, 5, 16, 16, 16, 20, 64]


@pytest.mark.parametrize("column", ["constant", "two values", "outlier", "integers"])
def test_odd_columns(column):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4)) * [1, 10, 100, 1000]
    X[:, 0] = {
        "constant": np.full(200, 7.0),
        "two values": np.arange(200) % 2,
        "outlier": np.r_[1e9, rng.normal(size=199)],
        "integers": rng.integers(0, 5, size=200),
    }[column]
    encoder = AutoEncoderTransformer(2, max_epochs=3, random_state=0).fit(X)
    Z = encoder.transform(X)
    assert np.isfinite(Z).all()
    assert np.isfinite(encoder.inverse_transform(Z)).all()
    assert np.isfinite(encoder.history_[-1]["train_loss"])


def test_a_table_of_very_many_columns_fits_into_memory():
    assert [layer.out_features for layer in ProjectionHead(100_064, 64) if hasattr(layer, "out_features")] == [2048, 64]
    assert ProjectionHead(10, 4)[0].out_features == 10


def test_heavy_tails_in_most_columns_have_scales_of_their_own():
    logs = np.random.default_rng(0).normal(size=(3000, 6))
    layer = by_units(source(StandardScaler().fit_transform(np.exp(2 * logs))))
    assert layer.limit == 3
    assert by_units(source(StandardScaler().fit_transform(np.exp(2 * logs))), "common").limit == np.inf
    lit = np.where(np.random.default_rng(0).random((3000, 6)) < 0.002, 1.0, 0.0)  # seldom, and no quartiles
    assert by_units(source(lit)).limit == np.inf
