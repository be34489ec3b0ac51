using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>A bias-free convolution, batch norm and, if asked for, ReLU.</summary>
public sealed class ConvNorm
{
    private readonly Conv2d _conv;
    private readonly BatchNorm2d _norm;
    private readonly bool _relu;

    /// <summary>Declares the layers under timm's names <c>conv</c> and <c>bn</c>.</summary>
    /// <param name="scope">The name they share.</param>
    /// <param name="inputs">Channels of the input.</param>
    /// <param name="outputs">Channels of the result.</param>
    /// <param name="kernel">The side of the kernel; padded by half of it.</param>
    /// <param name="stride">The step between positions.</param>
    /// <param name="groups">Groups of channels that do not mix.</param>
    /// <param name="relu">Whether a ReLU follows.</param>
    /// <param name="scale">The batch norm's first weights; ones when null.</param>
    public ConvNorm(
        ParameterScope scope, int inputs, int outputs, int kernel, int stride = 1, int groups = 1, bool relu = true, Initialiser? scale = null)
    {
        _conv = new Conv2d(scope["conv"], inputs, outputs, kernel, stride, groups: groups);
        _norm = new BatchNorm2d(scope["bn"], outputs, scale);
        _relu = relu;
    }

    /// <summary>Declares the layers under two names of their own.</summary>
    /// <param name="conv">The convolution's name.</param>
    /// <param name="norm">The norm's name.</param>
    /// <param name="inputs">Channels of the input.</param>
    /// <param name="outputs">Channels of the result.</param>
    /// <param name="kernel">The side of the kernel; padded by half of it.</param>
    /// <param name="stride">The step between positions.</param>
    /// <param name="groups">Groups of channels that do not mix.</param>
    /// <param name="relu">Whether a ReLU follows.</param>
    /// <param name="initialiser">The convolution's first values; He's rule with a fan-out that knows no groups when null.</param>
    public ConvNorm(
        ParameterScope conv,
        ParameterScope norm,
        int inputs,
        int outputs,
        int kernel,
        int stride = 1,
        int groups = 1,
        bool relu = true,
        Initialiser? initialiser = null)
    {
        _conv = new Conv2d(conv, inputs, outputs, kernel, stride, groups: groups, initialiser: initialiser ?? Init.HeFanOut());
        _norm = new BatchNorm2d(norm, outputs);
        _relu = relu;
    }

    /// <summary>Applies the layers to [N, inputs, H, W].</summary>
    public Tensor Forward(Tensor x) => Forward(x, shortcut: null, _relu);

    /// <summary>
    /// The end of a residual block: the positive part of the layers' result plus a shortcut of its shape. The channels of x may be
    /// multiplied by a gate [N, inputs, 1, 1] before.
    /// </summary>
    public Tensor Forward(Tensor x, Tensor shortcut, Tensor? gate = null) => Forward(x, shortcut, relu: true, gate);

    /// <summary>As <c>next.Forward(Forward(x))</c>. In training, what is between the two need not be stored.</summary>
    public Tensor Forward(Tensor x, ConvNorm next) => x.Step!.IsTraining
        ? next._conv.Forward(_conv.Forward(x, _norm.Training(x.Step), _relu), next._norm.Training(x.Step), next._relu).ToTensor()
        : next.Forward(Forward(x));

    private Tensor Forward(Tensor x, Tensor? shortcut, bool relu, Tensor? gate = null) => x.Step!.IsTraining
        ? _conv.Forward(gate is null ? x : x * gate, _norm.Training(x.Step!), relu).ToTensor(shortcut)
        : _conv.Forward(x, _norm.Fixed, shortcut, relu, gate);
}
