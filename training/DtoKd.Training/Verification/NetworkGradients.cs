using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Models;

namespace DtoKd.Training.Verification;

/// <summary>
/// Gradients of the logarithms of two losses of small networks, taken from the tape: the cross-entropy with labels and the
/// divergence from fixed teacher logits, at several random weights and data.
/// </summary>
internal sealed class NetworkGradients
{
    private const int Inputs = 6, Hidden = 5, Classes = 3, Batch = 16;

    private readonly List<(double[] Distill, double[] Task)> _pairs = [];

    /// <summary>Draws the networks.</summary>
    /// <param name="count">How many.</param>
    /// <param name="seed">The seed of their weights and data.</param>
    public NetworkGradients(int count, ulong seed)
    {
        using var device = new CpuDevice(1);
        for (int i = 0; i < count; i++)
            _pairs.Add(Pair(device, seed, (ulong)i));
    }

    /// <summary>Number of pairs.</summary>
    public int Count => _pairs.Count;

    /// <summary>Length of a gradient, the gaps of the arena included.</summary>
    public int Length => _pairs[0].Task.Length;

    public void Copy(int index, Span<double> distill, Span<double> task)
    {
        _pairs[index].Distill.CopyTo(distill);
        _pairs[index].Task.CopyTo(task);
    }

    private static (double[] Distill, double[] Task) Pair(CpuDevice device, ulong seed, ulong number)
    {
        var random = new CaseRandom(seed, 0xA11CE, number);
        using var arena = new ParameterArena(device);
        var first = new Linear(arena.Root["first"], Inputs, Hidden);
        var second = new Linear(arena.Root["second"], Hidden, Classes);
        arena.Seal(seed + number);
        double size = random.Uniform(0.3, 2);
        foreach (ref float value in arena.Flat.Span<float>())
            value = (float)(size * random.Gaussian());

        var x = new float[Batch * Inputs];
        var teacher = new float[Batch * Classes];
        var labels = new long[Batch];
        foreach (ref float value in x.AsSpan())
            value = (float)random.Gaussian();
        foreach (ref float value in teacher.AsSpan())
            value = (float)(2 * random.Gaussian());
        foreach (ref long label in labels.AsSpan())
            label = random.Below(Classes);

        using var step = Step.Training(device);
        var logits = second.Forward(Op.Gelu(first.Forward(step.From(x, [Batch, Inputs]))));
        var distill = Op.KlDivergence(logits, step.From(teacher, [Batch, Classes]));
        var task = Op.CrossEntropy(logits, step.From(labels, [Batch]));
        using GradStore distillStore = new(arena), taskStore = new(arena);
        step.Tape.Backward(distill, distillStore, retain: true);
        step.Tape.Backward(task, taskStore);
        return (Logarithmic(distillStore, distill.Item()), Logarithmic(taskStore, task.Item()));
    }

    private static double[] Logarithmic(GradStore store, double loss) => [.. store.Flat.ToDoubles().Select(g => g / loss)];
}
