"""Small objects photographed in bursts: how far SimCLR gets where many images are nearly the same.

43 classes, each a sign of ``load_emoji``: arrows and prohibitions, some of which differ in little. Each class has 20
bursts of ten frames. A burst has its own light, background, sharpness, size, angle and place, and its frames hardly
differ. Bursts of the test are not those of training (``groups=``).

Accuracy of ``few_label_probe`` at 10 labels a class, and CPU seconds of the fit. ``--sets`` runs the same candidates on
images of MNIST, Fashion-MNIST and CIFAR-10 from ``--data``. ``--quick`` has four classes.
"""

import argparse
import time
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from benchmarks._data import cifar10, mnist
from benchmarks._options import add_data_option, parse
from skrep import AutoEncoderTransformer, MoCoTransformer, PatchEncoder, RandomEncoder, SimCLRTransformer
from skrep.backbones import ConvNet
from skrep.datasets import load_emoji
from skrep.evaluation import few_label_probe
from skrep.evaluation.held_out import hold_out
from skrep.views import (
    ColorJitter,
    GaussianNoise,
    RandomAffine,
    RandomErasing,
    RandomFlip,
    RandomGrey,
    RandomResizedCrop,
)

N_FRAMES, SIDE = 10, 32
QUICK = {"classes": 4, "bursts": 4, "epochs": 1, "draws": 1, "only": ["raw pixels", "untrained", "SimCLR, groups"]}


