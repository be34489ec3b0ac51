using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// What is done to every element of a product's result. The CPU does it to each tile as its sums are complete; other kernels run
/// it as an operation of its own. The values are the same. The default is nothing.
/// </summary>
internal readonly struct ProductEnd
{
    private readonly Kind _kind;

    private ProductEnd(Kind kind, Tensor? companion) => (_kind, Companion) = (kind, companion);

    private enum Kind
    {
        None,
        Add,
        Times,
        Gelu,
    }

    /// <summary>The second tensor read or written, contiguous and of the result's shape; null if there is none.</summary>
    public Tensor? Companion { get; }

    /// <summary>Adds a tensor; nothing if it is null.</summary>
    public static ProductEnd Add(Tensor? residual) => residual is null ? default : new(Kind.Add, residual);

    /// <summary>Multiplies by a tensor; nothing if it is null.</summary>
    public static ProductEnd Times(Tensor? factor) => factor is null ? default : new(Kind.Times, factor);

    /// <summary>Takes the GELU (by the error function) and writes its slope, if a tensor for that is given.</summary>
    public static ProductEnd Gelu(Tensor? slope) => new(Kind.Gelu, slope);

    /// <summary>Does it to a tensor.</summary>
    public void Run(Tensor y)
    {
        switch (_kind)
        {
            case Kind.Add:
                Pointwise.Run(default(Op.AddFormula), y, y, Companion!, y);
                break;
            case Kind.Times:
                Pointwise.Run(default(Times), y, y, Companion!, y);
                break;
            case Kind.Gelu when Companion is null:
                Pointwise.Run(default(ValueOnly<Op.GeluFormula>), y, y, y, y);
                break;
            case Kind.Gelu:
                Pointwise.RunWithSlope(default(Op.GeluFormula), y, y, Companion);
                break;
        }
    }

    /// <summary>The same for a tile; null for nothing.</summary>
    public unsafe delegate*<in FinishedTile, void> OnTile(LaneKind lanes) => _kind switch
    {
        Kind.Add => Pointwise.OnTile<Op.AddFormula>(lanes),
        Kind.Times => Pointwise.OnTile<Times>(lanes),
        Kind.Gelu => Companion is null ? Pointwise.OnTile<ValueOnly<Op.GeluFormula>>(lanes) : Pointwise.OnTileWithSlope<Op.GeluFormula>(lanes),
        _ => null,
    };
}
