using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>A team of threads for each row; neither distribution is ever stored.</summary>
internal sealed class KlDivergenceGpu : IKlDivergenceKernels
{
    public void Forward(Tensor student, Tensor teacher, Tensor loss, Tensor stats, double temperature) =>
        RowTeam.Launch<KlForward<WarpOfRow>, KlForward<GroupOfRow>, KlArgs>(
            (GpuDevice)student.Device, loss.Count, student.Shape[^1], new(student, teacher, loss, stats, temperature));

    public void Backward(
        Tensor dy, Tensor student, Tensor teacher, Tensor stats, Tensor? dstudent, Tensor? dteacher, double temperature)
    {
        var args = new KlArgs(student, teacher, dy, stats, temperature)
        {
            WantsStudent = dstudent is null ? 0 : 1,
            WantsTeacher = dteacher is null ? 0 : 1,
        };
        if (dstudent is not null)
            args.Dstudent = GpuDevice.View<float>(dstudent);
        if (dteacher is not null)
            args.Dteacher = GpuDevice.View<float>(dteacher);
        RowTeam.Launch<KlBackward<WarpOfRow>, KlBackward<GroupOfRow>, KlArgs>(
            (GpuDevice)dy.Device, dy.Count, student.Shape[^1], args);
    }
}

/// <summary>"Loss" is the result in the forward pass and its gradient in the backward pass.</summary>
internal struct KlArgs
{
    public ArrayView<float> Student, Teacher, Loss, Stats, Dstudent, Dteacher;
    public float Temperature, Scale;
    public int Rows, Classes, WantsStudent, WantsTeacher;

    public KlArgs(Tensor student, Tensor teacher, Tensor loss, Tensor stats, double temperature)
    {
        Student = GpuDevice.View<float>(student);
        Teacher = GpuDevice.View<float>(teacher);
        Loss = GpuDevice.View<float>(loss);
        Stats = GpuDevice.View<float>(stats);
        (Dstudent, Dteacher) = (Student, Teacher);
        Temperature = (float)temperature;
        Scale = (float)(1 / temperature);
        Rows = checked((int)loss.Count);
        Classes = student.Shape[^1];
        WantsStudent = WantsTeacher = 0;
    }
}

internal readonly struct KlForward<TTeam> : IKernel<KlArgs>
    where TTeam : struct, IRowTeam
{
    public static void Run(KlArgs args)
    {
        int row = TTeam.Row, first = (row * args.Classes) + TTeam.Rank, end = row < args.Rows ? (row + 1) * args.Classes : 0;
        float maxS = float.NegativeInfinity, maxT = maxS;
        for (int i = first; i < end; i += TTeam.Size)
        {
            maxS = Ptx.Max(maxS, args.Student[i]);
            maxT = Ptx.Max(maxT, args.Teacher[i]);
        }

        maxS = TTeam.Fold<Op.LargerOf>(maxS);
        maxT = TTeam.Fold<Op.LargerOf>(maxT);
        float sumS = 0, sumT = 0;
        for (int i = first; i < end; i += TTeam.Size)
        {
            sumS += GpuLane.Exp(new((args.Student[i] - maxS) * args.Scale)).Value;
            sumT += GpuLane.Exp(new((args.Teacher[i] - maxT) * args.Scale)).Value;
        }

        GpuLane logS = GpuLane.Log(new(TTeam.Fold<SumOf>(sumS))), logT = GpuLane.Log(new(TTeam.Fold<SumOf>(sumT)));
        var term = new DivergenceTerm<GpuLane>(new(args.Scale), new(maxS), logS, new(maxT), logT);
        float divergence = 0;
        for (int i = first; i < end; i += TTeam.Size)
            divergence += term.Of(new(args.Student[i]), new(args.Teacher[i])).Value;
        divergence = TTeam.Fold<SumOf>(divergence);
        if (TTeam.Rank != 0 || row >= args.Rows)
            return;
        int stats = row * KlStats.Count;
        args.Stats[stats + KlStats.StudentMax] = maxS;
        args.Stats[stats + KlStats.StudentLogSum] = logS.Value;
        args.Stats[stats + KlStats.TeacherMax] = maxT;
        args.Stats[stats + KlStats.TeacherLogSum] = logT.Value;
        args.Stats[stats + KlStats.Divergence] = divergence;
        args.Loss[row] = args.Temperature * args.Temperature * divergence;
    }
}

internal readonly struct KlBackward<TTeam> : IKernel<KlArgs>
    where TTeam : struct, IRowTeam
{
    public static void Run(KlArgs args)
    {
        int row = TTeam.Row, end = (row + 1) * args.Classes, stats = row * KlStats.Count;
        if (row >= args.Rows)
            return;
        var term = new DivergenceTerm<GpuLane>(
            new(args.Scale),
            new(args.Stats[stats + KlStats.StudentMax]),
            new(args.Stats[stats + KlStats.StudentLogSum]),
            new(args.Stats[stats + KlStats.TeacherMax]),
            new(args.Stats[stats + KlStats.TeacherLogSum]));
        float gradient = args.Temperature * args.Loss[row];
        var divergence = new GpuLane(args.Stats[stats + KlStats.Divergence]);
        for (int i = (row * args.Classes) + TTeam.Rank; i < end; i += TTeam.Size)
        {
            GpuLane s = new(args.Student[i]), t = new(args.Teacher[i]);
            if (args.WantsStudent != 0)
                args.Dstudent[i] = gradient * term.StudentSlope(s, t).Value;
            if (args.WantsTeacher != 0)
                args.Dteacher[i] = gradient * term.TeacherSlope(s, t, divergence).Value;
        }
    }
}
