import numpy as np
import pytest
import torch

from skrep.views import GaussianNoise, MaskingNoise


def test_gaussian_noise():
    x = torch.full((20_000, 4), 3.0)
    noise = GaussianNoise(0.5)(x, torch.Generator().manual_seed(0)) - x
    np.testing.assert_allclose(noise.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(noise.std(0), 0.5, rtol=0.02)
    np.testing.assert_allclose(np.corrcoef(noise.T.numpy()), np.eye(4), atol=0.03)


def test_masking_noise():
    x = torch.rand(20_000, 4) + 1
    masked = MaskingNoise(0.3)(x, torch.Generator().manual_seed(0))
    hidden = masked == 0
    np.testing.assert_allclose(hidden.float().mean(0), 0.3, atol=0.01)
    assert torch.equal(masked[~hidden], x[~hidden])


@pytest.mark.parametrize("view", [GaussianNoise(), MaskingNoise()], ids=str)
def test_noise_comes_from_the_generator_alone(view):
    x = torch.ones(5, 5)
    before = torch.get_rng_state()
    one, two = (view(x, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, view(x, torch.Generator().manual_seed(2)))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(x, torch.ones(5, 5))


@pytest.mark.parametrize(
    ("view", "message"),
    [(GaussianNoise(-1), "sd=-1"), (MaskingNoise(1.1), r"fraction=1\.1"), (GaussianNoise("a"), "sd='a'")],
    ids=str,
)
def test_bad_parameters(view, message):
    with pytest.raises(ValueError, match=message):
        view(torch.ones(2, 2), torch.Generator())
