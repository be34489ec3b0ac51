using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>A thread's part in copying slices of the weights: four neighbouring rows of one line, for the first of the threads.</summary>
internal struct ConvWeightCopy
{
    private int _from, _to, _bytes;

    public static ConvWeightCopy Of<TTile>(ConvProductArgs args, int group, int first)
        where TTile : struct, IConvTile
    {
        int quads = ConvTile<TTile>.Rows / 4, line = Group.IdxX / quads, row = (Group.IdxX & (quads - 1)) * 4;
        ConvWeightCopy lines;
        lines._bytes = Ptx.Keep(first + row < args.Pitch ? 4 * sizeof(float) : 0);
        lines._from = Ptx.Keep((((group * args.Lines) + line) * args.Pitch) + (lines._bytes == 0 ? 0 : first + row));
        lines._to = Ptx.Keep(line < ConvTile<TTile>.Slice ? (line * ConvTile<TTile>.PitchLeft) + row : -1);
        return lines;
    }

    /// <summary>Begins to copy the thread's part, and goes on to the next slice.</summary>
    public void Copy(ConvProductArgs args, ArrayView<float> shared, int stage)
    {
        if (_to >= 0)
            Ptx.CopyAsync4(ref shared[stage + _to], 0, ref args.Weights[_from], 4 * sizeof(float), _bytes);
        _from += ConvWeights.Slice * args.Pitch;
    }
}

/// <summary>
/// y = weights times the windows of the source, channels by pixels: a convolution, or one phase of its input's gradient. Each sum
/// runs in the order of the inner axis, so the tile makes no difference to a result. Groups of threads that are neighbours read
/// the same pixels.
/// </summary>
internal readonly struct ConvProduct<TTile> : IKernel<ConvProductArgs>
    where TTile : struct, IConvTile
{
    public static int MaxGroupSize => ConvTile<TTile>.Threads;

    private static int Columns => ConvTile<TTile>.Columns;

    // With two threads for each pixel of a tile, each copies one of a slice's two quads; otherwise both.
    private static bool IsShared => ConvTile<TTile>.Threads >= 2 * Columns;

    public static void Run(ConvProductArgs args)
    {
        var vectors = SharedMemory.Allocate<Float4>(ConvTile<TTile>.Stages * ConvTile<TTile>.Stage / 4);
        var places = SharedMemory.Allocate<ConvPlace>(Columns);
        var shared = vectors.Cast<float>();
        var block = new ConvBlock(args, ConvTile<TTile>.Rows, Columns);
        for (int i = Group.IdxX; i < Columns; i += ConvTile<TTile>.Threads)
            places[i] = ConvPlace.Of(args, block.Group, block.Pixel + i);
        Group.Barrier();

        var weights = ConvWeightCopy.Of<TTile>(args, block.Group, block.Row);
        var step = default(ConvStep);
        step.Advance(args, IsShared ? Group.IdxX / Columns * 4 : 0);
        int write = 0;
        for (int ahead = 0; ahead < ConvTile<TTile>.Stages - 1; ahead++, write += ConvTile<TTile>.Stage)
            Copy(args, shared, places, write, ahead * ConvTile<TTile>.Slice, ref weights, ref step);

        int left = Ptx.Keep(ConvTile<TTile>.FirstLeft), right = Ptx.Keep(ConvTile<TTile>.FirstRight), read = 0;
        ConvSums sums = default;
        for (int k = 0; k < args.Lines; k += ConvTile<TTile>.Slice)
        {
            Ptx.AwaitCopies(ConvTile<TTile>.Stages - 2);
            Group.Barrier();
            Copy(args, shared, places, write, k + ((ConvTile<TTile>.Stages - 1) * ConvTile<TTile>.Slice), ref weights, ref step);
            ConvTile<TTile>.MultiplyAdd(ref shared[left + read], ref shared[right + read], ref sums);
            write = read;
            read = read == (ConvTile<TTile>.Stages - 1) * ConvTile<TTile>.Stage ? 0 : read + ConvTile<TTile>.Stage;
        }

        ConvTile<TTile>.Store(vectors, sums, new ConvTarget(args, places, block));
    }

    /// <summary>Begins to copy a slice.</summary>
    private static void Copy(
        ConvProductArgs args, ArrayView<float> shared, ArrayView<ConvPlace> places, int stage, int line, ref ConvWeightCopy weights, ref ConvStep step)
    {
        if (line < args.Lines)
        {
            weights.Copy(args, shared, stage);
            stage += ConvTile<TTile>.Right;
            if (IsShared)
            {
                int pixel = Group.IdxX & (Columns - 1), half = Group.IdxX / Columns;
                step.CopyQuad(args, places[pixel], ref shared[stage + (4 * half * ConvTile<TTile>.PitchRight) + pixel], ConvTile<TTile>.PitchRight);
                step.Advance(args, 8);
            }
            else
            {
                for (int half = 0; half < 2; half++, stage += 4 * ConvTile<TTile>.PitchRight)
                {
                    for (int pixel = Group.IdxX; pixel < Columns; pixel += ConvTile<TTile>.Threads)
                        step.CopyQuad(args, places[pixel], ref shared[stage + pixel], ConvTile<TTile>.PitchRight);
                    step.Advance(args, 4);
                }
            }
        }

        Ptx.CommitCopies();
    }
}
