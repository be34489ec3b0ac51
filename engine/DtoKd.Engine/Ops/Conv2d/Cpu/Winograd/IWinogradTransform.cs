namespace DtoKd.Engine.Cpu;

/// <summary>
/// The transforms of one kind of tile: 2 x 2 results of a 3 x 3 convolution, and the pixels they are made of. Tiles, kernels and
/// results come as vectors of neighbouring ones; element (i, j) of a transformed tile is number i <see cref="TileSide"/> + j.
/// </summary>
internal unsafe interface IWinogradTransform
{
    /// <summary>Pixels from one result to the next.</summary>
    static abstract int Stride { get; }

    /// <summary>Rows, and columns, of the pixels of a tile; and of the transformed tile.</summary>
    static abstract int TileSide { get; }

    /// <summary>The transformed kernel's element that an element of a tile is multiplied by.</summary>
    static abstract int KernelElement(int element);

    /// <summary>U = G g G' of a vector of kernels.</summary>
    /// <param name="tap">The kernels' first tap.</param>
    /// <param name="tapStride">From one tap to the next.</param>
    /// <param name="element">Where the first element belongs.</param>
    /// <param name="elementStride">From one element to the next.</param>
    static abstract void Kernels<V>(float* tap, int tapStride, float* element, int elementStride)
        where V : unmanaged, IFloatLane<V>;

    /// <summary>V = B' d B of a vector of tiles.</summary>
    /// <param name="band">
    /// The tiles' first row, [rows, 2 <see cref="Stride"/>, length]: a row's columns by their remainder, so that the same column of
    /// neighbouring tiles is one vector.
    /// </param>
    /// <param name="length">Columns of one remainder.</param>
    /// <param name="to">Where the first element belongs.</param>
    /// <param name="stride">From one element to the next.</param>
    static abstract void Source<V>(float* band, int length, float* to, long stride)
        where V : unmanaged, IFloatLane<V>;

    /// <summary>Y = A' M A of a vector of tiles.</summary>
    /// <param name="m">The first element.</param>
    /// <param name="stride">From one element to the next.</param>
    /// <param name="to">Where the upper left results belong.</param>
    /// <param name="length">From there to the upper right, lower left and lower right ones.</param>
    static abstract void Results<V>(float* m, long stride, float* to, int length)
        where V : unmanaged, IFloatLane<V>;
}
