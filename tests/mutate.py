#!/usr/bin/env python3
"""Breaks one backward rule or kernel at a time and asks the tests to notice.

    tests/mutate.py              all mutants
    tests/mutate.py --only 3     one of them
    tests/mutate.py --list       what they are

Works on a copy of the last commit in a temporary folder. Prints for each mutant the first test that fails, and ends with 1
if a mutant survives. Not part of `dotnet test`: a mutant takes a build and a run of the generated tests.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

OPS = "engine/DtoKd.Engine/Ops/"
# (file, what stands there once, what is put in its place)
MUTANTS = [
    ("Pointwise/Arithmetic.cs", "=> -a / (b * b);", "=> a / (b * b);"),
    ("Pointwise/Arithmetic.cs", "slopes[i] == 1 ? dy : Scaled(dy, i, into)", "dy"),
    ("Pointwise/Exp.cs", "SlopeOfResult => true", "SlopeOfResult => false"),
    ("Pointwise/Tanh.cs", "SlopeOfResult => true", "SlopeOfResult => false"),
    ("Pointwise/Pointwise.cs", "new GradientB<TFormula>(_formula), into.Over(dy)", "new GradientA<TFormula>(_formula), into.Over(dy)"),
    ("Pointwise/Pointwise.cs", "into.Wants(1) ? into.Step.New(dy.Shape, dy.DType, Name) : into.Over(dy)", "into.Over(dy)"),
    ("Pointwise/Arithmetic.cs", "_a is null ? into.Over(dy) : into.Step.New(dy.Shape, dy.DType, Name)", "into.Over(dy)"),
    ("Pointwise/Where.cs", "Where(_mask, zero, dy)", "Where(_mask, dy, zero)"),
    ("Roll/Roll.cs", "s => -s", "s => s"),
    ("Roll/Flip.cs", "Flip(dy, axes))", "Flip(Flip(dy, axes), axes))"),
    ("Pad/Pad.cs", "pad => -pad", "pad => pad"),
    ("View/View.cs", "Permute(dy, inverse)", "Reshape(Permute(Permute(dy, inverse), inverse), Inputs[0].Shape)"),
    ("View/View.cs", "Use(target.Tensor), axis, start,", "Use(target.Tensor), axis, 0,"),
    ("Concat/Concat.cs", "Slice(dy, axis, start, start + size)", "Slice(dy, axis, 0, size)"),
    ("Reduce/Sum.cs", "Expand(Reshape(dy, kept), Inputs[0].Shape)", "Affine(Expand(Reshape(dy, kept), Inputs[0].Shape), -1)"),
    ("Reduce/Var.cs", "Affine(Reshape(dy, _mean.Shape), _scale)", "Affine(Reshape(dy, _mean.Shape), -_scale)"),
    ("Reduce/Amax.cs", " / Sum(chosen, _axes, keepAxes: true)", ""),
    ("MatMul/MatMul.cs", "Give(0, dy, Transposed(into.Step, _b)", "Give(0, dy, Transposed(into.Step, Op.Neg(_b))"),
    ("Linear/Linear.cs", "Sum(rows, [0])", "Affine(Sum(rows, [0]), -1)"),
    ("Linear/Linear.cs", "ProductEnd.Times(AsRows", "ProductEnd.Add(AsRows"),
    ("Linear/Linear.cs", "into.Give(3, dy)", "into.Give(3, Affine(dy, -1))"),
    ("Conv2d/Conv2d.cs", "into.Give(2, SumToChannels(dy))", "into.Give(2, Affine(SumToChannels(dy), -1))"),
    ("Conv2d/Cpu/Sparse/SparseConv.cs", "ends && mask >= cut.MasksPerBlock ? total : null", "null"),
    ("Conv2d/Cpu/Sparse/SparseConv.cs", "Nonzeros(rows + (p * StepsAtOnce)) & inside", "Nonzeros(rows + (p * StepsAtOnce))"),
    ("Conv2d/Cpu/Planes/ConvLayout.cs", "ConvAxis.Backward(g.H, g.Kernel.Height, g.Stride.Height", "ConvAxis.Backward(g.H, g.Kernel.Height, g.Stride.Width"),
    ("BatchNorm/BatchNorm.Cpu.cs", "norm.Batch ? -scale * rstd", "norm.Batch ? scale * rstd"),
    ("BatchNorm/BatchNorm.cs", "into.Give(3, dz)", "into.Give(3, dy)"),
    ("Composed/Addend.cs", "Op.Linear(x, weight, bias, shortcut)", "Op.Linear(x, weight, bias)"),
    ("Composed/Residual.cs", "kept.TakeScaled(into.Step, dy, target)", "kept.Take(into.Step, dy, target, 1)"),
    ("LayerNorm/LayerNorm.cs", "_weight, _mean, _rstd, dx", "_weight, _rstd, _mean, dx"),
    ("Softmax/Softmax.cs", "Backward(dy, _y,", "Backward(dy, dy,"),
    ("CrossEntropy/CrossEntropy.cs", "into.Give(0, dx)", "into.Give(0, Affine(dx, -1))"),
    ("KlDivergence/KlDivergence.cs", "into.Give(0, dstudent)", "into.Give(0, Affine(dstudent, -1))"),
    ("Gather/Gather.cs", "Save(index)", "Save(Op.Flip(index, 0))"),
    ("Scatter/Scatter.cs", "into.Give(1, Gather(dy, _axis, _index))", "into.Give(1, Affine(Gather(dy, _axis, _index), -1))"),
    ("GridSample/GridSample.cs", "into.Give(1, dgrid)", "into.Give(1, Affine(dgrid, -1))"),
    ("Conv2d/Cpu/Panels/ConvPanels.cs", "(long)(task / pieces) * panels", "(long)(task / pieces % blocks) * panels"),
    ("BatchNorm/BatchNorm.cs", "Bias is null ? null : save(Bias)", "null"),
    ("BatchNorm/BatchNorm.cs", "UpdateRunning(norm.RunningMean, norm.RunningVar, inputs, norm.Momentum);", ""),
    ("Conv2d/Cpu/ConvMoments.cs", "float shift = values[0];", "float shift = 0;"),
    ("Conv2d/Cpu/ConvMoments.cs", " + (lowOff * lowOff * count)", ""),
    ("Conv2d/Cpu/ConvMoments.cs", "count > 0 ? 1 / count : 0", "1 / count"),
    ("Conv2d/Cpu/ConvMoments.cs", "run * runStride", "run * count"),
    ("Conv2d/Cpu/Planes/ConvLayout.Rows.cs", "PaddedRow.Inside(column, -left, _sourceW),", "PaddedRow.Inside(column, -left, _sourceW + 1),"),
    ("Conv2d/Cpu/Planes/ConvLayout.Rows.cs", "Normalise(line + from, target + from, to - from);", "Normalise(line + from, target + from, to - from - 1);"),
    ("Conv2d/Conv2d.cs", "ConvSubsample.Spread(geometry, Contiguous(dy), dx, accumulate)", "ConvSubsample.Spread(geometry, Contiguous(dy), dx, false)"),
    ("../Autograd/Gradients.cs", "dy.IsExclusive && dy.IsContiguous", "dy.IsContiguous"),
    ("../Autograd/Gradients.cs", "!Retains && IsMine(saved)", "IsMine(saved)"),
    ("../Autograd/Gradients.cs", "new GradTarget(pending, true)", "new GradTarget(pending, false)"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, metavar="N")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(f"git archive HEAD | tar -x -C {folder}", shell=True, check=True, cwd=root)
        for number, (file, before, after) in enumerate(MUTANTS):
            if arguments.only not in (None, number):
                continue
            path = pathlib.Path(folder, OPS, file)
            original = path.read_text()
            name = f"{number:2} {file}: {before}  ->  {after or '(nothing)'}"
            if original.count(before) != 1:
                print(f"{name}: stands there {original.count(before)} times")
                survivors.append(name)
                continue
            if arguments.list:
                print(name)
                continue
            text = original.replace(before, after)
            path.write_text(text)
            verdict = first_failure(folder)
            path.write_text(original)
            print(f"{name}\n   {verdict or 'SURVIVED'}", flush=True)
            if verdict is None or verdict.startswith("does not compile"):
                survivors.append(name)
    print(f"{len(survivors)} survived" if not arguments.list else f"{len(MUTANTS)} mutants")
    return 1 if survivors else 0


def first_failure(folder):
    """The first test that fails; None if none does."""
    tests = "tests/DtoKd.Engine.Tests"
    build = subprocess.run(
        ["dotnet", "build", "-c", "Release", tests, "-p:RunAnalyzers=false", "-p:UseSharedCompilation=true", "-v:q", "-nologo"],
        cwd=folder, capture_output=True, text=True)
    if build.returncode != 0:
        return f"does not compile: {build.stdout.strip().splitlines()[-1][:160]}"
    run = subprocess.run(
        [f"{folder}/{tests}/bin/Release/net10.0/DtoKd.Engine.Tests", "-stoponfail", "-nocolor"],
        cwd=folder, capture_output=True, text=True)
    failures = [line.strip() for line in run.stdout.splitlines() if line.rstrip().endswith("[FAIL]")]
    return failures[0] if failures else None if run.returncode == 0 else "the tests' process ended: " + run.stderr.strip()[:200]


if __name__ == "__main__":
    sys.exit(main())
