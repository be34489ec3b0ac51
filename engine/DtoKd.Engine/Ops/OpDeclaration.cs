using System.Reflection;

namespace DtoKd.Engine;

/// <summary>
/// What an operation says of itself for the tests: sample inputs and error cases. It stands beside the operation; the tests
/// and the self-test generate from it the comparison with the reference, the gradient check, the comparison of vector widths
/// and of thread counts, strided inputs and the count of live bytes.
/// </summary>
internal sealed record OpDeclaration(params string[] Methods)
{
    /// <summary>Whether a gradient flows through the operation. If not, it must refuse inputs that want one.</summary>
    public bool IsDifferentiable { get; init; } = true;

    public required OpSample[] Samples { get; init; }

    public OpError[] Errors { get; init; } = [];

    /// <summary>All declarations: the static properties of this type in <see cref="Op"/>.</summary>
    public static IEnumerable<OpDeclaration> All { get; } =
    [
        .. typeof(Op).GetProperties(BindingFlags.Static | BindingFlags.NonPublic)
            .Where(property => property.PropertyType == typeof(OpDeclaration))
            .Select(property => (OpDeclaration)property.GetValue(null)!),
    ];
}

/// <summary>One call of an operation on generated inputs.</summary>
internal sealed record OpSample(string Label, OpInput[] Inputs, Func<Tensor[], Tensor> Run)
{
    /// <summary>Allowed error in single precision, relative to the largest magnitude of the result or gradient.</summary>
    public double Tolerance { get; init; } = 1e-5;

    /// <summary>Off for samples whose result or derivative jumps, and for large ones.</summary>
    public bool GradCheck { get; init; } = true;
}

/// <summary>A call that must fail with an <see cref="ArgumentException"/> whose message contains a text.</summary>
internal sealed record OpError(string Label, OpInput[] Inputs, Func<Tensor[], Tensor> Run, string Message);

/// <summary>How to generate an input: its shape, type and range.</summary>
internal sealed record OpInput(Shape Shape, DType DType, double Low, double High)
{
    /// <summary>Floats from a range; the gradient is checked.</summary>
    public static OpInput Uniform(double low, double high, Shape shape) => new(shape, DType.F32, low, high);

    /// <summary>Floats from -2 .. 2; the gradient is checked.</summary>
    public static OpInput Float(params ReadOnlySpan<int> sizes) => Uniform(-2, 2, new Shape(sizes));

    /// <summary>Floats from 0.2 .. 3; the gradient is checked.</summary>
    public static OpInput Positive(params ReadOnlySpan<int> sizes) => Uniform(0.2, 3, new Shape(sizes));

    /// <summary>I64 indices from 0 .. <paramref name="count"/> - 1.</summary>
    public static OpInput Index(int count, params ReadOnlySpan<int> sizes) => new(new Shape(sizes), DType.I64, 0, count);

    /// <summary>A Bool mask, about half of it set.</summary>
    public static OpInput Mask(params ReadOnlySpan<int> sizes) => new(new Shape(sizes), DType.Bool, 0, 2);

    /// <summary>Makes the input. Floats are the same numbers in single and double precision.</summary>
    /// <param name="step">The step to make it in.</param>
    /// <param name="seed">Different for each input of a sample.</param>
    /// <param name="floats">F32 or F64.</param>
    public Tensor Make(Step step, int seed, DType floats)
    {
        var random = new Random(seed);
        var values = new double[Shape.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)(Low + ((High - Low) * random.NextDouble()));
        return DType switch
        {
            DType.F32 when floats == DType.F64 => step.From(values, Shape),
            DType.F32 => step.From(Array.ConvertAll(values, value => (float)value), Shape),
            DType.I64 => step.From(Array.ConvertAll(values, value => (long)value), Shape),
            _ => step.From(Array.ConvertAll(values, value => value >= 1), Shape),
        };
    }
}
