#!/usr/bin/python3
"""Golden values for multi-objective gradient balancing (min-norm point, CAGrad, PCGrad, IMTL-G, Nash, FAMO, GradNorm, DTO).

Own numpy code, float64 (min-norm: exact rational arithmetic). usage: gen_balance.py SEED OUTDIR
"""
import itertools, json, math, os, sys
from fractions import Fraction
import numpy as np
from scipy.optimize import minimize
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import st

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 20240603
OUT = sys.argv[2] if len(sys.argv) > 2 else '../Fixtures'
rng = np.random.default_rng(SEED)
T, C = {}, []


def fsolve(A, b):
    """exact Gaussian elimination; None when singular"""
    n = len(A)
    M = [r[:] + [v] for r, v in zip(A, b)]
    for i in range(n):
        p = next((j for j in range(i, n) if M[j][i] != 0), None)
        if p is None:
            return None
        M[i], M[p] = M[p], M[i]
        for j in range(n):
            if j != i and M[j][i] != 0:
                f = M[j][i] / M[i][i]
                M[j] = [a - f * c for a, c in zip(M[j], M[i])]
    return [M[i][n] / M[i][i] for i in range(n)]


def min_norm_exact(J):
    """min |J^T w|^2 on the simplex by enumerating supports; -> w, value, unique, support (all exact)"""
    K = len(J)
    F = [[Fraction(float(v)) for v in r] for r in J]
    G = [[sum(a * b for a, b in zip(F[i], F[j])) for j in range(K)] for i in range(K)]
    best = None
    sols = []
    for r in range(1, K + 1):
        for S in itertools.combinations(range(K), r):
            # [G_SS -1; 1^T 0] [w; mu] = [0; 1]
            A = [[G[i][j] for j in S] + [Fraction(-1)] for i in S] + [[Fraction(1)] * r + [Fraction(0)]]
            x = fsolve(A, [Fraction(0)] * r + [Fraction(1)])
            if x is None or any(v < 0 for v in x[:r]):
                continue
            w = [Fraction(0)] * K
            for i, v in zip(S, x):
                w[i] = v
            mu = x[r]
            Gw = [sum(G[i][j] * w[j] for j in range(K)) for i in range(K)]
            if all(v >= mu for v in Gw):
                sols.append((w, mu, Gw))
    w, mu, Gw = sols[0]
    assert all(s[1] == mu for s in sols)
    uniq = all(s[0] == w for s in sols)
    # several optimal supports found only if the optimum is a face; also unique needs affinely independent minimisers
    return [float(v) for v in w], float(mu), uniq, G


def add_minnorm(name, J, note=''):
    J = np.asarray(J, np.float64)
    w, v, uniq, G = min_norm_exact(J)
    i = f'minnorm.{sum(c["op"] == "minnorm" for c in C):02d}'
    T[f'{i}.J'] = J
    T[f'{i}.gram'] = np.array([[float(x) for x in r] for r in G])
    T[f'{i}.weights'] = np.array(w)
    sc = max(float(np.max(np.diag(T[f'{i}.gram']))), 0.0)
    C.append({'id': i, 'op': 'minnorm', 'name': name, 'K': len(J), 'd': J.shape[1], 'min_norm_sq': v, 'weights_unique': uniq, 'note': note, 'max_diag': sc})


