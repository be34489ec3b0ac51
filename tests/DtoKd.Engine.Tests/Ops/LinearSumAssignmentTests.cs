using DtoKd.Engine.Cpu;
using FsCheck;
using FsCheck.Xunit;

namespace DtoKd.Engine.Tests.Ops;

/// <summary>The assignment is the cheapest of all, whatever the matrix's form, with ties and forbidden pairs.</summary>
public sealed class LinearSumAssignmentTests : IDisposable
{
    private readonly CpuDevice _device = new(1);

    [Property(MaxTest = 300)]
    public void No_other_assignment_is_cheaper(int seed)
    {
        var random = new Random(seed);
        int rows = random.Next(1, 7), columns = random.Next(1, 7);
        // Small integers make ties; every other matrix has none.
        bool ties = random.Next(2) == 0;
        var cost = Enumerable.Range(0, rows * columns)
            .Select(_ => ties ? random.Next(-3, 4) : random.NextDouble() - 0.5).ToArray();
        using var step = Step.Evaluation(_device);
        var (first, second) = Op.LinearSumAssignment(step.From(cost, [rows, columns]));
        var (pairRows, pairColumns) = (first.ToArray<long>(), second.ToArray<long>());

        Assert.Equal(Math.Min(rows, columns), pairRows.Length);
        Assert.Equal(pairRows.Distinct().Order(), pairRows);
        Assert.Equal(pairColumns.Length, pairColumns.Distinct().Count());
        double total = pairRows.Zip(pairColumns, (row, column) => cost[(row * columns) + column]).Sum();
        Assert.Equal(Cheapest(cost, columns, 0, 0, rows), total, 1e-12);
    }

    [Fact]
    public void A_forbidden_pair_is_avoided_at_any_price()
    {
        using var step = Step.Evaluation(_device);
        var cost = step.From([double.PositiveInfinity, 1, 0, 1e9], [2, 2]);
        Assert.Equal([1L, 0L], Op.LinearSumAssignment(cost).Columns.ToArray<long>());
    }

    [Fact]
    public void Too_many_forbidden_pairs_and_negative_infinity_are_refused()
    {
        const double No = double.PositiveInfinity;
        using var step = Step.Evaluation(_device);
        var oneColumn = step.From([1, No, No, 2, No, No, No, 3, 4], [3, 3]);
        Assert.Contains("no partner", Assert.Throws<ArgumentException>(() => Op.LinearSumAssignment(oneColumn)).Message);
        var endless = step.From([1, -No], [1, 2]);
        Assert.Contains("cost[0, 1]", Assert.Throws<ArgumentException>(() => Op.LinearSumAssignment(endless)).Message);
    }

    public void Dispose() => _device.Dispose();

    /// <summary>The least cost of the rows from one on, by trying everything; rows stay alone while there are too many.</summary>
    private static double Cheapest(double[] cost, int columns, int row, int taken, int rows)
    {
        int free = columns - int.PopCount(taken), left = rows - row;
        if (left == 0 || free == 0)
            return 0;
        double best = left > free ? Cheapest(cost, columns, row + 1, taken, rows) : double.PositiveInfinity;
        for (int column = 0; column < columns; column++)
        {
            if ((taken & (1 << column)) != 0)
                continue;
            double rest = Cheapest(cost, columns, row + 1, taken | (1 << column), rows);
            best = Math.Min(best, cost[(row * columns) + column] + rest);
        }

        return best;
    }
}
