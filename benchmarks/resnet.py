"""A training step of SimCLR with ResNet-18 on the CPU: skrep's ``fit`` against a plain torch loop of the same maths.

The loop is float32 and contiguous, as torch has it where one says nothing. Images are random, 32x32 in colour. A step
is views, forward, backward and optimizer; network, views, loss and optimizer are the same objects for all sides, and
each run builds its network anew, ``fit`` with all that it checks. Sides take turns; medians. Each side's peak memory
is that of a fresh process.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks._measure import alternate, peak_memory
from benchmarks._options import parse
from skrep import SimCLRTransformer
from skrep.backbones import ResNet
from skrep.data import ArraySource
from skrep.engine.optimizers import make_optimizer
from skrep.objectives import nt_xent
from skrep.views import default_views

SHAPE = (32, 32, 3)
LR, WEIGHT_DECAY, TEMPERATURE = 2e-3, 1e-4, 0.2
QUICK = {"runs": 1, "steps": 1, "batch": 2, "peaks": ["fit, float32"]}

PEAK_OF_RUN = """
from benchmarks.resnet import SIDES, random_images
batch, threads = int(sys.argv[2]), int(sys.argv[3])
import torch
torch.set_num_threads(threads)
images = random_images(2 * batch)
begin = peak()
SIDES[sys.argv[1]](images, batch)
print(begin, peak())
"""


def simclr(batch: int, precision: str) -> SimCLRTransformer:
    return SimCLRTransformer(
        backbone=ResNet(18, "cifar"), temperature=TEMPERATURE, max_epochs=1, batch_size=batch, lr=LR,
        weight_decay=WEIGHT_DECAY, lr_schedule="constant", precision=precision, random_state=0, device="cpu",
    )  # fmt: skip


def ours(precision: str, images: np.ndarray, batch: int) -> float:
    """The mean loss of an epoch of ``fit``."""
    loss: float = simclr(batch, precision).fit(images).history_[0]["train_loss"]
    return loss


def plain_loop(images: np.ndarray, batch: int) -> float:
    """The mean loss of an epoch by hand."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    module = simclr(batch, "float32").make_module(ArraySource(images)).train()
    view = default_views(SHAPE)
    optimizer = make_optimizer("adamw", module.named_parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    data = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()  # (n, height, width, 3) -> (n, 3, height, width)
    total = torch.zeros(())
    for index in torch.randperm(len(data)).split(batch):
        x = data[index] / 255
        views = view(torch.cat([x, x]), generator).contiguous()  # (2 * batch, 3, height, width)
        optimizer.zero_grad()
        loss = nt_xent(module(views), TEMPERATURE)
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(index)
    return float(total) / len(data)


SIDES: dict[str, Callable[[np.ndarray, int], float]] = {
    "fit, bfloat16": partial(ours, "bfloat16"),
    "fit, float32": partial(ours, "float32"),
    "plain loop, float32": plain_loop,
}
PLAIN = "plain loop, float32"


def random_images(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *SHAPE), dtype=np.uint8)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks resnet")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="steps of a run")
    parser.add_argument("--batch", type=int, default=64, help="rows of a step; each has two views")
    parser.add_argument(
        "--peaks", nargs="*", choices=list(SIDES), default=list(SIDES), help="sides whose peak memory is measured"
    )
    parser.add_argument("--threads", type=int, default=None)
    options = parse(parser, arguments, QUICK)
    if options.threads:
        torch.set_num_threads(options.threads)
    images = random_images(options.steps * options.batch)
    print(
        f"batches of {options.batch} rows, {2 * options.batch} views; {torch.get_num_threads()} torch threads, torch "
        f"{torch.__version__}, {options.runs} alternating runs of {options.steps} steps\n"
    )
    losses: dict[str, float] = {}

    def remember(side: str) -> None:
        losses[side] = SIDES[side](images, options.batch)

    calls: dict[str, Callable[[], Any]] = {side: partial(remember, side) for side in SIDES}
    seconds = alternate(calls, options.runs, most=float("inf"))
    print("| side | s a step | times as fast as the plain loop | loss | peak MiB | above the start |")
    print("|---|---|---|---|---|---|")
    for side in SIDES:
        ratio = statistics.median(a / b for a, b in zip(seconds[PLAIN], seconds[side], strict=True))
        peaks = " | "
        if side in options.peaks:
            begin, end = peak_memory(PEAK_OF_RUN, side, options.batch, torch.get_num_threads())
            peaks = f"{end:.0f} | {end - begin:.0f}"
        step = statistics.median(seconds[side]) / options.steps
        print(f"| {side} | {step:.2f} | {ratio:.2f} | {losses[side]:.3f} | {peaks} |", flush=True)
