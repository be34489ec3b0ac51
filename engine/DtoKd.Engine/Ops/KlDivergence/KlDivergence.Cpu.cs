using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>Blocks of whole rows; neither distribution is ever stored.</summary>
internal sealed unsafe class KlDivergenceCpu : IKlDivergenceKernels
{
    private const long Grain = 8192;

    public void Forward(Tensor student, Tensor teacher, Tensor loss, Tensor stats, double temperature) =>
        Run(new(student, teacher, loss, stats, null, null, temperature), loss, backward: false);

    public void Backward(
        Tensor dy, Tensor student, Tensor teacher, Tensor stats, Tensor? dstudent, Tensor? dteacher, double temperature) =>
        Run(new(student, teacher, dy, stats, dstudent, dteacher, temperature), dy, backward: true);

    private static void Run(Job job, Tensor perRow, bool backward)
    {
        var device = (CpuDevice)perRow.Device;
        device.Team.ForRange(perRow.Count, Math.Max(1, Grain / Math.Max(1, job.Classes)), device.Vectors switch
        {
            LaneKind.Lane512 => backward ? job.Backward<Lane512> : job.Forward<Lane512>,
            LaneKind.Lane256 => backward ? job.Backward<Lane256> : job.Forward<Lane256>,
            _ => backward ? job.Backward<LaneVector> : job.Forward<LaneVector>,
        });
    }

    // "loss" is the result in the forward pass and its gradient in the backward pass.
    private sealed class Job(
        Tensor student, Tensor teacher, Tensor loss, Tensor stats, Tensor? dstudent, Tensor? dteacher, double temperature)
    {
        private readonly float* _student = student.Pointer<float>();
        private readonly float* _teacher = teacher.Pointer<float>();
        private readonly float* _loss = loss.Pointer<float>();
        private readonly float* _stats = stats.Pointer<float>();
        private readonly float* _dstudent = dstudent is null ? null : dstudent.Pointer<float>();
        private readonly float* _dteacher = dteacher is null ? null : dteacher.Pointer<float>();

        public int Classes { get; } = student.Shape[^1];

        public void Forward<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            for (long row = start; row < end; row++)
            {
                float* s = _student + (row * Classes), t = _teacher + (row * Classes), kept = _stats + (row * KlStats.Count);
                kept[KlStats.StudentMax] = LaneRow.Max<V>(s, Classes);
                kept[KlStats.TeacherMax] = LaneRow.Max<V>(t, Classes);
                V scale = V.Of(1 / temperature);
                double logS = Math.Log(LaneRow.Sum<V, ShiftedExp<V>>(new(V.Of(kept[KlStats.StudentMax]), scale), s, s, Classes));
                double logT = Math.Log(LaneRow.Sum<V, ShiftedExp<V>>(new(V.Of(kept[KlStats.TeacherMax]), scale), t, t, Classes));
                kept[KlStats.StudentLogSum] = (float)logS;
                kept[KlStats.TeacherLogSum] = (float)logT;
                double divergence = LaneRow.Sum<V, DivergenceTerm<V>>(Term<V>(kept), s, t, Classes);
                kept[KlStats.Divergence] = (float)divergence;
                _loss[row] = (float)(temperature * temperature * divergence);
            }
        }

        public void Backward<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            for (long row = start; row < end; row++)
            {
                long at = row * Classes;
                Row<V>(
                    Term<V>(_stats + (row * KlStats.Count)),
                    _student + at,
                    _teacher + at,
                    _dstudent == null ? null : _dstudent + at,
                    _dteacher == null ? null : _dteacher + at,
                    V.Of(temperature * _loss[row]),
                    V.Of(_stats[(row * KlStats.Count) + KlStats.Divergence]),
                    Classes);
            }
        }

        private DivergenceTerm<V> Term<V>(float* kept)
            where V : unmanaged, IFloatLane<V> => new(
                V.Of(1 / temperature),
                V.Of(kept[KlStats.StudentMax]),
                V.Of(kept[KlStats.StudentLogSum]),
                V.Of(kept[KlStats.TeacherMax]),
                V.Of(kept[KlStats.TeacherLogSum]));

        private static void Row<V>(
            DivergenceTerm<V> term, float* s, float* t, float* ds, float* dt, V g, V divergence, long classes)
            where V : unmanaged, IFloatLane<V>
        {
            for (long i = 0; i < classes; i += V.Width)
            {
                long left = classes - i;
                V x = LaneRow.Load<V>(s + i, left), y = LaneRow.Load<V>(t + i, left);
                if (ds != null)
                    LaneRow.Store(g * term.StudentSlope(x, y), ds + i, left);
                if (dt != null)
                    LaneRow.Store(g * term.TeacherSlope(x, y, divergence), dt + i, left);
            }
        }
    }
}
