using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// A CUDA device. Everything runs in the order it was asked for, in one stream; the host waits only where it reads numbers.
/// </summary>
public sealed class GpuDevice : Device
{
    private readonly Context _context;
    private readonly Accelerator _accelerator;

    // Small uploads go through page-locked memory, so that the host need not wait for them.
    private const int RingBytes = 4 << 20, LargestInRing = 1 << 20;

    // A thread's step beyond the last element must still be an int: a grid has no more threads than there are above this.
    private const int MostElements = int.MaxValue - (1 << 24);

    private readonly PinnedMemory _ring;
    private int _ringUsed;
    private long _uploads;
    private AcceleratorStream? _copyStream;

    private GpuDevice(string name, Context context, Accelerator accelerator, int groupSize, long memoryLimit = long.MaxValue)
        : base(new GpuPool(accelerator, memoryLimit), isHost: false)
    {
        Name = name;
        _context = context;
        _accelerator = accelerator;
        GroupSize = groupSize;
        Launcher = new Launcher(accelerator);
        MostShared = accelerator is CudaAccelerator cuda ? CudaLibrary.MostShared(cuda.DeviceId) : int.MaxValue;
        Faults = new KernelFaults(accelerator);
        _ring = new PinnedMemory(accelerator, RingBytes);
    }

    /// <inheritdoc/>
    public override string Name { get; }

    /// <inheritdoc/>
    public override OpProfile? Profile
    {
        get => Launcher.Profile;
        set => Launcher.Profile = value;
    }

    /// <summary>The driver's name of the device.</summary>
    public string Model => _accelerator.Name;

    /// <summary>The version of the driver, as CUDA counts it.</summary>
    public string Driver => _accelerator is CudaAccelerator cuda ? cuda.DriverVersion.ToString() : "none";

    /// <summary>Kernels launched so far.</summary>
    public long Launches => Launcher.Launches;

    /// <summary>How often the host waited for numbers of the device so far.</summary>
    public long HostReads { get; private set; }

    /// <summary>Copies from the host so far.</summary>
    public long Uploads => Interlocked.Read(ref _uploads);

    /// <summary>How products are computed from now on.</summary>
    public MatmulPrecision MatmulPrecision { get; set; }

    /// <summary>What every kernel is launched with.</summary>
    internal Launcher Launcher { get; }

    /// <summary>ILGPU's device.</summary>
    internal Accelerator Accelerator => _accelerator;

    /// <summary>Where everything runs in turn.</summary>
    internal AcceleratorStream Stream => _accelerator.DefaultStream;

    /// <summary>Where input is copied meanwhile; events keep the two in order.</summary>
    internal AcceleratorStream CopyStream => _copyStream ??= _accelerator.CreateStream();

    /// <summary>Where kernels note what is wrong with their input.</summary>
    internal KernelFaults Faults { get; }

    /// <summary>Threads in a group of a kernel that works with any number.</summary>
    internal int GroupSize { get; }

    /// <summary>The device's processors: a grid of a few groups for each keeps it busy.</summary>
    internal int Processors => _accelerator.NumMultiprocessors;

    /// <summary>The plans of the products so far.</summary>
    internal Dictionary<(MatmulPrecision Precision, ProductShape Shape), ProductPlan> ProductPlans { get; } = [];

    /// <summary>Bytes of shared memory that a kernel may ask for at its launch.</summary>
    internal int MostShared { get; }

    /// <summary>Opens a CUDA device.</summary>
    /// <param name="index">Its number in the driver's list.</param>
    /// <exception cref="NotSupportedException">There is no such device or it cannot be used; the message says why.</exception>
    public static GpuDevice Cuda(int index = 0)
    {
        var list = GpuInfo.List(out string? problem);
        if (problem is null && (index < 0 || index >= list.Count))
            problem = $"there are {list.Count} devices";
        problem ??= list[index].Problem;
        if (problem is not null)
            throw new NotSupportedException($"cuda:{index}: {problem}");
        var context = GpuContext.ForCuda();
        try
        {
            return new GpuDevice($"cuda:{index}", context, context.GetCudaDevice(index).CreateAccelerator(context), groupSize: 256);
        }
        catch (Exception exception)
        {
            context.Dispose();
            throw new NotSupportedException($"cuda:{index}: {exception.GetBaseException().Message}", exception);
        }
    }

