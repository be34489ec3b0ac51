using System.Text;
using DtoKd.Engine;
using DtoKd.Engine.Gpu;

namespace DtoKd.Gpu.Tests.Ops;

public class ProductTuningTests
{
    private static readonly ProductShape _shape = new(20, 24, 600, 1, OperandLayout.Along, OperandLayout.Across);

    [Fact]
    public void What_was_fastest_is_kept_and_taken_by_a_device_of_the_same_kind()
    {
        using var device = GpuDevice.Emulated();
        using (var step = Step.Evaluation(device))
            Op.MatMul(step.Zeros([20, 600]), step.Zeros([600, 24]));
        var tuned = Assert.Single(ProductTuning.Tune(device));
        Assert.Equal("20x24x600 Along Across", tuned.Shape);
        Assert.InRange(tuned.BestMicroseconds, 0, tuned.PlannedMicroseconds);
        var best = device.ProductPlans[(MatmulPrecision.Highest, _shape)];
        using var other = GpuDevice.Emulated();
        Assert.Null(ProductTuning.Use(other, ProductTuning.Add(device, null)));
        Assert.Equal(best, ProductPlan.For(_shape, other));
        Assert.Equal(0, device.Pool.LiveBytes);
    }

    [Fact]
    public void Plans_of_other_devices_stay_in_the_file_and_those_of_this_one_are_replaced()
    {
        using var device = GpuDevice.Emulated();
        byte[] others = Encoding.UTF8.GetBytes("""[{ "Device": "another", "Driver": "1.0", "Build": "x", "Products": [] }]""");
        byte[] once = ProductTuning.Add(device, others), twice = ProductTuning.Add(device, once);
        Assert.Contains("another", Encoding.UTF8.GetString(once), StringComparison.Ordinal);
        Assert.Equal(once, twice);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[{")]
    [InlineData("[null]")]
    [InlineData("""[{ "Device": "x" }]""")]
    public void A_damaged_file_is_a_line_and_not_an_error(string content)
    {
        using var device = GpuDevice.Emulated();
        string? problem = ProductTuning.Use(device, Encoding.UTF8.GetBytes(content));
        Assert.NotNull(problem);
        Assert.DoesNotContain('\n', problem);
        Assert.Empty(device.ProductPlans);
        Assert.NotEmpty(ProductTuning.Add(device, Encoding.UTF8.GetBytes(content)));
    }

    [Fact]
    public void What_a_device_cannot_carry_out_is_not_taken()
    {
        using var device = GpuDevice.Emulated();
        device.ProductPlans[(MatmulPrecision.Highest, _shape)] =
            ProductPlan.InPieces(ProductVariant.All.First(variant => variant.Precision == MatmulPrecision.Medium), 600, 1);
        byte[] content = ProductTuning.Add(device, null);
        ProductTuning.Forget(device);
        Assert.Null(ProductTuning.Use(device, content));
        Assert.Empty(device.ProductPlans);
    }
}
