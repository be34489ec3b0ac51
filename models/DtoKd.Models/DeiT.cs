using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>The sizes of a <see cref="DeiT"/>.</summary>
/// <param name="PatchSize">The side of a patch in pixels.</param>
/// <param name="Size">The size of a token, D.</param>
/// <param name="Depth">The number of blocks.</param>
/// <param name="Heads">Attention heads in each block; divides <paramref name="Size"/>.</param>
/// <param name="Distilled">Whether there is a distillation token with a head of its own.</param>
/// <param name="DropPath">The share of samples whose last block's branches are skipped in training; earlier blocks less.</param>
public sealed record DeiTConfig(int PatchSize, int Size, int Depth, int Heads, bool Distilled = false, double DropPath = 0)
{
    /// <summary>
    /// The deviation of the first weights, tokens and positions: 0.02 in the published networks. Tokens of a few dozen
    /// numbers need more, or positions drown beside the patches.
    /// </summary>
    public double Deviation { get; init; } = 0.02;

    /// <summary>
    /// Whether three convolutions stand before the patches and the distillation token is the mean of the patches instead of a
    /// parameter: the student of Co-advise (Ren et al. 2022) and VkD (Miles et al. 2024). Only with <see cref="Distilled"/>.
    /// </summary>
    public bool ConvolutionalStem { get; init; }
}

/// <summary>
/// The vision transformer as trained by DeiT: image patches become tokens beside a class token (Dosovitskiy et al. 2021) and,
/// if asked for, a distillation token whose head imitates a teacher (Touvron et al. 2021). Parameter names are timm's.
/// </summary>
/// <remarks>Token order: class, distillation, patches row by row.</remarks>
public sealed class DeiT : VisionModel
{
    private const double Epsilon = 1e-6;
    private const int MlpRatio = 4;

    private readonly ImageSpec _spec;
    private readonly DeiTConfig _config;
    private readonly Parameter _classToken;
    private readonly Parameter? _distillationToken;
    private readonly Parameter _positions;
    private readonly IPatches _patches;
    private readonly Block[] _blocks;
    private readonly LayerNorm _norm;
    private readonly Linear _head;
    private readonly Linear? _distillationHead;
    private readonly int _rows;
    private readonly int _columns;
    private readonly int[] _featureBlocks;

