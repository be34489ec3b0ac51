using System.Globalization;

namespace DtoKd.Training.Balancing;

/// <summary>
/// Turns the losses of one training step, and what else it declares in <see cref="Needs"/>, into one weight per objective.
/// </summary>
/// <remarks>
/// A balancer sees numbers only: no tensors, no parameters, no optimiser. In one step the trainer calls <see cref="Weigh"/> once
/// before mixing and, if <see cref="Needs"/> says so, <see cref="AfterStep"/> once after the optimiser has stepped. All
/// arithmetic is in double. With the state saved between two steps and loaded into a balancer made with the same arguments, the
/// weights that follow are the same to the last bit.
/// </remarks>
public abstract class Balancer
{
    private readonly StepWeights _weights;

    /// <summary>For the rules.</summary>
    /// <param name="name">The name of the rule and its reading, as the registry and the log write it.</param>
    /// <param name="objectives">K, at least 1.</param>
    protected Balancer(string name, int objectives)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(objectives, 1);
        Name = name;
        Objectives = objectives;
        _weights = new StepWeights(objectives);
    }

    /// <summary>The name of the rule and its reading, as <see cref="BalancerRegistry"/> lists it and the log writes it.</summary>
    public string Name { get; }

    /// <summary>K, the number of objectives.</summary>
    public int Objectives { get; }

    /// <summary>What a step has to compute for this balancer beside the losses.</summary>
    public virtual BalancerNeeds Needs => BalancerNeeds.None;

    /// <summary>
    /// Whether the rule looks at nothing that a step computes: its weights may then be asked for before the losses are known,
    /// with <c>Weigh(default)</c>.
    /// </summary>
    public virtual bool IsBlind => false;

    /// <summary>Weighs the objectives for this step.</summary>
    /// <param name="signals">The losses and, if needed, the Gram matrix of this step.</param>
    /// <returns>The weights. The object belongs to the balancer and is overwritten by the next call.</returns>
    /// <exception cref="ArgumentException">The number of losses or Gram entries does not fit, or a needed Gram matrix is
    /// missing.</exception>
    /// <exception cref="NonFiniteSignalException">A loss or a Gram entry is NaN or infinite. The state is unchanged.</exception>
    public StepWeights Weigh(in StepSignals signals)
    {
        if (!IsBlind || !signals.Losses.IsEmpty)
            Check(signals);
        _weights.Reset();
        Decide(signals, _weights);
        return _weights;
    }

    /// <summary>Checks signals as <see cref="Weigh"/> does.</summary>
    /// <param name="signals">The losses and, if needed, the Gram matrix of a step.</param>
    /// <exception cref="ArgumentException">The number of losses or Gram entries does not fit.</exception>
    /// <exception cref="NonFiniteSignalException">A loss or a Gram entry is NaN or infinite.</exception>
    public void Check(in StepSignals signals)
    {
        CheckLosses(signals.Losses, "loss before the step");
        CheckGram(signals.Gram);
    }

    /// <summary>Hands in the losses of the same batch after the optimiser's step; for the others than
    /// <see cref="BalancerNeeds.LossesAfterStep"/> a call without effect.</summary>
    /// <param name="lossesAfter">[K] losses after the step.</param>
    /// <exception cref="InvalidOperationException">No <see cref="Weigh"/> came before.</exception>
    /// <exception cref="NonFiniteSignalException">A loss is NaN or infinite. The state is unchanged.</exception>
    public void AfterStep(ReadOnlySpan<double> lossesAfter)
    {
        if (!Needs.HasFlag(BalancerNeeds.LossesAfterStep))
            return;
        CheckLosses(lossesAfter, "loss after the step");
        Learn(lossesAfter);
    }

    /// <summary>The state between two steps, by name; empty when the rule keeps none.</summary>
    /// <returns>Copies, safe to keep.</returns>
    public virtual IReadOnlyDictionary<string, double[]> SaveState() => new Dictionary<string, double[]>();

    /// <summary>Takes back what <see cref="SaveState"/> gave.</summary>
    /// <param name="state">Named entries.</param>
    /// <exception cref="InvalidDataException">An entry is missing, unknown, of another length or not finite;
    /// nothing is changed then.</exception>
    public void LoadState(IReadOnlyDictionary<string, double[]> state)
    {
        var expected = SaveState();
        foreach (var (entry, values) in expected)
        {
            if (!state.TryGetValue(entry, out double[]? given))
                throw new InvalidDataException($"the state of balancer '{Name}' lacks the entry '{entry}'");
            if (given.Length != values.Length)
            {
                throw new InvalidDataException(
                    $"the state of balancer '{Name}' has {given.Length} values in '{entry}', expected {values.Length}");
            }
            if (!Array.TrueForAll(given, double.IsFinite))
                throw new InvalidDataException($"the state of balancer '{Name}' has a value in '{entry}' that is not finite");
        }
        foreach (string entry in state.Keys)
        {
            if (!expected.ContainsKey(entry))
                throw new InvalidDataException($"the state has an entry '{entry}' that balancer '{Name}' does not know");
        }
        Restore(state);
    }

    /// <summary>The name and the settings, for the head of a log.</summary>
    /// <returns>One line.</returns>
    public override string ToString() => Name;

    /// <summary>The rule itself; the signals have been checked and the weights reset.</summary>
    /// <param name="signals">The signals of the step.</param>
    /// <param name="weights">Receives <see cref="StepWeights.Pi"/>, <see cref="StepWeights.Coefficients"/> and the flags.</param>
    protected abstract void Decide(in StepSignals signals, StepWeights weights);

    /// <summary>Learns from the losses after the step.</summary>
    /// <param name="lossesAfter">[K] finite losses.</param>
    protected virtual void Learn(ReadOnlySpan<double> lossesAfter)
    {
    }

    /// <summary>Takes the state whose entries have been checked against <see cref="SaveState"/>.</summary>
    /// <param name="state">Named entries.</param>
    protected virtual void Restore(IReadOnlyDictionary<string, double[]> state)
    {
    }

    /// <summary>A sentence part in the invariant culture, for <see cref="ToString"/>.</summary>
    /// <param name="text">The interpolated text.</param>
    /// <returns>The text.</returns>
    protected static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private void CheckLosses(ReadOnlySpan<double> losses, string what)
    {
        if (losses.Length != Objectives)
            throw new ArgumentException($"balancer '{Name}' weighs {Objectives} objectives, got {losses.Length} losses");
        for (int k = 0; k < losses.Length; k++)
        {
            if (!double.IsFinite(losses[k]))
                throw new NonFiniteSignalException(k, losses[k], what);
        }
    }

    private void CheckGram(ReadOnlySpan<double> gram)
    {
        if (gram.IsEmpty)
        {
            if ((Needs & (BalancerNeeds.Gram | BalancerNeeds.FeatureGram)) != 0)
                throw new ArgumentException($"balancer '{Name}' needs the Gram matrix of the gradients");
            return;
        }
        if (gram.Length != Objectives * Objectives)
        {
            throw new ArgumentException(
                $"balancer '{Name}' expects a Gram matrix of {Objectives * Objectives} entries, got {gram.Length}");
        }
        // The diagonal first: an entry beside it may be bad only because the other objective is.
        for (int k = 0; k < Objectives; k++)
        {
            double square = gram[k * Objectives + k];
            if (!double.IsFinite(square))
                throw new NonFiniteSignalException(k, square, "squared gradient norm");
        }
        for (int i = 0; i < gram.Length; i++)
        {
            if (!double.IsFinite(gram[i]))
                throw new NonFiniteSignalException(i / Objectives, gram[i], "inner product of gradients");
        }
    }
}
