namespace DtoKd.Models;

/// <summary>A published <see cref="RegNetY"/>: the arguments of <see cref="RegNetYConfig.Generate"/>.</summary>
/// <param name="Name">timm's name; the number is the count of multiply-adds at 224 x 224 in units of 10^8.</param>
/// <param name="W0">The width of the first block.</param>
/// <param name="Wa">How much wider each block is than the one before.</param>
/// <param name="Wm">The ratio of the widths of two stages.</param>
/// <param name="Depth">The number of blocks.</param>
/// <param name="GroupWidth">Channels in a group.</param>
/// <param name="Top1">Right first answers on ImageNet in per cent, after 100 epochs.</param>
public sealed record RegNetYSize(string Name, int W0, double Wa, double Wm, int Depth, int GroupWidth, double Top1)
{
    /// <summary>What the search of Radosavovic et al. (2020) ended with.</summary>
    public static IReadOnlyList<RegNetYSize> Published { get; } =
    [
        new("regnety_002", 24, 36.44, 2.49, 13, 8, 70.4),
        new("regnety_004", 48, 27.89, 2.09, 16, 8, 74.1),
        new("regnety_006", 48, 32.54, 2.32, 15, 16, 75.5),
        new("regnety_008", 56, 38.84, 2.40, 14, 16, 76.3),
        new("regnety_016", 48, 20.71, 2.65, 27, 24, 78.0),
        new("regnety_032", 80, 42.63, 2.66, 21, 24, 79.0),
        new("regnety_040", 96, 31.41, 2.24, 22, 64, 79.4),
        new("regnety_064", 112, 33.22, 2.27, 25, 72, 79.9),
        new("regnety_080", 192, 76.82, 2.19, 17, 56, 79.9),
        new("regnety_120", 168, 73.36, 2.37, 19, 112, 80.3),
        new("regnety_160", 200, 106.23, 2.48, 18, 112, 80.4),
        new("regnety_320", 232, 115.89, 2.53, 20, 232, 81.0),
    ];
}
