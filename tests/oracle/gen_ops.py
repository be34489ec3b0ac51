#!/usr/bin/python3
"""Golden fixtures for tensor ops: inputs, outputs and gradients under random upstream gradients.

Everything is computed in float64 from float32 inputs; results are rounded to float32 at the end, so the stored
values are the true ones and the per-tensor `tol` in the JSON is set from the error that torch's own float32 path makes.
usage: gen_ops.py SEED OUTDIR
"""
import json, math, os, sys
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from scipy.optimize import linear_sum_assignment
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import st

torch.set_num_threads(2)
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 20240601
OUT = sys.argv[2] if len(sys.argv) > 2 else '../Fixtures'
rng = np.random.default_rng(SEED)
T, C, count = {}, [], {}


def R(*s, a=1.0, m=0.0):
    return (rng.standard_normal(s) * a + m).astype(np.float32)


def U(*s, lo=0.0, hi=1.0):
    return rng.uniform(lo, hi, s).astype(np.float32)


def D(lo, hi):
    return int(rng.integers(lo, hi + 1))


def I(hi, *s, lo=0):
    return rng.integers(lo, hi, s).astype(np.int64)


def B(*s, p=0.5):
    return rng.random(s) < p


def case(op, fn, inputs, attrs=None, grad='auto', note=None, tol=None):
    n = count.get(op, 0)
    count[op] = n + 1
    cid = f'{op}.{n:02d}'
    fl = [k for k, v in inputs.items() if v.dtype == np.float32]
    if grad == 'auto':
        grad = fl
    grad = grad or []
    res = {}
    gouts = None
    for dt in (torch.float64, torch.float32):
        t = {}
        for k, v in inputs.items():
            x = torch.from_numpy(np.array(v))
            if v.dtype == np.float32:
                x = x.to(dt)
                if k in grad:
                    x.requires_grad_(True)
            t[k] = x
        o = fn(**t)
        o = [o] if torch.is_tensor(o) else list(o)
        if gouts is None:
            gouts = [R(*x.shape) if grad and x.is_floating_point() and x.requires_grad else None for x in o]
        g = [None] * len(grad)
        idx = [i for i, x in enumerate(gouts) if x is not None]
        if grad and idx:
            g = torch.autograd.grad([o[i] for i in idx], [t[k] for k in grad], [torch.from_numpy(np.array(gouts[i])).to(dt) for i in idx], allow_unused=True)
            g = [torch.zeros_like(t[k]) if x is None else x for k, x in zip(grad, g)]
        else:
            grad, g = [], []
        res[dt] = [x.detach().numpy() for x in o], [x.detach().numpy() for x in g]
    o64, g64 = res[torch.float64]
    o32, g32 = res[torch.float32]
    c = {'id': cid, 'op': op, 'attrs': attrs or {}, 'in': list(inputs), 'out': [], 'grad': list(grad)}
    if note:
        c['note'] = note
    tols = {}

    def put(key, ref, f32):
        if ref.dtype == np.float64:
            fin = np.isfinite(ref)
            sc = float(np.abs(ref[fin]).max()) if fin.any() else 0.0
            er = float(np.abs(ref[fin] - f32.astype(np.float64)[fin]).max()) if fin.any() else 0.0
            if not math.isfinite(er):
                er = 0.0
            tols[key] = float('%.3g' % (tol if tol is not None else max(16 * er, 4e-6 * sc, 1e-7)))
            ref = ref.astype(np.float32)
        T[f'{cid}.{key}'] = ref
    for k, v in inputs.items():
        T[f'{cid}.in.{k}'] = v
    for i, (a, b) in enumerate(zip(o64, o32)):
        put(f'out.{i}', a, b)
        c['out'].append(i)
        if gouts[i] is not None and grad:
            T[f'{cid}.gout.{i}'] = gouts[i]
    for k, a, b in zip(grad, g64, g32):
        put(f'grad.{k}', a, b)
    c['tol'] = tols
    C.append(c)


def elementwise():
    un = {
        'neg': torch.neg, 'abs': torch.abs, 'exp': torch.exp, 'square': torch.square, 'sin': torch.sin, 'cos': torch.cos, 'tanh': torch.tanh, 'sigmoid': torch.sigmoid, 'relu': F.relu,
        'silu': F.silu, 'erf': torch.erf, 'softplus': F.softplus, 'expm1': torch.expm1, 'hardswish': F.hardswish, 'hardsigmoid': F.hardsigmoid, 'elu': F.elu, 'logsigmoid': F.logsigmoid, 'atan': torch.atan}
    for k, f in un.items():
        case(k, lambda x, f=f: f(x), {'x': R(3, 1, 7, 5, a=2)})
    case('leaky_relu', lambda x: F.leaky_relu(x, 0.1), {'x': R(4, 9)}, {'negative_slope': 0.1})
    for k, f in {'log': torch.log, 'sqrt': torch.sqrt, 'rsqrt': torch.rsqrt, 'reciprocal': torch.reciprocal, 'log1p': torch.log1p}.items():
        case(k, lambda x, f=f: f(x), {'x': U(5, 11, lo=.05, hi=6)})
    for a in ('none', 'tanh'):
        case('gelu', lambda x, a=a: F.gelu(x, approximate=a), {'x': R(2, 13, 3, a=2)}, {'approximate': a})
        case('gelu', lambda x, a=a: F.gelu(x, approximate=a), {'x': np.array([-60, -12, -6, -1e-4, -0.0, 0.0, 1e-4, 6, 12, 60], np.float32)}, {'approximate': a}, note='tails')
    for k, f in {'sigmoid': torch.sigmoid, 'softplus': F.softplus, 'logsigmoid': F.logsigmoid, 'tanh': torch.tanh, 'silu': F.silu}.items():
        case(k, lambda x, f=f: f(x), {'x': np.array([-100, -88, -30, -1e-6, 0, 1e-6, 30, 88, 100], np.float32)}, note='tails')
    for e in (2.0, 3.0, 0.5, -1.5, 0.0):
        case('pow_scalar', lambda x, e=e: torch.pow(x, e), {'x': U(4, 7, lo=.1, hi=3)}, {'exponent': e})
    case('clamp', lambda x: x.clamp(-.5, .8), {'x': R(6, 7)}, {'min': -.5, 'max': .8})
    case('clamp', lambda x: x.clamp(min=1e-3), {'x': R(17)}, {'min': 1e-3, 'max': None})
    case('relu', lambda x: F.relu(x), {'x': np.zeros((0, 4), np.float32)}, note='zero-size')
    case('exp', lambda x: torch.exp(x), {'x': np.array([-np.inf, np.inf, np.nan, -104, 88.7, 0], np.float32)}, grad=None, note='special values, nan equals nan')
    shapes = [((3, 1, 5), (4, 1)), ((), (2, 3)), ((2, 3, 4), (2, 3, 4)), ((1,), (5, 1, 1)), ((0, 3), (1, 3)), ((7, 1), (1, 9)), ((2, 1, 3, 1), (4, 1, 6))]
    bi = {'add': torch.add, 'sub': torch.sub, 'mul': torch.mul, 'div': torch.div, 'maximum': torch.maximum, 'minimum': torch.minimum}
    for k, f in bi.items():
        for a, b in shapes:
            y = U(*b, lo=.3, hi=2) * np.where(B(*b), 1, -1).astype(np.float32) if k == 'div' else R(*b)
            case(k, lambda x, y, f=f: f(x, y), {'x': R(*a), 'y': np.asarray(y, np.float32)})
    case('maximum', torch.maximum and (lambda x, y: torch.maximum(x, y)), {'x': np.array([1, 2, 3, 3], np.float32), 'y': np.array([1, 3, 2, 3], np.float32)}, note='ties: gradient is halved')
    case('pow', lambda x, y: torch.pow(x, y), {'x': U(3, 1, 4, lo=.2, hi=3), 'y': R(5, 1)})
    for k, f in {'eq': torch.eq, 'lt': torch.lt, 'ge': torch.ge, 'ne': torch.ne}.items():
        case(k, lambda x, y, f=f: f(x, y), {'x': np.round(R(4, 1, 3)), 'y': np.round(R(5, 1))}, grad=None)
    case('where', lambda c, x, y: torch.where(c, x, y), {'c': B(4, 1, 3), 'x': R(5, 1), 'y': R(1, 1, 3)})
    case('where', lambda c, x, y: torch.where(c, x, y), {'c': B(2, 3), 'x': R(), 'y': R(2, 3)})
    case('masked_fill', lambda x, m: x.masked_fill(m, -1e9), {'x': R(2, 4, 3), 'm': B(4, 1)}, {'value': -1e9})
    case('lerp', lambda x, y: torch.lerp(x, y, 0.3), {'x': R(3, 5), 'y': R(3, 5)}, {'weight': .3})
    for _ in range(6):  # fuzzed broadcast
        n = D(1, 4)
        full = [D(1, 5) for _ in range(n)]
        a = [1 if rng.random() < .35 else d for d in full]
        b = [1 if rng.random() < .35 else d for d in full][D(0, n - 1):]
        case('mul', lambda x, y: x * y, {'x': R(*a), 'y': R(*b)}, note='fuzz')