def minnorm_cases():
    for K in range(2, 9):
        for d in (1, 2, 3, K, 20):
            add_minnorm(f'random_K{K}_d{d}', rng.standard_normal((K, d)))
        add_minnorm(f'biased_K{K}', rng.standard_normal((K, 12)) + 1.5 * rng.standard_normal(12), 'mostly agreeing gradients')
        add_minnorm(f'scales_K{K}', rng.standard_normal((K, 10)) * np.exp(rng.normal(0, 3, (K, 1))), 'norms over several decades')
    g = rng.standard_normal(6)
    e = np.eye(5)
    add_minnorm('equal', np.stack([g, g]), 'any weights are right')
    add_minnorm('equal_K4', np.stack([g] * 4), 'any weights are right')
    add_minnorm('opposite', np.stack([g, -g]), 'value 0 at 1/2, 1/2')
    add_minnorm('opposite_scaled', np.stack([g, -3 * g]), 'value 0 at 3/4, 1/4')
    add_minnorm('zero_first', np.stack([0 * g, g]), 'all weight on the zero gradient')
    add_minnorm('both_zero', np.zeros((2, 4)))
    add_minnorm('collinear', np.stack([g, 3 * g]), 'all weight on the shorter')
    add_minnorm('collinear_K3', np.stack([5 * g, 2 * g, 3 * g]))
    add_minnorm('orthogonal_unit', e[:2])
    add_minnorm('orthogonal_norms', np.stack([e[0], 10 * e[1]]), 'weights 100/101, 1/101')
    add_minnorm('orthogonal_K5', e * np.arange(1, 6)[:, None])
    add_minnorm('boundary_clip', np.stack([[1., 0, 0], [2, .5, 0]]), 'unclipped weight leaves 0..1')
    add_minnorm('exactly_on_boundary', np.stack([[1., 0, 0], [1., 1, 0]]), 'g12 = g11: weight is exactly 1, 0')
    add_minnorm('huge', np.stack([g, rng.standard_normal(6)]) * 1e20, 'squares overflow float32')
    add_minnorm('tiny', np.stack([g, rng.standard_normal(6)]) * 1e-20, 'squares underflow float32')
    add_minnorm('huge_and_tiny', np.stack([g * 1e20, rng.standard_normal(6) * 1e-20]), 'all but everything on the short one')
    add_minnorm('huge_opposite', np.stack([g * 1e20, -g * 1e20]))
    add_minnorm('near_parallel', np.stack([g, g * (1 + 1e-7) + 1e-9 * rng.standard_normal(6)]), 'ill-conditioned: compare the value, not the weights')
    add_minnorm('near_equal_norm', np.stack([[1., 1e-4], [1., -1e-4]]), 'weights 1/2, 1/2')
    add_minnorm('duplicate_K5', np.stack([g, g, rng.standard_normal(6), -g * .2, rng.standard_normal(6)]))
    add_minnorm('zero_in_hull_K6', np.concatenate([np.eye(3), -np.eye(3)]), 'value 0, weights not unique')
    add_minnorm('one_objective', g[None])
    m = 4000
    a = rng.standard_normal(m)
    add_minnorm('long_vectors', np.stack([a, .5 * a + rng.standard_normal(m)]).astype(np.float32).astype(np.float64) if m < 500 else np.stack([a, .5 * a + rng.standard_normal(m)])[:, :500], 'd = 500')


def dto_pairs():
    """the two-objective closed form on Gram entries"""
    rows = []
    for _ in range(40):
        A = rng.standard_normal((2, 3)) * np.exp(rng.normal(0, 1.5, (2, 1)))
        g11, g12, g22 = A[0] @ A[0], A[0] @ A[1], A[1] @ A[1]
        den = g11 + g22 - 2 * g12
        raw = (g22 - g12) / den
        p = min(1., max(0., raw))
        g = p * A[0] + (1 - p) * A[1]
        rows.append([g11, g12, g22, raw, p, 1 - p, g @ A[0], g @ A[1], math.sqrt(g @ g)])
    T['dto2.table'] = np.array(rows)
    C.append({'id': 'dto2', 'op': 'dto2', 'columns': ['g11', 'g12', 'g22', 'pi1_unclipped', 'pi1', 'pi2', '<g*,g1>', '<g*,g2>', '|g*|'], 'note': 'pi1 = clip((g22 - g12)/(g11 + g22 - 2 g12), 0, 1); the two inner products agree only when nothing is clipped'})


