namespace DtoKd.Engine;

/// <summary>
/// Compares the gradients of a function with central differences, in double precision: in single precision the differences
/// are noise.
/// </summary>
public static class GradCheck
{
    /// <summary>Checks every element of the gradient of every float input.</summary>
    /// <param name="device">Where to compute.</param>
    /// <param name="function">A function of the inputs, of any shape of result; called many times.</param>
    /// <param name="inputs">Makes the inputs, F64 where a gradient is wanted, the same ones at each call.</param>
    /// <param name="step">Half the distance of the two points of a difference.</param>
    /// <param name="relative">Allowed error, relative to the difference quotient.</param>
    /// <param name="absolute">Allowed error beside it.</param>
    /// <returns>Null if all agree, otherwise a line on the worst element.</returns>
    public static string? Run(
        Device device,
        Func<Tensor[], Tensor> function,
        Func<Step, Tensor[]> inputs,
        double step = 1e-6,
        double relative = 1e-3,
        double absolute = 1e-5)
    {
        using var recording = Step.Recording(device);
        var watched = Array.ConvertAll(inputs(recording), x => x.DType.IsFloat() ? recording.Watch(x) : x);
        var y = function(watched);
        var weights = Weights(y.Count);
        using var store = new GradStore();
        recording.Tape.Backward(y, recording.From(weights, y.Shape), store);

        string? worst = null;
        double worstExcess = 0;
        for (int input = 0; input < watched.Length; input++)
        {
            if (!watched[input].DType.IsFloat())
                continue;
            var gradient = store.Of(watched[input])?.ToDoubles() ?? new double[watched[input].Count];
            for (int i = 0; i < gradient.Length; i++)
            {
                double above = Evaluate(device, function, inputs, input, i, step, weights);
                double below = Evaluate(device, function, inputs, input, i, -step, weights);
                double expected = (above - below) / (2 * step);
                double error = Math.Abs(gradient[i] - expected);
                double excess = error - absolute - (relative * Math.Abs(expected));
                if (excess > worstExcess || double.IsNaN(error))
                {
                    worstExcess = double.IsNaN(error) ? double.PositiveInfinity : excess;
                    worst = $"input {input} element {i}: gradient {gradient[i]:g6}, difference quotient {expected:g6}";
                }
            }
        }

        return worst;
    }

    private static double Evaluate(
        Device device, Func<Tensor[], Tensor> function, Func<Step, Tensor[]> inputs, int input, int element, double delta, double[] weights)
    {
        using var step = Step.Evaluation(device);
        var values = inputs(step);
        var moved = Op.Contiguous(values[input]);
        if (moved == values[input] && !moved.IsExclusive)
            throw new InvalidOperationException("the inputs of a gradient check must own their storage");
        moved.Span<double>()[element] += delta;
        values[input] = moved;
        var y = function(values).ToDoubles();
        double sum = 0;
        for (int i = 0; i < y.Length; i++)
            sum += weights[i] * y[i];
        return sum;
    }

    // Uneven weights, so that errors of different elements do not cancel.
    private static double[] Weights(long count)
    {
        var weights = new double[count];
        for (int i = 0; i < count; i++)
            weights[i] = Math.Sin(1.7 * i) + 0.3;
        return weights;
    }
}
