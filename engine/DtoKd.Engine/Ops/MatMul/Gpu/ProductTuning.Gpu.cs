using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace DtoKd.Engine.Gpu;

/// <summary>One product whose kernels were timed.</summary>
/// <param name="Shape">Rows x columns x terms, results if there are several, and how the operands lie.</param>
/// <param name="Planned">The kernel that is taken without tuning, and the pieces of its sums.</param>
/// <param name="PlannedMicroseconds">Its time.</param>
/// <param name="Best">The fastest kernel, and its pieces.</param>
/// <param name="BestMicroseconds">Its time.</param>
/// <param name="FlopsPerSecond">What that is.</param>
public sealed record TunedProduct(
    string Shape, string Planned, double PlannedMicroseconds, string Best, double BestMicroseconds, double FlopsPerSecond);

/// <summary>
/// Times the kernels of matrix products on the card itself. What is found belongs to a kind of card, its driver and this build; sums
/// may then be cut elsewhere than without, so that their last bits differ.
/// </summary>
public static class ProductTuning
{
    // Estimates are right within a factor of two: what is slower by more than that is not timed.
    private const double WorthTiming = 2.5;
    private const int MostTimed = 8;
    private const double SecondsEach = 5e-3;
    private const int Repetitions = 3;

    private static readonly JsonSerializerOptions _json = new() { WriteIndented = true, Converters = { new JsonStringEnumConverter() } };

    /// <summary>Goes back to the plans by shape.</summary>
    public static void Forget(GpuDevice device) => device.ProductPlans.Clear();

    /// <summary>Times what could compute the products that the device has been asked for, and takes the fastest from now on.</summary>
    /// <param name="device">The device, after some work.</param>
    /// <param name="cancellation">Checked between products.</param>
    /// <returns>The products, those that took the longest first.</returns>
    public static IEnumerable<TunedProduct> Tune(GpuDevice device, CancellationToken cancellation = default)
    {
        var precision = device.MatmulPrecision;
        var asked = device.ProductPlans.Where(plan => plan.Key.Precision == precision).OrderByDescending(plan => plan.Value.Seconds(plan.Key.Shape));
        foreach (var (key, planned) in asked.ToList())
        {
            cancellation.ThrowIfCancellationRequested();
            double before = Seconds(device, key.Shape, planned), least = before;
            var best = planned;
            double estimate = planned.Seconds(key.Shape);
            foreach (var plan in ProductPlan.Candidates(key.Shape, precision, device)
                .Where(plan => plan != planned && plan.Seconds(key.Shape) <= WorthTiming * estimate)
                .OrderBy(plan => plan.Seconds(key.Shape)).DistinctBy(plan => (plan.Variant, Octave(plan.Pieces))).Take(MostTimed))
            {
                double seconds = Seconds(device, key.Shape, plan);
                if (seconds < least)
                    (best, least) = (plan, seconds);
            }

            device.ProductPlans[key] = best;
            var shape = key.Shape;
            double flops = 2.0 * shape.Rows * shape.Columns * shape.Inner * shape.Count;
            yield return new TunedProduct(NameOf(shape), NameOf(planned), before * 1e6, NameOf(best), least * 1e6, flops / least);
        }
    }

    /// <summary>Adds a device's plans to those of a file, in place of older ones of the same device, driver and build.</summary>
    /// <returns>The file's new content.</returns>
    /// <param name="device">The device.</param>
    /// <param name="content">The old content, or null; what cannot be read is left out.</param>
    public static byte[] Add(GpuDevice device, byte[]? content)
    {
        var others = Parse(content, out _)?.Where(entry => !IsOf(entry, device)) ?? [];
        Tuned[] products = [.. device.ProductPlans.Select(plan => new Tuned(
            plan.Key.Precision, plan.Key.Shape, plan.Value.Variant.Name, plan.Value.Pieces))];
        return JsonSerializer.SerializeToUtf8Bytes(
            (Entry[])[.. others, new Entry(device.Model, device.Driver, Build, products)], _json);
    }

