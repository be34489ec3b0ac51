using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;

namespace DtoKd.Models.Checkpoints;

/// <summary>The bytes of a whole file, mapped into memory (or an array that stands for a file), for reading.</summary>
internal sealed unsafe class FileBytes : IDisposable
{
    private readonly MemoryMappedFile? _map;
    private readonly MemoryMappedViewAccessor? _view;
    private GCHandle _array;
    private byte* _bytes;

    /// <summary>Stands for a file with this content; the array must not be changed.</summary>
    /// <param name="path">The name used in messages.</param>
    /// <param name="content">The bytes.</param>
    internal FileBytes(string path, byte[] content)
    {
        Path = path;
        Length = content.Length;
        _array = GCHandle.Alloc(content, GCHandleType.Pinned);
        // An empty array has no first element, but "open" is told by the pointer.
        _bytes = content.Length == 0 ? (byte*)_array.AddrOfPinnedObject() + 1 : (byte*)_array.AddrOfPinnedObject();
    }

    private FileBytes(string path, FileStream stream)
    {
        Path = path;
        Length = stream.Length;
        if (Length == 0)
        {
            // An empty file cannot be mapped.
            stream.Dispose();
            _bytes = (byte*)1;
            return;
        }
        _map = MemoryMappedFile.CreateFromFile(
            stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        _view = _map.CreateViewAccessor(0, Length, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _bytes);
        _bytes += _view.PointerOffset;
    }

    /// <summary>The path it was opened by.</summary>
    internal string Path { get; }

    /// <summary>Bytes of the file.</summary>
    internal long Length { get; }

    /// <summary>The first byte.</summary>
    /// <exception cref="ObjectDisposedException">The file was closed.</exception>
    internal byte* Start
    {
        get
        {
            ObjectDisposedException.ThrowIf(_bytes == null, this);
            return _bytes;
        }
    }

    /// <summary>Maps a file; it may be replaced by a rename or removed while it is open, but not cut.</summary>
    /// <exception cref="InvalidDataException">It is a pipe.</exception>
    /// <inheritdoc cref="InputFile.Open" path="/exception"/>
    internal static FileBytes Open(string path)
    {
        if (!BitConverter.IsLittleEndian)
            throw new PlatformNotSupportedException("checkpoints are read on little-endian machines only");
        var stream = InputFile.Open(path, FileShare.Read | FileShare.Delete, bufferBytes: 0);
        try
        {
            return stream.CanSeek
                ? new FileBytes(path, stream)
                : throw new InvalidDataException($"{path} is a pipe; a checkpoint is read from any place: write it to a file first");
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>A part of the file.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is not all inside: callers check what a file claims first.</exception>
    internal ReadOnlySpan<byte> Slice(long offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length - offset);
        return new ReadOnlySpan<byte>(Start + offset, length);
    }

    /// <summary>Unmaps and closes the file.</summary>
    public void Dispose()
    {
        if (_bytes == null)
            return;
        _bytes = null;
        if (_array.IsAllocated)
            _array.Free();
        _view?.SafeMemoryMappedViewHandle.ReleasePointer();
        _view?.Dispose();
        _map?.Dispose();
    }
}
