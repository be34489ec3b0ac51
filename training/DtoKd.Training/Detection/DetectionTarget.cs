using DtoKd.Engine;

namespace DtoKd.Training.Detection;

/// <summary>The objects of one image.</summary>
/// <param name="Labels">I64 [m]: their classes.</param>
/// <param name="Boxes">[m, 4]: centre and size (cx, cy, w, h) as shares of the image's width and height.</param>
public sealed record DetectionTarget(Tensor Labels, Tensor Boxes)
{
    /// <summary>The number of objects.</summary>
    public int Count => Boxes.Shape[0];

    /// <summary>Refuses objects that do not fit an image's predictions.</summary>
    /// <param name="who">What refuses, for the message.</param>
    /// <param name="logits">[queries, classes].</param>
    /// <param name="boxes">[queries, 4].</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a label is none of the classes.</exception>
    internal void Check(string who, Tensor logits, Tensor boxes)
    {
        if (logits.Shape.Rank != 2 || boxes.Shape != logits.Shape.With(1, 4))
        {
            throw new ArgumentException(
                $"{who}: got logits {logits.Shape} and boxes {boxes.Shape}, expected [q, classes] and [q, 4]");
        }

        if (Boxes.Shape.Rank != 2 || Boxes.Shape[1] != 4 || Boxes.DType != boxes.DType)
            throw new ArgumentException($"{who}: target boxes are {Boxes.DType} {Boxes.Shape}, expected {boxes.DType} [m, 4]");
        if (Labels.DType != DType.I64 || Labels.Shape != Boxes.Shape.Without(1))
            throw new ArgumentException($"{who}: labels are {Labels.DType} {Labels.Shape}, expected I64 [{Count}]");
        var labels = Labels.ToArray<long>();
        int wrong = Array.FindIndex(labels, label => label < 0 || label >= logits.Shape[1]);
        if (wrong >= 0)
            throw new ArgumentException($"{who}: label {labels[wrong]} of object {wrong} is none of {logits.Shape[1]} classes");
    }
}
