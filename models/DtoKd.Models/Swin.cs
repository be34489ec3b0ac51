using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>The sizes of a <see cref="Swin"/>.</summary>
/// <param name="PatchSize">The side of a patch in pixels.</param>
/// <param name="Size">The size of a token in the first stage; it doubles with each stage.</param>
/// <param name="Depths">Blocks of each stage; odd ones shift their windows.</param>
/// <param name="Heads">Attention heads in each stage.</param>
/// <param name="Window">The side of a window in patches.</param>
/// <param name="DropPath">The share of samples whose last block's branches are skipped in training; earlier blocks less.</param>
public sealed record SwinConfig(
    int PatchSize, int Size, IReadOnlyList<int> Depths, IReadOnlyList<int> Heads, int Window, double DropPath = 0);

/// <summary>
/// The Swin transformer: attention inside windows that shift from block to block, and merging of 2 x 2 patches between stages
/// (Liu et al. 2021). Parameter names are timm's of today: merging stands at the start of a stage.
/// </summary>
public sealed class Swin : VisionModel
{
    private const double Epsilon = 1e-5;
    private const int MlpRatio = 4;

    private readonly Conv2d _patches;
    private readonly LayerNorm _patchNorm;
    private readonly Stage[] _stages;
    private readonly LayerNorm _norm;
    private readonly Linear _head;

    /// <summary>Declares the network.</summary>
    /// <param name="scope">Where its parameters go.</param>
    /// <param name="spec">The images; maps that windows do not tile are padded.</param>
    /// <param name="config">The sizes.</param>
    /// <exception cref="ArgumentException">Heads do not divide the tokens, or the image is smaller than a patch.</exception>
    public Swin(ParameterScope scope, ImageSpec spec, SwinConfig config)
    {
        int rows = spec.Height / config.PatchSize, columns = spec.Width / config.PatchSize;
        if (rows == 0 || columns == 0 || rows * config.PatchSize != spec.Height || columns * config.PatchSize != spec.Width)
            throw new ArgumentException($"patches of {config.PatchSize} do not tile images of {spec.Height} x {spec.Width}");
        _patches = new Conv2d(
            scope["patch_embed"]["proj"], spec.Channels, config.Size, config.PatchSize, config.PatchSize, padding: 0, bias: true, initialiser: Init.LeCun);
        _patchNorm = new LayerNorm(scope["patch_embed"]["norm"], config.Size, Epsilon);
        _stages = new Stage[config.Depths.Count];
        var features = new List<FeatureInfo>();
        int size = config.Size, before = 0, blocks = config.Depths.Sum();
        for (int s = 0; s < _stages.Length; s++)
        {
            if (s > 0)
                (size, rows, columns) = (2 * size, (rows + 1) / 2, (columns + 1) / 2);
            if (size % config.Heads[s] != 0)
                throw new ArgumentException($"{config.Heads[s]} heads do not divide tokens of size {size}");
            int first = before;
            double DropPath(int block) => blocks == 1 ? config.DropPath : config.DropPath * (first + block) / (blocks - 1);
            _stages[s] = new Stage(scope["layers"][s], size, config.Depths[s], config.Heads[s], config.Window, s > 0, DropPath);
            before += config.Depths[s];
            features.Add(new FeatureInfo($"layers.{s}", size, rows, columns));
        }

        _norm = new LayerNorm(scope["norm"], size, Epsilon);
        _head = new Linear(scope["head"]["fc"], size, spec.Classes);
        Features = features;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<FeatureInfo> Features { get; }

    /// <inheritdoc/>
    public override ModelOutput Forward(Tensor images, bool withFeatures = false)
    {
        List<Tensor> features = [], maps = [];
        var x = _patchNorm.Forward(Op.Permute(_patches.Forward(images), 0, 2, 3, 1));
        foreach (var stage in _stages)
        {
            x = stage.Forward(x);
            maps.Add(x);
            if (withFeatures)
                features.Add(Op.Permute(x, 0, 3, 1, 2));
        }

        return new ModelOutput(_head.Forward(Op.Mean(_norm.Forward(x), [1, 2])), features, maps);
    }

    /// <summary>Merging, in all stages but the first, then the blocks. Maps are [N, H, W, C].</summary>
    private sealed class Stage
    {
        private readonly LayerNorm? _mergeNorm;
        private readonly Linear? _reduction;
        private readonly Block[] _blocks;

        public Stage(ParameterScope scope, int size, int depth, int heads, int window, bool merges, Func<int, double> dropPath)
        {
            if (merges)
            {
                _mergeNorm = new LayerNorm(scope["downsample"]["norm"], 2 * size, Epsilon);
                _reduction = new Linear(scope["downsample"]["reduction"], 2 * size, size, bias: false);
            }

            _blocks = new Block[depth];
            for (int b = 0; b < depth; b++)
                _blocks[b] = new Block(scope["blocks"][b], size, heads, window, b % 2 == 1 ? window / 2 : 0, dropPath(b));
        }

        public Tensor Forward(Tensor x)
        {
            if (_reduction is not null)
                x = _reduction.Forward(_mergeNorm!.Forward(Op.PatchMerging(x)));
            return _blocks.Chain(x, (block, t) => block.Forward(t));
        }
    }

    /// <summary>Window attention, then a perceptron, each behind a norm and beside a shortcut.</summary>
    private sealed class Block(ParameterScope scope, int size, int heads, int window, int shift, double dropPath)
    {
        private readonly LayerNorm _norm1 = new(scope["norm1"], size, Epsilon);
        private readonly Parameter _biasTable = scope["attn"].Parameter(
            "relative_position_bias_table", [((2 * window) - 1) * ((2 * window) - 1), heads], Init.TruncatedNormal, decays: false);
        private readonly Linear _qkv = new(scope["attn"]["qkv"], size, 3 * size);
        private readonly Linear _projection = new(scope["attn"]["proj"], size, size);
        private readonly LayerNorm _norm2 = new(scope["norm2"], size, Epsilon);
        private readonly Mlp _mlp = new(scope["mlp"], size, MlpRatio * size);

        public Tensor Forward(Tensor x)
        {
            using var scope = x.Step!.Scope();
            x = Op.Residual(x, y => _projection.Last(Attention(_norm1.Forward(y))), dropPath);
            return scope.Return(Op.Residual(x, y => _mlp.Last(_norm2.Forward(y)), dropPath));
        }

        // Padding comes before the qkv product: as in the published networks, padded positions hold its bias and are attended.
        private Tensor Attention(Tensor x)
        {
            int height = x.Shape[1], width = x.Shape[2];
            int bottom = (window - (height % window)) % window, right = (window - (width % window)) % window;
            if (bottom + right > 0)
                x = Op.Pad(x, [0, 0, 0, right, 0, bottom]);
            int rows = height + bottom, columns = width + right;
            // A side that one window covers is not shifted.
            int down = rows > window ? shift : 0, across = columns > window ? shift : 0;
            var y = Op.WindowAttention(_qkv.Forward(x), heads, _biasTable, window, down, across);
            return bottom + right > 0 ? Op.Slice(Op.Slice(y, 1, 0, height), 2, 0, width) : y;
        }
    }
}
