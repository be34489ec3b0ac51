using DtoKd.Engine;

namespace DtoKd.Gpu.Tests.Ops;

/// <summary>Gradients of pixels that are read often, as those of the images of a grid sample.</summary>
public class FixedSumsTests
{
    [Fact]
    public void A_small_term_is_not_lost_among_large_ones() =>
        Assert.Equal([0, 1, 0], Gradient([1e8f, 1, -1e8f]));

    [Theory]
    [InlineData(1e-30f)]
    [InlineData(1e30f)]
    public void Terms_of_any_size_add_up(float size)
    {
        float[] sums = Gradient([size, size, size]);
        Assert.Equal(0, sums[0]);
        Assert.Equal(3, sums[1] / size, 1e-6f);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.NegativeInfinity)]
    public void What_is_no_number_is_seen_everywhere(float term) =>
        Assert.All(Gradient([1, term, 2]), sum => Assert.True(float.IsNaN(sum)));

    /// <summary>The gradient of an image of 1 x 3 whose middle pixel is read with these gradients.</summary>
    private static float[] Gradient(float[] dy)
    {
        using var step = Step.Recording(TestDevice.Gpu);
        var image = step.Watch(step.From([1f, 2, 3], [1, 1, 1, 3]));
        var grid = step.From(new float[2 * dy.Length], [1, 1, dy.Length, 2]);
        using var gradients = new GradStore();
        step.Tape.Backward(Op.GridSample(image, grid), step.From(dy, [1, 1, 1, dy.Length]), gradients);
        return gradients.Of(image)!.ToArray<float>();
    }
}
