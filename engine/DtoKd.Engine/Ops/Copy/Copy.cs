using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// The operations on tensors. Each lives in its own folder, or its own file if it is composed of others; what is recorded
/// for the backward pass stands beside the forward function.
/// </summary>
public static unsafe partial class Op
{
    // A block of rows copies about this many elements.
    private const long CopyGrain = 16384;

    /// <summary>The same elements stored row by row without gaps; the tensor itself if they already are.</summary>
    /// <param name="x">Any tensor.</param>
    public static Tensor Contiguous(Tensor x)
    {
        if (x.IsContiguous)
            return x;
        var step = Step.Of("contiguous", x);
        var y = step.New(x.Shape, x.DType, "contiguous");
        Copy(x, y, accumulate: false);
        if (step.Tracks(x))
            step.Record(y, new PassNode("contiguous"), x);
        return y;
    }

    /// <summary>Copies, or adds, elements between two tensors of one shape and type, each with any strides.</summary>
    internal static void Copy(Tensor from, Tensor to, bool accumulate)
    {
        if (from.Shape != to.Shape || from.DType != to.DType)
            throw new ArgumentException($"copy: {from} to {to}");
        if (!to.Device.Computes)
            return;
        var loop = new StridedLoop(to.Shape, to.Strides, from.Strides);
        if (!to.Device.IsHost)
        {
            Gpu.CopyGpu.Run(loop, from, to, accumulate);
            return;
        }

        switch (to.DType)
        {
            case DType.F32 when accumulate:
                Rows<float, AddFloats>(loop, from, to);
                break;
            case DType.F64 when accumulate:
                Rows<double, AddDoubles>(loop, from, to);
                break;
            case DType.F32:
                Rows<float, Move<float>>(loop, from, to);
                break;
            case DType.F64:
                Rows<double, Move<double>>(loop, from, to);
                break;
            case DType.I64:
                Rows<long, Move<long>>(loop, from, to);
                break;
            case DType.I32:
                Rows<int, Move<int>>(loop, from, to);
                break;
            default:
                Rows<bool, Move<bool>>(loop, from, to);
                break;
        }
    }

    private static void Rows<T, TStore>(StridedLoop loop, Tensor from, Tensor to)
        where T : unmanaged
        where TStore : struct, IStore<T>
    {
        var team = ((CpuDevice)to.Device).Team;
        T* source = from.Pointer<T>(), target = to.Pointer<T>();
        if (loop.Rows != 1)
            Rows<T, TStore>(team, loop, source, target);
        else if (loop.Inner > CopyGrain)
            OneRow<T, TStore>(team, loop.Inner, target, loop.InnerStride(0), source, loop.InnerStride(1));
        else
            Row<T, TStore>(target, loop.InnerStride(0), source, loop.InnerStride(1), loop.Inner);
    }

    private static void OneRow<T, TStore>(ThreadTeam team, long count, T* target, long targetStride, T* source, long sourceStride)
        where T : unmanaged
        where TStore : struct, IStore<T> =>
        team.ForRange(count, CopyGrain, (start, end) => Row<T, TStore>(
            target + (start * targetStride), targetStride, source + (start * sourceStride), sourceStride, end - start));

    private static void Rows<T, TStore>(ThreadTeam team, StridedLoop loop, T* source, T* target)
        where T : unmanaged
        where TStore : struct, IStore<T> =>
        team.ForRange(loop.Rows, Math.Max(1, CopyGrain / loop.Inner), (start, end) =>
        {
            Span<long> at = stackalloc long[StridedLoop.MaxOperands], index = stackalloc long[Shape.MaxRank];
            int run = loop.Rank - 2;
            long size = loop.Size(run), inRun = start % size;
            loop.Begin(start - inRun, index, at);
            for (long row = start; row < end; inRun = 0, loop.NextRun(index, at))
            {
                T* to = target + at[0] + (inRun * loop.Stride(run, 0)), from = source + at[1] + (inRun * loop.Stride(run, 1));
                for (long last = Math.Min(end, row + size - inRun); row < last; row++)
                {
                    Row<T, TStore>(to, loop.InnerStride(0), from, loop.InnerStride(1), loop.Inner);
                    to += loop.Stride(run, 0);
                    from += loop.Stride(run, 1);
                }
            }
        });

    private static void Row<T, TStore>(T* target, long targetStride, T* source, long sourceStride, long count)
        where T : unmanaged
        where TStore : struct, IStore<T>
    {
        if (targetStride == 1 && sourceStride == 1)
        {
            TStore.Row(new ReadOnlySpan<T>(source, checked((int)count)), new Span<T>(target, (int)count));
            return;
        }

        if (targetStride == 1 && sourceStride == 0)
        {
            TStore.Fill(*source, new Span<T>(target, checked((int)count)));
            return;
        }

        for (long i = 0; i < count; i++)
            TStore.One(source[i * sourceStride], ref target[i * targetStride]);
    }

    private interface IStore<T>
    {
        static abstract void One(T value, ref T target);

        static abstract void Row(ReadOnlySpan<T> values, Span<T> target);

        static abstract void Fill(T value, Span<T> target);
    }

    private readonly struct Move<T> : IStore<T>
    {
        public static void One(T value, ref T target) => target = value;

        public static void Row(ReadOnlySpan<T> values, Span<T> target) => values.CopyTo(target);

        public static void Fill(T value, Span<T> target) => target.Fill(value);
    }

    private readonly struct AddFloats : IStore<float>
    {
        public static void One(float value, ref float target) => target += value;

        public static void Row(ReadOnlySpan<float> values, Span<float> target) =>
            System.Numerics.Tensors.TensorPrimitives.Add(target, values, target);

        public static void Fill(float value, Span<float> target) =>
            System.Numerics.Tensors.TensorPrimitives.Add(target, value, target);
    }

    private readonly struct AddDoubles : IStore<double>
    {
        public static void One(double value, ref double target) => target += value;

        public static void Row(ReadOnlySpan<double> values, Span<double> target) =>
            System.Numerics.Tensors.TensorPrimitives.Add(target, values, target);

        public static void Fill(double value, Span<double> target) =>
            System.Numerics.Tensors.TensorPrimitives.Add(target, value, target);
    }

    /// <summary>The result has the input's elements in the input's order: its gradient is the input's.</summary>
    private sealed class PassNode(string op) : Node
    {
        public override string Name => op;

        public override void Backward(Tensor dy, Gradients into) => into.Give(0, dy);
    }
}
