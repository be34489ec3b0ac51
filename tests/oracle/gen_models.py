#!/usr/bin/python3
"""Golden fixtures for whole models with weights made by a rule (see README.md in fixtures: 'Weight rule').

usage: gen_models.py SEED OUTDIR [alternate]
Reference values are float64 (weights and inputs rounded to float32 first); tolerances come from torch's float32 paths and from the
gates of ReLUs that float32 does not decide (gates.py).
"""
import json, math, os, sys, time
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.regnet import RegNet, BlockParams
from functools import partial
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gates
import st

torch.set_num_threads(2)
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
OUT = sys.argv[2] if len(sys.argv) > 2 else '../Fixtures'
HELD = len(sys.argv) > 3
M64 = (1 << 64) - 1
T, C = {}, []


def fnv(s):
    h = 14695981039346656037
    for b in s.encode('utf8'):
        h = (h ^ b) * 1099511628211 & M64
    return h


def rule(name, n, seed=None):
    """n values v in [-1, 1): v = 2 * (z >> 40) / 2^24 - 1, z = splitmix64 stream number i+1 from state fnv1a64(name) ^ seed"""
    s = np.uint64(fnv(name) ^ (SEED if seed is None else seed))
    with np.errstate(over='ignore'):
        z = s + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) * 2.0 ** -23 - 1.0


def weight(name, shape):
    n = int(np.prod(shape)) if len(shape) else 1
    if name.endswith('num_batches_tracked'):
        return np.zeros(shape, np.int64)
    v = rule(name, n).reshape(shape)
    last = name.split('.')[-1]
    if last == 'running_mean':
        w = .1 * v
    elif last == 'running_var':
        w = 1 + .5 * v
    elif last in ('relative_position_bias_table', 'cls_token', 'dist_token', 'pos_embed'):
        w = .5 * v
    elif last == 'bias':
        w = .1 * v
    elif len(shape) >= 2:
        w = v * math.sqrt(3.0 / int(np.prod(shape[1:])))
    else:
        w = 1 + .2 * v
    return w.astype(np.float32)