    /// <summary>Declares the network.</summary>
    /// <param name="scope">Where its parameters go.</param>
    /// <param name="spec">The images.</param>
    /// <param name="config">The sizes.</param>
    /// <exception cref="ArgumentException">Patches do not tile the image, or heads do not divide the token.</exception>
    public DeiT(ParameterScope scope, ImageSpec spec, DeiTConfig config)
    {
        if (spec.Height % config.PatchSize != 0 || spec.Width % config.PatchSize != 0)
            throw new ArgumentException($"patches of {config.PatchSize} do not tile images of {spec.Height} x {spec.Width}");
        if (config.Size % config.Heads != 0)
            throw new ArgumentException($"{config.Heads} heads do not divide tokens of size {config.Size}");
        if (config is { ConvolutionalStem: true, Distilled: false })
            throw new ArgumentException("a convolutional stem is for the distilled network: its patches' mean is the second token");
        _spec = spec;
        _config = config;
        _rows = spec.Height / config.PatchSize;
        _columns = spec.Width / config.PatchSize;
        var normal = Init.TruncatedNormalOf(config.Deviation);
        int tokens = HeadTokens + (_rows * _columns);
        _classToken = scope.Parameter("cls_token", [1, 1, config.Size], normal, decays: false);
        if (config is { Distilled: true, ConvolutionalStem: false })
            _distillationToken = scope.Parameter("dist_token", [1, 1, config.Size], normal, decays: false);
        _positions = scope.Parameter("pos_embed", [1, tokens, config.Size], normal, decays: false);
        _patches = config.ConvolutionalStem
            ? new ConvolutionalPatches(scope["conv_embed"], spec.Channels, config)
            : new PlainPatches(scope["patch_embed"], spec.Channels, config);
        _blocks = new Block[config.Depth];
        for (int i = 0; i < config.Depth; i++)
        {
            double dropPath = config.Depth == 1 ? config.DropPath : config.DropPath * i / (config.Depth - 1);
            _blocks[i] = new Block(scope["blocks"][i], config.Size, config.Heads, dropPath, normal);
        }

        _norm = new LayerNorm(scope["norm"], config.Size, Epsilon);
        _head = new Linear(scope["head"], config.Size, spec.Classes, initialiser: normal);
        if (config.Distilled)
            _distillationHead = new Linear(scope["head_dist"], config.Size, spec.Classes, initialiser: normal);

        // Quarters of the depth stand in for the stages of a convolutional network; the last one follows the final norm.
        _featureBlocks = [.. Enumerable.Range(1, 4).Select(i => (config.Depth * i / 4) - 1).Where(i => i >= 0).Distinct()];
        Features = [.. _featureBlocks.Select(i => new FeatureInfo(
            i == config.Depth - 1 ? "norm" : $"blocks.{i}", config.Size, _rows, _columns))];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<FeatureInfo> Features { get; }

    /// <inheritdoc/>
    public override ModelOutput Forward(Tensor images, bool withFeatures = false)
    {
        int batch = images.Shape[0];
        List<Tensor> features = [], representation = [];
        var x = Embed(images);
        for (int i = 0; i < _blocks.Length; i++)
        {
            bool isLast = i == _blocks.Length - 1;
            // The heads look at their tokens alone: of the last block nothing else is computed unless it is asked for.
            var before = x;
            x = _blocks[i].Forward(x, isLast && !withFeatures ? HeadTokens : null);
            if (!representation.Contains(before))
                before.Dispose();
            if (!withFeatures || isLast || !_featureBlocks.Contains(i))
                continue;
            representation.Add(x);
            features.Add(PatchMap(x));
        }

        x = _norm.Forward(x);
        representation.Add(x);
        if (withFeatures)
            features.Add(PatchMap(x));
        Tensor Token(int index) => Op.Reshape(Op.Slice(x, 1, index, index + 1), [batch, _config.Size]);
        return new ModelOutput(_head.Forward(Token(0)), features, representation)
        {
            DistillationLogits = _distillationHead?.Forward(Token(1)),
        };
    }

    /// <summary>The tokens that a head reads: class and, if there is one, distillation.</summary>
    private int HeadTokens => _config.Distilled ? 2 : 1;

    /// <summary>Images [N, C, H, W] to tokens [N, 1 or 2 + patches, D] with positions added.</summary>
    private Tensor Embed(Tensor images)
    {
        var step = images.Step!;
        using var scope = step.Scope();
        int batch = images.Shape[0];
        if (images.Shape != new Shape(batch, _spec.Channels, _spec.Height, _spec.Width))
        {
            throw new ArgumentException(
                $"images of shape {images.Shape} for a network of [N, {_spec.Channels}, {_spec.Height}, {_spec.Width}]");
        }

        var patches = Op.Reshape(Op.Permute(_patches.Forward(images), 0, 2, 3, 1), [batch, _rows * _columns, _config.Size]);
        Tensor Repeated(Parameter token) => Op.Expand(step.Use(token), [batch, 1, _config.Size]);
        var tokens = !_config.Distilled
            ? Op.Concat([Repeated(_classToken), patches], 1)
            : Op.Concat([Repeated(_classToken), SecondToken(), patches], 1);
        Tensor SecondToken() => _distillationToken is { } token ? Repeated(token) : Op.Mean(patches, [1], keepAxes: true);
        return scope.Return(tokens + _positions);
    }

    /// <summary>The patch tokens [N, ., D] as a map [N, D, rows, columns].</summary>
    private Tensor PatchMap(Tensor tokens)
    {
        var patches = Op.Slice(tokens, 1, tokens.Shape[1] - (_rows * _columns));
        return Op.Permute(Op.Reshape(patches, [tokens.Shape[0], _rows, _columns, _config.Size]), 0, 3, 1, 2);
    }

    /// <summary>Images [N, C, H, W] to patches [N, D, rows, columns].</summary>
    private interface IPatches
    {
        Tensor Forward(Tensor images);
    }

    private sealed class PlainPatches(ParameterScope scope, int channels, DeiTConfig config) : IPatches
    {
        private readonly Conv2d _projection = new(
            scope["proj"], channels, config.Size, config.PatchSize, config.PatchSize, padding: 0, bias: true, initialiser: Init.LeCun);

        public Tensor Forward(Tensor images) => _projection.Forward(images);
    }

    /// <summary>7 x 7 of stride 2 and two 3 x 3, each with norm and ReLU, then patches of half the side. Names are VkD's.</summary>
    private sealed class ConvolutionalPatches(ParameterScope scope, int channels, DeiTConfig config) : IPatches
    {
        private const int Width = 64;

        private readonly ConvNorm[] _stem =
        [
            new(scope["conv"][0], scope["conv"][1], channels, Width, 7, stride: 2, initialiser: Init.HeFanIn),
            new(scope["conv"][3], scope["conv"][4], Width, Width, 3, initialiser: Init.HeFanIn),
            new(scope["conv"][6], scope["conv"][7], Width, Width, 3, initialiser: Init.HeFanIn),
        ];

        private readonly Conv2d _projection = new(
            scope["proj"], Width, config.Size, config.PatchSize / 2, config.PatchSize / 2, padding: 0, bias: true, initialiser: Init.HeFanIn);

        public Tensor Forward(Tensor images)
        {
            foreach (var layer in _stem)
                images = layer.Forward(images);
            return _projection.Forward(images);
        }
    }

    /// <summary>Attention, then a perceptron, each behind a norm and beside a shortcut.</summary>
    private sealed class Block(ParameterScope scope, int size, int heads, double dropPath, Initialiser normal)
    {
        private readonly LayerNorm _norm1 = new(scope["norm1"], size, Epsilon);
        private readonly Linear _qkv = new(scope["attn"]["qkv"], size, 3 * size, initialiser: normal);
        private readonly Linear _projection = new(scope["attn"]["proj"], size, size, initialiser: normal);
        private readonly LayerNorm _norm2 = new(scope["norm2"], size, Epsilon);
        private readonly Mlp _mlp = new(scope["mlp"], size, MlpRatio * size, normal);

        /// <summary>Tokens [N, T, D] to the same.</summary>
        /// <param name="x">The tokens.</param>
        /// <param name="first">If not null, only so many tokens are computed: [N, first, D].</param>
        public Tensor Forward(Tensor x, int? first = null)
        {
            using var scope = x.Step!.Scope();
            x = Op.Residual(
                x,
                y => _projection.Last(Attention(_norm1.Forward(y), first)),
                dropPath,
                first is { } count ? Op.Slice(x, 1, 0, count) : null);
            return scope.Return(Op.Residual(x, y => _mlp.Last(_norm2.Forward(y)), dropPath));
        }

        /// <summary>Of all tokens to all, or of the first: then every token has a key and a value, those alone have queries.</summary>
        private Tensor Attention(Tensor tokens, int? first)
        {
            if (first is not { } count)
                return Op.SelfAttention(_qkv.Forward(tokens), heads);
            // Rows of the weight: queries, keys, values.
            Tensor weight = tokens.Step!.Use(_qkv.Weight), bias = tokens.Step.Use(_qkv.Bias!);
            var q = Op.Linear(Op.Slice(tokens, 1, 0, count), Op.Slice(weight, 0, 0, size), Op.Slice(bias, 0, 0, size));
            var kv = Heads(Op.Linear(tokens, Op.Slice(weight, 0, size), Op.Slice(bias, 0, size)));
            var y = Op.Attention(Heads(q), Op.Slice(kv, 0, 0, 1), Op.Slice(kv, 0, 1));
            return Op.Reshape(Op.Permute(y, 0, 1, 3, 2, 4), [tokens.Shape[0], count, size]);
        }

        /// <summary>[N, T, parts D] as [parts, N, heads, T, D / heads].</summary>
        private Tensor Heads(Tensor x) => Op.Permute(
            Op.Reshape(x, [x.Shape[0], x.Shape[1], x.Shape[2] / size, heads, size / heads]), 2, 0, 3, 1, 4);
    }
}
