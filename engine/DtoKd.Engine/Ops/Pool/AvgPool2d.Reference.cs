namespace DtoKd.Engine;

internal sealed unsafe class AvgPoolReference : IAvgPoolKernels
{
    public void Forward(PoolWindows windows, bool countIncludePad, Tensor x, Tensor y)
    {
        double* px = x.Pointer<double>(), py = y.Pointer<double>();
        y.Clear();
        ForEachPixel(windows, countIncludePad, (iy, ix, size) => py[iy] += px[ix] / size);
    }

    public void Backward(PoolWindows windows, bool countIncludePad, Tensor dy, Tensor dx)
    {
        double* pdy = dy.Pointer<double>(), pdx = dx.Pointer<double>();
        ForEachPixel(windows, countIncludePad, (iy, ix, size) => pdx[ix] += pdy[iy] / size);
    }

    private static void ForEachPixel(PoolWindows windows, bool countIncludePad, Action<long, long, int> term)
    {
        PoolAxis h = windows.H, w = windows.W;
        for (long plane = 0; plane < windows.Planes; plane++)
        for (int i = 0; i < h.Count; i++)
        for (int j = 0; j < w.Count; j++)
        for (int a = h.Start[i]; a < h.End[i]; a++)
        for (int b = w.Start[j]; b < w.End[j]; b++)
        {
            int size = countIncludePad ? h.PaddedSize[i] * w.PaddedSize[j] : h.Size(i) * w.Size(j);
            long pixel = (plane * windows.InputArea) + ((long)a * windows.Input[3]) + b;
            term((plane * windows.OutputArea) + (i * w.Count) + j, pixel, size);
        }
    }
}
