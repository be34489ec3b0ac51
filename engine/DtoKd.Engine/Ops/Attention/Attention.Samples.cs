using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration AttentionDeclaration => new(nameof(Attention), nameof(SelfAttention))
    {
        Samples =
        [
            new("heads", [Float(2, 3, 5, 4), Float(2, 3, 7, 4), Float(2, 3, 7, 6)], t => Attention(t[0], t[1], t[2])),
            new("one matrix", [Float(5, 4), Float(5, 4), Float(5, 2)], t => Attention(t[0], t[1], t[2], scale: 0.3)),
            new("one token", [Float(2, 1, 3), Float(2, 1, 3), Float(2, 1, 3)], t => Attention(t[0], t[1], t[2])),
            new("the same thrice", [Float(2, 5, 4)], t => Attention(t[0], t[0], t[0])),
            new("bias per head", [Float(3, 2, 5, 4), Float(3, 2, 6, 4), Float(3, 2, 6, 4), Float(2, 5, 6)],
                t => Attention(t[0], t[1], t[2], t[3])),
            new("bias per image", [Float(3, 2, 5, 4), Float(3, 2, 6, 4), Float(3, 2, 6, 4), Float(3, 1, 1, 6)],
                t => Attention(t[0], t[1], t[2], t[3])),
            new("bias per window and head", [Float(2, 3, 2, 4, 3), Float(2, 3, 2, 4, 3), Float(2, 3, 2, 4, 3), Float(3, 2, 4, 4)],
                t => Attention(t[0], t[1], t[2], t[3])),
            new("mask", [Float(2, 3, 5, 4), Float(2, 3, 9, 4), Float(2, 3, 9, 4), Mask(2, 1, 5, 9)],
                t => Attention(t[0], t[1], t[2], mask: t[3])),
            new("mask and bias", [Float(2, 3, 5, 4), Float(2, 3, 9, 4), Float(2, 3, 9, 4), Float(5, 9), Mask(2, 1, 1, 9)],
                t => Attention(t[0], t[1], t[2], t[3], t[4])),
            new("a query without keys", [Float(2, 3, 4), Float(2, 5, 4), Float(2, 5, 4), Mask(3, 5)],
                t => Attention(t[0], t[1], t[2], mask: Pad(Slice(t[3], 0, 0, 2), [0, 0, 0, 1]))),
            new("no keys", [Float(2, 3, 4), Float(2, 0, 4), Float(2, 0, 5)], t => Attention(t[0], t[1], t[2])),
            new("no queries", [Float(2, 0, 4), Float(2, 3, 4), Float(2, 3, 5), Float(0, 3)],
                t => Attention(t[0], t[1], t[2], t[3])),
            new("no images", [Float(0, 2, 3, 4), Float(0, 2, 3, 4), Float(0, 2, 3, 4), Float(2, 3, 3)],
                t => Attention(t[0], t[1], t[2], t[3])),
            new("parts of a product", [Float(2, 5, 3, 2, 4)],
                t => Attention(HeadsPart(t[0], 0), HeadsPart(t[0], 1), HeadsPart(t[0], 2))),
            new("many queries", [Float(1, 2, 301, 8), Float(1, 2, 197, 8), Float(1, 2, 197, 8), Float(2, 301, 197)],
                t => Attention(t[0], t[1], t[2], t[3])) { GradCheck = false, Tolerance = 2e-5 },
            new("wide heads", [Float(1, 2, 37, 40), Float(1, 2, 70, 40), Float(1, 2, 70, 72), Float(2, 37, 70)],
                t => Attention(t[0], t[1], t[2], t[3])) { GradCheck = false, Tolerance = 2e-5 },
            new("heads of whole vectors", [Float(1, 1, 70, 40), Float(1, 1, 37, 40), Float(1, 1, 37, 64), Mask(70, 37)],
                t => Attention(t[0], t[1], t[2], mask: t[3])) { GradCheck = false, Tolerance = 2e-5 },
            new("many windows", [Float(70, 2, 9, 4), Float(70, 2, 9, 4), Float(70, 2, 9, 4), Float(2, 9, 9)],
                t => Attention(t[0], t[1], t[2], t[3])) { GradCheck = false, Tolerance = 2e-5 },
            new("self", [Float(2, 5, 24)], t => SelfAttention(t[0], 2)),
            new("self in windows", [Float(2, 3, 4, 12), Float(3, 2, 4, 4), Mask(4, 4)],
                t => SelfAttention(t[0], 2, t[1], Pad(Slice(t[2], 1, 1), [1, 0], 1), 0.7)),
            new("self of one sequence", [Float(5, 9)], t => SelfAttention(t[0], 1)),
            new("self used twice", [Float(5, 6)], t => SelfAttention(t[0], 2) + SelfAttention(t[0], 1)),
        ],
        Errors =
        [
            new("depth", [Float(2, 3, 4), Float(2, 3, 5), Float(2, 3, 4)], t => Attention(t[0], t[1], t[2]), "k [2, 3, 5]"),
            new("keys and values", [Float(2, 3, 4), Float(2, 3, 4), Float(2, 2, 4)],
                t => Attention(t[0], t[1], t[2]), "v [2, 2, 4]"),
            new("bias", [Float(2, 3, 4), Float(2, 5, 4), Float(2, 5, 4), Float(3, 3)],
                t => Attention(t[0], t[1], t[2], t[3]), "do not broadcast"),
            new("bias of a higher rank", [Float(3, 4), Float(3, 4), Float(3, 4), Float(1, 3, 3)],
                t => Attention(t[0], t[1], t[2], t[3]), "does not broadcast to the scores [3, 3]"),
            new("mask", [Float(3, 4), Float(3, 4), Float(3, 4), Float(3, 3)],
                t => Attention(t[0], t[1], t[2], mask: t[3]), "expected Bool"),
            new("heads", [Float(3, 8)], t => SelfAttention(t[0], 2), "qkv [3, 8] for 2 heads"),
        ],
    };

    private static Tensor HeadsPart(Tensor x, int part) =>
        Permute(Reshape(Slice(x, 2, part, part + 1), x.Shape.Without(2)), 0, 2, 1, 3);
}