    /// <summary>ILGPU's emulator as a device, for tests: an operating system thread for every thread of a group.</summary>
    /// <param name="warps">The largest group, in warps of 32.</param>
    /// <param name="groupSize">See <see cref="GroupSize"/>: two warps show whether a reduction across warps is right.</param>
    /// <param name="memoryLimit">Bytes beyond which memory counts as full.</param>
    internal static GpuDevice Emulated(int warps = 8, int groupSize = 64, long memoryLimit = long.MaxValue)
    {
        var context = GpuContext.ForEmulator(warps);
        return new GpuDevice("emulated", context, context.Devices[0].CreateAccelerator(context), groupSize, memoryLimit);
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">
    /// An operation since the last time the host waited met an index out of range or a singular matrix.
    /// </exception>
    public override void Synchronize() => Faults.Synchronize();

    /// <inheritdoc/>
    public override void Dispose()
    {
        _accelerator.Synchronize();
        base.Dispose();
        _ring.Dispose();
        _copyStream?.Dispose();
        Faults.Dispose();
        try
        {
            _accelerator.Dispose();
        }
        catch (CudaException)
        {
            // ILGPU keeps a buffer for which there was no room, and gives it back here in vain.
        }

        _context.Dispose();
    }

    /// <summary>The memory of a tensor from its first element to its last, for a kernel's arguments.</summary>
    /// <typeparam name="T">A type of the size of the tensor's elements: byte for Bool, or the element type itself.</typeparam>
    /// <exception cref="NotSupportedException">The tensor is on another device, or of doubles where floats are wanted.</exception>
    internal static ArrayView<T> View<T>(Tensor tensor)
        where T : unmanaged
    {
        var view = View<T>(tensor, out int first);
        return first == 0 ? view : throw new NotSupportedException($"{tensor} has negative strides: only a copy can read it");
    }

    /// <summary>The memory of a tensor from its lowest element to its highest.</summary>
    /// <param name="tensor">A tensor of any strides.</param>
    /// <param name="first">Where in it the first element is.</param>
    /// <inheritdoc cref="View{T}(Tensor)"/>
    internal static ArrayView<T> View<T>(Tensor tensor, out int first)
        where T : unmanaged
    {
        tensor.ThrowIfReleased();
        if (tensor.Device is not GpuDevice device)
            throw new NotSupportedException($"{tensor.Step?.Running ?? tensor.Origin}: {tensor} is on {tensor.Device.Name}, not on a GPU");
        if (tensor.DType == DType.F64 && typeof(T) == typeof(float))
            throw new NotSupportedException($"{tensor.Step?.Running ?? tensor.Origin} has no kernel for {tensor} on {device.Name}: double precision runs on the CPU");
        if (Interop.SizeOf<T>() != tensor.DType.Size())
            throw new InvalidOperationException($"{tensor} seen as {typeof(T).Name}");
        if (tensor.Count > 0 && tensor.Extent > MostElements)
            throw new NotSupportedException($"{tensor}: a GPU kernel counts up to {MostElements:N0} elements in one tensor");
        first = tensor.Count == 0 ? 0 : checked((int)tensor.Before);
        return device.View<T>(tensor.Storage, tensor.Offset - first, tensor.Count == 0 ? 0 : tensor.Extent);
    }

    /// <summary>Elements of a storage, for scratch memory that no tensor holds.</summary>
    internal ArrayView<T> View<T>(Storage storage, long first, long count)
        where T : unmanaged => new(((GpuPool)Pool).BufferOf(storage.Address), first, count);

    internal override void Read(Storage source, long offset, Span<byte> target)
    {
        HostReads++;
        View<byte>(source, offset, target.Length).CopyToCPU(Stream, target);
        Synchronize();
    }

    /// <summary>Begins to copy the first bytes of a storage to the host.</summary>
    internal void Download(Storage source, PinnedMemory target, int bytes) =>
        View<byte>(source, 0, bytes).CopyToCPUUnsafeAsync(Stream, ref target.Span(0, bytes)[0], bytes);

    /// <summary>Begins to copy bytes of the host into a storage, in a stream.</summary>
    internal void Upload(PinnedMemory source, long from, Storage target, long to, int bytes, AcceleratorStream stream)
    {
        Interlocked.Increment(ref _uploads);
        using var bound = _accelerator.BindScoped();
        View<byte>(target, to, bytes).CopyFromCPUUnsafeAsync(stream, ref source.Span(from, bytes)[0], bytes);
    }

    /// <summary>Waits until what <see cref="Download"/> copies has arrived.</summary>
    internal void AwaitRead(GpuEvent arrived)
    {
        HostReads++;
        arrived.Wait();
    }

    internal override void Write(ReadOnlySpan<byte> source, Storage target, long offset)
    {
        if (source.Length > LargestInRing)
        {
            Interlocked.Increment(ref _uploads);
            View<byte>(target, offset, source.Length).CopyFromCPU(Stream, source);
            Stream.Synchronize();
            return;
        }

        if (_ringUsed + source.Length > RingBytes)
        {
            Stream.Synchronize();
            _ringUsed = 0;
        }

        source.CopyTo(_ring.Span(_ringUsed, source.Length));
        Upload(_ring, _ringUsed, target, offset, source.Length, Stream);
        _ringUsed += source.Length;
    }

    internal override DeviceInput NewInput(long bytes) => new GpuInput(this, bytes);

    internal override void Clear(Storage target, long offset, long bytes) =>
        View<byte>(target, offset, bytes).MemSetToZero(Stream);

    internal override void Fill(Tensor target, double value) => CopyGpu.Fill(target, value);

    /// <summary>Copies the first bytes of a storage to another.</summary>
    internal void CopyBytes(Storage source, Storage target, long bytes) =>
        View<byte>(source, 0, bytes).CopyTo(Stream, View<byte>(target, 0, bytes));

    /// <summary>Copies bytes between tensors of this device.</summary>
    internal void CopyBytes(Tensor source, Tensor target)
    {
        int size = source.DType.Size();
        var from = View<byte>(source.Storage, source.Offset * size, source.Count * size);
        from.CopyTo(Stream, View<byte>(target.Storage, target.Offset * size, target.Count * size));
    }
}
