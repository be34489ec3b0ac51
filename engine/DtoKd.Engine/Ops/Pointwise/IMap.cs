namespace DtoKd.Engine;

/// <summary>A formula of one to three numbers, applied to every element. A struct, so that each loop is compiled for it.</summary>
internal interface IMap
{
    /// <summary>How many of the three numbers the formula reads.</summary>
    static abstract int Arity { get; }

    V Map<V>(V a, V b, V c)
        where V : unmanaged, ILane<V>;
}

/// <summary>A function of one number and its derivative, written once for every device and precision.</summary>
internal interface IUnary
{
    /// <summary>Whether <see cref="Slope"/> is a formula of the result (true) or of the input (false).</summary>
    static abstract bool SlopeOfResult { get; }

    V Value<V>(V x)
        where V : unmanaged, ILane<V>;

    /// <summary>The derivative, from the saved input or result.</summary>
    V Slope<V>(V saved)
        where V : unmanaged, ILane<V>;
}

/// <summary>
/// A function whose derivative takes little more once its value is there. Both are computed in the forward pass, and the
/// derivative is saved.
/// </summary>
internal interface IUnaryWithSlope
{
    V Value<V>(V x)
        where V : unmanaged, ILane<V>;

    V ValueAndSlope<V>(V x, out V slope)
        where V : unmanaged, ILane<V>;
}

/// <summary>A function of two numbers and its two derivatives.</summary>
internal interface IBinary
{
    V Value<V>(V a, V b)
        where V : unmanaged, ILane<V>;

    V SlopeA<V>(V a, V b)
        where V : unmanaged, ILane<V>;

    V SlopeB<V>(V a, V b)
        where V : unmanaged, ILane<V>;
}

internal readonly struct UnaryValue<TFormula>(TFormula formula) : IMap
    where TFormula : struct, IUnary
{
    public static int Arity => 1;

    public V Map<V>(V a, V b, V c)
        where V : unmanaged, ILane<V> => formula.Value(a);
}

internal readonly struct ValueOnly<TFormula>(TFormula formula) : IMap
    where TFormula : struct, IUnaryWithSlope
{
    public static int Arity => 1;

    public V Map<V>(V a, V b, V c)
        where V : unmanaged, ILane<V> => formula.Value(a);
}

/// <summary>a b.</summary>
internal readonly struct Times : IMap
{
    public static int Arity => 2;

    public V Map<V>(V a, V b, V c)
        where V : unmanaged, ILane<V> => a * b;
}

/// <summary>dy times the slope, from (dy, saved).</summary>
internal readonly struct UnaryGradient<TFormula>(TFormula formula) : IMap
    where TFormula : struct, IUnary
{
    public static int Arity => 2;

    public V Map<V>(V a, V b, V c)
        where V : unmanaged, ILane<V> => a * formula.Slope(b);
}

internal readonly struct BinaryValue<TFormula>(TFormula formula) : IMap
    where TFormula : struct, IBinary
{
    public static int Arity => 2;

    public V Map<V>(V a, V b, V c)
        where V : unmanaged, ILane<V> => formula.Value(a, b);
}

/// <summary>dy times the slope in the first input, from (dy, a, b).</summary>
internal readonly struct GradientA<TFormula>(TFormula formula) : IMap
    where TFormula : struct, IBinary
{
    public static int Arity => 3;

    public V Map<V>(V a, V b, V c)
        where V : unmanaged, ILane<V> => a * formula.SlopeA(b, c);
}

/// <summary>dy times the slope in the second input, from (dy, a, b).</summary>
internal readonly struct GradientB<TFormula>(TFormula formula) : IMap
    where TFormula : struct, IBinary
{
    public static int Arity => 3;

    public V Map<V>(V a, V b, V c)
        where V : unmanaged, ILane<V> => a * formula.SlopeB(b, c);
}
