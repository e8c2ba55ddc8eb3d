import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

from skrep import AutoEncoderTransformer, PCAEncoder, RandomEncoder
from skrep.backbones import ConvNet
from skrep.data import read_table
from skrep.views import GaussianNoise, MaskingNoise


def decoder_axes(encoder):
    """The directions in which a linear decoder moves."""
    n = encoder.n_features_out_
    rows = encoder.inverse_transform(np.vstack([np.zeros(n), np.eye(n)]))
    return (rows[1:] - rows[0]).T


def test_linear_autoencoder_spans_the_principal_subspace():
    X, _ = load_digits(return_X_y=True)
    encoder = AutoEncoderTransformer(
        8, hidden=(), noise=0, weight_decay=0, lr=0.01, max_epochs=100, random_state=0
    ).fit(X)
    pca = PCAEncoder(8).fit(X)
    angles = np.degrees(subspace_angles(decoder_axes(encoder), pca.components_.T))
    assert angles.max() < 1
    best = np.square(pca.inverse_transform(pca.transform(X)) - X).sum(1).mean()
    assert -encoder.score(X) < 1.001 * best


def test_reconstruction_is_in_the_units_of_the_data(digits):
    X = digits[0] * 1000 + 5000
    encoder = AutoEncoderTransformer(16, hidden=(64,), noise=0, max_epochs=60, random_state=0).fit(X)
    rebuilt = encoder.inverse_transform(encoder.transform(X))
    unexplained = np.square(rebuilt - X).mean() / X.var(0).mean()
    assert unexplained < 0.25
    np.testing.assert_allclose(unexplained, encoder.history_[-1]["train_loss"], rtol=0.1)


def test_score_is_the_mean_squared_error_of_a_row(digits):
    X = digits[0]
    encoder = AutoEncoderTransformer(4, hidden=(16,), max_epochs=2, random_state=0).fit(X)
    rebuilt = encoder.inverse_transform(encoder.transform(X)).astype(np.float64)
    naive = [sum((a - b) ** 2 for a, b in zip(row, back, strict=True)) for row, back in zip(X, rebuilt, strict=True)]
    np.testing.assert_allclose(encoder.reconstruction_error(X), naive, rtol=1e-9)
    np.testing.assert_allclose(encoder.score(X), -np.mean(naive), rtol=1e-9)


def test_bernoulli(digits):
    X = digits[0] / 16
    encoder = AutoEncoderTransformer(8, hidden=(64,), loss="bernoulli", max_epochs=30, random_state=0).fit(X)
    rebuilt = encoder.inverse_transform(encoder.transform(X)).astype(np.float64)
    assert rebuilt.min() >= 0
    assert rebuilt.max() <= 1
    p = rebuilt.clip(1e-7, 1 - 1e-7)
    np.testing.assert_allclose(encoder.score(X), (X * np.log(p) + (1 - X) * np.log(1 - p)).sum(1).mean(), rtol=1e-6)
    marginal = X.mean(0).clip(1e-7, 1 - 1e-7)
    assert encoder.score(X) > (X * np.log(marginal) + (1 - X) * np.log(1 - marginal)).sum(1).mean() + 3
    with pytest.raises(ValueError, match=r"loss='bernoulli'.*\[0, 1\].*\b16\b"):
        AutoEncoderTransformer(loss="bernoulli").fit(digits[0])


