namespace DtoKd.Engine;

/// <summary>
/// All parameters of a network in one flat buffer, so that the Gram matrix, mixing, clipping and the optimiser are single passes.
/// Buffers such as running statistics are kept beside it.
/// </summary>
/// <remarks>
/// First everything is declared through <see cref="Root"/>, then <see cref="Seal"/> gives it memory and values. Those that weight
/// decay applies to come first: an optimiser has two ranges, not two for each layer.
/// </remarks>
public sealed class ParameterArena : IDisposable
{
    private readonly List<Parameter> _parameters = [];
    private readonly List<NamedBuffer> _buffers = [];
    private readonly HashSet<string> _names = [];
    private Parameter[] _byOffset = [];
    private Tensor? _flat;

    /// <summary>Makes an empty arena.</summary>
    /// <param name="device">Where the parameters live.</param>
    /// <param name="dtype">F32, or F64 for gradient checks of whole networks.</param>
    public ParameterArena(Device device, DType dtype = DType.F32)
    {
        Device = device;
        DType = dtype;
        Root = new ParameterScope(this, "");
    }

    /// <summary>Where the parameters live.</summary>
    public Device Device { get; }

    /// <summary>The parameters' element type.</summary>
    public DType DType { get; }

    /// <summary>Where a network's constructor declares its parameters.</summary>
    public ParameterScope Root { get; }

    /// <summary>All parameters in the order of their declaration.</summary>
    public IReadOnlyList<Parameter> Parameters => _parameters;

    /// <summary>All buffers in the order of their declaration.</summary>
    public IReadOnlyList<NamedBuffer> Buffers => _buffers;

    /// <summary>The length of the flat buffer once sealed, gaps included. Each parameter starts at a multiple of 64 bytes.</summary>
    public long FlatLength { get; private set; }

    /// <summary>The number of trained values, gaps not included.</summary>
    public long ParameterCount => _parameters.Sum(parameter => parameter.Shape.Count);

    /// <summary>All values, one-dimensional, zeros in the gaps.</summary>
    /// <exception cref="InvalidOperationException">The arena is not sealed yet.</exception>
    public Tensor Flat => _flat ?? throw new InvalidOperationException("the arena is not sealed yet");

    /// <summary>Allocates the flat buffer and gives every parameter its first value.</summary>
    /// <param name="seed">The run's seed; a parameter's values depend on it and the parameter's name only.</param>
    /// <exception cref="InvalidOperationException">The arena is sealed already.</exception>
    public void Seal(ulong seed)
    {
        if (_flat is not null)
            throw new InvalidOperationException("the arena is sealed already");
        LayOut();
        _flat = NewFlat("parameters");
        foreach (var parameter in _parameters)
        {
            var view = ViewOf(parameter, _flat);
            parameter.Bind(view);
            if (!Device.Computes)
                continue;
            var random = new PhiloxStream(seed, PhiloxStream.StreamOf(parameter.Name), 0);
            if (DType == DType.F32)
            {
                using var room = view.OnHost<float>();
                parameter.Initialiser(room.Span, parameter.Shape, random);
                continue;
            }

            var values = new float[parameter.Shape.Count];
            parameter.Initialiser(values, parameter.Shape, random);
            view.CopyFrom<double>(Array.ConvertAll(values, value => (double)value));
        }
    }

    /// <summary>Stops gradients for every parameter: for a teacher.</summary>
    public void Freeze()
    {
        foreach (var parameter in _parameters)
            parameter.RequiresGrad = false;
    }

    /// <summary>The stretches of the flat buffer whose parameters satisfy a condition; neighbours are merged.</summary>
    public IReadOnlyList<FlatRange> Ranges(Func<Parameter, bool> condition)
    {
        var ranges = new List<FlatRange>();
        for (int i = 0; i < _byOffset.Length; i++)
        {
            if (!condition(_byOffset[i]))
                continue;
            long start = _byOffset[i].Offset;
            long end = i + 1 < _byOffset.Length ? _byOffset[i + 1].Offset : FlatLength;
            if (ranges.Count > 0 && ranges[^1].Start + ranges[^1].Length == start)
                ranges[^1] = new FlatRange(ranges[^1].Start, end - ranges[^1].Start);
            else
                ranges.Add(new FlatRange(start, end - start));
        }

        return ranges;
    }

    /// <summary>Returns all memory to the pool.</summary>
    public void Dispose()
    {
        foreach (var parameter in _parameters)
        {
            if (_flat is not null)
                parameter.Value.Release();
        }

        foreach (var buffer in _buffers)
            buffer.Value.Dispose();
        _flat?.Dispose();
        _flat = null;
    }

    /// <summary>A zeroed buffer of the arena's layout, for gradients or an optimiser's moments.</summary>
    public Tensor NewFlat(string origin)
    {
        Shape shape = [checked((int)FlatLength)];
        var flat = new Tensor(
            Device, Device.Pool.Rent(FlatLength * DType.Size(), origin), DType, shape, Strides.Contiguous(shape), 0, origin);
        flat.Clear();
        return flat;
    }

    internal Tensor ViewOf(Parameter parameter, Tensor flat) =>
        flat == _flat
            ? flat.ParameterView(parameter)
            : flat.View(parameter.Shape, Strides.Contiguous(parameter.Shape), parameter.Offset, parameter.Name);

    internal Parameter Declare(string name, Shape shape, Initialiser initialiser, bool decays)
    {
        Claim(name);
        var parameter = new Parameter(this, _parameters.Count, name, shape, decays, initialiser);
        _parameters.Add(parameter);
        return parameter;
    }

    internal NamedBuffer DeclareBuffer(string name, Shape shape, DType dtype, double value)
    {
        Claim(name);
        var tensor = new Tensor(
            Device, Device.Pool.Rent(shape.Count * dtype.Size(), name), dtype, shape, Strides.Contiguous(shape), 0, name);
        tensor.Fill(value);
        var buffer = new NamedBuffer(name, tensor);
        _buffers.Add(buffer);
        return buffer;
    }

    private void LayOut()
    {
        int perLine = Pool.Alignment / DType.Size();
        _byOffset = [.. _parameters.Where(parameter => parameter.Decays), .. _parameters.Where(parameter => !parameter.Decays)];
        foreach (var parameter in _byOffset)
        {
            parameter.Offset = FlatLength;
            FlatLength += (parameter.Shape.Count + perLine - 1) / perLine * perLine;
        }
    }

    private void Claim(string name)
    {
        if (_flat is not null)
            throw new InvalidOperationException($"'{name}' was declared after the arena was sealed");
        if (!_names.Add(name))
            throw new InvalidOperationException($"'{name}' was declared twice");
    }
}

/// <summary>A tensor that is saved with a network but not trained, such as a running mean.</summary>
/// <param name="Name">The name in checkpoints.</param>
/// <param name="Value">The current value.</param>
public sealed record NamedBuffer(string Name, Tensor Value);
