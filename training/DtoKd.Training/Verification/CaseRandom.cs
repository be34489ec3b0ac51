namespace DtoKd.Training.Verification;

/// <summary>
/// The random numbers of one chunk of cases (SplitMix64). A chunk has its own, so that cases do not depend on who computes them.
/// </summary>
internal struct CaseRandom(ulong seed, ulong stream, ulong chunk)
{
    private ulong _state = Mixed(Mixed(Mixed(seed) + stream) + chunk);

    public ulong Next() => Mixed(_state += 0x9E3779B97F4A7C15);

    /// <summary>Uniform in [0, 1).</summary>
    public double Uniform() => (Next() >> 11) * (1.0 / (1UL << 53));

    public double Uniform(double from, double to) => from + (to - from) * Uniform();

    /// <summary>Uniform in 0 .. count − 1.</summary>
    public int Below(int count) => (int)(Uniform() * count);

    public double Gaussian() => Math.Sqrt(-2 * Math.Log(1 - Uniform())) * Math.Cos(2 * Math.PI * Uniform());

    private static ulong Mixed(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
