using DtoKd.Engine;
using DtoKd.Models;
using DtoKd.Training.Optim;

namespace DtoKd.Training.Benchmarks;

/// <summary>One operation, forward and backward, on shapes of the networks that use it most.</summary>
public sealed class OpWorkload : Workload
{
    private const int Tokens = 197;
    private const int TokenSize = 192;
    private const int Heads = 3;
    private const ulong Seed = 1;

    private readonly Device _device;
    private readonly ParameterArena _arena;
    private readonly GradStore _gradients;
    private readonly Optimiser? _optimiser;
    private readonly Func<Step, Parameter[], Tensor> _forward;

    /// <summary>Prepares an operation.</summary>
    /// <param name="device">Where to compute.</param>
    /// <param name="op">One of <see cref="Names"/>.</param>
    /// <param name="batch">Images that the shapes are for.</param>
    /// <exception cref="ArgumentException">The name is unknown (the message lists the known ones), or the batch too large.</exception>
    public OpWorkload(Device device, string op, int batch)
        : base($"op {op} batch {batch}", batch, "items")
    {
        _device = device;
        _arena = new ParameterArena(device);
        Shape[] inputs;
        (inputs, _forward) = Describe(op, batch);
        long elements = inputs.Sum(input => input.Count);
        if (elements > int.MaxValue)
            throw new ArgumentException($"a batch of {batch} gives {op} inputs of {elements} elements; at most {int.MaxValue} fit");
        for (int i = 0; i < inputs.Length; i++)
            _arena.Root.Parameter($"{i}", inputs[i], static (values, _, random) => random.FillNormal(values));
        _arena.Seal(Seed);
        _gradients = new GradStore(_arena);
        if (op == "adamw")
            _optimiser = new AdamW(_arena, weightDecay: 0.01);
        double floats = inputs[0].Count;
        // Read and written at least: forward x, y; backward x (or y), dy, dx. AdamW: parameter and two moments both ways, gradient.
        Bytes = sizeof(float) * op switch
        {
            "layernorm" or "gelu" or "softmax" => 5 * floats,
            "adamw" => 7 * floats,
            _ => 0,
        };
        Flops = op switch
        {
            // Seven products of a backward pass that recomputes the scores; two of the forward.
            "attention" => 2.0 * 7 * batch * Heads * Tokens * Tokens * (TokenSize / Heads),
            "conv3x3" => 2.0 * 3 * batch * 56 * 56 * 64 * 64 * 9,
            "groupconv3x3" => 2.0 * 3 * batch * 56 * 56 * 224 * 112 * 9,
            _ => 0,
        };
    }

    /// <summary>The operations.</summary>
    public static IReadOnlyList<string> Names { get; } =
        ["layernorm", "gelu", "softmax", "attention", "conv3x3", "groupconv3x3", "dropout", "where", "adamw"];

    /// <inheritdoc/>
    public override void Run()
    {
        if (_optimiser is not null)
        {
            _optimiser.Step(_gradients.Flat, scale: 1, learningRate: 1e-3);
            return;
        }

        using var step = Step.Training(_device);
        step.Tape.Backward(Op.Sum(_forward(step, [.. _arena.Parameters])), _gradients);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _gradients.Dispose();
        _optimiser?.Dispose();
        _arena.Dispose();
    }

    private static (Shape[] Inputs, Func<Step, Parameter[], Tensor> Forward) Describe(string op, int batch) => op switch
    {
        "layernorm" => ([[batch, Tokens, TokenSize], [TokenSize], [TokenSize]], (step, p) => Op.LayerNorm(step.Use(p[0]), p[1], p[2])),
        "gelu" => ([[batch, Tokens, 4 * TokenSize]], (step, p) => Op.Gelu(step.Use(p[0]))),
        "softmax" => (
            [[batch * Heads, Tokens, Tokens], [batch * Heads, Tokens, Tokens]],
            (step, p) => Op.Softmax(step.Use(p[0])) * step.Use(p[1]).Detach()),
        "attention" => (
            [.. Enumerable.Repeat(new Shape(batch, Heads, Tokens, TokenSize / Heads), 3)],
            (step, p) => Op.Attention(step.Use(p[0]), step.Use(p[1]), step.Use(p[2]))),
        "conv3x3" => ([[batch, 64, 56, 56], [64, 64, 3, 3]], (step, p) => Op.Conv2d(step.Use(p[0]), p[1], padding: 1)),
        "groupconv3x3" => (
            [[batch, 224, 56, 56], [224, 112, 3, 3]], (step, p) => Op.Conv2d(step.Use(p[0]), p[1], padding: 1, groups: 2)),
        "dropout" => ([[batch, Tokens, 4 * TokenSize]], (step, p) => Op.Dropout(step.Use(p[0]), 0.1)),
        "where" => (
            [[batch, Tokens, 4 * TokenSize], [batch, Tokens, 4 * TokenSize]],
            (step, p) => Op.Where(Op.Lt(step.Use(p[0]).Detach(), step.Use(p[1]).Detach()), step.Use(p[0]), step.Use(p[1]))),
        "adamw" => ([.. Enumerable.Repeat(new Shape(768, 768), 12)], (_, _) => throw new InvalidOperationException("no forward pass")),
        _ => throw new ArgumentException(KnownNames.Unknown("operation", op, Names)),
    };
}
