#!/usr/bin/python3
"""Golden values for the networks of the CIFAR-100 distillation literature and for VkD's DeiT stem: weights by the rule of
../Fixtures/README.md, everything in float64, tolerances from torch's own float32 run.

usage: gen_cifar.py SEED FOLDER
"""
import json, math, os, sys
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(2)
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
FOLDER = sys.argv[2] if len(sys.argv) > 2 else '../Fixtures'
MASK = (1 << 64) - 1


def rule(name, n):
    h = 14695981039346656037
    for byte in name.encode():
        h = (h ^ byte) * 1099511628211 & MASK
    with np.errstate(over='ignore'):
        z = np.uint64(h ^ SEED) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) * 2.0 ** -23 - 1


def value(name, shape):
    v = rule(name, int(np.prod(shape, dtype=np.int64))).reshape(shape)
    last = name.rsplit('.', 1)[-1]
    if last == 'num_batches_tracked':
        return np.zeros(shape, np.int64)
    if last == 'running_mean':
        return .1 * v
    if last == 'running_var':
        return 1 + .5 * v
    if last in ('cls_token', 'pos_embed'):
        return .5 * v
    if last == 'bias':
        return .1 * v
    return v * math.sqrt(3 / np.prod(shape[1:])) if len(shape) > 1 else 1 + .2 * v


