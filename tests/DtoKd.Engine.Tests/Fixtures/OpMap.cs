namespace DtoKd.Engine.Tests.Fixtures;

/// <summary>The golden values' operations in the engine's own terms: a public composition where there is no single one.</summary>
internal static partial class OpMap
{
    public static IReadOnlyDictionary<string, OpFunction> All { get; } =
        Join(Pointwise, Matrices, Reductions, Norms, Losses, Images, Shapes, Models, Detection);

    private static Dictionary<string, OpFunction> Join(params Dictionary<string, OpFunction>[] families) =>
        families.SelectMany(family => family).ToDictionary();
}
