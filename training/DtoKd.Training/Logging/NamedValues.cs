using System.Collections;

namespace DtoKd.Training.Logging;

/// <summary>
/// One number per objective, in the run's order of objectives. The names are shared by all records of a run, so a record
/// owns nothing but its numbers. Equal when names and numbers are equal, NaN to NaN included.
/// </summary>
/// <remarks>The default value holds nothing. The arrays are kept, not copied: do not change them afterwards.</remarks>
public readonly struct NamedValues : IReadOnlyList<KeyValuePair<string, double>>, IEquatable<NamedValues>
{
    private readonly string[]? _names;
    private readonly double[]? _values;

    /// <summary>Pairs <paramref name="names"/> with <paramref name="values"/>.</summary>
    /// <param name="names">The objectives; each name once.</param>
    /// <param name="values">As many numbers; NaN and infinities are allowed.</param>
    /// <exception cref="ArgumentException">The lengths differ or a name occurs twice.</exception>
    public NamedValues(string[] names, double[] values)
    {
        if (names.Length != values.Length)
            throw new ArgumentException($"{names.Length} names for {values.Length} values", nameof(values));
        for (int i = 1; i < names.Length; i++)
            if (Array.IndexOf(names, names[i], 0, i) >= 0)
                throw new ArgumentException($"the name '{names[i]}' occurs twice", nameof(names));
        _names = names;
        _values = values;
    }

    /// <summary>The objectives.</summary>
    public ReadOnlySpan<string> Names => _names;

    /// <summary>The numbers, in the order of <see cref="Names"/>.</summary>
    public ReadOnlySpan<double> Values => _values;

    /// <inheritdoc/>
    public int Count => Values.Length;

    /// <inheritdoc/>
    public KeyValuePair<string, double> this[int index] => new(Names[index], Values[index]);

    /// <summary>The number of one objective, or null when it has none here.</summary>
    public double? Find(string name)
    {
        int index = Names.IndexOf(name);
        return index < 0 ? null : Values[index];
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, double>> GetEnumerator()
    {
        for (int i = 0; i < Count; i++)
            yield return this[i];
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <inheritdoc/>
    public bool Equals(NamedValues other) => Names.SequenceEqual(other.Names) && Values.SequenceEqual(other.Values);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is NamedValues other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (double value in Values)
            hash.Add(value);
        return hash.ToHashCode();
    }

    /// <inheritdoc/>
    public override string ToString() => string.Join(", ", this.Select(pair => $"{pair.Key} {pair.Value:G4}"));

    /// <summary>Equality of names and numbers.</summary>
    public static bool operator ==(NamedValues left, NamedValues right) => left.Equals(right);

    /// <summary>Difference in a name or a number.</summary>
    public static bool operator !=(NamedValues left, NamedValues right) => !left.Equals(right);
}
