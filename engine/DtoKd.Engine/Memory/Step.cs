using System.Runtime.InteropServices;

namespace DtoKd.Engine;

/// <summary>
/// The region that one training or evaluation step lives in: it owns every tensor made inside, and its tape when gradients
/// are recorded. Leaving the block returns all of it to the pool.
/// </summary>
/// <remarks>A step is used by one thread. Operations find it through their inputs; there is no ambient state.</remarks>
public sealed class Step : IDisposable
{
    private readonly Tape? _tape;
    private StepLists? _lists;
    private uint _streams;
    private bool _runsBackward;

    private Step(Device device, bool record, bool training, ulong seed, ulong number, bool replays = false)
    {
        Device = device;
        IsRecording = record;
        IsTraining = training;
        Seed = seed;
        Number = number;
        IsReplay = replays;
        _lists = device.RentLists();
        _tape = record ? new Tape(this) : null;
    }

    /// <summary>Where the step's tensors are.</summary>
    public Device Device { get; }

    /// <summary>Whether operations are put on the tape.</summary>
    public bool IsRecording { get; internal set; }

    /// <summary>Whether batch norm uses the batch's statistics and dropout drops.</summary>
    public bool IsTraining { get; private set; }

    /// <summary>
    /// Whether this step repeats another one to see its losses again: random masks are the same, running statistics stay as
    /// they are.
    /// </summary>
    public bool IsReplay { get; }

    /// <summary>The run's seed, the key of <see cref="NextRandom"/>.</summary>
    public ulong Seed { get; }

    /// <summary>The number of this step in the run, the counter of <see cref="NextRandom"/>.</summary>
    public ulong Number { get; }

    /// <summary>
    /// Whether results and gradients are checked as they are made: the first NaN or infinity throws an
    /// <see cref="AnomalyException"/>. A result that no gradient flows through is checked when an operation reads it.
    /// </summary>
    public bool DetectsAnomalies { get; init; }

    /// <summary>The operation that runs, for the messages of what goes wrong in it.</summary>
    internal string? Running { get; set; }

    /// <summary>The tape.</summary>
    /// <exception cref="InvalidOperationException">The step records nothing.</exception>
    public Tape Tape => _tape ?? throw new InvalidOperationException("this step records no gradients: begin it with Step.Training");

    internal bool HasTape => _tape is not null;

    /// <summary>What the step and its tape keep count in.</summary>
    /// <exception cref="ObjectDisposedException">The step has ended.</exception>
    internal StepLists Lists => _lists ?? throw new ObjectDisposedException(nameof(Step));

    /// <summary>Begins a step that records gradients and trains.</summary>
    /// <param name="device">Where to compute.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="number">The step's number; the same number gives the same dropout masks.</param>
    /// <param name="detectAnomalies">See <see cref="DetectsAnomalies"/>.</param>
    public static Step Training(Device device, ulong seed = 0, ulong number = 0, bool detectAnomalies = false) =>
        new(device, true, true, seed, number) { DetectsAnomalies = detectAnomalies };

    /// <summary>Begins a step that does what a training step of that number does, but changes nothing.</summary>
    /// <param name="device">Where to compute.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="number">The number of the step to repeat.</param>
    /// <param name="record">Whether to record, for gradients of what is seen again.</param>
    public static Step Replay(Device device, ulong seed, ulong number, bool record = false) =>
        new(device, record, true, seed, number, replays: true);

    /// <summary>Begins a step that records nothing, with dropout off and running statistics in use.</summary>
    public static Step Evaluation(Device device) => new(device, false, false, 0, 0);

    /// <summary>Begins a step that records gradients but behaves as in evaluation.</summary>
    public static Step Recording(Device device) => new(device, true, false, 0, 0);

    /// <summary>A tensor with the given elements in row-major order.</summary>
    /// <exception cref="ArgumentException">The number of elements does not fit the shape.</exception>
    public Tensor From<T>(ReadOnlySpan<T> values, Shape shape)
        where T : unmanaged
    {
        if (values.Length != shape.Count)
            throw new ArgumentException($"{values.Length} values do not fill shape {shape}");
        var tensor = New(shape, DTypes.Of<T>(), "input");
        tensor.CopyFrom(values);
        return tensor;
    }

