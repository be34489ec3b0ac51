namespace DtoKd.Training.Balancing;

/// <summary>
/// The floor under a loss before its logarithm is taken or anything divided by it: ∇log L = ∇L/L grows without bound as L → 0,
/// and log L does not exist from 0 down.
/// </summary>
public static class LossFloor
{
    /// <summary>1e-8, in the loss's unit: far below any loss a batch ends at, and what FAMO's authors add for the same reason.</summary>
    public const double Default = 1e-8;

    internal static double Check(double floor) => floor > 0 && double.IsFinite(floor)
        ? floor
        : throw new ArgumentOutOfRangeException(nameof(floor), floor, "the loss floor must be a positive number");

    /// <summary>Writes max(L, floor) and marks where the floor stood in.</summary>
    internal static void Apply(double floor, ReadOnlySpan<double> losses, Span<double> floored, Span<bool> marks)
    {
        for (int k = 0; k < losses.Length; k++)
        {
            marks[k] = losses[k] < floor;
            floored[k] = Math.Max(losses[k], floor);
        }
    }
}
