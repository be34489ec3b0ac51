namespace DtoKd.Engine;

internal sealed unsafe class Conv2dReference : IConv2dKernels
{
    /// <summary>What to do with one product of the sum: the places of its output, input and weight.</summary>
    private delegate void Term(long y, long x, long w);

    public void Forward(Conv2dGeometry geometry, Tensor x, Tensor w, Tensor? bias, Tensor y, bool accumulate)
    {
        double* px = x.Pointer<double>(), pw = w.Pointer<double>(), py = y.Pointer<double>();
        if (!accumulate)
            y.Clear();
        ForEachTerm(geometry, (iy, ix, iw) => py[iy] += pw[iw] * px[ix]);
        if (bias is null)
            return;
        double* pb = bias.Pointer<double>();
        long area = (long)geometry.OH * geometry.OW;
        for (long i = 0; i < y.Count; i++)
            py[i] += pb[i / area % geometry.O];
    }

    public void InputGradient(Conv2dGeometry geometry, Tensor dy, Tensor w, Tensor dx, bool accumulate)
    {
        double* pdy = dy.Pointer<double>(), pw = w.Pointer<double>(), pdx = dx.Pointer<double>();
        if (!accumulate)
            dx.Clear();
        ForEachTerm(geometry, (iy, ix, iw) => pdx[ix] += pw[iw] * pdy[iy]);
    }

    public void WeightGradient(Conv2dGeometry geometry, Tensor x, Tensor dy, Tensor dw, bool accumulate)
    {
        double* pdy = dy.Pointer<double>(), px = x.Pointer<double>(), pdw = dw.Pointer<double>();
        if (!accumulate)
            dw.Clear();
        ForEachTerm(geometry, (iy, ix, iw) => pdw[iw] += px[ix] * pdy[iy]);
    }

    private static void ForEachTerm(Conv2dGeometry g, Term term)
    {
        for (int n = 0; n < g.N; n++)
        for (int o = 0; o < g.O; o++)
        for (int i = 0; i < g.OH; i++)
        for (int j = 0; j < g.OW; j++)
        for (int c = 0; c < g.GroupC; c++)
        for (int a = 0; a < g.Kernel.Height; a++)
        for (int b = 0; b < g.Kernel.Width; b++)
        {
            int row = (i * g.Stride.Height) - g.Padding.Height + (a * g.Dilation.Height);
            int column = (j * g.Stride.Width) - g.Padding.Width + (b * g.Dilation.Width);
            if (row < 0 || row >= g.H || column < 0 || column >= g.W)
                continue;
            int channel = (o / g.GroupO * g.GroupC) + c;
            term(
                (((((long)n * g.O) + o) * g.OH) + i) * g.OW + j,
                (((((long)n * g.C) + channel) * g.H) + row) * g.W + column,
                (((((long)o * g.GroupC) + c) * g.Kernel.Height) + a) * g.Kernel.Width + b);
        }
    }
}
