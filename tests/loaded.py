"""Load every saved estimator in a folder, and say whether it gives the bits that stand beside it."""

import sys
from pathlib import Path

import numpy as np
import torch

import skrep
from tests.estimators import FOLDED

if __name__ == "__main__":
    torch.set_num_threads(1)
    for path in Path(sys.argv[1]).glob("*.skrep"):
        estimator = skrep.load(path, trusted=FOLDED.values())
        with np.load(path.with_suffix(".npz")) as data:
            given = (estimator.transform if hasattr(estimator, "transform") else estimator.predict_proba)(data["X"])
            same = given.dtype == data["expected"].dtype and np.array_equal(given, data["expected"])
        print(f"{path.stem}: {'same' if same else 'different'}")
