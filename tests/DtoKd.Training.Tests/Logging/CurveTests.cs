using DtoKd.Training.Logging;

namespace DtoKd.Training.Tests.Logging;

public sealed class CurveTests
{
    private static Curve Of(int count, Func<int, double> value) =>
        new([.. Enumerable.Range(1, count).Select(i => (double)i)], [.. Enumerable.Range(0, count).Select(value)]);

    [Theory]
    [InlineData(1001)]
    [InlineData(123_456)]
    public void Long_series_become_short_and_keep_their_spikes(int count)
    {
        var thinned = Of(count, i => i == 777 ? 50 : i == 778 ? -50 : Math.Sin(i)).Thinned();
        Assert.InRange(thinned.Count, 500, 1000);
        Assert.Contains(50, thinned.Y);
        Assert.Contains(-50, thinned.Y);
        Assert.Equal(thinned.X.Order(), thinned.X);
    }

    [Fact]
    public void Short_series_stay_whole_and_unsmoothed()
    {
        var curve = Of(99, i => i);
        Assert.Same(curve, curve.Thinned());
        Assert.False(curve.CanSmooth);
    }

    [Fact]
    public void A_stretch_that_begins_with_nan_keeps_its_numbers()
    {
        var thinned = Of(5000, i => i % 10 == 0 ? double.NaN : i).Thinned();
        Assert.DoesNotContain(double.NaN, thinned.Y);
        Assert.Equal(4999, thinned.Y[^1]);
    }

    [Fact]
    public void The_moving_average_is_centred_and_leaves_out_what_is_not_finite()
    {
        // 200 values: a window of two to each side. On a straight line a centred average is the line itself.
        var smoothed = Of(200, i => i == 100 ? double.NaN : i).Smoothed(logarithmic: false);
        Assert.Equal(200, smoothed.Count);
        Assert.Equal(50, smoothed.Y[50], 12);
        Assert.Equal((98 + 99 + 101 + 102) / 4d, smoothed.Y[100], 12);
        Assert.Equal((0 + 1 + 2) / 3d, smoothed.Y[0], 12);
    }

    [Fact]
    public void On_a_logarithmic_axis_the_average_is_geometric()
    {
        var smoothed = Of(200, i => Math.Pow(2, i % 2)).Smoothed(logarithmic: true);
        // Windows of five hold two or three twos.
        Assert.All(smoothed.Y[2..^2], y => Assert.True(Math.Abs(y - Math.Pow(2, 0.4)) < 1e-12 || Math.Abs(y - Math.Pow(2, 0.6)) < 1e-12));
    }

    [Fact]
    public void A_series_without_a_finite_value_is_all_gaps() =>
        Assert.All(Of(300, _ => double.NaN).Smoothed(logarithmic: true).Y, y => Assert.True(double.IsNaN(y)));
}