def matmuls():
    sh = [((5,), (5,)), ((5,), (5, 3)), ((4, 5), (5,)), ((4, 5), (5, 3)), ((2, 4, 5), (2, 5, 3)), ((2, 4, 5), (5, 3)), ((4, 5), (2, 5, 3)), ((3, 1, 4, 5), (2, 5, 6)), ((2, 3, 4, 5), (2, 3, 5, 1)), ((1, 1), (1, 1)), ((0, 4), (4, 3)),
          ((3, 0), (0, 2)), ((2, 3, 4), (0, 4, 5)[1:]), ((65, 129), (129, 33)), ((3, 17, 31), (3, 31, 19)), ((1, 200), (200, 1)), ((2, 5, 3), (3,)), ((7, 1), (1, 9)), ((1, 257), (257, 70)), ((100, 3), (3, 100)), ((2, 1, 33, 16), (3, 16, 47))]
    for a, b in sh:
        case('matmul', lambda x, y: torch.matmul(x, y), {'x': R(*a), 'y': R(*b)})
    for ta, tb in ((1, 0), (0, 1), (1, 1)):
        m, k, n = D(3, 37), D(3, 37), D(3, 37)
        for bt in ((), (3,), (2, 1)):
            x, y = R(*bt, *((k, m) if ta else (m, k))), R(*bt, *((n, k) if tb else (k, n)))
            case('matmul_t', lambda x, y, ta=ta, tb=tb: torch.matmul(x.transpose(-1, -2) if ta else x, y.transpose(-1, -2) if tb else y), {'x': x, 'y': y}, {'transpose_x': bool(ta), 'transpose_y': bool(tb)})
    for s, i, o, bias in (((7, 13), 13, 9, True), ((2, 3, 5, 11), 11, 4, True), ((4, 6), 6, 1, False), ((0, 6), 6, 5, True), ((2, 197, 24), 24, 72, True)):
        inp = {'x': R(*s), 'w': R(o, i, a=.3)}
        if bias:
            inp['b'] = R(o)
        case('linear', lambda x, w, b=None: F.linear(x, w, b), inp)
    case('addmm', lambda c, x, y: torch.addmm(c, x, y, beta=.5, alpha=2.), {'c': R(1, 6), 'x': R(5, 4), 'y': R(4, 6)}, {'beta': .5, 'alpha': 2.0})
    for eq, *s in (('bhid,bhjd->bhij', (2, 3, 5, 4), (2, 3, 6, 4)), ('bhij,bhjd->bhid', (2, 3, 5, 6), (2, 3, 6, 4)), ('ij,kj->ik', (4, 5), (3, 5)), ('bchw,oc->bohw', (2, 3, 4, 5), (6, 3)), ('i,j->ij', (4,), (5,)), ('bij->bji', (2, 3, 4)),
                   ('bii->bi', (2, 4, 4)), ('bqc,bchw->bqhw', (2, 5, 3), (2, 3, 4, 6)), ('abc->', (2, 3, 4)), ('bnd,d->bn', (2, 5, 7), (7,)), ('ij,jk,kl->il', (3, 4), (4, 5), (5, 2))):
        case('einsum', lambda eq=eq, **k: torch.einsum(eq, *k.values()), {f'x{i}': R(*q) for i, q in enumerate(s)}, {'equation': eq})
    for _ in range(8):
        bt = [D(1, 3) for _ in range(D(0, 2))]
        m, k, n = D(1, 70), D(1, 90), D(1, 70)
        ba = [1 if rng.random() < .4 else d for d in bt]
        case('matmul', lambda x, y: x @ y, {'x': R(*ba, m, k), 'y': R(*bt, k, n)}, note='fuzz')


