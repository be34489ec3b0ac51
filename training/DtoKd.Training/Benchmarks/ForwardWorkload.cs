using DtoKd.Engine;
using DtoKd.Training.Data;
using DtoKd.Training.Loop;

namespace DtoKd.Training.Benchmarks;

/// <summary>Answers of a network in evaluation, without gradients, as a frozen teacher gives them.</summary>
public sealed class ForwardWorkload : Workload
{
    private readonly Device _device;
    private readonly Network _network;
    private readonly BatchFeeder _feeder;
    private readonly BatchPlan _plan;
    private int _runs;

    /// <summary>Prepares a network of random weights.</summary>
    /// <param name="device">Where to compute.</param>
    /// <param name="model">A network of the zoo.</param>
    /// <param name="batch">Images at a time.</param>
    public ForwardWorkload(Device device, string model, int batch)
        : base($"forward {model} batch {batch}", batch, "images")
    {
        var images = RandomImages.Of(batch);
        _device = device;
        _network = Network.Create(device, model, images.Format, seed: 1);
        _plan = new BatchPlan(images.Count, batch, seed: 0);
        _feeder = new BatchFeeder(device, new BatchLoader(images, _plan), batch);
    }

    /// <inheritdoc/>
    public override void Run()
    {
        using var step = Step.Evaluation(_device);
        var batch = _feeder.Next(step, Part(_runs), Part(++_runs));
        _network.Model.Forward(batch.Images);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _feeder.Dispose();
        _network.Dispose();
    }

    private BatchPart Part(int run) => new(_plan.PositionAt(run), 0, _plan.BatchSize);
}
