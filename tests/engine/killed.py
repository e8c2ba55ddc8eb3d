"""A training run to be killed: ``python -m tests.engine.killed FOLDER EPOCHS [OUT]``; prints where it resumed."""

import sys

import numpy as np
import torch

import skrep.engine.net
from skrep import AutoEncoderTransformer

torch.set_num_threads(1)


def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(400, 4)) @ rng.normal(size=(4, 20))).astype(np.float32)


def make(folder: str | None, epochs: int) -> AutoEncoderTransformer:
    return AutoEncoderTransformer(
        4, hidden=(32, 16), noise=0.3, max_epochs=epochs, batch_size=16, random_state=3, validation_fraction=0.1,
        early_stopping=1000, checkpoint=folder,
    )  # fmt: skip


if __name__ == "__main__":
    folder, epochs, *out = sys.argv[1:]
    AutoEncoderTransformer(1, max_epochs=1).fit(rows()[:9])  # torch loads half of itself with the first optimizer
    skrep.engine.net.CHECKPOINT_SECONDS = 0.005  # so that most kills fall between epochs' ends
    print("ready", flush=True)
    fitted = make(folder, int(epochs)).fit(rows())
    print("resumed", fitted.resumed_from_, flush=True)
    if out:
        np.save(out[0], fitted.transform(rows()))