    /// <summary>A tensor with the given elements in row-major order.</summary>
    public Tensor From<T>(T[] values, Shape shape)
        where T : unmanaged => From<T>(values.AsSpan(), shape);

    /// <summary>A tensor whose elements are to be written by the caller.</summary>
    public Tensor Empty(Shape shape, DType dtype = DType.F32) => New(shape, dtype, "input");

    /// <summary>A tensor of zeros.</summary>
    public Tensor Zeros(Shape shape, DType dtype = DType.F32)
    {
        var tensor = New(shape, dtype, "zeros");
        tensor.Clear();
        return tensor;
    }

    /// <summary>A tensor whose elements are all <paramref name="value"/>.</summary>
    public Tensor Full(Shape shape, double value, DType dtype = DType.F32)
    {
        var tensor = New(shape, dtype, "full");
        tensor.Fill(value);
        return tensor;
    }

    /// <summary>
    /// Brings a tensor from outside, such as a parameter, into this step. Operations with another input of the step do this by
    /// themselves.
    /// </summary>
    /// <exception cref="InvalidOperationException">
    /// Both this step and another one record, and a gradient would have to flow from here to there.
    /// </exception>
    public Tensor Use(Tensor outside)
    {
        if (IsRecording && outside.Step is { } other && other != this && outside.Node >= 0)
            throw new InvalidOperationException($"the result of {outside.Origin} is on another step's tape, where this step's gradients do not go: call Detach() on it first");
        var inside = outside.Alias();
        Own(inside);
        if (IsRecording)
            inside.Node = Tape.IndexOf(outside);
        return inside;
    }

    /// <summary>A copy on the tape for which <see cref="GradStore.Of(Tensor)"/> gives the gradient after a backward pass.</summary>
    public Tensor Watch(Tensor tensor)
    {
        var watched = tensor.View(tensor.Shape, tensor.Strides, 0, "watched");
        Own(watched);
        watched.Node = Tape.AddLeaf();
        return watched;
    }

    /// <summary>Opens a region whose tensors go back to the pool at its end, but for those it returns.</summary>
    /// <remarks>What the tape needs for the backward pass stays alive on its own.</remarks>
    public Scope Scope() => new(this, Lists.Owned.Count);

    /// <summary>
    /// Opens a region inside an operation or a backward rule. Nobody holds its tensors afterwards, so that their handles serve
    /// again: the operation's result is made before.
    /// </summary>
    internal Scope OwnScope() => new(this, Lists.Owned.Count, recycles: true);

    /// <summary>Records nothing and behaves as in evaluation until the result is disposed: for a frozen teacher.</summary>
    public EvaluationMode Evaluating() => new(this, _runsBackward);

    /// <summary>As <see cref="Evaluating"/>, while the rules of a backward pass run.</summary>
    internal EvaluationMode RunningBackward() => new(this, true);

    /// <summary>A stream of random numbers that depends on the seed, this step's number and how many were asked for before.</summary>
    public PhiloxStream NextRandom() => new(Seed, _streams++, Number);

    /// <summary>Ends the step: everything it owns goes back to the pool.</summary>
    public void Dispose()
    {
        if (_lists is not { } lists)
            return;
        _tape?.Release();
        foreach (var tensor in lists.Owned)
        {
            if (tensor.Step == this)
                tensor.Dispose();
        }

        _lists = null;
        Device.Return(lists);
        Device.Profile?.Enter(OpProfile.Outside);
    }

    /// <summary>The step of an operation's inputs.</summary>
    /// <exception cref="InvalidOperationException">No input belongs to a step, or two belong to different ones.</exception>
    internal static Step Of(string op, params ReadOnlySpan<Tensor?> inputs)
    {
        Step? step = null;
        foreach (var input in inputs)
        {
            if (input?.Step is not { } own)
                continue;
            if (step is not null && step != own)
                throw new InvalidOperationException($"{op}: inputs of two different steps");
            step = own;
        }

        if (step is not null)
        {
            step.Running = op;
            if (!step._runsBackward)
                step.Device.Profile?.Begin(op);
        }

        // What a backward rule computes on the way is its own affair: the gradients that it hands in are checked.
        if (step is { DetectsAnomalies: true, _runsBackward: false })
            Anomaly.CheckInputs(step, op, inputs);
        return step ?? throw new InvalidOperationException($"{op}: no input belongs to a step; bring one in with step.Use(tensor)");
    }