def image(name, shape):
    b, c, h, w = shape
    coarse = rule(f'input:{name}:coarse', b * c * (h // 8) * (w // 8)).reshape(b, c, h // 8, w // 8)
    fine = rule(f'input:{name}:fine', b * c * h * w).reshape(shape)
    return 1.5 * np.kron(coarse, np.ones((8, 8))) + .5 * fine


def conv(i, o, k, s=1, g=1):
    return nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False)


def shuffle(x, g):
    b, c, h, w = x.shape
    return x.reshape(b, g, c // g, h, w).transpose(1, 2).reshape(b, c, h, w)


class Plain(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = conv(i, o, 3, s), nn.BatchNorm2d(o), conv(o, o, 3), nn.BatchNorm2d(o)
        self.downsample = nn.Sequential(conv(i, o, 1, s), nn.BatchNorm2d(o)) if s > 1 or i != o else None

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    def __init__(self, i, w, s):
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = conv(i, w, 1), nn.BatchNorm2d(w), conv(w, w, 3, s), nn.BatchNorm2d(w)
        self.conv3, self.bn3 = conv(w, 4 * w, 1), nn.BatchNorm2d(4 * w)
        self.shortcut = nn.Sequential(conv(i, 4 * w, 1, s), nn.BatchNorm2d(4 * w)) if s > 1 or i != 4 * w else None

    def forward(self, x):
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(y)) + (x if self.shortcut is None else self.shortcut(x)))


class Staged(nn.Module):
    """What the networks share: stages whose results are the features, then a mean and a classifier."""

    def forward(self, x):
        x, features = self.stem(x), []
        for name in self.stages:
            x = getattr(self, name)(x)
            features.append(x)
        return self.classify(self.last(x).mean((2, 3))), features

    def stem(self, x):
        return F.relu(self.bn1(self.conv1(x)))

    def last(self, x):
        return x

    def build(self, kind, widths, depths, i):
        self.stages = [f'layer{s}' for s in range(1, len(widths) + 1)]
        for s, (w, n) in enumerate(zip(widths, depths)):
            blocks = []
            for b in range(n):
                blocks.append(kind(i, w, 2 if s and not b else 1))
                i = 4 * w if kind is Bottleneck else w
            setattr(self, self.stages[s], nn.Sequential(*blocks))
        return i


class ResNet(Staged):
    def __init__(self, depth, stem=16, width=16):
        super().__init__()
        self.conv1, self.bn1 = conv(3, stem, 3), nn.BatchNorm2d(stem)
        self.fc = nn.Linear(self.build(Plain, [width, 2 * width, 4 * width], [(depth - 2) // 6] * 3, stem), 100)

    def classify(self, x):
        return self.fc(x)


class ResNet50(Staged):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = conv(3, 64, 3), nn.BatchNorm2d(64)
        self.linear = nn.Linear(self.build(Bottleneck, [64, 128, 256, 512], [3, 4, 6, 3], 64), 100)

    def classify(self, x):
        return self.linear(x)


class WideBlock(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.bn1, self.conv1, self.bn2, self.conv2 = nn.BatchNorm2d(i), conv(i, o, 3, s), nn.BatchNorm2d(o), conv(o, o, 3)
        if i != o:
            self.convShortcut = conv(i, o, 1, s)

    def forward(self, x):
        a = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(a))))
        return y + (self.convShortcut(a) if hasattr(self, 'convShortcut') else x)


class WideStage(nn.Module):
    def __init__(self, i, o, n, s):
        super().__init__()
        self.layer = nn.Sequential(*[WideBlock(o if b else i, o, 1 if b else s) for b in range(n)])

    def forward(self, x):
        return self.layer(x)


class WideResNet(Staged):
    stages = ['block1', 'block2', 'block3']

    def __init__(self, depth, k):
        super().__init__()
        n = (depth - 4) // 6
        self.conv1 = conv(3, 16, 3)
        self.block1, self.block2, self.block3 = WideStage(16, 16 * k, n, 1), WideStage(16 * k, 32 * k, n, 2), WideStage(32 * k, 64 * k, n, 2)
        self.bn1, self.fc = nn.BatchNorm2d(64 * k), nn.Linear(64 * k, 100)

    def stem(self, x):
        return self.conv1(x)

    def last(self, x):
        return F.relu(self.bn1(x))

    def classify(self, x):
        return self.fc(x)


class Inverted(nn.Module):
    def __init__(self, i, o, s, t):
        super().__init__()
        m, self.same = i * t, s == 1 and i == o
        self.conv = nn.Sequential(conv(i, m, 1), nn.BatchNorm2d(m), nn.ReLU(), conv(m, m, 3, s, m), nn.BatchNorm2d(m), nn.ReLU(),
                                  conv(m, o, 1), nn.BatchNorm2d(o))

    def forward(self, x):
        return x + self.conv(x) if self.same else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        rows, i = [(8, 1, 1, 1), (12, 2, 1, 6), (16, 3, 2, 6), (32, 4, 2, 6), (48, 3, 1, 6), (80, 3, 2, 6), (160, 1, 1, 6)], 16
        self.conv1 = nn.Sequential(conv(3, 16, 3, 2), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.ModuleList()
        for o, n, s, t in rows:
            self.blocks.append(nn.Sequential(*[Inverted(o if b else i, o, 1 if b else s, t) for b in range(n)]))
            i = o
        self.conv2 = nn.Sequential(conv(160, 1280, 1), nn.BatchNorm2d(1280), nn.ReLU())
        self.classifier = nn.Sequential(nn.Linear(1280, 100))

    def forward(self, x):
        x, features = self.conv1(x), []
        for s, stage in enumerate(self.blocks):
            x = stage(x)
            if s in (1, 2, 4, 6):
                features.append(x)
        return self.classifier(self.conv2(x).mean((2, 3))), features


class Shuffle1Block(nn.Module):
    def __init__(self, i, o, halves, g):
        super().__init__()
        m, self.g, self.halves = o // 4, g, halves
        self.conv1, self.bn1 = conv(i, m, 1, g=g), nn.BatchNorm2d(m)
        self.conv2, self.bn2 = conv(m, m, 3, 2 if halves else 1, m), nn.BatchNorm2d(m)
        self.conv3, self.bn3 = conv(m, o, 1, g=3), nn.BatchNorm2d(o)

    def forward(self, x):
        y = shuffle(F.relu(self.bn1(self.conv1(x))), self.g)
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(torch.cat([y, F.avg_pool2d(x, 3, 2, 1)], 1) if self.halves else y + x)


class ShuffleNetV1(Staged):
    stages = ['layer1', 'layer2', 'layer3']

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, i = conv(3, 24, 1), nn.BatchNorm2d(24), 24
        for name, o, n in zip(self.stages, (240, 480, 960), (4, 8, 4)):
            first = Shuffle1Block(i, o - i, True, 1 if i == 24 else 3)
            setattr(self, name, nn.Sequential(first, *[Shuffle1Block(o, o, False, 3) for _ in range(n - 1)]))
            i = o
        self.linear = nn.Linear(960, 100)

    def classify(self, x):
        return self.linear(x)


class Shuffle2Block(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = conv(h, h, 1), nn.BatchNorm2d(h), conv(h, h, 3, 1, h), nn.BatchNorm2d(h)
        self.conv3, self.bn3 = conv(h, h, 1), nn.BatchNorm2d(h)

    def forward(self, x):
        kept, y = x.chunk(2, 1)
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(y)))))
        return shuffle(torch.cat([kept, F.relu(self.bn3(self.conv3(y)))], 1), 2)