def simplex_min(f, K, grad=None):
    best = None
    starts = [np.ones(K) / K] + [rng.dirichlet(np.ones(K)) for _ in range(6)] + [np.eye(K)[i] * .98 + .02 / K for i in range(K)]
    for x0 in starts:
        r = minimize(f, x0, bounds=[(0, 1)] * K, constraints={'type': 'eq', 'fun': lambda x: 1 - x.sum()}, options={'ftol': 1e-16, 'maxiter': 2000})
        x = np.clip(r.x, 0, 1)
        x /= x.sum()
        if best is None or f(x) < best[0]:
            best = (f(x), x)
    x = best[1]
    step = 1e-2  # pairwise exchange polish
    while step > 1e-12:
        moved = False
        for i in range(K):
            for j in range(K):
                if i != j and x[j] > 0:
                    s = min(step, x[j])
                    y = x.copy()
                    y[i] += s
                    y[j] -= s
                    if f(y) < f(x):
                        x, moved = y, True
        if not moved:
            step /= 3
    return x, f(x)


def cagrad(J, c):
    K = len(J)
    G = J @ J.T
    g0 = J.mean(0)
    c0 = c * np.linalg.norm(g0)
    f = lambda w: w @ G.mean(1) + c0 * math.sqrt(max(w @ G @ w, 0))
    w, v = simplex_min(f, K)
    gw = w @ J
    n = np.linalg.norm(gw)
    d = g0 + (c0 / n * gw if n > 0 else 0)
    return w, v, d, d / (1 + c * c)


def pcgrad(J, orders):
    out = []
    for i, o in enumerate(orders):
        g = J[i].copy()
        for j in o:
            if j != i:
                p = g @ J[j]
                if p < 0:
                    g = g - p / (J[j] @ J[j]) * J[j]
        out.append(g)
    return np.stack(out)


def imtlg(J):
    U = J / np.linalg.norm(J, axis=1, keepdims=True)
    if len(J) == 1:
        return np.ones(1)
    D = J[0] - J[1:]
    Ud = U[0] - U[1:]
    a = J[0] @ Ud.T @ np.linalg.inv(D @ Ud.T)
    return np.concatenate([[1 - a.sum()], a])


def nash(J):
    """G a = 1/a, a > 0: the minimiser of the strictly convex 1/2 a^T G a - sum log a (damped Newton)"""
    G = J @ J.T
    K = len(J)
    a = np.ones(K) / math.sqrt(np.trace(G) / K)
    phi = lambda a: .5 * a @ G @ a - np.log(a).sum() if (a > 0).all() else np.inf
    for _ in range(500):
        r = G @ a - 1 / a
        s = np.linalg.solve(G + np.diag(1 / a ** 2), -r)
        t = 1.
        while phi(a + t * s) > phi(a) + 1e-4 * t * (r @ s) and t > 1e-12:
            t /= 2
        a = a + t * s if (a + t * s > 0).all() else a
        if np.abs(a * (G @ a) - 1).max() < 1e-13:
            break
    return a, float(np.abs(a * (G @ a) - 1).max())


def static_methods():
    for K in (2, 2, 2, 3, 4, 5):
        d = int(rng.integers(max(3, K), 12))
        J = rng.standard_normal((K, d)) * np.exp(rng.normal(0, .8, (K, 1))) + .2 * rng.standard_normal(d)
        i = f'static.{sum(c["op"] == "static" for c in C):02d}'
        T[f'{i}.J'] = J
        rep = {}
        for c in (.4, .9):
            w, v, g, g1 = cagrad(J, c)
            T[f'{i}.cagrad_{c}.weights'] = w
            T[f'{i}.cagrad_{c}.d'] = g
            T[f'{i}.cagrad_{c}.d_rescale1'] = g1
            rep[f'cagrad_{c}'] = v
        orders = [[int(x) for x in rng.permutation(K)] for _ in range(K)]
        P = pcgrad(J, orders)
        T[f'{i}.pcgrad.projected'] = P
        T[f'{i}.pcgrad.sum'] = P.sum(0)
        T[f'{i}.imtlg.alpha'] = imtlg(J)
        al, res = nash(J)
        T[f'{i}.nash.alpha'] = al
        C.append({'id': i, 'op': 'static', 'K': K, 'd': d, 'cagrad_objective': rep, 'pcgrad_orders': orders, 'nash_residual': res,
                  'note': 'cagrad: d = g0 + c|g0| gw/|gw| with g0 the mean, gw = J^T w; weights found numerically (compare objective to 1e-9, d to 1e-5). pcgrad: task i is projected in the order given on the original others. imtlg: alpha sums to 1, J^T alpha has equal projections on all unit gradients. nash: G a = 1/a'})


