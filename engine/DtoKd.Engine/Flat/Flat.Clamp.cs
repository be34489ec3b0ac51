using System.Numerics.Tensors;

namespace DtoKd.Engine;

public static unsafe partial class Flat
{
    /// <summary>Brings every element into -limit .. limit. What is not a number stays so.</summary>
    /// <param name="flat">Changed in place.</param>
    /// <param name="limit">The largest magnitude.</param>
    public static void Clamp(Tensor flat, double limit)
    {
        if (!flat.Device.IsHost)
        {
            Gpu.FlatGpu.Update(new Gpu.ClampRule(limit), 1, new FlatRange(0, flat.Count), flat, flat);
            return;
        }

        var pieces = Pieces([new FlatRange(0, flat.Count)]);
        ForEach(flat, pieces.Count, piece =>
        {
            var (start, length) = pieces[piece];
            if (flat.DType == DType.F64)
                Clamp(new Span<double>(flat.Pointer<double>() + start, (int)length), limit);
            else
                Clamp(new Span<float>(flat.Pointer<float>() + start, (int)length), (float)limit);
        });

        static void Clamp<T>(Span<T> values, T limit)
            where T : System.Numerics.INumber<T> => TensorPrimitives.Clamp(values, -limit, limit, values);
    }
}
