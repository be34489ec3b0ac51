using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>One image's channel after the other, shared out over the threads: windows of different channels never meet.</summary>
internal sealed unsafe class MaxPoolCpu : IMaxPoolKernels
{
    // Pixels that one task reads or writes.
    private const long Grain = 16384;

    public void Forward(PoolWindows windows, Tensor x, Tensor y, Tensor? winners)
    {
        float* px = x.Pointer<float>(), py = y.Pointer<float>();
        int* pw = winners is null ? null : winners.Pointer<int>();
        long inputArea = windows.InputArea, outputArea = windows.OutputArea;
        ((CpuDevice)x.Device).Team.ForRange(windows.Planes, GrainOf(windows), (start, end) =>
        {
            for (long plane = start; plane < end; plane++)
            {
                Plane(windows, px + (plane * inputArea), py + (plane * outputArea),
                    pw == null ? null : pw + (plane * outputArea));
            }
        });
    }

    public void Backward(PoolWindows windows, Tensor dy, Tensor winners, Tensor dx)
    {
        float* pdy = dy.Pointer<float>(), pdx = dx.Pointer<float>();
        int* pw = winners.Pointer<int>();
        long inputArea = windows.InputArea, outputArea = windows.OutputArea;
        ((CpuDevice)dy.Device).Team.ForRange(windows.Planes, GrainOf(windows), (start, end) =>
        {
            for (long plane = start; plane < end; plane++)
            {
                float* target = pdx + (plane * inputArea);
                for (long i = plane * outputArea; i < (plane + 1) * outputArea; i++)
                {
                    if (pw[i] >= 0)
                        target[pw[i]] += pdy[i];
                }
            }
        });
    }

    private static long GrainOf(PoolWindows windows) => Math.Max(1, Grain / Math.Max(1, windows.InputArea));

    private static void Plane(PoolWindows windows, float* x, float* y, int* winners)
    {
        int width = windows.Input[3], stepH = windows.H.Step, stepW = windows.W.Step, columns = windows.W.Count;
        fixed (int* startsW = windows.W.Start, endsW = windows.W.End)
        {
            for (int i = 0; i < windows.H.Count; i++)
            {
                int startH = windows.H.Start[i], endH = windows.H.End[i];
                for (int j = 0; j < columns; j++)
                {
                    float max = float.NegativeInfinity;
                    int winner = -1;
                    for (int a = startH; a < endH; a += stepH)
                    {
                        for (int b = startsW[j]; b < endsW[j]; b += stepW)
                        {
                            float value = x[((long)a * width) + b];
                            if (value > max || winner < 0 || float.IsNaN(value))
                                (max, winner) = (value, (a * width) + b);
                        }
                    }

                    *y++ = max;
                    if (winners != null)
                        *winners++ = winner;
                }
            }
        }
    }
}