LOW = 5e-6


def toy(x, scale=.1):
    """FAMO/CAGrad's two-objective toy; -> f [2], J [2,2] (rows d f_i / dx), analytic"""
    x1, x2 = x
    t, s2 = math.tanh(-x2), 1 - math.tanh(-x2) ** 2
    u1, u2 = .5 * (-x1 - 7) - t, .5 * (-x1 + 3) + t + 2

    def lg(u, du):
        a = abs(u)
        if a > LOW:
            return math.log(a) + 6, np.array(du) / u
        return math.log(LOW) + 6, np.zeros(2)
    f1, j1 = lg(u1, [-.5, s2])   # d(-tanh(-x2))/dx2 = sech^2
    f2, j2 = lg(u2, [-.5, -s2])
    h = math.tanh(x2 * .5)
    dh = .5 * (1 - h * h)
    c1, dc1 = (h, dh) if h > 0 else (0., 0.)
    c2, dc2 = (-h, -dh) if h < 0 else (0., 0.)
    q1 = ((-x1 + 7) ** 2 + .1 * (-x2 - 8) ** 2) / 10 - 20
    q2 = ((-x1 - 7) ** 2 + .1 * (-x2 - 8) ** 2) / 10 - 20
    dq1 = np.array([-2 * (-x1 + 7), -.2 * (-x2 - 8)]) / 10
    dq2 = np.array([-2 * (-x1 - 7), -.2 * (-x2 - 8)]) / 10
    F = np.array([f1 * c1 + q1 * c2, f2 * c1 + q2 * c2])
    J = np.stack([j1 * c1 + np.array([0, f1 * dc1 + q1 * dc2]) + dq1 * c2, j2 * c1 + np.array([0, f2 * dc1 + q2 * dc2]) + dq2 * c2])
    return F * np.array([scale, 1.]), J * np.array([[scale], [1.]])


class Adam:
    def __init__(self, n, lr, wd=0.):
        self.m, self.v, self.t, self.lr, self.wd = np.zeros(n), np.zeros(n), 0, lr, wd

    def step(self, x, g):
        g = g + self.wd * x
        self.t += 1
        self.m = .9 * self.m + .1 * g
        self.v = .999 * self.v + .001 * g * g
        return x - self.lr / (1 - .9 ** self.t) * self.m / (np.sqrt(self.v / (1 - .999 ** self.t)) + 1e-8)


def softmax(v):
    e = np.exp(v - v.max())
    return e / e.sum()


def mn2(J):
    g11, g12, g22 = J[0] @ J[0], J[0] @ J[1], J[1] @ J[1]
    den = g11 + g22 - 2 * g12
    p = .5 if den <= 0 else min(1., max(0., (g22 - g12) / den))
    return np.array([p, 1 - p])


