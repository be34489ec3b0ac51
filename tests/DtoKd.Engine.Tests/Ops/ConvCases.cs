namespace DtoKd.Engine.Tests.Ops;

/// <summary>Inputs of the tests of convolutions with norms, and how close two results have to be.</summary>
internal static class ConvCases
{
    /// <summary>Numbers from -0.4 to 0.6: their mean is not 0.</summary>
    public static Tensor Random(Step step, Shape shape, int seed)
    {
        var random = new Random(seed);
        return step.From(Enumerable.Range(0, (int)shape.Count).Select(_ => (float)(random.NextDouble() - 0.4)).ToArray(), shape);
    }

    /// <param name="expected">What the result has to be.</param>
    /// <param name="actual">The result.</param>
    /// <param name="tolerance">Relative to the largest magnitude expected.</param>
    public static void AssertClose(Tensor expected, Tensor actual, double tolerance)
    {
        double[] e = expected.ToDoubles(), a = actual.ToDoubles();
        Assert.Equal(e.Length, a.Length);
        double scale = e.Select(Math.Abs).Max();
        for (int i = 0; i < e.Length; i++)
            Assert.Equal(e[i], a[i], tolerance * scale);
    }
}
