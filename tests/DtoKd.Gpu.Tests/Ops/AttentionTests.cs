using DtoKd.Engine;
using DtoKd.Engine.Gpu;

namespace DtoKd.Gpu.Tests.Ops;

public class AttentionTests
{
    [Theory]
    [InlineData("heads of whole vectors")]
    [InlineData("windows of whole vectors")]
    [InlineData("many windows of 7")]
    [InlineData("mask and bias")]
    [InlineData("a query without keys")]
    [InlineData("the same thrice")]
    [InlineData("self in windows")]
    public void A_sample_on_tensor_cores_equals_the_reference(string label)
    {
        Compare(label, MatmulPrecision.High);
        Compare(label, MatmulPrecision.Medium);
    }

    private static void Compare(string label, MatmulPrecision precision)
    {
        var op = new[] { Op.AttentionDeclaration, Op.WindowAttentionDeclaration }
            .Single(one => one.Samples.Any(sample => sample.Label == label));
        TestDevice.Gpu.MatmulPrecision = precision;
        try
        {
            var outcome = OpChecks.Compare(op, op.Samples.Single(one => one.Label == label), TestDevice.Gpu, OpRun.Layout.Contiguous);
            Assert.True(outcome.Passes, outcome.Where);
        }
        finally
        {
            TestDevice.Gpu.MatmulPrecision = MatmulPrecision.Highest;
        }
    }
}
