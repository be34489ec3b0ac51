using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    // The ways to compute that take moments, panels, planes and zeros skipped, and those that do not; stored, and read by the next one.
    internal static OpDeclaration Conv2dBatchNormDeclaration => new(nameof(Conv2dBatchNorm))
    {
        Samples =
        [
            new("planes", [Float(2, 3, 5, 4), Float(4, 3, 3, 3), Float(4), Float(4), Float(2, 4, 5, 4)],
                t => Conv2dBatchNorm(t[0], t[1], Training(t, 2), padding: 1).ToTensor(t[4])),
            new("panels", [Float(2, 12, 5, 4), Float(13, 12, 1, 1), Float(13), Float(13)],
                t => Conv2dBatchNorm(t[0], t[1], Training(t, 2)).ToTensor()),
            new("panels in groups, relu", [Float(3, 26, 7, 9), Float(40, 13, 3, 3), Float(40), Float(40), Float(3, 40, 4, 5)],
                t => Conv2dBatchNorm(t[0], t[1], Training(t, 2), relu: true, stride: 2, padding: 1, groups: 2).ToTensor(t[4])) { GradCheck = false },
            new("zeros skipped", [Float(3, 48, 11, 9), Float(112, 48, 1, 1), Float(112), Float(112)],
                t => Conv2dBatchNorm(Relu(t[0]), t[1], Training(t, 2)).ToTensor()) { GradCheck = false },
            new("tiles", [Float(3, 18, 9, 7), Float(17, 18, 3, 3), Float(17), Float(17)],
                t => Conv2dBatchNorm(t[0], t[1], Training(t, 2), padding: 1).ToTensor()) { GradCheck = false },
            new("1 x 1 stride 2", [Float(2, 3, 5, 4), Float(4, 3, 1, 1), Float(4), Float(4)],
                t => Conv2dBatchNorm(t[0], t[1], Training(t, 2), stride: 2).ToTensor()),
            new("one pixel", [Float(5, 3, 1, 1), Float(4, 3, 1, 1), Float(4), Float(4)],
                t => Conv2dBatchNorm(t[0], t[1], Training(t, 2)).ToTensor()),
            new("patches", [Float(2, 3, 4, 4), Float(4, 3, 2, 2), Float(4), Float(4)],
                t => Conv2dBatchNorm(t[0], t[1], Training(t, 2), stride: 2).ToTensor()),
            new("a band without rows", [Float(1, 64, 25, 76), Float(8, 64, 3, 3), Float(8), Float(8)],
                t => Conv2dBatchNorm(t[0], t[1], Training(t, 2), padding: 1).ToTensor()) { GradCheck = false },
            new("read by groups", [Float(2, 3, 6, 5), Float(4, 3, 1, 1), Float(4), Float(4), Float(6, 2, 3, 3), Float(6), Float(6)],
                t => Conv2dBatchNorm(Conv2dBatchNorm(t[0], t[1], Training(t, 2)), t[4], Training(t, 5), padding: 1, groups: 2).ToTensor()),
            new("read by groups, relu", [Float(3, 24, 18, 21), Float(16, 24, 1, 1), Float(16), Float(16), Float(16, 8, 3, 3), Float(16), Float(16)],
                t => Conv2dBatchNorm(
                    Conv2dBatchNorm(t[0], t[1], Training(t, 2), relu: true), t[4], Training(t, 5), relu: true, padding: 1, groups: 2)
                    .ToTensor()) { GradCheck = false },
            new("read with stride 2", [Float(3, 24, 17, 35), Float(16, 24, 1, 1), Float(16), Float(16), Float(16, 1, 3, 3), Float(16), Float(16)],
                t => Conv2dBatchNorm(
                    Conv2dBatchNorm(t[0], t[1], Training(t, 2), relu: true), t[4], Training(t, 5), stride: 2, padding: 1, groups: 16)
                    .ToTensor()) { GradCheck = false },
            new("read with stride 3", [Float(2, 5, 13, 20), Float(6, 5, 1, 1), Float(6), Float(6), Float(4, 3, 2, 3), Float(4), Float(4)],
                t => Conv2dBatchNorm(
                    Conv2dBatchNorm(t[0], t[1], Training(t, 2), relu: true), t[4], Training(t, 5), stride: (1, 3), padding: 2, groups: 2)
                    .ToTensor()) { GradCheck = false },
            new("read by panels", [Float(3, 8, 6, 7), Float(12, 8, 1, 1), Float(12), Float(12), Float(13, 12, 1, 1), Float(13), Float(13)],
                t => Conv2dBatchNorm(Conv2dBatchNorm(t[0], t[1], Training(t, 2), relu: true), t[4], Training(t, 5)).ToTensor())
                { GradCheck = false },
        ],
        Errors =
        [
            new("norm weight", [Float(2, 3, 5, 4), Float(4, 3, 3, 3), Float(3), Float(4)],
                t => Conv2dBatchNorm(t[0], t[1], Ramps(t[0], t[2], t[3], 4)).ToTensor(), "weight has shape [3], expected [4]"),
            new("norm weight, read by a convolution", [Float(2, 3, 5, 4), Float(4, 3, 1, 1), Float(3), Float(4), Float(4, 2, 3, 3)],
                t => Conv2dBatchNorm(
                    Conv2dBatchNorm(t[0], t[1], Ramps(t[0], t[2], t[3], 4)), t[4], Ramps(t[0], t[3], t[3], 4), groups: 2).ToTensor(),
                "weight has shape [3], expected [4]"),
            new("channels", [Float(1, 3, 4, 4), Float(2, 4, 3, 3), Float(2), Float(2)],
                t => Conv2dBatchNorm(t[0], t[1], Training(t, 2)).ToTensor(), "x [1, 3, 4, 4] and weight [2, 4, 3, 3]"),
            new("channels, read by a convolution", [Float(2, 3, 5, 4), Float(4, 3, 1, 1), Float(4), Float(4), Float(4, 3, 3, 3)],
                t => Conv2dBatchNorm(Conv2dBatchNorm(t[0], t[1], Training(t, 2)), t[4], Training(t, 2)).ToTensor(),
                "x [2, 4, 5, 4] and weight [4, 3, 3, 3]"),
            new("residual", [Float(2, 3, 5, 4), Float(4, 3, 3, 3), Float(4), Float(4), Float(2, 4, 5, 4)],
                t => Conv2dBatchNorm(t[0], t[1], Training(t, 2)).ToTensor(t[4]), "residual has shape [2, 4, 5, 4], expected [2, 4, 3, 2]"),
            new("one value", [Float(1, 3, 3, 3), Float(4, 3, 3, 3), Float(4), Float(4)],
                t => Conv2dBatchNorm(t[0], t[1], Training(t, 2)).ToTensor(), "one value per channel in shape [1, 4, 1, 1]"),
        ],
    };

    // A norm whose weight and bias are two neighbouring inputs.
    private static TrainingNorm Training(Tensor[] inputs, int weight) =>
        Ramps(inputs[0], inputs[weight], inputs[weight + 1], inputs[weight].Shape[0]);

    private static TrainingNorm Ramps(Tensor like, Tensor weight, Tensor bias, int channels) =>
        new(weight, bias, Ramp(like, channels), Ramp(like, channels));
}
