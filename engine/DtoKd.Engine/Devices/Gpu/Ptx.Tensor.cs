using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.IR.Intrinsics;

namespace DtoKd.Engine.Gpu;

/// <summary>Four words of 32 bits in registers.</summary>
internal struct Words4(uint x, uint y, uint z, uint w)
{
    public uint X = x, Y = y, Z = z, W = w;
}

/// <summary>Two words of 32 bits in registers.</summary>
internal struct Words2(uint x, uint y)
{
    public uint X = x, Y = y;
}

/// <summary>
/// Instructions that a whole warp executes together, for the tensor cores. How a matrix lies in the registers of a warp is in the
/// PTX manual under "matrix fragments": lane 4 r + c has row r (and r + 8) and word c (and c + 4) of the left factor, column r and
/// words c and c + 4 of the right one, and rows r and r + 8, columns 2 c and 2 c + 1 of the sum.
/// </summary>
internal static unsafe partial class Ptx
{
    // What the emulator's threads of a group show each other; it runs one group at a time.
    private static readonly nint[] _addresses = new nint[1024];
    private static readonly (Words4 Left, Words2 Right)[] _factors = new (Words4, Words2)[1024];

    /// <summary>
    /// Four matrices of 8 rows of 16 bytes: lanes 8 i .. 8 i + 7 say where the rows of matrix i are, in shared memory at multiples of 16
    /// bytes. A lane gets word lane % 4 of row lane / 4 of each.
    /// </summary>
    [Ptx("ldmatrix.sync.aligned.m8n8.x4.shared.b16"), IntrinsicImplementation]
    public static Words4 LoadMatrices([Shared] ref float row, [Offset] int bytes)
    {
        int lane = Warp.LaneIdx, first = Group.IdxX - lane;
        _addresses[Group.IdxX] = (nint)Unsafe.AsPointer(ref row) + bytes;
        Warp.Barrier();
        var words = new Words4(Word(0), Word(1), Word(2), Word(3));
        Warp.Barrier();
        return words;

        uint Word(int matrix) => ((uint*)_addresses[first + (8 * matrix) + (lane / 4)])[lane % 4];
    }

    /// <summary>
    /// As <see cref="LoadMatrices"/> of rows of 8 halves of a word, which are transposed: a lane gets halves lane / 4 of rows
    /// 2 (lane % 4), in its lower half, and 2 (lane % 4) + 1.
    /// </summary>
    [Ptx("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16"), IntrinsicImplementation]
    public static Words4 LoadTransposed([Shared] ref float row, [Offset] int bytes)
    {
        int lane = Warp.LaneIdx, first = Group.IdxX - lane;
        _addresses[Group.IdxX] = (nint)Unsafe.AsPointer(ref row) + bytes;
        Warp.Barrier();
        var words = new Words4(Word(0), Word(1), Word(2), Word(3));
        Warp.Barrier();
        return words;

        uint Word(int matrix) => Half(matrix, 0) | (Half(matrix, 1) << 16);

        uint Half(int matrix, int next) => ((ushort*)_addresses[first + (8 * matrix) + (2 * (lane % 4)) + next])[lane / 4];
    }

    /// <summary>The nearest number of 10 bits after the point, ties away from zero.</summary>
    [Ptx("cvt.rna.tf32.f32"), IntrinsicImplementation]
    public static uint RoundToTf32(uint number) =>
        float.IsFinite(BitConverter.UInt32BitsToSingle(number)) ? (number + 0x1000) & ~0x1FFFu : number;

    /// <summary>Two numbers rounded to bf16 in one word, the second one in the lower half.</summary>
    [Ptx("cvt.rn.bf16x2.f32"), IntrinsicImplementation]
    public static uint PackBf16(float high, float low) => (Bf16(high) << 16) | Bf16(low);

    /// <summary>sum + the product of 16 x 8 and 8 x 8 numbers of TF32.</summary>
    [Ptx("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"), IntrinsicImplementation]
    public static Float4 MultiplyTf32(Words4 left, Words2 right, Float4 sum) => Multiply(left, right, sum, static (a, b) =>
        BitConverter.UInt32BitsToSingle(a & ~0x1FFFu) * BitConverter.UInt32BitsToSingle(b & ~0x1FFFu));

    /// <summary>sum + the product of 16 x 16 and 16 x 8 numbers of bf16, two in a word.</summary>
    [Ptx("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"), IntrinsicImplementation]
    public static Float4 MultiplyBf16(Words4 left, Words2 right, Float4 sum) => Multiply(left, right, sum, static (a, b) =>
        (BitConverter.UInt32BitsToSingle(a << 16) * BitConverter.UInt32BitsToSingle(b << 16))
        + (BitConverter.UInt32BitsToSingle(a & 0xFFFF0000) * BitConverter.UInt32BitsToSingle(b & 0xFFFF0000)));

    private static uint Bf16(float number)
    {
        uint bits = BitConverter.SingleToUInt32Bits(number);
        return float.IsNaN(number) ? 0x7FFF : (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    }

    private static Float4 Multiply(Words4 left, Words2 right, Float4 sum, Func<uint, uint, float> word)
    {
        int lane = Warp.LaneIdx, first = Group.IdxX - lane, row = first + (lane & ~3), column = first + (lane % 4 * 8);
        _factors[Group.IdxX] = (left, right);
        Warp.Barrier();
        for (int c = 0; c < 4; c++)
        {
            var a = _factors[row + c].Left;
            Words2 x = _factors[column + c].Right, y = _factors[column + 4 + c].Right;
            sum.X += word(a.X, x.X) + word(a.Z, x.Y);
            sum.Y += word(a.X, y.X) + word(a.Z, y.Y);
            sum.Z += word(a.Y, x.X) + word(a.W, x.Y);
            sum.W += word(a.Y, y.X) + word(a.W, y.Y);
        }

        Warp.Barrier();
        return sum;
    }
}
