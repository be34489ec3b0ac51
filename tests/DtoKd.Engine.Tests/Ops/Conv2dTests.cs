using DtoKd.Engine.Cpu;
using FsCheck.Xunit;

namespace DtoKd.Engine.Tests.Ops;

public class Conv2dTests
{
    [Fact]
    public void A_case_by_hand()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Recording(device);
        var x = step.Watch(step.From([1f, 2, 3, 4, 5, 6, 7, 8, 9], [1, 1, 3, 3]));
        var w = step.Watch(step.From([1f, 0, 0, -1], [1, 1, 2, 2]));
        var b = step.Watch(step.From([10f], [1]));
        // Each element less its neighbour below on the right, plus 10.
        var y = Op.Conv2d(x, w, b);
        Assert.Equal([6f, 6, 6, 6], y.ToArray<float>());

        using var store = new GradStore();
        step.Tape.Backward(y, step.From([1f, 2, 3, 4], [1, 1, 2, 2]), store);
        Assert.Equal([1f, 2, 0, 3, 3, -2, 0, -3, -4], store.Of(x)!.ToArray<float>());
        // 1 * 1 + 2 * 2 + 3 * 4 + 4 * 5, then the same one pixel to the right, below, and both.
        Assert.Equal([37f, 47, 67, 77], store.Of(w)!.ToArray<float>());
        Assert.Equal([10f], store.Of(b)!.ToArray<float>());
    }

    [Fact]
    public void A_strided_and_padded_case_by_hand()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var x = step.From([1f, 2, 3, 4, 5, 6, 7, 8, 9], [1, 1, 3, 3]);
        var w = step.Full([1, 1, 3, 3], 1);
        // Sums of the corners' neighbourhoods.
        Assert.Equal([12f, 16, 24, 28], Op.Conv2d(x, w, stride: 2, padding: 1).ToArray<float>());
    }

    [Fact]
    public void Two_large_images_together_are_as_each_alone()
    {
        // Together their input has more than 8 MiB, and is gone through image by image; one alone, group by group.
        const int Groups = 4, Channels = 16, Height = 256, Width = 260, Image = Channels * Height * Width;
        using var device = new CpuDevice(2);
        var random = new Random(3);
        float[] x = [.. Enumerable.Range(0, 2 * Image).Select(_ => random.NextSingle() - 0.5f)];
        float[] weight = [.. Enumerable.Range(0, Channels * Channels / Groups * 9).Select(_ => random.NextSingle() - 0.5f)];
        Assert.True(2 * Image > 2 << 20 && Image <= 2 << 20);
        var both = Run(x, 2);
        float[][] first = Run(x[..Image], 1), second = Run(x[Image..], 1);
        Assert.Equal(both[0], first[0].Concat(second[0]));
        Assert.Equal(both[1], first[1].Concat(second[1]));
        for (int i = 0; i < weight.Length; i++)
            Assert.Equal(first[2][i] + second[2][i], both[2][i], 1e-4 * Math.Max(10, Math.Abs(both[2][i])));

        // The result, and the gradients of half its squares' sum.
        float[][] Run(float[] images, int count)
        {
            using var step = Step.Recording(device);
            Tensor input = step.Watch(step.From(images, [count, Channels, Height, Width]));
            Tensor kernel = step.Watch(step.From(weight, [Channels, Channels / Groups, 3, 3]));
            var y = Op.Conv2d(input, kernel, padding: 1, groups: Groups);
            using var store = new GradStore();
            step.Tape.Backward(y, y, store);
            return [y.ToArray<float>(), store.Of(input)!.ToArray<float>(), store.Of(kernel)!.ToArray<float>()];
        }
    }

    [Property(MaxTest = 60)]
    public void Groups_are_convolutions_side_by_side(int seed)
    {
        var c = Case.Of(seed);
        using var device = new CpuDevice(2);
        using var step = Step.Evaluation(device);
        var (x, w) = (c.X(step), c.W(step));
        var y = c.Conv(x, w).ToArray<float>();
        int channels = x.Shape[1] / c.Groups, outputs = w.Shape[0] / c.Groups;
        for (int g = 0; g < c.Groups; g++)
        {
            var part = Op.Conv2d(
                Op.Slice(x, 1, g * channels, (g + 1) * channels), Op.Slice(w, 0, g * outputs, (g + 1) * outputs), null,
                c.Stride, c.Padding, c.Dilation);
            var values = part.ToArray<float>();
            int area = part.Shape[2] * part.Shape[3];
            for (int i = 0; i < values.Length; i++)
            {
                int image = i / (outputs * area), within = i % (outputs * area);
                Assert.Equal(values[i], y[(((image * c.Groups) + g) * outputs * area) + within], 1e-4f);
            }
        }
    }

    [Property(MaxTest = 100)]
    public void The_gradients_are_the_adjoints(int seed)
    {
        var c = Case.Of(seed);
        using var device = new CpuDevice(2);
        using var step = Step.Recording(device);
        Tensor x = step.Watch(c.X(step)), w = step.Watch(c.W(step));
        var y = c.Conv(x, w);
        var u = c.Random(step, y.Shape, 3);
        using var store = new GradStore();
        step.Tape.Backward(y, u, store);
        double product = Dot(y, u), scale = 1e-5 * Math.Sqrt(Dot(y, y) * Dot(u, u));
        Assert.Equal(product, Dot(x, store.Of(x)!), scale);
        Assert.Equal(product, Dot(w, store.Of(w)!), scale);
    }

    [Property(MaxTest = 60)]
    public void Single_precision_equals_plain_loops_in_double(int seed)
    {
        var c = Case.Of(seed);
        using var device = new CpuDevice(2);
        using var step = Step.Recording(device);
        (double[] Y, double[] Dx, double[] Dw) Run(bool inDouble)
        {
            Tensor x = c.X(step), w = c.W(step);
            if (inDouble)
                (x, w) = (step.From(x.ToDoubles(), x.Shape), step.From(w.ToDoubles(), w.Shape));
            (x, w) = (step.Watch(x), step.Watch(w));
            var y = c.Conv(x, w);
            var u = c.Random(step, y.Shape, 3);
            using var store = new GradStore();
            step.Tape.Backward(y, inDouble ? step.From(u.ToDoubles(), u.Shape) : u, store);
            return (y.ToDoubles(), store.Of(x)!.ToDoubles(), store.Of(w)!.ToDoubles());
        }

        var (expected, actual) = (Run(true), Run(false));
        AssertClose(expected.Y, actual.Y);
        AssertClose(expected.Dx, actual.Dx);
        AssertClose(expected.Dw, actual.Dw);
    }

    [Fact]
    public void The_gradient_of_an_input_with_two_readers_is_the_sum()
    {
        using var device = new CpuDevice(2);
        using var step = Step.Recording(device);
        // 8 x 8 goes to the destination at once, 7 x 7 by way of the scratch.
        foreach (int size in new[] { 8, 7 })
        {
            var c = new Case(5, 2, 4, size, size, 4, 3, 3, 1, 1, 1, 2);
            Tensor x = step.Watch(c.X(step)), w = step.Watch(c.W(step));
            var u = c.Random(step, c.Conv(x, w).Shape, 3);
            using GradStore once = new(), twice = new();
            step.Tape.Backward(c.Conv(x, w), u, once);
            step.Tape.Backward(c.Conv(x, w) + c.Conv(x, w), u, twice);
            AssertClose(Array.ConvertAll(once.Of(x)!.ToDoubles(), v => 2 * v), twice.Of(x)!.ToDoubles());
            AssertClose(Array.ConvertAll(once.Of(w)!.ToDoubles(), v => 2 * v), twice.Of(w)!.ToDoubles());
        }
    }

    [Fact]
    public void Infinity_reaches_only_the_windows_that_see_it()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var values = new float[2 * 5 * 5];
        values[12] = float.PositiveInfinity;
        var y = Op.Conv2d(step.From(values, [2, 1, 5, 5]), step.Full([1, 1, 3, 3], 1), padding: 1).ToArray<float>();
        for (int i = 0; i < y.Length; i++)
        {
            bool sees = i < 25 && Math.Abs((i / 5) - 2) <= 1 && Math.Abs((i % 5) - 2) <= 1;
            Assert.Equal(sees ? float.PositiveInfinity : 0, y[i]);
        }
    }

    [Fact]
    public void Transposing_the_convolution_swaps_value_and_gradient()
    {
        using var device = new CpuDevice(2);
        using var step = Step.Recording(device);
        var c = new Case(9, 2, 4, 7, 9, 6, 3, 3, 2, 1, 1, 2);
        Tensor x = step.Watch(c.X(step)), w = c.W(step);
        var y = c.Conv(x, w);
        var u = c.Random(step, y.Shape, 3);
        using var store = new GradStore();
        step.Tape.Backward(y, u, store);
        var z = Op.ConvTranspose2d(u, w, stride: 2, padding: 1, groups: 2);
        Assert.Equal(store.Of(x)!.ToArray<float>(), z.ToArray<float>());
    }

    private static double Dot(Tensor a, Tensor b) => a.ToDoubles().Zip(b.ToDoubles(), (x, y) => x * y).Sum();

    [Fact]
    public void Layouts_are_made_once_and_right_after_any_number_of_others()
    {
        var layouts = new ConvLayouts();
        var first = layouts.Of(Sizes(9), ConvProduct.Forward, 16);
        Assert.Same(first, layouts.Of(Sizes(9), ConvProduct.Forward, 16));
        Assert.NotSame(first, layouts.Of(Sizes(9), ConvProduct.WeightGradient, 16));
        Assert.NotSame(first, layouts.Of(Sizes(9), ConvProduct.Forward, 8));
        for (int width = 10; width < 10 + ConvLayouts.Capacity; width++)
        {
            var (kept, made) = (layouts.Of(Sizes(width), ConvProduct.Forward, 16), new ConvLayout(Sizes(width), ConvProduct.Forward, 16));
            Assert.Equal(made.Offsets, kept.Offsets);
            Assert.Equal(made.Bases, kept.Bases);
        }

        Assert.NotSame(first, layouts.Of(Sizes(9), ConvProduct.Forward, 16));

        static Conv2dGeometry Sizes(int width) => new(1, 2, 5, width, 2, Kernel: 3, Stride: 1, Padding: 1, Dilation: 1, Groups: 1);
    }

    private static void AssertClose(double[] expected, double[] actual)
    {
        double scale = expected.Select(Math.Abs).DefaultIfEmpty(0).Max();
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], (1e-5 * scale) + 1e-6);
    }

    /// <summary>A convolution with generated values.</summary>
    private sealed record Case(
        int Seed, int N, int C, int Height, int Width, int O, int KernelH, int KernelW, Pair Stride, Pair Padding, Pair Dilation,
        int Groups)
    {
        public static Case Of(int seed)
        {
            var random = new Random(seed);
            int groups = random.Next(1, 4);
            Pair dilation = (random.Next(1, 4), random.Next(1, 3)), padding = (random.Next(4), random.Next(5));
            int kernelH = random.Next(1, 4), kernelW = random.Next(1, 5);
            int leastH = Math.Max(1, (dilation.Height * (kernelH - 1)) + 1 - (2 * padding.Height));
            int leastW = Math.Max(1, (dilation.Width * (kernelW - 1)) + 1 - (2 * padding.Width));
            return new Case(
                seed, random.Next(1, 6), groups * random.Next(1, 4), leastH + random.Next(12), leastW + random.Next(20),
                groups * random.Next(1, 7), kernelH, kernelW, (random.Next(1, 4), random.Next(1, 4)), padding, dilation, groups);
        }

        public Tensor X(Step step) => Random(step, [N, C, Height, Width], 1);

        public Tensor W(Step step) => Random(step, [O, C / Groups, KernelH, KernelW], 2);

        public Tensor Conv(Tensor x, Tensor w) => Op.Conv2d(x, w, null, Stride, Padding, Dilation, Groups);

        public Tensor Random(Step step, Shape shape, int stream)
        {
            var random = new Random((Seed * 31) + stream);
            var values = new float[shape.Count];
            for (int i = 0; i < values.Length; i++)
                values[i] = (float)((2 * random.NextDouble()) - 1);
            return step.From(values, shape);
        }
    }
}
