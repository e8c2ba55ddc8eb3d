"""Write what the fits of cases.py give now: ``python -m tests.goldens``, after a change of numbers that is meant.

On another machine than the one whose bits are recorded, ``python -m tests.goldens --here`` adds the bits of this one,
if features agree with the recorded ones; run it before a change that must not move a number.
"""

import json
import sys
import warnings

import numpy as np

from tests import conftest  # noqa: F401  # one thread
from tests.goldens.cases import CASES, HERE, close, expected, machine, results

if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {case: results(case) for case in CASES}
    bits = {machine(): {case: result["sha256"] for case, result in found.items()}}
    features = {case: result["features"] for case, result in found.items()}
    if "--here" in sys.argv[1:]:
        with np.load(HERE / "features.npz") as recorded:
            for case in CASES:
                close(features[case], recorded[case])
        text = {"bits": expected()["bits"] | bits, "norms": expected()["norms"]}
    else:
        text = {"bits": bits, "norms": {case: result["norms"] for case, result in found.items()}}
        np.savez_compressed(HERE / "features.npz", **features)
    (HERE / "expected.json").write_text(json.dumps(text, indent=1) + "\n")
    print(f"{len(CASES)} fits on {machine()}")
