using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>
/// MobileNetV2 (Sandler et al. 2018) as the CIFAR-100 distillation literature has it: ReLU where the paper has ReLU6, the first
/// block expands too, stage two keeps the size of the map. Names are that literature's: <c>blocks.1.0.conv.3</c>.
/// </summary>
public sealed class MobileNetV2 : VisionModel
{
    private const int StemWidth = 32;
    private const int LastWidth = 1280;

    // Expansion of 1 in the first stage; width before scaling, blocks, stride; whether the stage's end is a feature.
    private static readonly (int Width, int Depth, int Stride, bool Feature)[] _stages =
    [
        (16, 1, 1, false),
        (24, 2, 1, true),
        (32, 3, 2, true),
        (64, 4, 2, false),
        (96, 3, 1, true),
        (160, 3, 2, false),
        (320, 1, 1, true),
    ];

    private readonly ConvNorm _stem;
    private readonly Block[][] _blocks = new Block[_stages.Length][];
    private readonly ConvNorm _last;
    private readonly Linear _head;

    /// <summary>Declares the network.</summary>
    /// <param name="scope">Where its parameters go.</param>
    /// <param name="spec">The images.</param>
    /// <param name="scale">The factor of the widths; the layer before the classifier grows with it but does not shrink.</param>
    /// <param name="expansion">How much wider a block is inside.</param>
    public MobileNetV2(ParameterScope scope, ImageSpec spec, double scale, int expansion)
    {
        var maps = new StageMaps(spec);
        int inputs = (int)(StemWidth * scale);
        _stem = new ConvNorm(scope["conv1"][0], scope["conv1"][1], spec.Channels, inputs, 3, stride: 2);
        maps.Shrink(2);
        for (int s = 0; s < _stages.Length; s++)
        {
            var (full, depth, stride, feature) = _stages[s];
            int width = (int)(full * scale);
            _blocks[s] = new Block[depth];
            for (int b = 0; b < depth; b++)
            {
                _blocks[s][b] = new Block(scope["blocks"][s][b]["conv"], inputs, width, b == 0 ? stride : 1, s == 0 ? 1 : expansion);
                inputs = width;
            }

            if (feature)
                maps.Add($"blocks.{s}", width, stride);
            else
                maps.Shrink(stride);
        }

        int last = (int)(LastWidth * Math.Max(1, scale));
        _last = new ConvNorm(scope["conv2"][0], scope["conv2"][1], inputs, last, 1);
        _head = new Linear(scope["classifier"][0], last, spec.Classes, initialiser: Init.Normal001);
        Features = maps.Features;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<FeatureInfo> Features { get; }

    /// <inheritdoc/>
    public override ModelOutput Forward(Tensor images, bool withFeatures = false)
    {
        List<Tensor> features = [], maps = [];
        var x = _stem.Forward(images);
        for (int s = 0; s < _stages.Length; s++)
        {
            x = _blocks[s].Chain(x, (block, t) => block.Forward(t));
            maps.Add(x);
            if (withFeatures && _stages[s].Feature)
                features.Add(x);
        }

        return new ModelOutput(_head.Forward(Op.GlobalAvgPool(_last.Forward(x))), features, maps);
    }

    /// <summary>1 x 1 to more channels, 3 x 3 on each alone, 1 x 1 back without ReLU; a shortcut where the shapes agree.</summary>
    private sealed class Block(ParameterScope scope, int inputs, int width, int stride, int expansion)
    {
        private readonly bool _residual = stride == 1 && inputs == width;
        private readonly ConvNorm _expand = new(scope[0], scope[1], inputs, inputs * expansion, 1);
        private readonly ConvNorm _filter = new(
            scope[3], scope[4], inputs * expansion, inputs * expansion, 3, stride, groups: inputs * expansion);

        private readonly ConvNorm _project = new(scope[6], scope[7], inputs * expansion, width, 1, relu: false);

        public Tensor Forward(Tensor x)
        {
            using var scope = x.Step!.Scope();
            var y = _project.Forward(_expand.Forward(x, _filter));
            return scope.Return(_residual ? x + y : y);
        }
    }
}
