namespace DtoKd.Engine.Tests.Fixtures;

internal static partial class OpMap
{
    private static Dictionary<string, OpFunction> Pointwise => new()
    {
        ["neg"] = c => [Op.Neg(c["x"])],
        ["abs"] = c => [Op.Abs(c["x"])],
        ["exp"] = c => [Op.Exp(c["x"])],
        ["square"] = c => [Op.Square(c["x"])],
        ["sin"] = c => [Op.Sin(c["x"])],
        ["cos"] = c => [Op.Cos(c["x"])],
        ["tanh"] = c => [Op.Tanh(c["x"])],
        ["sigmoid"] = c => [Op.Sigmoid(c["x"])],
        ["relu"] = c => [Op.Relu(c["x"])],
        ["silu"] = c => [Op.Silu(c["x"])],
        ["erf"] = c => [Op.Erf(c["x"])],
        ["softplus"] = c => [Op.Softplus(c["x"])],
        ["expm1"] = c => [Op.Expm1(c["x"])],
        ["hardswish"] = c => [Op.HardSwish(c["x"])],
        ["hardsigmoid"] = c => [Op.HardSigmoid(c["x"])],
        ["elu"] = c => [Op.Elu(c["x"])],
        ["logsigmoid"] = c => [Op.LogSigmoid(c["x"])],
        ["atan"] = c => [Op.Atan(c["x"])],
        ["leaky_relu"] = c => [Op.LeakyRelu(c["x"], c.Number("negative_slope"))],
        ["log"] = c => [Op.Log(c["x"])],
        ["sqrt"] = c => [Op.Sqrt(c["x"])],
        ["rsqrt"] = c => [Op.Rsqrt(c["x"])],
        ["reciprocal"] = c => [Op.Reciprocal(c["x"])],
        ["log1p"] = c => [Op.Log1p(c["x"])],
        ["gelu"] = c => [Op.Gelu(c["x"], c.Text("approximate") == "tanh" ? GeluForm.Tanh : GeluForm.Erf)],
        ["pow_scalar"] = c => [Op.PowScalar(c["x"], c.Number("exponent"))],
        ["clamp"] = c => [Op.Clamp(
            c["x"], c.Number("min", double.NegativeInfinity), c.Number("max", double.PositiveInfinity))],
        ["add"] = c => [Op.Add(c["x"], c["y"])],
        ["sub"] = c => [Op.Sub(c["x"], c["y"])],
        ["mul"] = c => [Op.Mul(c["x"], c["y"])],
        ["div"] = c => [Op.Div(c["x"], c["y"])],
        ["maximum"] = c => [Op.Maximum(c["x"], c["y"])],
        ["minimum"] = c => [Op.Minimum(c["x"], c["y"])],
        ["pow"] = c => [Op.Pow(c["x"], c["y"])],
        ["eq"] = c => [Op.Eq(c["x"], c["y"])],
        ["lt"] = c => [Op.Lt(c["x"], c["y"])],
        ["ge"] = c => [Op.Ge(c["x"], c["y"])],
        ["ne"] = c => [Op.Ne(c["x"], c["y"])],
        ["where"] = c => [Op.Where(c["c"], c["x"], c["y"])],
        ["masked_fill"] = c => [Op.MaskedFill(c["x"], c["m"], c.Number("value"))],
        ["lerp"] = c => [Op.Lerp(c["x"], c["y"], c.Number("weight"))],
        ["inverse_sigmoid"] = c => [InverseSigmoid(c["x"], c.Number("eps"))],
    };

    private static Tensor InverseSigmoid(Tensor x, double eps)
    {
        x = Op.Clamp(x, 0, 1);
        return Op.Log(Op.Clamp(x, eps) / Op.Clamp((x * -1) + 1, eps));
    }
}
