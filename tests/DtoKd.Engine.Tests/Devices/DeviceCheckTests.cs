namespace DtoKd.Engine.Tests.Devices;

public class DeviceCheckTests
{
    [Theory]
    [InlineData(1.0, -2.0, 1.0, -2.0, 0)]
    [InlineData(1.0, -2.0, 1.002, -2.0, 1e-3)]
    [InlineData(double.NaN, -2.0, double.NaN, -2.0, 0)]
    [InlineData(double.PositiveInfinity, -2.0, double.PositiveInfinity, -2.0, 0)]
    [InlineData(double.PositiveInfinity, -2.0, double.NegativeInfinity, -2.0, double.PositiveInfinity)]
    [InlineData(1.0, -2.0, double.NaN, -2.0, double.PositiveInfinity)]
    [InlineData(double.NaN, -2.0, 1, -2.0, double.PositiveInfinity)]
    public void The_error_is_relative_to_the_largest_finite_magnitude(double e1, double e2, double a1, double a2, double error)
    {
        var outcome = DeviceCheckOutcome.Compare([e1, e2], [a1, a2], allowed: 1e-2, "x");
        Assert.Equal(error, outcome.Error, error == 0 || double.IsInfinity(error) ? 0 : error * 0.01);
        Assert.Equal(error <= 1e-2, outcome.Passes);
    }

    [Fact]
    public void Values_that_are_not_there_are_no_agreement() =>
        Assert.False(DeviceCheckOutcome.Compare([1, 2], [1], 1, "x").Passes);

    [Fact]
    public void Of_two_outcomes_the_one_nearer_to_failing_is_the_worse()
    {
        var near = new DeviceCheckOutcome(1e-5, 2e-5, "near");
        var far = new DeviceCheckOutcome(1e-4, 1e-3, "far");
        Assert.Equal("near", DeviceCheckOutcome.Worse(near, far).Where);
        Assert.Equal("near", DeviceCheckOutcome.Worse(far, near).Where);
    }
}
