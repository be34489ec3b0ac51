using System.Globalization;
using DtoKd.Training.Logging;

namespace DtoKd.Cli.Display;

/// <summary>Numbers as people read them.</summary>
internal static class Figures
{
    public static string Percent(double? share) =>
        share is { } value ? string.Create(CultureInfo.InvariantCulture, $"{100 * value:F2} %") : "-";

    public static string Points(double share) => (100 * share).ToString("F2", CultureInfo.InvariantCulture);

    public static string Loss(double? loss) => loss is { } value ? value.ToString("F4", CultureInfo.InvariantCulture) : "-";

    public static string Losses(NamedValues losses) => string.Join("  ", losses.Select(loss => $"{loss.Key} {Loss(loss.Value)}"));

    public static string Milliseconds(double? milliseconds) =>
        milliseconds is { } value ? value.ToString("F1", CultureInfo.InvariantCulture) : "-";

    public static string Rate(double imagesPerSecond) =>
        string.Create(CultureInfo.InvariantCulture, $"{imagesPerSecond:F0} images/s");

    public static string Time(TimeSpan time) =>
        time.TotalHours >= 1 ? $"{(int)time.TotalHours}:{time:mm\\:ss}" : $"{time:m\\:ss}";
}
