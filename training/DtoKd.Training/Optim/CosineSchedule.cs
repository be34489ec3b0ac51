namespace DtoKd.Training.Optim;

/// <summary>
/// A linear warm-up, then half a cosine from the base rate down to a floor, once or several times (Loshchilov and Hutter 2017:
/// "SGDR"), by the step. Equal to timm's.
/// </summary>
/// <param name="baseRate">The rate after the warm-up.</param>
/// <param name="totalSteps">
/// The step at which the first cosine ends: with one cycle, the steps of the whole run. The rate stays at the floor after the
/// last.
/// </param>
/// <param name="warmupSteps">The steps of the warm-up.</param>
/// <param name="finalRate">The floor.</param>
public sealed class CosineSchedule(double baseRate, long totalSteps, long warmupSteps = 0, double finalRate = 0)
    : Schedule(baseRate, warmupSteps)
{
    /// <summary>
    /// Whether the cosine spans the steps after the warm-up. If not, it spans the whole run and the warm-up covers its beginning:
    /// timm's default.
    /// </summary>
    public bool CosineAfterWarmup { get; init; } = true;

    /// <summary>How many cosines follow one another.</summary>
    public int Cycles { get; init; } = 1;

    /// <summary>How much longer each cycle is than the one before.</summary>
    public double CycleGrowth { get; init; } = 1;

    /// <summary>What each cycle's first rate is multiplied with, against the one before.</summary>
    public double CycleDecay { get; init; } = 1;

    /// <summary>The power of the progress in a cycle: above 1, the rate stays high for longer.</summary>
    public double Exponent { get; init; } = 1;

    /// <inheritdoc/>
    protected override double RateAfterWarmup(long step)
    {
        long before = CosineAfterWarmup ? WarmupSteps : 0;
        double into = step - before, length = Math.Max(1, totalSteps - before), highest = BaseRate;
        for (int cycle = 0; cycle < Cycles; cycle++)
        {
            if (into < length)
            {
                double progress = Math.Pow(into / length, Exponent);
                return finalRate + ((highest - finalRate) * 0.5 * (1 + Math.Cos(Math.PI * progress)));
            }

            into -= length;
            length *= CycleGrowth;
            highest *= CycleDecay;
        }

        return finalRate;
    }
}
