using System.Text.Json;
using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Models.Checkpoints;
using DtoKd.Tests;
using DtoKd.Training.Optim;

namespace DtoKd.Training.Tests.Optim;

/// <summary>The golden trajectories of optimisers and schedules: optimisers.json and optimisers.safetensors.</summary>
internal static class OptimiserFixture
{
    private static readonly Lazy<JsonElement> _json = new(() =>
    {
        using var stream = File.OpenRead(SharedFiles.Require("fixtures/optimisers.json"));
        using var document = JsonDocument.Parse(stream);
        return document.RootElement.Clone();
    });

    private static readonly Lazy<SafetensorsReader> _tensors =
        new(() => SafetensorsReader.Open(SharedFiles.Require("fixtures/optimisers.safetensors")));

    /// <summary>The entries of "cases", "schedules" or "ema" by id.</summary>
    public static Dictionary<string, JsonElement> Entries(string list) =>
        _json.Value.GetProperty(list).EnumerateArray().ToDictionary(entry => entry.GetProperty("id").GetString()!);

    /// <summary>A tensor of the file.</summary>
    public static double[] Tensor(string name) => _tensors.Value.ReadFloat64(name);

    /// <summary>An attribute, or a default where the case has none.</summary>
    public static double Number(this JsonElement entry, string name, double absent = 0) =>
        entry.TryGetProperty(name, out var value) ? value.GetDouble() : absent;

    /// <summary>A flag that is not set where the case has none.</summary>
    public static bool Flag(this JsonElement entry, string name) => entry.TryGetProperty(name, out var flag) && flag.GetBoolean();

    /// <summary>An arena of the file's four parameters at their first values.</summary>
    public static ParameterArena NewArena(CpuDevice device, DType dtype, Func<string, bool> decays)
    {
        var arena = new ParameterArena(device, dtype);
        foreach (var parameter in _json.Value.GetProperty("params").EnumerateObject())
        {
            float[] first = _tensors.Value.ReadFloat32($"init.{parameter.Name}");
            var shape = new Shape([.. parameter.Value.EnumerateArray().Select(size => size.GetInt32())]);
            arena.Root.Parameter(parameter.Name, shape, (values, _, _) => first.CopyTo(values), decays(parameter.Name));
        }

        arena.Seal(seed: 0);
        return arena;
    }

    /// <summary>Writes the gradients of a step, counted from 0, into a flat buffer of the arena's layout.</summary>
    public static void FillGradient(ParameterArena arena, Tensor flat, int step)
    {
        foreach (var parameter in arena.Parameters)
        {
            int count = (int)parameter.Shape.Count, offset = (int)parameter.Offset;
            var all = _tensors.Value.ReadFloat32($"grads.{parameter.Name}").AsSpan(step * count, count);
            for (int i = 0; i < count; i++)
            {
                if (arena.DType == DType.F64)
                    flat.Span<double>()[offset + i] = all[i];
                else
                    flat.Span<float>()[offset + i] = all[i];
            }
        }
    }

    /// <summary>Compares a parameter with its golden values: within a tolerance, or to a single's rounding in double.</summary>
    public static void AssertClose(string name, DType dtype, double tolerance, double[] actual)
    {
        var expected = Tensor(name);
        Assert.Equal(expected.Length, actual.Length);
        double scale = expected.Max(Math.Abs);
        for (int i = 0; i < expected.Length; i++)
        {
            // The stored values are rounded to single precision: half a unit in the last place is 2^-24 of the value or less.
            double allowed = dtype == DType.F32 ? tolerance : (Math.Abs(expected[i]) * Math.ScaleB(1, -24)) + (1e-9 * scale);
            Assert.True(
                Math.Abs(expected[i] - actual[i]) <= allowed,
                $"{name} in {dtype}: element {i}: expected {expected[i]:g9}, got {actual[i]:g9}, tolerance {allowed:g3}");
        }
    }

    /// <summary>One clipped step with the gradient of step <paramref name="t"/>; returns its norm before clipping.</summary>
    public static double Step(
        Optimiser optimiser, ParameterArena arena, Tensor gradient, int t, double? clip, double rate, double? limit = null)
    {
        FillGradient(arena, gradient, t);
        if (limit is { } largest)
            GradientClip.Values(gradient, largest);
        double square = Flat.SquaredNorm(gradient);
        optimiser.Step(gradient, GradientClip.Scale(square, clip), rate);
        return Math.Sqrt(square);
    }
}
