using System.Text.Json;
using DtoKd.Models.Checkpoints;
using DtoKd.Tests;

namespace DtoKd.Training.Tests.Balancing;

/// <summary>The golden values of gradient balancing: cases from balance.json, tensors from balance.safetensors.</summary>
internal static class BalanceFixture
{
    private static readonly Lazy<JsonElement[]> AllCases = new(() =>
    {
        using var stream = File.OpenRead(SharedFiles.Require("fixtures/balance.json"));
        using var document = JsonDocument.Parse(stream);
        return [.. document.RootElement.GetProperty("cases").EnumerateArray().Select(c => c.Clone())];
    });

    private static readonly Lazy<SafetensorsReader> Tensors =
        new(() => SafetensorsReader.Open(SharedFiles.Require("fixtures/balance.safetensors")));

    public static IEnumerable<JsonElement> Cases(string op) =>
        AllCases.Value.Where(c => c.GetProperty("op").GetString() == op);

    public static double[] Tensor(string name) => Tensors.Value.ReadFloat64(name);

    /// <summary>The rows of a matrix.</summary>
    public static double[][] Rows(string name)
    {
        int columns = (int)Tensors.Value[name].Shape[1];
        return [.. Tensor(name).Chunk(columns)];
    }
}
