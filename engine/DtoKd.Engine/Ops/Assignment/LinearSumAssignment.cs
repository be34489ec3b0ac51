using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// Pairs rows with columns so that the sum of their costs is least, each row and column at most once and as many pairs as
    /// fit: the assignment problem (Kuhn: "The Hungarian method", 1955), in double precision.
    /// </summary>
    /// <param name="cost">[rows, columns] floats; infinity forbids a pair.</param>
    /// <returns>I64 [min(rows, columns)] each: the rows of the pairs, rising, and their columns.</returns>
    /// <exception cref="ArgumentException">
    /// The cost is no matrix, holds NaN or negative infinity, or forbids so many pairs that not enough are left.
    /// </exception>
    /// <exception cref="InvalidOperationException">A gradient flows through the cost: there is no derivative.</exception>
    public static (Tensor Rows, Tensor Columns) LinearSumAssignment(Tensor cost)
    {
        const string op = "linear_sum_assignment";
        var step = Step.Of(op, cost);
        step.RefuseGradient(op, cost);
        Pointwise.RequireFloat(op, cost);
        if (cost.Shape.Rank != 2)
            throw new ArgumentException($"{op}: got cost of shape {cost.Shape}, expected [rows, columns]");
        int rows = cost.Shape[0], columns = cost.Shape[1];
        var values = cost.ToDoubles();
        for (int i = 0; i < values.Length; i++)
        {
            if (double.IsNaN(values[i]) || double.IsNegativeInfinity(values[i]))
                throw new ArgumentException($"{op}: cost[{i / columns}, {i % columns}] is {values[i]}, expected a number");
        }

        // Every one of the fewer gets a partner; the pairs are then listed by rows.
        bool wide = rows <= columns;
        var partners = wide
            ? AssignmentSolver.Solve(values, rows, columns, columns, 1)
            : AssignmentSolver.Solve(values, columns, rows, 1, columns);
        var pairs = new (long Row, long Column)[partners.Length];
        for (int i = 0; i < pairs.Length; i++)
            pairs[i] = wide ? (i, partners[i]) : (partners[i], i);
        Array.Sort(pairs);
        return (
            step.From(Array.ConvertAll(pairs, pair => pair.Row), [pairs.Length]),
            step.From(Array.ConvertAll(pairs, pair => pair.Column), [pairs.Length]));
    }

    internal static OpDeclaration LinearSumAssignmentDeclaration => new(nameof(LinearSumAssignment))
    {
        IsDifferentiable = false,
        Samples =
        [
            new("square", [Float(6, 6)], t => LinearSumAssignment(t[0]).Columns),
            new("wide", [Float(4, 9)], t => LinearSumAssignment(t[0]).Columns),
            new("tall, rows", [Float(9, 4)], t => LinearSumAssignment(t[0]).Rows),
            new("tall, columns", [Float(9, 4)], t => LinearSumAssignment(t[0]).Columns),
            new("no columns", [Float(5, 0)], t => LinearSumAssignment(t[0]).Rows),
            new("no rows", [Float(0, 5)], t => LinearSumAssignment(t[0]).Rows),
        ],
        Errors =
        [
            new("shape", [Float(5)], t => LinearSumAssignment(t[0]).Rows, "got cost of shape [5], expected [rows, columns]"),
            new("NaN", [Float(1, 2)], t => LinearSumAssignment(Pad(t[0], [0, 0, 1, 0], double.NaN)).Rows, "cost[0, 0] is NaN"),
            new("forbidden", [Float(1, 2)],
                t => LinearSumAssignment(Pad(t[0], [0, 0, 1, 0], double.PositiveInfinity)).Rows,
                "row or column 0 has no partner"),
            new("integers", [Index(3, 2, 2)], t => LinearSumAssignment(t[0]).Rows, "needs a float tensor"),
        ],
    };
}
