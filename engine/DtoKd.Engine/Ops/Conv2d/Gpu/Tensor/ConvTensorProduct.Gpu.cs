using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// <see cref="ConvProduct{TTile}"/> on the tensor cores. The channels of a pixel lie side by side, packed to words, so that windows are
/// copied 16 bytes at a time; so do those of a tap of the weights.
/// </summary>
internal readonly struct ConvTensorProduct<TTile, TNumber> : IKernel<ConvProductArgs>
    where TTile : struct, ITensorTile
    where TNumber : struct, IPackedNumber
{
    public static int MaxGroupSize => TensorTile<TTile, TNumber>.Threads;

    public static int SharedBytes => TensorTile<TTile, TNumber>.SharedBytes;

    /// <summary>With the places of the pixels.</summary>
    public static int AllSharedBytes => SharedBytes + (4 * sizeof(int) * Columns);

    private static int Rows => TensorTile<TTile, TNumber>.Rows;

    private static int Columns => TensorTile<TTile, TNumber>.Columns;

    public static void Run(ConvProductArgs args)
    {
        var places = SharedMemory.Allocate<ConvPlace>(Columns);
        var block = new ConvBlock(args, Rows, Columns);
        for (int i = Group.IdxX; i < Columns; i += MaxGroupSize)
            places[i] = ConvPlace.Of(args, block.Group, block.Pixel + i);
        Group.Barrier();
        TensorTile<TTile, TNumber>.Run(new Factors(args, places, block), new ConvTarget(args, places, block), 0, args.Lines);
    }

    internal struct Factors : ITensorFactors
    {
        private readonly ConvProductArgs _args;
        private readonly ArrayView<ConvPlace> _places;
        private readonly ConvBlock _block;
        private ConvStep _step;

        public Factors(ConvProductArgs args, ArrayView<ConvPlace> places, ConvBlock block)
        {
            _args = args;
            _places = places;
            _block = block;
            _step = default;
            _step.Advance(args, 4 * (Group.IdxX & 7));
        }

        public readonly void CopyRows(ArrayView<float> shared, int stage, int word)
        {
            var weights = new ProductOperand { X = _args.Weights, Lines = _args.Rows, Line = _args.Lines };
            TensorTile<TTile, TNumber>.CopyLines(
                weights, _block.Group * _args.Rows * _args.Lines, _block.Row, Rows, shared, stage, word, _args.Lines);
        }

        public void CopyColumns(ArrayView<float> shared, int stage, int word)
        {
            int chunk = Group.IdxX & 7, line = Group.IdxX >> 3;
            ref float to = ref shared[stage + TensorTile<TTile, TNumber>.Place(line, chunk)];
            CopyPixels(ref to, line, 0);
            if (Columns / TensorTile<TTile, TNumber>.Lines == 8)
                CopyPixels(ref to, line, 4);
            _step.Advance(_args, TensorTile<TTile, TNumber>.Slice);
        }

        private readonly void CopyPixels(ref float to, int line, int turn)
        {
            CopyPixel(ref to, line, turn);
            CopyPixel(ref to, line, turn + 1);
            CopyPixel(ref to, line, turn + 2);
            CopyPixel(ref to, line, turn + 3);
        }

        private readonly void CopyPixel(ref float to, int line, int turn)
        {
            int skip = turn * TensorTile<TTile, TNumber>.Lines;
            _step.CopyWords(_args, _places[line + skip], ref to, skip * TensorTile<TTile, TNumber>.Slice * sizeof(float));
        }
    }
}
