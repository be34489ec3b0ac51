using DtoKd.Models;

namespace DtoKd.Training.Balancing;

/// <summary>What the registry needs to make a balancer; each rule reads what concerns it.</summary>
public sealed record BalancerOptions
{
    /// <summary>K, the number of objectives.</summary>
    public required int Objectives { get; init; }

    /// <summary>Index of the task's own loss among the objectives, which training without distillation keeps.</summary>
    public required int Task { get; init; }

    /// <summary>[K] the weights of the rule "fixed"; null for 1/K each.</summary>
    public IReadOnlyList<double>? Alpha { get; init; }

    /// <summary>See <see cref="Balancing.LossFloor"/>.</summary>
    public double LossFloor { get; init; } = Balancing.LossFloor.Default;

    /// <summary>See <see cref="DtoExact.DefaultVanishRatio"/>.</summary>
    public double VanishRatio { get; init; } = DtoExact.DefaultVanishRatio;

    /// <summary>Decides what the rules draw at random.</summary>
    public ulong Seed { get; init; }

    /// <summary>The optimiser of the amortised rules.</summary>
    public TradeOffSettings TradeOff { get; init; } = new();
}

/// <summary>One rule as the program offers it.</summary>
/// <param name="Name">What the user types.</param>
/// <param name="Summary">One line for the help text.</param>
/// <param name="Create">Makes the rule.</param>
public sealed record BalancerEntry(string Name, string Summary, Func<BalancerOptions, Balancer> Create);

/// <summary>The balancing rules by the names the program knows them by.</summary>
public static class BalancerRegistry
{
    /// <summary>All rules, in the order the help text lists them.</summary>
    public static IReadOnlyList<BalancerEntry> Entries { get; } =
    [
        new("none", "no distillation: the task's loss alone", o => FixedWeights.TaskOnly(o.Objectives, o.Task)),
        new("fixed", "constant weights of the losses, even unless given", CreateFixed),
        new("exact", "DTO-KD, weights solved at every step from one gradient per objective",
            o => new DtoExact(o.Objectives, o.LossFloor, o.VanishRatio)),
        new("exact-features", "exact, from gradients at the shared features: one backward pass through the network (MGDA-UB)",
            o => new DtoFeatures(o.Objectives, o.LossFloor, o.VanishRatio)),
        new("amortised", "DTO-KD, weights learned along the way, one backward pass (same as amortised-logits)",
            o => CreateAmortised(o, AmortisedReading.Logits)),
        new("amortised-logits", "amortised, stepping the logits of the weights by the log-loss levels",
            o => CreateAmortised(o, AmortisedReading.Logits)),
        new("amortised-literal", "amortised as printed: weights stepped, then a softmax; stays near even",
            o => CreateAmortised(o, AmortisedReading.Literal)),
        new("amortised-famo", "amortised, stepping the logits by each loss's improvement (FAMO), one more forward pass",
            o => CreateAmortised(o, AmortisedReading.Famo)),
        new("famo", "FAMO: weights learned from each loss's improvement, one more forward pass", o => new Famo(o.Objectives)),
        new("mgda", "MGDA: the shortest mixture of the raw gradients",
            o => new Mgda(o.Objectives, MgdaNormalisation.None, o.LossFloor)),
        new("mgda-l2", "MGDA on gradients divided by their norm",
            o => new Mgda(o.Objectives, MgdaNormalisation.L2, o.LossFloor)),
        new("mgda-loss", "MGDA on gradients divided by their loss",
            o => new Mgda(o.Objectives, MgdaNormalisation.Loss, o.LossFloor)),
        new("mgda-loss+", "MGDA on gradients divided by loss and norm",
            o => new Mgda(o.Objectives, MgdaNormalisation.LossPlus, o.LossFloor)),
        new("pcgrad", "PCGrad: conflicting gradients projected on each other's normal planes",
            o => new PcGrad(o.Objectives, o.Seed)),
        new("cagrad", "CAGrad: the best worst case near the mean gradient", o => new CaGrad(o.Objectives)),
        new("imtl-g", "IMTL-G: equal projections on all gradients", o => new ImtlG(o.Objectives)),
        new("imtl-l", "IMTL-L: learned scales that bring every loss to 1",
            o => new ImtlL(o.Objectives, lossFloor: o.LossFloor)),
        new("nash-mtl", "Nash-MTL: the bargaining solution of the gradients", o => new NashMtl(o.Objectives)),
        new("aligned-mtl", "Aligned-MTL: gradients made orthogonal and of one length", o => new AlignedMtl(o.Objectives)),
        new("gradnorm", "GradNorm: learned weights that even out gradient norms and rates",
            o => new GradNorm(o.Objectives, lossFloor: o.LossFloor)),
        new("uncertainty", "learned noise of each objective divides its loss",
            o => new Uncertainty(o.Objectives, lossFloor: o.LossFloor)),
        new("dwa", "dynamic weight average: more for losses that fall slowly",
            o => new Dwa(o.Objectives, lossFloor: o.LossFloor)),
        new("rlw", "random weights, drawn anew at every step", o => new RandomWeights(o.Objectives, o.Seed)),
    ];

    /// <summary>The rules without second names of the same one.</summary>
    public static IReadOnlyList<BalancerEntry> Distinct { get; } =
        [.. Entries.DistinctBy(entry => entry.Create(new BalancerOptions { Objectives = 2, Task = 0 }).Name)];

    /// <summary>Makes a rule by name.</summary>
    /// <param name="name">One of <see cref="Entries"/>, upper or lower case.</param>
    /// <param name="options">Number of objectives and settings.</param>
    /// <returns>A new balancer.</returns>
    /// <exception cref="ArgumentException">Unknown name (the message says which are near), or options that do not
    /// fit.</exception>
    public static Balancer Create(string name, BalancerOptions options)
    {
        foreach (var entry in Entries)
        {
            if (string.Equals(entry.Name, name, StringComparison.OrdinalIgnoreCase))
                return entry.Create(options);
        }
        throw new ArgumentException(KnownNames.Unknown("method", name, Entries.Select(entry => entry.Name)));
    }

    private static FixedWeights CreateFixed(BalancerOptions options)
    {
        if (options.Alpha is null)
            return new FixedWeights(Enumerable.Repeat(1.0 / options.Objectives, options.Objectives).ToArray());
        if (options.Alpha.Count != options.Objectives)
        {
            throw new ArgumentException(
                $"fixed weights for {options.Objectives} objectives expected, got {options.Alpha.Count}");
        }
        return new FixedWeights([.. options.Alpha]);
    }

    private static DtoAmortised CreateAmortised(BalancerOptions options, AmortisedReading reading) =>
        new(options.Objectives, reading, options.TradeOff, options.LossFloor);
}
