using System.Runtime.CompilerServices;

namespace DtoKd.Engine;

/// <summary>
/// A walk over several strided tensors of one shape at once: neighbouring axes that all of them step through evenly are merged,
/// the last axis that remains is the inner row, the others are counted as rows.
/// </summary>
internal readonly struct StridedLoop
{
    /// <summary>The largest number of tensors walked together.</summary>
    public const int MaxOperands = 4;

    private readonly int _rank;
    private readonly int _operands;
    private readonly Axes _sizes;
    private readonly AxisStrides _strides;

    public StridedLoop(Shape shape, params ReadOnlySpan<Strides> operands)
    {
        _operands = operands.Length;
        for (int axis = 0; axis < shape.Rank; axis++)
        {
            if (shape[axis] == 1)
                continue;
            if (_rank > 0 && Merges(operands, axis, shape[axis]))
            {
                _sizes[_rank - 1] *= shape[axis];
                for (int k = 0; k < _operands; k++)
                    _strides[((_rank - 1) * MaxOperands) + k] = operands[k][axis];
                continue;
            }

            _sizes[_rank] = shape[axis];
            for (int k = 0; k < _operands; k++)
                _strides[(_rank * MaxOperands) + k] = operands[k][axis];
            _rank++;
        }

        Inner = shape.Count == 0 || _rank == 0 ? 1 : _sizes[_rank - 1];
        Rows = shape.Count / Inner;
    }

    /// <summary>The length of the inner row.</summary>
    public long Inner { get; }

    /// <summary>The number of inner rows.</summary>
    public long Rows { get; }

    /// <summary>The axes that remain; the last one is the inner row.</summary>
    public int Rank => _rank;

    /// <summary>The size of an axis that remains.</summary>
    public long Size(int axis) => _sizes[axis];

    /// <summary>The stride of an operand along an axis that remains; 0 for an operand that there is not.</summary>
    public long Stride(int axis, int operand) => _strides[(axis * MaxOperands) + operand];

    /// <summary>The stride of an operand along the inner row.</summary>
    public long InnerStride(int operand) => _rank == 0 ? 1 : _strides[((_rank - 1) * MaxOperands) + operand];

    /// <summary>Where inner row <paramref name="row"/> starts in each operand.</summary>
    public void Offsets(long row, Span<long> offsets)
    {
        offsets[.._operands].Clear();
        for (int axis = _rank - 2; axis >= 0; axis--)
        {
            long index = row % _sizes[axis];
            row /= _sizes[axis];
            for (int k = 0; k < _operands; k++)
                offsets[k] += index * _strides[(axis * MaxOperands) + k];
        }
    }

    /// <summary>
    /// Begins with the run of rows, along the last axis before the inner row, that starts with <paramref name="row"/>. Runs of a few
    /// rows would spend their time on finding where they start by division.
    /// </summary>
    /// <param name="row">The run's first row.</param>
    /// <param name="index">Its index along each axis that remains.</param>
    /// <param name="offsets">Where it starts in each operand.</param>
    public void Begin(long row, Span<long> index, Span<long> offsets)
    {
        Offsets(row, offsets);
        for (int axis = _rank - 2; axis >= 0; axis--)
            (row, index[axis]) = Math.DivRem(row, _sizes[axis]);
    }

    /// <summary>Goes on to the next run.</summary>
    public void NextRun(Span<long> index, Span<long> offsets)
    {
        bool carry = true;
        for (int axis = _rank - 3; axis >= 0 && carry; axis--)
        {
            carry = ++index[axis] == _sizes[axis];
            long steps = carry ? 1 - _sizes[axis] : 1;
            if (carry)
                index[axis] = 0;
            for (int k = 0; k < _operands; k++)
                offsets[k] += steps * _strides[(axis * MaxOperands) + k];
        }
    }

    private bool Merges(ReadOnlySpan<Strides> operands, int axis, int size)
    {
        for (int k = 0; k < _operands; k++)
        {
            if (_strides[((_rank - 1) * MaxOperands) + k] != operands[k][axis] * size)
                return false;
        }

        return true;
    }

    [InlineArray(Shape.MaxRank)]
    private struct Axes
    {
        private long _first;
    }

    [InlineArray(Shape.MaxRank * MaxOperands)]
    private struct AxisStrides
    {
        private long _first;
    }
}
