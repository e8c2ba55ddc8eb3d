import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrep import PCAEncoder, RandomEncoder, SimCLRTransformer
from skrep.backbones import ConvNet, ResNet
from skrep.displays import AtomsDisplay
from skrep.patches import ImagePatches, PatchEncoder

RNG = np.random.default_rng(0)


class Fitted(BaseEstimator):
    """An estimator with these attributes."""

    def __init__(self, **attributes):
        vars(self).update(attributes, fitted_=True)

    def fit(self, X, y=None):
        return self


def shown(display):
    return [np.asarray(image.get_array()) for image in display.images_]


def naive(atom):
    """A signed atom by its own largest magnitude, zero in the middle."""
    return 0.5 + 0.5 * atom / max(abs(value) for value in atom.ravel())


def test_components_are_squares_around_zero(digits):
    X, _ = digits
    encoder = PCAEncoder(7).fit(X)
    display = AtomsDisplay.from_estimator(encoder)
    assert display.images_.shape == (7,)
    for cell, component in zip(shown(display), encoder.components_, strict=True):
        np.testing.assert_allclose(cell, naive(component.reshape(8, 8)), rtol=1e-6, atol=1e-9)
    for image in display.images_:
        assert image.get_clim() == (0, 1)
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["0", "4"]


@pytest.mark.parametrize("estimator", [KMeans(5, n_init=1, random_state=0), NMF(5, max_iter=2000, random_state=0)])
def test_what_has_no_sign_begins_at_black(digits, estimator):
    X, _ = digits
    estimator.fit(X)
    atoms = estimator.cluster_centers_ if isinstance(estimator, KMeans) else estimator.components_
    for cell, atom in zip(shown(AtomsDisplay.from_estimator(estimator)), atoms, strict=True):
        np.testing.assert_allclose(cell, atom.reshape(8, 8) / atom.max(), atol=1e-9)  # centres may be -1e-16


def test_colour_atoms():
    atoms = RNG.normal(size=(4, 3, 5, 3))
    for display in (
        AtomsDisplay(atoms).plot(),
        AtomsDisplay.from_atoms(atoms.reshape(4, 45), image_shape=(3, 5, 3)),  # (4, 3, 5, 3) -> (4, 45)
        AtomsDisplay.from_estimator(Fitted(components_=atoms.reshape(4, 45), image_shape_=(3, 5, 3))),
    ):
        for cell, atom in zip(shown(display), atoms, strict=True):
            np.testing.assert_allclose(cell, naive(atom))


def test_an_atom_of_zeros_and_integers():
    display = AtomsDisplay(np.array([[0, 0], [-128, 64]], dtype=np.int8).reshape(2, 1, 2, 1)).plot()
    np.testing.assert_array_equal(shown(display), [[[0.5, 0.5]], [[0, 0.75]]])
    np.testing.assert_array_equal(shown(AtomsDisplay(np.zeros((1, 2, 2, 1))).plot()), np.full((1, 2, 2), 0.5))


def test_order_and_number():
    atoms = RNG.normal(size=(30, 16))
    first = AtomsDisplay.from_atoms(atoms, max_atoms=4)
    np.testing.assert_array_equal(shown(first), shown(AtomsDisplay.from_atoms(atoms[:4])))
    some = AtomsDisplay.from_atoms(atoms, order=[7, 29, 3], max_atoms=2)
    np.testing.assert_array_equal(shown(some), shown(AtomsDisplay.from_atoms(atoms[[7, 29]])))
    assert len(AtomsDisplay.from_atoms(RNG.normal(size=(120, 16))).images_) == 100


@pytest.mark.parametrize(("n_atoms", "columns"), [(1, 1), (2, 2), (3, 3), (7, 4), (10, 5), (37, 8), (50, 10), (64, 8)])
def test_grids_fill_their_lines(n_atoms, columns):
    display = AtomsDisplay(RNG.normal(size=(n_atoms, 2, 2, 1))).plot()
    n_lines = -(-n_atoms // columns)
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == [str(columns * i) for i in range(n_lines)]
    assert len(display.ax_.images) == n_atoms  # nothing is left in empty cells
    display.figure_.canvas.draw()
    boxes = [image.get_window_extent() for image in display.images_]
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])
    for i, box in enumerate(boxes):
        assert box.x0 == pytest.approx(boxes[i % columns].x0)
        assert box.y0 == pytest.approx(boxes[i - i % columns].y0)
    assert display.figure_.get_figwidth() <= 6.4


@pytest.mark.parametrize("backbone", [ConvNet(), ResNet()])
@pytest.mark.parametrize("channels", [1, 3])
def test_filters_of_a_network(backbone, channels):
    images = RNG.integers(0, 256, (8, 12, 12, channels), dtype=np.uint8)
    encoder = RandomEncoder(like=SimCLRTransformer(backbone=backbone), random_state=0).fit(images)
    weight = next(p for p in encoder.net_.module_.encoder.parameters() if p.ndim == 4).detach().numpy()
    cells = shown(AtomsDisplay.from_estimator(encoder))
    assert len(cells) == len(weight)
    for cell, kernel in zip(cells, weight, strict=True):
        expected = naive(kernel)
        np.testing.assert_allclose(cell, expected[0] if channels == 1 else np.dstack(list(expected)), atol=1e-7)


