#!/usr/bin/python3
"""Golden trajectories for optimisers, clipping, learning-rate schedules and weight averaging. usage: gen_optim.py SEED OUTDIR"""
import json, math, os, sys
import numpy as np
import torch
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import st

torch.set_num_threads(1)
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 20240602
OUT = sys.argv[2] if len(sys.argv) > 2 else '../Fixtures'
rng = np.random.default_rng(SEED)
SH = {'w': (5, 7), 'b': (7,), 's': (3, 1, 2), 'z': ()}
STEPS, KEEP = 50, (1, 2, 3, 5, 10, 25, 50)
T, C = {}, []


class Lion(torch.optim.Optimizer):
    def __init__(self, ps, lr, betas=(.9, .99), weight_decay=0.):
        super().__init__(ps, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            b1, b2 = g['betas']
            for p in g['params']:
                s = self.state[p]
                m = s.setdefault('m', torch.zeros_like(p))
                p.mul_(1 - g['lr'] * g['weight_decay'])
                p.sub_((b1 * m + (1 - b1) * p.grad).sign(), alpha=g['lr'])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)


init = {k: rng.standard_normal(s).astype(np.float32) for k, s in SH.items()}
grads = {k: (rng.standard_normal((STEPS, *s)) * np.exp(rng.normal(0, 1, (STEPS,) + (1,) * len(s))) * (10 if k == 'w' else 1)).astype(np.float32) for k, s in SH.items()}
grads['b'][7] = 0
for k in grads:
    grads[k][20] = 0  # a step with no gradient at all
grads['s'][:, 0] = 0  # an element block that never gets a gradient
grads['w'][30] *= 1e4
for k in SH:
    T[f'init.{k}'] = init[k]
    T[f'grads.{k}'] = grads[k]


def run(name, make, attrs, clip=None, lrs=None, dtype=torch.float64):
    ps = {k: torch.nn.Parameter(torch.from_numpy(np.array(v)).to(dtype)) for k, v in init.items()}
    opt = make(ps)
    norms, snaps = [], {}
    for t in range(STEPS):
        if lrs is not None:
            for g in opt.param_groups:
                g['lr'] = lrs[t]
        for k, p in ps.items():
            p.grad = torch.from_numpy(np.array(grads[k][t])).to(dtype)
        if clip:
            kind, v = clip
            if kind == 'norm':
                norms.append(float(torch.nn.utils.clip_grad_norm_(list(ps.values()), v)))
            elif kind == 'value':
                torch.nn.utils.clip_grad_value_(list(ps.values()), v)
        opt.step()
        if t + 1 in KEEP:
            snaps[t + 1] = {k: p.detach().numpy().copy() for k, p in ps.items()}
    return snaps, norms


def case(name, make, attrs, clip=None, lrs=None):
    s64, norms = run(name, make, attrs, clip, lrs)
    s32, _ = run(name, make, attrs, clip, lrs, torch.float32)
    tol = {}
    for t in KEEP:
        for k in SH:
            T[f'{name}.{t}.{k}'] = s64[t][k].astype(np.float32)
            tol[f'{t}.{k}'] = float('%.2g' % max(16 * float(np.abs(s64[t][k] - s32[t][k]).max()), 4e-6 * float(np.abs(s64[t][k]).max()), 1e-6))
    c = {'id': name, **attrs, 'steps_kept': KEEP, 'tol': tol}
    if norms:
        T[f'{name}.total_norm'] = np.array(norms, np.float32)
    if lrs is not None:
        c['lr_per_step'] = lrs
    C.append(c)


A = lambda ps: list(ps.values())


def groups(ps, wd):
    return [{'params': [p for k, p in ps.items() if k in ('w', 's')], 'weight_decay': wd}, {'params': [p for k, p in ps.items() if k not in ('w', 's')], 'weight_decay': 0.}]


