using DtoKd.Engine;

namespace DtoKd.Training.Optim;

/// <summary>
/// Changes the parameters of an arena by a gradient of the same layout, in single passes over its ranges with and without
/// weight decay.
/// </summary>
public abstract class Optimiser : IDisposable
{
    private readonly List<(string Name, Tensor Value)> _moments = [];

    /// <summary>For the rules.</summary>
    /// <param name="arena">The sealed arena to train.</param>
    protected Optimiser(ParameterArena arena)
    {
        Arena = arena;
        Decayed = arena.Ranges(parameter => parameter.Decays);
        Undecayed = arena.Ranges(parameter => !parameter.Decays);
    }

    /// <summary>The steps done.</summary>
    public long Steps { get; set; }

    /// <summary>What a resumed run needs beside <see cref="Steps"/>: flat buffers by name.</summary>
    public IReadOnlyList<(string Name, Tensor Value)> Moments => _moments;

    /// <summary>The parameters.</summary>
    protected ParameterArena Arena { get; }

    /// <summary>Where weight decay applies.</summary>
    protected IReadOnlyList<FlatRange> Decayed { get; }

    /// <summary>Where it does not.</summary>
    protected IReadOnlyList<FlatRange> Undecayed { get; }

    /// <summary>Takes one step.</summary>
    /// <param name="gradient">The gradient of all parameters, flat.</param>
    /// <param name="scale">
    /// Multiplied with the gradient: what clipping left of it, 1 without. An <see cref="UpdateScale"/> that has met a number that
    /// is not finite leaves all as it is.
    /// </param>
    /// <param name="learningRate">This step's rate.</param>
    public void Step(Tensor gradient, GradScale scale, double learningRate)
    {
        if (scale.IsVoid)
            return;
        Steps++;
        foreach (var range in Decayed)
            Update(gradient, scale, learningRate, range, decays: true);
        foreach (var range in Undecayed)
            Update(gradient, scale, learningRate, range, decays: false);
    }

    /// <summary>Returns the moments to the pool.</summary>
    public void Dispose()
    {
        foreach (var (_, value) in _moments)
            value.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>The rule on one range; <see cref="Steps"/> counts this step already.</summary>
    protected abstract void Update(Tensor gradient, GradScale scale, double learningRate, FlatRange range, bool decays);

    /// <summary>A flat buffer, zero at first, that belongs to the state.</summary>
    protected Tensor AddMoment(string name)
    {
        var moment = Arena.NewFlat(name);
        _moments.Add((name, moment));
        return moment;
    }
}