def image(name, shape):
    """half noise, half a slow wave made of integer-hash values: 8x8 blocks share one value"""
    b, c, h, w = shape
    fine = rule(name + ':fine', b * c * h * w).reshape(shape)
    hb, wb = -(-h // 8), -(-w // 8)
    coarse = rule(name + ':coarse', b * c * hb * wb).reshape(b, c, hb, wb).repeat(8, 2).repeat(8, 3)[:, :, :h, :w]
    return (1.5 * coarse + .5 * fine).astype(np.float32)


class Attention(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.h, self.qkv, self.proj = h, nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.h, d // self.h).permute(2, 0, 3, 1, 4).unbind(0)
        a = (q @ k.transpose(-2, -1) * (d // self.h) ** -.5).softmax(-1)
        return self.proj((a @ v).transpose(1, 2).reshape(b, n, d))


class Mlp(nn.Module):
    def __init__(self, d, m):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(d, m), nn.Linear(m, d)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, d, h, m):
        super().__init__()
        self.norm1, self.attn, self.norm2, self.mlp = nn.LayerNorm(d, 1e-6), Attention(d, h), nn.LayerNorm(d, 1e-6), Mlp(d, m)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.proj = nn.Conv2d(3, d, p, p)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class ViT(nn.Module):
    def __init__(self, img, p, d, depth, h, classes, distilled=False):
        super().__init__()
        n = (img // p) ** 2
        self.distilled = distilled
        self.cls_token = nn.Parameter(torch.zeros(1, 1, d))
        if distilled:
            self.dist_token = nn.Parameter(torch.zeros(1, 1, d))
        self.pos_embed = nn.Parameter(torch.zeros(1, n + 1 + distilled, d))
        self.patch_embed = PatchEmbed(d, p)
        self.blocks = nn.ModuleList([Block(d, h, 4 * d) for _ in range(depth)])
        self.norm = nn.LayerNorm(d, 1e-6)
        self.head = nn.Linear(d, classes)
        if distilled:
            self.head_dist = nn.Linear(d, classes)

    def features(self, x, keep):
        x = self.patch_embed(x)
        keep['patch_embed'] = x
        pre = [self.cls_token.expand(len(x), -1, -1)] + ([self.dist_token.expand(len(x), -1, -1)] if self.distilled else [])
        x = torch.cat(pre + [x], 1) + self.pos_embed
        for i, b in enumerate(self.blocks):
            x = b(x)
            keep[f'blocks.{i}'] = x
        x = self.norm(x)
        keep['norm'] = x
        if self.distilled:
            keep['logits_cls'], keep['logits_dist'] = self.head(x[:, 0]), self.head_dist(x[:, 1])
            return (keep['logits_cls'] + keep['logits_dist']) / 2
        return self.head(x[:, 0])


def tv_features(m, x, keep):
    hs = []
    if isinstance(m, SwinTransformer):
        for i, f in enumerate(m.features):
            hs.append(f.register_forward_hook(lambda _, __, o, i=i: keep.__setitem__(f'features.{i}', o)))
        hs.append(m.norm.register_forward_hook(lambda _, __, o: keep.__setitem__('norm', o)))
    else:
        hs.append(m.stem.register_forward_hook(lambda _, __, o: keep.__setitem__('stem', o)))
        for k, f in m.trunk_output.named_children():
            hs.append(f.register_forward_hook(lambda _, __, o, k=k: keep.__setitem__(f'trunk_output.{k}', o)))
    y = m(x)
    for h in hs:
        h.remove()
    return y


def sample(a, k):
    f = a.reshape(-1)
    return f[np.minimum(((np.arange(min(k, f.size)) + .5) * f.size / min(k, f.size)).astype(np.int64), f.size - 1)]


def run(name, make, shape, classes, train=False, full=False, teacher=False, note='', cfg=None):
    t0 = time.time()
    labels = torch.tensor([(7 * b + 3) % classes for b in range(shape[0])])
    loss_rep = 'cross_entropy(logits, labels, label_smoothing=0.1)'
    if teacher:
        loss_rep = '0.5*loss_task + 0.5*loss_hard (loss_task: cls logits, smoothing 0.1; loss_hard: dist logits against argmax of teacher; loss_soft: deit soft form, T = 3, value only)'

    def work(dt):
        m = make()
        sd = {k: torch.from_numpy(np.array(weight(k, tuple(v.shape)))) for k, v in m.state_dict().items() if not k.endswith('relative_position_index')}
        m.load_state_dict(sd, strict=False)
        m = m.to(dt).train(train)
        x = torch.from_numpy(image('input:' + name, shape)).to(dt).requires_grad_(True)
        keep = {}
        y = m.features(x, keep) if isinstance(m, ViT) else tv_features(m, x, keep)
        if teacher:
            tl = torch.from_numpy(4 * rule('teacher:' + name, shape[0] * classes).reshape(shape[0], classes).astype(np.float32)).to(dt)
            keep['loss_task'] = F.cross_entropy(keep['logits_cls'], labels, label_smoothing=.1)
            keep['loss_hard'] = F.cross_entropy(keep['logits_dist'], tl.argmax(1))
            keep['loss_soft'] = F.kl_div(F.log_softmax(keep['logits_dist'] / 3, 1), F.log_softmax(tl / 3, 1), reduction='sum', log_target=True) * 9 / tl.numel()
            loss = .5 * keep['loss_task'] + .5 * keep['loss_hard']
        else:
            loss = F.cross_entropy(y, labels, label_smoothing=.1)
        loss.backward()
        bn = {k: v.detach().numpy().astype(np.float64) for k, v in m.state_dict().items() if train and k.endswith(('running_mean', 'running_var'))}
        return ({k: v.detach().numpy().astype(np.float64) for k, v in keep.items()}, y.detach().numpy().astype(np.float64), float(loss), {k: p.grad.numpy().astype(np.float64) for k, p in m.named_parameters()}, x.grad.numpy().astype(np.float64), bn)

    runs = gates.Runs(work)
    k64, y64, l64, g64, x64, b64 = runs.true
    tol = lambda pick, error=runs.error: float('%.3g' % max(error(pick), 1e-5 * float(np.abs(pick(runs.true)).max()), 1e-7))
    c = {'id': name, 'config': cfg, 'input_shape': list(shape), 'train': train, 'classes': classes, 'labels': labels.tolist(), 'loss_is': loss_rep, 'loss': l64, 'loss_tol': max(runs.error(lambda r: r[2]), 1e-5), 'note': note, 'features': [], 'params': [], 'n_params': int(sum(v.size for v in g64.values()))}
    T[f'{name}.logits'] = y64.astype(np.float32)
    c['logits_tol'] = tol(lambda r: r[1])
    for k, v in k64.items():
        if v.ndim == 0:
            c[k] = float(v)
            continue
        T[f'{name}.feat.{k}'] = sample(v, 128).astype(np.float32)
        c['features'].append({'name': k, 'shape': list(v.shape), 'mean': float(v.mean()), 'std': float(v.std()), 'norm': float(np.linalg.norm(v)), 'tol': tol(lambda r: r[0][k]), 'norm_tol': max(1e-5 * float(np.linalg.norm(v)), runs.error(lambda r: np.linalg.norm(r[0][k])))})
    for i, (k, v) in enumerate(g64.items()):
        c['params'].append({'name': k, 'shape': list(v.shape), 'grad_norm': float(np.linalg.norm(v)), 'tol': tol(lambda r: r[3][k], runs.gradient_error)})
        if full:
            T[f'{name}.grad.{k}'] = v.astype(np.float32)
        else:
            s = np.zeros(8)
            q = sample(v, 8)
            s[:q.size] = q
            T.setdefault(f'{name}.grad_samples', np.zeros((len(g64), 8), np.float32))[i] = s
    T[f'{name}.grad_input'] = (x64 if full else sample(x64, 128)).astype(np.float32)
    c['grad_input_norm'] = float(np.linalg.norm(x64))
    c['grad_input_tol'] = tol(lambda r: r[4], runs.gradient_error)
    for k in b64:
        if full or k.split('.')[0] == 'stem' or 'block4' in k:
            T[f'{name}.bn.{k}'] = b64[k].astype(np.float32)
    if full:
        T[f'{name}.input'] = image('input:' + name, shape)
    # sanity: check values of the rule
    k0 = next(iter(g64))
    c['rule_check'] = {'param': k0, 'first4': [float(v) for v in weight(k0, tuple(g64[k0].shape)).reshape(-1)[:4]], 'input_first4': [float(v) for v in image('input:' + name, shape).reshape(-1)[:4]]}
    C.append(c)
    print(f'{name}: params {c["n_params"]} undecided gates {runs.undecided} loss {l64:.4f} logits std {y64.std():.3f} tol {c["logits_tol"]:.2g} feat std', [round(f['std'], 2) for f in c['features']][-6:], f'grad norms {min(p["grad_norm"] for p in c["params"]):.2g}..{max(p["grad_norm"] for p in c["params"]):.2g}', f'{time.time() - t0:.0f}s', flush=True)


LN = partial(nn.LayerNorm, eps=1e-5)
swin = lambda e, dep, hd, ws, cl: lambda: SwinTransformer([4, 4], e, dep, hd, [ws, ws], stochastic_depth_prob=0., num_classes=cl, norm_layer=LN)
MS = 40 if HELD else 36

run('vit_micro', lambda: ViT(32, 8, 24, 2, 3, 10), (2, 3, 32, 32), 10, full=True, cfg=dict(kind='vit', img=32, patch=8, dim=24, depth=2, heads=3, mlp_ratio=4, eps=1e-6))
run('deit_micro', lambda: ViT(32, 8, 24, 2, 3, 10, True), (2, 3, 32, 32), 10, full=True, teacher=True, cfg=dict(kind='deit', img=32, patch=8, dim=24, depth=2, heads=3, mlp_ratio=4, eps=1e-6, distilled=True), note='logits = mean of both heads')
run('swin_micro', swin(12, [2, 2], [2, 4], 3, 10), (2, 3, MS, MS + 4), 10, full=True, cfg=dict(kind='swin', patch=4, dim=12, depths=[2, 2], heads=[2, 4], window=3, eps=1e-5), note='odd sizes: merging pads, windows pad, shift off when the window covers the map')
run('regnet_micro', lambda: RegNet(BlockParams.from_init_params(depth=5, w_0=16, w_a=12.0, w_m=2.0, group_width=8, se_ratio=.25), num_classes=10), (2, 3, 48, 40), 10, train=True, full=True, cfg=dict(kind='regnet', depth=5, w_0=16, w_a=12.0, w_m=2.0, group_width=8, se_ratio=.25, stem=32), note='train mode: batch statistics; bn.* are the new running statistics (momentum 0.1)')
run('regnet_micro_eval', lambda: RegNet(BlockParams.from_init_params(depth=5, w_0=16, w_a=12.0, w_m=2.0, group_width=8, se_ratio=.25), num_classes=10), (2, 3, 48, 40), 10, train=False, full=True, cfg=dict(kind='regnet', depth=5, w_0=16, w_a=12.0, w_m=2.0, group_width=8, se_ratio=.25, stem=32))
run('deit_tiny', lambda: ViT(224, 16, 192, 12, 3, 1000), (2, 3, 224, 224), 1000, cfg=dict(kind='vit', img=224, patch=16, dim=192, depth=12, heads=3, mlp_ratio=4, eps=1e-6))
run('deit_tiny_distilled', lambda: ViT(224, 16, 192, 12, 3, 1000, True), (2, 3, 224, 224), 1000, teacher=True, cfg=dict(kind='deit', img=224, patch=16, dim=192, depth=12, heads=3, mlp_ratio=4, eps=1e-6, distilled=True), note='logits = mean of both heads')
run('swin_nano', swin(48, [2, 2, 6, 2], [3, 6, 12, 24], 7, 1000), (2, 3, 224, 224), 1000, cfg=dict(kind='swin', patch=4, dim=48, depths=[2, 2, 6, 2], heads=[3, 6, 12, 24], window=7, eps=1e-5))
run('swin_nano_odd', swin(48, [2, 2, 6, 2], [3, 6, 12, 24], 7, 1000), (1, 3, 200, 268) if not HELD else (1, 3, 180, 236), 1000, cfg=dict(kind='swin', patch=4, dim=48, depths=[2, 2, 6, 2], heads=[3, 6, 12, 24], window=7, eps=1e-5), note='maps that are not multiples of the window')
run('swin_t', swin(96, [2, 2, 6, 2], [3, 6, 12, 24], 7, 1000), (1, 3, 224, 224), 1000, cfg=dict(kind='swin', patch=4, dim=96, depths=[2, 2, 6, 2], heads=[3, 6, 12, 24], window=7, eps=1e-5))
reg16 = lambda: torchvision.models.regnet_y_16gf()
rc = dict(kind='regnet', depth=18, w_0=200, w_a=106.23, w_m=2.48, group_width=112, se_ratio=.25, stem=32)
run('regnet_y_16gf', reg16, (1, 3, 224, 224) if not HELD else (1, 3, 160, 192), 1000, cfg=rc, note='eval mode (running statistics by the rule)')
run('regnet_y_16gf_train', reg16, (2, 3, 64, 96), 1000, train=True, cfg=rc, note='train mode, batch 2')
os.makedirs(OUT, exist_ok=True)
n = st.save(os.path.join(OUT, 'models.safetensors'), T, {'seed': SEED})
with open(os.path.join(OUT, 'models.json'), 'w') as f:
    f.write('{"seed": %d, "models": [\n' % SEED + ',\n'.join(json.dumps(c) for c in C) + '\n]}\n')
print(n, 'bytes', os.path.getsize(os.path.join(OUT, 'models.json')), 'bytes json')
