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

    /// <summary>Checks the labels and returns the sum of their weights: what a mean over the rows divides by.</summary>
    /// <exception cref="ArgumentException">Another type or shape, or a label that is no class.</exception>
    public static double Check(string op, Tensor labels, Shape rows, int classes, Tensor? weight, long ignoreIndex)
    {
        if (labels.DType != DType.I64 || labels.Shape != rows)
            throw new ArgumentException($"{op}: labels are {labels.DType} {labels.Shape}, expected I64 {rows}");
        long* label = labels.Pointer<long>();
        double sum = 0;
        for (long row = 0; row < labels.Count; row++)
        {
            if (label[row] == ignoreIndex)
                continue;
            if ((ulong)label[row] >= (ulong)classes)
                throw new ArgumentException($"{op}: label {label[row]} at index {row} is not one of {classes} classes");
            sum += Weight(weight, label[row]);
        }

        return sum;
    }

    /// <summary>The weight of a class; 1 without weights.</summary>
    public static double Weight(Tensor? weight, long label) =>
        weight is null ? 1 : weight.DType == DType.F64 ? weight.Pointer<double>()[label] : weight.Pointer<float>()[label];
}
