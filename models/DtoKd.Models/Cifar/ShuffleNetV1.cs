using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>
/// ShuffleNet (Zhang et al. 2018) of three groups for small images, as the CIFAR-100 distillation literature has it: a 1 x 1
/// stem, no pooling after it. Names are that literature's: <c>layer1.0.conv1</c>, <c>linear</c>.
/// </summary>
public sealed class ShuffleNetV1 : VisionModel
{
    private const int StemWidth = 24;
    private const int Groups = 3;

    private static readonly (int Width, int Depth)[] _sizes = [(240, 4), (480, 8), (960, 4)];

    private readonly ConvNorm _stem;
    private readonly List<Block[]> _stages = [];
    private readonly Linear _head;

    /// <summary>Declares the network.</summary>
    /// <param name="scope">Where its parameters go.</param>
    /// <param name="spec">The images.</param>
    public ShuffleNetV1(ParameterScope scope, ImageSpec spec)
    {
        _stem = new ConvNorm(scope["conv1"], scope["bn1"], spec.Channels, StemWidth, 1);
        var maps = new StageMaps(spec);
        int inputs = StemWidth;
        for (int s = 0; s < _sizes.Length; s++)
        {
            var (width, depth) = _sizes[s];
            var stage = new Block[depth];
            for (int b = 0; b < depth; b++)
            {
                // The first block appends its shortcut, so its branch makes the channels that are missing.
                int made = b == 0 ? width - inputs : width;
                stage[b] = new Block(scope[$"layer{s + 1}"][b], inputs, made, b == 0, s == 0 && b == 0 ? 1 : Groups);
                inputs = width;
            }

            _stages.Add(stage);
            maps.Add($"layer{s + 1}", width, stride: 2);
        }

        _head = new Linear(scope["linear"], inputs, spec.Classes, initialiser: Init.UniformFanIn);
        Features = maps.Features;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<FeatureInfo> Features { get; }

    /// <inheritdoc/>
    public override ModelOutput Forward(Tensor images, bool withFeatures = false)
    {
        var maps = new List<Tensor>();
        var x = _stem.Forward(images);
        foreach (var stage in _stages)
        {
            x = stage.Chain(x, (block, t) => block.Forward(t));
            maps.Add(x);
        }

        return new ModelOutput(_head.Forward(Op.GlobalAvgPool(x)), withFeatures ? maps : [], maps);
    }

    /// <summary>Grouped 1 x 1, shuffle, 3 x 3 on each channel, grouped 1 x 1; beside the map or, halving it, its average.</summary>
    private sealed class Block(ParameterScope scope, int inputs, int outputs, bool halves, int firstGroups)
    {
        private readonly ConvNorm _conv1 = new(scope["conv1"], scope["bn1"], inputs, outputs / 4, 1, groups: firstGroups);
        private readonly ConvNorm _conv2 = new(
            scope["conv2"], scope["bn2"], outputs / 4, outputs / 4, 3, halves ? 2 : 1, groups: outputs / 4);

        private readonly ConvNorm _conv3 = new(scope["conv3"], scope["bn3"], outputs / 4, outputs, 1, groups: Groups, relu: false);

        public Tensor Forward(Tensor x)
        {
            using var scope = x.Step!.Scope();
            var y = _conv3.Forward(_conv2.Forward(ChannelShuffle.Apply(_conv1.Forward(x), firstGroups)));
            return scope.Return(Op.Relu(halves ? Op.Concat([y, Op.AvgPool2d(x, 3, stride: 2, padding: 1)], 1) : y + x));
        }
    }
}
