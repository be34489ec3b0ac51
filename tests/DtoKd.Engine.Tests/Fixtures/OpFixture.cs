using System.Text.Json;
using DtoKd.Engine.Cpu;
using DtoKd.Models.Checkpoints;
using DtoKd.Tests;

namespace DtoKd.Engine.Tests.Fixtures;

/// <summary>The golden values of the operations: cases from ops.json, tensors from ops.safetensors.</summary>
internal static class OpFixture
{
    // A double-precision run is compared with stored singles, so no closer than this share of the largest magnitude; and where
    // the exact value is zero, what is stored may be the rounding of another order of summation.
    private const double DoubleTolerance = 1e-6;
    private const double DoubleFloor = 1e-12;

    private static readonly Lazy<SafetensorsReader> _tensors =
        new(() => SafetensorsReader.Open(SharedFiles.Require("fixtures/ops.safetensors")));

    private static readonly Lazy<Dictionary<string, JsonElement>> _cases = new(() =>
    {
        using var stream = File.OpenRead(SharedFiles.Require("fixtures/ops.json"));
        using var document = JsonDocument.Parse(stream);
        return document.RootElement.GetProperty("cases").EnumerateArray()
            .ToDictionary(c => c.GetProperty("id").GetString()!, c => c.Clone());
    });

    private static readonly Dictionary<(string, DType), string?> _failures = [];

    /// <summary>The ids of all cases, in the file's order.</summary>
    public static IEnumerable<string> Ids => _cases.Value.Keys;

    /// <summary>The operation of a case.</summary>
    public static string OpOf(string id) => _cases.Value[id].GetProperty("op").GetString()!;

    /// <summary>Runs a case once and compares it; null when all values agree, else which one does not.</summary>
    public static string? Failure(string id, DType floats, IReadOnlyDictionary<string, OpFunction> map)
    {
        lock (_failures)
        {
            if (!_failures.TryGetValue((id, floats), out string? failure))
                _failures[(id, floats)] = failure = Check(id, floats, map[OpOf(id)]);
            return failure;
        }
    }

    private static string? Check(string id, DType floats, OpFunction function)
    {
        var json = _cases.Value[id];
        using var device = new CpuDevice(2);
        using var step = Step.Recording(device);
        try
        {
            var wanted = json.GetProperty("grad").EnumerateArray().Select(name => name.GetString()!).ToHashSet();
            var inputs = new Dictionary<string, Tensor>();
            foreach (var name in json.GetProperty("in").EnumerateArray().Select(name => name.GetString()!))
            {
                var tensor = Load(step, $"{id}.in.{name}", floats);
                inputs[name] = wanted.Contains(name) ? step.Watch(tensor) : tensor;
            }

            var outputs = function(new OpCall(step, json, inputs, floats));
            int count = json.GetProperty("out").GetArrayLength();
            if (outputs.Length != count)
                return $"{id}: {outputs.Length} outputs, expected {count}";
            for (int i = 0; i < count; i++)
            {
                if (Difference(json, $"out.{i}", outputs[i], floats) is { } difference)
                    return difference;
            }

            if (wanted.Count == 0)
                return null;
            using var store = new GradStore();
            Backward(step, id, outputs, floats, store);
            foreach (string name in wanted)
            {
                var gradient = store.Of(inputs[name]) ?? step.Zeros(inputs[name].Shape, floats);
                if (Difference(json, $"grad.{name}", gradient, floats) is { } difference)
                    return difference;
            }

            return null;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or ArithmeticException)
        {
            return $"{id} in {floats}: {e}";
        }
    }

    /// <summary>The gradients of sum over outputs of [out, gout].</summary>
    private static void Backward(Step step, string id, Tensor[] outputs, DType floats, GradStore store)
    {
        var reached = Enumerable.Range(0, outputs.Length).Where(i => _tensors.Value.Contains($"{id}.gout.{i}")).ToArray();
        if (reached.Length == 1)
        {
            step.Tape.Backward(outputs[reached[0]], Load(step, $"{id}.gout.{reached[0]}", floats), store);
            return;
        }

        var products = reached.Select(i => Op.Sum(Op.Mul(outputs[i], Load(step, $"{id}.gout.{i}", floats))));
        step.Tape.Backward(products.Aggregate(Op.Add), store);
    }

    private static string? Difference(JsonElement json, string part, Tensor actual, DType floats)
    {
        string id = json.GetProperty("id").GetString()!, name = $"{id}.{part}";
        var entry = _tensors.Value[name];
        var shape = new Shape([.. entry.Shape.ToArray().Select(size => (int)size)]);
        if (actual.Shape != shape)
            return $"{name} in {floats}: shape {actual.Shape}, expected {shape}";
        var type = entry.Type switch
        {
            SafetensorsType.F32 or SafetensorsType.F64 => floats,
            SafetensorsType.Bool => DType.Bool,
            _ => DType.I64,
        };
        if (actual.DType != type)
            return $"{name}: elements of type {actual.DType}, expected {type}";

        var expected = _tensors.Value.ReadFloat64(name);
        var got = type switch
        {
            DType.F32 or DType.F64 => actual.ToDoubles(),
            DType.I64 => Array.ConvertAll(actual.ToArray<long>(), value => (double)value),
            _ => Array.ConvertAll(actual.ToArray<bool>(), value => value ? 1.0 : 0),
        };
        double tolerance = !type.IsFloat() ? 0
            : floats == DType.F32 ? json.GetProperty("tol").GetProperty(part).GetDouble()
            : DoubleFloor + (DoubleTolerance * expected.Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(0).Max());
        for (int i = 0; i < expected.Length; i++)
        {
            // Equals holds for NaN and for infinities of one sign, whose difference is NaN.
            if (!expected[i].Equals(got[i]) && !(Math.Abs(expected[i] - got[i]) <= tolerance))
            {
                return $"{name} in {floats}: element {i} of {shape}: expected {expected[i]:g9}, got {got[i]:g9}, "
                    + $"tolerance {tolerance:g3}";
            }
        }

        return null;
    }

    private static Tensor Load(Step step, string name, DType floats)
    {
        var reader = _tensors.Value;
        var entry = reader[name];
        var shape = new Shape([.. entry.Shape.ToArray().Select(size => (int)size)]);
        return entry.Type switch
        {
            SafetensorsType.F32 when floats == DType.F32 => step.From(reader.ReadFloat32(name), shape),
            SafetensorsType.F32 => step.From(reader.ReadFloat64(name), shape),
            SafetensorsType.I64 => step.From(reader.ReadInt64(name), shape),
            SafetensorsType.Bool => step.From(Array.ConvertAll(reader.ReadInt64(name), value => value != 0), shape),
            _ => throw new InvalidDataException($"{name} has type {entry.Type}, which no case was expected to have"),
        };
    }
}
