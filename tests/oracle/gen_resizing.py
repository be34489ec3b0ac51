#!/usr/bin/python3
"""Golden values for fitting tables of positions to other sizes. usage: gen_resizing.py SEED OUTDIR

Position embeddings: torch's bicubic interpolation with antialiasing, tokens before the patches untouched.
Bias tables: scipy's linear interpolation on a regular grid whose lines stand in geometric progression.
"""
import json, os, sys
import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import RegularGridInterpolator

rng = np.random.default_rng(int(sys.argv[1]))
cases = []
numbers = lambda a: [float(v) for v in np.asarray(a, np.float32).ravel()]

for side, rows, columns, prefix, size in [(4, 6, 6, 1, 3), (6, 3, 5, 2, 4), (5, 5, 7, 2, 2), (14, 4, 4, 1, 2)]:
    old = rng.standard_normal((1, prefix + side * side, size)).astype(np.float32)
    patches = torch.from_numpy(old[:, prefix:]).double().reshape(1, side, side, size).permute(0, 3, 1, 2)
    new = F.interpolate(patches, size=(rows, columns), mode='bicubic', align_corners=False, antialias=True)
    new = new.permute(0, 2, 3, 1).reshape(1, -1, size).numpy()
    cases.append(dict(kind='positions', rows=rows, columns=columns, prefix=prefix, size=size, old=numbers(old),
                      new=numbers(np.concatenate([old[:, :prefix], new], 1))))


def lines(half, new_half):
    """0 and +-(1 + q + ... + q^(i-1)) for i up to half, with q so that the last is new_half; bisected as published."""
    low, high = 1.01, 1.5
    while high - low > 1e-6:
        q = (low + high) / 2
        if sum(q ** i for i in range(half)) > new_half:
            high = q
        else:
            low = q
    right = np.cumsum([q ** i for i in range(half)])
    return np.concatenate([-right[::-1], [0], right])


for window, new_window, heads in [(4, 7, 2), (7, 12, 3), (7, 4, 2)]:
    old = rng.standard_normal(((2 * window - 1) ** 2, heads)).astype(np.float32)
    at = lines(window - 1, new_window - 1)
    points = np.arange(-(new_window - 1), new_window)
    grid = np.stack(np.meshgrid(points, points, indexing='ij'), -1).astype(float)
    new = [RegularGridInterpolator((at, at), old[:, h].reshape(2 * window - 1, -1).astype(float), bounds_error=False, fill_value=None)(grid).ravel() for h in range(heads)]
    cases.append(dict(kind='bias', side=2 * new_window - 1, heads=heads, old=numbers(old), new=numbers(np.stack(new, -1))))

os.makedirs(sys.argv[2], exist_ok=True)
with open(os.path.join(sys.argv[2], 'resizing.json'), 'w') as f:
    json.dump(cases, f)
