"""The engine against a bare torch loop of the same maths: whole fits, alternating runs, medians.

The loop is what one writes by hand: rows on the device once, a random permutation an epoch, slices of it, fused AdamW
with decay on matrices only, warm-up and cosine by epoch share, the loss summed as a tensor. The engine's side is all of
``fit``: validation, scaling, network, training, checks. Networks, batches and numbers of steps are the same.
"""

import argparse
import math
import statistics
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks._options import parse
from skrep import AutoEncoderTransformer, TorchTransformer
from skrep.autoencoder.autoencoder import AutoEncoder, Units
from skrep.backbones import InputEncoder, MLPModule, by_common_scale
from skrep.base import Views
from skrep.data import Batch, Source
from skrep.engine.schedules import warm_up_cosine
from skrep.params import params

SIDE = 28
QUICK = {"runs": 1, "rows": 1000}


class ConvNet(nn.Module):
    """An autoencoder of strided convolutions over 28x28 images."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),  # (batch, 32, 14, 14)
            nn.Conv2d(32, 64, 3, 2, 1), nn.BatchNorm2d(64), nn.ReLU(),  # (batch, 64, 7, 7)
            nn.Flatten(), nn.Linear(64 * 49, 64),
        )  # fmt: skip
        self.decoder = nn.Linear(64, SIDE * SIDE)

    def forward(self, x: Tensor) -> Tensor:
        rows: Tensor = self.decoder(self.encoder(x))
        return rows


@params
class ConvAutoEncoder(TorchTransformer):
    """The smallest method on the engine: rows of pixels folded into images."""

    n_components: int | None = None

    def make_module(self, data: Source) -> nn.Module:
        return ConvNet()

    def make_views(self, data: Source, module: nn.Module) -> Views:
        def views(batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            return batch.x.unflatten(1, (1, SIDE, SIDE)), batch.x

        return views

    def objective(self, outputs: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(outputs, target)

    def _count_features(self, data: Source) -> None:
        """Rows are folded in the views, so transform is not part of this benchmark."""


def bare_loop(module: nn.Module, X: np.ndarray, epochs: int, batch_size: int, *, images: bool, plain: bool) -> None:
    """Train by hand. `plain` is the tutorial's loop: optimizer not fused, loss.item() every batch."""
    data = torch.from_numpy(X)
    if not images:
        mean, scale = data.mean(0), data.var(0).mean().sqrt()
    matrices = [p for p in module.parameters() if p.ndim > 1]
    vectors = [p for p in module.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 1e-4}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=2e-3, fused=not plain)
    if images:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = epochs * math.ceil(len(data) / batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_up_cosine(min(1.0, (step + 0.5) / steps)))
    module.train()
    for _ in range(epochs):
        total: Any = 0.0 if plain else torch.zeros(())
        for index in torch.randperm(len(data)).split(batch_size):
            x = data[index]
            if images:
                inputs, target = x.unflatten(1, (1, SIDE, SIDE)).contiguous(memory_format=torch.channels_last), x
            else:
                inputs = target = (x - mean) / scale
            optimizer.zero_grad()
            loss = F.mse_loss(module(inputs), target)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(index) if plain else loss.detach() * len(index)
        assert math.isfinite(float(total))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks overhead")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=None)
    options = parse(parser, arguments, QUICK)
    if options.threads:
        torch.set_num_threads(options.threads)
    X = np.random.default_rng(0).random((options.rows, SIDE * SIDE), dtype=np.float32)
    print(
        f"{options.rows} rows of {SIDE * SIDE}, {torch.get_num_threads()} torch threads, torch "
        f"{torch.__version__}, {options.runs} alternating runs\n"
    )
    print(
        "| network | batch | epochs | engine s | bare loop s | ratio | tutorial loop s | ratio "
        "|\n|---|---|---|---|---|---|---|---|"
    )
    for network, batch_size, epochs in [("MLP", 128, 3), ("MLP", 1024, 8), ("ConvNet", 128, 1), ("ConvNet", 1024, 1)]:
        print(_measure(X, network == "ConvNet", batch_size, epochs, options.runs), flush=True)


def _measure(X: np.ndarray, images: bool, batch_size: int, epochs: int, runs: int) -> str:
    def engine() -> None:
        common: dict[str, Any] = {"max_epochs": epochs, "batch_size": batch_size, "random_state": 0, "device": "cpu"}
        (ConvAutoEncoder(**common) if images else AutoEncoderTransformer(32, hidden=(128,), noise=0, **common)).fit(X)

    def loop(plain: bool) -> None:
        torch.manual_seed(0)
        rows = torch.from_numpy(X).double()
        module: nn.Module = ConvNet()
        if not images:
            standardize = by_common_scale(rows.mean(0), rows.var(0))
            encoder = InputEncoder(Units(), standardize, MLPModule([SIDE * SIDE, 128, 32]))
            module = AutoEncoder(encoder, MLPModule([32, 128, SIDE * SIDE]), False)
        bare_loop(module, X, epochs, batch_size, images=images, plain=plain)

    sides: dict[str, Any] = {"engine": engine, "bare": lambda: loop(False), "plain": lambda: loop(True)}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for run in range(runs + 1):
        for side, call in sides.items():
            begin = time.perf_counter()
            call()
            if run:  # the first round warms up
                seconds[side].append(time.perf_counter() - begin)
    engine_s, bare_s, plain_s = (statistics.median(seconds[side]) for side in sides)
    bare, plain = (
        statistics.median(a / b for a, b in zip(seconds["engine"], seconds[side], strict=True))
        for side in ("bare", "plain")
    )
    network = "ConvNet" if images else "MLP"
    cells = [
        network,
        batch_size,
        epochs,
        f"{engine_s:.2f}",
        f"{bare_s:.2f}",
        f"{bare:.3f}",
        f"{plain_s:.2f}",
        f"{plain:.3f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"
