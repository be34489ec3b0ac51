namespace DtoKd.Engine;

/// <summary>Checks of inputs that several operations share.</summary>
internal static class Require
{
    /// <summary>An optional input, such as a weight per channel, must have the given shape and <paramref name="x"/>'s type.</summary>
    /// <exception cref="ArgumentException">It has not.</exception>
    public static void Shape(string op, string name, Tensor? input, Shape expected, Tensor x)
    {
        if (input is null)
            return;
        if (input.Shape != expected)
            throw new ArgumentException($"{op}: {name} has shape {input.Shape}, expected {expected} for input {x.Shape}");
        if (input.DType != x.DType)
            throw new ArgumentException($"{op}: {name} has type {input.DType}, the input {x.DType}");
    }
}
