using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>A network by name.</summary>
/// <param name="Name">The name, as timm gives it where timm has the network.</param>
/// <param name="Summary">One line on it.</param>
/// <param name="Create">Declares it in a scope for given images.</param>
public sealed record ZooEntry(string Name, string Summary, Func<ParameterScope, ImageSpec, VisionModel> Create);

/// <summary>The networks by the names the program knows them by.</summary>
public static class Zoo
{
    /// <summary>All networks: small ones for images of 8 to 64 pixels, then the published sizes.</summary>
    public static IReadOnlyList<ZooEntry> Entries { get; } =
    [
        new("deit_micro", "vision transformer, 3 blocks of 48", (scope, spec) => DeiTMicro(scope, spec, distilled: false)),
        new("deit_micro_distilled", "the same with a distillation token", (scope, spec) => DeiTMicro(scope, spec, distilled: true)),
        new("swin_micro", "windowed transformer, 2 stages from 32", SwinMicro),
        new("regnety_nano", "RegNetY, 3 stages from 16", (scope, spec) => RegNetYMicro(scope, spec, [16, 32, 64], [1, 1, 1])),
        new("regnety_micro", "RegNetY, 3 stages from 32", (scope, spec) => RegNetYMicro(scope, spec, [32, 64, 128], [1, 2, 1])),
        .. DeiTs("tiny", 192, 3),
        .. DeiTs("small", 384, 6),
        .. DeiTs("base", 768, 12),
        Published("swin_nano_patch4_window7_224", 48, [2, 2, 6, 2], [3, 6, 12, 24], dropPath: 0),
        Published("swin_tiny_patch4_window7_224", 96, [2, 2, 6, 2], [3, 6, 12, 24], dropPath: 0.2),
        Published("swin_small_patch4_window7_224", 96, [2, 2, 18, 2], [3, 6, 12, 24], dropPath: 0.3),
        Published("swin_base_patch4_window7_224", 128, [2, 2, 18, 2], [4, 8, 16, 32], dropPath: 0.3),
        new("regnety_160", "RegNetY of 16 GFLOP, DeiT's teacher",
            (scope, spec) => new RegNetY(scope, spec, RegNetYConfig.Generate(200, 106.23, 2.48, 18, 112))),
    ];

    /// <summary>Declares a network by name.</summary>
    /// <param name="name">One of <see cref="Entries"/>.</param>
    /// <param name="scope">Where its parameters go.</param>
    /// <param name="spec">The images.</param>
    /// <exception cref="ArgumentException">The name is unknown (the message lists the known ones), or the images do not fit.</exception>
    public static VisionModel Create(string name, ParameterScope scope, ImageSpec spec) => Find(name).Create(scope, spec);

    /// <summary>The entry of a name.</summary>
    /// <exception cref="ArgumentException">The name is unknown; the message lists the known ones.</exception>
    public static ZooEntry Find(string name) =>
        Entries.FirstOrDefault(entry => entry.Name == name)
        ?? throw new ArgumentException($"unknown model '{name}'; known are {string.Join(", ", Entries.Select(entry => entry.Name))}");

    private static IEnumerable<ZooEntry> DeiTs(string size, int width, int heads) =>
        from distilled in new[] { false, true }
        select new ZooEntry(
            $"deit_{size}{(distilled ? "_distilled" : "")}_patch16_224",
            $"DeiT, 12 blocks of {width}{(distilled ? ", with a distillation token" : "")}",
            (scope, spec) => new DeiT(scope, spec, new DeiTConfig(16, width, 12, heads, distilled, DropPath: 0.1)));

    private static ZooEntry Published(string name, int size, int[] depths, int[] heads, double dropPath) => new(
        name,
        $"Swin, {depths.Sum()} blocks from {size}",
        (scope, spec) => new Swin(scope, spec, new SwinConfig(4, size, depths, heads, Window: 7, dropPath)));

    private static DeiT DeiTMicro(ParameterScope scope, ImageSpec spec, bool distilled) =>
        new(scope, spec, new DeiTConfig(SmallPatch(spec), Size: 48, Depth: 3, Heads: 3, distilled) { Deviation = 0.1 });

    private static Swin SwinMicro(ParameterScope scope, ImageSpec spec) =>
        new(scope, spec, new SwinConfig(SmallPatch(spec), Size: 32, Depths: [2, 2], Heads: [2, 4], Window: 4));

    // Images of less than 24 pixels keep their size up to the second stage; larger ones are halved by the stem.
    private static RegNetY RegNetYMicro(ParameterScope scope, ImageSpec spec, int[] widths, int[] depths) =>
        new(scope, spec, new RegNetYConfig(widths[0] / 2, widths, depths, GroupWidth: 8)
        {
            StemStride = Math.Min(spec.Height, spec.Width) < 24 ? 1 : 2,
            FirstStride = 1,
        });

    /// <summary>The smallest patch, of at least 2 pixels, that cuts an image into at most 8 x 8.</summary>
    private static int SmallPatch(ImageSpec spec)
    {
        int side = Math.Max(spec.Height, spec.Width);
        int patch = Enumerable.Range(2, side).FirstOrDefault(p => spec.Height % p == 0 && spec.Width % p == 0 && side / p <= 8);
        return patch > 0 ? patch : throw new ArgumentException($"no patch cuts images of {spec.Height} x {spec.Width} into at most 8 x 8");
    }
}
