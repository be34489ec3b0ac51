using BenchmarkDotNet.Attributes;
using DtoKd.Engine.Cpu;
using DtoKd.Training.Benchmarks;

namespace DtoKd.Benchmarks;

/// <summary>Each operation forward and backward, on shapes of the networks that use it most.</summary>
public class Operations : Suite
{
    /// <summary>The operation.</summary>
    [ParamsSource(nameof(Names))]
    public string Op { get; set; } = "";

    /// <summary>Images that the shapes are for.</summary>
    [Params(16)]
    public int Batch { get; set; }

    /// <summary>All operations that <c>dtokd bench op</c> knows.</summary>
    public static IEnumerable<string> Names => OpWorkload.Names;

    /// <inheritdoc/>
    protected override Workload Create(CpuDevice device) => new OpWorkload(device, Op, Batch);
}

/// <summary>Products of the shapes that a DeiT-Ti step of 16 images has, and a large one.</summary>
public class Products : Suite
{
    /// <summary>Rows, columns, terms of a sum.</summary>
    [ParamsSource(nameof(Shapes))]
    public (int M, int N, int K) Shape { get; set; }

    /// <summary>The shapes.</summary>
    public static IEnumerable<(int M, int N, int K)> Shapes =>
        [(3168, 768, 192), (3168, 192, 768), (3168, 576, 192), (2304, 2048, 2048)];

    /// <inheritdoc/>
    protected override Workload Create(CpuDevice device) => new GemmWorkload(device, Shape.M, Shape.N, Shape.K);
}

/// <summary>Whole training steps of one network of each family.</summary>
public class Steps : Suite
{
    /// <summary>The network.</summary>
    [Params("deit_tiny_patch16_224", "swin_nano_patch4_window7_224", "regnety_004")]
    public string Model { get; set; } = "";

    /// <summary>Images in a step.</summary>
    [Params(8)]
    public int Batch { get; set; }

    /// <inheritdoc/>
    protected override Workload Create(CpuDevice device) => TrainingWorkload.Step(device, Model, Batch);
}

/// <summary>Distillation by the methods that cost one backward pass and by those that cost one for each objective.</summary>
public class Distillation : Suite
{
    /// <summary>How the objectives are weighed.</summary>
    [Params("fixed", "amortised", "exact-features", "exact")]
    public string Method { get; set; } = "";

    /// <inheritdoc/>
    protected override Workload Create(CpuDevice device) =>
        TrainingWorkload.Distillation(device, "regnety_016", "deit_tiny_patch16_224", 8, Method);
}
