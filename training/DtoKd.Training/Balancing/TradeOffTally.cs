namespace DtoKd.Training.Balancing;

/// <summary>Counts over a run, or a part of it, how often gradients conflicted and weights were clamped.</summary>
public sealed class TradeOffTally
{
    private const string Entry = "tally";

    /// <summary>Steps seen.</summary>
    public long Steps { get; private set; }

    /// <summary>Steps whose Gram matrix was known; only these can show a conflict.</summary>
    public long StepsWithGram { get; private set; }

    /// <summary>Steps with a negative inner product between two gradients.</summary>
    public long Conflicts { get; private set; }

    /// <summary>Steps whose weights lay on the boundary of the simplex.</summary>
    public long Clamps { get; private set; }

    /// <summary>Steps in which an objective was left out because its gradient vanished.</summary>
    public long Drops { get; private set; }

    /// <summary>Steps in which the floor replaced a loss.</summary>
    public long Floors { get; private set; }

    /// <summary>Share of conflicting steps among those with a Gram matrix, in [0, 1]; NaN when there is none.</summary>
    public double ConflictShare => (double)Conflicts / StepsWithGram;

    /// <summary>Share of clamped steps among all, in [0, 1]; NaN before the first.</summary>
    public double ClampedShare => (double)Clamps / Steps;

    /// <summary>Counts one step.</summary>
    /// <param name="step">What <see cref="TradeOffDiagnostics.Measure"/> gave.</param>
    public void Add(TradeOffDiagnostics step)
    {
        Steps++;
        StepsWithGram += step.HasGram ? 1 : 0;
        Conflicts += step.Conflict == true ? 1 : 0;
        Clamps += step.Clamped ? 1 : 0;
        Drops += step.Dropped.Count > 0 ? 1 : 0;
        Floors += step.Floored.Count > 0 ? 1 : 0;
    }

    /// <summary>The counts, to go on from after a resume.</summary>
    /// <returns>Named entries, like a balancer's.</returns>
    public IReadOnlyDictionary<string, double[]> SaveState() =>
        new Dictionary<string, double[]> { [Entry] = [Steps, StepsWithGram, Conflicts, Clamps, Drops, Floors] };

    /// <summary>Takes back what <see cref="SaveState"/> gave.</summary>
    /// <param name="state">Named entries.</param>
    /// <exception cref="InvalidDataException">The entry is missing or of another length.</exception>
    public void LoadState(IReadOnlyDictionary<string, double[]> state)
    {
        if (!state.TryGetValue(Entry, out double[]? counts) || counts.Length != 6)
            throw new InvalidDataException($"the state of the trade-off counts lacks the entry '{Entry}' with 6 values");
        Steps = (long)counts[0];
        StepsWithGram = (long)counts[1];
        Conflicts = (long)counts[2];
        Clamps = (long)counts[3];
        Drops = (long)counts[4];
        Floors = (long)counts[5];
    }
}
