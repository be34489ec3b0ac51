namespace DtoKd.Engine.Tests.Fixtures;

/// <summary>
/// Operations of the golden values that are no operations of the engine but parts of training: their cases run in the tests of
/// training, which fail when they do not map just these.
/// </summary>
internal static class TrainingOps
{
    public static IReadOnlySet<string> Names { get; } = new HashSet<string>
    {
        "detr_focal_matcher",
        "deformable_detr_criterion",
    };
}
