using System.Runtime.InteropServices;
using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>The numbers of <see cref="Readings"/> on a GPU, and page-locked memory that they are copied to.</summary>
internal sealed class GpuReadings : IDisposable
{
    private readonly GpuDevice _device;
    private readonly GpuEvent _arrived;
    private Storage _numbers;
    private PinnedMemory _host;
    private int _sent;
    private bool _faultsSent, _disposed;

    public GpuReadings(GpuDevice device, int room)
    {
        _device = device;
        _arrived = new GpuEvent(device.Accelerator);
        _numbers = device.Pool.Rent(room * sizeof(double), "readings");
        _host = HostRoom(room);
    }

    public ArrayView<double> View(int place, int count) => _device.View<double>(_numbers, place, count);

    public void Take(Tensor scalar, int place) =>
        _device.Launcher.Launch<TakeKernel, TakeKernel.Args>(1, 32, new() { From = GpuDevice.View<float>(scalar), To = View(place, 1) });

    public void Gram(IReadOnlyList<Tensor> gradients, IReadOnlyList<FlatRange> ranges, int place) =>
        FlatGpu.Gram(gradients, ranges, View(place, gradients.Count * (gradients.Count + 1) / 2));

    public void Grow(int used, int room)
    {
        var (numbers, host) = (_numbers, _host);
        _numbers = _device.Pool.Rent(room * sizeof(double), "readings");
        _host = HostRoom(room);
        if (used > 0)
            _device.CopyBytes(numbers, _numbers, used * sizeof(double));
        numbers.Release();
        _arrived.Wait();
        host.Dispose();
    }

    public void Send(int count)
    {
        _device.Download(_numbers, _host, count * sizeof(double));
        _faultsSent = _device.Faults.Send(_host, _host.Bytes - KernelFaults.Bytes);
        _arrived.Record(_device.Stream);
        _sent = count;
    }

    /// <summary>Waits for what was sent, once.</summary>
    /// <exception cref="ArgumentException">An operation met an index out of range.</exception>
    public void Receive(double[] values)
    {
        if (_sent == 0)
            return;
        _device.AwaitRead(_arrived);
        MemoryMarshal.Cast<byte, double>(_host.Span(0, _sent * sizeof(double))).CopyTo(values);
        _sent = 0;
        if (_faultsSent)
            _device.Faults.Check(MemoryMarshal.Cast<byte, long>(_host.Span(_host.Bytes - KernelFaults.Bytes, KernelFaults.Bytes)));
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _arrived.Wait();
        _numbers.Release();
        _host.Dispose();
        _arrived.Dispose();
    }

    private PinnedMemory HostRoom(int room) => new(_device.Accelerator, (room * sizeof(double)) + KernelFaults.Bytes);
}

/// <summary>The number of <see cref="UpdateScale"/> on a GPU.</summary>
internal sealed class GpuScale : IDisposable
{
    private readonly GpuDevice _device;
    private readonly Storage _number;
    private bool _disposed;

    public GpuScale(GpuDevice device)
    {
        _device = device;
        _number = device.Pool.Rent(sizeof(float), "scale");
        device.Write(MemoryMarshal.AsBytes<float>([1]), _number, 0);
    }

    public ArrayView<float> View => _device.View<float>(_number, 0, 1);

    public void Set(GpuReadings readings, int count, int squaredNorm, double? maximum, double least) =>
        _device.Launcher.Launch<ScaleKernel, ScaleKernel.Args>(1, 32, new()
        {
            Readings = readings.View(0, count),
            Scale = View,
            Count = count,
            SquaredNorm = squaredNorm,
            Clips = maximum is null ? 0 : 1,
            Maximum = maximum ?? 0,
            Least = least,
        });

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _number.Release();
    }
}

/// <summary>Takes a number.</summary>
internal readonly struct TakeKernel : IKernel<TakeKernel.Args>
{
    public static void Run(Args args)
    {
        if (Group.IdxX == 0)
            args.To[0] = args.From[0];
    }

    internal struct Args
    {
        public ArrayView<float> From;
        public ArrayView<double> To;
    }
}

/// <summary>As <see cref="UpdateScale.Set"/>, by one thread: there are few readings.</summary>
internal readonly struct ScaleKernel : IKernel<ScaleKernel.Args>
{
    // The exponent of what is infinite or not a number.
    private const ulong AllOnes = 0x7FF;

    public static void Run(Args args)
    {
        if (Group.IdxX != 0)
            return;
        bool finite = true;
        for (int i = 0; i < args.Count; i++)
            finite &= ((Interop.FloatAsInt(args.Readings[i]) >> 52) & AllOnes) != AllOnes;
        if (args.Scale[0] < 0)
            return;
        float scale = 1;
        if (args.Clips != 0)
            scale = Ptx.Min(scale, (float)(args.Maximum / (Ptx.Sqrt(args.Readings[args.SquaredNorm]) + args.Least)));
        args.Scale[0] = finite ? scale : -1;
    }

    internal struct Args
    {
        public ArrayView<double> Readings;
        public ArrayView<float> Scale;
        public int Count, SquaredNorm, Clips;
        public double Maximum, Least;
    }
}
