using System.Collections;
using System.Runtime.CompilerServices;

namespace DtoKd.Engine;

/// <summary>The sizes of a tensor's axes, at most six, kept inline.</summary>
[CollectionBuilder(typeof(Shape), nameof(Create))]
public readonly struct Shape : IEquatable<Shape>, IEnumerable<int>
{
    /// <summary>The largest number of axes.</summary>
    public const int MaxRank = 6;

    private readonly Sizes _sizes;
    private readonly byte _rank;

    /// <summary>Makes a shape of the given sizes; none for a scalar.</summary>
    /// <exception cref="ArgumentException">More than six axes, or a negative size.</exception>
    public Shape(params ReadOnlySpan<int> sizes)
    {
        if (sizes.Length > MaxRank)
            throw new ArgumentException($"a shape has at most {MaxRank} axes, not {sizes.Length}");
        foreach (int size in sizes)
        {
            if (size < 0)
                throw new ArgumentException($"negative size in [{string.Join(", ", sizes.ToArray())}]");
        }

        sizes.CopyTo(_sizes);
        _rank = (byte)sizes.Length;
    }

    /// <summary>The number of axes.</summary>
    public int Rank => _rank;

    /// <summary>The number of elements: the product of the sizes, 1 for a scalar.</summary>
    public long Count => CountOf(0, _rank);

    /// <summary>The size of an axis; a negative index counts from the last axis.</summary>
    /// <exception cref="ArgumentException">There is no such axis.</exception>
    public int this[int axis] => _sizes[Axis(axis)];

    /// <summary>The size of an axis counted from either end: <c>shape[^1]</c> is the last.</summary>
    /// <exception cref="ArgumentException">There is no such axis.</exception>
    public int this[Index axis] => this[axis.GetOffset(_rank)];

    /// <summary>Makes a shape from a collection expression: <c>Shape s = [2, 3];</c></summary>
    public static Shape Create(ReadOnlySpan<int> sizes) => new(sizes);

    /// <summary>The shape that both broadcast to, by the usual rule: aligned at the last axis, sizes equal or 1.</summary>
    /// <param name="op">The operation, for the message.</param>
    /// <param name="a">One shape.</param>
    /// <param name="b">The other.</param>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Shape Broadcast(string op, Shape a, Shape b)
    {
        if (a == b)
            return a;
        int rank = Math.Max(a.Rank, b.Rank);
        Span<int> sizes = stackalloc int[rank];
        for (int i = 1; i <= rank; i++)
        {
            int x = i <= a.Rank ? a[^i] : 1;
            int y = i <= b.Rank ? b[^i] : 1;
            if (x != y && x != 1 && y != 1)
                throw new ArgumentException($"{op}: shapes {a} and {b} do not broadcast");
            sizes[^i] = x == 1 ? y : x;
        }

        return new Shape(sizes);
    }

    /// <summary>Turns a possibly negative axis into 0 .. <see cref="Rank"/> - 1.</summary>
    /// <exception cref="ArgumentException">There is no such axis.</exception>
    public int Axis(int axis)
    {
        int positive = axis < 0 ? axis + _rank : axis;
        if ((uint)positive >= _rank)
            throw new ArgumentException($"shape {this} has no axis {axis}");
        return positive;
    }

    /// <summary>This shape with one axis resized.</summary>
    public Shape With(int axis, int size)
    {
        Span<int> sizes = stackalloc int[_rank];
        CopyTo(sizes);
        sizes[Axis(axis)] = size;
        return new Shape(sizes);
    }

    /// <summary>This shape with one axis less.</summary>
    public Shape Without(int axis)
    {
        axis = Axis(axis);
        Span<int> sizes = stackalloc int[_rank - 1];
        for (int i = 0, j = 0; i < _rank; i++)
        {
            if (i != axis)
                sizes[j++] = _sizes[i];
        }

        return new Shape(sizes);
    }

    /// <summary>This shape with an axis of the given size put before <paramref name="axis"/> (0 .. <see cref="Rank"/>).</summary>
    public Shape Insert(int axis, int size)
    {
        Span<int> sizes = stackalloc int[_rank + 1];
        for (int i = 0, j = 0; i <= _rank; i++)
            sizes[i] = i == axis ? size : _sizes[j++];
        return new Shape(sizes);
    }

    /// <summary>The product of the sizes from axis <paramref name="start"/> up to, not including, <paramref name="end"/>.</summary>
    public long CountOf(int start, int end)
    {
        long count = 1;
        for (int i = start; i < end; i++)
            count *= _sizes[i];
        return count;
    }

    /// <summary>Copies the sizes.</summary>
    public void CopyTo(Span<int> target)
    {
        for (int i = 0; i < _rank; i++)
            target[i] = _sizes[i];
    }

    /// <summary>The sizes as an array.</summary>
    public int[] ToArray()
    {
        var sizes = new int[_rank];
        CopyTo(sizes);
        return sizes;
    }

    /// <inheritdoc/>
    public bool Equals(Shape other)
    {
        if (_rank != other._rank)
            return false;
        for (int i = 0; i < _rank; i++)
        {
            if (_sizes[i] != other._sizes[i])
                return false;
        }

        return true;
    }

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Shape other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = default(HashCode);
        for (int i = 0; i < _rank; i++)
            hash.Add(_sizes[i]);
        return hash.ToHashCode();
    }

    /// <summary>Whether two shapes have the same sizes.</summary>
    public static bool operator ==(Shape left, Shape right) => left.Equals(right);

    /// <summary>Whether two shapes differ.</summary>
    public static bool operator !=(Shape left, Shape right) => !left.Equals(right);

    /// <summary>As in messages: <c>[2, 3]</c>.</summary>
    public override string ToString() => $"[{string.Join(", ", ToArray())}]";

    /// <inheritdoc/>
    public IEnumerator<int> GetEnumerator() => ((IEnumerable<int>)ToArray()).GetEnumerator();

    /// <inheritdoc/>
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    [InlineArray(MaxRank)]
    private struct Sizes
    {
        private int _first;
    }
}
