#!/usr/bin/env python3
"""Breaks what the paper's claims rest on, one place at a time, and asks `dtokd verify` to notice.

    tests/break_claims.py              all of them
    tests/break_claims.py --only 3     one of them
    tests/break_claims.py --list       what they are

Works on a copy of the last commit in a temporary folder. Prints for each the first claim that fails, and ends with 1 if
`dtokd verify` still ends with 0, or if it does not before anything is broken. Not part of `dotnet test`: each takes a build.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

BALANCING = "training/DtoKd.Training/Balancing/"
CLAIMS = "training/DtoKd.Training/Verification/PaperClaims.cs"
# (what breaks, file, [(what stands there once, what is put in its place)])
BREAKS = [
    ("clamping removed", BALANCING + "MinNorm.cs", [
        ("        if (q <= 0)\n            return (1, 0);\n        if (p <= 0)\n            return (0, 1);\n", ""),
    ]),
    ("weights swapped", BALANCING + "MinNorm.cs", [
        ("return (p / (p + q), q / (p + q));", "return (q / (p + q), p / (p + q));"),
    ]),
    ("log dropped", BALANCING + "DtoExact.cs", [
        ("signals.Gram[i * Objectives + j] / _losses[i] / _losses[j];", "signals.Gram[i * Objectives + j];"),
        ("weights.Coefficients[k] = part[s] / _losses[k];", "weights.Coefficients[k] = part[s];"),
    ]),
    ("log dropped from the Gram matrix only", BALANCING + "DtoExact.cs", [
        ("signals.Gram[i * Objectives + j] / _losses[i] / _losses[j];", "signals.Gram[i * Objectives + j];"),
    ]),
    ("Gram matrix summed in float32", "engine/DtoKd.Engine/Flat/Flat.cs", [
        ("            sum += (double)a[i] * b[i];", "            sum += a[i] * b[i];"),
    ]),
    ("Gram matrix's whole vectors in float32", "engine/DtoKd.Engine/Flat/Flat.cs", [
        ("            Vector.Widen(Vector.Load(a + i), out var aLow, out var aHigh);\n"
         "            Vector.Widen(Vector.Load(b + i), out var bLow, out var bHigh);\n",
         "            Vector.Widen(Vector.Load(a + i) * Vector.Load(b + i), out var aLow, out var aHigh);\n"
         "            Vector<double> bLow = Vector<double>.One, bHigh = Vector<double>.One;\n"),
    ]),
    ("Gram matrix of two or three: the second half of each vector in float32", "engine/DtoKd.Engine/Flat/Flat.cs", [
        ("            ab = Vector.FusedMultiplyAdd(a1, b1, Vector.FusedMultiplyAdd(a0, b0, ab));\n",
         "            ab = Vector.FusedMultiplyAdd(a0, b0, ab);\n"
         "            Vector.Widen(Vector.Load(a + i) * Vector.Load(b + i), out _, out var ab1);\n"
         "            ab += ab1;\n"),
    ]),
    ("Gram matrix of two: the second gradient's square is the product with the first", "engine/DtoKd.Engine/Flat/Flat.cs", [
        ("gradients.Count == 3 ? [0, 1, 2, 3, 4, 5] : [0, 1, 3];", "gradients.Count == 3 ? [0, 1, 2, 3, 4, 5] : [0, 1, 1];"),
    ]),
    ("Gram matrix of three: the third gradient's product with the second is the one with the first", "engine/DtoKd.Engine/Flat/Flat.cs", [
        ("gradients.Count == 3 ? [0, 1, 2, 3, 4, 5] : [0, 1, 3];", "gradients.Count == 3 ? [0, 1, 2, 3, 2, 5] : [0, 1, 3];"),
    ]),
    ("Gram matrix of two or three: what is left after whole vectors in float32", "engine/DtoKd.Engine/Flat/Flat.cs", [
        ("            double x = a[i], y = b[i], z = c[i];\n", "            float x = a[i], y = b[i], z = c[i];\n"),
    ]),
    ("Gram matrix of two or three: the last parameter left out", "engine/DtoKd.Engine/Flat/Flat.cs", [
        ("        for (; i < count; i++)\n        {\n            double x", "        for (; i < count - 1; i++)\n        {\n            double x"),
    ]),
    ("equal contribution claimed everywhere", CLAIMS, [
        ("            Holds = static f => f.BothNonZero && f.Unclamped,\n", "            Holds = static f => f.BothNonZero,\n"),
    ]),
    ("lower bound claimed everywhere", CLAIMS, [
        ("            Holds = static f => f.BothNonZero && f.C >= f.HalfNormBorder,\n", "            Holds = static f => f.BothNonZero,\n"),
    ]),
    ("a counter-example that is none", CLAIMS, [
        ("CounterExample = new([1, 0], [3, 1]),", "CounterExample = new([1, 0], [0, 1]),"),
    ]),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, metavar="N")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--cases", type=int, default=20_000, metavar="N", help="cases of each claim [20000]")
    arguments = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent
    unnoticed = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(f"git archive HEAD | tar -x -C {folder}", shell=True, check=True, cwd=root)
        if not arguments.list:
            failure = first_failure(folder, arguments.cases)
            print(f"unbroken\n   {failure or 'all claims hold'}", flush=True)
            if failure:
                return 1
        for number, (name, file, edits) in enumerate(BREAKS):
            if arguments.only not in (None, number):
                continue
            if arguments.list:
                print(f"{number:2} {name} ({file})")
                continue
            path = pathlib.Path(folder, file)
            original = text = path.read_text()
            verdict = None
            for before, after in edits:
                if text.count(before) != 1:
                    verdict = f"does not apply: stands there {text.count(before)} times: {before.strip()}"
                text = text.replace(before, after)
            if verdict is None:
                path.write_text(text)
                verdict = first_failure(folder, arguments.cases)
                path.write_text(original)
            print(f"{number:2} {name}\n   {verdict or 'NOT NOTICED'}", flush=True)
            if verdict is None or verdict.startswith("does not"):
                unnoticed.append(name)
    print(f"{len(unnoticed)} not noticed" if not arguments.list else f"{len(BREAKS)} breaks")
    return 1 if unnoticed else 0


def first_failure(folder, cases):
    """The first claim that fails; None if all hold."""
    program = "training/DtoKd.Cli"
    build = subprocess.run(
        ["dotnet", "build", "-c", "Release", program, "-p:RunAnalyzers=false", "-p:UseSharedCompilation=true", "-v:q", "-nologo"],
        cwd=folder, capture_output=True, text=True)
    if build.returncode != 0:
        errors = [line for line in build.stdout.splitlines() if "error" in line]
        return f"does not compile: {(errors or ['?'])[0].strip()[-160:]}"
    run = subprocess.run(
        [f"{folder}/{program}/bin/Release/net10.0/dtokd", "verify", "--cases", str(cases)], capture_output=True, text=True)
    if run.returncode == 0:
        return None
    failures = [" ".join(line.split()) for line in run.stdout.splitlines()
                if any(word in line for word in ("FAILS in", "COUNTER-EXAMPLE GONE", "NOT TRIED"))]
    return f"{len(failures)} claims, first: {failures[0]}" if failures else f"ended with {run.returncode}: {run.stderr.strip()[:200]}"


if __name__ == "__main__":
    sys.exit(main())
