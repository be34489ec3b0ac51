#!/usr/bin/env python3
"""PyTorch's side of `dtokd bench`: the same workloads, eager, with a JSON line of the same keys for each.

    torch_step.py                                       the default list, in every precision that the device has
    torch_step.py "step deit_tiny_patch16_224 256" "gemm 8192 8192 8192"
    torch_step.py step deit_tiny_patch16_224 256        one workload, as compare.sh calls a peer
    torch_step.py --table OURS.jsonl THEIRS.jsonl       no measurement: both sides' lines next to each other, with ratios

Workloads: gemm M N K; step MODEL BATCH (forward, cross-entropy, backward, AdamW, with the upload of the batch from pinned
memory); forward MODEL BATCH (no gradients); copy MIB (on the device). Models are timm's; without timm, torchvision's of the
same shape where there is one. Precisions have dtokd's names: highest is f32, high lets products and convolutions use TF32,
medium is autocast to bf16 (for gemm: operands that are bf16 already).
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time

DEFAULTS = [
    "copy 512",
    "gemm 8192 8192 8192",
    "step deit_tiny_patch16_224 256",
    "step swin_tiny_patch4_window7_224 64",
    "forward regnety_160 64",
]
PRECISIONS = ["highest", "high", "medium"]
SIDE, CLASSES = 224, 1000
STEP_ITERATIONS, GEMM_ITERATIONS = 5, 20
# Work that is shorter is timed several times at once: waiting for a card takes as long as some kernels.
LEAST_MILLISECONDS, MOST_REPEATS = 5, 200


class Unavailable(Exception):
    """A workload that this installation cannot run."""


def create(name):
    """The network of a name, with random weights."""
    try:
        import timm
    except ImportError:
        return create_without_timm(name)
    return timm.create_model(name, pretrained=False, num_classes=CLASSES)


def create_without_timm(name):
    try:
        from torchvision import models
    except ImportError:
        raise Unavailable(f"{name}: neither timm nor torchvision is installed") from None

    def vit(width, heads):
        return lambda: models.VisionTransformer(SIDE, 16, 12, heads, width, 4 * width, num_classes=CLASSES)

    known = {
        "deit_tiny_patch16_224": vit(192, 3),
        "deit_small_patch16_224": vit(384, 6),
        "deit_base_patch16_224": vit(768, 12),
        "swin_tiny_patch4_window7_224": getattr(models, "swin_t", None),
        "regnety_004": models.regnet_y_400mf,
        "regnety_016": models.regnet_y_1_6gf,
        "regnety_160": models.regnet_y_16gf,
    }
    if known.get(name) is None:
        raise Unavailable(f"{name}: timm is not installed, and torchvision has no network of this shape")
    return known[name]()


class Bench:
    def __init__(self, torch, device, options):
        self.torch, self.device, self.options = torch, torch.device(device), options
        self.is_cuda = self.device.type == "cuda"
        self.last = None, None
        torch.manual_seed(0)
        torch.backends.cudnn.benchmark = True
        if "PEER_THREADS" in os.environ:
            torch.set_num_threads(int(os.environ["PEER_THREADS"]))

    def run(self, words, precision):
        """Measures one workload in one precision; the keys and values of its line."""
        torch = self.torch
        tf32 = precision == "high"
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        verb, *rest = words.split()
        makers = {"gemm": self.gemm, "step": self.step, "forward": self.forward, "copy": self.copy}
        if verb not in makers:
            raise Unavailable(f"unknown workload '{words}'; known are {', '.join(makers)}")
        if self.is_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        what, body, units, unit, iterations = makers[verb](precision, *rest)
        milliseconds = self.time(body, self.options.iterations or iterations, unit != "images")
        median = statistics.median(milliseconds)
        line = {
            "engine": f"torch {torch.__version__}",
            "what": what,
            "device": f"{self.device} {torch.cuda.get_device_name(self.device)}" if self.is_cuda else "cpu",
            "threads": torch.get_num_threads(),
            "median_ms": round(median, 3),
            "min_ms": round(milliseconds[0], 3),
            "max_ms": round(milliseconds[-1], 3),
            "per_s": float(f"{units * 1e3 / median:.5g}"),
            "unit": unit,
            "tflop_per_s": round(units * 1e-9 / median, 3) if unit == "flop" else None,
            "gb_per_s": round(units * 1e-6 / median, 1) if unit == "bytes" else None,
            "peak_mb": self.peak_bytes() >> 20,
            "launches": self.launches(body),
            "precision": precision,
        }
        return line

    def time(self, body, iterations, is_short):
        for _ in range(max(3, iterations // 4)):
            body()
        once = self.once(body, 1)
        repeats = min(MOST_REPEATS, max(1, round(LEAST_MILLISECONDS / once))) if is_short and self.is_cuda else 1
        return sorted(self.once(body, repeats) for _ in range(iterations))

    def once(self, body, repeats):
        self.wait()
        start = time.perf_counter()
        for _ in range(repeats):
            body()
        self.wait()
        return 1e3 * (time.perf_counter() - start) / repeats

    def wait(self):
        if self.is_cuda:
            self.torch.cuda.synchronize()

    def peak_bytes(self):
        """The most that tensors took on the card; on the processor, the most that the process did."""
        if self.is_cuda:
            return self.torch.cuda.max_memory_allocated()
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def launches(self, body):
        """Kernels launched in one run, from the profiler, which takes seconds; None where nobody asks or there is no card."""
        if not self.is_cuda or not self.options.launches:
            return None
        activity = self.torch.profiler.ProfilerActivity
        try:
            with self.torch.profiler.profile(activities=[activity.CPU, activity.CUDA]) as profile:
                body()
                self.wait()
        except RuntimeError as problem:
            print(f"launches are not known: {problem}", file=sys.stderr)
            return None
        count = sum(e.count for e in profile.key_averages() if e.key.startswith(("cudaLaunchKernel", "cuLaunchKernel")))
        return count or None

    def autocast(self, precision):
        return self.torch.autocast(self.device.type, dtype=self.torch.bfloat16, enabled=precision == "medium")

    def gemm(self, precision, m, n, k):
        m, n, k = int(m), int(n), int(k)
        dtype = self.torch.bfloat16 if precision == "medium" else self.torch.float32
        a = self.torch.randn(m, k, device=self.device).to(dtype)
        b = self.torch.randn(k, n, device=self.device).to(dtype)
        return f"gemm {m}x{n}x{k}", lambda: a @ b, 2.0 * m * n * k, "flop", GEMM_ITERATIONS

    def copy(self, _precision, mebibytes):
        count = (int(mebibytes) << 20) // 4
        source = self.torch.ones(count, device=self.device)
        target = self.torch.zeros(count, device=self.device)
        return f"copy {mebibytes} MiB", lambda: target.copy_(source), 8.0 * count, "bytes", GEMM_ITERATIONS

    def step(self, precision, name, batch):
        torch, batch = self.torch, int(batch)
        model = self.network(name).train()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05, **({"fused": True} if self.is_cuda else {}))
        images, labels = self.images(batch), torch.randint(0, CLASSES, [batch])
        if self.is_cuda:
            labels = labels.pin_memory()

        def body():
            x, y = images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
            with self.autocast(precision):
                loss = torch.nn.functional.cross_entropy(model(self.layout(x)), y)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

        return f"step {name} batch {batch}", body, batch, "images", STEP_ITERATIONS

    def forward(self, precision, name, batch):
        torch, batch = self.torch, int(batch)
        model = self.network(name).eval()
        images = self.images(batch)

        def body():
            with torch.no_grad(), self.autocast(precision):
                model(self.layout(images.to(self.device, non_blocking=True)))

        return f"forward {name} batch {batch}", body, batch, "images", STEP_ITERATIONS

    def network(self, name):
        """Precisions share a network: large ones take seconds to make."""
        if self.last[0] != name:
            self.last = None, None
            self.last = name, self.layout(create(name).to(self.device))
        return self.last[1]

    def images(self, batch):
        images = self.torch.randn(batch, 3, SIDE, SIDE)
        return images.pin_memory() if self.is_cuda else images

    def layout(self, what):
        return what.to(memory_format=self.torch.channels_last) if self.options.channels_last else what


def measure(options):
    import torch

    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device")
    bench = Bench(torch, device, options)
    # TF32 is the card's: a processor would only measure f32 again.
    known = PRECISIONS if bench.is_cuda else ["highest", "medium"]
    asked = options.precision.split(",") if options.precision else known
    if unknown := set(asked) - set(PRECISIONS):
        sys.exit(f"unknown precision {', '.join(unknown)}; known are {', '.join(PRECISIONS)}")
    words = options.workloads
    workloads = [" ".join(words)] if words and all(" " not in word for word in words) else words or DEFAULTS
    failed = False
    for workload in workloads:
        for precision in ["highest"] if workload.startswith("copy") else asked:
            try:
                print(json.dumps(bench.run(workload, precision)), flush=True)
            except (Unavailable, RuntimeError, ValueError, TypeError) as problem:
                failed = True
                print(f"skipped: {workload}, {precision}: {str(problem).splitlines()[0]}", file=sys.stderr)
    return 1 if failed else 0


def read(path):
    """The last line of each workload and precision; other text in the file is passed over."""
    lines = {}
    with open(path, encoding="utf-8") as file:
        for text in file:
            if text.startswith("{"):
                line = json.loads(text)
                lines[line["what"], line.get("precision") or "highest"] = line
    return lines


def table(ours_path, theirs_path):
    ours, theirs = read(ours_path), read(theirs_path)
    print(f"{'workload':44} {'precision':9} {'ours ms':>10} {'torch ms':>10} {'ratio':>6} "
          f"{'ours':>10} {'torch':>10} {'':8} {'launches':>13} {'MB':>13}")

    def pair(key, a, b):
        show = ["-" if line is None or line.get(key) is None else str(line[key]) for line in (a, b)]
        return " / ".join(show)

    for key in list(ours) + [key for key in theirs if key not in ours]:
        a, b = ours.get(key), theirs.get(key)
        if "median_ms" not in (a or b):
            continue
        # Not from tflop_per_s and gb_per_s, which lines of earlier versions do not have.
        scale, unit = {"flop": (1e-12, "TFLOP/s"), "bytes": (1e-9, "GB/s")}.get((a or b)["unit"], (1, f"{(a or b)['unit']}/s"))
        ratio = f"{b['median_ms'] / a['median_ms']:6.2f}" if a and b else "     -"
        columns = [f"{factor * line[name]:>10.5g}" if line else f"{'-':>10}"
                   for name, factor in (("median_ms", 1), ("per_s", scale)) for line in (a, b)]
        print(f"{key[0]:44} {key[1]:9} {columns[0]} {columns[1]} {ratio} {columns[2]} {columns[3]} {unit:8} "
              f"{pair('launches', a, b):>13} {pair('peak_mb', a, b):>13}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", help="each one argument; the words of a single one may stand alone")
    parser.add_argument("--table", nargs=2, metavar=("OURS", "THEIRS"), help="files of JSON lines; above 1 ours is faster")
    parser.add_argument("--precision", metavar="LEVELS", help="of highest,high,medium [all that the device has]")
    parser.add_argument("--iterations", type=int, help="timed runs [5 of networks, 20 of gemm]")
    parser.add_argument("--device", help="cpu, cuda or cuda:N [cuda if there is one]")
    parser.add_argument("--launches", action="store_true", help="also count the kernels of a run, with the profiler")
    parser.add_argument("--channels-last", action="store_true", help="networks and images in the layout [N, H, W, C]")
    options = parser.parse_args()
    return table(*options.table) if options.table else measure(options)


if __name__ == "__main__":
    sys.exit(main())
