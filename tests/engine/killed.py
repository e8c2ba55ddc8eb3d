"""A run to be killed: ``python -m tests.engine.killed METHOD FOLDER EPOCHS``."""

import sys
from typing import Any

import numpy as np
import torch

import skrep.engine.loop
from skrep import AutoEncoderTransformer, MaskedLMTransformer, MoCoTransformer, SimCLRTransformer
from skrep.backbones import ConvNet, Transformer

torch.set_num_threads(1)


def rows(method: str) -> Any:
    rng = np.random.default_rng(0)
    if method == "masked_lm":
        return [[f"w{word}" for word in rng.integers(0, 50, n)] for n in rng.integers(0, 40, 120)]
    table = (rng.normal(size=(400, 4)) @ rng.normal(size=(4, 64))).astype(np.float32)
    return table.reshape(400, 8, 8, 1) if method != "autoencoder" else table[:, :20]


def make(method: str, folder: Any, epochs: int) -> Any:
    common = {"max_epochs": epochs, "random_state": 3, "validation_fraction": 0.1, "checkpoint": folder}
    if method == "simclr":
        return SimCLRTransformer(4, backbone=ConvNet(2), batch_size=32, **common)
    if method in ("queue", "memory_bank"):
        momentum = (0.5, 1.0)
        return MoCoTransformer(4, ConvNet(2), dictionary=method, momentum=momentum, batch_size=32, **common)
    if method == "masked_lm":
        small = Transformer(n_layers=1, n_heads=2, dropout=0.1)
        return MaskedLMTransformer(8, backbone=small, max_length=16, batch_size=32, **common)
    return AutoEncoderTransformer(4, hidden=(32, 16), noise=0.3, batch_size=16, early_stopping=1000, **common)


if __name__ == "__main__":
    method, folder, epochs = sys.argv[1:]
    make(method, None, 1).fit(rows(method)[:9])  # torch loads half of itself with the first optimizer
    skrep.engine.loop.CHECKPOINT_SECONDS = 0.005  # so that most kills fall between epochs' ends
    print("ready", flush=True)
    make(method, folder, int(epochs)).fit(rows(method))