@pytest.mark.parametrize("channels", [1, 3])
def test_atoms_of_patches(channels):
    images = RNG.integers(0, 256, (20, 9, 10, channels), dtype=np.uint8)
    encoder = PatchEncoder(KMeans(3, n_init=1), patches=ImagePatches((4, 5)), random_state=0).fit(images)
    shape = (4, 5) if channels == 1 else (4, 5, 3)
    for display in (
        AtomsDisplay.from_estimator(encoder),
        AtomsDisplay.from_estimator(make_pipeline(encoder, StandardScaler()).fit(images)),
    ):
        for cell, atom in zip(shown(display), encoder.coder_.cluster_centers_, strict=True):
            np.testing.assert_allclose(cell, naive(atom.reshape(shape)), rtol=1e-6)
    pixels = encoder.patches_.to_pixels(encoder.coder_.cluster_centers_)
    for cell, atom in zip(shown(AtomsDisplay.from_atoms(pixels)), pixels, strict=True):
        np.testing.assert_allclose(cell, naive(atom[:, :, 0] if channels == 1 else atom), atol=1e-6)


def test_a_coder_without_atoms(digits):
    images = digits[0][:20].reshape(-1, 8, 8, 1)  # (20, 64) -> (20, 8, 8, 1)
    encoder = PatchEncoder(StandardScaler(), random_state=0).fit(images)
    with pytest.raises(TypeError, match=r"PatchEncoder\b.*components_"):
        AtomsDisplay.from_estimator(encoder)


def test_a_pipeline_draws_its_last_step_with_atoms(digits):
    X, y = digits
    pipeline = make_pipeline(PCA(random_state=0), StandardScaler(), LogisticRegression(max_iter=5, tol=10)).fit(X, y)
    expected = AtomsDisplay.from_estimator(pipeline[0])
    np.testing.assert_array_equal(shown(AtomsDisplay.from_estimator(pipeline)), shown(expected))
    two = make_pipeline(PCA(16), KMeans(3, n_init=1, random_state=0)).fit(X)
    with pytest.raises(ValueError, match=r"\b16\b.*image_shape="):  # 16 numbers, but not of pixels
        AtomsDisplay.from_estimator(two)
    assert AtomsDisplay.from_estimator(two, image_shape=(2, 8)).images_.shape == (3,)


def test_keywords_of_imshow():
    display = AtomsDisplay(RNG.normal(size=(2, 3, 3, 1))).plot(cmap="RdBu_r", interpolation="bilinear")
    assert {image.get_cmap().name for image in display.images_} == {"RdBu_r"}


def test_bad_input(table, digits):
    X, _ = digits
    with pytest.raises(NotFittedError):
        AtomsDisplay.from_estimator(PCAEncoder(2))
    with pytest.raises(TypeError, match=r"StandardScaler\b.*components_"):
        AtomsDisplay.from_estimator(StandardScaler().fit(X))
    with pytest.raises(TypeError, match=r"Pipeline\b.*components_"):
        AtomsDisplay.from_estimator(make_pipeline(StandardScaler()).fit(X))
    with pytest.raises(TypeError, match=r"RandomEncoder\b.*components_"):
        AtomsDisplay.from_estimator(RandomEncoder(random_state=0).fit(table))
    encoder = PCAEncoder(2).fit(table)
    with pytest.raises(ValueError, match=r"AtomsDisplay.*\b6\b.*image_shape=.*\btable\b"):
        AtomsDisplay.from_estimator(encoder)
    with pytest.raises(ValueError, match=r"AtomsDisplay.*\b9\b.*image_shape="):  # a small table is no picture of 3x3
        AtomsDisplay.from_atoms(np.ones((2, 9)))
    with pytest.raises(ValueError, match=r"image_shape=\(2, 2\).*\(2, 6\)"):
        AtomsDisplay.from_estimator(encoder, image_shape=(2, 2))
    with pytest.raises(ValueError, match=r"\(2, 3, 3, 64\).*\b1 or 3\b"):
        AtomsDisplay.from_atoms(np.ones((2, 3, 3, 64)))
    for atoms in (np.ones((2, 16)), np.ones((0, 2, 2, 1))):
        with pytest.raises(ValueError, match=rf"AtomsDisplay.*{re.escape(str(atoms.shape))}"):
            AtomsDisplay(atoms).plot()
    with pytest.raises(ValueError, match="NaN"):
        AtomsDisplay.from_atoms(np.full((2, 16), np.nan))
    with pytest.raises(ValueError, match="max_atoms=0"):
        AtomsDisplay.from_atoms(np.ones((2, 16)), max_atoms=0)
    for order in ([2], [0.5], [True]):
        with pytest.raises(ValueError, match=r"\border\b.*\b2\b"):
            AtomsDisplay.from_atoms(np.ones((2, 16)), order=order)


def test_filters_on_another_device_and_in_half_precision():
    encoder = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 2, dtype=torch.bfloat16))
    display = AtomsDisplay.from_estimator(Fitted(net_=SimpleNamespace(module_=SimpleNamespace(encoder=encoder))))
    for cell, kernel in zip(shown(display), encoder[0].weight.detach().float().numpy(), strict=True):
        np.testing.assert_allclose(cell, naive(kernel[0]), rtol=1e-6)
