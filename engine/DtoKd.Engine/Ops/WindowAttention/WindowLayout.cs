using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace DtoKd.Engine;

/// <summary>
/// Where the windows of a map lie that is rolled by (-down, -right) before it is cut: which place of the map each token is, and
/// which parts of a window were not neighbours before. Computed once per size.
/// </summary>
internal sealed unsafe class WindowLayout
{
    private static readonly ConcurrentDictionary<(int, int, int, int, int), WindowLayout> _known = [];

    // Added to scores across the seam of a shifted map. Large enough to vanish in the softmax, and what checkpoints expect.
    public const float AcrossSeam = -100;

    // Pinned: kernels read them by address.
    private readonly int[] _places;
    private readonly int[] _steps;
    private readonly float[] _parts;
    private readonly bool[] _isCut;
    private readonly Lazy<float[]> _mask;

    private WindowLayout(int height, int width, int window, int down, int right)
    {
        (Window, Down, Right) = (window, down, right);
        Tokens = window * window;
        Windows = height / window * (width / window);
        _places = GC.AllocateUninitializedArray<int>(height * width, pinned: true);
        _parts = GC.AllocateUninitializedArray<float>(height * width, pinned: true);
        _steps = GC.AllocateUninitializedArray<int>(Tokens, pinned: true);
        _isCut = new bool[Windows];
        for (int i = 0; i < _places.Length; i++)
        {
            int tile = i / Tokens, token = i % Tokens, columns = width / window;
            int row = (tile / columns * window) + (token / window), column = (tile % columns * window) + (token % window);
            _places[i] = ((row + down) % height * width) + ((column + right) % width);
            _parts[i] = (3 * PartAlong(row, height, window, down)) + PartAlong(column, width, window, right);
            _isCut[tile] |= _parts[i] != _parts[tile * Tokens];
        }

        for (int i = 0; i < Tokens; i++)
            _steps[i] = (i / window * ((2 * window) - 1)) + (i % window);
        _mask = new(NewMask);
    }

    /// <summary>The windows' side.</summary>
    public int Window { get; }

    /// <summary>How far the map is rolled along its height.</summary>
    public int Down { get; }

    /// <summary>How far the map is rolled along its width.</summary>
    public int Right { get; }

    /// <summary>Tokens in a window.</summary>
    public int Tokens { get; }

    /// <summary>Windows of a map.</summary>
    public int Windows { get; }

    /// <summary>The layout of a map of that size.</summary>
    /// <exception cref="ArgumentException">The windows do not tile the map, or a shift is out of range.</exception>
    public static WindowLayout Of(string op, int height, int width, int window, int down, int right)
    {
        if (window < 1 || height % window != 0 || width % window != 0)
            throw new ArgumentException($"{op}: windows of {window} do not tile a map of {height} x {width}");
        if (down < 0 || down >= window || right < 0 || right >= window)
            throw new ArgumentException($"{op}: shifts {down} and {right} are not in 0 .. {window - 1}");
        return _known.GetOrAdd((height, width, window, down, right), static at => new(at.Item1, at.Item2, at.Item3, at.Item4, at.Item5));
    }

    /// <summary>Rows of the table of relative positions.</summary>
    public int TableRows => ((2 * Window) - 1) * ((2 * Window) - 1);

    /// <summary>The row of the table for a token and itself.</summary>
    public int TableCentre => TableRows / 2;

    /// <summary>
    /// For each token a number; the row of the table for a query and a key is <see cref="TableCentre"/> plus that of the query minus
    /// that of the key.
    /// </summary>
    public int* TableSteps => (int*)Marshal.UnsafeAddrOfPinnedArrayElement(_steps, 0);

    /// <summary>The place in the map, row by row, of each token of a window.</summary>
    public int* PlacesOf(int window) =>
        (int*)Marshal.UnsafeAddrOfPinnedArrayElement(_places, window * Tokens);

    /// <summary>A number for each token of a window, different in parts that were apart.</summary>
    public float* PartsOf(int window) =>
        (float*)Marshal.UnsafeAddrOfPinnedArrayElement(_parts, window * Tokens);

    /// <summary>Whether a window has several such parts.</summary>
    public bool IsCut(int window) => _isCut[window];

    /// <summary>What is added to the scores: [windows, tokens, tokens].</summary>
    public float[] Mask => _mask.Value;

    private float[] NewMask()
    {
        var mask = new float[Windows * Tokens * Tokens];
        for (int i = 0; i < mask.Length; i++)
        {
            int first = i / (Tokens * Tokens) * Tokens;
            mask[i] = _parts[first + (i / Tokens % Tokens)] == _parts[first + (i % Tokens)] ? 0 : AcrossSeam;
        }

        return mask;
    }

    private static int PartAlong(int at, int size, int window, int shift) =>
        shift == 0 || at < size - window ? 0 : at < size - shift ? 1 : 2;
}
