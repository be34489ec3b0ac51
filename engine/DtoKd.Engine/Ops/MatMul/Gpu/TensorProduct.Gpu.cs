using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>A product on the tensor cores of operands that are lines of words (see <see cref="PackLines{TNumber}"/>).</summary>
/// <remarks>The arguments' terms are words.</remarks>
internal readonly struct TensorProduct<TTile, TNumber> : IKernel<ProductArgs>
    where TTile : struct, ITensorTile
    where TNumber : struct, ITensorNumber
{
    public static int MaxGroupSize => TensorTile<TTile, TNumber>.Threads;

    public static int SharedBytes => TensorTile<TTile, TNumber>.SharedBytes;

    public static int Rows => TensorTile<TTile, TNumber>.Rows;

    public static int Columns => TensorTile<TTile, TNumber>.Columns;

    public static void Run(ProductArgs args)
    {
        var at = new ProductBlock(args, Rows, Columns);
        TensorTile<TTile, TNumber>.Run(new Factors(args, at), new Target(args, at), at.First, at.End);
    }

    internal readonly struct Factors(ProductArgs args, ProductBlock at) : ITensorFactors
    {
        private readonly ProductArgs _args = args;
        private readonly ProductBlock _at = at;

        public void CopyRows(ArrayView<float> shared, int stage, int word) => Copy(_args.A, _at.PlaceA, _at.Row, Rows, shared, stage, word);

        public void CopyColumns(ArrayView<float> shared, int stage, int word) =>
            Copy(_args.B, _at.PlaceB, _at.Column, Columns, shared, stage, word);

        private void Copy(ProductOperand operand, int place, int first, int lines, ArrayView<float> shared, int stage, int word)
        {
            if (TNumber.IsAcross)
                TensorTile<TTile, TNumber>.CopyAcross(operand, place, first, lines, shared, stage, word, _at.End);
            else
                TensorTile<TTile, TNumber>.CopyLines(operand, place, first, lines, shared, stage, word, _at.End);
        }
    }

    internal readonly struct Target(ProductArgs args, ProductBlock at) : ITensorTarget
    {
        private readonly ProductTarget _target = new(args, at.Item);
        private readonly int _row = at.Row, _column = at.Column;

        public void Store(int row, int column, Float4 sums) => _target.Store(_row + row, _column + column, sums);
    }
}
