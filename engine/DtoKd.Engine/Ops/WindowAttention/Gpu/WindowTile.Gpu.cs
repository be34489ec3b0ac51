using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// What both kernels do with the tile of a window's scores. Products with the rows of the map are computed in strips of half a
/// tile's columns, as a head of Swin is 32 wide: a thread has four columns of the rows <c>Row</c> and <c>Row + Side / 2</c>.
/// </summary>
internal readonly struct WindowTile<TTile>(
    WindowArgs args, int head, ArrayView<WindowToken> tokens, ArrayView<float> slices, ArrayView<float> strip)
    where TTile : struct, IAttentionTile
{
    private readonly WindowArgs _args = args;
    private readonly int _head = head;
    private readonly ArrayView<WindowToken> _tokens = tokens;
    private readonly ArrayView<float> _slices = slices, _strip = strip;

    /// <summary>Floats that a strip of rows needs.</summary>
    public static int StripLength => TTile.Side * StripPitch;

    // As in tiles, vectors of neighbouring rows begin in different banks.
    private static int StripPitch => Strip + 4;

    private static int Strip => TTile.Side / 2;

    private static int Column => Group.IdxX % (Strip / 4);

    private static int Row => Group.IdxX / (Strip / 4);

    /// <summary>Finds a window's tokens; all threads have read those of the window before.</summary>
    public static void Find(WindowArgs args, int window, ArrayView<WindowToken> tokens)
    {
        Group.Barrier();
        int token = Group.IdxX;
        if (token < TTile.Side)
        {
            int across = args.Width / args.Window, windows = args.Height / args.Window * across;
            int image = window / windows, tile = window - (image * windows);
            int down = token / args.Window, right = token - (down * args.Window);
            // In the rolled map; no row of the tile beyond the last token is in it.
            int row = (tile / across * args.Window) + down, column = (tile % across * args.Window) + right;
            int part = (3 * Part(row, args.Height, args.Window, args.Down)) + Part(column, args.Width, args.Window, args.Right);
            row = Unrolled(row + args.Down, args.Height);
            column = Unrolled(column + args.Right, args.Width);
            bool inside = token < args.Window * args.Window;
            tokens[token] = new()
            {
                Place = inside ? (((image * args.Height) + row) * args.Width) + column : -1,
                Code = inside ? (down * ((2 * args.Window) - 1)) + right : 0,
                Part = part,
            };
        }

        Group.Barrier();
    }

    /// <summary>Finds a window's tokens; all threads have read those of the window before.</summary>
    public void Find(int window) => Find(_args, window, _tokens);

    /// <summary>The softmax of a window's scores; rows that are no tokens have numbers of no meaning.</summary>
    public TileRows Probabilities()
    {
        var p = Dots(_args.RowsOfQkv(WindowMatrix.Queries, _head), _args.RowsOfQkv(WindowMatrix.Keys, _head));
        int lanes = AttentionTile<TTile>.Lanes, row = AttentionTile<TTile>.Row, column = AttentionTile<TTile>.Column;
        WindowToken x = _tokens[column], y = _tokens[column + lanes], z = _tokens[column + (2 * lanes)], w = _tokens[column + (3 * lanes)];
        p.A = Scores(p.A, _tokens[row], x, y, z, w);
        p.B = Scores(p.B, _tokens[row + lanes], x, y, z, w);
        p.C = Scores(p.C, _tokens[row + (2 * lanes)], x, y, z, w);
        p.D = Scores(p.D, _tokens[row + (3 * lanes)], x, y, z, w);
        p = AttentionMath.Exp(p, AttentionTile<TTile>.FoldRows<Op.LargerOf>(p));
        var sum = AttentionTile<TTile>.FoldRows<SumOf>(p);
        return p * new Float4(1 / sum.X, 1 / sum.Y, 1 / sum.Z, 1 / sum.W);
    }

    /// <summary>The dot products of the rows of two maps; all threads have read the shared memory when it returns.</summary>
    public TileRows Dots(WindowRows left, WindowRows right)
    {
        const int Vectors = AttentionTile<TTile>.Slice / 4, Pitch = AttentionTile<TTile>.SlicePitch / 4;
        var target = _slices.Cast<Float4>();
        var sum = default(TileRows);
        for (int from = 0; from < _args.Depth; from += AttentionTile<TTile>.Slice)
        {
            for (int i = Group.IdxX; i < TTile.Side * Vectors; i += TTile.Threads)
            {
                int row = i / Vectors, vector = i - (row * Vectors), place = _tokens[row].Place, column = from + (4 * vector);
                Float4 l = Read(left, place, column), r = Read(right, place, column);
                target[(row * Pitch) + vector] = l;
                target[((TTile.Side + row) * Pitch) + vector] = r;
            }

            sum = AttentionTile<TTile>.Dots(_slices, sum);
        }

        return sum;
    }

    /// <summary>
    /// The tile in shared memory times the rows of a map, times a factor, written to the rows of another map; all threads have read
    /// the shared memory when it returns.
    /// </summary>
    public void Multiply(WindowRows rows, WindowRows result, float factor)
    {
        int vectors = Strip / 4, pitch = StripPitch / 4, tilePitch = AttentionTile<TTile>.Pitch / 4;
        int fours = ((_args.Window * _args.Window) + 3) / 4;
        ArrayView<Float4> l = _slices.Cast<Float4>(), r = _strip.Cast<Float4>();
        for (int from = 0; from < _args.Depth; from += Strip)
        {
            for (int i = Group.IdxX; i < TTile.Side * vectors; i += TTile.Threads)
            {
                int row = i / vectors, vector = i - (row * vectors);
                r[(row * pitch) + vector] = Read(rows, _tokens[row].Place, from + (4 * vector));
            }

            Group.Barrier();
            int atA = Row * tilePitch, atB = (Row + Strip) * tilePitch, atR = Column;
            Float4 sumA = default, sumB = default;
            for (int p = 0; p < fours; p++, atR += 4 * pitch)
            {
                Float4 a = l[atA + p], b = l[atB + p];
                Float4 x = r[atR], y = r[atR + pitch], z = r[atR + (2 * pitch)], w = r[atR + (3 * pitch)];
                sumA = Float4.MultiplyAdd(a.W, w, Float4.MultiplyAdd(a.Z, z, Float4.MultiplyAdd(a.Y, y, Float4.MultiplyAdd(a.X, x, sumA))));
                sumB = Float4.MultiplyAdd(b.W, w, Float4.MultiplyAdd(b.Z, z, Float4.MultiplyAdd(b.Y, y, Float4.MultiplyAdd(b.X, x, sumB))));
            }

            Group.Barrier();
            Write(result, _tokens[Row].Place, from + (4 * Column), sumA * factor);
            Write(result, _tokens[Row + Strip].Place, from + (4 * Column), sumB * factor);
        }
    }

    /// <summary>Adds up the gradients of scores in shared memory along the pairs of tokens that have a row of the table in common.</summary>
    public static void Collect(WindowArgs args, int piece, int head, ArrayView<float> scores)
    {
        Group.Barrier();
        int side = (2 * args.Window) - 1;
        for (int row = Group.IdxX; row < side * side; row += Group.DimX)
        {
            // The query's place minus the key's, and the keys for which there is such a query.
            int down = (row / side) - args.Window + 1, right = (row % side) - args.Window + 1;
            int top = IntrinsicMath.Max(0, -down), bottom = IntrinsicMath.Min(args.Window, args.Window - down);
            int left = IntrinsicMath.Max(0, -right), edge = IntrinsicMath.Min(args.Window, args.Window - right);
            float total = 0;
            for (int i = top; i < bottom; i++)
            {
                for (int j = left; j < edge; j++)
                {
                    int key = (i * args.Window) + j, query = key + (down * args.Window) + right;
                    total += scores[(query * AttentionTile<TTile>.Pitch) + key];
                }
            }

            args.DTable[(((piece * side * side) + row) * args.Heads) + head] = total;
        }
    }

    /// <summary>Four columns of a token's row; zeros beyond the last one and for a row that is no token.</summary>
    private Float4 Read(WindowRows rows, int place, int column)
    {
        if (place < 0 || column >= _args.Depth)
            return default;
        int at = rows.First + (place * rows.Stride) + column;
        if (_args.HasVectors != 0)
            return Ptx.LoadReadOnly4(ref rows.X[at]);
        return new(
            rows.X[at],
            column + 1 < _args.Depth ? rows.X[at + 1] : 0,
            column + 2 < _args.Depth ? rows.X[at + 2] : 0,
            column + 3 < _args.Depth ? rows.X[at + 3] : 0);
    }

    private void Write(WindowRows rows, int place, int column, Float4 values)
    {
        if (place < 0 || column >= _args.Depth)
            return;
        int at = rows.First + (place * rows.Stride) + column;
        if (_args.HasVectors != 0)
        {
            var vectors = rows.X.Cast<Float4>();
            vectors[at / 4] = _args.Accumulate != 0 ? vectors[at / 4] + values : values;
            return;
        }

        Write(rows, at, column, values.X);
        Write(rows, at + 1, column + 1, values.Y);
        Write(rows, at + 2, column + 2, values.Z);
        Write(rows, at + 3, column + 3, values.W);
    }

    private void Write(WindowRows rows, int at, int column, float value)
    {
        if (column < _args.Depth)
            rows.X[at] = _args.Accumulate != 0 ? rows.X[at] + value : value;
    }

    private Float4 Scores(Float4 dots, WindowToken query, WindowToken x, WindowToken y, WindowToken z, WindowToken w) =>
        new(Score(dots.X, query, x), Score(dots.Y, query, y), Score(dots.Z, query, z), Score(dots.W, query, w));

    private float Score(float dot, WindowToken query, WindowToken key)
    {
        if (key.Place < 0)
            return float.NegativeInfinity;
        int middle = 2 * _args.Window * (_args.Window - 1);
        float score = (dot * _args.Scale) + _args.Table[((middle + query.Code - key.Code) * _args.Heads) + _head];
        return query.Part == key.Part ? score : score + WindowLayout.AcrossSeam;
    }

    private static int Part(int at, int size, int window, int shift) =>
        shift == 0 || at < size - window ? 0 : at < size - shift ? 1 : 2;

    private static int Unrolled(int at, int size) => at >= size ? at - size : at;
}
