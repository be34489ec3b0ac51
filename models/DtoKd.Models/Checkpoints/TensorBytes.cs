using System.Runtime.CompilerServices;

namespace DtoKd.Models.Checkpoints;

/// <summary>
/// Where the elements of a tensor lie in memory, and their conversion to what a caller wants. The start may be misaligned for the
/// element type, and the elements may have strides; whoever makes one has checked that every element is inside the file.
/// </summary>
internal readonly unsafe struct TensorBytes
{
    private readonly byte* _start;
    private readonly CheckpointEntry _entry;
    private readonly IReadOnlyList<long>? _strides;

    /// <summary>A tensor in memory.</summary>
    /// <param name="start">Its first element.</param>
    /// <param name="entry">Its type and shape.</param>
    /// <param name="strides">Elements from one index to the next per axis; null when one element follows the other.</param>
    internal TensorBytes(byte* start, CheckpointEntry entry, IReadOnlyList<long>? strides = null)
    {
        _start = start;
        _entry = entry;
        _strides = strides;
    }

    /// <summary>Converts to singles; integers are rounded to the nearest.</summary>
    internal void CopyTo(Span<float> to)
    {
        switch (_entry.Type)
        {
            case SafetensorsType.F32: Copy(to); break;
            case SafetensorsType.F64: Convert<double, float>(to, v => (float)v); break;
            case SafetensorsType.F16: Convert<Half, float>(to, v => (float)v); break;
            case SafetensorsType.BF16: Convert<ushort, float>(to, FromBFloat16); break;
            case SafetensorsType.I64: Convert<long, float>(to, v => v); break;
            case SafetensorsType.I32: Convert<int, float>(to, v => v); break;
            case SafetensorsType.I16: Convert<short, float>(to, v => v); break;
            case SafetensorsType.I8: Convert<sbyte, float>(to, v => v); break;
            case SafetensorsType.U8: Convert<byte, float>(to, v => v); break;
            case SafetensorsType.Bool: Convert<byte, float>(to, v => v != 0 ? 1 : 0); break;
        }
    }

    /// <summary>Converts to doubles.</summary>
    internal void CopyTo(Span<double> to)
    {
        switch (_entry.Type)
        {
            case SafetensorsType.F64: Copy(to); break;
            case SafetensorsType.F32: Convert<float, double>(to, v => v); break;
            case SafetensorsType.F16: Convert<Half, double>(to, v => (double)v); break;
            case SafetensorsType.BF16: Convert<ushort, double>(to, v => FromBFloat16(v)); break;
            case SafetensorsType.I64: Convert<long, double>(to, v => v); break;
            case SafetensorsType.I32: Convert<int, double>(to, v => v); break;
            case SafetensorsType.I16: Convert<short, double>(to, v => v); break;
            case SafetensorsType.I8: Convert<sbyte, double>(to, v => v); break;
            case SafetensorsType.U8: Convert<byte, double>(to, v => v); break;
            case SafetensorsType.Bool: Convert<byte, double>(to, v => v != 0 ? 1 : 0); break;
        }
    }

    /// <summary>Converts integers and booleans; false, and nothing done, for floating-point elements.</summary>
    internal bool TryCopyTo(Span<long> to)
    {
        switch (_entry.Type)
        {
            case SafetensorsType.I64: Copy(to); return true;
            case SafetensorsType.I32: Convert<int, long>(to, v => v); return true;
            case SafetensorsType.I16: Convert<short, long>(to, v => v); return true;
            case SafetensorsType.I8: Convert<sbyte, long>(to, v => v); return true;
            case SafetensorsType.U8: Convert<byte, long>(to, v => v); return true;
            case SafetensorsType.Bool: Convert<byte, long>(to, v => v != 0 ? 1 : 0); return true;
            default: return false;
        }
    }

    /// <summary>Copies the elements as they are, one after the other.</summary>
    internal void CopyBytes(Span<byte> to)
    {
        if (_strides is null)
        {
            new ReadOnlySpan<byte>(_start, to.Length).CopyTo(to);
            return;
        }
        fixed (byte* first = to)
        {
            int n = (int)_entry.ElementCount;
            switch (_entry.Type.ByteWidth())
            {
                case 1: Copy(to); break;
                case 2: Copy(new Span<ushort>(first, n)); break;
                case 4: Copy(new Span<uint>(first, n)); break;
                case 8: Copy(new Span<ulong>(first, n)); break;
            }
        }
    }

    private static float FromBFloat16(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    private void Copy<T>(Span<T> to) where T : unmanaged
    {
        if (_strides is null)
            new ReadOnlySpan<T>(_start, to.Length).CopyTo(to);
        else
            Convert<T, T>(to, v => v);
    }

    private void Convert<TFrom, TTo>(Span<TTo> to, Func<TFrom, TTo> convert) where TFrom : unmanaged
    {
        if (_strides is null || _strides.Count == 0)
        {
            ConvertRow(_start, 1, to, convert);
            return;
        }
        if (to.IsEmpty)
            return;
        // Row by row of the last axis; an odometer over the others.
        int last = _strides.Count - 1;
        int row = (int)_entry.Shape[last];
        var index = new long[last];
        long offset = 0;
        for (int done = 0; ; )
        {
            ConvertRow(_start + offset * sizeof(TFrom), _strides[last], to.Slice(done, row), convert);
            done += row;
            if (done == to.Length)
                return;
            int axis = last - 1;
            offset += _strides[axis];
            while (++index[axis] == _entry.Shape[axis])
            {
                offset -= index[axis] * _strides[axis];
                index[axis] = 0;
                axis--;
                offset += _strides[axis];
            }
        }
    }

    private static void ConvertRow<TFrom, TTo>(byte* from, long stride, Span<TTo> to, Func<TFrom, TTo> convert)
        where TFrom : unmanaged
    {
        for (int i = 0; i < to.Length; i++)
            to[i] = convert(Unsafe.ReadUnaligned<TFrom>(from + i * stride * sizeof(TFrom)));
    }
}
