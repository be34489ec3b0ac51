namespace DtoKd.Engine;

/// <summary>Looks for the first NaN or infinity of a step.</summary>
internal static class Anomaly
{
    /// <summary>Checks what no record on the tape has checked: constants, parameters, and results without a gradient.</summary>
    public static void CheckInputs(Step step, string op, ReadOnlySpan<Tensor?> inputs)
    {
        foreach (var input in inputs)
        {
            if (input is null || (input.Node >= 0 && !step.Tape.IsLeaf(input.Node)))
                continue;
            // An infinite constant is somebody's intention, such as a mask.
            bool isConstant = input.Parameter is null && input.Origin is "input" or "full";
            if (Find(input, nanOnly: isConstant) is { } what)
                throw new AnomalyException(
                    step.Number, input.Origin, false, Where(step, int.MaxValue), $"{input.Origin}, read by {op}, holds {what}");
        }
    }

    /// <summary>Checks the result of the operation recorded last.</summary>
    public static void CheckResult(Step step, Node node, Tensor result)
    {
        if (Find(result, nanOnly: false) is { } what)
            throw new AnomalyException(
                step.Number, node.Name, false, Where(step, result.Node), $"the forward pass of {node.Name} gave {what}");
    }

    /// <summary>Checks a gradient that a node handed in.</summary>
    public static void CheckGradient(Step step, Node node, int index, Tensor gradient)
    {
        if (Find(gradient, nanOnly: false) is { } what)
            throw new AnomalyException(
                step.Number, node.Name, true, Where(step, index), $"the backward pass of {node.Name} gave {what}");
    }

    private static string Where(Step step, int node) => step.HasTape ? step.Tape.ParametersNear(node) : "";

    private static string? Find(Tensor x, bool nanOnly)
    {
        if (!x.DType.IsFloat())
            return null;
        return x.DType == DType.F64 ? Find(x.ToArray<double>(), x.Shape, nanOnly) : Find(x.ToArray<float>(), x.Shape, nanOnly);
    }

    private static string? Find<T>(T[] values, Shape shape, bool nanOnly)
        where T : System.Numerics.INumber<T>
    {
        long count = 0;
        double first = 0;
        foreach (var element in values)
        {
            double value = double.CreateChecked(element);
            if (nanOnly ? !double.IsNaN(value) : double.IsFinite(value))
                continue;
            if (count++ == 0)
                first = value;
        }

        string name = double.IsNaN(first) ? "NaN" : first > 0 ? "infinity" : "-infinity";
        return count == 0 ? null : $"{name} ({count} of {shape.Count} elements of {shape})";
    }
}
