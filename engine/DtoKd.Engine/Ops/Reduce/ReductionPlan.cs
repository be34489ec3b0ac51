namespace DtoKd.Engine;

/// <summary>
/// How a reduction over any axes becomes one over the middle of [outer, reduced, inner]: as the axes stand when the reduced
/// ones are neighbours, after moving them to the end otherwise.
/// </summary>
internal sealed class ReductionPlan
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
        var kept = new List<int>(Shape.MaxRank);
        var reduced = new List<int>(Shape.MaxRank);
        for (int i = 0; i < shape.Rank; i++)
        {
            if (all || isReduced[i])
            {
                reduced.Add(i);
                KeptShape = KeptShape.With(i, 1);
            }
            else
            {
                kept.Add(i);
            }
        }

        _result = new Shape([.. kept.Select(i => shape[i])]);
        bool neighbours = reduced.Count == 0 || reduced[^1] - reduced[0] == reduced.Count - 1;
        if (neighbours)
        {
            int first = reduced.Count == 0 ? shape.Rank : reduced[0];
            Outer = shape.CountOf(0, first);
            Reduced = shape.CountOf(first, first + reduced.Count);
            Inner = shape.CountOf(first + reduced.Count, shape.Rank);
        }
        else
        {
            _order = [.. kept, .. reduced];
            Outer = _result.Count;
            Inner = 1;
            Reduced = 1;
            foreach (int i in reduced)
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

    public Tensor NewResult(Step step, bool keepAxes, DType dtype, string op) =>
        step.New(keepAxes ? KeptShape : _result, dtype, op);
}
