#!/usr/bin/python3
"""Writes the names and shapes of timm's tensors for four networks, one `name shape` a line, in timm's order of modules.

usage: gen_names.py FOLDER          (plain Python; the architectures are spelt out here, nothing is imported)
"""
import os, sys


def norm(name, n):
    yield f'{name}.weight', (n,)
    yield f'{name}.bias', (n,)


def batch_norm(name, n):
    yield from norm(name, n)
    yield f'{name}.running_mean', (n,)
    yield f'{name}.running_var', (n,)
    yield f'{name}.num_batches_tracked', ()


def linear(name, inputs, outputs, bias=True):
    yield f'{name}.weight', (outputs, inputs)
    if bias:
        yield f'{name}.bias', (outputs,)


def conv(name, inputs, outputs, kernel, bias=False):
    yield f'{name}.weight', (outputs, inputs, kernel, kernel)
    if bias:
        yield f'{name}.bias', (outputs,)


def transformer_block(name, d, table=None):
    yield from norm(f'{name}.norm1', d)
    if table:
        yield f'{name}.attn.relative_position_bias_table', table
    yield from linear(f'{name}.attn.qkv', d, 3 * d)
    yield from linear(f'{name}.attn.proj', d, d)
    yield from norm(f'{name}.norm2', d)
    yield from linear(f'{name}.mlp.fc1', d, 4 * d)
    yield from linear(f'{name}.mlp.fc2', 4 * d, d)


def deit(d, distilled):
    yield 'cls_token', (1, 1, d)
    if distilled:
        yield 'dist_token', (1, 1, d)
    yield 'pos_embed', (1, 14 * 14 + 1 + distilled, d)
    yield from conv('patch_embed.proj', 3, d, 16, bias=True)
    for i in range(12):
        yield from transformer_block(f'blocks.{i}', d)
    yield from norm('norm', d)
    yield from linear('head', d, 1000)
    if distilled:
        yield from linear('head_dist', d, 1000)


def swin(c, depths, heads, window=7):
    yield from conv('patch_embed.proj', 3, c, 4, bias=True)
    yield from norm('patch_embed.norm', c)
    for s, depth in enumerate(depths):
        d = c << s
        if s:
            yield from norm(f'layers.{s}.downsample.norm', 2 * d)
            yield from linear(f'layers.{s}.downsample.reduction', 2 * d, d, bias=False)
        for b in range(depth):
            yield from transformer_block(f'layers.{s}.blocks.{b}', d, ((2 * window - 1) ** 2, heads[s]))
    yield from norm('norm', c << 3)
    yield from linear('head.fc', c << 3, 1000)


def conv_norm(name, inputs, outputs, kernel):
    yield from conv(f'{name}.conv', inputs, outputs, kernel)
    yield from batch_norm(f'{name}.bn', outputs)


def regnety(widths, depths, group, stem=32):
    yield from conv_norm('stem', 3, stem, 3)
    inputs = stem
    for s, (w, depth) in enumerate(zip(widths, depths), 1):
        for b in range(1, depth + 1):
            name = f's{s}.b{b}'
            squeezed = round(inputs / 4)
            yield from conv_norm(f'{name}.conv1', inputs, w, 1)
            yield from conv_norm(f'{name}.conv2', group, w, 3)
            yield from conv(f'{name}.se.fc1', w, squeezed, 1, bias=True)
            yield from conv(f'{name}.se.fc2', squeezed, w, 1, bias=True)
            yield from conv_norm(f'{name}.conv3', w, w, 1)
            if b == 1:
                yield from conv_norm(f'{name}.downsample', inputs, w, 1)
            inputs = w
    yield from linear('head.fc', inputs, 1000)


NETWORKS = {
    'deit_tiny_patch16_224': deit(192, False),
    'deit_small_distilled_patch16_224': deit(384, True),
    'swin_tiny_patch4_window7_224': swin(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    'regnety_160': regnety((224, 448, 1232, 3024), (2, 4, 11, 1), 112),
}

if __name__ == '__main__':
    folder = sys.argv[1] if len(sys.argv) > 1 else '../Fixtures'
    os.makedirs(folder, exist_ok=True)
    for network, tensors in NETWORKS.items():
        with open(os.path.join(folder, f'names.{network}.txt'), 'w') as f:
            for name, shape in tensors:
                f.write(f'{name} {"x".join(map(str, shape)) or "scalar"}\n')
