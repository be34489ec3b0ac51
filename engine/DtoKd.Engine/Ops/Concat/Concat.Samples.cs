using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration ConcatDeclaration => new(nameof(Concat), nameof(Stack), nameof(Split), nameof(Chunk))
    {
        Samples =
        [
            new("first axis", [Float(2, 3), Float(1, 3)], t => Concat(t, 0)),
            new("middle axis", [Float(2, 1, 3), Float(2, 4, 3), Float(2, 2, 3)], t => Concat(t, 1)),
            new("last axis", [Float(2, 3), Float(2, 5)], t => Concat(t, -1)),
            new("with nothing", [Float(2, 3), Float(2, 0)], t => Concat(t, -1)),
            new("one", [Float(2, 3)], t => Concat(t, 0)),
            new("the same twice", [Float(2, 3)], t => Concat([t[0], t[0]], 1)),
            new("a token before others", [Float(1, 1, 4), Float(3, 5, 4)], t => Concat([Expand(t[0], [3, 1, 4]), t[1]], 1)),
            new("masks", [Mask(3), Mask(4)], t => Concat(t, 0)),
            new("stack", [Float(2, 3), Float(2, 3)], t => Stack(t, 0)),
            new("stack at the end", [Float(2, 3), Float(2, 3)], t => Stack(t, -1)),
            new("stack of scalars", [Float(), Float(), Float()], t => Stack(t, 0)),
            new("split", [Float(2, 5)], t => Mul(Split(t[0], [2, 2, 1], 1)[1], Split(t[0], [3, 2], -1)[1])),
            new("chunk", [Float(3, 8)], t => Chunk(t[0], 3, 1)[2]),
            new("chunks of one", [Float(2, 3)], t => Chunk(t[0], 5, 1)[2]),
        ],
        Errors =
        [
            new("shapes", [Float(2, 3), Float(2, 4)], t => Concat(t, 0), "got shape [2, 4] after [2, 3]"),
            new("ranks", [Float(2, 3), Float(2)], t => Concat(t, 0), "got shape [2] after [2, 3]"),
            new("types", [Float(2), Mask(2)], t => Concat(t, 0), "types F32 and Bool"),
            new("stack", [Float(2), Float(3)], t => Stack(t, 0), "got shape [3] after [2]"),
            new("split", [Float(5)], t => Split(t[0], [2, 2], 0)[0], "add up to 4, axis 0 of [5] has 5"),
            new("chunk", [Float(5)], t => Chunk(t[0], 0, 0)[0], "0 parts"),
        ],
    };
}
