namespace DtoKd.Engine;

internal sealed unsafe class ResampleReference : IResampleKernels
{
    public void Forward(Step step, ResampleAxis h, ResampleAxis w, Tensor x, Tensor y)
    {
        double* px = x.Pointer<double>(), py = y.Pointer<double>();
        y.Clear();
        ForEachWeight(x.Shape.CountOf(0, 2), h, w, (iy, ix, weight) => py[iy] += weight * px[ix]);
    }

    public void Backward(Step step, ResampleAxis h, ResampleAxis w, Tensor dy, Tensor dx)
    {
        double* pdy = dy.Pointer<double>(), pdx = dx.Pointer<double>();
        ForEachWeight(dx.Shape.CountOf(0, 2), h, w, (iy, ix, weight) => pdx[ix] += weight * pdy[iy]);
    }

    private static void ForEachWeight(long planes, ResampleAxis h, ResampleAxis w, Action<long, long, double> term)
    {
        for (long plane = 0; plane < planes; plane++)
        for (int i = 0; i < h.Count; i++)
        for (int j = 0; j < w.Count; j++)
        for (int a = 0; a < h.Length[i]; a++)
        for (int b = 0; b < w.Length[j]; b++)
        {
            long row = (plane * h.Size) + h.Start[i] + a;
            term(
                (((plane * h.Count) + i) * w.Count) + j,
                (row * w.Size) + w.Start[j] + b,
                h.Weights[(i * h.Taps) + a] * w.Weights[(j * w.Taps) + b]);
        }
    }
}