def trajectory(method, x0, n, lr, scale=.1):
    x = np.array(x0, float)
    mins = np.array([-21 * scale, -21.])
    opt = Adam(2, lr)
    w = np.zeros(2)
    wopt = Adam(2, .025, {'famo': 1e-5, 'famo_g.01': .01, 'dto_amortised_adam': .01}.get(method, 0.))
    gw, f0, pi = np.ones(2), None, np.array([.5, .5])
    logv = np.zeros(2)
    hist = [None, None]
    rec = []
    prev = None
    for it in range(n):
        f, J = toy(x, scale)
        Dl = f - mins + 1e-8
        if method.startswith('famo') and prev is not None:
            delta = np.log(prev) - np.log(Dl)
            z = softmax(w)
            w = wopt.step(w, z * (delta - z @ delta))
        L = Dl  # positive losses
        clip = False
        if method == 'ls':
            wt = np.array([.5, .5]); g = wt @ J
        elif method == 'mgda':
            wt = mn2(J); g = wt @ J
        elif method == 'dto_closed_form':
            Jl = J / L[:, None]
            wt = mn2(Jl); g = wt @ Jl
        elif method.startswith('famo'):
            z = softmax(w)
            c = (z / Dl).sum()
            wt = z
            g = (z / c / Dl) @ J
            prev = Dl.copy()
            clip = True
        elif method == 'pcgrad':
            P = pcgrad(J, [[1], [0]])
            wt = np.zeros(2); g = P.sum(0)  # no weights: zeros
        elif method == 'cagrad':
            G = J @ J.T
            g0 = J.mean(0)
            c0 = .4 * np.linalg.norm(g0)
            A, Bv = G, G.mean(1)
            ff = lambda p: p * Bv[0] + (1 - p) * Bv[1] + c0 * math.sqrt(max(p * p * A[0, 0] + 2 * p * (1 - p) * A[0, 1] + (1 - p) ** 2 * A[1, 1], 0))
            lo, hi = 0., 1.
            for _ in range(200):  # convex in p: golden section
                a, b = lo + .381966011250105 * (hi - lo), lo + .618033988749895 * (hi - lo)
                if ff(a) <= ff(b): hi = b
                else: lo = a
            p = min((0., 1., .5 * (lo + hi)), key=ff)
            wt = np.array([p, 1 - p])
            q = wt @ J
            nq = np.linalg.norm(q)
            g = (g0 + (c0 / nq * q if nq > 0 else 0)) / (1 + .16)
        elif method == 'imtlg':
            wt = imtlg(J); g = wt @ J
        elif method == 'gradnorm':
            if f0 is None: f0 = L.copy()
            n_i = np.linalg.norm(J, axis=1)
            G_i = gw * n_i
            r = L / f0
            r = r / r.mean()
            tgt = G_i.mean() * r ** 1.5
            wt = gw.copy()
            g = gw @ J
            gw = gw - .025 * np.sign(G_i - tgt) * n_i
            gw = np.maximum(gw, 1e-3)
            gw = 2 * gw / gw.sum()
        elif method == 'uncertainty':
            wt = .5 * np.exp(-logv); g = wt @ J
            logv = wopt.step(logv, .5 * (1 - np.exp(-logv) * L))
        elif method == 'dwa':
            wt = np.ones(2) if hist[1] is None else 2 * softmax(hist[0] / hist[1] / 2.)
            hist = [L.copy(), hist[0]]
            g = wt @ J
        elif method in ('dto_amortised_literal', 'dto_amortised_logits', 'dto_amortised_adam'):
            lL = np.log(L)
            if method != 'dto_amortised_literal': pi = softmax(w)
            wt = pi.copy()
            g = pi @ (J / L[:, None])
            s = pi @ lL
            dpi = s * lL   # gradient of 1/2 (pi . log L)^2 with respect to pi
            if method == 'dto_amortised_literal':
                pi = softmax(pi - .025 * dpi)
            else:
                dz = pi * (dpi - pi @ dpi)
                w = wopt.step(w, dz) if method == 'dto_amortised_adam' else w - .025 * dz
            clip = True
        rec.append(np.concatenate([x, f, wt, g]))
        if clip:
            nr = np.linalg.norm(g)
            g = g * min(1., 1. / (nr + 1e-6))
        x = opt.step(x, g)
    return np.array(rec)


