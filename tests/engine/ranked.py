"""Fits that one process or several make alike: ``torchrun ... ranked.py OUT`` writes what each of them came to.

Without torchrun it is one process with the same global batches, and what the others are held against.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch.callbacks import Callback
from torch import nn
from torch.nn import functional as F

import skrep.engine.loop
from skrep import AutoEncoderTransformer, MoCoTransformer, RandomEncoder, RBMEncoder, SimCLRTransformer
from skrep.backbones import ConvNet
from skrep.engine import join_ranks

torch.set_num_threads(1)

PLAIN = {"optimizer": "sgd", "lr_schedule": "constant", "lr": 0.05}
BANK = {"dictionary": "memory_bank", "queue_size": 20}
METHODS: dict[str, tuple[type, dict[str, Any]]] = {
    "simclr": (SimCLRTransformer, {}),
    "queue": (MoCoTransformer, {"queue_size": 23, "momentum": (0.5, 1.0)}),
    "one way": (MoCoTransformer, {"queue_size": 23, "symmetric": False}),
    "bank": (MoCoTransformer, BANK),
    "bank, one way": (MoCoTransformer, BANK | {"symmetric": False}),
    "end to end": (MoCoTransformer, {"dictionary": "end_to_end"}),
    "autoencoder": (AutoEncoderTransformer, {"noise": 0.3}),
}
# each: method, data, options; by its position
CASES = [
    *((method, data, PLAIN) for method in METHODS for data in ("images", "table")),
    ("queue", "table", PLAIN | {"validation_fraction": 0.2, "early_stopping": 5, "max_epochs": 2}),
    ("simclr", "table", PLAIN | {"batch_size": 2, "lr": 1e-3}),  # and so a row for each of two processes
    ("simclr", "images", {}),  # AdamW
    ("queue", "images", {}),
]


def rows(kind: str) -> np.ndarray:
    """Three batches of 31."""
    rng = np.random.default_rng(0)
    if kind == "images":
        return rng.integers(0, 255, size=(93, 16, 16, 3)).astype(np.uint8)
    return (rng.normal(size=(93, 3)) @ rng.normal(size=(3, 6))).astype(np.float32)


def make(method: str, data: str, options: dict[str, Any]) -> Any:
    cls, own = METHODS[method]
    if data == "images":
        own = own | {"backbone": ConvNet(2)}
    return cls(**{"batch_size": 31, "max_epochs": 1, "random_state": 0} | own | options)


class Losses(Callback):
    """The loss of each step."""

    only_watches = True

    def __init__(self, at: int = -1):
        self.seen: list[float] = []
        self.at = at

    def on_batch_end(self, net: Any, loss: Any = None, **kwargs: Any) -> None:
        self.seen.append(loss.item())
        if len(self.seen) == self.at:
            raise KeyboardInterrupt


def everything(fitted: Any) -> dict[str, np.ndarray]:
    return {name: tensor.clone().numpy() for name, tensor in fitted.net_.module_.state_dict().items()}


def error(action: Any) -> str:
    try:
        action()
    except (ValueError, TypeError, RuntimeError) as raised:
        return f"{type(raised).__name__}: {raised}"
    return "none"


class Still(BaseEstimator):
    """A view that changes nothing."""

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return x


def shares(found: dict[str, Any]) -> None:
    """Which rows go through the network here: each row's number is in its first column."""
    numbered = np.concatenate([np.arange(93)[:, None], rows("table")], 1).astype(np.float32)
    seen: list[np.ndarray] = []

    class Numbered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(7, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                seen.append(x[:, 0].detach().numpy().copy())
            return self.layer(x)

    for name in ("simclr", "queue", "bank"):
        encoder = make(name, "table", {"backbone": Numbered(), "augment": Still()})
        seen.clear()
        encoder.fit(numbered)
        mean, std = numbered[:, 0].mean(), numbered[:, 0].std()
        for step, values in enumerate(seen):
            found[f"shares/{name}/{step}"] = np.round(values * std + mean).astype(int)


def normalised(found: dict[str, Any]) -> None:
    """Batch normalisation across processes, with gradients."""
    ranks = join_ranks()
    for shape in [(5,), (5, 4), (5, 4, 3)]:
        generator = torch.Generator().manual_seed(0)
        x, upstream = (torch.randn(11, *shape, generator=generator) * 3 + 1 for _ in range(2))
        gain, bias = (torch.randn(5, generator=generator).requires_grad_() for _ in range(2))
        mean, var = torch.zeros(5), torch.ones(5)
        first, last = (11 * ranks.rank // ranks.size, 11 * (ranks.rank + 1) // ranks.size)
        mine = x[first:last].clone().requires_grad_()
        with ranks.batch_norm():
            output = F.batch_norm(mine, mean, var, gain, bias, training=True)
            still = F.batch_norm(mine, mean, var, gain, bias, training=False)
        (output * upstream[first:last]).sum().backward()
        ranks.add_gradients([gain, bias])
        key = f"norm/{len(shape)}"
        for name, value in {"output": output, "gradient": mine.grad, "still": still}.items():
            found[f"{key}/rows/{name}"] = value.detach().numpy()
        for name, value in {"gain": gain.grad, "bias": bias.grad, "mean": mean, "var": var}.items():
            found[f"{key}/all/{name}"] = value.detach().numpy()


def run(out: Path) -> None:
    ranks = join_ranks()
    found: dict[str, Any] = {}
    for number, (method, data, options) in enumerate(CASES):
        losses = Losses()
        fitted = make(method, data, options | {"callbacks": [losses]}).fit(rows(data))
        for name, value in everything(fitted).items():
            found[f"{number}/{name}"] = value
        found[f"{number}/losses"] = np.array(losses.seen)
        found[f"{number}/history"] = np.array([list(row.values()) for row in fitted.history_])
        found[f"{number}/transform"] = fitted.transform(rows(data))
    shares(found)
    normalised(found)

    torch.manual_seed(100 + ranks.rank)
    free = make("queue", "table", {"random_state": None}).fit(rows("table"))
    found["free"] = torch.cat([p.detach().flatten() for p in free.net_.module_.parameters()]).numpy()
    free.partial_fit(rows("table")[:40])
    found["free/more"] = torch.cat([p.detach().flatten() for p in free.net_.module_.parameters()]).numpy()
    found["first/partial"] = everything(make("queue", "table", {"random_state": None}).partial_fit(rows("table")))[
        "projector.0.weight"
    ]

    for name, method in {"queue": "queue", "bank": "bank"}.items():
        options = PLAIN | {"max_epochs": 3, "validation_fraction": 0.2, "batch_size": 25}
        folder = out / f"checkpoints-{name}-{ranks.size}"
        whole = make(method, "table", options).fit(rows("table"))
        try:
            stopped = Losses(4)  # in the second epoch
            make(method, "table", options | {"checkpoint": folder, "callbacks": [stopped]}).fit(rows("table"))
        except KeyboardInterrupt:
            found[f"{name}/stopped"] = np.array(len(stopped.seen))
        resumed = make(method, "table", options | {"checkpoint": folder}).fit(rows("table"))
        found[f"{name}/resumed from"] = np.array(resumed.resumed_from_)
        again = make(method, "table", options | {"checkpoint": folder}).fit(rows("table"))
        found[f"{name}/finished from"] = np.array(again.resumed_from_)
        for key, fitted in {"whole": whole, "resumed": resumed, "again": again}.items():
            values = everything(fitted)
            found[f"{name}/{key}"] = np.concatenate([values[k].ravel().astype(np.float64) for k in sorted(values)])

    table = rows("table")
    found["error/rbm"] = np.array(error(lambda: RBMEncoder(2, max_epochs=1).fit((table > 0).astype(np.float32))))
    found["error/length"] = np.array(error(lambda: make("queue", "table", {}).fit(table[: 90 + ranks.rank])))
    found["error/partial"] = np.array(error(lambda: make("queue", "table", {}).partial_fit(table[: 90 + ranks.rank])))
    found["error/columns"] = np.array(error(lambda: make("queue", "table", {}).fit(table[:, : 4 + ranks.rank])))
    other = table + np.float32(ranks.rank)
    found["error/rows"] = np.array(error(lambda: make("queue", "table", {}).fit(other)))
    found["error/batch"] = np.array(error(lambda: make("queue", "table", {"batch_size": 1}).fit(table)))
    found["error/parts"] = np.array(error(lambda: make("queue", "table", {"bn_splits": 2}).fit(table)))
    found["random"] = RandomEncoder(random_state=0).fit_transform(table)
    np.savez(out / f"{ranks.rank}-of-{ranks.size}.npz", **found)


if __name__ == "__main__":
    skrep.engine.loop.CHECKPOINT_SECONDS = 1e9
    run(Path(sys.argv[1]))
