namespace DtoKd.Engine.Tests.Fixtures;

/// <summary>The operations of the golden values that the engine does not offer, each with the reason; at present none.</summary>
internal static class MissingOps
{
    public static IReadOnlyDictionary<string, string> Reasons { get; } = new Dictionary<string, string>();
}