def convs():
    cfg = [  # n ci h w co k s p d g bias
        (2, 3, 9, 11, 5, 3, 1, 1, 1, 1, 1), (1, 4, 8, 8, 6, 1, 1, 0, 1, 1, 1), (2, 6, 10, 7, 6, 3, 1, 1, 1, 6, 1), (2, 6, 11, 9, 12, 3, 2, 1, 1, 3, 0), (1, 3, 17, 19, 4, 7, 2, 3, 1, 1, 1), (1, 2, 12, 13, 3, 3, 1, 2, 2, 1, 1),
        (1, 3, 32, 32, 10, 16, 16, 0, 1, 1, 1), (1, 4, 13, 15, 4, 5, 3, 2, 1, 4, 1), (3, 5, 6, 6, 7, (3, 1), (1, 2), (1, 0), 1, 1, 0), (1, 4, 9, 9, 8, (1, 3), 1, (0, 1), (1, 2), 2, 1), (1, 1, 3, 3, 1, 3, 1, 0, 1, 1, 1), (2, 3, 5, 5, 4, 2, 2, 1, 1, 1, 0),
        (0, 3, 8, 8, 4, 3, 1, 1, 1, 1, 1), (1, 8, 14, 14, 16, 3, 2, 1, 1, 2, 0), (1, 3, 10, 10, 3, 4, 4, 0, 1, 3, 1), (2, 16, 5, 5, 24, 1, 2, 0, 1, 1, 0), (1, 17, 7, 7, 19, 3, 1, 1, 1, 1, 1)]
    for _ in range(14):
        g = (1, 1, 2, 3)[D(0, 3)]
        ci, co = g * D(1, 4), g * D(1, 4)
        k = (D(1, 4), D(1, 4))
        d = (D(1, 2), D(1, 2))
        p = (D(0, k[0]), D(0, k[1]))
        h = max(D(4, 12), d[0] * (k[0] - 1) + 1)
        w = max(D(4, 12), d[1] * (k[1] - 1) + 1)
        cfg.append((D(1, 2), ci, h, w, co, k, (D(1, 3), D(1, 3)), p, d, g, D(0, 1)))
    two = lambda v: list(v) if isinstance(v, tuple) else [v, v]
    for n, ci, h, w, co, k, s, p, d, g, b in cfg:
        k, s, p, d = map(two, (k, s, p, d))
        inp = {'x': R(n, ci, h, w), 'w': R(co, ci // g, *k, a=.5)}
        if b:
            inp['b'] = R(co)
        case('conv2d', lambda x, w, b=None, s=s, p=p, d=d, g=g: F.conv2d(x, w, b, s, p, d, g), inp, {'stride': s, 'padding': p, 'dilation': d, 'groups': g})
    for n, ci, l, co, k, s, p, d, g in ((2, 4, 13, 6, 3, 2, 1, 1, 2), (1, 3, 9, 3, 5, 1, 2, 1, 3)):
        case('conv1d', lambda x, w, b, s=s, p=p, d=d, g=g: F.conv1d(x, w, b, s, p, d, g), {'x': R(n, ci, l), 'w': R(co, ci // g, k), 'b': R(co)}, {'stride': [s], 'padding': [p], 'dilation': [d], 'groups': g})
    for n, ci, h, w, co, k, s, p, op, g in ((1, 4, 5, 6, 3, 2, 2, 0, 0, 1), (2, 4, 4, 5, 6, 3, 2, 1, 1, 2)):
        case('conv_transpose2d', lambda x, w, b, s=s, p=p, op=op, g=g: F.conv_transpose2d(x, w, b, s, p, op, g), {'x': R(n, ci, h, w), 'w': R(ci, co // g, k, k), 'b': R(co)}, {'stride': [s, s], 'padding': [p, p], 'output_padding': [op, op], 'groups': g})
    for k, s, p, d, ce in ((3, 2, 1, 1, False), (2, 2, 0, 1, True), (3, 1, 1, 1, False), ((3, 2), (2, 3), (1, 0), 1, True), (2, 1, 0, 2, False), (3, 2, 1, 1, True)):
        k, s, p, d = map(two, (k, s, p, d))
        x = rng.permutation(2 * 3 * 11 * 13).reshape(2, 3, 11, 13).astype(np.float32) / 100 - 4
        case('max_pool2d', lambda x, k=k, s=s, p=p, d=d, ce=ce: F.max_pool2d(x, k, s, p, d, ce), {'x': x.astype(np.float32)}, {'kernel': k, 'stride': s, 'padding': p, 'dilation': d, 'ceil_mode': ce})
    for k, s, p, ce, cip in ((3, 2, 1, False, True), (3, 2, 1, False, False), (2, 2, 0, True, True), ((2, 3), (2, 2), (1, 1), True, False), (3, 2, 1, True, True), (7, 7, 0, False, True)):
        k, s, p = map(two, (k, s, p))
        case('avg_pool2d', lambda x, k=k, s=s, p=p, ce=ce, cip=cip: F.avg_pool2d(x, k, s, p, ce, cip), {'x': R(2, 3, 10, 13)}, {'kernel': k, 'stride': s, 'padding': p, 'ceil_mode': ce, 'count_include_pad': cip})
    for o in ([1, 1], [3, 5], [7, 7], [4, 1]):
        case('adaptive_avg_pool2d', lambda x, o=o: F.adaptive_avg_pool2d(x, o), {'x': R(2, 3, 7, 11)}, {'output_size': o})
    case('adaptive_max_pool2d', lambda x: F.adaptive_max_pool2d(x, [3, 4]), {'x': R(2, 3, 7, 11)}, {'output_size': [3, 4]})
    for k, s, p, d in ((3, 1, 1, 1), (2, 2, 0, 1), ((2, 3), (1, 2), (0, 1), (2, 1))):
        k, s, p, d = map(two, (k, s, p, d))
        case('unfold', lambda x, k=k, s=s, p=p, d=d: F.unfold(x, k, d, p, s), {'x': R(2, 3, 6, 8)}, {'kernel': k, 'stride': s, 'padding': p, 'dilation': d})
    case('pixel_shuffle', lambda x: F.pixel_shuffle(x, 2), {'x': R(2, 12, 3, 5)}, {'upscale_factor': 2})


def norms():
    for s in ((4, 5, 3, 7), (6, 5), (2, 1, 1, 3), (3, 4, 6), (1, 3, 2, 2)):
        c = s[1]
        for train in (True, False):
            inp = {'x': R(*s, a=2, m=.7), 'w': R(c, m=1, a=.3), 'b': R(c), 'running_mean': R(c), 'running_var': U(c, lo=.3, hi=2)}

            def bn(x, w, b, running_mean, running_var, train=train):
                m, v = running_mean.clone(), running_var.clone()
                y = F.batch_norm(x, m, v, w, b, train, 0.1, 1e-5)
                return y, m, v
            case('batch_norm', bn, inp, {'training': train, 'momentum': .1, 'eps': 1e-5}, grad=['x', 'w', 'b'], note='outputs: y, new running_mean, new running_var (unbiased batch variance goes in)')
    x = R(3, 4, 5, 5, a=.01, m=300)
    case('batch_norm', lambda x, w, b, running_mean, running_var: F.batch_norm(x, None, None, w, b, True, .1, 1e-5), {'x': x, 'w': R(4), 'b': R(4), 'running_mean': R(4), 'running_var': U(4)}, {'training': True, 'momentum': .1, 'eps': 1e-5}, grad=['x', 'w', 'b'],
         note='large mean, small variance: only y is stored; a one-pass variance fails here')
    for s, k, eps in (((4, 7), 1, 1e-5), ((2, 5, 96), 1, 1e-6), ((2, 3, 4, 5), 2, 1e-5), ((1, 1), 1, 1e-5), ((3, 0, 6), 1, 1e-5), ((2, 197, 24), 1, 1e-6)):
        ns = list(s[-k:])
        case('layer_norm', lambda x, w, b, ns=ns, eps=eps: F.layer_norm(x, ns, w, b, eps), {'x': R(*s, a=3, m=1), 'w': R(*ns, m=1), 'b': R(*ns)}, {'normalized_shape': ns, 'eps': eps})
    case('layer_norm', lambda x: F.layer_norm(x, [9]), {'x': R(5, 9)}, {'normalized_shape': [9], 'eps': 1e-5}, note='no affine')
    case('layer_norm', lambda x: F.layer_norm(x, [16]), {'x': R(5, 16, a=.05, m=500)}, {'normalized_shape': [16], 'eps': 1e-5}, note='large mean')
    for g, s in ((1, (2, 6, 5)), (3, (2, 6, 4, 5)), (6, (1, 6, 3, 3)), (8, (2, 32, 3, 4))):
        case('group_norm', lambda x, w, b, g=g: F.group_norm(x, g, w, b, 1e-5), {'x': R(*s, m=1), 'w': R(s[1], m=1), 'b': R(s[1])}, {'num_groups': g, 'eps': 1e-5})
    for d, p in ((1, 2.0), (-1, 1.0)):
        case('normalize', lambda x, d=d, p=p: F.normalize(x, p, d, 1e-12), {'x': R(3, 4, 5)}, {'p': p, 'dim': d, 'eps': 1e-12})
    for s, d in (((3, 7), -1), ((2, 3, 4, 5), 1), ((4, 1), 1), ((5,), 0), ((2, 33, 65), -1), ((3, 0), 0)):
        for k, f in (('softmax', F.softmax), ('log_softmax', F.log_softmax), ('logsumexp', lambda x, dim: torch.logsumexp(x, dim))):
            case(k, lambda x, d=d, f=f: f(x, dim=d), {'x': R(*s, a=3)}, {'dim': d})
    big = np.array([[1e4, 1e4 - 1, -1e4], [-np.inf, 0, 1], [500, -500, 0]], np.float32)
    for k, f in (('softmax', F.softmax), ('log_softmax', F.log_softmax), ('logsumexp', lambda x, dim: torch.logsumexp(x, dim))):
        case(k, lambda x, f=f: f(x, dim=-1), {'x': big}, {'dim': -1}, grad=None, note='extreme')


def mixup_target(t, n, lam, sm):
    off, on = sm / n, 1 - sm + sm / n
    oh = lambda t: torch.full((len(t), n), off, dtype=torch.float64).scatter_(1, t.view(-1, 1), on)
    return oh(t) * lam + oh(t.flip(0)) * (1 - lam)


def giou_loss(a, b, red):
    return torchvision.ops.generalized_box_iou_loss(a, b, reduction=red)


def boxes(n, lo=1, hi=12, span=30):
    xy = U(n, 2, lo=0, hi=span)
    return np.concatenate([xy, xy + U(n, 2, lo=lo, hi=hi)], 1).astype(np.float32)


def losses():
    for red in ('mean', 'sum', 'none'):
        for ls in (0.0, 0.1):
            t = I(7, 9)
            t[2] = -100
            case('cross_entropy', lambda x, t, red=red, ls=ls: F.cross_entropy(x, t, reduction=red, label_smoothing=ls), {'x': R(9, 7, a=2), 't': t}, {'reduction': red, 'label_smoothing': ls, 'ignore_index': -100, 'target': 'index'})
    case('cross_entropy', lambda x, t, w: F.cross_entropy(x, t, w, label_smoothing=.05), {'x': R(6, 5), 't': I(5, 6), 'w': U(5, lo=.2, hi=2)}, {'reduction': 'mean', 'label_smoothing': .05, 'ignore_index': -100, 'target': 'index'}, grad=['x'], note='class weights w')
    case('cross_entropy', lambda x, t: F.cross_entropy(x, t), {'x': R(2, 5, 3, 4), 't': I(5, 2, 3, 4)}, {'reduction': 'mean', 'label_smoothing': 0.0, 'ignore_index': -100, 'target': 'index'}, note='dense, class dim 1')
    sm = np.exp(R(6, 5))
    sm = (sm / sm.sum(1, keepdims=True)).astype(np.float32)
    for ls in (0.0, .1):
        for red in ('mean', 'none'):
            case('cross_entropy', lambda x, t, ls=ls, red=red: F.cross_entropy(x, t, label_smoothing=ls, reduction=red), {'x': R(6, 5), 't': sm}, {'reduction': red, 'label_smoothing': ls, 'target': 'prob'})
    case('cross_entropy', lambda x, t: F.cross_entropy(x, t), {'x': R(1, 1000, a=4), 't': I(1000, 1)}, {'reduction': 'mean', 'label_smoothing': 0.0, 'ignore_index': -100, 'target': 'index'})
    case('nll_loss', lambda x, t: F.nll_loss(x, t), {'x': R(5, 4), 't': I(4, 5)}, {'reduction': 'mean'})
    for n, lam, s in ((5, .3, .1), (9, 1.0, 0.0), (10, .7, .1)):
        case('mixup_target', lambda t, n=n, lam=lam, s=s: mixup_target(t, n, lam, s), {'t': I(n, 6)}, {'num_classes': n, 'lam': lam, 'smoothing': s}, grad=None, note='timm: off = s/n, on = 1-s+s/n, second target is the batch reversed')
    case('soft_target_cross_entropy', lambda x, t: torch.sum(-t * F.log_softmax(x, -1), -1).mean(), {'x': R(6, 5), 't': sm})
    for Tm in (1.0, 4.0, .5, 20.0):
        case('kd_kl', lambda s, t, Tm=Tm: F.kl_div(F.log_softmax(s / Tm, -1), F.log_softmax(t / Tm, -1), reduction='batchmean', log_target=True) * Tm * Tm, {'s': R(5, 11, a=3), 't': R(5, 11, a=3)}, {'temperature': Tm}, grad=['s', 't'], note='batchmean, times T^2')
        case('deit_distill_soft', lambda s, t, Tm=Tm: F.kl_div(F.log_softmax(s / Tm, 1), F.log_softmax(t / Tm, 1), reduction='sum', log_target=True) * (Tm * Tm) / s.numel(), {'s': R(5, 11, a=3), 't': R(5, 11, a=3)}, {'temperature': Tm}, grad=['s'])
    case('deit_distill_hard', lambda s, t: F.cross_entropy(s, t.argmax(1)), {'s': R(5, 11), 't': R(5, 11)}, grad=['s'])
    case('kl_div', lambda x, t: F.kl_div(x, t, reduction='batchmean'), {'x': R(6, 5), 't': np.where(B(6, 5, p=.2), 0, sm).astype(np.float32)}, {'reduction': 'batchmean', 'log_target': False}, grad=['x'], note='x is a log-probability; 0 log 0 = 0')
    for red in ('mean', 'sum', 'none'):
        a, b = R(4, 3, 5), R(4, 3, 5)
        case('mse', lambda x, y, red=red: F.mse_loss(x, y, reduction=red), {'x': a, 'y': b}, {'reduction': red})
        case('l1', lambda x, y, red=red: F.l1_loss(x, y, reduction=red), {'x': a, 'y': b}, {'reduction': red})
        case('smooth_l1', lambda x, y, red=red: F.smooth_l1_loss(x, y, reduction=red, beta=.7), {'x': a, 'y': b}, {'reduction': red, 'beta': .7})
        case('huber', lambda x, y, red=red: F.huber_loss(x, y, reduction=red, delta=.7), {'x': a, 'y': b}, {'reduction': red, 'delta': .7})
        x, t = R(6, 5, a=3), B(6, 5).astype(np.float32)
        case('bce_with_logits', lambda x, t, red=red: F.binary_cross_entropy_with_logits(x, t, reduction=red), {'x': x, 't': t}, {'reduction': red}, grad=['x'])
        for al, ga in ((.25, 2.0), (-1.0, 2.0), (.25, 0.0), (.6, 1.5)):
            case('sigmoid_focal', lambda x, t, red=red, al=al, ga=ga: torchvision.ops.sigmoid_focal_loss(x, t, al, ga, red), {'x': x, 't': t}, {'reduction': red, 'alpha': al, 'gamma': ga}, grad=['x'])
        a, b = boxes(9), boxes(9)
        b[:3] = a[:3] + U(3, 4, lo=-.8, hi=.8)
        b[3] = a[3]
        case('giou_loss', lambda a, b, red=red: giou_loss(a, b, red), {'a': a, 'b': b}, {'reduction': red, 'eps': 1e-7}, note='element-wise, torchvision generalized_box_iou_loss (eps in both quotients)')
        case('diou_loss', lambda a, b, red=red: torchvision.ops.distance_box_iou_loss(a, b, reduction=red), {'a': a, 'b': b}, {'reduction': red, 'eps': 1e-7})
        case('ciou_loss', lambda a, b, red=red: torchvision.ops.complete_box_iou_loss(a, b, reduction=red), {'a': a, 'b': b}, {'reduction': red, 'eps': 1e-7})
    x = np.array([[100, -100, 60, -60, 0]], np.float32)
    case('bce_with_logits', lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction='none'), {'x': x, 't': np.array([[0, 1, 1, 0, .3]], np.float32)}, {'reduction': 'none'}, grad=['x'], note='extreme')
    case('sigmoid_focal', lambda x, t: torchvision.ops.sigmoid_focal_loss(x, t, .25, 2., 'none'), {'x': x, 't': np.array([[0, 1, 1, 0, 1]], np.float32)}, {'reduction': 'none', 'alpha': .25, 'gamma': 2.0}, grad=['x'], note='extreme')
    case('bce_with_logits', lambda x, t, w, p: F.binary_cross_entropy_with_logits(x, t, w, pos_weight=p), {'x': R(6, 5), 't': U(6, 5), 'w': U(6, 1), 'p': U(5, lo=.5, hi=3)}, {'reduction': 'mean'}, grad=['x'], note='weight w, pos_weight p')
    case('cosine_similarity', lambda x, y: F.cosine_similarity(x, y, dim=1, eps=1e-8), {'x': R(4, 6, 3), 'y': R(4, 6, 3)}, {'dim': 1, 'eps': 1e-8})
    a, b = boxes(6), boxes(8)
    b[0] = a[0]
    case('box_iou', lambda a, b: torchvision.ops.box_iou(a, b), {'a': a, 'b': b}, grad=['a', 'b'])
    case('generalized_box_iou', lambda a, b: torchvision.ops.generalized_box_iou(a, b), {'a': a, 'b': b}, grad=['a', 'b'], note='pairwise, DETR')
    case('box_cxcywh_to_xyxy', lambda x: torchvision.ops.box_convert(x, 'cxcywh', 'xyxy'), {'x': U(5, 4)})
    case('box_xyxy_to_cxcywh', lambda x: torchvision.ops.box_convert(x, 'xyxy', 'cxcywh'), {'x': boxes(5)})
    bx, sc, ix = boxes(60, 4, 14, 24), rng.permutation(60).astype(np.float32) / 60, I(4, 60)
    for thr in (.3, .5, .7):
        case('nms', lambda b, s, thr=thr: torchvision.ops.nms(b, s, thr), {'b': bx, 's': sc}, {'iou_threshold': thr}, grad=None, note='kept indices by falling score')
        case('batched_nms', lambda b, s, i, thr=thr: torchvision.ops.batched_nms(b, s, i, thr), {'b': bx, 's': sc, 'i': ix}, {'iou_threshold': thr}, grad=None)
    for n, m in ((5, 5), (12, 4), (4, 9), (1, 6), (30, 13), (60, 60)):
        case('linear_sum_assignment', lambda c: tuple(torch.from_numpy(z.astype(np.int64)) for z in linear_sum_assignment(c.numpy())), {'c': R(n, m)}, grad=None, note='min cost; rows rising')
    for q, m, k in ((20, 5, 7), (9, 12, 4), (15, 0, 3)):
        tb = np.concatenate([U(m, 2, lo=.3, hi=.7), U(m, 2, lo=.1, hi=.4)], 1)
        pb = np.concatenate([U(q, 2, lo=.2, hi=.8), U(q, 2, lo=.05, hi=.5)], 1)

        def mat(x, pb, tb, t):
            p = x.sigmoid()
            ng = .75 * p ** 2 * -(1 - p + 1e-8).log()
            ps = .25 * (1 - p) ** 2 * -(p + 1e-8).log()
            c = 5 * torch.cdist(pb, tb, p=1) + 2 * (ps[:, t] - ng[:, t]) - 2 * torchvision.ops.generalized_box_iou(*(torchvision.ops.box_convert(z, 'cxcywh', 'xyxy') for z in (pb, tb)))
            r, s = linear_sum_assignment(c.detach().numpy())
            return c, torch.from_numpy(r.astype(np.int64)), torch.from_numpy(s.astype(np.int64))
        case('detr_focal_matcher', mat, {'x': R(q, k), 'pb': pb, 'tb': tb, 't': I(k, m)}, {'cost_class': 2.0, 'cost_bbox': 5.0, 'cost_giou': 2.0, 'alpha': .25, 'gamma': 2.0}, grad=None, note='Deformable-DETR matcher for one image: cost [queries, targets], query index, target index')


def attention():
    for b, h, n, m, d, kind in ((2, 3, 7, 7, 5, 'none'), (1, 2, 5, 9, 8, 'none'), (2, 2, 6, 6, 4, 'causal'), (2, 3, 5, 7, 4, 'bool'), (4, 3, 9, 9, 6, 'bias'), (1, 1, 1, 1, 3, 'none'), (1, 3, 50, 50, 16, 'bias')):
        inp = {'q': R(b, h, n, d), 'k': R(b, h, m, d), 'v': R(b, h, m, d)}
        if kind == 'bool':
            mk = B(b, 1, n, m, p=.6)
            mk[..., 0] = True
            inp['mask'] = mk
        if kind == 'bias':
            inp['bias'] = R(h, n, m)

        def sd(q, k, v, mask=None, bias=None, kind=kind):
            a = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
            if kind == 'causal':
                a = a.masked_fill(torch.ones(a.shape[-2:]).triu(1).bool(), -math.inf)
            if mask is not None:
                a = a.masked_fill(~mask, -math.inf)
            if bias is not None:
                a = a + bias
            return a.softmax(-1) @ v
        case('sdpa', sd, inp, {'kind': kind, 'scale': '1/sqrt(d)'}, note='mask True = may attend; bias is added before softmax' if kind in ('bool', 'bias') else None)
    ids = 0
    for ws in ((7, 7), (3, 4)):
        co = torch.stack(torch.meshgrid(torch.arange(ws[0]), torch.arange(ws[1]), indexing='ij')).flatten(1)
        rel = (co[:, :, None] - co[:, None, :]).permute(1, 2, 0) + torch.tensor([ws[0] - 1, ws[1] - 1])
        ix = rel[..., 0] * (2 * ws[1] - 1) + rel[..., 1]
        case('swin_relative_position_index', lambda z, ix=ix: ix, {'z': np.zeros(1, np.int64)}, {'window': list(ws)}, grad=None, note='input z is a dummy')
        tab = R((2 * ws[0] - 1) * (2 * ws[1] - 1), 3)
        case('swin_relative_position_bias', lambda table, ix=ix: table[ix.view(-1)].view(*ix.shape, -1).permute(2, 0, 1), {'table': tab}, {'window': list(ws)})
    for n, h, w, c, ws in ((2, 8, 12, 3, 4), (1, 7, 7, 5, 7), (2, 6, 9, 2, 3)):
        part = lambda x, n=n, h=h, w=w, c=c, ws=ws: x.view(n, h // ws, ws, w // ws, ws, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, ws * ws, c)
        case('window_partition', part, {'x': R(n, h, w, c)}, {'window': ws})
        case('window_reverse', lambda x, n=n, h=h, w=w, c=c, ws=ws: x.view(n, h // ws, w // ws, ws, ws, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c), {'x': R(n * (h // ws) * (w // ws), ws * ws, c)}, {'window': ws, 'h': h, 'w': w})
    for h, w, ws, s in ((14, 14, 7, 3), (8, 12, 4, 2)):
        m = torch.zeros(h, w)
        k = 0
        for a in ((0, h - ws), (h - ws, h - s), (h - s, h)):
            for b in ((0, w - ws), (w - ws, w - s), (w - s, w)):
                m[a[0]:a[1], b[0]:b[1]] = k
                k += 1
        m = m.view(h // ws, ws, w // ws, ws).permute(0, 2, 1, 3).reshape(-1, ws * ws)
        m = (m[:, None, :] - m[:, :, None])
        m = torch.where(m != 0, -100., 0.)
        case('swin_shift_mask', lambda z, m=m: m.double(), {'z': np.zeros(1, np.int64)}, {'h': h, 'w': w, 'window': ws, 'shift': s}, grad=None, note='[windows, ws*ws, ws*ws], -100 or 0; input z is a dummy')
    for sh, dm in (((-3, -3), (1, 2)), ((2,), (0,)), ((5, -1, 1), (0, 1, 3)), ((0, 7), (1, 2))):
        case('roll', lambda x, sh=sh, dm=dm: torch.roll(x, sh, dm), {'x': R(3, 7, 5, 2)}, {'shifts': list(sh), 'dims': list(dm)})


def ms_deform(value, loc, w, shapes):
    n, s, m, d = value.shape
    _, q, _, l, p, _ = loc.shape
    vs = value.split([h * v for h, v in shapes], 1)
    g = 2 * loc - 1
    out = []
    for i, (h, v) in enumerate(shapes):
        f = vs[i].permute(0, 2, 3, 1).reshape(n * m, d, h, v)
        gi = g[:, :, :, i].transpose(1, 2).reshape(n * m, q, p, 2)
        out.append(F.grid_sample(f, gi, 'bilinear', 'zeros', False))  # n*m, d, q, p
    o = torch.stack(out, -2).flatten(-2)  # n*m, d, q, l*p
    w = w.transpose(1, 2).reshape(n * m, 1, q, l * p)
    return (o * w).sum(-1).view(n, m * d, q).transpose(1, 2)


def awaygrid(s, hw, lo, hi):
    """normalised (-1..1) coordinates whose pixel position (align false and true) keeps 0.02 off every integer"""
    out = np.zeros((*s, 2), np.float32)
    for k, n in ((0, hw[1]), (1, hw[0])):
        c = U(*s, lo=lo, hi=hi)
        while True:
            bad = np.zeros(c.shape, bool)
            for al in ((0, 1) if n > 1 else (0,)):
                pix = (c.astype(np.float64) + 1) / 2 * (n - 1) if al else ((c.astype(np.float64) + 1) * n - 1) / 2
                bad |= np.abs(pix - np.round(pix)) < .02
                bad |= np.abs(pix * 2 - np.round(pix * 2)) < .04
            if not bad.any():
                break
            c = np.where(bad, U(*s, lo=lo, hi=hi), c).astype(np.float32)
        out[..., k] = c
    return out


def sampling():
    for s, o in (((2, 3, 5, 7), (8, 9)), ((1, 2, 9, 11), (4, 5)), ((1, 2, 4, 4), (8, 8)), ((1, 2, 6, 5), (6, 5)), ((1, 1, 1, 1), (3, 4)), ((1, 2, 7, 5), (1, 1)), ((1, 3, 13, 10), (5, 17))):
        for al in (False, True):
            case('interpolate', lambda x, o=o, al=al: F.interpolate(x, o, mode='bilinear', align_corners=al), {'x': R(*s)}, {'mode': 'bilinear', 'size': list(o), 'align_corners': al, 'antialias': False})
            case('interpolate', lambda x, o=o, al=al: F.interpolate(x, o, mode='bicubic', align_corners=al), {'x': R(*s)}, {'mode': 'bicubic', 'size': list(o), 'align_corners': al, 'antialias': False})
        for mode in ('bilinear', 'bicubic'):
            case('interpolate', lambda x, o=o, mode=mode: F.interpolate(x, o, mode=mode, align_corners=False, antialias=True), {'x': R(*s)}, {'mode': mode, 'size': list(o), 'align_corners': False, 'antialias': True}, note='PIL-like support widening when shrinking; bicubic a = -0.5 here, -0.75 without antialias')
        case('interpolate', lambda x, o=o: F.interpolate(x, o, mode='nearest'), {'x': R(*s)}, {'mode': 'nearest', 'size': list(o)})
    case('interpolate', lambda x: F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False), {'x': R(1, 2, 3, 5)}, {'mode': 'bilinear', 'scale_factor': 2.0, 'align_corners': False, 'antialias': False})
    case('interpolate', lambda x: F.interpolate(x, scale_factor=1.7, mode='bilinear', align_corners=False), {'x': R(1, 2, 5, 6)}, {'mode': 'bilinear', 'scale_factor': 1.7, 'align_corners': False, 'antialias': False}, note='scale_factor is used for the source coordinate (recompute_scale_factor unset)')
    for s, g in (((2, 3, 5, 7), (4, 6)), ((1, 2, 1, 9), (3, 3)), ((2, 1, 8, 8), (1, 11))):
        for al in (False, True):
            for pad in ('zeros', 'border', 'reflection'):
                case('grid_sample', lambda x, grid, al=al, pad=pad: F.grid_sample(x, grid, 'bilinear', pad, al), {'x': R(*s), 'grid': awaygrid((s[0], *g), s[2:], -1.4, 1.4)}, {'mode': 'bilinear', 'padding_mode': pad, 'align_corners': al})
        case('grid_sample', lambda x, grid: F.grid_sample(x, grid, 'nearest', 'zeros', False), {'x': R(*s), 'grid': awaygrid((s[0], *g), s[2:], -1.4, 1.4)}, {'mode': 'nearest', 'padding_mode': 'zeros', 'align_corners': False}, grad=['x'])
    far = np.array([[[[50, 0.1], [-1e6, .2], [.3, 1e9], [-1.0, -1.0]]]], np.float32)
    case('grid_sample', lambda x, grid: F.grid_sample(x, grid, 'bilinear', 'zeros', False), {'x': R(1, 2, 4, 4), 'grid': far}, {'mode': 'bilinear', 'padding_mode': 'zeros', 'align_corners': False}, grad=['x'], note='far outside')
    for n, m, d, q, p, shp in ((2, 2, 3, 5, 4, ((6, 8), (3, 4))), (1, 4, 2, 7, 2, ((5, 5), (3, 3), (2, 2), (1, 1))), (1, 1, 1, 1, 1, ((2, 3),)), (2, 8, 4, 6, 4, ((8, 6), (4, 3), (2, 2), (1, 1)))):
        L = len(shp)
        loc = np.stack([(awaygrid((n, q, m, p), hw, -1.2, 1.2) + 1) / 2 for hw in shp], 3).astype(np.float32)
        w = np.exp(R(n, q, m, L * p))
        w = (w / w.sum(-1, keepdims=True)).reshape(n, q, m, L, p).astype(np.float32)
        case('ms_deform_attn', lambda value, loc, w, shp=shp, **_: ms_deform(value, loc, w, shp), {'value': R(n, sum(a * b for a, b in shp), m, d), 'spatial_shapes': np.array(shp, np.int64), 'loc': loc, 'w': w}, note='loc [N,Q,heads,levels,points,(x,y)] in 0..1; w [N,Q,heads,levels,points]; output [N,Q,heads*d]')


def indexing():
    x = R(4, 5, 6)
    case('gather', lambda x, i: torch.gather(x, 1, i), {'x': x, 'i': I(5, 4, 3, 6)}, {'dim': 1})
    case('gather', lambda x, i: torch.gather(x, -1, i), {'x': x, 'i': I(6, 2, 5, 9)}, {'dim': -1}, note='index smaller in other dims, repeats')
    i = np.stack([rng.permutation(5)[:3] for _ in range(4 * 6)], -1).reshape(3, 4, 6).transpose(1, 0, 2).astype(np.int64).copy()
    case('scatter', lambda x, i, src: x.scatter(1, i, src), {'x': x, 'i': i, 'src': R(4, 3, 6)}, {'dim': 1}, note='unique indices')
    case('scatter_add', lambda x, i, src: x.scatter_add(0, i, src), {'x': x, 'i': I(4, 7, 5, 6), 'src': R(7, 5, 6)}, {'dim': 0})
    for d in (0, 1, -1):
        case('index_select', lambda x, i, d=d: x.index_select(d, i), {'x': x, 'i': I(4, 9)}, {'dim': d})
    case('index_select', lambda x, i: x.index_select(0, i), {'x': x, 'i': I(4, 0)}, {'dim': 0}, note='empty index')
    case('index_add', lambda x, i, src: x.index_add(1, i, src), {'x': x, 'i': I(5, 8), 'src': R(4, 8, 6)}, {'dim': 1})
    case('embedding', lambda w, i: F.embedding(i, w), {'w': R(7, 3), 'i': I(7, 2, 5)})
    case('embedding', lambda w, i: F.embedding(i, w, padding_idx=2), {'w': R(7, 3), 'i': np.array([[2, 1, 2], [0, 2, 6]], np.int64)}, {'padding_idx': 2}, note='no gradient for row 2')
    case('one_hot', lambda i: F.one_hot(i, 6), {'i': I(6, 3, 4)}, {'num_classes': 6}, grad=None)
    for k in (0, 1, -2):
        case('tril', lambda x, k=k: torch.tril(x, k), {'x': R(2, 5, 4)}, {'diagonal': k})
        case('triu', lambda x, k=k: torch.triu(x, k), {'x': R(2, 5, 4)}, {'diagonal': k})
    case('flip', lambda x: x.flip((0, 2)), {'x': x}, {'dims': [0, 2]})
    case('repeat', lambda x: x.repeat(2, 1, 3), {'x': R(3, 2)}, {'repeats': [2, 1, 3]})
    case('expand', lambda x: x.expand(2, 3, 4), {'x': R(3, 1)}, {'size': [2, 3, 4]})
    case('repeat_interleave', lambda x: x.repeat_interleave(3, 1), {'x': R(2, 4, 3)}, {'repeats': 3, 'dim': 1})
    case('cat', lambda a, b, c: torch.cat([a, b, c], 1), {'a': R(2, 3, 4), 'b': R(2, 1, 4), 'c': R(2, 0, 4)}, {'dim': 1})
    case('cat', lambda a, b: torch.cat([a, b], -1), {'a': R(2, 3, 4), 'b': R(2, 3, 5)}, {'dim': -1})
    for d in (0, 1, -1):
        case('stack', lambda a, b, d=d: torch.stack([a, b], d), {'a': R(3, 4), 'b': R(3, 4)}, {'dim': d})
    case('split', lambda x: torch.split(x, [2, 0, 5, 1], 1), {'x': R(3, 8, 2)}, {'sizes': [2, 0, 5, 1], 'dim': 1})
    case('chunk', lambda x: torch.chunk(x, 3, -1), {'x': R(2, 8)}, {'chunks': 3, 'dim': -1}, note='sizes 3, 3, 2')
    case('unbind', lambda x: torch.unbind(x, 0), {'x': R(3, 2, 4)}, {'dim': 0})
    for mode, pad in (('constant', (1, 2, 0, 3)), ('constant', (-1, 2, -2, 0)), ('reflect', (2, 1, 1, 3)), ('replicate', (2, 1, 1, 3)), ('circular', (2, 1, 1, 3))):
        case('pad', lambda x, mode=mode, pad=pad: F.pad(x, pad, mode, *((.5,) if mode == 'constant' else ())), {'x': R(2, 3, 5, 6)}, {'mode': mode, 'pad': list(pad), 'value': .5 if mode == 'constant' else None}, note='torch order: last dim first (left, right, top, bottom)')
    for p in ((0, 2, 1), (2, 1, 0), (1, 0, 2)):
        case('permute', lambda x, p=p: x.permute(p), {'x': R(3, 4, 5)}, {'dims': list(p)})
    case('permute', lambda x: x.permute(0, 3, 1, 2), {'x': R(2, 3, 4, 5)}, {'dims': [0, 3, 1, 2]})
    case('reshape_permuted', lambda x: x.permute(2, 0, 1).reshape(10, 6), {'x': R(3, 4, 5)}, {'dims': [2, 0, 1], 'shape': [10, 6]})
    case('slice', lambda x: x[1:3, ::2, 5:1], {'x': R(4, 5, 6)}, {'slices': [[1, 3, 1], [0, 5, 2], [5, 1, 1]]}, note='empty result')
    case('slice', lambda x: x[1:4, ::3, 1:-1], {'x': R(4, 7, 6)}, {'slices': [[1, 4, 1], [0, 7, 3], [1, 5, 1]]})
    case('diagonal', lambda x: x.diagonal(1, 1, 2), {'x': R(2, 4, 5)}, {'offset': 1, 'dim1': 1, 'dim2': 2})
    case('flatten', lambda x: x.flatten(1, 2), {'x': R(2, 3, 4, 5)}, {'start': 1, 'end': 2})
    case('masked_select', lambda x, m: x[m], {'x': R(4, 5), 'm': B(4, 5)})


def reductions():
    cfg = [((3, 4, 5), None, False), ((3, 4, 5), [1], True), ((3, 4, 5), [0, 2], False), ((3, 4, 5), [-1], False), ((7,), [0], False), ((2, 3, 4, 5), [2, 3], True), ((2, 1, 5), [1], False), ((1000,), None, False), ((5, 333), [1], False)]
    for _ in range(5):
        s = tuple(D(1, 5) for _ in range(D(2, 4)))
        cfg.append((s, sorted(int(v) for v in rng.choice(len(s), D(1, len(s)), replace=False)), bool(D(0, 1))))
    for s, d, k in cfg:
        kw = {} if d is None else {'dim': d, 'keepdim': k}
        at = {'dim': d, 'keepdim': k}
        case('sum', lambda x, kw=kw: torch.sum(x, **kw), {'x': R(*s)}, at)
        case('mean', lambda x, kw=kw: torch.mean(x, **kw), {'x': R(*s, m=2)}, at)
        n = int(np.prod([s[i] for i in (d if d is not None else range(len(s)))]))
        if n > 1:
            for c in (0, 1):
                case('var', lambda x, d=d, k=k, c=c: torch.var(x, dim=d, correction=c, keepdim=k), {'x': R(*s, m=3)}, {**at, 'correction': c})
            case('std', lambda x, d=d, k=k: torch.std(x, dim=d, correction=1, keepdim=k), {'x': R(*s, m=3)}, {**at, 'correction': 1})
        case('amax', lambda x, d=d, k=k: torch.amax(x, dim=d if d is not None else (), keepdim=k), {'x': R(*s)}, at)
        case('norm2', lambda x, d=d, k=k: torch.linalg.vector_norm(x, 2, dim=d, keepdim=k), {'x': R(*s)}, at)
    case('amax', lambda x: torch.amax(x, 1), {'x': np.array([[1, 3, 3], [2, 2, 2]], np.float32)}, {'dim': [1], 'keepdim': False}, note='ties share the gradient equally')
    case('norm1', lambda x: torch.linalg.vector_norm(x, 1, dim=1), {'x': R(4, 5)}, {'dim': [1], 'keepdim': False})
    case('norminf', lambda x: torch.linalg.vector_norm(x, math.inf, dim=1), {'x': R(4, 5)}, {'dim': [1], 'keepdim': False})
    case('norm2', lambda x: torch.linalg.vector_norm(x, 2, dim=1), {'x': np.zeros((2, 3), np.float32)}, {'dim': [1], 'keepdim': False}, note='gradient at zero is zero')
    case('prod', lambda x: torch.prod(x, 1), {'x': R(4, 5)}, {'dim': [1], 'keepdim': False})
    case('sum', lambda x: x.sum(0), {'x': np.zeros((0, 3), np.float32)}, {'dim': [0], 'keepdim': False}, note='zero-size')
    case('var', lambda x: torch.var(x, dim=1, correction=0), {'x': R(3, 512, a=.01, m=1000)}, {'dim': [1], 'keepdim': False, 'correction': 0}, note='large mean')
    for d in (0, 1, -1):
        x = rng.permutation(4 * 5 * 6).reshape(4, 5, 6).astype(np.float32)
        case('max', lambda x, d=d: torch.max(x, d), {'x': x}, {'dim': d}, note='values, indices')
        case('min', lambda x, d=d: torch.min(x, d), {'x': x}, {'dim': d}, note='values, indices')
        case('argmax', lambda x, d=d: torch.argmax(x, d), {'x': x}, {'dim': d}, grad=None)
        case('argmin', lambda x, d=d: torch.argmin(x, d, keepdim=True), {'x': x}, {'dim': d, 'keepdim': True}, grad=None)
        for lg in (True, False):
            case('topk', lambda x, d=d, lg=lg: torch.topk(x, 3, d, lg, True), {'x': x}, {'k': 3, 'dim': d, 'largest': lg, 'sorted': True})
        case('sort', lambda x, d=d: torch.sort(x, dim=d, descending=d == 1, stable=True), {'x': x}, {'dim': d, 'descending': d == 1})
        case('cumsum', lambda x, d=d: torch.cumsum(x, d), {'x': R(4, 5, 6)}, {'dim': d})
    case('cumprod', lambda x: torch.cumprod(x, 1), {'x': R(3, 6)}, {'dim': 1})
    case('argmax', lambda x: torch.argmax(x), {'x': R(3, 7)}, {'dim': None}, grad=None, note='flat index')
    case('any', lambda x: torch.any(x, 1), {'x': B(4, 5, p=.2)}, {'dim': 1}, grad=None)
    case('all', lambda x: torch.all(x, 1), {'x': B(4, 5, p=.8)}, {'dim': 1}, grad=None)
    case('topk', lambda x: torch.topk(x, 5, -1), {'x': R(3, 1000)}, {'k': 5, 'dim': -1, 'largest': True, 'sorted': True})


def linalg():
    for s, sc in (((5, 5), 1.), ((3, 4, 4), .3), ((2, 2), 5.), ((1, 1), 1.), ((16, 16), 2.), ((8, 8), 1e-4), ((12, 12), 4.)):
        def sk(a):
            x = a - a.transpose(-1, -2)
            return torch.matrix_exp(x)
        case('matrix_exp_skew', sk, {'a': R(*s, a=sc / math.sqrt(s[-1]))}, note='expm(A - A^T): orthogonal')
    case('matrix_exp', lambda a: torch.matrix_exp(a), {'a': R(6, 6, a=.4)})
    case('matrix_exp', lambda a: torch.matrix_exp(a), {'a': np.zeros((3, 3), np.float32)}, note='zero matrix')
    for n, k in ((8, 3), (11, 11)):
        def par(a, n=n, k=k):
            x = a.tril(-1)
            x = x - x.transpose(-1, -2)
            return torch.matrix_exp(x)[:, :k]
        case('orthogonal_expm', par, {'a': R(n, n, a=.5)}, {'columns': k}, note='X = tril(A,-1); Q = expm(X - X^T)[:, :k]')

        def cay(a, n=n, k=k):
            x = a.tril(-1)
            x = x - x.transpose(-1, -2)
            e = torch.eye(n, dtype=x.dtype)
            return torch.linalg.solve(e - .5 * x, e + .5 * x)[:, :k]
        case('orthogonal_cayley', cay, {'a': R(n, n, a=.5)}, {'columns': k}, note='(I - X/2)^-1 (I + X/2)')
    w = R(3, 5, 5, a=.3) + 2 * np.eye(5, dtype=np.float32)
    case('inverse', lambda a: torch.linalg.inv(a), {'a': w})
    case('solve', lambda a, b: torch.linalg.solve(a, b), {'a': w, 'b': R(3, 5, 2)})
    case('det', lambda a: torch.linalg.det(a), {'a': w})

    def chol(a):
        return torch.linalg.cholesky(a @ a.transpose(-1, -2) + torch.eye(4, dtype=a.dtype))
    case('cholesky', chol, {'a': R(2, 4, 4)}, note='of A A^T + I')
    case('outer', lambda x, y: torch.outer(x, y), {'x': R(4), 'y': R(6)})
    case('cdist1', lambda x, y: torch.cdist(x, y, p=1), {'x': R(4, 3), 'y': R(5, 3)}, {'p': 1})
    case('cdist2', lambda x, y: torch.cdist(x, y, p=2), {'x': R(4, 3), 'y': R(5, 3)}, {'p': 2})


def composites():
    d, h, n = 12, 3, 7

    def block(x, n1w, n1b, qkvw, qkvb, pw, pb, n2w, n2b, w1, b1, w2, b2):
        B_, N, D_ = x.shape
        y = F.layer_norm(x, [D_], n1w, n1b, 1e-6)
        q, k, v = F.linear(y, qkvw, qkvb).reshape(B_, N, 3, h, D_ // h).permute(2, 0, 3, 1, 4).unbind(0)
        a = ((q @ k.transpose(-2, -1)) * (D_ // h) ** -.5).softmax(-1)
        x = x + F.linear((a @ v).transpose(1, 2).reshape(B_, N, D_), pw, pb)
        y = F.layer_norm(x, [D_], n2w, n2b, 1e-6)
        return x + F.linear(F.gelu(F.linear(y, w1, b1)), w2, b2)
    case('vit_block', block, {'x': R(2, n, d), 'n1w': R(d, m=1, a=.2), 'n1b': R(d, a=.1), 'qkvw': R(3 * d, d, a=.3), 'qkvb': R(3 * d, a=.1), 'pw': R(d, d, a=.3), 'pb': R(d, a=.1), 'n2w': R(d, m=1, a=.2), 'n2b': R(d, a=.1), 'w1': R(4 * d, d, a=.3), 'b1': R(4 * d, a=.1), 'w2': R(d, 4 * d, a=.2), 'b2': R(d, a=.1)},
         {'heads': h, 'eps': 1e-6}, note='pre-norm ViT block as in timm')

    def merge(x, nw, nb, w):
        x0, x1, x2, x3 = x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]
        return F.linear(F.layer_norm(torch.cat([x0, x1, x2, x3], -1), [4 * x.shape[-1]], nw, nb, 1e-5), w)
    case('patch_merging', merge, {'x': R(2, 6, 4, 5), 'nw': R(20, m=1, a=.2), 'nb': R(20, a=.1), 'w': R(10, 20, a=.3)}, note='Swin: order (0,0) (1,0) (0,1) (1,1) of (row, column) offsets, norm then reduce')

    def se(x, w1, b1, w2, b2):
        s = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(F.conv2d(F.relu(F.conv2d(s, w1, b1)), w2, b2))
    case('squeeze_excite', se, {'x': R(2, 8, 5, 6), 'w1': R(3, 8, 1, 1), 'b1': R(3), 'w2': R(8, 3, 1, 1), 'b2': R(8)})

    def vkd(s, t, a):
        x = a.tril(-1)
        x = x - x.transpose(-1, -2)
        P = torch.matrix_exp(x)[:, :s.shape[-1]]
        y = s @ P.T
        return F.smooth_l1_loss(y, F.layer_norm(t, [t.shape[-1]]))
    case('orthogonal_feature_distill', vkd, {'s': R(6, 5), 't': R(6, 9), 'a': R(9, 9, a=.4)}, note='y = s Q[:, :ds]^T with Q = expm(skew(tril(A,-1))); smooth-L1 (beta 1, mean) to the layer-normed (no affine, eps 1e-5) teacher feature')

    # appended later: detector pieces
    for b, h, w, f in ((2, 5, 7, 4), (1, 3, 3, 8)):
        mk = np.zeros((b, h, w), bool)
        mk[0, h - 2:, :] = True
        mk[-1, :, w - 1:] = True

        def pe(mask, f=f):
            nm = (~mask).double()
            y, x = nm.cumsum(1), nm.cumsum(2)
            y, x = (v / (v.amax(d, keepdim=True) + 1e-6) * 2 * math.pi for v, d in ((y, 1), (x, 2)))
            dim = 10000 ** (2 * (torch.arange(f, dtype=torch.float64) // 2) / f)
            e = [torch.stack(((v[..., None] / dim)[..., 0::2].sin(), (v[..., None] / dim)[..., 1::2].cos()), 4).flatten(3) for v in (y, x)]
            return torch.cat(e, 3).permute(0, 3, 1, 2)
        case('sine_position', pe, {'mask': mk}, {'num_pos_feats': f, 'temperature': 10000, 'scale': '2*pi', 'eps': 1e-6}, grad=None, note='DETR: mask True = padding; cumsum of valid, divided by the last value (+eps); channels: y part then x part, sin/cos interleaved', tol=2e-5)
    case('inverse_sigmoid', lambda x: (x.clamp(0, 1).clamp(min=1e-5) / (1 - x.clamp(0, 1)).clamp(min=1e-5)).log(), {'x': np.array([-.2, .001, .3, .5, .9, .999], np.float32)}, {'eps': 1e-5})
    for B_, Q, K, nt in ((2, 9, 4, (3, 2)), (3, 12, 6, (5, 0, 1))):
        cx = lambda n: np.concatenate([U(n, 2, lo=.3, hi=.7), U(n, 2, lo=.1, hi=.4)], 1)
        tb, tl = cx(sum(nt)), I(K, sum(nt))

        def crit(logits, boxes, tb, tl, K=K, nt=nt):
            xy = lambda z: torchvision.ops.box_convert(z, 'cxcywh', 'xyxy')
            ts, ls = tb.split(nt), tl.split(nt)
            oh = torch.zeros_like(logits)
            sb, tt, qi, ti = [], [], [], []
            for i in range(len(nt)):
                p = logits[i].detach().sigmoid()
                ng = .75 * p ** 2 * -(1 - p + 1e-8).log()
                ps = .25 * (1 - p) ** 2 * -(p + 1e-8).log()
                bd = boxes[i].detach()
                c = 5 * torch.cdist(bd, ts[i], p=1) + 2 * (ps[:, ls[i]] - ng[:, ls[i]]) - 2 * torchvision.ops.generalized_box_iou(xy(bd), xy(ts[i]))
                r, s = linear_sum_assignment(c.numpy())
                r, s = torch.from_numpy(r.astype(np.int64)), torch.from_numpy(s.astype(np.int64))
                oh[i, r, ls[i][s]] = 1
                sb.append(boxes[i][r]); tt.append(ts[i][s]); qi.append(r); ti.append(s)
            n = max(1, sum(nt))
            sb, tt = torch.cat(sb), torch.cat(tt)
            ce = torchvision.ops.sigmoid_focal_loss(logits, oh, .25, 2., 'none').mean(1).sum() / n * logits.shape[1]
            l1 = F.l1_loss(sb, tt, reduction='none').sum() / n
            gi = (1 - torch.diag(torchvision.ops.generalized_box_iou(xy(sb), xy(tt)))).sum() / n
            return ce, l1, gi, torch.cat(qi), torch.cat(ti)
        case('deformable_detr_criterion', crit, {'logits': R(B_, Q, K), 'boxes': np.stack([cx(Q) for _ in range(B_)]), 'tb': tb, 'tl': tl}, {'targets_per_image': list(nt), 'cost_class': 2.0, 'cost_bbox': 5.0, 'cost_giou': 2.0, 'alpha': .25, 'gamma': 2.0}, grad=['logits', 'boxes'],
             note='outputs: loss_ce, loss_bbox, loss_giou (unweighted, divided by the number of targets), matched query and target indices, image after image; no gradient through the matcher')


def fused():
    """What the engine does in one pass: norm, sum and ReLU. No sum is so near to zero that single precision does not know its
    sign; the first channel's scale and shift are 0, so that there the ReLU sees the residual alone, with exact zeros in it."""
    def continued(y, r, relu):
        y = y if r is None else y + r
        return F.relu(y) if relu else y

    def settled(draw, before_relu):
        while True:
            inp = draw()
            z = before_relu(**{k: torch.from_numpy(v.astype(np.float64)) for k, v in inp.items()}).abs()
            if not ((z > 0) & (z < 1e-4)).any():
                return inp

    def channels(c):
        w, b = R(c, m=1, a=.3), R(c)
        w[0] = b[0] = 0
        return {'w': w, 'b': b, 'running_mean': R(c), 'running_var': U(c, lo=.3, hi=2)}

    def residual(*s):
        r = R(*s)
        r[:, 0] *= B(*r[:, 0].shape)
        return {'r': r}

    for s in ((4, 5, 3, 7), (6, 5), (2, 3, 9, 11), (3, 2, 4, 8)):
        for train in (True, False):
            for has_r, relu in ((False, True), (True, False), (True, True)):
                def bn(x, w, b, running_mean, running_var, r=None, train=train, relu=relu):
                    m, v = running_mean.clone(), running_var.clone()
                    return continued(F.batch_norm(x, m, v, w, b, train, 0.1, 1e-5), r, relu), m, v

                def draw(s=s, has_r=has_r):
                    return {'x': R(*s, a=2, m=.7), **channels(s[1]), **(residual(*s) if has_r else {})}
                inp = settled(draw, lambda bn=bn, **t: bn(**t, relu=False)[0])
                case('batch_norm_add_relu', bn, inp, {'training': train, 'momentum': .1, 'eps': 1e-5, 'relu': relu},
                     grad=['x', 'w', 'b'] + ['r'] * has_r, note='outputs: y, new running_mean, new running_var')
    for (i, o, k, stride, g, n), has_r, relu in (((3, 16, 3, 1, 1, 9), False, True), ((6, 4, 1, 1, 2, 7), True, False), ((8, 16, 3, 2, 2, 11), True, True)):
        def conv(x, k, w, b, running_mean, running_var, r=None, stride=stride, g=g, relu=relu):
            y = F.conv2d(x, k, None, stride, k.shape[-1] // 2, 1, g)
            return continued(F.batch_norm(y, running_mean, running_var, w, b, False, 0.1, 1e-5), r, relu)
        m = -(-n // stride)
        case('conv2d_batch_norm_add_relu', conv, {'x': R(2, i, n, n), 'k': R(o, i // g, k, k, a=.3), **channels(o), **(residual(2, o, m, m) if has_r else {})},
             {'stride': stride, 'padding': k // 2, 'groups': g, 'eps': 1e-5, 'relu': relu}, grad=None, note='fixed statistics')


if __name__ == '__main__':
    for f in (elementwise, matmuls, convs, norms, losses, attention, sampling, indexing, reductions, linalg, composites, fused):
        f()
    os.makedirs(OUT, exist_ok=True)
    n = st.save(os.path.join(OUT, 'ops.safetensors'), T, {'seed': SEED, 'torch': torch.__version__})
    with open(os.path.join(OUT, 'ops.json'), 'w') as f:
        f.write('{"seed": %d, "cases": [\n' % SEED + ',\n'.join(json.dumps(c) for c in C) + '\n]}\n')
    bad = [k for k, v in T.items() if v.dtype == np.float32 and not np.isfinite(v).all()]
    print(len(C), 'cases', len(count), 'ops', len(T), 'tensors', n, 'bytes; non-finite in:', bad)
