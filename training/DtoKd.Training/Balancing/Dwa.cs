namespace DtoKd.Training.Balancing;

// w = K · softmax(r/T),  r_k = L̄_k(t − 1)/L̄_k(t − 2)       (Liu, Johns and Davison, "End-to-end multi-task learning with
//                                                            attention", 2019, eq. 7)
//   L̄_k(t)   the mean loss over window t (the authors': an epoch);  until two windows are full every weight is 1
//   T         2: the higher, the more even

/// <summary>Dynamic weight average: more weight for the objectives whose loss has fallen least.</summary>
public sealed class Dwa : Balancer
{
    /// <summary>The steps of a window: so many does Nash-MTL's comparison average over, within an epoch.</summary>
    public const int DefaultWindow = 25;

    /// <summary>The authors' T.</summary>
    public const double DefaultTemperature = 2;

    private readonly int _window;
    private readonly double _temperature, _lossFloor;
    private readonly double[] _losses, _sum, _last, _before, _weights;
    private long _steps;

    /// <summary>Makes the rule.</summary>
    /// <param name="objectives">K, at least 1.</param>
    /// <param name="window">Steps to average losses over, at least 1.</param>
    /// <param name="temperature">T, positive.</param>
    /// <param name="lossFloor">Losses below it are taken as this value; see <see cref="LossFloor"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public Dwa(
        int objectives, int window = DefaultWindow, double temperature = DefaultTemperature, double lossFloor = LossFloor.Default)
        : base("dwa", objectives)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(window, 1);
        if (!(temperature > 0))
            throw new ArgumentOutOfRangeException(nameof(temperature), temperature, "the temperature of DWA must be positive");
        (_window, _temperature, _lossFloor) = (window, temperature, LossFloor.Check(lossFloor));
        _losses = new double[objectives];
        _sum = new double[objectives];
        _last = new double[objectives];
        _before = new double[objectives];
        _weights = new double[objectives];
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, double[]> SaveState() => new Dictionary<string, double[]>
    {
        ["steps"] = [_steps],
        ["sum"] = [.. _sum],
        ["last"] = [.. _last],
        ["before"] = [.. _before],
    };

    /// <inheritdoc/>
    public override string ToString() => Text($"{Name} (T {_temperature}, windows of {_window} steps; loss floor {_lossFloor})");

    /// <inheritdoc/>
    protected override void Decide(in StepSignals signals, StepWeights weights)
    {
        LossFloor.Apply(_lossFloor, signals.Losses, _losses, weights.Floored);
        bool known = _steps >= 2L * _window;
        for (int k = 0; k < Objectives; k++)
            _weights[k] = known ? _last[k] / _before[k] / _temperature : 0;
        Softmax.Of(_weights, _weights);
        for (int k = 0; k < Objectives; k++)
        {
            weights.Pi[k] = weights.Coefficients[k] = known ? Objectives * _weights[k] : 1;
            _sum[k] += _losses[k];
        }

        if (++_steps % _window != 0)
            return;
        _last.CopyTo(_before, 0);
        for (int k = 0; k < Objectives; k++)
            (_last[k], _sum[k]) = (_sum[k] / _window, 0);
    }

    /// <inheritdoc/>
    protected override void Restore(IReadOnlyDictionary<string, double[]> state)
    {
        _steps = (long)state["steps"][0];
        state["sum"].CopyTo(_sum, 0);
        state["last"].CopyTo(_last, 0);
        state["before"].CopyTo(_before, 0);
    }
}