    /// <summary>A tensor of this step with undefined elements.</summary>
    internal Tensor New(Shape shape, DType dtype, string origin)
    {
        if (!_runsBackward)
            Device.Profile?.Make(origin);
        var tensor = NewUnowned(shape, dtype, origin);
        Own(tensor);
        return tensor;
    }

    /// <summary>As <see cref="New"/>, but released by the caller.</summary>
    internal Tensor NewUnowned(Shape shape, DType dtype, string origin)
    {
        ObjectDisposedException.ThrowIf(_lists is null, this);
        var storage = Device.Pool.Rent(shape.Count * dtype.Size(), origin);
        var tensor = Handle(this, Device, storage, dtype, shape, Strides.Contiguous(shape), 0, origin);
        tensor.Step = this;
        return tensor;
    }

    /// <summary>A handle: one that has served before, where a step has some to spare.</summary>
    internal static Tensor Handle(
        Step? step, Device device, Storage storage, DType dtype, Shape shape, in Strides strides, long offset, string origin)
    {
        if (step?._lists is not { } lists || !lists.Spare.TryPop(out var tensor))
            return new Tensor(device, storage, dtype, shape, strides, offset, origin);
        tensor.Become(device, storage, dtype, shape, strides, offset, origin);
        return tensor;
    }

    /// <summary>Lets go of a tensor that nobody but the caller holds, so that its handle may serve again.</summary>
    internal void Recycle(Tensor tensor)
    {
        if (tensor.IsReleased)
            return;
        tensor.Dispose();
        _lists?.Spare.Push(tensor);
    }

    internal void Own(Tensor tensor)
    {
        Lists.Owned.Add(tensor);
        tensor.Step = this;
    }

    /// <summary>Whether a gradient is wanted for any of the inputs, so that the operation must be put on the tape.</summary>
    internal bool Tracks(params ReadOnlySpan<Tensor?> inputs)
    {
        if (!IsRecording)
            return false;
        foreach (var input in inputs)
        {
            if (input is not null && (input.Node >= 0 || input.Parameter is { RequiresGrad: true }))
                return true;
        }

        return false;
    }

    /// <summary>Puts an operation on the tape as the maker of <paramref name="output"/>.</summary>
    internal void Record(Tensor output, Node node, params ReadOnlySpan<Tensor?> inputs)
    {
        output.Node = Tape.Add(node, inputs);
        if (DetectsAnomalies)
            Anomaly.CheckResult(this, node, output);
    }

    /// <summary>Throws when an operation without a derivative is applied to a tensor that a gradient flows through.</summary>
    internal void RefuseGradient(string op, params ReadOnlySpan<Tensor?> inputs)
    {
        if (Tracks(inputs))
            throw new InvalidOperationException($"{op} has no derivative: call Detach() on its input first");
    }

    internal void ReleaseFrom(int start, bool recycles)
    {
        // A scope that outlives its step has nothing left to release.
        if (_lists is null)
            return;
        int kept = start;
        var owned = CollectionsMarshal.AsSpan(_lists.Owned);
        for (int i = start; i < owned.Length; i++)
        {
            var tensor = owned[i];
            if (tensor.Step != this)
                continue;
            if (tensor.Survives)
            {
                tensor.Survives = false;
                owned[kept++] = tensor;
            }
            else if (recycles)
            {
                Recycle(tensor);
            }
            else
            {
                tensor.Dispose();
            }
        }

        CollectionsMarshal.SetCount(_lists.Owned, kept);
    }

    /// <summary>Restores the step's mode when disposed.</summary>
    public readonly ref struct EvaluationMode : IDisposable
    {
        private readonly Step _step;
        private readonly bool _recorded;
        private readonly bool _trained;
        private readonly bool _ranBackward;

        internal EvaluationMode(Step step, bool runsBackward)
        {
            _step = step;
            _recorded = step.IsRecording;
            _trained = step.IsTraining;
            _ranBackward = step._runsBackward;
            step.IsRecording = false;
            step.IsTraining = false;
            step._runsBackward = runsBackward;
        }

        /// <summary>Back to the mode before.</summary>
        public void Dispose()
        {
            _step.IsRecording = _recorded;
            _step.IsTraining = _trained;
            _step._runsBackward = _ranBackward;
        }
    }
}
