using DtoKd.Engine;
using DtoKd.Engine.Gpu;

namespace DtoKd.Training.Benchmarks;

/// <summary>One product of matrices [M, K] x [K, N] in single precision.</summary>
public sealed class GemmWorkload : Workload
{
    // A card then works for some milliseconds between two waits, which take some hundredths.
    private const double FlopsBetweenWaits = 2e11;
    private const int MostRepeats = 50;

    private const int Samples = 4096;

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
        if (device is GpuDevice)
            Repeats = (int)Math.Clamp(FlopsBetweenWaits / Units, 1, MostRepeats);
    }

    /// <summary>
    /// What <see cref="LargestError"/> may be: several times what the rounding of factors and sums adds up to, and a hundredth of
    /// what one wrong term makes.
    /// </summary>
    public double ErrorLimit => (_device as GpuDevice)?.MatmulPrecision switch
    {
        MatmulPrecision.Medium => 2.5e-2,
        MatmulPrecision.High => 3e-3,
        _ => 3e-5,
    };

    /// <inheritdoc/>
    public override void Run()
    {
        using var step = Step.Evaluation(_device);
        Op.MatMul(step.Use(_a), step.Use(_b));
    }

    /// <summary>
    /// The largest difference of some elements from their sums in double precision, in parts of the root of the number of terms,
    /// which is the size of such a sum of random numbers.
    /// </summary>
    public double LargestError()
    {
        using var step = Step.Evaluation(_device);
        float[] y = Op.MatMul(step.Use(_a), step.Use(_b)).ToArray<float>(), a = _a.ToArray<float>(), b = _b.ToArray<float>();
        int rows = _a.Shape[0], terms = _a.Shape[1], columns = _b.Shape[1];
        var random = new Random(1);
        double largest = 0;
        for (int i = 0; i < Samples; i++)
        {
            // The last row and column are of the tiles that are not full.
            int row = i % 8 == 0 ? rows - 1 : random.Next(rows), column = i % 8 == 1 ? columns - 1 : random.Next(columns);
            double sum = 0;
            for (int p = 0; p < terms; p++)
                sum += (double)a[((long)row * terms) + p] * b[((long)p * columns) + column];
            double error = Math.Abs(y[((long)row * columns) + column] - sum);
            largest = double.IsNaN(error) ? double.PositiveInfinity : Math.Max(largest, error);
        }

        return largest / Math.Sqrt(terms);
    }

    /// <inheritdoc/>
    public override void Dispose() => _inputs.Dispose();
}