def test_tied_weights(digits):
    encoder = AutoEncoderTransformer(4, hidden=(16,), tied=True, max_epochs=2, random_state=0).fit(digits[0])
    shapes = sorted(tuple(p.shape) for p in encoder.net_.module_.parameters())
    assert shapes == sorted([(16, 64), (4, 16), (16,), (4,), (16,), (64,)])
    code = torch.randn(3, 4)
    first, second = encoder.net_.module_.encoder.backbone.linears
    by_hand = torch.nn.functional.gelu(code @ second.weight + encoder.net_.module_.decoder[0].bias)
    by_hand = by_hand @ first.weight + encoder.net_.module_.decoder[2].bias
    np.testing.assert_allclose(encoder.net_.module_.decoder(code).detach(), by_hand.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("noise", [0.3, GaussianNoise(0.3), MaskingNoise(0.3)], ids=str)
def test_noise_is_seen_by_the_encoder_and_not_by_the_target(noise, digits):
    X = digits[0]
    plain, noisy = (
        AutoEncoderTransformer(8, hidden=(32,), noise=n, max_epochs=20, random_state=0).fit(X) for n in (0, noise)
    )
    assert noisy.history_[-1]["train_loss"] > plain.history_[-1]["train_loss"]
    source = read_table(noisy, X, reset=False)
    batch = next(source.batches(100, torch.device("cpu"), torch.Generator().manual_seed(0)))
    inputs, target = noisy.make_views(source, noisy.net_.module_)(batch, torch.Generator().manual_seed(0))
    torch.testing.assert_close(target, noisy.net_.module_.encoder.standardize(batch.x))
    assert (inputs - target).std() > 0.2


def test_a_number_and_its_view_are_the_same(digits):
    one, two = (
        AutoEncoderTransformer(4, hidden=(16,), noise=n, max_epochs=2, random_state=0)
        for n in (0.3, GaussianNoise(0.3))
    )
    np.testing.assert_array_equal(one.fit_transform(digits[0]), two.fit_transform(digits[0]))


def test_grid_search_without_labels(digits):
    encoder = AutoEncoderTransformer(8, hidden=(32,), noise=GaussianNoise(), max_epochs=5, random_state=0)
    search = GridSearchCV(encoder, {"noise__sd": [0.0, 3.0]}, cv=2).fit(digits[0])
    assert search.best_params_ == {"noise__sd": 0.0}


def test_random_encoder_is_the_untrained_network(digits):
    X = digits[0]
    like = AutoEncoderTransformer(4, hidden=(16,), max_epochs=1, random_state=7)
    untrained = RandomEncoder(like=like).fit(X)
    seen = {}

    class First(Callback):
        def on_train_begin(self, net, **kwargs):
            seen["weights"] = {k: v.clone() for k, v in net.module_.state_dict().items()}

    AutoEncoderTransformer(4, hidden=(16,), max_epochs=1, random_state=7, callbacks=[First()]).fit(X)
    for name, tensor in untrained.net_.module_.state_dict().items():
        assert torch.equal(tensor, seen["weights"][name])
    assert not hasattr(like, "net_")
    with pytest.raises(ValueError, match="n_components=3, like="):
        RandomEncoder(3, like=like).fit(X)
    with pytest.raises(ValueError, match=r"like=PCAEncoder\(\)"):
        RandomEncoder(like=PCAEncoder()).fit(X)
    assert RandomEncoder(like=like).set_params(like__n_components=3).fit_transform(X).shape == (600, 3)


def test_codes_of_the_wrong_width(digits):
    encoder = AutoEncoderTransformer(4, hidden=(16,), max_epochs=1, random_state=0).fit(digits[0])
    with pytest.raises(ValueError, match=r"X .*\b5\b.*AutoEncoderTransformer.*\b4\b"):
        encoder.inverse_transform(np.zeros((2, 5)))


def test_partial_fit_keeps_the_scale_of_the_first_rows(digits):
    X = digits[0]
    encoder = AutoEncoderTransformer(8, hidden=(32,), noise=0, max_epochs=40, random_state=0).fit(X)
    before = -encoder.score(X)
    for _ in range(5):
        for rows in (X[:300], 0.5 * X[300:]):  # rows of another mean and spread
            encoder.set_params(lr=1e-4).partial_fit(rows)
    assert -encoder.score(X) < 1.5 * before


def test_images_are_rebuilt_better_than_by_their_mean(digits):
    images = digits[0].reshape(-1, 8, 8, 1)
    encoder = AutoEncoderTransformer(16, max_epochs=15, noise=0, random_state=0).fit(images)
    rebuilt = encoder.inverse_transform(encoder.transform(images))
    assert rebuilt.shape == images.shape
    error = np.square(rebuilt - images).sum((1, 2, 3))
    np.testing.assert_allclose(encoder.reconstruction_error(images), error, rtol=1e-4)
    np.testing.assert_allclose(encoder.score(images), -error.mean(), rtol=1e-4)
    assert error.mean() < 0.5 * np.square(images - images.mean(0)).sum((1, 2, 3)).mean()


def test_bernoulli_images_are_rebuilt_within_the_range_of_the_pixels(digits):
    images = (digits[0].reshape(-1, 8, 8, 1) * 255 / 16).astype(np.uint8)
    encoder = AutoEncoderTransformer(8, loss="bernoulli", max_epochs=2, random_state=0).fit(images)
    rebuilt = encoder.inverse_transform(encoder.transform(images))
    assert 0 <= rebuilt.min() < 50 < 100 < rebuilt.max() <= 255
    p, x = np.clip(rebuilt.astype(float) / 255, 1e-7, 1 - 1e-7), images / 255
    expected = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum((1, 2, 3))
    np.testing.assert_allclose(encoder.reconstruction_error(images), expected, rtol=1e-3)
    (seen,) = encoder.sample_views(images[:3])
    assert seen.shape == (3, 8, 8, 1)
    assert np.abs(seen - images[:3] / 255).std() > 0.05


@pytest.mark.parametrize("option", [{"hidden": (8,)}, {"tied": True}, {"activation": "relu"}], ids=str)
def test_what_images_have_no_use_for(option, digits):
    with pytest.raises(ValueError, match=f"{next(iter(option))}=.*images"):
        AutoEncoderTransformer(**option).fit(digits[0].reshape(-1, 8, 8, 1))


def test_what_tables_have_no_use_for(digits):
    with pytest.raises(ValueError, match=r"backbone=ConvNet\(\).*tables"):
        AutoEncoderTransformer(backbone=ConvNet()).fit(digits[0])