def trajectories():
    inits = [[-8.5, 7.5], [0.2, .3], [9., 9.], [-7.5, -.5], [9., -1.]]
    if SEED != 20240603:
        inits = [list(v) for v in rng.uniform([-9, -1], [9, 9], (5, 2))]
    amp, rows = {}, {}
    for m in ('ls', 'mgda', 'dto_closed_form', 'famo', 'famo_g.01', 'pcgrad', 'cagrad', 'imtlg', 'gradnorm', 'uncertainty', 'dwa', 'dto_amortised_literal', 'dto_amortised_logits', 'dto_amortised_adam'):
        for k, x0 in enumerate(inits):
            T[f'toy.{m}.{k}'] = t = trajectory(m, x0, 200, .05)
            p = trajectory(m, np.array(x0) + 1e-10, 200, .05)
            amp[f'{m}.{k}'] = [float('%.3g' % (np.abs(t[:n] - p[:n]).max() / 1e-10)) for n in (20, 50, 200)]
            # Chaos: from where rounding at the start alone has become visible, no row says anything.
            far = np.abs(t - trajectory(m, np.array(x0) + 1e-14, 200, .05)).max(1) > 1e-3
            rows[f'{m}.{k}'] = int(far.argmax()) if far.any() else len(t)
    C.append({'id': 'toy', 'op': 'toy', 'inits': inits, 'steps': 200, 'columns': ['x1', 'x2', 'f1', 'f2', 'w1', 'w2', 'g1', 'g2'], 'scale': .1, 'lr': .05, 'amplification': amp, 'rows': rows, 'note': 'amplification: largest change in the first 20, 50, 200 rows for a start moved by 1e-10, divided by 1e-10; rows: how many come before a start moved by 1e-14 is 1e-3 away'})
    pts = np.array([[x, y] for x in np.linspace(-9.1, 9.3, 9) for y in np.linspace(-9.2, 9.1, 9)])
    v = [toy(p) for p in pts]
    T['toy.grid.x'] = pts
    T['toy.grid.f'] = np.stack([a for a, _ in v])
    T['toy.grid.J'] = np.stack([b for _, b in v])
    # check the analytic gradient by differences
    for p, (a, b) in zip(pts, v):
        for k in range(2):
            e = np.zeros(2); e[k] = 1e-6
            num = (toy(p + e)[0] - toy(p - e)[0]) / 2e-6
            assert np.abs(num - b[:, k]).max() < 1e-4 * max(1, np.abs(b).max()), (p, num, b[:, k])


