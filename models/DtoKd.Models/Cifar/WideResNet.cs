using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>
/// The wide residual network (Zagoruyko and Komodakis 2016): three stages of blocks that normalise before they convolve. Names
/// are those of the CIFAR-100 distillation literature: <c>block1.layer.0.conv1</c>, <c>convShortcut</c>, <c>fc</c>.
/// </summary>
/// <remarks>Features are the sums at the ends of the stages, before the next norm.</remarks>
public sealed class WideResNet : VisionModel
{
    private const int StemWidth = 16;
    private const int Stages = 3;

    private readonly Conv2d _stem;
    private readonly List<Block[]> _stages = [];
    private readonly BatchNorm2d _norm;
    private readonly Linear _head;

    /// <summary>Declares the network.</summary>
    /// <param name="scope">Where its parameters go.</param>
    /// <param name="spec">The images.</param>
    /// <param name="depth">Layers: 6n + 4 for n blocks in each stage.</param>
    /// <param name="widen">The factor of the widths 16, 32, 64.</param>
    public WideResNet(ParameterScope scope, ImageSpec spec, int depth, int widen)
    {
        _stem = new Conv2d(scope["conv1"], spec.Channels, StemWidth, 3);
        var maps = new StageMaps(spec);
        int inputs = StemWidth;
        for (int s = 0; s < Stages; s++)
        {
            int width = StemWidth * widen << s;
            var stage = new Block[(depth - 4) / 6];
            for (int b = 0; b < stage.Length; b++)
            {
                stage[b] = new Block(scope[$"block{s + 1}"]["layer"][b], inputs, width, s > 0 && b == 0 ? 2 : 1);
                inputs = width;
            }

            _stages.Add(stage);
            maps.Add($"block{s + 1}", width, s > 0 ? 2 : 1);
        }

        _norm = new BatchNorm2d(scope["bn1"], inputs);
        _head = new Linear(scope["fc"], inputs, spec.Classes, initialiser: Init.UniformFanIn);
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

        return new ModelOutput(_head.Forward(Op.GlobalAvgPool(_norm.Forward(x, relu: true))), withFeatures ? maps : [], maps);
    }

    private sealed class Block(ParameterScope scope, int inputs, int width, int stride)
    {
        private readonly BatchNorm2d _norm = new(scope["bn1"], inputs);
        private readonly ConvNorm _conv1 = new(scope["conv1"], scope["bn2"], inputs, width, 3, stride);
        private readonly Conv2d _conv2 = new(scope["conv2"], width, width, 3);
        private readonly Conv2d? _shortcut = inputs == width ? null : new(scope["convShortcut"], inputs, width, 1, stride);

        // A shortcut that changes the width starts from the normalised map, as the branch does.
        public Tensor Forward(Tensor x)
        {
            using var scope = x.Step!.Scope();
            var y = _norm.Forward(x, relu: true);
            return scope.Return(_conv2.Forward(_conv1.Forward(y)) + (_shortcut?.Forward(y) ?? x));
        }
    }
}
