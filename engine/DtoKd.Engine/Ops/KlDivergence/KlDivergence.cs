namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// T^2 KL(softmax(teacher / T) || softmax(student / T)) of each row: the distillation loss of Hinton, Vinyals, Dean:
    /// "Distilling the knowledge in a neural network", 2015. The factor T^2 keeps the gradient's scale at any temperature.
    /// </summary>
    /// <param name="student">Logits [..., C].</param>
    /// <param name="teacher">Logits of the same shape; a gradient flows through them too unless they are detached.</param>
    /// <param name="temperature">T, positive.</param>
    /// <param name="reduction">The mean is over the rows, which for [N, C] is PyTorch's "batchmean".</param>
    /// <returns>A scalar, or without reduction one value per row.</returns>
    /// <exception cref="ArgumentException">The shapes or types differ, or T is not positive.</exception>
    public static Tensor KlDivergence(
        Tensor student, Tensor teacher, double temperature = 1, Reduction reduction = Reduction.Mean)
    {
        const string op = "kl_divergence";
        var step = Step.Of(op, student, teacher);
        Pointwise.RequireFloat(op, student);
        if (student.Shape.Rank == 0)
            throw new ArgumentException($"{op}: needs logits [..., C], got a scalar");
        Require.Shape(op, "teacher", teacher, student.Shape, student);
        if (temperature is not (> 0 and < double.PositiveInfinity))
            throw new ArgumentException($"{op}: temperature {temperature}, expected a positive number");
        student = Contiguous(student);
        teacher = Contiguous(teacher);
        var rows = student.Shape.Without(-1);
        var loss = step.New(rows, student.DType, op);
        var stats = step.New(rows.Insert(rows.Rank, KlStats.Count), student.DType, op);
        KlDivergenceKernels.For(student).Forward(student, teacher, loss, stats, temperature);
        if (step.Tracks(student, teacher))
            step.Record(loss, new KlDivergenceNode(student, teacher, stats, temperature), student, teacher);
        return Reduce(loss, reduction, rows.Count);
    }

    internal static readonly KernelTable<IKlDivergenceKernels> KlDivergenceKernels =
        new(new KlDivergenceReference(), new KlDivergenceCpu(), new Gpu.KlDivergenceGpu());

    /// <summary>
    /// With p = softmax(teacher / T), q = softmax(student / T): dstudent = T dy (q - p), dteacher = T dy p (log p - log q - KL).
    /// </summary>
    private sealed class KlDivergenceNode : Node
    {
        private readonly Tensor _student;
        private readonly Tensor _teacher;
        private readonly Tensor _stats;
        private readonly double _temperature;

        public KlDivergenceNode(Tensor student, Tensor teacher, Tensor stats, double temperature)
        {
            _student = Save(student);
            _teacher = Save(teacher);
            _stats = Save(stats);
            _temperature = temperature;
        }

        public override string Name => "kl_divergence";

        public override void Backward(Tensor dy, Gradients into)
        {
            var dstudent = into.Wants(0) ? into.Step.New(_student.Shape, dy.DType, Name) : null;
            var dteacher = into.Wants(1) ? into.Step.New(_teacher.Shape, dy.DType, Name) : null;
            KlDivergenceKernels.For(dy).Backward(Contiguous(dy), _student, _teacher, _stats, dstudent, dteacher, _temperature);
            if (dstudent is not null)
                into.Give(0, dstudent);
            if (dteacher is not null)
                into.Give(1, dteacher);
        }
    }
}

/// <summary>
/// What is kept of each row: the largest logit and log(sum exp((logit - largest) / T)) of the student and of the teacher, and
/// the divergence without T^2.
/// </summary>
internal static class KlStats
{
    public const int StudentMax = 0, StudentLogSum = 1, TeacherMax = 2, TeacherLogSum = 3, Divergence = 4, Count = 5;
}

/// <summary>Kernels of <see cref="Op.KlDivergence"/> on contiguous rows.</summary>
internal interface IKlDivergenceKernels
{
    void Forward(Tensor student, Tensor teacher, Tensor loss, Tensor stats, double temperature);

    void Backward(
        Tensor dy, Tensor student, Tensor teacher, Tensor stats, Tensor? dstudent, Tensor? dteacher, double temperature);
}
