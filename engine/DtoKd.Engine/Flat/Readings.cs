namespace DtoKd.Engine;

/// <summary>
/// Numbers that a step computes on its way and the host sees later, all in one copy: losses, products of gradients, norms. Taking
/// a number waits for nothing; only <see cref="Values"/> does, where the device has not come as far.
/// </summary>
public sealed class Readings : IDisposable
{
    private const int Room = 64;

    private readonly Device _device;
    private readonly Gpu.GpuReadings? _remote;
    private double[] _values = new double[Room];

    /// <summary>Makes room.</summary>
    /// <param name="device">Where the numbers are computed.</param>
    public Readings(Device device)
    {
        _device = device;
        _remote = device is Gpu.GpuDevice gpu ? new Gpu.GpuReadings(gpu, Room) : null;
    }

    /// <summary>How many numbers were taken.</summary>
    public int Count { get; private set; }

    /// <summary>The numbers; waits for them on the first call after <see cref="Send"/>.</summary>
    public ReadOnlySpan<double> Values
    {
        get
        {
            _remote?.Receive(_values);
            return _values.AsSpan(0, Count);
        }
    }

    /// <summary>Forgets all numbers.</summary>
    public void Clear() => Count = 0;

    /// <summary>Takes a tensor's only element.</summary>
    /// <returns>The number's place.</returns>
    public int Add(Tensor scalar)
    {
        int place = Take(1);
        if (_remote is null)
            _values[place] = scalar.Item();
        else
            _remote.Take(scalar, place);
        return place;
    }

    /// <summary>Takes the inner products of K gradients: see <see cref="Flat.Gram"/>.</summary>
    /// <param name="gradients">The gradients.</param>
    /// <param name="ranges">What to sum over.</param>
    /// <returns>The place of the first of K (K + 1) / 2 numbers, the upper triangle row by row; see <see cref="CopyGram"/>.</returns>
    public int AddGram(IReadOnlyList<Tensor> gradients, IReadOnlyList<FlatRange> ranges)
    {
        int k = gradients.Count, place = Take(k * (k + 1) / 2);
        if (_remote is not null)
        {
            _remote.Gram(gradients, ranges, place);
            return place;
        }

        var gram = new double[k * k];
        Flat.Gram(gradients, ranges, gram);
        for (int i = 0, at = place; i < k; i++)
        {
            for (int j = i; j < k; j++)
                _values[at++] = gram[(i * k) + j];
        }

        return place;
    }

    /// <summary>Takes the square of a flat tensor's Euclidean norm.</summary>
    /// <returns>The number's place.</returns>
    public int AddSquaredNorm(Tensor flat) => AddGram([flat], [new FlatRange(0, flat.Count)]);

    /// <summary>Mixes gradients as <see cref="Flat.Mix"/> does, and takes the square of the mixture's norm.</summary>
    /// <returns>The number's place.</returns>
    public int AddMix(IReadOnlyList<Tensor> gradients, ReadOnlySpan<double> coefficients, Tensor mixed)
    {
        if (_remote is null)
        {
            int place = Take(1);
            _values[place] = Flat.Mix(gradients, coefficients, mixed);
            return place;
        }

        Gpu.FlatGpu.Mix(gradients, coefficients, mixed);
        return AddSquaredNorm(mixed);
    }

    /// <summary>Begins to copy what was taken so far to the host.</summary>
    public void Send() => _remote?.Send(Count);

    /// <summary>Unpacks a matrix that <see cref="AddGram"/> has taken.</summary>
    /// <param name="place">What it returned.</param>
    /// <param name="gram">K * K numbers to fill, row by row.</param>
    public void CopyGram(int place, Span<double> gram)
    {
        int k = (int)Math.Sqrt(gram.Length);
        var values = Values;
        for (int i = 0; i < k; i++)
        {
            for (int j = i; j < k; j++)
                gram[(i * k) + j] = gram[(j * k) + i] = values[place++];
        }
    }

    /// <summary>Gives the room back.</summary>
    public void Dispose() => _remote?.Dispose();

    private int Take(int count)
    {
        int place = Count;
        Count += count;
        if (Count > _values.Length)
        {
            Array.Resize(ref _values, Math.Max(Count, 2 * _values.Length));
            _remote?.Grow(place, _values.Length);
        }

        return place;
    }

    internal Gpu.GpuReadings? Remote => _remote;

    internal Device Device => _device;
}