    /// <summary>Takes a device's plans from a file.</summary>
    /// <returns>Why it cannot be read, in one line; null if it could, whatever is in it.</returns>
    /// <param name="device">The device.</param>
    /// <param name="content">The file's content.</param>
    public static string? Use(GpuDevice device, byte[] content)
    {
        var entries = Parse(content, out string? problem);
        foreach (var product in entries?.FirstOrDefault(entry => IsOf(entry, device))?.Products ?? [])
        {
            var variant = ProductVariant.All.FirstOrDefault(variant => variant.Name == product.Kernel);
            // A file may have been changed by hand: only what the device can carry out is taken.
            if (variant is not null && variant.SharedBytes <= device.MostShared && variant.Takes(product.Shape)
                && variant.Precision <= product.Precision && product.Pieces is >= 1 and <= ProductPlan.MostPieces)
            {
                device.ProductPlans[(product.Precision, product.Shape)] =
                    ProductPlan.InPieces(variant, product.Shape.Inner, product.Pieces);
            }
        }

        return problem;
    }

    // Kernels of another build may be other kernels.
    private static string Build => typeof(ProductTuning).Module.ModuleVersionId.ToString();

    private static bool IsOf(Entry entry, GpuDevice device) =>
        entry.Device == device.Model && entry.Driver == device.Driver && entry.Build == Build;

    private static Entry[]? Parse(byte[]? content, out string? problem)
    {
        problem = null;
        if (content is null)
            return null;
        try
        {
            var entries = JsonSerializer.Deserialize<Entry[]>(content, _json);
            if (entries is not null && Array.TrueForAll(entries, entry => entry?.Products is not null))
                return entries;
            problem = "an entry has no products";
        }
        catch (JsonException exception)
        {
            problem = exception.Message;
        }

        return null;
    }

    private static double Seconds(GpuDevice device, ProductShape shape, ProductPlan plan)
    {
        using var step = Step.Evaluation(device);
        var a = Operand(step, shape.A, shape.Count, shape.Rows, shape.Inner);
        var b = Op.Transpose(Operand(step, shape.B, shape.Count, shape.Columns, shape.Inner), -1, -2);
        var y = step.Zeros(Shape(shape.Count, shape.Rows, shape.Columns));
        var product = new MatMulPlan(a, b, y);
        Run(1);
        int times = (int)Math.Clamp(SecondsEach / Run(1), 1, 50);
        double best = double.PositiveInfinity;
        for (int i = 0; i < Repetitions; i++)
            best = Math.Min(best, Run(times));
        return best;

        double Run(int times)
        {
            device.Synchronize();
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < times; i++)
                MatMulGpu.Run(a, b, null, y, false, product, plan);
            device.Synchronize();
            return Stopwatch.GetElapsedTime(start).TotalSeconds / times;
        }
    }

    /// <summary>Matrices of lines that lie as an operand's do.</summary>
    private static Tensor Operand(Step step, OperandLayout layout, long count, int lines, int terms) => layout switch
    {
        OperandLayout.Along => step.Full(Shape(count, lines, terms), 1),
        OperandLayout.Across => Op.Transpose(step.Full(Shape(count, terms, lines), 1), -1, -2),
        // One term more: lines then begin at odd places.
        _ => Op.Slice(step.Full(Shape(count, lines, terms + 1), 1), -1, 1, terms + 1),
    };

    private static Shape Shape(long count, int rows, int columns) => count == 1 ? [rows, columns] : [checked((int)count), rows, columns];

    private static int Octave(int pieces) => int.Log2(pieces);

    private static string NameOf(ProductPlan plan) => plan.Pieces == 1 ? plan.Variant.Name : $"{plan.Variant.Name} / {plan.Pieces}";

    private static string NameOf(ProductShape shape) => string.Create(
        CultureInfo.InvariantCulture,
        $"{(shape.Count == 1 ? "" : $"{shape.Count} x ")}{shape.Rows}x{shape.Columns}x{shape.Inner} {shape.A} {shape.B}");

    private sealed record Entry(string Device, string Driver, string Build, Tuned[] Products);

    private sealed record Tuned(MatmulPrecision Precision, ProductShape Shape, string Kernel, int Pieces);
}
