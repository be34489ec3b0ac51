using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

public class KlDivergenceTests
{
    [Theory]
    [InlineData(SimdLevel.Portable)]
    [InlineData(SimdLevel.Avx2)]
    [InlineData(SimdLevel.Avx512)]
    public void Keeps_its_digits_where_the_distributions_nearly_agree(SimdLevel simd)
    {
        using var device = new CpuDevice(2, simd);
        using var step = Step.Evaluation(device);
        var random = new Random(5);
        var teacher = new float[8 * 1000];
        var student = new float[teacher.Length];
        for (int i = 0; i < teacher.Length; i++)
        {
            teacher[i] = (float)(6 * random.NextDouble());
            student[i] = teacher[i] + (float)(0.2 * random.NextDouble());
        }

        Tensor Divergence(DType dtype) => Op.KlDivergence(
            Of(step, student, dtype), Of(step, teacher, dtype), temperature: 20, Reduction.None);
        var exact = Divergence(DType.F64).ToDoubles();
        var single = Divergence(DType.F32).ToDoubles();
        for (int row = 0; row < exact.Length; row++)
            Assert.Equal(exact[row], single[row], 1e-4 * exact[row]);
    }

    [Fact]
    public void A_class_that_the_teacher_excludes_counts_nothing_and_one_that_only_the_student_excludes_is_infinite()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        float[] teacher = [0, 0, float.NegativeInfinity, 0, 0, float.NegativeInfinity];
        float[] student = [0, 0, 0, 0, float.NegativeInfinity, 0];
        Tensor Rows(float[] values) => step.From(values, [2, 3]);
        var divergence = Op.KlDivergence(Rows(student), Rows(teacher), reduction: Reduction.None).ToDoubles();
        // (1/2, 1/2, 0) against thirds: log 3/2.
        Assert.Equal(Math.Log(1.5), divergence[0], 1e-6);
        Assert.Equal(double.PositiveInfinity, divergence[1]);
    }

    private static Tensor Of(Step step, float[] values, DType dtype) => dtype == DType.F64
        ? step.From(Array.ConvertAll(values, value => (double)value), [8, 1000])
        : step.From(values, [8, 1000]);
}
