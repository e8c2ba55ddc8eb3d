"""SimCLR by skrep against a loop over a DataLoader, as the tutorials of torch's SSL libraries have it: images a second.

Networks, batches, losses and views (crop, flip, colour jitter, grey) are the same, on 32x32 colour images. skrep's side
is all of ``fit``. The loop has its network built and its workers started before the clock runs; it gets its views image
by image from torchvision, where that is installed, else from Pillow, and trains with Adam, reading the loss every
batch. It runs with two workers and with none, and with ``--lightly`` also on the data set, transform, collation and
loss of lightly, with a forward pass for each view, as there. Runs alternate; medians.
"""

import argparse
import importlib
import math
import resource
import statistics
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks._data import cifar10
from benchmarks._options import add_data_option, parse
from benchmarks._peers import available, torchvision_transforms
from benchmarks.views import OURS, SIMCLR, ImageByImage
from skrep import SimCLRTransformer
from skrep.data import ArraySource
from skrep.objectives import nt_xent

TEMPERATURE = 0.2
QUICK = {"rows": 64, "batch": 32, "runs": 1, "workers": 1, "lightly": True}

Loss = Callable[[nn.Module, list[Tensor]], Tensor]


def lightly(name: str) -> Any:
    """A module of lightly."""
    torchvision_transforms()  # lightly imports torchvision
    return importlib.import_module(f"lightly.{name}")


class LightlyViews(ImageByImage):
    """Views by lightly, in the items of its data sets: views, class, file name."""

    @cached_property
    def view(self) -> Callable[[Any], Any]:
        # strength 0.5 of the default jitter is 0.4, 0.4, 0.4, 0.1; the network standardises its input by itself
        return lightly("transforms").SimCLRTransform(  # type: ignore[no-any-return]
            input_size=32, cj_strength=0.5, min_scale=0.2, gaussian_blur=0.0, normalize=None
        )

    def __getitem__(self, index: int) -> Any:
        from PIL import Image

        return self.view(Image.fromarray(self.images[index])), 0, str(index)


def lightly_collate(items: list[Any]) -> list[Tensor]:
    views, _, _ = lightly("data.multi_view_collate").MultiViewCollate()(items)
    return views  # type: ignore[no-any-return]


def joint_loss(module: nn.Module, views: list[Tensor]) -> Tensor:
    """Both views in one batch."""
    x = torch.cat(views)
    if x.shape[1] != 3:
        x = x.permute(0, 3, 1, 2)  # Pillow's: (2 * batch, height, width, channels) -> channels second
    return nt_xent(module(x), TEMPERATURE)


def lightly_loss() -> Loss:
    criterion = lightly("loss").NTXentLoss(TEMPERATURE)
    return lambda module, views: criterion(module(views[0]), module(views[1]))


def make_loop(images: np.ndarray, batch_size: int, peer: str, workers: int) -> Callable[[], None]:
    """The peer's epoch."""
    parts: tuple[type[ImageByImage], Any, Loss] = ImageByImage, None, joint_loss
    if peer == "lightly":
        parts = LightlyViews, lightly_collate, lightly_loss()
    views_of, collate, loss_of = parts
    started: dict[str, Any] = {"persistent_workers": True, "multiprocessing_context": "spawn"} if workers else {}
    dataset = views_of(images, SIMCLR, peer)
    loader = DataLoader(
        dataset, batch_size, shuffle=True, drop_last=True, num_workers=workers, collate_fn=collate, **started
    )
    torch.manual_seed(0)
    module = SimCLRTransformer(temperature=TEMPERATURE).make_module(ArraySource(images))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)

    def epoch() -> None:
        module.train()
        total = 0.0
        for views in loader:
            optimizer.zero_grad()
            loss = loss_of(module, views)
            loss.backward()
            optimizer.step()
            total += loss.item()
        assert math.isfinite(total)

    return epoch


def peak_mib(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / 1024


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks simclr")
    add_data_option(parser, "cifar10.npz; without it, pixels are random")
    parser.add_argument("--rows", type=int, default=4096, help="images of an epoch, in whole batches")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--lightly", action="store_true", help="also against lightly (pip install lightly)")
    options = parse(parser, arguments, QUICK)
    if options.threads:
        torch.set_num_threads(options.threads)
    n_images = max(1, options.rows // options.batch) * options.batch
    if options.data is None:
        images = np.random.default_rng(0).integers(0, 256, (n_images, 32, 32, 3), dtype=np.uint8)
    else:
        images, _ = cifar10(options.data, n_images)
    print(
        f"{len(images)} {'random' if options.data is None else 'CIFAR-10'} images, batches of {options.batch}, "
        f"{torch.get_num_threads()} torch threads, torch {torch.__version__}, {options.runs} alternating runs of one "
        "epoch\n"
    )

    def ours() -> None:
        SimCLRTransformer(
            augment=OURS[SIMCLR], temperature=TEMPERATURE, max_epochs=1, batch_size=options.batch, random_state=0,
            device="cpu",
        ).fit(images)  # fmt: skip

    ours()
    alone = peak_mib(resource.RUSAGE_SELF)
    peers = ["torchvision" if available("torchvision", torchvision_transforms) else "Pillow"]
    if options.lightly and available("lightly", lambda: lightly("transforms")):
        peers.append("lightly")
    counts = (options.workers, 0)
    loops = {(peer, n): make_loop(images, options.batch, peer, n) for peer in peers for n in counts}
    print(_compare(ours, loops, len(images), options.runs))
    loops.clear()  # workers end, and are counted
    print(
        f"\npeak memory: {alone:.0f} MiB after skrep's first fit, {peak_mib(resource.RUSAGE_SELF):.0f} MiB after all "
        f"runs, and {peak_mib(resource.RUSAGE_CHILDREN):.0f} MiB in the largest worker"
    )


def _compare(ours: Callable[[], None], loops: dict[Any, Callable[[], None]], n_images: int, runs: int) -> str:
    sides: dict[Any, Callable[[], None]] = {"skrep": ours, **loops}
    rates: dict[Any, list[float]] = {side: [] for side in sides}
    for run in range(runs + 1):
        for side, call in sides.items():
            begin = time.perf_counter()
            call()
            if run:  # the first round starts the workers and warms up
                rates[side].append(n_images / (time.perf_counter() - begin))
    medians = {side: statistics.median(rates[side]) for side in sides}
    lines = ["| views of the loop | workers | skrep images/s | loop images/s | ratio |\n|---|---|---|---|---|"]
    for side in loops:
        ratio = statistics.median(a / b for a, b in zip(rates["skrep"], rates[side], strict=True))
        lines.append(f"| {side[0]} | {side[1]} | {medians['skrep']:,.0f} | {medians[side]:,.0f} | {ratio:.1f} |")
    return "\n".join(lines)
