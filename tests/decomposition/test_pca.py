"""PCAEncoder is scikit-learn's PCA, by scikit-learn's own tests, with promises added."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from skrep import PCAEncoder

ROOT = Path(__file__).parents[2]


def test_scikit_learns_own_tests(tmp_path):
    # in a process of its own: the swap is for the whole interpreter
    command = [
        *(sys.executable, "-m", "pytest", "-p", "tests.decomposition.swapped_pca", "-p", "no:cacheprovider", "-q"),
        *(
            "-c",
            str(tmp_path / "empty.ini"),
            "--rootdir",
            str(tmp_path),
            "--pyargs",
            "sklearn.decomposition.tests.test_pca",
        ),
    ]
    (tmp_path / "empty.ini").write_text("[pytest]\n")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 300
    assert "failed" not in done.stdout


@pytest.mark.parametrize("solver", ["full", "covariance_eigh", "arpack", "randomized"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_numbers_as_scikit_learn(solver, dtype, digits):
    X = digits[0].astype(dtype)
    ours, theirs = (cls(5, svd_solver=solver, random_state=0).fit(X) for cls in (PCAEncoder, PCA))
    np.testing.assert_array_equal(ours.transform(X), theirs.transform(X))
    np.testing.assert_array_equal(ours.explained_variance_, theirs.explained_variance_)
    assert ours.transform(X).dtype == dtype


def test_overflow_is_an_error_and_changes_nothing(table):
    encoder = PCAEncoder(2).fit(table)
    before = encoder.transform(table)
    with pytest.raises(ValueError, match="Rescale it first"):
        encoder.fit(table.astype(np.float64) * 1e200)
    with pytest.raises(ValueError, match="Rescale it first"):
        encoder.fit(table * np.float32(1e37))
    np.testing.assert_array_equal(encoder.transform(table), before)


def test_one_row_is_an_error(table):
    with pytest.raises(ValueError, match=re.escape("1 sample(s)")):
        PCAEncoder().fit(table[:1])