def bursts_of_signs(
    n_classes: int = 43, n_bursts: int = 20, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (n, 32, 32, 3) uint8, their classes and their bursts."""
    generator = torch.Generator().manual_seed(seed)
    bursts = torch.arange(n_classes * n_bursts)
    classes = bursts // n_bursts

    def each(low: float, high: float, *shape: int, jitter: float = 0.0) -> Tensor:
        """Numbers of each burst, and with `jitter` slightly other ones in each frame: (bursts * frames, *shape)."""
        drawn = low + (high - low) * torch.rand(len(bursts), 1, *shape, generator=generator)
        moved = jitter * torch.randn(len(bursts), N_FRAMES, *shape, generator=generator)
        return (drawn + moved).flatten(0, 1)

    signs = _cut_out(n_classes)[classes.repeat_interleave(N_FRAMES)]  # (n, 4, 32, 32)
    angle, size, place = each(-0.1, 0.1, jitter=0.01), each(0.55, 0.7, jitter=0.005), each(-0.04, 0.04, 2, jitter=0.01)
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).unflatten(1, (2, 2))
    where = torch.cat([rotation / size[:, None, None], place[:, :, None]], 2)  # (n, 2, 3)
    drawn = F.grid_sample(signs, F.affine_grid(where, list(signs.shape), False), align_corners=False)
    colour, opacity = drawn[:, :3], drawn[:, 3:]
    blotches = F.interpolate(each(0, 1, 3, 4, 4, jitter=0.01), (SIDE, SIDE), mode="bicubic").clamp(0, 1)
    images = colour + (1 - opacity) * blotches  # a sign is black where it is transparent

    contrast, haze = each(0.3, 1.0, 1, 1, 1), each(0.2, 0.8, 1, 1, 1)
    gain, cast = each(-1.5, 0.2, 1, 1, 1, jitter=0.02).exp(), each(-0.2, 0.2, 3, 1, 1).exp()
    images = gain * cast * (contrast * images + (1 - contrast) * haze)
    images = images.lerp(F.avg_pool2d(images, 5, 1, 2, count_include_pad=False), each(0, 1, 1, 1, 1))  # out of focus
    images += 0.02 * torch.randn(images.shape, generator=generator)
    pixels = (255 * images.clamp(0, 1)).round().byte().permute(0, 2, 3, 1)  # channels last
    return pixels.numpy(), classes.repeat_interleave(N_FRAMES).numpy(), bursts.repeat_interleave(N_FRAMES).numpy()


def _cut_out(n_classes: int) -> Tensor:
    """Signs without the white around them: red, green, blue and opacity, (n_classes, 4, 32, 32)."""
    emoji = load_emoji()
    images = emoji.images[emoji.target_names[emoji.target] == "Symbols"][:n_classes]
    opacity = np.ones(images.shape[:3], np.float32)
    for image, solid in zip(images, opacity, strict=True):
        parts, _ = ndimage.label(np.pad(image.min(2) > 245, 1, constant_values=True))
        solid[(parts == parts[0, 0])[1:-1, 1:-1]] = 0
    colours = images / np.float32(255) * opacity[..., None]
    return torch.from_numpy(np.concatenate([colours, opacity[..., None]], 3)).permute(0, 3, 1, 2)


def _images(name: str, options: argparse.Namespace) -> tuple[Any, ...]:
    if name == "bursts":
        return bursts_of_signs(options.classes, options.bursts)
    if name == "cifar10":
        return *cifar10(options.data, options.images), None
    X, y, _, _ = mnist(options.data, name, options.images)
    return X[..., np.newaxis], y, None


def candidates(epochs: int | None, seed: int) -> dict[str, tuple[Any, bool]]:
    """Encoders, and whether each is told the bursts."""

    def simclr(**options: Any) -> SimCLRTransformer:
        return SimCLRTransformer(**{"max_epochs": epochs, "random_state": seed} | options)

    def crop(colours: ColorJitter) -> list[Any]:
        return [RandomResizedCrop(), RandomFlip(), colours, RandomGrey()]

    alike = ConvNet(instance_norm=True)
    moved = [RandomAffine(), RandomErasing(), ColorJitter(), GaussianNoise(0.05)]
    return {
        "raw pixels": (None, False),
        "untrained": (RandomEncoder(like=simclr()), False),
        "SimCLR": (simclr(), False),
        "SimCLR, groups": (simclr(), True),
        "MoCo, groups": (MoCoTransformer(max_epochs=epochs, random_state=seed), True),
        "80 epochs": (simclr(max_epochs=80), False),
        "untrained, instance norm": (RandomEncoder(like=simclr(backbone=alike)), False),
        "SimCLR, instance norm": (simclr(backbone=alike), False),
        "larger crops, no flip": (simclr(augment=[RandomResizedCrop((0.5, 1.0)), ColorJitter(), RandomGrey()]), False),
        "moved, not cut": (simclr(augment=moved), False),
        "strong colours": (simclr(augment=crop(ColorJitter(0.8, 0.8, 0.8, 0.2))), False),
        "weak colours": (simclr(augment=crop(ColorJitter(0.2, 0.2, 0.2, 0.05))), False),
        "temperature 0.5": (simclr(temperature=0.5), False),
        "width 32": (simclr(backbone=ConvNet(32)), False),
        "autoencoder": (AutoEncoderTransformer(max_epochs=epochs, random_state=seed), False),
        "patches": (PatchEncoder(random_state=seed), False),
    }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks bursts")
    add_data_option(parser, "mnist.npz, fashion_mnist.npz and cifar10.npz")
    parser.add_argument("--sets", nargs="*", default=["bursts"], help="bursts, mnist, fashion_mnist, cifar10")
    parser.add_argument("--images", type=int, default=5000, help="of each of the other sets")
    parser.add_argument("--classes", type=int, default=43)
    parser.add_argument("--bursts", type=int, default=20, help="of each class")
    parser.add_argument("--epochs", type=int, help="of every network; default: its own number")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the encoders")
    parser.add_argument("--only", nargs="*", help="candidates; default: all")
    options = parse(parser, arguments, QUICK)
    parts = {}
    for name in options.sets:
        X, y, bursts = _images(name, options)
        held_out = hold_out("bursts", np.arange(len(y)), y, groups=bursts, random_state=0)
        train, test = held_out.X, held_out.X_test
        parts[name] = X[train], y[train], X[test], y[test], None if bursts is None else bursts[train]
    print("| | " + " | ".join(parts) + " |\n|---" + "|---" * len(parts) + "|")
    for label, (encoder, is_told) in candidates(options.epochs, options.seed).items():
        if options.only and label not in options.only:
            continue
        cells = []
        for X, y, X_test, y_test, bursts in parts.values():
            begin = time.process_time()
            if encoder is not None:
                encoder.fit(X, **({"groups": bursts} if is_told else {}))
            seconds = time.process_time() - begin
            scores = few_label_probe(encoder, X, y, X_test, y_test, labels=[10], n_resamples=options.draws)
            cells.append(f"{scores.mean[0]:.3f} ({seconds:.0f} s)")
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)
