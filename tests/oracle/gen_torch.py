"""Small files of torch.save, of both formats, and what is in them.

    python3 gen_torch.py FOLDER

writes FOLDER/*.pt and FOLDER/torch.json: per file its format, its tensors (name, type, shape, values) and some of its metadata.
The names are the paths of keys, joined with dots.
"""
import argparse
import collections
import json
import os
import sys

import torch

NAMES = {torch.float64: 'F64', torch.float32: 'F32', torch.float16: 'F16', torch.bfloat16: 'BF16', torch.int64: 'I64',
         torch.int32: 'I32', torch.int16: 'I16', torch.int8: 'I8', torch.uint8: 'U8', torch.bool: 'BOOL'}


def flatten(value, path, tensors):
    if isinstance(value, torch.Tensor):
        flat = value.detach().reshape(-1)
        numbers = flat.double().tolist() if value.dtype.is_floating_point else [int(v) for v in flat.tolist()]
        tensors[path or 'tensor'] = {'type': NAMES[value.dtype], 'shape': list(value.shape), 'values': numbers}
    elif isinstance(value, dict):
        for key, item in value.items():
            flatten(item, f'{path}.{key}' if path else str(key), tensors)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            flatten(item, f'{path}.{i}' if path else str(i), tensors)


def types():
    values = {'f64': torch.tensor([0.1, -1e300], dtype=torch.float64), 'f32': torch.tensor([[1.5, -2.25], [3e38, 1e-45]]),
              'f16': torch.tensor([65504, -0.5, 6e-8], dtype=torch.float16),
              'bf16': torch.tensor([3.140625, -1e38], dtype=torch.bfloat16),
              'i64': torch.tensor([-2 ** 63, 2 ** 63 - 1]), 'i32': torch.tensor([-2 ** 31, 7], dtype=torch.int32),
              'i16': torch.tensor([-2 ** 15, 7], dtype=torch.int16), 'i8': torch.tensor([-128, 127], dtype=torch.int8),
              'u8': torch.tensor([0, 255], dtype=torch.uint8), 'bool': torch.tensor([True, False, True])}
    return values


def views():
    base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    return {'base': base, 'transposed': base.transpose(0, 2), 'sliced': base[:, 1:, ::2], 'row': base[1, 2],
            'expanded': torch.tensor([[1.0], [2.0]]).expand(2, 5), 'one': torch.tensor(7.5).expand(2, 2, 2),
            'tail': torch.arange(10)[3:], 'scalar': torch.tensor(2.5, dtype=torch.float64), 'empty': torch.zeros(0),
            'zero': torch.zeros(3, 0, 2, dtype=torch.int64), 'permuted16': base.to(torch.bfloat16).permute(1, 2, 0),
            'permuted8': torch.arange(6, dtype=torch.uint8).reshape(2, 3).t(),
            'permuted64': torch.arange(6, dtype=torch.float64).reshape(2, 3).t()}


def training():
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2, bias=False))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [2, 5])
    for _ in range(2):
        model(torch.randn(4, 3)).square().sum().backward()
        optimiser.step()
        schedule.step()
    args = argparse.Namespace(lr=1e-3, model='deit_tiny', opt_betas=None, clip_grad=(0.5, 2), distributed=False, device='cuda',
                              output_dir='', nested=argparse.Namespace(drop=0.25))
    return {'model': model.state_dict(), 'optimizer': optimiser.state_dict(), 'lr_scheduler': schedule.state_dict(), 'epoch': 300,
            'args': args, 'max_accuracy': 72.2, 'where': torch.device('cuda', 1), 'size': torch.Size([2, 3]), 'name': 'é',
            'counts': collections.defaultdict(list, a=[1, 2]), 'none': None, 'big': 2 ** 70, 'raw': b'\x00\xff', 'type': torch.float32}


def main(folder):
    parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    shared = torch.arange(6.0)
    files = {
        'types': types(), 'views': views(), 'training': training(), 'alone': torch.tensor([[1.0, 2.0]]), 'nothing': {},
        'parameters': collections.OrderedDict([('a', parameter), ('tied', parameter), ('head', shared[:2]), ('rest', shared[2:])]),
        'nested': {'state_dict': {'module': {'w': torch.tensor([1, 2])}}, 'list': [torch.tensor([3]), (torch.tensor([4]), 5)],
                   1: torch.tensor([6])},
    }
    metadata = {'training': {'epoch': '300', 'args.lr': '0.001', 'args.model': 'deit_tiny', 'args.clip_grad': '[0.5, 2]',
                             'args.distributed': 'False', 'args.opt_betas': 'None', 'args.nested.drop': '0.25', 'name': 'é',
                             'max_accuracy': '72.2', 'where': 'cuda:1', 'size': '[2, 3]', 'big': str(2 ** 70),
                             'optimizer.param_groups.0.betas': '[0.9, 0.999]', 'counts.a': '[1, 2]',
                             'lr_scheduler.milestones.5': '1'}}
    described = {}
    os.makedirs(folder, exist_ok=True)
    for name, value in files.items():
        tensors = {}
        flatten(value, '', tensors)
        for kind, protocols in (('zip', (2, 4)), ('legacy', (2, 3, 4, 5))):
            for protocol in protocols:
                if protocol != 2 and name not in ('training', 'views'):
                    continue
                file = f'{name}.{kind}{protocol}.pt'
                torch.save(value, os.path.join(folder, file), pickle_protocol=protocol,
                           _use_new_zipfile_serialization=kind == 'zip')
                described[file] = {'format': f'PyTorch {kind}', 'of': name}
        described[name] = {'tensors': tensors, 'metadata': metadata.get(name, {})}
    with open(os.path.join(folder, 'torch.json'), 'w') as f:
        json.dump(described, f, separators=(',', ':'))


main(sys.argv[1])
