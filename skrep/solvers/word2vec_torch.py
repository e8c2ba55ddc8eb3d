"""The steps of :mod:`skrep.solvers.word2vec` on a device, many windows at a time.

The maths is the same, but the windows of a batch all see the weights of before it.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from skrep.solvers.word2vec_steps import Task

__all__ = ["BATCH", "TorchWeights"]

# Windows whose updates are summed.
BATCH = 256


class TorchWeights:
    """Weights on a device, and the steps that change them.

    Parameters
    ----------
    task : skrep.solvers.word2vec_steps.Task
        What is predicted from what.
    inputs, outputs : ndarray of shape (n_rows, n_components), float32
        The weights to begin with.
    device : torch.device
        Where they are.
    """

    def __init__(self, task: Task, inputs: np.ndarray, outputs: np.ndarray, device: torch.device):
        self._task, self._device = task, device

        def put(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        self._inputs, self._outputs = put(inputs).clone(), put(outputs).clone()
        self._keep = put(task.keep.astype(np.float64) / 2**32).float()
        self._thresholds = put(task.thresholds.astype(np.float64) / 2**32).float()
        self._others = put(task.others.astype(np.int64))
        self._targets, self._labels, self._counted = map(put, _padded_paths(task.paths, task.path_ends))
        self._parts = None
        if task.uses_bags:
            parts, _, is_part = _padded_paths(2 * task.parts, task.part_ends)
            self._parts, self._is_part = put(parts), put(is_part)

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the weights, float32."""
        return self._inputs.cpu().numpy().copy(), self._outputs.cpu().numpy().copy()

    def run(self, tokens: np.ndarray, ends: np.ndarray, lr: float, seed: int) -> tuple[float, int]:
        """Train on some documents; a rate of 0 computes the loss alone.

        Returns
        -------
        loss : float
            Sum over predictions.
        n_predictions : int
            How many there were.
        """
        generator = torch.Generator(self._device).manual_seed(seed)
        words = torch.from_numpy(tokens.astype(np.int64)).to(self._device)
        lengths = torch.from_numpy(np.diff(ends, prepend=0)).to(self._device)
        document = torch.arange(len(ends), device=self._device).repeat_interleave(lengths)
        stays = torch.rand(len(words), generator=generator, device=self._device) <= self._keep[words]
        words, document = words[stays], document[stays]
        loss, n = torch.zeros((), dtype=torch.float64, device=self._device), 0
        for start in range(0, len(words), BATCH):
            centres = torch.arange(start, min(start + BATCH, len(words)), device=self._device)
            around, is_near = self._windows(document, centres, generator)
            context = words[around]  # (batch, 2 window)
            step = self._bag_step if self._task.uses_bags else self._pair_step
            more, n_more = step(words[centres], context, is_near, lr, generator)
            loss += more
            n += n_more
        return float(loss), n

    def _windows(self, document: Tensor, centres: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Places around each centre, (batch, 2 window), and whether they are in its window and document."""
        window = self._task.window
        reach = torch.randint(1, window + 1, (len(centres), 1), generator=generator, device=self._device)
        offsets = torch.arange(-window, window + 1, device=self._device)
        offsets = offsets[offsets != 0]
        around = centres[:, None] + offsets
        inside = (around >= 0) & (around < len(document)) & (offsets.abs() <= reach)
        around = around.clamp(0, len(document) - 1)
        return around, inside & (document[around] == document[centres][:, None])

    def _draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Negatives."""
        slots = torch.randint(len(self._others), shape, generator=generator, device=self._device)
        fraction = torch.rand(shape, generator=generator, device=self._device)
        return torch.where(fraction <= self._thresholds[slots], slots, self._others[slots])

    def _predicted(self, words: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of the outputs for each word, what is to be predicted there, and whether it counts: (batch, n) each."""
        if not self._task.negative:
            return self._targets[words], self._labels[words], self._counted[words]
        drawn = self._draw((len(words), self._task.negative), generator)
        out = torch.cat([words[:, None], drawn], dim=1)  # (batch, 1 + negative)
        label = torch.zeros(out.shape, device=self._device)
        label[:, 0] = 1
        counted = out != words[:, None]
        counted[:, 0] = True
        return out, label, counted

    def _pair_step(
        self, words: Tensor, context: Tensor, is_near: Tensor, lr: float, generator: torch.Generator
    ) -> tuple[Tensor, int]:
        out, label, counted = self._predicted(words, generator)
        inputs, outputs = self._inputs[context], self._outputs[out]  # (batch, 2 window, d), (batch, n, d)
        weight = (is_near[:, :, None] & counted[:, None, :]).float()
        logits = inputs @ outputs.transpose(1, 2)  # (batch, 2 window, n)
        loss, errors, curves = _errors(logits, label[:, None, :], weight, lr)
        if lr:
            of_inputs = (curves * _squares(outputs)[:, None, :]).sum(dim=2)
            of_outputs = (curves * _squares(inputs)[:, :, None]).sum(dim=1)
            _add(self._inputs, context, errors @ outputs, of_inputs)
            _add(self._outputs, out, errors.transpose(1, 2) @ inputs, of_outputs)
        return loss, int(is_near.sum())

    def _bag_step(
        self, words: Tensor, context: Tensor, is_near: Tensor, lr: float, generator: torch.Generator
    ) -> tuple[Tensor, int]:
        assert self._parts is not None
        n_around = is_near.sum(dim=1)
        if self._task.is_cbow:
            bag, in_bag = context, is_near  # (batch, 2 window)
            out, label, counted = self._predicted(words, generator)
            weight = (counted & (n_around > 0)[:, None]).float()
            n_predictions = int((n_around > 0).sum())
        else:
            bag, in_bag = words[:, None], torch.ones(len(words), 1, dtype=torch.bool, device=self._device)
            n_predictions = int(n_around.sum())
            if self._task.negative:
                drawn = self._draw((len(words), self._task.negative), generator)
                out = torch.cat([context, drawn], dim=1)  # (batch, 2 window + negative)
                label = torch.cat([torch.ones(context.shape), torch.zeros(drawn.shape)], dim=1).to(self._device)
                same = (drawn[:, :, None] == context[:, None, :]) & is_near[:, None, :]
                weight = torch.cat([is_near, n_around[:, None] - same.sum(dim=2)], dim=1).float()
            else:
                out, label = self._targets[context].flatten(1), self._labels[context].flatten(1)
                weight = (self._counted[context] & is_near[:, :, None]).flatten(1).float()  # (batch, 2 window * path)
        parts = self._parts[bag]  # (batch, n_bag, n_parts)
        is_part = self._is_part[bag] & in_bag[:, :, None]
        n_parts = is_part.sum(dim=(1, 2)).clamp(min=1)
        rows = self._inputs[parts] * is_part[..., None]  # (batch, n_bag, n_parts, d)
        hidden = rows.sum(dim=(1, 2)) / n_parts[:, None]
        outputs = self._outputs[out]
        logits = (outputs @ hidden[:, :, None])[..., 0]  # (batch, n)
        loss, errors, curves = _errors(logits, label, weight, lr)
        if lr:
            curve = (curves * _squares(outputs)).sum(dim=1)
            step = (errors[:, None, :] @ outputs)[:, 0]  # (batch, d)
            if self._task.shares_error:
                step, curve = step / n_parts[:, None], curve / n_parts
            _add(self._outputs, out, errors[:, :, None] * hidden[:, None, :], curves * _squares(hidden)[:, None])
            owner, *_ = is_part.nonzero(as_tuple=True)
            _add(self._inputs, parts[is_part], step[owner], curve[owner])
        return loss, n_predictions


def _errors(logits: Tensor, label: Tensor, weight: Tensor, lr: float) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, and `lr` times ``weight * (label - sigmoid)`` and times curvatures.

    Curvatures are second derivatives of parabolas that lie above the loss and touch it (Jaakkola & Jordan 2000).
    """
    loss = (F.softplus(torch.where(label > 0, -logits, logits)) * weight).sum(dtype=torch.float64)
    size = logits.abs().clamp(min=1e-3)
    return loss, lr * weight * (label - torch.sigmoid(logits)), lr * weight * torch.tanh(size / 2) / (2 * size)


def _squares(rows: Tensor) -> Tensor:
    return rows.square().sum(dim=-1)


def _add(weights: Tensor, rows: Tensor, steps: Tensor, curves: Tensor) -> None:
    """Add steps to rows.

    Where a batch has a row so often that all its steps would lead past the loss's lowest point, they are shortened: the
    root of a tree is in every prediction, and of few words each is in many.
    """
    rows = rows.flatten()
    total = torch.zeros(len(weights), device=weights.device).index_add_(0, rows, curves.flatten())
    share = 1 / total.clamp(min=1)
    weights.index_add_(0, rows, steps.reshape(len(rows), weights.shape[1]) * share[rows, None])


def _padded_paths(paths: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, labels and whether there is one, (n_words, longest) each."""
    lengths = np.diff(ends, prepend=0)
    longest = int(lengths.max(initial=0))
    there = np.arange(longest) < lengths[:, None]
    nodes, labels = np.zeros(there.shape, np.int64), np.zeros(there.shape, np.float32)
    nodes[there], labels[there] = paths >> 1, 1 - (paths & 1)
    return nodes, labels, there
