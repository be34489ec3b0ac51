using DtoKd.Engine;
using DtoKd.Training.Data;
using DtoKd.Training.Loop;

namespace DtoKd.Training.Benchmarks;

/// <summary>Answers of a network in evaluation, without gradients, as a frozen teacher gives them.</summary>
public sealed class ForwardWorkload : Workload
{
    private readonly Device _device;
    private readonly Network _network;
    private readonly BatchLoader _loader;
    private readonly int _batch;

    /// <summary>Prepares a network of random weights.</summary>
    /// <param name="device">Where to compute.</param>
    /// <param name="model">A network of the zoo.</param>
    /// <param name="batch">Images at a time.</param>
    public ForwardWorkload(Device device, string model, int batch)
        : base($"forward {model} batch {batch}", batch, "images")
    {
        var images = RandomImages.Of(batch);
        _device = device;
        _batch = batch;
        _network = Network.Create(device, model, images.Format, seed: 1);
        _loader = new BatchLoader(images, new BatchPlan(images.Count, batch, seed: 0));
    }

    /// <inheritdoc/>
    public override void Run()
    {
        using var step = Step.Evaluation(_device);
        var format = _loader.Format;
        var images = step.Empty([_batch, format.Channels, format.Height, format.Width]);
        using (var pixels = images.OnHost<float>())
            _loader.Load(default, pixels.Span, stackalloc long[_batch]);
        _network.Model.Forward(images);
    }

    /// <inheritdoc/>
    public override void Dispose() => _network.Dispose();
}
