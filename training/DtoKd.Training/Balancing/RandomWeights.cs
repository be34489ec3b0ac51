using DtoKd.Engine;

namespace DtoKd.Training.Balancing;

// w = softmax(z),  z ~ N(0, I) drawn anew at every step        (Lin et al., "Reasonable effectiveness of random weighting: a
//                                                               litmus test for multi-task learning", 2022, RLW)

/// <summary>Random weights of the raw losses: what any rule has to beat.</summary>
/// <remarks>The weights of a step are a function of the seed and of the number of steps so far, which is the state.</remarks>
/// <param name="objectives">K, at least 1.</param>
/// <param name="seed">Decides the weights.</param>
public sealed class RandomWeights(int objectives, ulong seed = 0) : Balancer("rlw", objectives)
{
    private static readonly uint Stream = PhiloxStream.StreamOf("balancing.rlw");

    private long _step;

    /// <inheritdoc/>
    public override bool IsBlind => true;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, double[]> SaveState() => new Dictionary<string, double[]> { ["step"] = [_step] };

    /// <inheritdoc/>
    protected override void Decide(in StepSignals signals, StepWeights weights)
    {
        var random = new PhiloxStream(seed, Stream, (ulong)_step++);
        for (int k = 0; k < Objectives; k++)
            weights.Pi[k] = random.Normal((ulong)k);
        Softmax.Of(weights.Pi, weights.Pi);
        weights.Pi.CopyTo(weights.Coefficients);
    }

    /// <inheritdoc/>
    protected override void Restore(IReadOnlyDictionary<string, double[]> state) => _step = (long)state["step"][0];
}
