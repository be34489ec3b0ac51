namespace DtoKd.Engine;

/// <summary>
/// How a reduction over any axes becomes one over the middle of [outer, reduced, inner]: as the axes stand when the reduced
/// ones are neighbours, after moving them to the end otherwise.
/// </summary>
internal readonly struct ReductionPlan
{
    private readonly int[]? _order;
    private readonly Shape _result;

    public ReductionPlan(string op, Tensor x, int[]? axes)
    {
        var shape = x.Shape;
        Span<bool> isReduced = stackalloc bool[Shape.MaxRank];
        bool all = axes is null or { Length: 0 };
        foreach (int axis in axes ?? [])
        {
            int positive = shape.Axis(axis);
            if (isReduced[positive])
                throw new ArgumentException($"{op}: axis {positive} stands twice in [{string.Join(", ", axes!)}]");
            isReduced[positive] = true;
        }

        KeptShape = shape;
        // The axes that stay, then the reduced ones.
        Span<int> order = stackalloc int[shape.Rank], sizes = stackalloc int[shape.Rank];
        int kept = 0, reduced = 0;
        for (int i = 0; i < shape.Rank; i++)
        {
            if (all || isReduced[i])
            {
                order[shape.Rank - ++reduced] = i;
                KeptShape = KeptShape.With(i, 1);
            }
            else
            {
                sizes[kept] = shape[i];
                order[kept++] = i;
            }
        }

        order[kept..].Reverse();
        _result = new Shape(sizes[..kept]);
        int first = reduced == 0 ? shape.Rank : order[kept];
        bool neighbours = reduced == 0 || order[^1] - first == reduced - 1;
        if (neighbours)
        {
            Outer = shape.CountOf(0, first);
            Reduced = shape.CountOf(first, first + reduced);
            Inner = shape.CountOf(first + reduced, shape.Rank);
        }
        else
        {
            _order = order.ToArray();
            Outer = _result.Count;
            Inner = 1;
            Reduced = 1;
            foreach (int i in order[kept..])
                Reduced *= shape[i];
        }
    }

    public long Outer { get; }

    public long Reduced { get; }

    public long Inner { get; }

    /// <summary>The result's shape with the reduced axes as 1.</summary>
    public Shape KeptShape { get; }

    /// <summary>The input with its axes in the order of the plan.</summary>
    public Tensor Arrange(Tensor x) => _order is null ? x : Op.Permute(x, _order);

    /// <summary>As <see cref="Arrange"/>, stored row by row, and nothing is recorded.</summary>
    public Tensor ArrangeUntracked(Tensor x) => _order is null && x.IsContiguous ? x : Op.Contiguous(Arrange(x.Detach()));

    public Tensor NewResult(Step step, bool keepAxes, DType dtype, string op) =>
        step.New(keepAxes ? KeptShape : _result, dtype, op);
}
