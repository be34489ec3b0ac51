"""ReLUs whose inputs are kept and whose gates can be turned over.

Where an input of a ReLU lies nearer to zero than single precision knows it, the order of a sum decides whether its gradient
flows, and every right implementation decides otherwise. A tolerance that only knows the gates of one run calls the others wrong.
"""
import numpy as np
import torch
import torch.nn.functional as F

_inputs, _turned = [], None


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, is_open):
        ctx.save_for_backward(is_open)
        return torch.where(is_open, x, torch.zeros_like(x))

    @staticmethod
    def backward(ctx, dy):
        is_open, = ctx.saved_tensors
        return torch.where(is_open, dy, torch.zeros_like(dy)), None


def _relu(x, inplace=False):
    _inputs.append(x.detach().double())
    is_open = x > 0
    return _Gate.apply(x, is_open if _turned is None else is_open ^ _turned[len(_inputs) - 1])


# Also what torch.nn.ReLU calls.
F.relu = _relu


def run(work, dtype, onednn=True, turned=None):
    """What work(dtype) returns, and the inputs of its ReLUs in the order of their calls; turned has the gates to turn over."""
    global _turned
    _inputs.clear()
    _turned = turned
    torch.backends.mkldnn.enabled = onednn
    return work(dtype), list(_inputs)


class Runs:
    """A computation in float64, in float32 on torch's two paths (with oneDNN and without), and in float64 with every gate turned
    over whose input is nearer to zero than float32 errs somewhere in that layer."""

    def __init__(self, work):
        self.true, inputs = run(work, torch.float64)
        singles = [run(work, torch.float32, onednn) for onednn in (True, False)]
        self.singles = [result for result, _ in singles]
        errors = [max((x - other[i]).abs().max() for _, other in singles) for i, x in enumerate(inputs)]
        undecided = [x.abs() <= error for x, error in zip(inputs, errors)]
        self.undecided = sum(int(u.sum()) for u in undecided)
        self.turned = run(work, torch.float64, turned=undecided)[0] if self.undecided else self.true

    def error(self, pick):
        """By how much pick(result) may differ from float64's, over the whole of it, without being wrong: 16 times the worse
        float32 run's error."""
        return 16 * max(self._difference(single, pick) for single in self.singles)

    def gradient_error(self, pick):
        """The same for a gradient: at least twice what all undecided gates together change, as those of some may not cancel as well."""
        return max(self.error(pick), 2 * self._difference(self.turned, pick))

    def _difference(self, other, pick):
        return float(np.abs(pick(self.true) - pick(other)).max())
