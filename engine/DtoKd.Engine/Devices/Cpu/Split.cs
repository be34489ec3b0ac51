namespace DtoKd.Engine.Cpu;

/// <summary>How a length is cut into pieces.</summary>
internal static class Split
{
    /// <summary>How many pieces of a length there are, the last of which may be shorter.</summary>
    public static int Pieces(int length, int piece) => (int)(((long)length + piece - 1) / piece);

    /// <summary>The length of the first of <paramref name="pieces"/> nearly equal pieces, rounded up to a multiple.</summary>
    public static int Even(int length, int pieces, int multiple) => Pieces(Pieces(length, pieces), multiple) * multiple;
}
