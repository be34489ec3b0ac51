using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>The sizes of a <see cref="RegNetY"/>.</summary>
/// <param name="StemWidth">Channels after the stem.</param>
/// <param name="Widths">Channels of each stage.</param>
/// <param name="Depths">Blocks of each stage.</param>
/// <param name="GroupWidth">Channels in a group of the grouped convolutions; at most a stage's width.</param>
public sealed record RegNetYConfig(int StemWidth, IReadOnlyList<int> Widths, IReadOnlyList<int> Depths, int GroupWidth)
{
    /// <summary>The stride of the stem: 2 in the published networks, 1 for images of a few pixels.</summary>
    public int StemStride { get; init; } = 2;

    /// <summary>The stride of the first block of the first stage; later stages always start with 2.</summary>
    public int FirstStride { get; init; } = 2;

    /// <summary>The share of samples whose last block's branch is skipped in training; earlier blocks less.</summary>
    public double DropPath { get; init; }

    /// <summary>
    /// The widths and depths that a quantised linear rule gives (Radosavovic et al. 2020, equations 2 to 4): block j is
    /// w0 + wa j wide, rounded to a power of wm times w0, then to a multiple of 8 and of the group width.
    /// </summary>
    /// <param name="w0">The width of the first block.</param>
    /// <param name="wa">How much wider each block is than the one before.</param>
    /// <param name="wm">The ratio of the widths of two stages.</param>
    /// <param name="depth">The number of blocks.</param>
    /// <param name="groupWidth">Channels in a group.</param>
    public static RegNetYConfig Generate(int w0, double wa, double wm, int depth, int groupWidth)
    {
        var widths = new List<int>();
        var depths = new List<int>();
        for (int j = 0; j < depth; j++)
        {
            double exponent = Math.Round(Math.Log((w0 + (wa * j)) / w0) / Math.Log(wm), MidpointRounding.ToEven);
            int width = (int)Math.Round(w0 * Math.Pow(wm, exponent) / 8, MidpointRounding.ToEven) * 8;
            int group = Math.Min(groupWidth, width);
            width = Math.Max(1, (int)Math.Round((double)width / group, MidpointRounding.ToEven)) * group;
            if (widths.Count > 0 && widths[^1] == width)
            {
                depths[^1]++;
                continue;
            }

            widths.Add(width);
            depths.Add(1);
        }

        return new RegNetYConfig(32, widths, depths, groupWidth);
    }
}

/// <summary>
/// RegNetY: stages of residual bottleneck blocks with a grouped 3 x 3 convolution and squeeze-excite (Radosavovic et al.
/// 2020). Parameter names are timm's.
/// </summary>
public sealed class RegNetY : VisionModel
{
    private const double SqueezeRatio = 0.25;

    private readonly ConvNorm _stem;
    private readonly List<Block[]> _stages = [];
    private readonly Linear _head;

    /// <summary>Declares the network.</summary>
    /// <param name="scope">Where its parameters go.</param>
    /// <param name="spec">The images.</param>
    /// <param name="config">The sizes.</param>
    public RegNetY(ParameterScope scope, ImageSpec spec, RegNetYConfig config)
    {
        _stem = new ConvNorm(scope["stem"], spec.Channels, config.StemWidth, 3, config.StemStride);
        var features = new List<FeatureInfo>();
        int width = config.StemWidth, before = 0, blocks = config.Depths.Sum();
        int height = Halved(spec.Height, config.StemStride), columns = Halved(spec.Width, config.StemStride);
        for (int s = 0; s < config.Widths.Count; s++)
        {
            int stride = s == 0 ? config.FirstStride : 2;
            var stage = new Block[config.Depths[s]];
            for (int b = 0; b < stage.Length; b++)
            {
                var name = scope[$"s{s + 1}"][$"b{b + 1}"];
                double dropPath = blocks == 1 ? config.DropPath : config.DropPath * before / (blocks - 1);
                stage[b] = new Block(name, width, config.Widths[s], b == 0 ? stride : 1, config.GroupWidth, dropPath);
                width = config.Widths[s];
                before++;
            }

            _stages.Add(stage);
            (height, columns) = (Halved(height, stride), Halved(columns, stride));
            features.Add(new FeatureInfo($"s{s + 1}", width, height, columns));
        }

        _head = new Linear(scope["head"]["fc"], width, spec.Classes, initialiser: Init.Normal001);
        Features = features;
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

        return new ModelOutput(_head.Forward(Op.Mean(x, [2, 3])), withFeatures ? maps : [], maps);
    }

    private static int Halved(int size, int stride) => (size + stride - 1) / stride;

    /// <summary>1 x 1, grouped 3 x 3 with the stride, squeeze-excite, 1 x 1; beside a shortcut.</summary>
    private sealed class Block
    {
        private readonly ConvNorm _conv1;
        private readonly ConvNorm _conv2;
        private readonly SqueezeExcite _excite;
        private readonly ConvNorm _conv3;
        private readonly ConvNorm? _downsample;
        private readonly double _dropPath;

        public Block(ParameterScope scope, int inputs, int width, int stride, int groupWidth, double dropPath)
        {
            _dropPath = dropPath;
            int groups = width / Math.Min(groupWidth, width);
            _conv1 = new ConvNorm(scope["conv1"], inputs, width, 1);
            _conv2 = new ConvNorm(scope["conv2"], width, width, 3, stride, groups);
            _excite = new SqueezeExcite(scope["se"], width, (int)Math.Round(SqueezeRatio * inputs));
            // The last norm of a branch starts at zero: the block starts as its shortcut (Goyal et al. 2017).
            _conv3 = new ConvNorm(scope["conv3"], width, width, 1, relu: false, scale: Init.Zeros);
            if (inputs != width || stride != 1)
                _downsample = new ConvNorm(scope["downsample"], inputs, width, 1, stride, relu: false);
        }

        public Tensor Forward(Tensor x)
        {
            using var scope = x.Step!.Scope();
            var z = _conv1.Forward(x, _conv2);
            // A frozen network's convolution multiplies its channels by the gate as it reads them.
            bool trains = x.Step!.IsTraining;
            var gate = trains ? null : _excite.Gate(z);
            z = trains ? _excite.Forward(z) : z;
            var shortcut = _downsample?.Forward(x) ?? x;
            return scope.Return(_dropPath > 0 && trains
                ? Op.Relu(Op.DropPath(_conv3.Forward(z), _dropPath) + shortcut)
                : _conv3.Forward(z, shortcut, gate));
        }
    }

    /// <summary>Channels weighed by a two-layer perceptron of their means (Hu et al. 2018); its layers are 1 x 1 convolutions.</summary>
    private sealed class SqueezeExcite(ParameterScope scope, int channels, int squeezed)
    {
        private readonly Parameter _weight1 = scope["fc1"].Parameter("weight", [squeezed, channels, 1, 1], Init.HeFanOut());
        private readonly Parameter _bias1 = scope["fc1"].Parameter("bias", [squeezed], Init.Zeros);
        private readonly Parameter _weight2 = scope["fc2"].Parameter("weight", [channels, squeezed, 1, 1], Init.HeFanOut());
        private readonly Parameter _bias2 = scope["fc2"].Parameter("bias", [channels], Init.Zeros);

        public Tensor Forward(Tensor x) => Op.SqueezeExcite(x, _weight1, _bias1, _weight2, _bias2);

        /// <summary>The weights [N, channels, 1, 1].</summary>
        public Tensor Gate(Tensor x) => Op.SqueezeExciteGate(x, _weight1, _bias1, _weight2, _bias2);
    }
}
