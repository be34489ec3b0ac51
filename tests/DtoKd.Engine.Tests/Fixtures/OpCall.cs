using System.Text.Json;

namespace DtoKd.Engine.Tests.Fixtures;

/// <summary>What a case computes.</summary>
/// <param name="call">Its inputs and attributes.</param>
/// <returns>The outputs in the case's order.</returns>
internal delegate Tensor[] OpFunction(OpCall call);

/// <summary>The inputs and attributes of one case, by PyTorch's names.</summary>
internal sealed class OpCall(Step step, JsonElement json, IReadOnlyDictionary<string, Tensor> inputs, DType floats)
{
    private readonly JsonElement _attributes = json.GetProperty("attrs");

    public Step Step => step;

    /// <summary>The type of floats in this run.</summary>
    public DType Floats => floats;

    /// <summary>How many outputs the case has.</summary>
    public int Outputs => json.GetProperty("out").GetArrayLength();

    /// <summary>An input.</summary>
    public Tensor this[string name] => inputs[name];

    /// <summary>All inputs in the case's order.</summary>
    public Tensor[] Inputs => [.. inputs.Values];

    /// <summary>An input that may be absent.</summary>
    public Tensor? Optional(string name) => inputs.GetValueOrDefault(name);

    public bool Has(string name) => _attributes.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null;

    public int Int(string name) => _attributes.GetProperty(name).GetInt32();

    public double Number(string name) => _attributes.GetProperty(name).GetDouble();

    public double Number(string name, double absent) => Has(name) ? Number(name) : absent;

    public bool Flag(string name) => Has(name) && _attributes.GetProperty(name).GetBoolean();

    public string Text(string name) => _attributes.GetProperty(name).GetString()!;

    public int[] Ints(string name) => _attributes.GetProperty(name).Deserialize<int[]>()!;

    /// <summary>A list of axes; null, for all of them, when the attribute is null.</summary>
    public int[]? Axes(string name = "dim") => Has(name) ? Ints(name) : null;

    /// <summary>A list of lists.</summary>
    public int[][] Rows(string name) =>
        [.. _attributes.GetProperty(name).EnumerateArray().Select(row => row.Deserialize<int[]>()!)];
}
