using DtoKd.Engine;
using DtoKd.Models;

namespace DtoKd.Training.Distillation;

/// <summary>
/// Compares student features with the teacher's at several scales. A linear projector P_s takes the student's feature to the
/// teacher's channels; the loss of a scale is smooth L1 (beta 1, mean) between P_s z_student and the teacher's feature
/// normalised over its channels without affine (VkD, Miles et al. 2024, as its code computes it), and the loss is the mean
/// over the scales.
/// </summary>
/// <remarks>
/// The student's side is not normalised. Scales are paired from the deepest backwards. Both sides are averaged to a common
/// grid first; a grid of one position is the global mean that VkD uses.
/// </remarks>
public sealed class FeatureProjectors
{
    private const double NormEpsilon = 1e-5;

    private readonly Scale[] _scales;

    /// <summary>Declares the projectors.</summary>
    /// <param name="scope">Where their parameters go.</param>
    /// <param name="student">The student's feature maps.</param>
    /// <param name="teacher">The teacher's feature maps.</param>
    /// <param name="scales">How many of the deepest pairs to compare; fewer if one side has fewer.</param>
    /// <param name="grid">The largest side of the common grid.</param>
    public FeatureProjectors(
        ParameterScope scope, IReadOnlyList<FeatureInfo> student, IReadOnlyList<FeatureInfo> teacher, int scales, int grid)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(scales, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(grid, 1);
        int count = Math.Min(scales, Math.Min(student.Count, teacher.Count));
        _scales = new Scale[count];
        for (int i = 0; i < count; i++)
        {
            int s = student.Count - count + i, t = teacher.Count - count + i;
            int rows = Math.Min(grid, Math.Min(student[s].Height, teacher[t].Height));
            int columns = Math.Min(grid, Math.Min(student[s].Width, teacher[t].Width));
            var projector = new Linear(scope[i], student[s].Channels, teacher[t].Channels, bias: false, Init.UniformFanIn);
            _scales[i] = new Scale(s, t, rows, columns, projector);
        }
    }

    /// <summary>The loss, one number.</summary>
    /// <param name="student">The student's features.</param>
    /// <param name="teacher">The teacher's features, without gradient.</param>
    public Tensor Loss(IReadOnlyList<Tensor> student, IReadOnlyList<Tensor> teacher)
    {
        Tensor? sum = null;
        foreach (var scale in _scales)
        {
            var projected = scale.Projector.Forward(Positions(student[scale.Student], scale));
            var target = Positions(teacher[scale.Teacher], scale);
            var loss = Op.SmoothL1Loss(projected, Op.LayerNorm(target, null, null, NormEpsilon));
            sum = sum is null ? loss : sum + loss;
        }

        return Op.Affine(sum!, 1.0 / _scales.Length);
    }

    /// <summary>A map [N, C, H, W] averaged to the scale's grid, channels last: [N, positions, C].</summary>
    private static Tensor Positions(Tensor map, Scale scale)
    {
        int batch = map.Shape[0], channels = map.Shape[1], positions = scale.Rows * scale.Columns;
        if (positions == 1)
            return Op.Reshape(Op.Mean(map, [2, 3]), [batch, 1, channels]);
        var pooled = Op.AdaptiveAvgPool2d(map, new Pair(scale.Rows, scale.Columns));
        return Op.Transpose(Op.Reshape(pooled, [batch, channels, positions]), 1, 2);
    }

    private sealed record Scale(int Student, int Teacher, int Rows, int Columns, Linear Projector);
}