O = torch.optim
case('sgd', lambda p: O.SGD(A(p), .01), {'optimizer': 'sgd', 'lr': .01})
case('sgd_momentum', lambda p: O.SGD(A(p), .01, momentum=.9), {'optimizer': 'sgd', 'lr': .01, 'momentum': .9})
case('sgd_momentum_wd_damp', lambda p: O.SGD(A(p), .01, momentum=.9, dampening=.1, weight_decay=.05), {'optimizer': 'sgd', 'lr': .01, 'momentum': .9, 'dampening': .1, 'weight_decay': .05})
case('sgd_nesterov', lambda p: O.SGD(A(p), .01, momentum=.9, weight_decay=1e-4, nesterov=True), {'optimizer': 'sgd', 'lr': .01, 'momentum': .9, 'nesterov': True, 'weight_decay': 1e-4})
case('adam', lambda p: O.Adam(A(p), 1e-3), {'optimizer': 'adam', 'lr': 1e-3, 'betas': [.9, .999], 'eps': 1e-8})
case('adam_l2', lambda p: O.Adam(A(p), 3e-3, betas=(.8, .95), eps=1e-6, weight_decay=.1), {'optimizer': 'adam', 'lr': 3e-3, 'betas': [.8, .95], 'eps': 1e-6, 'weight_decay': .1})
case('adam_amsgrad', lambda p: O.Adam(A(p), 1e-3, amsgrad=True), {'optimizer': 'adam', 'lr': 1e-3, 'betas': [.9, .999], 'eps': 1e-8, 'amsgrad': True})
case('adamw', lambda p: O.AdamW(A(p), 1e-3, weight_decay=.05), {'optimizer': 'adamw', 'lr': 1e-3, 'betas': [.9, .999], 'eps': 1e-8, 'weight_decay': .05})
case('adamw_groups', lambda p: O.AdamW(groups(p, .05), 1e-3), {'optimizer': 'adamw', 'lr': 1e-3, 'betas': [.9, .999], 'eps': 1e-8, 'weight_decay': .05, 'no_decay': ['b', 'z']})
case('adamw_clip1', lambda p: O.AdamW(A(p), 1e-3, weight_decay=.05), {'optimizer': 'adamw', 'lr': 1e-3, 'betas': [.9, .999], 'eps': 1e-8, 'weight_decay': .05, 'clip_grad_norm': 1.0}, clip=('norm', 1.0))
case('sgd_clip_norm', lambda p: O.SGD(A(p), .01, momentum=.9), {'optimizer': 'sgd', 'lr': .01, 'momentum': .9, 'clip_grad_norm': 5.0}, clip=('norm', 5.0))
case('sgd_clip_value', lambda p: O.SGD(A(p), .01), {'optimizer': 'sgd', 'lr': .01, 'clip_grad_value': .5}, clip=('value', .5))
case('rmsprop', lambda p: O.RMSprop(A(p), 1e-3, alpha=.9, momentum=.9, eps=1e-3), {'optimizer': 'rmsprop', 'lr': 1e-3, 'alpha': .9, 'momentum': .9, 'eps': 1e-3, 'note': 'eps outside the root (torch)'})
case('adagrad', lambda p: O.Adagrad(A(p), .01), {'optimizer': 'adagrad', 'lr': .01, 'eps': 1e-10})
case('lion', lambda p: Lion(A(p), 1e-4, (.9, .99), .05), {'optimizer': 'lion', 'lr': 1e-4, 'betas': [.9, .99], 'weight_decay': .05, 'note': 'decay first, then sign(b1 m + (1-b1) g), then m = b2 m + (1-b2) g; sign(0) = 0'})


def cosine(t, base, t_initial, lr_min=0., warmup_t=0, warmup_lr=0., prefix=False, mul=1., decay=1., limit=1, k=1.):
    if t < warmup_t:
        return warmup_lr + t * (base - warmup_lr) / warmup_t
    if prefix:
        t -= warmup_t
    if mul != 1:
        i = math.floor(math.log(1 - t / t_initial * (1 - mul), mul))
        ti, tc = mul ** i * t_initial, t - (1 - mul ** i) / (1 - mul) * t_initial
    else:
        i, ti = t // t_initial, t_initial
        tc = t - ti * i
    if i >= limit:
        return lr_min
    hi = base * decay ** i
    return lr_min + .5 * (hi - lr_min) * (1 + math.cos(math.pi * tc ** k / ti ** k))


S = []


