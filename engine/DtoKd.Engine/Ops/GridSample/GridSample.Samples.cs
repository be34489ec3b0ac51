using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration GridSampleDeclaration => new(nameof(GridSample))
    {
        Samples =
        [
            new("zeros outside", [Float(2, 3, 5, 7), Uniform(-1.4, 1.4, [2, 4, 6, 2])], t => GridSample(t[0], t[1])),
            new("zeros outside, corners aligned", [Float(1, 2, 4, 5), Uniform(-1.4, 1.4, [1, 3, 3, 2])],
                t => GridSample(t[0], t[1], alignCorners: true)),
            new("border", [Float(1, 11, 4, 5), Uniform(-1.4, 1.4, [1, 5, 3, 2])],
                t => GridSample(t[0], t[1], padding: SamplePadding.Border)),
            new("reflection", [Float(1, 2, 4, 5), Uniform(-3, 3, [1, 5, 3, 2])],
                t => GridSample(t[0], t[1], padding: SamplePadding.Reflection)),
            new("reflection, corners aligned", [Float(1, 2, 4, 5), Uniform(-3, 3, [1, 5, 3, 2])],
                t => GridSample(t[0], t[1], padding: SamplePadding.Reflection, alignCorners: true)),
            new("one pixel", [Float(1, 2, 1, 1), Uniform(-0.9, 0.9, [1, 2, 2, 2])],
                t => GridSample(t[0], t[1], padding: SamplePadding.Reflection, alignCorners: true)),
            new("nearest", [Float(1, 2, 4, 5), Uniform(-1.4, 1.4, [1, 5, 3, 2])],
                t => GridSample(t[0], t[1], SampleMode.Nearest)) { GradCheck = false },
            new("several blocks", [Float(2, 3, 5, 7), Uniform(-1.4, 1.4, [2, 20, 25, 2])], t => GridSample(t[0], t[1])) { GradCheck = false },
            new("no position", [Float(2, 3, 5, 7), Float(2, 0, 6, 2)], t => GridSample(t[0], t[1])),
            new("no channel", [Float(2, 0, 5, 7), Float(2, 1, 6, 2)], t => GridSample(t[0], t[1])),
        ],
        Errors =
        [
            new("rank", [Float(3, 4, 4), Float(1, 2, 2, 2)], t => GridSample(t[0], t[1]), "x has shape [3, 4, 4]"),
            new("empty", [Float(1, 1, 4, 0), Float(1, 2, 2, 2)], t => GridSample(t[0], t[1]), "images without pixels"),
            new("grid", [Float(2, 1, 4, 4), Float(1, 2, 2, 2)], t => GridSample(t[0], t[1]), "expected F32 [2, OH, OW, 2]"),
            new("coordinates", [Float(1, 1, 4, 4), Float(1, 2, 2, 3)], t => GridSample(t[0], t[1]), "expected F32 [1, OH, OW, 2]"),
        ],
    };
}
