using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>The sizes of a <see cref="ResNet"/>.</summary>
/// <param name="StemWidth">Channels after the stem.</param>
/// <param name="Widths">Channels of the 3 x 3 convolutions of each stage; stages after the first halve the map.</param>
/// <param name="Depths">Blocks of each stage.</param>
/// <param name="Bottleneck">Blocks of 1 x 1, 3 x 3 and 1 x 1 with four times the width at their end, instead of two 3 x 3.</param>
public sealed record ResNetConfig(int StemWidth, IReadOnlyList<int> Widths, IReadOnlyList<int> Depths, bool Bottleneck = false)
{
    /// <summary>The network of 6n + 2 layers in three stages (He et al. 2016, section 4.2), widened by a factor.</summary>
    /// <param name="depth">20, 32, 56, 110 ...</param>
    /// <param name="stem">Channels of the stem.</param>
    /// <param name="width">Channels of the first stage.</param>
    public static ResNetConfig ThreeStages(int depth, int stem = 16, int width = 16) =>
        new(stem, [width, 2 * width, 4 * width], [.. Enumerable.Repeat((depth - 2) / 6, 3)]);
}

/// <summary>
/// The residual networks for small images (He et al. 2016): a 3 x 3 stem that keeps the size, then stages of blocks. Names are
/// those of the CIFAR-100 distillation literature: <c>layer1.0.conv1</c>, and for the shortcut and the classifier
/// <c>downsample</c> and <c>fc</c> with plain blocks, <c>shortcut</c> and <c>linear</c> with bottlenecks.
/// </summary>
public sealed class ResNet : VisionModel
{
    private const int Expansion = 4;

    private readonly ConvNorm _stem;
    private readonly List<Block[]> _stages = [];
    private readonly Linear _head;

    /// <summary>Declares the network.</summary>
    /// <param name="scope">Where its parameters go.</param>
    /// <param name="spec">The images.</param>
    /// <param name="config">The sizes.</param>
    public ResNet(ParameterScope scope, ImageSpec spec, ResNetConfig config)
    {
        _stem = new ConvNorm(scope["conv1"], scope["bn1"], spec.Channels, config.StemWidth, 3);
        var maps = new StageMaps(spec);
        int width = config.StemWidth;
        for (int s = 0; s < config.Widths.Count; s++)
        {
            var stage = new Block[config.Depths[s]];
            for (int b = 0; b < stage.Length; b++)
            {
                stage[b] = new Block(
                    scope[$"layer{s + 1}"][b], width, config.Widths[s], s > 0 && b == 0 ? 2 : 1, config.Bottleneck);
                width = stage[b].Outputs;
            }

            _stages.Add(stage);
            maps.Add($"layer{s + 1}", width, s > 0 ? 2 : 1);
        }

        _head = new Linear(scope[config.Bottleneck ? "linear" : "fc"], width, spec.Classes, initialiser: Init.UniformFanIn);
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

    private sealed class Block
    {
        private readonly ConvNorm[] _branch;
        private readonly ConvNorm? _shortcut;

        public Block(ParameterScope scope, int inputs, int width, int stride, bool bottleneck)
        {
            Outputs = bottleneck ? Expansion * width : width;
            ConvNorm Layer(int number, int from, int to, int kernel, int step = 1, bool relu = true) =>
                new(scope[$"conv{number}"], scope[$"bn{number}"], from, to, kernel, step, relu: relu);
            _branch = bottleneck
                ? [Layer(1, inputs, width, 1), Layer(2, width, width, 3, stride), Layer(3, width, Outputs, 1, relu: false)]
                : [Layer(1, inputs, width, 3, stride), Layer(2, width, width, 3, relu: false)];
            var name = scope[bottleneck ? "shortcut" : "downsample"];
            if (stride != 1 || inputs != Outputs)
                _shortcut = new ConvNorm(name[0], name[1], inputs, Outputs, 1, stride, relu: false);
        }

        public int Outputs { get; }

        public Tensor Forward(Tensor x)
        {
            using var scope = x.Step!.Scope();
            var y = x;
            foreach (var layer in _branch[..^1])
                y = layer.Forward(y);
            return scope.Return(_branch[^1].Forward(y, _shortcut?.Forward(x) ?? x));
        }
    }
}
