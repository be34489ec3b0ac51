using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration WindowAttentionDeclaration =>
        new(nameof(WindowAttention), nameof(WindowPartition), nameof(WindowReverse), nameof(ShiftMask),
            nameof(RelativePositionIndex), nameof(RelativePositionBias), nameof(PatchMerging))
        {
            Samples =
            [
                new("plain", [Float(2, 3, 6, 12), Float(25, 2)], t => WindowAttention(t[0], 2, t[1], 3)),
                new("shifted", [Float(2, 4, 4, 6), Float(9, 2)], t => WindowAttention(t[0], 2, t[1], 2, 1, 1)),
                new("shifted one way", [Float(1, 3, 9, 12), Float(25, 2)], t => WindowAttention(t[0], 2, t[1], 3, 0, 2)),
                new("no maps", [Float(0, 2, 2, 6), Float(9, 1)], t => WindowAttention(t[0], 1, t[1], 2)),
                new("used twice", [Float(1, 2, 4, 12), Float(9, 2)],
                    t => WindowAttention(t[0], 2, t[1], 2) + WindowAttention(t[0], 2, t[1], 2, 0, 1)),
                new("many windows of 7", [Float(2, 14, 14, 96), Float(169, 2)], t => WindowAttention(t[0], 2, t[1], 7, 3, 3))
                    { GradCheck = false, Tolerance = 2e-5 },
                // 36 heads: three groups of 16, of which each begins with another head, or five of 8.
                new("several groups", [Float(3, 14, 14, 36), Float(169, 3)], t => WindowAttention(t[0], 3, t[1], 7, 3, 3))
                    { GradCheck = false, Tolerance = 2e-5 },
                new("windows of whole vectors", [Float(1, 4, 8, 120), Float(49, 1)], t => WindowAttention(t[0], 1, t[1], 4, 1, 2))
                    { GradCheck = false, Tolerance = 2e-5 },
                new("several tiles", [Float(1, 12, 12, 9), Float(529, 1)], t => WindowAttention(t[0], 1, t[1], 12))
                    { GradCheck = false, Tolerance = 2e-5 },
                new("partition", [Float(2, 4, 6, 3)], t => WindowPartition(t[0], 2)),
                new("partition of one window", [Float(1, 3, 3, 2)], t => WindowPartition(t[0], 3)),
                new("reverse", [Float(12, 4, 3)], t => WindowReverse(t[0], 2, 4, 6)),
                new("shift mask", [Index(1, 1)], t => ShiftMask(t[0].Step!, 6, 9, 3, 1, 0)),
                new("relative position index", [Index(1, 1)], t => RelativePositionIndex(t[0].Step!, 2, 3)),
                new("relative position bias", [Float(15, 2)], t => RelativePositionBias(t[0], 2, 3)),
                new("patch merging", [Float(2, 4, 6, 3)], t => PatchMerging(t[0])),
                new("patch merging of odd sides", [Float(1, 3, 5, 2)], t => PatchMerging(t[0])),
            ],
            Errors =
            [
                new("partition", [Float(1, 4, 5, 2)], t => WindowPartition(t[0], 2), "[1, 4, 5, 2] for windows of 2"),
                new("reverse", [Float(5, 4, 3)], t => WindowReverse(t[0], 2, 4, 6), "[5, 4, 3] is not made of windows"),
                new("shift", [Index(1, 1)], t => ShiftMask(t[0].Step!, 4, 4, 2, 2, 0), "shifts 2 and 0 are not in 0 .. 1"),
                new("tiles", [Index(1, 1)], t => ShiftMask(t[0].Step!, 4, 5, 2, 1, 1), "do not tile a map of 4 x 5"),
                new("index", [Index(1, 1)], t => RelativePositionIndex(t[0].Step!, 0, 3), "an empty window of 0 x 3"),
                new("table", [Float(9, 2)], t => RelativePositionBias(t[0], 3, 3), "expected [25, heads]"),
                new("heads", [Float(4, 9, 12), Float(25, 2)], t => WindowAttention(t[0], 2, t[1], 3), "qkv [4, 9, 12] for 2 heads"),
                new("windows", [Float(1, 6, 5, 12), Float(25, 2)],
                    t => WindowAttention(t[0], 2, t[1], 3), "do not tile a map of 6 x 5"),
                new("shift of windows", [Float(1, 6, 6, 12), Float(25, 2)],
                    t => WindowAttention(t[0], 2, t[1], 3, 0, 3), "shifts 0 and 3 are not in 0 .. 2"),
                new("table of windows", [Float(1, 6, 6, 12), Float(9, 2)],
                    t => WindowAttention(t[0], 2, t[1], 3), "expected [25, 2]"),
                new("map", [Float(4, 4)], t => PatchMerging(t[0]), "expected [B, H, W, C]"),
            ],
        };
}
