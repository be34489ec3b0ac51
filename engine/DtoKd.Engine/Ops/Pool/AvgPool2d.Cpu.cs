using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>One image's channel after the other, shared out over the threads: windows of different channels never meet.</summary>
internal sealed unsafe class AvgPoolCpu : IAvgPoolKernels
{
    // Pixels that one task reads or writes.
    private const long Grain = 16384;

    public void Forward(PoolWindows windows, bool countIncludePad, Tensor x, Tensor y) =>
        ForEachPlane(x.Device, windows, countIncludePad, x.Pointer<float>(), y.Pointer<float>(), backward: false);

    public void Backward(PoolWindows windows, bool countIncludePad, Tensor dy, Tensor dx) =>
        ForEachPlane(dx.Device, windows, countIncludePad, dx.Pointer<float>(), dy.Pointer<float>(), backward: true);

    private static void ForEachPlane(
        Device device, PoolWindows windows, bool countIncludePad, float* x, float* y, bool backward)
    {
        float[] scalesH = Scales(windows.H, countIncludePad), scalesW = Scales(windows.W, countIncludePad);
        ((CpuDevice)device).Team.ForRange(windows.Planes, Math.Max(1, Grain / Math.Max(1, windows.InputArea)), (start, end) =>
        {
            for (long plane = start; plane < end; plane++)
            {
                float* image = x + (plane * windows.InputArea), pooled = y + (plane * windows.OutputArea);
                if (backward)
                    SpreadPlane(windows, scalesH, scalesW, image, pooled);
                else
                    MeanPlane(windows, scalesH, scalesW, image, pooled);
            }
        });
    }

    private static void MeanPlane(PoolWindows windows, float[] scalesH, float[] scalesW, float* x, float* y)
    {
        int width = windows.Input[3];
        fixed (int* starts = windows.W.Start, ends = windows.W.End)
        {
            for (int i = 0; i < windows.H.Count; i++)
            {
                int startH = windows.H.Start[i], endH = windows.H.End[i];
                for (int j = 0; j < scalesW.Length; j++)
                {
                    float sum = 0;
                    for (int a = startH; a < endH; a++)
                    {
                        float* row = x + ((long)a * width);
                        for (int b = starts[j]; b < ends[j]; b++)
                            sum += row[b];
                    }

                    *y++ = sum * (scalesH[i] * scalesW[j]);
                }
            }
        }
    }

    private static void SpreadPlane(PoolWindows windows, float[] scalesH, float[] scalesW, float* dx, float* dy)
    {
        int width = windows.Input[3];
        fixed (int* starts = windows.W.Start, ends = windows.W.End)
        {
            for (int i = 0; i < windows.H.Count; i++)
            {
                int startH = windows.H.Start[i], endH = windows.H.End[i];
                for (int j = 0; j < scalesW.Length; j++)
                {
                    float share = *dy++ * (scalesH[i] * scalesW[j]);
                    for (int a = startH; a < endH; a++)
                    {
                        float* row = dx + ((long)a * width);
                        for (int b = starts[j]; b < ends[j]; b++)
                            row[b] += share;
                    }
                }
            }
        }
    }

    private static float[] Scales(PoolAxis axis, bool countIncludePad)
    {
        var scales = new float[axis.Count];
        for (int i = 0; i < scales.Length; i++)
            scales[i] = 1f / (countIncludePad ? axis.PaddedSize[i] : axis.Size(i));
        return scales;
    }
}
