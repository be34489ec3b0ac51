using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// DETR's encoding of the places of a padded map by sines: with y the number of valid places up to each one in its column,
    /// divided by the column's last number plus eps and times a scale, and x likewise in its row, channel 2i of the first half is
    /// sin(y / t^(2i/F)), channel 2i + 1 the cosine; the second half is made from x (Carion et al.: "End-to-end object detection
    /// with transformers", 2020).
    /// </summary>
    /// <param name="mask">Bool [N, H, W], true where the map is padding.</param>
    /// <param name="features">F: the channels of each direction, even.</param>
    /// <param name="temperature">t, positive.</param>
    /// <param name="scale">The range of angles; 2 pi as in DETR when null.</param>
    /// <param name="eps">Keeps a column or row of padding from a division by 0.</param>
    /// <param name="dtype">F32 or F64.</param>
    /// <returns>[N, 2F, H, W].</returns>
    /// <exception cref="ArgumentException">The mask is no [N, H, W] of Bool, F is not even, or t is not positive.</exception>
    public static Tensor SinePosition(
        Tensor mask, int features, double temperature = 10000, double? scale = null, double eps = 1e-6, DType dtype = DType.F32)
    {
        const string op = "sine_position";
        var step = Step.Of(op, mask);
        if (mask.DType != DType.Bool || mask.Shape.Rank != 3)
            throw new ArgumentException($"{op}: got mask {mask.DType} {mask.Shape}, expected Bool [N, H, W]");
        if (features < 2 || features % 2 != 0)
            throw new ArgumentException($"{op}: {features} features, expected an even positive number");
        if (!(temperature > 0))
            throw new ArgumentException($"{op}: temperature {temperature}, expected a positive number");

        var frequencies = new double[features / 2];
        for (int i = 0; i < frequencies.Length; i++)
            frequencies[i] = (scale ?? 2 * Math.PI) * Math.Pow(temperature, -2.0 * i / features);
        var frequency = dtype == DType.F64
            ? step.From(frequencies, [frequencies.Length])
            : step.From(Array.ConvertAll(frequencies, value => (float)value), [frequencies.Length]);
        var valid = MaskedFill(step.Full(mask.Shape, 1, dtype), mask, 0);
        return Permute(Concat([Waves(valid, 1), Waves(valid, 2)], -1), 0, 3, 1, 2);

        // [N, H, W, F]: sines and cosines in turn.
        Tensor Waves(Tensor valid, int axis)
        {
            var count = CumSum(valid, axis);
            var place = Div(count, Affine(Slice(count, axis, -1), 1, eps));
            var angle = Mul(Reshape(place, place.Shape.Insert(3, 1)), frequency);
            return Reshape(Stack([Sin(angle), Cos(angle)], -1), place.Shape.Insert(3, features));
        }
    }

    internal static OpDeclaration SinePositionDeclaration => new(nameof(SinePosition))
    {
        IsDifferentiable = false,
        Samples =
        [
            new("padded", [Mask(2, 4, 5)], t => SinePosition(t[0], 6)),
            new("other constants", [Mask(1, 3, 2)], t => SinePosition(t[0], 2, 20, 1, 1e-3)),
            new("one place", [Mask(1, 1, 1)], t => SinePosition(t[0], 4)),
            new("no images", [Mask(0, 3, 2)], t => SinePosition(t[0], 4)),
        ],
        Errors =
        [
            new("rank", [Mask(3, 4)], t => SinePosition(t[0], 4), "got mask Bool [3, 4], expected Bool [N, H, W]"),
            new("type", [Float(1, 3, 4)], t => SinePosition(t[0], 4), "got mask F32 [1, 3, 4]"),
            new("features", [Mask(1, 3, 4)], t => SinePosition(t[0], 5), "5 features, expected an even positive number"),
            new("temperature", [Mask(1, 3, 4)], t => SinePosition(t[0], 4, 0), "temperature 0, expected a positive number"),
        ],
    };
}
