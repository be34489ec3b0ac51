using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Packs an operand of any strides for the tensor cores: words along the sums, line by line, zeros after the last term. A group
/// takes 64 terms of 64 lines through shared memory, and reads along whichever axis is contiguous.
/// </summary>
internal readonly struct PackLines<TNumber> : IKernel<PackArgs>
    where TNumber : struct, ITensorNumber
{
    // 1 << 6.
    private const int Tile = 64;

    // Neighbouring lines begin in different banks.
    private const int Pitch = Tile + 1;

    /// <summary>Packs the matrices of a batch one after another.</summary>
    public static void Launch(GpuDevice device, PackArgs args) => device.Launcher.Launch<PackLines<TNumber>, PackArgs>(
        ProductPlan.Tiles(args.Source.Lines, args.Words * TNumber.PerWord, Tile, Tile) * args.Matrices, device.GroupSize, args);

    public static void Run(PackArgs args)
    {
        var shared = SharedMemory.Allocate<float>(Tile * Pitch);
        int across = ((args.Words * TNumber.PerWord) + Tile - 1) / Tile, down = (args.Source.Lines + Tile - 1) / Tile;
        int block = Grid.IdxX / across, item = block / down;
        int term = (Grid.IdxX - (block * across)) * Tile, line = (block - (item * down)) * Tile;
        int place = args.Source.Start + args.Batch.At(item).A;
        // Four loads are under way at a time.
        for (int i = Group.IdxX; i < Tile * Tile; i += 4 * Group.DimX)
        {
            int j = i + Group.DimX, k = j + Group.DimX, l = k + Group.DimX;
            float a = Load(args, place, line, term, i), b = Load(args, place, line, term, j);
            float c = Load(args, place, line, term, k), d = Load(args, place, line, term, l);
            shared[At(args, i)] = a;
            shared[At(args, j)] = b;
            shared[At(args, k)] = c;
            shared[At(args, l)] = d;
        }

        Group.Barrier();
        // A division in the loop would take longer than the rest of it.
        int perLine = Tile / TNumber.PerWord, firstWord = term / TNumber.PerWord, linesEach = Group.DimX / perLine;
        int word = Group.IdxX % perLine, own = Group.IdxX / perLine;
        if (firstWord + word >= args.Words)
            return;
        int to = (((item * args.Source.Lines) + line + own) * args.Words) + firstWord + word;
        for (; own < Tile && line + own < args.Source.Lines; own += linesEach, to += linesEach * args.Words)
        {
            int at = (own * Pitch) + (word * TNumber.PerWord);
            args.Y[to] = TNumber.Pack(shared[at], shared[at + TNumber.PerWord - 1]);
        }
    }

    private static int Line(PackArgs args, int i) => args.Source.Term == 1 ? i >> 6 : i & 63;

    private static int Term(PackArgs args, int i) => args.Source.Term == 1 ? i & 63 : i >> 6;

    private static int At(PackArgs args, int i) => (Line(args, i) * Pitch) + Term(args, i);

    private static float Load(PackArgs args, int place, int line, int term, int i)
    {
        line += Line(args, i);
        term += Term(args, i);
        return line < args.Source.Lines && term < args.Terms
            ? args.Source.X[place + (line * args.Source.Line) + (term * args.Source.Term)]
            : 0;
    }
}

/// <summary>What <see cref="PackLines{TNumber}"/> takes.</summary>
internal struct PackArgs
{
    public ProductOperand Source;
    public ArrayView<uint> Y;

    /// <summary>Terms of a line, words of a packed one, and the number of matrices.</summary>
    public int Terms, Words, Matrices;

    /// <summary>The batch's offsets in the source.</summary>
    public Walk Batch;
}