def sched(name, kind, n, f, attrs):
    S.append({'id': name, 'kind': kind, 'attrs': attrs, 'first_t': 0, 'values': [f(t) for t in range(n)]})


for nm, a, n in (('deit', dict(base=5e-4, t_initial=300, lr_min=1e-5, warmup_t=5, warmup_lr=1e-6), 312), ('dtokd_cls', dict(base=1e-3, t_initial=240, lr_min=1e-5, warmup_t=5, warmup_lr=1e-6), 245), ('prefix', dict(base=.1, t_initial=20, lr_min=1e-3, warmup_t=4, warmup_lr=1e-4, prefix=True), 30),
                 ('restarts', dict(base=.1, t_initial=10, lr_min=0., decay=.5, limit=3), 35), ('mul', dict(base=.1, t_initial=5, mul=2., limit=3, decay=.8, lr_min=1e-4), 40), ('k2', dict(base=.3, t_initial=17, k=2., lr_min=.01), 20), ('nowarm', dict(base=1., t_initial=7), 9)):
    sched('cosine_' + nm, 'timm_cosine', n, lambda t, a=a: cosine(t, **a), a)
sched('step', 'timm_step', 25, lambda t: (1e-6 + t * (.1 - 1e-6) / 3) if t < 3 else .1 * .5 ** (t // 7), dict(base=.1, decay_t=7, decay_rate=.5, warmup_t=3, warmup_lr=1e-6))
sched('multistep', 'torch_multistep', 20, lambda t: .1 * .1 ** sum(t >= m for m in (5, 9, 15)), dict(base=.1, milestones=[5, 9, 15], gamma=.1))
sched('vidt_cosine_like', 'torch_cosine_annealing', 60, lambda t: 1e-5 + .5 * (1e-4 - 1e-5) * (1 + math.cos(math.pi * t / 50)), dict(base=1e-4, T_max=50, eta_min=1e-5, note='closed form: past T_max it rises again'))
sched('linear_warmup', 'linear_warmup', 12, lambda t: 1e-3 * min(1., (t + 1) / 8), dict(base=1e-3, warmup_steps=8, note='base * min(1, (t+1)/steps)'))
lrs = [cosine(t, 2e-3, 50, 1e-5, 5, 1e-6) for t in range(STEPS)]
case('adamw_scheduled', lambda p: O.AdamW(A(p), 1e-3, weight_decay=.05), {'optimizer': 'adamw', 'betas': [.9, .999], 'eps': 1e-8, 'weight_decay': .05, 'clip_grad_norm': 1.0}, clip=('norm', 1.0), lrs=lrs)
# weight averaging over the adamw trajectory
E = []
for d in (.5, .9, .9999):
    ps = {k: torch.nn.Parameter(torch.from_numpy(np.array(v)).double()) for k, v in init.items()}
    ema = {k: p.detach().clone() for k, p in ps.items()}
    opt = O.AdamW(A(ps), 1e-2, weight_decay=.05)
    for t in range(STEPS):
        for k, p in ps.items():
            p.grad = torch.from_numpy(np.array(grads[k][t])).double()
        opt.step()
        for k, p in ps.items():
            ema[k] = d * ema[k] + (1 - d) * p.detach()
        if t + 1 in KEEP:
            for k in SH:
                T[f'ema_{d}.{t + 1}.{k}'] = ema[k].numpy().astype(np.float32)
    E.append({'id': f'ema_{d}', 'decay': d, 'optimizer': 'adamw', 'lr': 1e-2, 'weight_decay': .05, 'betas': [.9, .999], 'eps': 1e-8, 'note': 'ema starts as the initial weights; after each step ema = d*ema + (1-d)*w', 'tol': 2e-5})
os.makedirs(OUT, exist_ok=True)
n = st.save(os.path.join(OUT, 'optimisers.safetensors'), T, {'seed': SEED})
json.dump({'seed': SEED, 'steps': STEPS, 'params': {k: list(v) for k, v in SH.items()}, 'cases': C, 'schedules': S, 'ema': E}, open(os.path.join(OUT, 'optimisers.json'), 'w'))
print(len(C), 'optimiser cases', len(S), 'schedules', n, 'bytes', {c['id']: max(c['tol'].values()) for c in C})