def kd_mlp():
    """a student MLP distilled from fixed teacher logits: two losses, full-batch, float64, every step recorded"""
    import torch
    import torch.nn.functional as F
    n, di, hid, cl = 32, 6, 8, 4
    X, Y = rng.standard_normal((n, di)), rng.integers(0, cl, n)
    TL = 2 * rng.standard_normal((n, cl)) + 3 * np.eye(cl)[Y] * (rng.random((n, 1)) < .8)
    W = {'w1': rng.standard_normal((hid, di)) * .4, 'b1': np.zeros(hid), 'w2': rng.standard_normal((cl, hid)) * .4, 'b2': np.zeros(cl)}
    T['kd.x'], T['kd.y'], T['kd.teacher_logits'] = X, Y.astype(np.int64), TL
    for k, v in W.items():
        T[f'kd.init.{k}'] = v
    x, y, tl = torch.from_numpy(X), torch.from_numpy(Y), torch.from_numpy(TL)

    def losses(p):
        z = F.linear(F.gelu(F.linear(x, p['w1'], p['b1'])), p['w2'], p['b2'])
        return F.kl_div(F.log_softmax(z / 2, 1), F.log_softmax(tl / 2, 1), reduction='batchmean', log_target=True) * 4, F.cross_entropy(z, y, label_smoothing=.1)
    for m in ('fixed_half', 'mgda_raw', 'dto_closed_form', 'dto_amortised_literal', 'dto_amortised_logits', 'famo'):
        p = {k: torch.from_numpy(v.copy()).requires_grad_(True) for k, v in W.items()}
        opt = torch.optim.AdamW(list(p.values()), 1e-2, weight_decay=.05)
        pi, w, prev, rec = np.array([.5, .5]), np.zeros(2), None, []
        wopt = Adam(2, .025, .01)
        for it in range(100):
            L = losses(p)
            lv = np.array([float(v) for v in L])
            if m == 'famo' and prev is not None:
                d = np.log(prev + 1e-8) - np.log(lv + 1e-8)
                z = softmax(w)
                w = wopt.step(w, z * (d - z @ d))
            J = np.stack([np.concatenate([g.numpy().ravel() for g in torch.autograd.grad(v, list(p.values()), retain_graph=True)]) for v in L])
            Jl = J / lv[:, None]
            G = Jl @ Jl.T
            if m == 'fixed_half':
                wt, g = np.array([.5, .5]), .5 * J.sum(0)
            elif m == 'mgda_raw':
                wt = mn2(J); g = wt @ J
            elif m == 'dto_closed_form':
                wt = mn2(Jl); g = wt @ Jl
            elif m == 'famo':
                wt = softmax(w)
                c = (wt / (lv + 1e-8)).sum()
                g = (wt / c / (lv + 1e-8)) @ J
                prev = lv
            else:
                if m == 'dto_amortised_logits': pi = softmax(w)
                wt = pi.copy(); g = pi @ Jl
                dpi = (pi @ np.log(lv)) * np.log(lv)
                if m == 'dto_amortised_literal': pi = softmax(pi - .025 * dpi)
                else: w = w - .025 * pi * (dpi - pi @ dpi)
            rec.append([*lv, *wt, G[0, 0], G[0, 1], G[1, 1], math.sqrt(g @ g)])
            o = 0
            for q in p.values():
                q.grad = torch.from_numpy(g[o:o + q.numel()].reshape(q.shape).copy())
                o += q.numel()
            torch.nn.utils.clip_grad_norm_(list(p.values()), 1.0)
            opt.step()
        T[f'kd.{m}.trace'] = np.array(rec)
        for k, v in p.items():
            T[f'kd.{m}.final.{k}'] = v.detach().numpy()
    C.append({'id': 'kd', 'op': 'kd', 'steps': 100, 'model': 'logits = gelu(x w1^T + b1) w2^T + b2 (exact gelu)', 'losses': ['distill: KL(teacher||student), T = 2, times T^2, batchmean', 'task: cross entropy, label smoothing 0.1'], 'optimizer': 'AdamW lr 0.01 wd 0.05 betas .9 .999 eps 1e-8, clip_grad_norm 1.0 on the combined gradient',
              'columns': ['L_distill', 'L_task', 'pi_distill', 'pi_task', 'G11', 'G12', 'G22 (Gram of log-gradients)', '|g| before clipping'], 'methods': {'fixed_half': '0.5 gd + 0.5 gt', 'mgda_raw': 'closed form on raw gradients', 'dto_closed_form': 'closed form on log-gradients',
              'dto_amortised_literal': 'g = pi . Jlog; then pi <- softmax(pi - 0.025 (pi . logL) logL)', 'dto_amortised_logits': 'pi = softmax(w), w from 0; w <- w - 0.025 d/dw 1/2 (pi . logL)^2', 'famo': 'FAMO: logits w by Adam lr 0.025, wd 0.01 (L2 in the gradient), min losses 0, eps 1e-8; the update of w uses the log-loss drop seen at the next step'}})


if __name__ == '__main__':
    minnorm_cases()
    dto_pairs()
    static_methods()
    trajectories()
    kd_mlp()
    os.makedirs(OUT, exist_ok=True)
    n = st.save(os.path.join(OUT, 'balance.safetensors'), T, {'seed': SEED})
    with open(os.path.join(OUT, 'balance.json'), 'w') as f:
        f.write('{"seed": %d, "cases": [\n' % SEED + ',\n'.join(json.dumps(c) for c in C) + '\n]}\n')
    bad = {k.rsplit('.', 1)[0] for k, v in T.items() if not np.isfinite(v).all()}
    print(len(C), 'cases', len(T), 'tensors', n, 'bytes; non-finite:', bad, 'nash residuals', [c['nash_residual'] for c in C if c['op'] == 'static'])
    for m in ('ls', 'mgda', 'dto_closed_form', 'famo', 'cagrad', 'imtlg', 'gradnorm', 'dto_amortised_literal', 'dto_amortised_adam'):
        print(m, T[f'toy.{m}.0'][-1].round(4))
