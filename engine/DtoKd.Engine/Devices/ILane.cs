namespace DtoKd.Engine;

/// <summary>
/// What a pointwise formula computes with. The same formula runs over vectors of floats on the CPU, over doubles as the
/// reference, over dual numbers in the tests, and in a kernel on other devices.
/// </summary>
/// <typeparam name="V">The lane type itself.</typeparam>
internal interface ILane<V>
    where V : unmanaged, ILane<V>
{
    /// <summary>The constant in every element.</summary>
    static abstract V Of(double value);

    static abstract V operator +(V a, V b);

    static abstract V operator -(V a, V b);

    static abstract V operator *(V a, V b);

    static abstract V operator /(V a, V b);

    static abstract V operator -(V a);

    /// <summary>a b + c with one rounding.</summary>
    static abstract V MultiplyAdd(V a, V b, V c);

    static abstract V Abs(V x);

    static abstract V Sqrt(V x);

    /// <summary>The larger one; NaN if either is.</summary>
    static abstract V Max(V a, V b);

    /// <summary>The smaller one; NaN if either is.</summary>
    static abstract V Min(V a, V b);

    /// <summary>A mask for <see cref="Select"/>: where a is less than b.</summary>
    static abstract V Less(V a, V b);

    /// <summary>A mask for <see cref="Select"/>: where a equals b.</summary>
    static abstract V Equal(V a, V b);

    /// <summary>The first value where the mask is set, the second elsewhere.</summary>
    static abstract V Select(V mask, V yes, V no);

    /// <summary>To the nearest whole number, ties to even.</summary>
    static abstract V Round(V x);

    static abstract V Exp(V x);

    /// <summary>e^x - 1, without the cancellation near 0.</summary>
    static abstract V Expm1(V x);

    static abstract V Log(V x);

    /// <summary>log(1 + x), without the loss of a small x.</summary>
    static abstract V Log1p(V x);

    static abstract V Tanh(V x);

    static abstract V Erf(V x);

    /// <summary>The distribution function of the standard normal distribution, and e^(-x^2/2), which comes with it.</summary>
    static abstract V Phi(V x, out V bell);

    static abstract V Sin(V x);

    static abstract V Cos(V x);

    static abstract V Atan(V x);
}

/// <summary>A lane of floats, with what <see cref="LaneMath"/> builds the elementary functions from.</summary>
internal unsafe interface IFloatLane<V> : ILane<V>
    where V : unmanaged, IFloatLane<V>
{
    /// <summary>The number of floats.</summary>
    static abstract int Width { get; }

    /// <summary>One float in every element. <see cref="ILane{V}.Of"/> is for constants: it would convert by way of double.</summary>
    static abstract V Broadcast(float value);

    static abstract V Load(float* source);

    /// <summary>
    /// sum = a b + sum with one rounding, for loops of many sums: written as an assignment of <see cref="ILane{V}.MultiplyAdd"/> the
    /// compiler makes a copy of each.
    /// </summary>
    static virtual void AddProduct(ref V sum, V a, V b) => sum = V.MultiplyAdd(a, b, sum);

    /// <summary>The same, where b is read by the instruction itself.</summary>
    static virtual void AddProduct(ref V sum, V a, float* b) => sum = V.MultiplyAdd(a, V.Load(b), sum);

    static abstract void Store(V value, float* target);

    /// <summary>Writes to memory and keeps nothing in the caches; the target is a multiple of the vector's size.</summary>
    static virtual void StorePast(V value, float* target) => V.Store(value, target);

    /// <summary>The first <paramref name="count"/> floats, fewer than <see cref="Width"/>; the others are <paramref name="fill"/>.</summary>
    static abstract V LoadPart(float* source, long count, float fill);

    /// <summary>Writes the first <paramref name="count"/> floats, fewer than <see cref="Width"/>.</summary>
    static abstract void StorePart(V value, float* target, long count);

    /// <summary>The larger one, which may be the other if one is NaN: one instruction, where <see cref="ILane{V}.Max"/> takes several.</summary>
    static abstract V Larger(V a, V b);

    /// <summary>2^n for a whole n in -126 .. 127.</summary>
    static abstract V PowerOfTwo(V n);

    /// <summary>Cuts a positive normal x into a mantissa in [1, 2) and its exponent.</summary>
    static abstract V Mantissa(V x, out V exponent);

    /// <summary>The sum of the elements, by halves.</summary>
    static abstract float Sum(V x);

    /// <summary>The largest element; NaN if one is.</summary>
    static abstract float Largest(V x);
}
