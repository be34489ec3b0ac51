using System.Numerics;

namespace DtoKd.Engine;

public static unsafe partial class Flat
{
    /// <summary>
    /// One step of an exponential moving average: average += share (value - average). In single precision this form rests at a
    /// constant value, which a weighted sum with two rounded weights misses.
    /// </summary>
    /// <param name="average">The average so far, flat; changed in place.</param>
    /// <param name="value">What enters it, flat, of the same type.</param>
    /// <param name="share">How much of the new value enters: 1 minus the decay.</param>
    /// <exception cref="ArgumentException">The buffers differ in length or type.</exception>
    public static void Average(Tensor average, Tensor value, double share)
    {
        RequireAlike(average, value);
        if (!average.Device.IsHost)
        {
            Gpu.FlatGpu.Update(new Gpu.AverageRule(share), 1, new FlatRange(0, average.Count), average, value);
            return;
        }

        var pieces = Pieces([new FlatRange(0, average.Count)]);
        ForEach(average, pieces.Count, piece =>
        {
            if (average.DType == DType.F64)
                AveragePiece<double>(average, value, pieces[piece], share);
            else
                AveragePiece<float>(average, value, pieces[piece], share);
        });
    }

    private static void AveragePiece<T>(Tensor average, Tensor value, FlatRange piece, double share)
        where T : unmanaged, INumber<T>
    {
        T* a = average.Pointer<T>() + piece.Start, v = value.Pointer<T>() + piece.Start;
        T s = T.CreateChecked(share);
        long i = 0;
        for (; i + Vector<T>.Count <= piece.Length; i += Vector<T>.Count)
        {
            var ai = Vector.Load(a + i);
            Vector.Store(ai + ((Vector.Load(v + i) - ai) * s), a + i);
        }

        for (; i < piece.Length; i++)
            a[i] += (v[i] - a[i]) * s;
    }
}
