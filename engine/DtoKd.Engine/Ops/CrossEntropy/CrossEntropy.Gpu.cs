using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>A team of threads for each row. The target distribution q is made where it is read, of labels and of probabilities alike.</summary>
internal sealed class CrossEntropyGpu : ICrossEntropyKernels
{
    public void Forward(
        Tensor x, Tensor targets, Tensor? weight, Tensor loss, Tensor max, Tensor logSum, CrossEntropyTerms terms) =>
        RowTeam.Launch<CrossEntropyForward<WarpOfRow>, CrossEntropyForward<GroupOfRow>, CrossEntropyArgs>(
            (GpuDevice)x.Device, terms.Rows, terms.Classes, new(x, targets, weight, loss, max, logSum, terms));

    public void Backward(
        Tensor dy,
        Tensor x,
        Tensor targets,
        Tensor? weight,
        Tensor max,
        Tensor logSum,
        Tensor? dx,
        Tensor? dtargets,
        CrossEntropyTerms terms)
    {
        var args = new CrossEntropyArgs(x, targets, weight, dy, max, logSum, terms)
        {
            WantsX = dx is null ? 0 : 1,
            WantsTargets = dtargets is null ? 0 : 1,
        };
        if (dx is not null)
            args.Dx = GpuDevice.View<float>(dx);
        if (dtargets is not null)
            args.Dtargets = GpuDevice.View<float>(dtargets);
        RowTeam.Launch<CrossEntropyBackward<WarpOfRow>, CrossEntropyBackward<GroupOfRow>, CrossEntropyArgs>(
            (GpuDevice)x.Device, terms.Rows, terms.Classes, args);
    }
}

/// <summary>"Loss" is the result in the forward pass and its gradient in the backward pass; views that are not used are X.</summary>
internal struct CrossEntropyArgs
{
    public ArrayView<float> X, Probabilities, Weight, Loss, Max, LogSum, Dx, Dtargets;
    public ArrayView<long> Labels;
    public long IgnoreIndex;
    public float Certain, Uniform;
    public int Rows, Classes, HasLabels, IsWeighted, WantsX, WantsTargets;

    public CrossEntropyArgs(
        Tensor x, Tensor targets, Tensor? weight, Tensor loss, Tensor max, Tensor logSum, CrossEntropyTerms terms)
    {
        X = GpuDevice.View<float>(x);
        HasLabels = targets.DType == DType.I64 ? 1 : 0;
        Probabilities = HasLabels != 0 ? X : GpuDevice.View<float>(targets);
        Labels = HasLabels != 0 ? GpuDevice.View<long>(targets) : default;
        Weight = weight is null ? X : GpuDevice.View<float>(weight);
        IsWeighted = weight is null ? 0 : 1;
        Loss = GpuDevice.View<float>(loss);
        Max = GpuDevice.View<float>(max);
        LogSum = GpuDevice.View<float>(logSum);
        (Dx, Dtargets) = (X, X);
        IgnoreIndex = terms.IgnoreIndex;
        Certain = (float)terms.Certain;
        Uniform = (float)terms.Uniform;
        Rows = checked((int)terms.Rows);
        Classes = terms.Classes;
        WantsX = WantsTargets = 0;
    }

    /// <summary>A row's label; -1 for one that is ignored, is no class or is not there.</summary>
    public readonly int Label(int row)
    {
        if (HasLabels == 0 || row >= Rows)
            return -1;
        long label = Labels[row];
        return label == IgnoreIndex || label < 0 || label >= Classes ? -1 : (int)label;
    }

    /// <summary>Whether a row counts.</summary>
    public readonly int Counts(int label) => HasLabels == 0 || label >= 0 ? 1 : 0;

    /// <summary>The target of a class, not normalised.</summary>
    public readonly float Q(int at, int label, int classOf)
    {
        if (HasLabels == 0)
            return Ptx.Fma(Certain, Probabilities[at], Uniform);
        float q = classOf == label ? Certain + Uniform : Uniform;
        return IsWeighted != 0 ? q * Weight[classOf] : q;
    }
}

/// <summary>
/// loss = log(sum) sum(q) + sum(q (max - x)): neither part is ever negative, so that no digits cancel.
/// </summary>
internal readonly struct CrossEntropyForward<TTeam> : IKernel<CrossEntropyArgs>
    where TTeam : struct, IRowTeam
{
    public static void Run(CrossEntropyArgs args)
    {
        int row = TTeam.Row, first = row * args.Classes, classes = row < args.Rows ? args.Classes : 0, label = args.Label(row);
        float max = float.NegativeInfinity;
        for (int i = TTeam.Rank; i < classes; i += TTeam.Size)
            max = Ptx.Max(max, args.X[first + i]);
        max = TTeam.Fold<Op.LargerOf>(max);
        float sum = 0, total = 0, distance = 0;
        for (int i = TTeam.Rank; i < classes; i += TTeam.Size)
        {
            float below = max - args.X[first + i], q = args.Q(first + i, label, i);
            sum += GpuLane.Exp(new(-below)).Value;
            total += q;
            // A logit of minus infinity may be no target at all.
            distance = q != 0 ? Ptx.Fma(q, below, distance) : distance;
        }

        sum = TTeam.Fold<SumOf>(sum);
        total = TTeam.Fold<SumOf>(total);
        distance = TTeam.Fold<SumOf>(distance);
        if (TTeam.Rank != 0 || row >= args.Rows)
            return;
        float logSum = GpuLane.Log(new(sum)).Value;
        args.Max[row] = max;
        args.LogSum[row] = logSum;
        args.Loss[row] = args.Counts(label) != 0 ? Ptx.Fma(logSum, total, distance) : 0;
    }
}

internal readonly struct CrossEntropyBackward<TTeam> : IKernel<CrossEntropyArgs>
    where TTeam : struct, IRowTeam
{
    public static void Run(CrossEntropyArgs args)
    {
        int row = TTeam.Row, first = row * args.Classes, classes = row < args.Rows ? args.Classes : 0, label = args.Label(row);
        float total = 0;
        for (int i = TTeam.Rank; i < classes; i += TTeam.Size)
            total += args.Q(first + i, label, i);
        total = TTeam.Fold<SumOf>(total);
        if (row >= args.Rows)
            return;
        float max = args.Max[row], logSum = args.LogSum[row], gradient = args.Counts(label) != 0 ? args.Loss[row] : 0;
        for (int i = TTeam.Rank; i < classes; i += TTeam.Size)
        {
            float logP = args.X[first + i] - max - logSum;
            if (args.WantsX != 0)
            {
                float q = args.Q(first + i, label, i);
                args.Dx[first + i] = gradient * ((GpuLane.Exp(new(logP)).Value * total) - q);
            }

            if (args.WantsTargets != 0)
                args.Dtargets[first + i] = -gradient * args.Certain * logP;
        }
    }
}
