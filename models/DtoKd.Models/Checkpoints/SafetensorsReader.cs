using System.IO.MemoryMappedFiles;
using System.Runtime.CompilerServices;

namespace DtoKd.Models.Checkpoints;

/// <summary>
/// Reads a safetensors file (https://github.com/huggingface/safetensors) through a memory map: opening costs the header only,
/// and a tensor is converted from the mapped bytes straight to where it is wanted.
/// </summary>
/// <remarks>
/// A file that breaks the format is refused when it is opened. Safe to read from several threads; not while disposing. The file
/// must not be cut while it is open (replacing it by a rename, as <see cref="AtomicFile"/> does, is harmless).
/// </remarks>
public sealed unsafe class SafetensorsReader : IDisposable
{
    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private readonly SafetensorsHeader _header;
    private byte* _bytes;

    private SafetensorsReader(string path, FileStream stream)
    {
        FilePath = path;
        long length = stream.Length;
        Span<byte> first = stackalloc byte[SafetensorsHeader.LengthBytes];
        int read = stream.ReadAtLeast(first, first.Length, throwOnEndOfStream: false);
        int jsonLength = SafetensorsHeader.JsonLength(first[..read], length, path);

        _map = MemoryMappedFile.CreateFromFile(
            stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        _view = _map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _bytes);
        _bytes += _view.PointerOffset;
        try
        {
            var json = new ReadOnlySpan<byte>(_bytes + SafetensorsHeader.LengthBytes, jsonLength);
            _header = SafetensorsHeader.Parse(json, length, path);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The path given to <see cref="Open"/>.</summary>
    public string FilePath { get; }

    /// <summary>The tensors in the order of their bytes.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries => _header.Entries;

    /// <summary>The header's <c>__metadata__</c>; empty when the file has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>What the header says about a tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="InvalidDataException">The file has no such tensor.</exception>
    public SafetensorsEntry this[string name] => _header.ByName.TryGetValue(name, out var entry)
        ? entry
        : throw new InvalidDataException($"{FilePath}: there is no tensor {SafetensorsHeader.Quote(name)}");

    /// <summary>Opens a file and checks its header.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The reader; dispose it to unmap the file.</returns>
    /// <exception cref="InvalidDataException">The file breaks the format; the message names file, offset and tensor.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static SafetensorsReader Open(string path)
    {
        if (!BitConverter.IsLittleEndian)
            throw new PlatformNotSupportedException("safetensors files are read on little-endian machines only");
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0);
        try
        {
            return new SafetensorsReader(path, stream);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>Whether the file has a tensor of that name.</summary>
    /// <param name="name">A name.</param>
    public bool Contains(string name) => _header.ByName.ContainsKey(name);

    /// <summary>Reads a tensor of any type as singles; integers are rounded to the nearest, booleans become 0 and 1.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="destination">Takes the elements, row-major; exactly as many as the tensor has.</param>
    /// <exception cref="InvalidDataException">No such tensor, or another number of elements.</exception>
    public void CopyTo(string name, Span<float> destination)
    {
        var entry = Locate(name, destination.Length, out byte* source);
        int n = destination.Length;
        switch (entry.Type)
        {
            case SafetensorsType.F32: new ReadOnlySpan<float>(source, n).CopyTo(destination); break;
            case SafetensorsType.F64: Convert<double, float>(source, destination, v => (float)v); break;
            case SafetensorsType.F16: Convert<Half, float>(source, destination, v => (float)v); break;
            case SafetensorsType.BF16: Convert<ushort, float>(source, destination, FromBFloat16); break;
            case SafetensorsType.I64: Convert<long, float>(source, destination, v => v); break;
            case SafetensorsType.I32: Convert<int, float>(source, destination, v => v); break;
            case SafetensorsType.I16: Convert<short, float>(source, destination, v => v); break;
            case SafetensorsType.I8: Convert<sbyte, float>(source, destination, v => v); break;
            case SafetensorsType.U8: Convert<byte, float>(source, destination, v => v); break;
            case SafetensorsType.Bool: Convert<byte, float>(source, destination, v => v != 0 ? 1 : 0); break;
        }
    }

    /// <summary>Reads a tensor of any type as doubles; only 64-bit integers can lose anything.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="destination">Takes the elements, row-major; exactly as many as the tensor has.</param>
    /// <exception cref="InvalidDataException">No such tensor, or another number of elements.</exception>
    public void CopyTo(string name, Span<double> destination)
    {
        var entry = Locate(name, destination.Length, out byte* source);
        int n = destination.Length;
        switch (entry.Type)
        {
            case SafetensorsType.F64: new ReadOnlySpan<double>(source, n).CopyTo(destination); break;
            case SafetensorsType.F32: Convert<float, double>(source, destination, v => v); break;
            case SafetensorsType.F16: Convert<Half, double>(source, destination, v => (double)v); break;
            case SafetensorsType.BF16: Convert<ushort, double>(source, destination, v => FromBFloat16(v)); break;
            case SafetensorsType.I64: Convert<long, double>(source, destination, v => v); break;
            case SafetensorsType.I32: Convert<int, double>(source, destination, v => v); break;
            case SafetensorsType.I16: Convert<short, double>(source, destination, v => v); break;
            case SafetensorsType.I8: Convert<sbyte, double>(source, destination, v => v); break;
            case SafetensorsType.U8: Convert<byte, double>(source, destination, v => v); break;
            case SafetensorsType.Bool: Convert<byte, double>(source, destination, v => v != 0 ? 1 : 0); break;
        }
    }

    /// <summary>Reads a tensor of integers or booleans.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="destination">Takes the elements, row-major; exactly as many as the tensor has.</param>
    /// <exception cref="InvalidDataException">No such tensor, a floating-point one, or another number of elements.</exception>
    public void CopyTo(string name, Span<long> destination)
    {
        var entry = Locate(name, destination.Length, out byte* source);
        int n = destination.Length;
        switch (entry.Type)
        {
            case SafetensorsType.I64: new ReadOnlySpan<long>(source, n).CopyTo(destination); break;
            case SafetensorsType.I32: Convert<int, long>(source, destination, v => v); break;
            case SafetensorsType.I16: Convert<short, long>(source, destination, v => v); break;
            case SafetensorsType.I8: Convert<sbyte, long>(source, destination, v => v); break;
            case SafetensorsType.U8: Convert<byte, long>(source, destination, v => v); break;
            case SafetensorsType.Bool: Convert<byte, long>(source, destination, v => v != 0 ? 1 : 0); break;
            default:
                throw new InvalidDataException($"{FilePath}: tensor {SafetensorsHeader.Quote(name)} has type "
                    + $"{entry.Type.FileName()}, but integers were expected");
        }
    }

    /// <summary>Reads a tensor of any type as singles.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>Its elements, row-major.</returns>
    /// <exception cref="InvalidDataException">No such tensor, or too large for an array.</exception>
    public float[] ReadFloat32(string name)
    {
        var values = NewArray<float>(name);
        CopyTo(name, values);
        return values;
    }

    /// <summary>Reads a tensor of any type as doubles.</summary>
    /// <inheritdoc cref="ReadFloat32"/>
    public double[] ReadFloat64(string name)
    {
        var values = NewArray<double>(name);
        CopyTo(name, values);
        return values;
    }

    /// <summary>Reads a tensor of integers or booleans.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>Its elements, row-major.</returns>
    /// <exception cref="InvalidDataException">No such tensor, a floating-point one, or too large for an array.</exception>
    public long[] ReadInt64(string name)
    {
        var values = NewArray<long>(name);
        CopyTo(name, values);
        return values;
    }

    /// <summary>Reads a tensor's bytes as they are in the file, little-endian.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>Its bytes.</returns>
    /// <exception cref="InvalidDataException">No such tensor, or too large for an array.</exception>
    public byte[] ReadBytes(string name)
    {
        var entry = this[name];
        ObjectDisposedException.ThrowIf(_bytes == null, this);
        return new ReadOnlySpan<byte>(_bytes + entry.Offset, ArrayLength(entry, entry.ByteCount)).ToArray();
    }

    /// <summary>Unmaps and closes the file.</summary>
    public void Dispose()
    {
        if (_bytes == null)
            return;
        _bytes = null;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _map.Dispose();
    }

    private static float FromBFloat16(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    /// <summary>Offsets are whatever the file says, so the source may be misaligned for its type.</summary>
    private static void Convert<TFrom, TTo>(byte* source, Span<TTo> destination, Func<TFrom, TTo> convert)
        where TFrom : unmanaged
    {
        for (int i = 0; i < destination.Length; i++)
            destination[i] = convert(Unsafe.ReadUnaligned<TFrom>(source + (long)i * sizeof(TFrom)));
    }

    private SafetensorsEntry Locate(string name, int elements, out byte* source)
    {
        var entry = this[name];
        ObjectDisposedException.ThrowIf(_bytes == null, this);
        if (entry.ElementCount != elements)
        {
            throw new InvalidDataException($"{FilePath}: tensor {SafetensorsHeader.Quote(name)} of shape {entry.ShapeText} has "
                + $"{entry.ElementCount} elements, but {elements} were expected");
        }
        source = _bytes + entry.Offset;
        return entry;
    }

    private T[] NewArray<T>(string name)
    {
        var entry = this[name];
        return new T[ArrayLength(entry, entry.ElementCount)];
    }

    private int ArrayLength(SafetensorsEntry entry, long length) => length <= Array.MaxLength
        ? (int)length
        : throw new InvalidDataException($"{FilePath}: tensor {SafetensorsHeader.Quote(entry.Name)} of shape {entry.ShapeText} "
            + "is too large for one array");
}
