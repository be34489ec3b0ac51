using DtoKd.Engine;
using DtoKd.Engine.Cpu;

namespace DtoKd.Models;

/// <summary>What a network costs, taken from its own forward pass on a device that computes nothing.</summary>
/// <param name="Parameters">Trained values.</param>
/// <param name="MultiplyAdds">
/// Multiply-adds of one image's forward pass: convolutions, linear layers and both products of attention. They are those of a pass
/// with features, as is what training keeps: a DeiT asked for logits alone leaves out what these do not depend on.
/// </param>
/// <param name="ActivationBytes">Bytes that training keeps for one image until its backward pass, in single precision.</param>
public sealed record ModelCost(long Parameters, long MultiplyAdds, long ActivationBytes)
{
    // Batch norm refuses the one value that a channel of one image may be down to.
    private const int Batch = 2;

    /// <summary>Measures a network on the images it is made for.</summary>
    public static ModelCost Of(ZooEntry entry) => Of(entry, entry.Native);

    /// <summary>Measures a network on other images.</summary>
    /// <param name="entry">The network.</param>
    /// <param name="spec">The images.</param>
    /// <exception cref="ArgumentException">The images do not fit the network.</exception>
    public static ModelCost Of(ZooEntry entry, ImageSpec spec)
    {
        using var device = CpuDevice.Planning();
        using var arena = new ParameterArena(device);
        var model = entry.Declare(arena.Root, spec, entry.DropPath ?? 0);
        arena.Seal(seed: 0);
        using var step = Step.Training(device);
        model.Forward(step.Empty([Batch, spec.Channels, spec.Height, spec.Width]), withFeatures: true);
        return new ModelCost(arena.ParameterCount, step.Tape.MultiplyAdds / Batch, step.Tape.SavedBytes / Batch);
    }
}
