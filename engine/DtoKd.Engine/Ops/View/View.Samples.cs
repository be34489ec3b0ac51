using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration ViewDeclaration =>
        new(nameof(Reshape), nameof(Permute), nameof(Transpose), nameof(Expand), nameof(Slice), nameof(Contiguous))
        {
            Samples =
            [
                new("reshape", [Float(2, 6)], t => Reshape(t[0], [3, 4])),
                new("reshape of a permuted", [Float(2, 3, 4)], t => Reshape(Permute(t[0], 2, 0, 1), [4, 6])),
                new("permute", [Float(2, 3, 4)], t => Permute(t[0], 2, 0, 1)),
                new("transpose", [Float(2, 3, 4)], t => Transpose(t[0], -1, 0)),
                new("expand", [Float(3, 1)], t => Expand(t[0], [2, 3, 4])),
                new("slice", [Float(2, 7)], t => Slice(t[0], 1, 1, 6, 2)),
                new("slice from the end", [Float(5, 3)], t => Slice(t[0], 0, -2)),
                new("slice of nothing", [Float(5, 3)], t => Slice(t[0], 0, 3, 3)),
                new("contiguous", [Float(4, 3)], t => Contiguous(Transpose(t[0], 0, 1))),
                new("one input twice", [Float(4, 3)], t => Slice(t[0], 0, 0, 2) * Slice(t[0], 0, 2)),
            ],
            Errors =
            [
                new("reshape", [Float(2, 3)], t => Reshape(t[0], [4]), "[2, 3] has 6 elements, [4] has 4"),
                new("permute", [Float(2, 3)], t => Permute(t[0], 0, 0), "stands twice"),
                new("expand", [Float(2, 3)], t => Expand(t[0], [3]), "does not broadcast to [3]"),
                new("slice", [Float(2, 3)], t => Slice(t[0], 0, 0, 1, 0), "stride 0"),
            ],
        };
}
