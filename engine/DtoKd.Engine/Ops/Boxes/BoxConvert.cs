using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>Boxes given by centre and size (cx, cy, w, h) as two corners: (cx - w/2, cy - h/2, cx + w/2, cy + h/2).</summary>
    /// <param name="boxes">[..., 4] floats.</param>
    /// <returns>[..., 4]: (x0, y0, x1, y1).</returns>
    /// <exception cref="ArgumentException">The last axis has not 4 elements.</exception>
    public static Tensor BoxCxcywhToXyxy(Tensor boxes)
    {
        RequireBoxes("box_cxcywh_to_xyxy", "boxes", boxes);
        Tensor centre = Slice(boxes, -1, 0, 2), half = Affine(Slice(boxes, -1, 2), 0.5);
        return Concat([Sub(centre, half), Add(centre, half)], -1);
    }

    /// <summary>Boxes given by two corners (x0, y0, x1, y1) as centre and size, undoing <see cref="BoxCxcywhToXyxy"/>.</summary>
    /// <param name="boxes">[..., 4] floats.</param>
    /// <returns>[..., 4]: (cx, cy, w, h).</returns>
    /// <exception cref="ArgumentException">The last axis has not 4 elements.</exception>
    public static Tensor BoxXyxyToCxcywh(Tensor boxes)
    {
        RequireBoxes("box_xyxy_to_cxcywh", "boxes", boxes);
        Tensor low = Slice(boxes, -1, 0, 2), high = Slice(boxes, -1, 2);
        return Concat([Affine(Add(low, high), 0.5), Sub(high, low)], -1);
    }

    private static void RequireBoxes(string op, string name, Tensor boxes)
    {
        if (boxes.Shape.Rank == 0 || boxes.Shape[^1] != 4 || !boxes.DType.IsFloat())
            throw new ArgumentException($"{op}: got {name} {boxes.DType} {boxes.Shape}, expected floats [..., 4]");
    }

    /// <summary>A list of boxes.</summary>
    private static void RequireBoxList(string op, string name, Tensor boxes)
    {
        if (boxes.Shape.Rank != 2 || boxes.Shape[1] != 4 || !boxes.DType.IsFloat())
            throw new ArgumentException($"{op}: got {name} {boxes.DType} {boxes.Shape}, expected floats [n, 4]");
    }

    internal static OpDeclaration BoxCxcywhToXyxyDeclaration => BoxConversion(nameof(BoxCxcywhToXyxy), BoxCxcywhToXyxy);

    internal static OpDeclaration BoxXyxyToCxcywhDeclaration => BoxConversion(nameof(BoxXyxyToCxcywh), BoxXyxyToCxcywh);

    private static OpDeclaration BoxConversion(string name, Func<Tensor, Tensor> op) => new(name)
    {
        Samples =
        [
            new("list", [Float(5, 4)], t => op(t[0])),
            new("batch", [Float(2, 3, 4)], t => op(t[0])),
            new("one", [Float(4)], t => op(t[0])),
            new("none", [Float(0, 4)], t => op(t[0])),
        ],
        Errors =
        [
            new("shape", [Float(4, 5)], t => op(t[0]), "got boxes F32 [4, 5], expected floats [..., 4]"),
            new("scalar", [Float()], t => op(t[0]), "got boxes F32 []"),
            new("type", [Index(9, 3, 4)], t => op(t[0]), "got boxes I64 [3, 4]"),
        ],
    };
}
