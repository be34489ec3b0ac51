namespace DtoKd.Engine;

public static unsafe partial class Op
{
    /// <summary>A 1 at each index, along a new last axis, among zeros.</summary>
    /// <param name="index">I64 of any shape: numbers from 0 .. <paramref name="classes"/> - 1.</param>
    /// <param name="classes">The size of the new axis.</param>
    /// <param name="dtype">The type of the result.</param>
    /// <returns>[..., classes].</returns>
    /// <exception cref="ArgumentException">An index of another type or out of range.</exception>
    public static Tensor OneHot(Tensor index, int classes, DType dtype = DType.F32)
    {
        var step = Step.Of("one_hot", index);
        if (index.DType != DType.I64)
            throw new ArgumentException($"one_hot: got {index}, expected I64");
        index = Contiguous(index);
        RequireInRange("one_hot", index, classes);
        var y = step.New(index.Shape.Insert(index.Shape.Rank, classes), dtype, "one_hot");
        y.Clear();
        if (!y.Device.IsHost)
        {
            Gpu.OneHotGpu.Run(index, classes, y);
            return y;
        }

        var values = index.Span<long>();
        for (int i = 0; i < values.Length; i++)
        {
            long at = ((long)i * classes) + values[i];
            switch (dtype)
            {
                case DType.F32:
                    y.Pointer<float>()[at] = 1;
                    break;
                case DType.F64:
                    y.Pointer<double>()[at] = 1;
                    break;
                case DType.I32:
                    y.Pointer<int>()[at] = 1;
                    break;
                case DType.I64:
                    y.Pointer<long>()[at] = 1;
                    break;
                default:
                    y.Pointer<bool>()[at] = true;
                    break;
            }
        }

        return y;
    }
}
