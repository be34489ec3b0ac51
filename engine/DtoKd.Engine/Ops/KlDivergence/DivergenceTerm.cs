using System.Runtime.CompilerServices;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// p (log p - log q) - p + q of the student's and the teacher's logits, whose sum is that of its first part. No term is
/// negative, and an error in the logarithm of either sum of exponentials cancels, so that no digits are lost where p is nearly q.
/// </summary>
/// <param name="scale">1 / T.</param>
/// <param name="studentMax">The student's largest logit of the row.</param>
/// <param name="studentLogSum">log(sum exp((logit - largest) / T)).</param>
/// <param name="teacherMax">The teacher's largest logit of the row.</param>
/// <param name="teacherLogSum">As of the student.</param>
internal readonly struct DivergenceTerm<V>(V scale, V studentMax, V studentLogSum, V teacherMax, V teacherLogSum) : ITerm<V>
    where V : unmanaged, IFloatLane<V>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V LogQ(V s) => ((s - studentMax) * scale) - studentLogSum;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V LogP(V t) => ((t - teacherMax) * scale) - teacherLogSum;

    public V Of(V s, V t)
    {
        V logP = LogP(t), logQ = LogQ(s), p = V.Exp(logP), q = V.Exp(logQ), r = logP - logQ;
        // p (e^-r - 1 + r) is the same number without a difference of p and q, but e^-r may be out of range.
        V term = V.Select(V.Less(V.Abs(r), V.Of(1)), p * (r + V.Expm1(-r)), (p * r) + (q - p));
        return V.Select(V.Equal(p, V.Of(0)), q, term);
    }

    /// <summary>The derivative by the student's logit, without the factor T dy.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V StudentSlope(V s, V t) => V.Exp(LogQ(s)) - V.Exp(LogP(t));

    /// <summary>The derivative by the teacher's logit, without the factor T dy.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V TeacherSlope(V s, V t, V divergence)
    {
        V logP = LogP(t), p = V.Exp(logP);
        return V.Select(V.Equal(p, V.Of(0)), V.Of(0), p * (logP - LogQ(s) - divergence));
    }
}
