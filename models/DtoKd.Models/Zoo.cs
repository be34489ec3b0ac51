using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>A network by name.</summary>
/// <param name="Name">The name, as timm gives it where timm has the network.</param>
/// <param name="Summary">One line on it.</param>
/// <param name="Declare">Declares it in a scope for given images, with a rate of stochastic depth.</param>
public sealed record ZooEntry(string Name, string Summary, Func<ParameterScope, ImageSpec, double, VisionModel> Declare)
{
    /// <summary>
    /// The share of samples that skip its last block in training, less in earlier ones (Huang et al. 2016), as its authors train it;
    /// null where its blocks have no stochastic depth.
    /// </summary>
    public double? DropPath { get; init; }

    /// <summary>The images that the network is made for.</summary>
    public required ImageSpec Native { get; init; }

    /// <summary>What its authors reached on such images; null where there is no such number.</summary>
    public PublishedAccuracy? Published { get; init; }
}

/// <summary>A published share of right first answers.</summary>
/// <param name="Top1">In per cent.</param>
/// <param name="Source">Who published it, and what is special about it.</param>
public sealed record PublishedAccuracy(double Top1, string Source);

/// <summary>The networks by the names the program knows them by.</summary>
public static class Zoo
{
    private static readonly ImageSpec _imageNet = new(3, 224, 224, 1000);
    private static readonly ImageSpec _cifar100 = new(3, 32, 32, 100);
    private static readonly ImageSpec _small = new(3, 32, 32, 10);

    /// <summary>All networks: small ones for images of 8 to 64 pixels, then the published sizes.</summary>
    public static IReadOnlyList<ZooEntry> Entries { get; } =
    [
        Micro("deit_micro", "vision transformer, 3 blocks of 48", (scope, spec, dropPath) => DeiTMicro(scope, spec, distilled: false, dropPath)),
        Micro("deit_micro_distilled", "the same with a distillation token", (scope, spec, dropPath) => DeiTMicro(scope, spec, distilled: true, dropPath)),
        Micro("swin_micro", "windowed transformer, 2 stages from 32", SwinMicro),
        Micro("regnety_nano", "RegNetY, 3 stages from 16", (scope, spec, dropPath) => RegNetYMicro(scope, spec, [16, 32, 64], [1, 1, 1], dropPath)),
        Micro("regnety_micro", "RegNetY, 3 stages from 32", (scope, spec, dropPath) => RegNetYMicro(scope, spec, [32, 64, 128], [1, 2, 1], dropPath)),
        .. DeiTs("tiny", 192, 3, plain: 72.2, distilled: 74.5),
        .. DeiTs("small", 384, 6, plain: 79.9, distilled: 81.2),
        .. DeiTs("base", 768, 12, plain: 81.8, distilled: 83.4),
        VkdStudent("tiny", 192, 3, 78.3),
        VkdStudent("small", 384, 6, 82.3),
        SwinEntry("swin_nano_patch4_window7_224", 48, [2, 2, 6, 2], [3, 6, 12, 24], dropPath: 0, new(74.9, "ViDT's backbone")),
        SwinEntry("swin_tiny_patch4_window7_224", 96, [2, 2, 6, 2], [3, 6, 12, 24], dropPath: 0.2, new(81.3, "Liu et al. 2021")),
        SwinEntry("swin_small_patch4_window7_224", 96, [2, 2, 18, 2], [3, 6, 12, 24], dropPath: 0.3, new(83.0, "Liu et al. 2021")),
        SwinEntry("swin_base_patch4_window7_224", 128, [2, 2, 18, 2], [4, 8, 16, 32], dropPath: 0.3, new(83.5, "Liu et al. 2021")),
        .. RegNetYSize.Published.Select(RegNetYEntry),
        ResNetEntry("resnet20", ResNetConfig.ThreeStages(20), 69.06),
        ResNetEntry("resnet32", ResNetConfig.ThreeStages(32), 71.14),
        ResNetEntry("resnet56", ResNetConfig.ThreeStages(56), 72.34),
        ResNetEntry("resnet110", ResNetConfig.ThreeStages(110), 74.31),
        ResNetEntry("resnet8x4", ResNetConfig.ThreeStages(8, stem: 32, width: 64), 72.50),
        ResNetEntry("resnet32x4", ResNetConfig.ThreeStages(32, stem: 32, width: 64), 79.42),
        ResNetEntry("resnet50", new ResNetConfig(64, [64, 128, 256, 512], [3, 4, 6, 3], Bottleneck: true), 79.34),
        Cifar("wrn_16_2", "wide residual network, 16 layers, twice as wide", 73.26, (scope, spec) => new WideResNet(scope, spec, 16, 2)),
        Cifar("wrn_40_1", "wide residual network, 40 layers", 71.98, (scope, spec) => new WideResNet(scope, spec, 40, 1)),
        Cifar("wrn_40_2", "wide residual network, 40 layers, twice as wide", 75.61, (scope, spec) => new WideResNet(scope, spec, 40, 2)),
        Cifar("mobilenet_v2", "MobileNetV2 of half width", 64.60, (scope, spec) => new MobileNetV2(scope, spec, scale: 0.5, expansion: 6)),
        Cifar("shuffle_v1", "ShuffleNet of three groups", 70.50, (scope, spec) => new ShuffleNetV1(scope, spec)),
        Cifar("shuffle_v2", "ShuffleNetV2 of width 1", 71.82, (scope, spec) => new ShuffleNetV2(scope, spec)),
    ];