class Shuffle2Down(nn.Module):
    def __init__(self, i, h):
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = conv(i, i, 3, 2, i), nn.BatchNorm2d(i), conv(i, h, 1), nn.BatchNorm2d(h)
        self.conv3, self.bn3, self.conv4, self.bn4 = conv(i, h, 1), nn.BatchNorm2d(h), conv(h, h, 3, 2, h), nn.BatchNorm2d(h)
        self.conv5, self.bn5 = conv(h, h, 1), nn.BatchNorm2d(h)

    def forward(self, x):
        a = F.relu(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        b = self.bn4(self.conv4(F.relu(self.bn3(self.conv3(x)))))
        return shuffle(torch.cat([a, F.relu(self.bn5(self.conv5(b)))], 1), 2)


class ShuffleNetV2(Staged):
    stages = ['layer1', 'layer2', 'layer3']

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, i = conv(3, 24, 1), nn.BatchNorm2d(24), 24
        for name, o, n in zip(self.stages, (116, 232, 464), (4, 8, 4)):
            setattr(self, name, nn.Sequential(Shuffle2Down(i, o // 2), *[Shuffle2Block(o // 2) for _ in range(n - 1)]))
            i = o
        self.conv2, self.bn2, self.linear = conv(464, 1024, 1), nn.BatchNorm2d(1024), nn.Linear(1024, 100)

    def last(self, x):
        return F.relu(self.bn2(self.conv2(x)))

    def classify(self, x):
        return self.linear(x)


class Attention(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.h, self.qkv, self.proj = h, nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x):
        q, k, v = (t.unflatten(2, (self.h, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, 2))
        p = (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(-1)
        return self.proj((p @ v).transpose(1, 2).flatten(2))


class Perceptron(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.norm1, self.attn, self.norm2, self.mlp = nn.LayerNorm(d, 1e-6), Attention(d, h), nn.LayerNorm(d, 1e-6), Perceptron(d)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ConvEmbed(nn.Module):
    def __init__(self, d):
        super().__init__()
        layers = []
        for i, k, s in ((3, 7, 2), (64, 3, 1), (64, 3, 1)):
            layers += [conv(i, 64, k, s), nn.BatchNorm2d(64), nn.ReLU()]
        self.conv, self.proj = nn.Sequential(*layers), nn.Conv2d(64, d, 8, 8)

    def forward(self, x):
        return self.proj(self.conv(x)).flatten(2).transpose(1, 2)


class VkdStudent(nn.Module):
    """Two blocks of 48 with three heads; the logits are the mean of both heads'."""

    def __init__(self):
        super().__init__()
        self.cls_token, self.pos_embed = nn.Parameter(torch.zeros(1, 1, 48)), nn.Parameter(torch.zeros(1, 6, 48))
        self.conv_embed, self.blocks, self.norm = ConvEmbed(48), nn.Sequential(Block(48, 3), Block(48, 3)), nn.LayerNorm(48, 1e-6)
        self.head, self.head_dist = nn.Linear(48, 100), nn.Linear(48, 100)

    def forward(self, x):
        p = self.conv_embed(x)
        x = torch.cat([self.cls_token.expand(len(p), -1, -1), p.mean(1, keepdim=True), p], 1) + self.pos_embed
        a = self.blocks[0](x)
        x = self.norm(self.blocks[1](a))
        features = [t[:, 2:].transpose(1, 2).unflatten(2, (2, 2)) for t in (a, x)]
        return (self.head(x[:, 0]) + self.head_dist(x[:, 1])) / 2, features


NETWORKS = {
    'resnet20': (lambda: ResNet(20), 4), 'resnet32': (lambda: ResNet(32), 4), 'resnet56': (lambda: ResNet(56), 2),
    'resnet110': (lambda: ResNet(110), 2), 'resnet8x4': (lambda: ResNet(8, 32, 64), 4), 'resnet32x4': (lambda: ResNet(32, 32, 64), 2),
    'resnet50': (ResNet50, 2), 'wrn_16_2': (lambda: WideResNet(16, 2), 4), 'wrn_40_1': (lambda: WideResNet(40, 1), 4),
    'wrn_40_2': (lambda: WideResNet(40, 2), 2), 'mobilenet_v2': (MobileNetV2, 4), 'shuffle_v1': (ShuffleNetV1, 4),
    'shuffle_v2': (ShuffleNetV2, 4), 'vkd_micro': (VkdStudent, 4),
}


def samples(t, m):
    t = t.detach().reshape(-1).double().numpy()
    m = min(m, len(t))
    return t[[int((j + .5) * len(t) / m) for j in range(m)]]


def run(build, name, batch, training, dtype):
    net = build()
    net.load_state_dict({k: torch.from_numpy(np.asarray(value(k, tuple(v.shape)))).to(torch.float32 if v.is_floating_point() else v.dtype)
                         for k, v in net.state_dict().items()})
    net = net.to(dtype).train(training)
    x = torch.from_numpy(image(name, (batch, 3, 32, 32)).astype(np.float32)).to(dtype)
    logits, features = net(x)
    loss = F.cross_entropy(logits, torch.tensor([(7 * b + 3) % 100 for b in range(batch)]))
    loss.backward()
    out = {'logits': samples(logits, 100), 'loss': samples(loss, 1)}
    out.update({f'feature.{i}': samples(f, 16) for i, f in enumerate(features)})
    out.update({f'grad.{k}': samples(p.grad, 2) for k, p in net.named_parameters()})
    if training:
        out.update({f'buffer.{k}': samples(b, 1) for k, b in net.named_buffers() if k.endswith(('running_mean', 'running_var'))})
    shapes = [list(f.shape) for f in features]
    scales = {f'grad.{k}': p.grad.abs().max().item() for k, p in net.named_parameters()}
    scales['logits'] = logits.abs().max().item()
    return out, scales, shapes, sum(p.numel() for p in net.parameters())


def main():
    cases = []
    for name, (build, batch) in NETWORKS.items():
        for training in (False, True):
            true, scales, shapes, count = run(build, name, batch, training, torch.float64)
            single, _, _, _ = run(build, name, batch, training, torch.float32)
            case = {'network': name, 'training': training, 'batch': batch, 'parameters': count, 'features': shapes,
                    'gradients': not training or batch > 2, 'values': {}}
            for key, v in true.items():
                # Statistics of two images are so ill-conditioned that gradients differ in their first digit in single precision.
                if key.startswith('grad.') and not case['gradients']:
                    continue
                scale = max(scales.get(key, 0), float(np.abs(v).max()))
                tolerance = max(16 * float(np.abs(v - single[key]).max()), 2e-5 * scale, 1e-7)
                case['values'][key] = [float(f'{tolerance:.1e}')] + [float(f'{x:.6g}') for x in v]
            cases.append(case)
            print(name, training, count, 'loss', case['values']['loss'][1])
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, 'cifar.json'), 'w') as f:
        f.write('{"seed": %d, "cases": [\n' % SEED)
        f.write(',\n'.join(json.dumps(c, separators=(',', ':')) for c in cases) + '\n]}\n')


main()
