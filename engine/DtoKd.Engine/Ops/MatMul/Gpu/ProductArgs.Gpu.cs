using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>One operand of a product, seen alike from both sides: its lines are the rows of a or the columns of b.</summary>
internal struct ProductOperand
{
    public ArrayView<float> X;

    /// <summary>Where the first element is, lines, distances of neighbouring lines and of neighbouring terms of a sum.</summary>
    public int Start, Lines, Line, Term;

    /// <summary>Whether four neighbouring lines can be read as one vector, and four neighbouring terms.</summary>
    public int IsVector, IsVectorAlong;
}

/// <summary>What the kernels of matrix products take.</summary>
internal struct ProductArgs
{
    public ProductOperand A, B;
    public ArrayView<float> Y, Bias;
    public int HasBias, Accumulate, IsVectorY, M, N, K;

    /// <summary>Pieces into which the sums are cut, and the terms in one.</summary>
    public int Pieces, PerPiece;

    /// <summary>The batch's offsets in a and b.</summary>
    public Walk Batch;
}

/// <summary>
/// What a group works on. Tiles of a band of 8 rows of tiles are neighbours, column by column: groups that run at the same time
/// read few lines of both operands, which the second-level cache then holds.
/// </summary>
internal struct ProductBlock
{
    private const int Band = 8;

    /// <summary>The matrix among the results: the batch, piece by piece.</summary>
    public int Item;

    /// <summary>Where the tile begins.</summary>
    public int Row, Column;

    /// <summary>The terms of the sums.</summary>
    public int First, End;

    /// <summary>Where the operands' matrices begin.</summary>
    public int PlaceA, PlaceB;

    public ProductBlock(ProductArgs args, int rows, int columns)
    {
        int down = (args.M + rows - 1) / rows, across = (args.N + columns - 1) / columns;
        Item = Grid.IdxX / (down * across);
        int tile = Grid.IdxX - (Item * down * across);
        int band = tile / (Band * across), height = IntrinsicMath.Min(Band, down - (band * Band));
        tile -= band * Band * across;
        Column = tile / height * columns;
        Row = ((band * Band) + (tile % height)) * rows;
        int piece = Item / args.Batch.Count;
        First = piece * args.PerPiece;
        End = IntrinsicMath.Min(First + args.PerPiece, args.K);
        var at = args.Batch.At(Item - (piece * args.Batch.Count));
        PlaceA = args.A.Start + at.A;
        PlaceB = args.B.Start + at.B;
    }
}

/// <summary>
/// A thread's part in copying slices of 8 terms of an operand's lines, so that the lines lie next to each other: one vector of
/// four lines, or four numbers of lines that are as far apart as there are threads for 8 terms. Lines beyond the last are
/// copies of a line that there is, terms beyond the last are zeros.
/// </summary>
internal struct SliceCopy
{
    private readonly int _term, _to;
    private readonly int _from0, _from1, _from2, _from3;

    /// <param name="operand">The operand.</param>
    /// <param name="place">Where its matrix begins.</param>
    /// <param name="first">The tile's first line.</param>
    /// <param name="lines">The tile's lines, half as many as there are threads.</param>
    /// <param name="to">Where the operand begins in a stage of shared memory.</param>
    public SliceCopy(ProductOperand operand, int place, int first, int lines, int to)
    {
        this = default;
        if (operand.IsVector != 0)
        {
            int line = 4 * (Group.IdxX & ((lines / 4) - 1));
            _term = Ptx.Keep(Group.IdxX / (lines / 4));
            _to = Ptx.Keep(to + (_term * Pitch(lines)) + line);
            _from0 = Ptx.Keep(place + IntrinsicMath.Min(first + line, operand.Lines - 4));
            return;
        }

        // A warp reads 8 terms of 4 lines, and writes them to 32 banks.
        int at = Group.IdxX >> 3, last = operand.Lines - 1;
        _term = Ptx.Keep(Group.IdxX & 7);
        _to = Ptx.Keep(to + (_term * Pitch(lines)) + at);
        first += at;
        _from0 = Ptx.Keep(place + (IntrinsicMath.Min(first, last) * operand.Line));
        _from1 = Ptx.Keep(place + (IntrinsicMath.Min(first + (lines / 4), last) * operand.Line));
        _from2 = Ptx.Keep(place + (IntrinsicMath.Min(first + (lines / 2), last) * operand.Line));
        _from3 = Ptx.Keep(place + (IntrinsicMath.Min(first + (lines / 4 * 3), last) * operand.Line));
    }

    /// <summary>Floats from one term to the next in shared memory: four more than lines, for the banks' sake.</summary>
    public static int Pitch(int lines) => lines + 4;

    /// <summary>Begins to copy a slice.</summary>
    public readonly void Start(ProductOperand operand, int lines, ArrayView<float> shared, int stage, int term, int end)
    {
        term += _term;
        bool isInside = term < end;
        int skip = isInside ? term * operand.Term : 0;
        ref float to = ref shared[stage + _to];
        if (operand.IsVector != 0)
        {
            Ptx.CopyAsync4(ref to, 0, ref operand.X[_from0 + skip], 4 * sizeof(float), isInside ? 4 * sizeof(float) : 0);
            return;
        }

        int read = isInside ? sizeof(float) : 0;
        Ptx.CopyAsync(ref to, 0, ref operand.X[_from0 + skip], sizeof(float), read);
        Ptx.CopyAsync(ref to, lines / 4 * sizeof(float), ref operand.X[_from1 + skip], sizeof(float), read);
        Ptx.CopyAsync(ref to, lines / 2 * sizeof(float), ref operand.X[_from2 + skip], sizeof(float), read);
        Ptx.CopyAsync(ref to, lines / 4 * 3 * sizeof(float), ref operand.X[_from3 + skip], sizeof(float), read);
    }
}

/// <summary>Where sums go: one matrix of the results.</summary>
internal readonly struct ProductTarget(ProductArgs args, int item)
{
    private readonly ProductArgs _args = args;
    private readonly int _first = item * args.M * args.N;

    /// <summary>Stores the sums of four neighbouring columns.</summary>
    public void Store(int row, int column, Float4 sums)
    {
        if (row >= _args.M || column >= _args.N)
            return;
        int at = _first + (row * _args.N) + column;
        if (_args.IsVectorY == 0)
        {
            Store(at, column, sums.X);
            Store(at + 1, column + 1, sums.Y);
            Store(at + 2, column + 2, sums.Z);
            Store(at + 3, column + 3, sums.W);
            return;
        }

        if (_args.HasBias != 0)
            sums += new Float4(_args.Bias[column], _args.Bias[column + 1], _args.Bias[column + 2], _args.Bias[column + 3]);
        var target = _args.Y.Cast<Float4>();
        if (_args.Accumulate != 0)
            sums += target[at / 4];
        target[at / 4] = sums;
    }

    private void Store(int at, int column, float sum)
    {
        if (column >= _args.N)
            return;
        if (_args.HasBias != 0)
            sum += _args.Bias[column];
        if (_args.Accumulate != 0)
            sum += _args.Y[at];
        _args.Y[at] = sum;
    }
}
