using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

public class LinearAlgebraTests
{
    [Fact]
    public void Two_by_two_by_hand()
    {
        AssertClose([1, -1, -1, 2], Compute([2, 1, 1, 1], [2, 2], Op.Inverse));
        AssertClose([1], Compute([2, 1, 1, 1], [2, 2], Op.Determinant));
        AssertClose([2, 0, 1, 2], Compute([4, 2, 2, 5], [2, 2], Op.Cholesky));
        AssertClose([1, 3, 0, 1], Compute([0, 3, 0, 0], [2, 2], Op.MatrixExp));
        AssertClose([Math.E, 0, 0, 1 / Math.E], Compute([1, 0, 0, -1], [2, 2], Op.MatrixExp));
        // Skew [[0, -1], [1, 0]]: a turn by 1, and by 2 arctan(1 / 2).
        var (sin, cos) = Math.SinCos(1);
        AssertClose([cos, -sin, sin, cos], Compute([7, 7, 1, 7], [2, 2], a => Op.OrthogonalExp(a, 2)));
        AssertClose([0.6, -0.8, 0.8, 0.6], Compute([7, 7, 1, 7], [2, 2], a => Op.OrthogonalCayley(a, 2)));
    }

    [Fact]
    public void An_exchange_of_rows_changes_the_determinants_sign()
    {
        AssertClose([-1], Compute([0, 0, 1, 0, 1, 0, 1, 0, 0], [3, 3], Op.Determinant));
        AssertClose([1], Compute([0, 1, 0, 0, 0, 1, 1, 0, 0], [3, 3], Op.Determinant));
    }

    [Fact]
    public void The_determinants_gradient_at_a_singular_matrix_is_the_cofactors()
    {
        // Of rank 2, 1 and 0. A cofactor is the volume of what is left.
        AssertClose([0, 0, 0, 0, 0, 0, 0, 0, 6], Gradient([2, 0, 0, 0, 3, 0, 0, 0, 0], [3, 3], [1], Op.Determinant));
        AssertClose(new double[9], Gradient([2, 0, 0, 0, 0, 0, 0, 0, 0], [3, 3], [1], Op.Determinant));
        AssertClose([5], Gradient([0], [1, 1], [5], Op.Determinant));
    }

    [Fact]
    public void Single_precision_is_solved_in_double()
    {
        // The condition number of the Hilbert matrix of order 7 is 5e8: a solution in singles would have no digit left.
        double[] hilbert = [.. Enumerable.Range(0, 49).Select(i => (double)(float)(1.0 / ((i / 7) + (i % 7) + 1)))];
        double[] exact = Compute(hilbert, [7, 7], Op.Inverse);
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var single = Op.Inverse(step.From(Array.ConvertAll(hilbert, value => (float)value), [7, 7])).ToArray<float>();
        Assert.Equal(Array.ConvertAll(exact, value => (float)value), single);
    }

    [Theory]
    [InlineData(1e-9)]
    [InlineData(3)]
    [InlineData(100)]
    public void The_exponential_of_a_turn_is_the_turn(double angle)
    {
        double cos = Math.Cos(angle), sin = Math.Sin(angle);
        AssertClose([cos, -sin, sin, cos], Compute([0, -angle, angle, 0], [2, 2], Op.MatrixExp), 1e-12);
    }

    [Fact]
    public void The_exponentials_gradient_is_linear_however_large_the_gradient_of_the_result_is()
    {
        double[] a = [0.3, -0.2, 0.7, 0.1], seed = [1, -2, 0.5, 3];
        double[] once = Gradient(a, [2, 2], seed, Op.MatrixExp);
        double[] more = Gradient(a, [2, 2], Array.ConvertAll(seed, value => value * 1e200), Op.MatrixExp);
        AssertClose(once, Array.ConvertAll(more, value => value / 1e200));
        AssertClose(new double[4], Gradient(a, [2, 2], new double[4], Op.MatrixExp));
    }

    [Fact]
    public void The_exponential_of_what_is_not_finite_is_not_a_number_and_leaves_the_rest_of_the_batch_alone()
    {
        var y = Compute([double.PositiveInfinity, 0, 0, 0, 0, 0, 0, 0], [2, 2, 2], Op.MatrixExp);
        Assert.All(y[..4], value => Assert.Equal(double.NaN, value));
        Assert.Equal([1, 0, 0, 1], y[4..]);
    }

    [Fact]
    public void Columns_are_orthonormal()
    {
        const int Order = 24, Columns = 10;
        var random = new Random(5);
        double[] a = [.. Enumerable.Range(0, Order * Order).Select(_ => (4 * random.NextDouble()) - 2)];
        double[] identity = [.. Enumerable.Range(0, Columns * Columns).Select(i => i % (Columns + 1) == 0 ? 1.0 : 0)];
        foreach (var op in new Func<Tensor, int, Tensor>[] { Op.OrthogonalExp, Op.OrthogonalCayley })
        {
            AssertClose(identity, Compute(a, [Order, Order], x =>
            {
                var q = op(x, Columns);
                return Op.MatMul(Op.Transpose(q, 0, 1), q);
            }));
        }
    }

    [Fact]
    public void Errors_name_matrix_and_pivot()
    {
        var singular = Assert.Throws<ArgumentException>(() => Compute([1, 0, 0, 1, 1, 2, 2, 4], [2, 2, 2], Op.Inverse));
        Assert.Equal("inverse: matrix 1 of [2, 2, 2] is singular: pivot 1 is 0", singular.Message);
        var indefinite = Assert.Throws<ArgumentException>(() => Compute([1, 2, 2, 1], [2, 2], Op.Cholesky));
        Assert.Equal("cholesky: matrix 0 of [2, 2] is not positive definite: pivot 1 is -3, expected > 0", indefinite.Message);
        var unknown = Assert.Throws<ArgumentException>(() => Compute([double.NaN], [1, 1], Op.Cholesky));
        Assert.Contains("pivot 0 is NaN", unknown.Message);
    }

    private static double[] Compute(double[] values, Shape shape, Func<Tensor, Tensor> op)
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        return op(step.From(values, shape)).ToDoubles();
    }

    private static double[] Gradient(double[] values, Shape shape, double[] seed, Func<Tensor, Tensor> op)
    {
        using var device = new CpuDevice(1);
        using var step = Step.Recording(device);
        var x = step.Watch(step.From(values, shape));
        var y = op(x);
        using var store = new GradStore();
        step.Tape.Backward(y, step.From(seed, y.Shape), store);
        return store.Of(x)!.ToDoubles();
    }

    private static void AssertClose(double[] expected, double[] actual, double tolerance = 1e-14)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], tolerance);
    }
}
