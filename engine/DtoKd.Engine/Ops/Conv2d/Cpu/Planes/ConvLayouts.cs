namespace DtoKd.Engine.Cpu;

/// <summary>The products of a convolution that run over planes.</summary>
internal enum ConvProduct
{
    Forward,
    InputGradient,
    WeightGradient,
}

/// <summary>
/// The layouts that convolutions have used: they follow from the geometry alone, a network asks for the same ones in every step, and
/// each is some kilobytes of index arrays. Any thread may ask.
/// </summary>
internal sealed class ConvLayouts
{
    /// <summary>
    /// How many are kept. A RegNetY uses 40; images of ever new sizes, as in detection, fill it once in many steps, and it starts anew.
    /// </summary>
    public const int Capacity = 256;

    private readonly Lock _access = new();
    private readonly Dictionary<(Conv2dGeometry, ConvProduct, int), ConvLayout> _made = [];

    /// <summary>The layout of a product for vectors of <paramref name="width"/> floats.</summary>
    public ConvLayout Of(Conv2dGeometry geometry, ConvProduct product, int width)
    {
        var key = (geometry, product, width);
        lock (_access)
        {
            if (_made.TryGetValue(key, out var layout))
                return layout;
            if (_made.Count == Capacity)
                _made.Clear();
            return _made[key] = new ConvLayout(geometry, product, width);
        }
    }
}
