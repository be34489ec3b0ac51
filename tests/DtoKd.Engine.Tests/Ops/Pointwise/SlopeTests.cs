using System.Reflection;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops.Pointwise;

/// <summary>Every pointwise formula of the engine, found by reflection: its slope is the dual part of its value.</summary>
public class SlopeTests
{
    // What a formula's constructor is given, by the parameter's name; each value makes a formula of its own.
    private static readonly Dictionary<string, object[]> _arguments = new()
    {
        ["slope"] = [0.1, -0.5],
        ["alpha"] = [1.0, 0.7],
        ["min"] = [-0.75],
        ["max"] = [0.85],
        ["delta"] = [0.75],
        ["scale"] = [1.0, 1.5],
        ["gamma"] = [2.0, 0.0, 1.5],
        ["exponent"] = [2.0, 3.0, 0.5, -1.5, 2.2, 0.0],
    };

    private static readonly double[] _points = [-30.5, -6.1, -2.3, -0.9, -0.31, -1e-3, 1e-3, 0.2, 0.77, 1.4, 2.9, 5.3, 31.7];

    public static TheoryData<string> Unary => [.. Formulas(typeof(IUnary)).Keys];

    public static TheoryData<string> WithSlope => [.. Formulas(typeof(IUnaryWithSlope)).Keys];

    public static TheoryData<string> Binary => [.. Formulas(typeof(IBinary)).Keys];

    [Theory]
    [MemberData(nameof(Unary))]
    public void The_slope_of_one_number_is_the_dual_part_of_the_value(string key)
    {
        object formula = Formulas(typeof(IUnary))[key];
        Call(nameof(CheckUnary), formula);
    }

    [Theory]
    [MemberData(nameof(WithSlope))]
    public void A_slope_that_comes_with_the_value_is_its_dual_part(string key) =>
        Call(nameof(CheckWithSlope), Formulas(typeof(IUnaryWithSlope))[key]);

    [Theory]
    [MemberData(nameof(Binary))]
    public void The_slopes_of_two_numbers_are_the_dual_parts_of_the_value(string key)
    {
        object formula = Formulas(typeof(IBinary))[key];
        Call(nameof(CheckBinary), formula);
    }

    [Fact]
    public void The_formulas_are_found()
    {
        Assert.Contains("GeluFormula()", WithSlope.Select(row => row.Data));
        Assert.Contains("ExpFormula()", Unary.Select(row => row.Data));
        Assert.Contains("DivFormula()", Binary.Select(row => row.Data));
    }

    private static Dictionary<string, object> Formulas(Type kind)
    {
        var found = new Dictionary<string, object>();
        foreach (var type in typeof(Op).Assembly.GetTypes().Where(type => type.IsValueType && kind.IsAssignableFrom(type)))
        {
            var constructor = type.GetConstructors().FirstOrDefault();
            foreach (object[] arguments in Choices(constructor?.GetParameters() ?? []))
                found[$"{type.Name}({string.Join(", ", arguments)})"] = Activator.CreateInstance(type, arguments)!;
        }

        return found;
    }

    private static IEnumerable<object[]> Choices(ParameterInfo[] parameters)
    {
        IEnumerable<object[]> choices = [[]];
        foreach (var parameter in parameters)
        {
            string name = parameter.Name!;
            Assert.True(_arguments.ContainsKey(name), $"give {name} of {parameter.Member.DeclaringType!.Name} values here");
            choices = choices.SelectMany(before => _arguments[name].Select(value => (object[])[.. before, value])).ToArray();
        }

        return choices;
    }

    private static void Call(string method, object formula) => typeof(SlopeTests)
        .GetMethod(method, BindingFlags.Static | BindingFlags.NonPublic)!
        .MakeGenericMethod(formula.GetType())
        .Invoke(null, BindingFlags.DoNotWrapExceptions, null, [formula], null);

    private static void CheckUnary<TFormula>(TFormula formula)
        where TFormula : struct, IUnary
    {
        int compared = 0;
        foreach (double x in _points)
        {
            var value = formula.Value(new DualLane(x, 1));
            if (!double.IsFinite(value.Value) || !double.IsFinite(value.Slope))
                continue;
            var slope = formula.Slope<LaneDouble>(TFormula.SlopeOfResult ? value.Value : x);
            AssertClose(value.Slope, slope.Value, $"at {x}");
            compared++;
        }

        Assert.True(compared >= 6);
    }

    private static void CheckWithSlope<TFormula>(TFormula formula)
        where TFormula : struct, IUnaryWithSlope
    {
        foreach (double x in _points)
        {
            var dual = formula.Value(new DualLane(x, 1));
            double value = formula.ValueAndSlope<LaneDouble>(x, out var slope).Value;
            Assert.Equal(dual.Value, value, 1e-12);
            AssertClose(dual.Slope, slope.Value, $"at {x}");
        }
    }

    private static void CheckBinary<TFormula>(TFormula formula)
        where TFormula : struct, IBinary
    {
        int compared = 0;
        foreach (double a in _points)
        {
            foreach (double b in _points)
            {
                var inA = formula.Value(new DualLane(a, 1), DualLane.Of(b));
                var inB = formula.Value(DualLane.Of(a), new DualLane(b, 1));
                if (double.IsFinite(inA.Value) && double.IsFinite(inA.Slope))
                {
                    AssertClose(inA.Slope, formula.SlopeA<LaneDouble>(a, b).Value, $"in a at {a}, {b}");
                    compared++;
                }

                if (double.IsFinite(inB.Value) && double.IsFinite(inB.Slope))
                {
                    AssertClose(inB.Slope, formula.SlopeB<LaneDouble>(a, b).Value, $"in b at {a}, {b}");
                    compared++;
                }
            }
        }

        Assert.True(compared >= 100);
    }

    private static void AssertClose(double expected, double actual, string where) => Assert.True(
        Math.Abs(expected - actual) <= 1e-11 + (1e-10 * Math.Abs(expected)),
        $"slope {actual:g12} {where}, the value's dual part is {expected:g12}");
}
