namespace DtoKd.Training.Verification;

/// <summary>A pair of log-gradients at which a statement as printed fails.</summary>
/// <param name="G1">g1 = ∇log L_distill.</param>
/// <param name="G2">g2 = ∇log L_task.</param>
public sealed record CounterExample(IReadOnlyList<double> G1, IReadOnlyList<double> G2)
{
    /// <summary>As a table shows it.</summary>
    public override string ToString() => FormattableString.Invariant($"g1 = ({Joined(G1)}), g2 = ({Joined(G2)})");

    private static string Joined(IReadOnlyList<double> g) =>
        string.Join(", ", g.Select(x => x.ToString("G6", System.Globalization.CultureInfo.InvariantCulture)));
}

/// <summary>A statement about two gradients and their trade-off, with the region in which it is true.</summary>
public sealed record PairClaim
{
    /// <summary>A short name, the paper's where it has one.</summary>
    public required string Name { get; init; }

    /// <summary>What is said, in the paper's letters.</summary>
    public required string Statement { get; init; }

    /// <summary>Where it is said, in the same letters.</summary>
    public required string Domain { get; init; }

    /// <summary>Whether the paper prints the statement; otherwise it stands in the place of one that is too strong.</summary>
    public bool Printed { get; init; }

    /// <summary>Whether a case lies in the domain.</summary>
    public required Func<PairFacts, bool> Holds { get; init; }

    /// <summary>
    /// By how much the statement is true, as a share of the size of what is compared: ≥ 0 is true, 0 of an equality.
    /// </summary>
    public required Func<PairFacts, double> Margin { get; init; }

    /// <summary>How far below 0 rounding may take the margin.</summary>
    public double Tolerance { get; init; } = 1e-10;

    /// <summary>
    /// Where the statement as printed fails: the smallest gradients at which it does, or null where it is true as printed. They
    /// lie outside the domain.
    /// </summary>
    public CounterExample? CounterExample { get; init; }

    /// <summary>Whether the statement is true of a case, in the domain or not; a margin that is not a number is not.</summary>
    /// <param name="facts">A case.</param>
    public bool IsTrueOf(in PairFacts facts) => Margin(facts) >= -Tolerance;
}

/// <summary>What came out of checking one claim.</summary>
public sealed record ClaimResult
{
    /// <summary>The claim's name.</summary>
    public required string Name { get; init; }

    /// <summary>What is said.</summary>
    public required string Statement { get; init; }

    /// <summary>Where it is said.</summary>
    public required string Domain { get; init; }

    /// <summary>Cases drawn.</summary>
    public required long Cases { get; init; }

    /// <summary>Cases in the domain.</summary>
    public required long InDomain { get; init; }

    /// <summary>The smallest margin in the domain; NaN if a margin was not a number.</summary>
    public required double WorstMargin { get; init; }

    /// <summary>How far below 0 rounding may take the margin.</summary>
    public required double Tolerance { get; init; }

    /// <summary>Cases outside the domain at which the statement fails.</summary>
    public long FailuresOutside { get; init; }

    /// <summary>Cases in the domain at which it fails: none, if the claim holds.</summary>
    public required long Failures { get; init; }

    /// <summary>The documented counter-example to the statement as printed.</summary>
    public CounterExample? CounterExample { get; init; }

    /// <summary>Whether the documented counter-example still is one; true where there is none.</summary>
    public bool CounterExampleStands { get; init; } = true;

    /// <summary>The first failure outside the domain that was drawn, shrunk.</summary>
    public CounterExample? FoundOutside { get; init; }

    /// <summary>The first failure in the domain that was drawn, shrunk.</summary>
    public CounterExample? FoundInside { get; init; }

    /// <summary>Whether some case was in the domain, none of these failed, and the counter-example stands.</summary>
    public bool Holds => InDomain > 0 && Failures == 0 && CounterExampleStands;

    /// <summary>Share of the cases that lay in the domain.</summary>
    public double DomainShare => Cases == 0 ? 0 : (double)InDomain / Cases;

    /// <summary>The verdict in a few words.</summary>
    public string Verdict =>
        Failures > 0 ? $"FAILS in {Failures} cases"
        : InDomain == 0 ? "NOT TRIED"
        : !CounterExampleStands ? "COUNTER-EXAMPLE GONE"
        : CounterExample is null ? "holds" : "holds on its domain only";
}
