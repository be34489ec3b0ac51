using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Engine.Gpu;

namespace DtoKd.Gpu.Tests.Ops;

/// <summary>Matrices that several warps share, and what is said of those that have no solution.</summary>
public class LinearAlgebraTests
{
    // More than a warp, and no multiple of it.
    private const int Order = 37;

    private static GpuDevice Device => TestDevice.Gpu;

    public static TheoryData<string> Operations => ["inverse", "solve", "cholesky", "determinant", "matrix_exp"];

    [Theory]
    [MemberData(nameof(Operations))]
    public void Large_matrices_are_those_of_the_CPU(string operation)
    {
        using var cpu = new CpuDevice(1);
        var (result, gradient) = Run(cpu, operation);
        var (actual, actualGradient) = Run(Device, operation);
        AssertClose(result, actual);
        AssertClose(gradient, actualGradient);
    }

    [Fact]
    public void The_matrix_and_the_pivot_are_named_when_the_host_waits()
    {
        using var step = Step.Evaluation(Device);
        var singular = step.From([1f, 0, 0, 1, 1, 2, 2, 4], [2, 2, 2]);
        Op.Inverse(singular);
        string message = Assert.Throws<ArgumentException>(Device.Synchronize).Message;
        Assert.Equal("inverse: matrix 1 of [2, 2, 2] is singular: pivot 1 is 0", message);
        Op.Cholesky(step.From([1f, 2, 2, 1], [2, 2]));
        message = Assert.Throws<ArgumentException>(Device.Synchronize).Message;
        Assert.Equal("cholesky: matrix 0 of [2, 2] is not positive definite: pivot 1 is -3, expected > 0", message);
        Op.Cholesky(step.From([float.NaN], [1, 1]));
        Assert.Contains("pivot 0 is NaN", Assert.Throws<ArgumentException>(Device.Synchronize).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_exponential_of_what_is_not_finite_is_not_a_number()
    {
        using var step = Step.Evaluation(Device);
        var y = Op.MatrixExp(step.From([float.PositiveInfinity, 0, 0, 0, 0, 0, 0, 0], [2, 2, 2])).ToArray<float>();
        Assert.All(y[..4], value => Assert.Equal(float.NaN, value));
        Assert.Equal([1, 0, 0, 1], y[4..]);
    }

    private static (float[] Result, float[] Gradient) Run(Device device, string operation)
    {
        using var step = Step.Recording(device);
        var random = new Random(1);
        float[] Values() => [.. Enumerable.Range(0, Order * Order).Select(_ => (float)((2 * random.NextDouble()) - 1) / 4)];
        float[] values = Values(), right = Values();
        // A diagonal that makes the matrix positive definite, unlike its determinant's size.
        for (int i = 0; i < Order; i++)
            values[i * (Order + 1)] = 1 + (operation == "cholesky" ? Order / 4 : i % 3);
        var x = step.Watch(step.From(values, [Order, Order]));
        var y = operation switch
        {
            "inverse" => Op.Inverse(x),
            "solve" => Op.Solve(x, step.From(right, [Order, Order])),
            "cholesky" => Op.Cholesky(x),
            "determinant" => Op.Determinant(x),
            _ => Op.MatrixExp(x),
        };
        using var store = new GradStore();
        step.Tape.Backward(y, step.From(right[..(int)y.Count], y.Shape), store);
        return (y.ToArray<float>(), store.Of(x)!.ToArray<float>());
    }

    private static void AssertClose(float[] expected, float[] actual)
    {
        float largest = expected.Max(Math.Abs);
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], 3e-5f * largest);
    }
}
