namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// Channels weighed by a perceptron of their means: y = x g, g = sigmoid(W2 relu(W1 mean(x) + b1) + b2) (Hu et al.: "Squeeze-and-Excitation
    /// networks", 2018). The CPU takes image after image, in one pass over memory; elsewhere it is the operations of that formula.
    /// </summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="weight1">W1, a 1 x 1 kernel: [S, C, 1, 1].</param>
    /// <param name="bias1">b1: [S].</param>
    /// <param name="weight2">W2: [C, S, 1, 1].</param>
    /// <param name="bias2">b2: [C].</param>
    /// <returns>A tensor of x's shape.</returns>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Tensor SqueezeExcite(Tensor x, Tensor weight1, Tensor bias1, Tensor weight2, Tensor bias2)
    {
        const string op = "squeeze_excite";
        var step = Step.Of(op, x, weight1, bias1, weight2, bias2);
        Pointwise.RequireFloat(op, x);
        if (x.Shape.Rank != 4 || weight1.Shape.Rank != 4)
            throw new ArgumentException($"{op}: got x {x.Shape} and weight1 {weight1.Shape}, expected [N, C, H, W] and [S, C, 1, 1]");
        int images = x.Shape[0], channels = x.Shape[1], squeezed = weight1.Shape[0];
        Require.Shape(op, "weight1", weight1, [squeezed, channels, 1, 1], x);
        Require.Shape(op, "bias1", bias1, [squeezed], x);
        Require.Shape(op, "weight2", weight2, [channels, squeezed, 1, 1], x);
        Require.Shape(op, "bias2", bias2, [channels], x);
        if (!x.Device.IsHost)
            return x * SqueezeExciteGate(x, weight1, bias1, weight2, bias2);

        var y = step.New(x.Shape, x.DType, op);
        using var own = step.OwnScope();
        var inputs = new SqueezeExciteInputs
        {
            X = Contiguous(x),
            Weight1 = Contiguous(weight1),
            Weight2 = Contiguous(weight2),
            Mean = step.New([images, channels], x.DType, op),
            Hidden = step.New([images, squeezed], x.DType, op),
            Gate = step.New([images, channels], x.DType, op),
        };
        SqueezeExciteKernels.For(x).Forward(inputs, Contiguous(bias1), Contiguous(bias2), y);
        if (step.Tracks(x, weight1, bias1, weight2, bias2))
            step.Record(y, new SqueezeExciteNode(inputs), x, weight1, bias1, weight2, bias2);
        return y;
    }

    /// <summary>The factors g alone, [N, C, 1, 1]: for a convolution that multiplies its channels as it reads them (<see cref="Conv2dNorm"/>).</summary>
    /// <inheritdoc cref="SqueezeExcite"/>
    /// <returns>[N, C, 1, 1].</returns>
    public static Tensor SqueezeExciteGate(Tensor x, Tensor weight1, Tensor bias1, Tensor weight2, Tensor bias2) =>
        Sigmoid(Conv2d(Relu(Conv2d(Mean(x, [2, 3], keepAxes: true), weight1, bias1)), weight2, bias2));

    internal static readonly KernelTable<ISqueezeExciteKernels> SqueezeExciteKernels = new(new SqueezeExciteReference(), new SqueezeExciteCpu());

    /// <summary>
    /// With s the means, h what is behind the ReLU and e = sum(dy x) g (1 - g) for each image: dW2 = e h^T, db2 = e, d = W2^T e where h is
    /// above 0, dW1 = d s^T, db1 = d, each summed over the images, and dx = dy g + W1^T d / (H W).
    /// </summary>
    private sealed class SqueezeExciteNode : Node
    {
        private readonly SqueezeExciteInputs _inputs;

        public SqueezeExciteNode(SqueezeExciteInputs inputs) => _inputs = new SqueezeExciteInputs
        {
            X = Save(inputs.X),
            Weight1 = Save(inputs.Weight1),
            Weight2 = Save(inputs.Weight2),
            Mean = Save(inputs.Mean),
            Hidden = Save(inputs.Hidden),
            Gate = Save(inputs.Gate),
        };

        public override string Name => "squeeze_excite";

        public override long MultiplyAdds => 2 * _inputs.Mean.Count * _inputs.Squeezed;

        public override void Backward(Tensor dy, Gradients into)
        {
            dy = Contiguous(dy);
            var excited = into.Step.New(_inputs.Gate.Shape, dy.DType, Name);
            var squeezed = into.Step.New(_inputs.Hidden.Shape, dy.DType, Name);
            var kernels = SqueezeExciteKernels.For(dy);
            kernels.InputGradient(_inputs, dy, excited, squeezed, into.Wants(0) ? into.Target(0, dy) : null);
            kernels.LayerGradient(squeezed, _inputs.Mean, into.Wants(1) ? into.Target(1) : null, into.Wants(2) ? into.Target(2) : null);
            kernels.LayerGradient(excited, _inputs.Hidden, into.Wants(3) ? into.Target(3) : null, into.Wants(4) ? into.Target(4) : null);
        }
    }
}

/// <summary>What squeeze-excite computes with; all tensors are contiguous.</summary>
internal sealed class SqueezeExciteInputs
{
    /// <summary>[N, C, H, W].</summary>
    public required Tensor X { get; init; }

    /// <summary>[S, C, 1, 1].</summary>
    public required Tensor Weight1 { get; init; }

    /// <summary>[C, S, 1, 1].</summary>
    public required Tensor Weight2 { get; init; }

    /// <summary>[N, C]; made by the forward pass.</summary>
    public required Tensor Mean { get; init; }

    /// <summary>[N, S], behind the ReLU; likewise.</summary>
    public required Tensor Hidden { get; init; }

    /// <summary>[N, C]; likewise.</summary>
    public required Tensor Gate { get; init; }

    public int Images => X.Shape[0];

    public int Channels => X.Shape[1];

    public int Squeezed => Weight1.Shape[0];

    /// <summary>Pixels of a channel.</summary>
    public long Plane => X.Shape.CountOf(2, 4);
}

/// <summary>Kernels of <see cref="Op.SqueezeExcite"/>.</summary>
internal interface ISqueezeExciteKernels
{
    /// <summary>Means, hidden values and gate, then y.</summary>
    void Forward(SqueezeExciteInputs inputs, Tensor bias1, Tensor bias2, Tensor y);

    /// <summary>The gradients of what is in front of the sigmoid and of the ReLU, and that of x; dx may be dy.</summary>
    /// <param name="inputs">As the forward pass left them.</param>
    /// <param name="dy">The gradient of the result.</param>
    /// <param name="excited">[N, C]: takes that in front of the sigmoid.</param>
    /// <param name="squeezed">[N, S]: takes that in front of the ReLU.</param>
    /// <param name="dx">The gradient of x.</param>
    void InputGradient(SqueezeExciteInputs inputs, Tensor dy, Tensor excited, Tensor squeezed, GradTarget? dx);

    /// <summary>The gradients of a layer's weight and bias, from that of its results [N, outputs] and its inputs [N, inputs].</summary>
    void LayerGradient(Tensor results, Tensor inputs, GradTarget? weight, GradTarget? bias);
}