    /// <summary>Declares a network by name.</summary>
    /// <param name="name">One of <see cref="Entries"/>.</param>
    /// <param name="scope">Where its parameters go.</param>
    /// <param name="spec">The images.</param>
    /// <param name="dropPath">In place of <see cref="ZooEntry.DropPath"/>; null for that.</param>
    /// <exception cref="ArgumentException">
    /// The name is unknown (the message says which are near), the images do not fit, or there is no stochastic depth in it.
    /// </exception>
    public static VisionModel Create(string name, ParameterScope scope, ImageSpec spec, double? dropPath = null)
    {
        var entry = Find(name);
        if (dropPath > 0 && entry.DropPath is null)
            throw new ArgumentException($"{name} has no stochastic depth: its drop path cannot be {dropPath}");
        return entry.Declare(scope, spec, dropPath ?? entry.DropPath ?? 0);
    }

    /// <summary>The entry of a name.</summary>
    /// <exception cref="ArgumentException">The name is unknown; the message says which are near.</exception>
    public static ZooEntry Find(string name) =>
        Entries.FirstOrDefault(entry => entry.Name == name)
        ?? throw new ArgumentException(KnownNames.Unknown("model", name, Entries.Select(entry => entry.Name)));

    private static ZooEntry Micro(string name, string summary, Func<ParameterScope, ImageSpec, double, VisionModel> declare) =>
        new(name, summary, declare) { Native = _small, DropPath = 0 };

    private static IEnumerable<ZooEntry> DeiTs(string size, int width, int heads, double plain, double distilled) =>
        from two in new[] { false, true }
        select new ZooEntry(
            $"deit_{size}{(two ? "_distilled" : "")}_patch16_224",
            $"DeiT, 12 blocks of {width}{(two ? ", with a distillation token" : "")}",
            (scope, spec, dropPath) => new DeiT(scope, spec, new DeiTConfig(16, width, 12, heads, two, dropPath)))
        {
            Native = _imageNet,
            DropPath = 0.1,
            Published = new PublishedAccuracy(two ? distilled : plain, "Touvron et al. 2021"),
        };

    // Without drop path, as VkD trains it.
    private static ZooEntry VkdStudent(string size, int width, int heads, double top1) => new(
        $"deit_{size}_vkd_patch16_224",
        $"VkD's student: DeiT, 12 blocks of {width} behind a convolutional stem",
        (scope, spec, dropPath) => new DeiT(scope, spec, new DeiTConfig(16, width, 12, heads, Distilled: true, dropPath) { ConvolutionalStem = true }))
    {
        Native = _imageNet,
        DropPath = 0,
        Published = new PublishedAccuracy(top1, "Miles et al. 2024, distilled from regnety_160"),
    };

    private static ZooEntry SwinEntry(
        string name, int size, int[] depths, int[] heads, double dropPath, PublishedAccuracy published) => new(
        name,
        $"Swin, {depths.Sum()} blocks from {size}",
        (scope, spec, rate) => new Swin(scope, spec, new SwinConfig(4, size, depths, heads, Window: 7, rate)))
    {
        Native = _imageNet,
        DropPath = dropPath,
        Published = published,
    };

    private static ZooEntry RegNetYEntry(RegNetYSize size) => new(
        size.Name,
        $"RegNetY of {size.Name[^3..].TrimStart('0')}00 million multiply-adds",
        (scope, spec, dropPath) => new RegNetY(
            scope, spec, RegNetYConfig.Generate(size.W0, size.Wa, size.Wm, size.Depth, size.GroupWidth) with { DropPath = dropPath }))
    {
        Native = _imageNet,
        DropPath = 0,
        Published = new PublishedAccuracy(size.Top1, "Radosavovic et al. 2020"),
    };

    private static ZooEntry ResNetEntry(string name, ResNetConfig config, double top1) => Cifar(
        name,
        $"residual network, {config.Depths.Sum()} {(config.Bottleneck ? "bottlenecks" : "blocks")} from {config.Widths[0]}",
        top1,
        (scope, spec) => new ResNet(scope, spec, config));

    private static ZooEntry Cifar(string name, string summary, double top1, Func<ParameterScope, ImageSpec, VisionModel> create) =>
        new(name, summary, (scope, spec, _) => create(scope, spec))
        {
            Native = _cifar100,
            Published = new PublishedAccuracy(top1, "CIFAR-100, Tian et al. 2020"),
        };

    private static DeiT DeiTMicro(ParameterScope scope, ImageSpec spec, bool distilled, double dropPath) =>
        new(scope, spec, new DeiTConfig(SmallPatch(spec), Size: 48, Depth: 3, Heads: 3, distilled, dropPath) { Deviation = 0.1 });

    private static Swin SwinMicro(ParameterScope scope, ImageSpec spec, double dropPath) =>
        new(scope, spec, new SwinConfig(SmallPatch(spec), Size: 32, Depths: [2, 2], Heads: [2, 4], Window: 4, dropPath));

    // Images of less than 24 pixels keep their size up to the second stage; larger ones are halved by the stem.
    private static RegNetY RegNetYMicro(ParameterScope scope, ImageSpec spec, int[] widths, int[] depths, double dropPath) =>
        new(scope, spec, new RegNetYConfig(widths[0] / 2, widths, depths, GroupWidth: 8)
        {
            StemStride = Math.Min(spec.Height, spec.Width) < 24 ? 1 : 2,
            FirstStride = 1,
            DropPath = dropPath,
        });

    /// <summary>The smallest patch, of at least 2 pixels, that cuts an image into at most 8 x 8.</summary>
    private static int SmallPatch(ImageSpec spec)
    {
        int side = Math.Max(spec.Height, spec.Width);
        int patch = Enumerable.Range(2, side).FirstOrDefault(p => spec.Height % p == 0 && spec.Width % p == 0 && side / p <= 8);
        return patch > 0 ? patch : throw new ArgumentException($"no patch cuts images of {spec.Height} x {spec.Width} into at most 8 x 8");
    }
}
