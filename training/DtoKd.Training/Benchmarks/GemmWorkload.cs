using DtoKd.Engine;

namespace DtoKd.Training.Benchmarks;

/// <summary>One product of matrices [M, K] x [K, N] in single precision.</summary>
public sealed class GemmWorkload : Workload
{
    private readonly Device _device;
    private readonly Step _inputs;
    private readonly Tensor _a;
    private readonly Tensor _b;

    /// <summary>Prepares random matrices.</summary>
    /// <param name="device">Where to compute.</param>
    /// <param name="m">Rows of the result.</param>
    /// <param name="n">Columns of the result.</param>
    /// <param name="k">Terms of each sum.</param>
    public GemmWorkload(Device device, int m, int n, int k)
        : base($"gemm {m}x{n}x{k}", 2.0 * m * n * k, "flop")
    {
        _device = device;
        _inputs = Step.Evaluation(device);
        _a = _inputs.Empty([m, k]);
        _b = _inputs.Empty([k, n]);
        foreach (var matrix in new[] { _a, _b })
        {
            using var values = matrix.OnHost<float>();
            _inputs.NextRandom().FillNormal(values.Span);
        }

        Flops = Units;
    }

    /// <inheritdoc/>
    public override void Run()
    {
        using var step = Step.Evaluation(_device);
        Op.MatMul(step.Use(_a), step.Use(_b));
    }

    /// <inheritdoc/>
    public override void Dispose() => _inputs.Dispose();
}
