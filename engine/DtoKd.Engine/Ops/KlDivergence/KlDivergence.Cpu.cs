using System.Runtime.CompilerServices;
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
        device.Team.ForRange(perRow.Count, Math.Max(1, Grain / Math.Max(1, job.Classes)), device.Simd switch
        {
            SimdLevel.Avx512 => backward ? job.Backward<Lane512> : job.Forward<Lane512>,
            SimdLevel.Avx2 => backward ? job.Backward<Lane256> : job.Forward<Lane256>,
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
                double divergence = LaneRow.Sum<V, DivergenceTerm<V>>(new(kept, temperature), s, t, Classes);
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
                    new DivergenceTerm<V>(_stats + (row * KlStats.Count), temperature),
                    _student + at,
                    _teacher + at,
                    _dstudent == null ? null : _dstudent + at,
                    _dteacher == null ? null : _dteacher + at,
                    V.Of(temperature * _loss[row]),
                    V.Of(_stats[(row * KlStats.Count) + KlStats.Divergence]),
                    Classes);
            }
        }

        private static void Row<V>(
            DivergenceTerm<V> term, float* s, float* t, float* ds, float* dt, V g, V divergence, long classes)
            where V : unmanaged, IFloatLane<V>
        {
            for (long i = 0; i < classes; i += V.Width)
            {
                long left = classes - i;
                V logQ = term.LogQ(LaneRow.Load<V>(s + i, left)), logP = term.LogP(LaneRow.Load<V>(t + i, left));
                var p = V.Exp(logP);
                if (ds != null)
                    LaneRow.Store(g * (V.Exp(logQ) - p), ds + i, left);
                if (dt != null)
                    LaneRow.Store(V.Select(V.Equal(p, V.Of(0)), V.Of(0), g * p * (logP - logQ - divergence)), dt + i, left);
            }
        }
    }

    /// <summary>
    /// p (log p - log q) - p + q of the student's and the teacher's logits, whose sum is that of its first part. No term is
    /// negative, and an error in the logarithm of either sum of exponentials cancels, so that no digits are lost where p is nearly q.
    /// </summary>
    private readonly struct DivergenceTerm<V>(float* kept, double temperature) : ITerm<V>
        where V : unmanaged, IFloatLane<V>
    {
        private readonly V _scale = V.Of(1 / temperature);
        private readonly V _studentMax = V.Of(kept[KlStats.StudentMax]);
        private readonly V _studentLogSum = V.Of(kept[KlStats.StudentLogSum]);
        private readonly V _teacherMax = V.Of(kept[KlStats.TeacherMax]);
        private readonly V _teacherLogSum = V.Of(kept[KlStats.TeacherLogSum]);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V LogQ(V s) => ((s - _studentMax) * _scale) - _studentLogSum;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V LogP(V t) => ((t - _teacherMax) * _scale) - _teacherLogSum;

        public V Of(V s, V t)
        {
            V logP = LogP(t), logQ = LogQ(s), p = V.Exp(logP), q = V.Exp(logQ), r = logP - logQ;
            // p (e^-r - 1 + r) is the same number without a difference of p and q, but e^-r may be out of range.
            V term = V.Select(V.Less(V.Abs(r), V.Of(1)), p * (r + V.Expm1(-r)), (p * r) + (q - p));
            return V.Select(V.Equal(p, V.Of(0)), q, term);
        }
    }
}
