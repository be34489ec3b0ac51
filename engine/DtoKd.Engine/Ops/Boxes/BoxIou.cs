using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// The intersection over union of each pair of boxes: the area in both divided by the area in either. Two boxes without area
    /// give NaN. Boxes that only touch have intersection 0, and no gradient comes from it.
    /// </summary>
    /// <param name="a">[n, 4] corners (x0, y0, x1, y1) with x0 at most x1 and y0 at most y1.</param>
    /// <param name="b">[m, 4] corners likewise.</param>
    /// <returns>[n, m].</returns>
    /// <exception cref="ArgumentException">The inputs are no lists of boxes, or of different types.</exception>
    public static Tensor BoxIou(Tensor a, Tensor b)
    {
        (a, b) = BoxPairs("box_iou", a, b);
        var (intersection, union) = BoxOverlap(a, b);
        return Div(intersection, union);
    }

    /// <summary>
    /// The generalised intersection over union of each pair of boxes, IoU - (C - U) / C with U the area of the union and C that
    /// of the smallest box around both (Rezatofighi et al.: "Generalized intersection over union", 2019), as DETR's matcher uses
    /// it: nothing is added to the divisors, so that two boxes without area may give NaN.
    /// </summary>
    /// <param name="a">[n, 4] corners (x0, y0, x1, y1) with x0 at most x1 and y0 at most y1.</param>
    /// <param name="b">[m, 4] corners likewise.</param>
    /// <returns>[n, m], from -1 .. 1.</returns>
    /// <exception cref="ArgumentException">The inputs are no lists of boxes, or of different types.</exception>
    public static Tensor GeneralizedBoxIou(Tensor a, Tensor b)
    {
        (a, b) = BoxPairs("generalized_box_iou", a, b);
        return Giou(a, b, eps: 0);
    }

    /// <summary>Views whose elements broadcast to all pairs: [n, 1, 4] and [1, m, 4].</summary>
    private static (Tensor A, Tensor B) BoxPairs(string op, Tensor a, Tensor b)
    {
        RequireBoxList(op, "a", a);
        RequireBoxList(op, "b", b);
        Pointwise.RequireSameType(op, a, b);
        return (Reshape(a, [a.Shape[0], 1, 4]), Reshape(b, [1, b.Shape[0], 4]));
    }

    private static Tensor Giou(Tensor a, Tensor b, double eps)
    {
        var (intersection, union) = BoxOverlap(a, b);
        var hull = BoxArea(BoxHull(a, b));
        return Sub(Div(intersection, Affine(union, 1, eps)), Div(Sub(hull, union), Affine(hull, 1, eps)));
    }

    private static (Tensor Intersection, Tensor Union) BoxOverlap(Tensor a, Tensor b)
    {
        var low = Maximum(Slice(a, -1, 0, 2), Slice(b, -1, 0, 2));
        var high = Minimum(Slice(a, -1, 2), Slice(b, -1, 2));
        var intersection = BoxArea(Relu(Sub(high, low)));
        return (intersection, Sub(Add(BoxArea(BoxSize(a)), BoxArea(BoxSize(b))), intersection));
    }

    /// <summary>[..., 2]: the sides of the smallest box around both.</summary>
    private static Tensor BoxHull(Tensor a, Tensor b) =>
        Sub(Maximum(Slice(a, -1, 2), Slice(b, -1, 2)), Minimum(Slice(a, -1, 0, 2), Slice(b, -1, 0, 2)));

    /// <summary>[..., 2]: width and height.</summary>
    private static Tensor BoxSize(Tensor boxes) => Sub(Slice(boxes, -1, 2), Slice(boxes, -1, 0, 2));

    /// <summary>Width times height.</summary>
    private static Tensor BoxArea(Tensor size) => Prod(size, [-1]);

    internal static OpDeclaration BoxIouDeclaration => BoxPairing(nameof(BoxIou), BoxIou);

    internal static OpDeclaration GeneralizedBoxIouDeclaration => BoxPairing(nameof(GeneralizedBoxIou), GeneralizedBoxIou);

    private static OpDeclaration BoxPairing(string name, Func<Tensor, Tensor, Tensor> op) => new(name)
    {
        Samples =
        [
            new("pairs", [SampleBoxes(5, 4), SampleBoxes(3, 4)], t => op(BoxCxcywhToXyxy(t[0]), BoxCxcywhToXyxy(t[1]))),
            new("one and many", [SampleBoxes(1, 4), SampleBoxes(6, 4)], t => op(BoxCxcywhToXyxy(t[0]), BoxCxcywhToXyxy(t[1]))),
            new("corners anywhere", [Float(4, 4), Float(4, 4)], t => op(BoxSorted(t[0]), BoxSorted(t[1]))),
            new("none", [SampleBoxes(0, 4), SampleBoxes(3, 4)], t => op(t[0], t[1])),
        ],
        Errors =
        [
            new("shape", [Float(2, 3), Float(2, 4)], t => op(t[0], t[1]), "got a F32 [2, 3], expected floats [n, 4]"),
            new("rank", [Float(2, 4), Float(1, 2, 4)], t => op(t[0], t[1]), "got b F32 [1, 2, 4], expected floats [n, 4]"),
        ],
    };

    /// <summary>Centres and sizes of boxes that mostly overlap.</summary>
    private static OpInput SampleBoxes(params ReadOnlySpan<int> sizes) => Uniform(0.4, 1.2, new Shape(sizes));

    /// <summary>Boxes with the given corners in some order: samples that often do not overlap.</summary>
    private static Tensor BoxSorted(Tensor corners)
    {
        Tensor a = Slice(corners, -1, 0, 2), b = Slice(corners, -1, 2);
        return Concat([Minimum(a, b), Maximum(a, b)], -1);
    }
}
