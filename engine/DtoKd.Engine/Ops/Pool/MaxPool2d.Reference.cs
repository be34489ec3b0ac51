namespace DtoKd.Engine;

internal sealed unsafe class MaxPoolReference : IMaxPoolKernels
{
    public void Forward(PoolWindows windows, Tensor x, Tensor y, Tensor? winners)
    {
        double* px = x.Pointer<double>(), py = y.Pointer<double>();
        int* pw = winners is null ? null : winners.Pointer<int>();
        int width = windows.Input[3];
        for (long i = 0; i < y.Count; i++)
        {
            double* plane = px + (i / windows.OutputArea * windows.InputArea);
            int row = (int)(i % windows.OutputArea / windows.W.Count), column = (int)(i % windows.W.Count);
            double max = double.NegativeInfinity;
            int winner = -1;
            for (int a = windows.H.Start[row]; a < windows.H.End[row]; a += windows.H.Step)
            {
                for (int b = windows.W.Start[column]; b < windows.W.End[column]; b += windows.W.Step)
                {
                    double value = plane[((long)a * width) + b];
                    if (winner < 0 || value > max || double.IsNaN(value))
                        (max, winner) = (value, (a * width) + b);
                }
            }

            py[i] = max;
            if (pw != null)
                pw[i] = winner;
        }
    }

    public void Backward(PoolWindows windows, Tensor dy, Tensor winners, Tensor dx)
    {
        double* pdy = dy.Pointer<double>(), pdx = dx.Pointer<double>();
        int* pw = winners.Pointer<int>();
        for (long i = 0; i < dy.Count; i++)
        {
            if (pw[i] >= 0)
                pdx[(i / windows.OutputArea * windows.InputArea) + pw[i]] += pdy[i];
        }
    }
}
