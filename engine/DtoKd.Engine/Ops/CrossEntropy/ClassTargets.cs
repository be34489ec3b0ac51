using System.Numerics;

namespace DtoKd.Engine;

/// <summary>
/// What the losses on class indices share: logits [C], [N, C] or [N, C, ...] become rows of classes, and each row's label is
/// checked.
/// </summary>
internal static unsafe class ClassTargets
{
    /// <summary>The shape of one value per row: without the axis of classes, which is axis 1, or 0 of a single row.</summary>
    /// <exception cref="ArgumentException">A scalar.</exception>
    public static Shape RowShape(string op, Tensor logits)
    {
        Pointwise.RequireFloat(op, logits);
        if (logits.Shape.Rank == 0)
            throw new ArgumentException($"{op}: needs logits [N, C] or [N, C, ...], got a scalar");
        return logits.Shape.Without(logits.Shape.Rank == 1 ? 0 : 1);
    }

    /// <summary>A contiguous tensor with the classes as last axis.</summary>
    public static Tensor Rows(Tensor x)
    {
        int rank = x.Shape.Rank;
        if (rank > 2)
        {
            Span<int> order = stackalloc int[rank];
            for (int i = 1; i < rank - 1; i++)
                order[i] = i + 1;
            order[^1] = 1;
            x = Op.Permute(x, order);
        }

        return Op.Contiguous(x);
    }

    /// <summary>
    /// Checks the labels and returns the weight of each, 0 where it is ignored: a mean over the rows divides by their sum. On a
    /// device, a kernel checks; a label that is no class weighs nothing.
    /// </summary>
    /// <param name="op">The operation.</param>
    /// <param name="logits">What the labels belong to: the weights are of its step and type.</param>
    /// <param name="labels">Contiguous.</param>
    /// <param name="rows">The shape of one value per row.</param>
    /// <param name="weight">The weights of classes, contiguous; null for 1.</param>
    /// <param name="ignoreIndex">The label that is ignored.</param>
    /// <exception cref="ArgumentException">Another type or shape, or a label that is no class.</exception>
    public static Tensor Weights(string op, Tensor logits, Tensor labels, Shape rows, Tensor? weight, long ignoreIndex)
    {
        if (labels.DType != DType.I64 || labels.Shape != rows)
            throw new ArgumentException($"{op}: labels are {labels.DType} {labels.Shape}, expected I64 {rows}");
        int classes = logits.Shape[logits.Shape.Rank == 1 ? 0 : 1];
        var weights = Step.Of(op, logits, labels).New(rows, logits.DType, op);
        if (!labels.Device.IsHost)
            Gpu.ClassTargetsGpu.Weights(op, labels, classes, weight, ignoreIndex, weights);
        else if (logits.DType == DType.F64)
            Weights<double>(op, labels, classes, weight, ignoreIndex, weights);
        else
            Weights<float>(op, labels, classes, weight, ignoreIndex, weights);
        return weights;
    }

    /// <summary>What is said of a label that is no class.</summary>
    public static ArgumentException NoClass(string op, int classes, long label, long row) =>
        new($"{op}: label {label} at index {row} is not one of {classes} classes");

    private static void Weights<T>(string op, Tensor labels, int classes, Tensor? weight, long ignoreIndex, Tensor weights)
        where T : unmanaged, INumber<T>
    {
        long* label = labels.Pointer<long>();
        T* of = weight is null ? null : weight.Pointer<T>(), to = weights.Pointer<T>();
        for (long row = 0; row < labels.Count; row++)
        {
            bool ignored = label[row] == ignoreIndex;
            if (!ignored && (ulong)label[row] >= (ulong)classes)
                throw NoClass(op, classes, label[row], row);
            to[row] = ignored ? T.Zero : of == null ? T.One : of[label[row]];
        }
    }
}
