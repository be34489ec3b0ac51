using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Tests;

namespace DtoKd.Models.Tests;

/// <summary>Names and shapes against lists that tests/oracle/gen_names.py writes from the architectures alone.</summary>
[Trait("Category", "Fixtures")]
public sealed class NameTests
{
    [Theory]
    [InlineData("deit_tiny_patch16_224", 5_717_416)]
    [InlineData("deit_small_distilled_patch16_224", 22_436_432)]
    [InlineData("regnety_160", 83_590_140)]
    [InlineData("swin_tiny_patch4_window7_224", 28_288_354)]
    public void Tensors_have_timms_names_and_shapes(string network, long parameters)
    {
        string[] listed = File.ReadAllLines(SharedFiles.Require($"fixtures/names.{network}.txt"));
        using var device = new CpuDevice(1);
        using var arena = new ParameterArena(device);
        Zoo.Create(network, arena.Root, Zoo.Find(network).Native);
        string[] ours =
        [
            .. arena.Parameters.Select(parameter => Line(parameter.Name, parameter.Shape)),
            .. arena.Buffers.Select(buffer => Line(buffer.Name, buffer.Value.Shape)),
        ];
        Assert.Equal(listed.Order(StringComparer.Ordinal), ours.Order(StringComparer.Ordinal));
        Assert.Equal(parameters, arena.ParameterCount);
    }

    private static string Line(string name, Shape shape) =>
        $"{name} {(shape.Rank == 0 ? "scalar" : string.Join('x', Enumerable.Range(0, shape.Rank).Select(axis => shape[axis])))}";
}
