using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>
/// ShuffleNetV2 of width 1 (Ma et al. 2018) for small images, as the CIFAR-100 distillation literature has it: a 1 x 1 stem, no
/// pooling after it. Names are that literature's: <c>layer1.0.conv1</c>, <c>linear</c>.
/// </summary>
public sealed class ShuffleNetV2 : VisionModel
{
    private const int StemWidth = 24;
    private const int LastWidth = 1024;

    private static readonly (int Width, int Depth)[] _sizes = [(116, 4), (232, 8), (464, 4)];

    private readonly ConvNorm _stem;
    private readonly List<Stage> _stages = [];
    private readonly ConvNorm _last;
    private readonly Linear _head;

    /// <summary>Declares the network.</summary>
    /// <param name="scope">Where its parameters go.</param>
    /// <param name="spec">The images.</param>
    public ShuffleNetV2(ParameterScope scope, ImageSpec spec)
    {
        _stem = new ConvNorm(scope["conv1"], scope["bn1"], spec.Channels, StemWidth, 1);
        var maps = new StageMaps(spec);
        int inputs = StemWidth;
        for (int s = 0; s < _sizes.Length; s++)
        {
            _stages.Add(new Stage(scope[$"layer{s + 1}"], inputs, _sizes[s].Width, _sizes[s].Depth));
            inputs = _sizes[s].Width;
            maps.Add($"layer{s + 1}", inputs, stride: 2);
        }

        _last = new ConvNorm(scope["conv2"], scope["bn2"], inputs, LastWidth, 1);
        _head = new Linear(scope["linear"], LastWidth, spec.Classes, initialiser: Init.UniformFanIn);
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
            x = stage.Forward(x);
            maps.Add(x);
        }

        return new ModelOutput(_head.Forward(Op.GlobalAvgPool(_last.Forward(x))), withFeatures ? maps : [], maps);
    }

    private sealed class Stage(ParameterScope scope, int inputs, int width, int depth)
    {
        private readonly Halving _first = new(scope[0], inputs, width / 2);
        private readonly Block[] _blocks = [.. Enumerable.Range(1, depth - 1).Select(b => new Block(scope[b], width / 2))];

        public Tensor Forward(Tensor x) => _blocks.Chain(_first.Forward(x), (block, t) => block.Forward(t));
    }

    /// <summary>Two branches of stride 2, side by side.</summary>
    private sealed class Halving(ParameterScope scope, int inputs, int half)
    {
        private readonly ConvNorm _conv1 = new(scope["conv1"], scope["bn1"], inputs, inputs, 3, stride: 2, groups: inputs, relu: false);
        private readonly ConvNorm _conv2 = new(scope["conv2"], scope["bn2"], inputs, half, 1);
        private readonly ConvNorm _conv3 = new(scope["conv3"], scope["bn3"], inputs, half, 1);
        private readonly ConvNorm _conv4 = new(scope["conv4"], scope["bn4"], half, half, 3, stride: 2, groups: half, relu: false);
        private readonly ConvNorm _conv5 = new(scope["conv5"], scope["bn5"], half, half, 1);

        public Tensor Forward(Tensor x)
        {
            using var scope = x.Step!.Scope();
            var left = _conv2.Forward(_conv1.Forward(x));
            var right = _conv5.Forward(_conv3.Forward(x, _conv4));
            return scope.Return(ChannelShuffle.Apply(Op.Concat([left, right], 1), 2));
        }
    }

    /// <summary>One half of the channels stays, the other goes through a branch; then both mix.</summary>
    private sealed class Block(ParameterScope scope, int half)
    {
        private readonly ConvNorm _conv1 = new(scope["conv1"], scope["bn1"], half, half, 1);
        private readonly ConvNorm _conv2 = new(scope["conv2"], scope["bn2"], half, half, 3, groups: half, relu: false);
        private readonly ConvNorm _conv3 = new(scope["conv3"], scope["bn3"], half, half, 1);

        public Tensor Forward(Tensor x)
        {
            using var scope = x.Step!.Scope();
            var y = _conv3.Forward(_conv1.Forward(Op.Slice(x, 1, half), _conv2));
            return scope.Return(ChannelShuffle.Apply(Op.Concat([Op.Slice(x, 1, 0, half), y], 1), 2));
        }
    }
}
