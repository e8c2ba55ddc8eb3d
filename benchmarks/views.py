"""Batched views of images against the same views image by image, as PIL images in two worker processes.

The peers are torchvision's transforms, where it is installed (``pip install --no-deps torchvision``), and Pillow called
by hand; both behind torch's DataLoader, whose workers are started and warm before the clock runs. Either side starts
from uint8 images in memory and ends with float batches. Runs alternate; medians.
"""

import argparse
import math
import random
import resource
import statistics
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks._options import parse
from benchmarks._peers import available, torchvision_transforms
from skrep.views import Chain, ColorJitter, RandomAffine, RandomFlip, RandomGrey, RandomResizedCrop

BATCH = 256
QUICK = {"runs": 1, "images": 64, "workers": 1}
SIMCLR = "SimCLR: crop, flip, jitter, grey; two views of 32x32 colour"
AFFINE = "affine; one view of 28x28 grey"
SHAPES = {SIMCLR: (32, 32, 3), AFFINE: (28, 28)}
OURS: dict[str, Any] = {
    SIMCLR: Chain([RandomResizedCrop(), RandomFlip(), ColorJitter(), RandomGrey()]),
    AFFINE: RandomAffine(),
}


def torchvision_view(name: str) -> Callable[[Any], Any]:
    transforms = torchvision_transforms()
    if name == AFFINE:
        shear = math.degrees(math.atan(0.3))
        affine = transforms.RandomAffine(
            15, (0.125, 0.125), (0.6, 1.15), (-shear, shear), transforms.InterpolationMode.BILINEAR
        )
        return transforms.Compose([affine, transforms.ToTensor()])  # type: ignore[no-any-return]
    return transforms.Compose(  # type: ignore[no-any-return]
        [
            transforms.RandomResizedCrop(32, (0.2, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8),
            transforms.RandomGrayscale(0.2),
            transforms.ToTensor(),
        ]
    )


def pillow_view(name: str) -> Callable[[Any], Any]:
    from PIL import Image, ImageEnhance

    uniform = random.uniform

    def turn_hue(image: Any) -> Any:
        hue, saturation, value = image.convert("HSV").split()
        shift = round(255 * uniform(-0.1, 0.1))
        return Image.merge("HSV", (hue.point(lambda h: (h + shift) % 256), saturation, value)).convert("RGB")

    def simclr(image: Any) -> Any:
        area, ratio = uniform(0.2, 1) * 32 * 32, math.exp(uniform(math.log(3 / 4), math.log(4 / 3)))
        width, height = min(32, round(math.sqrt(area * ratio))), min(32, round(math.sqrt(area / ratio)))
        left, top = random.randint(0, 32 - width), random.randint(0, 32 - height)
        image = image.resize((32, 32), Image.Resampling.BILINEAR, (left, top, left + width, top + height))
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if random.random() < 0.8:
            for step in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
                image = step(image).enhance(uniform(0.6, 1.4))
            image = turn_hue(image)
        if random.random() < 0.2:
            image = image.convert("L").convert("RGB")
        return image

    def affine(image: Any) -> Any:
        angle, shear, scale = math.radians(uniform(-15, 15)), uniform(-0.3, 0.3), uniform(0.6, 1.15)
        cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
        a, b, d, e = cos + shear * sin, sin - shear * cos, -sin, cos
        x, y = 14 + uniform(-3.5, 3.5), 14 + uniform(-3.5, 3.5)
        inverse = (a, b, 14 - a * x - b * y, d, e, 14 - d * x - e * y)
        return image.transform((28, 28), Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR)

    draw = affine if name == AFFINE else simclr
    return lambda image: torch.from_numpy(np.asarray(draw(image), dtype=np.float32) / 255)


PEERS = {"torchvision": torchvision_view, "Pillow": pillow_view}


class ImageByImage(Dataset[Any]):
    """Views of one image at a time, made where they are asked for."""

    def __init__(self, images: np.ndarray, name: str, peer: str):
        self.images, self.name, self.peer = images, name, peer

    @cached_property
    def view(self) -> Callable[[Any], Any]:
        """The transform; made in the worker, since not all of it can be pickled."""
        return PEERS[self.peer](self.name)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list[Any]:
        from PIL import Image

        image = Image.fromarray(self.images[index])
        return [self.view(image) for _ in range(2 if self.name == SIMCLR else 1)]


def batched(images: np.ndarray, name: str) -> None:
    """All views of `images` by skrep, one batch after the other."""
    generator = torch.Generator().manual_seed(0)
    data = torch.from_numpy(images.reshape(len(images), *images.shape[1:3], -1)).permute(0, 3, 1, 2)
    for batch in data.split(BATCH):
        x = batch / 255
        for _ in range(2 if name == SIMCLR else 1):
            OURS[name](x, generator)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks views")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--images", type=int, default=1024, help="images that a peer views in a run; skrep views 16 x")
    parser.add_argument("--workers", type=int, default=2)
    options = parse(parser, arguments, QUICK)
    peers = list(PEERS) if available("torchvision", torchvision_transforms) else ["Pillow"]
    print(
        f"batches of {BATCH}, {torch.get_num_threads()} torch threads, {options.workers} workers, {options.runs} "
        "alternating runs\n"
    )
    print("| views | peer | skrep images/s | peer images/s | ratio |\n|---|---|---|---|---|")
    for name, shape in SHAPES.items():
        images = np.random.default_rng(0).integers(0, 256, (16 * options.images, *shape), dtype=np.uint8)
        for peer in peers:
            print(_measure(images, options.images, name, peer, options.workers, options.runs), flush=True)
    ours, worker = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"\npeak memory: {ours:.0f} MiB in this process, {worker:.0f} MiB in the largest worker")


def _measure(images: np.ndarray, n_peer: int, name: str, peer: str, workers: int, runs: int) -> str:
    loader = DataLoader(
        ImageByImage(images[:n_peer], name, peer),
        BATCH,
        num_workers=workers,
        persistent_workers=True,
        multiprocessing_context="spawn",
    )
    sides: dict[str, tuple[int, Callable[[], Any]]] = {
        "ours": (len(images), lambda: batched(images, name)),
        "peer": (n_peer, lambda: list(loader)),
    }
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for run in range(runs + 1):
        for side, (n_images, call) in sides.items():
            begin = time.perf_counter()
            call()
            if run:  # the first round starts the workers and warms up
                rates[side].append(n_images / (time.perf_counter() - begin))
    ratio = statistics.median(a / b for a, b in zip(rates["ours"], rates["peer"], strict=True))
    ours, theirs = (statistics.median(rates[side]) for side in sides)
    return f"| {name} | {peer} | {ours:,.0f} | {theirs:,.0f} | {ratio:.1f} |"
