using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>The numbers that attention multiplies on the tensor cores, in words of 32 bits.</summary>
internal interface IAttentionNumber
{
    /// <summary>Numbers in a word.</summary>
    static abstract int PerWord { get; }

    /// <summary>Stores four neighbours of a row in shared memory, rounded.</summary>
    static abstract void Store(ref float to, Float4 numbers);

    /// <summary>sum + the product of 16 rows and 8 columns over 8 words.</summary>
    static abstract Float4 MultiplyAdd(Words4 left, Words2 right, Float4 sum);

    /// <summary>
    /// Sums of 16 rows and 8 columns, or as many more as it takes, as 8 words of the left factor of a further product: in which order
    /// the columns then come is known to <see cref="Across"/>.
    /// </summary>
    static abstract Words4 Left(Float4 sums, Float4 next);

    /// <summary>Where in rows in shared memory the lane's part of a right factor begins that is summed along the rows.</summary>
    static abstract int AcrossAt(int lane, int pitch);

    /// <summary>8 words of 16 columns of such a factor.</summary>
    static abstract Words4 Across(ref float at, int block, int column, int pitch);
}

/// <summary>TF32, rounded on the way to shared memory or from the sums.</summary>
internal readonly struct AttentionTf32 : IAttentionNumber
{
    public static int PerWord => 1;

    public static void Store(ref float to, Float4 numbers) =>
        Ptx.StoreShared4(ref to, 0, new(Round(numbers.X), Round(numbers.Y), Round(numbers.Z), Round(numbers.W)));

    public static Float4 MultiplyAdd(Words4 left, Words2 right, Float4 sum) => Ptx.MultiplyTf32(left, right, sum);

    // A lane has the sums of columns 2 c and 2 c + 1: they are words c and c + 4 of the sums.
    public static Words4 Left(Float4 sums, Float4 next) => new(Word(sums.X), Word(sums.Z), Word(sums.Y), Word(sums.W));

    public static int AcrossAt(int lane, int pitch) => (2 * (lane & 3) * pitch) + (lane >> 2);

    public static Words4 Across(ref float at, int block, int column, int pitch)
    {
        const int Beside = 8 * sizeof(float);
        int first = ((8 * block * pitch) + column) * sizeof(float), second = first + (pitch * sizeof(float));
        return new(
            Ptx.LoadShared(ref at, first),
            Ptx.LoadShared(ref at, second),
            Ptx.LoadShared(ref at, first + Beside),
            Ptx.LoadShared(ref at, second + Beside));
    }

    private static uint Word(float number) => Ptx.RoundToTf32(Interop.FloatAsInt(number));

    private static float Round(float number) => Interop.IntAsFloat(Word(number));
}

/// <summary>Two numbers of bf16 in a word.</summary>
internal readonly struct AttentionBf16 : IAttentionNumber
{
    public static int PerWord => 2;

    public static void Store(ref float to, Float4 numbers) => Ptx.StoreShared2(ref to, 0, new Float2
    {
        X = Interop.IntAsFloat(Ptx.PackBf16(numbers.Y, numbers.X)),
        Y = Interop.IntAsFloat(Ptx.PackBf16(numbers.W, numbers.Z)),
    });

    public static Float4 MultiplyAdd(Words4 left, Words2 right, Float4 sum) => Ptx.MultiplyBf16(left, right, sum);

    public static Words4 Left(Float4 sums, Float4 next) => new(
        Ptx.PackBf16(sums.Y, sums.X), Ptx.PackBf16(sums.W, sums.Z), Ptx.PackBf16(next.Y, next.X), Ptx.PackBf16(next.W, next.Z));

    // Matrices: rows 0 - 7 and 8 - 15 of the first 8 columns, then of the second.
    public static int AcrossAt(int lane, int pitch) => ((lane & 15) * pitch) + (4 * (lane >> 4));

    public static Words4 Across(ref float at, int block, int column, int pitch) =>
        Ptx.LoadTransposed(ref at, ((16 * block * pitch) + (column / 2)) * sizeof(float));
}
