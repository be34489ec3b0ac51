namespace DtoKd.Engine;

internal sealed unsafe class SumReference : ISumKernels
{
    public void Sum(Tensor x, Tensor y, long outer, long reduced, long inner)
    {
        double* px = x.Pointer<double>(), py = y.Pointer<double>();
        for (long o = 0; o < outer; o++)
        {
            for (long i = 0; i < inner; i++)
            {
                double sum = 0;
                for (long r = 0; r < reduced; r++)
                    sum += px[(((o * reduced) + r) * inner) + i];
                py[(o * inner) + i] = sum;
            }
        }
    }
}
