namespace DtoKd.Engine.Tests.Fixtures;

internal static partial class OpMap
{
    private static Dictionary<string, OpFunction> Shapes => new()
    {
        ["permute"] = c => [Op.Permute(c["x"], c.Ints("dims"))],
        ["reshape_permuted"] = c => [Op.Reshape(Op.Permute(c["x"], c.Ints("dims")), new Shape(c.Ints("shape")))],
        ["expand"] = c => [Op.Expand(c["x"], new Shape(c.Ints("size")))],
        ["flatten"] = c => [Flatten(c["x"], c.Int("start"), c.Int("end"))],
        ["slice"] = c => [Slice(c["x"], c.Rows("slices"))],
        ["unbind"] = c => [.. Enumerable.Range(0, c["x"].Shape[c.Int("dim")]).Select(i => Select(c["x"], c.Int("dim"), i))],
        ["split"] = c => Op.Split(c["x"], c.Ints("sizes"), c.Int("dim")),
        ["chunk"] = c => Op.Chunk(c["x"], c.Int("chunks"), c.Int("dim")),
        ["cat"] = c => [Op.Concat(c.Inputs, c.Int("dim"))],
        ["stack"] = c => [Op.Stack(c.Inputs, c.Int("dim"))],
        ["pad"] = c => [Pad(c["x"], c.Text("mode"), c.Ints("pad"), c.Number("value", 0))],
        ["roll"] = c => [Op.Roll(c["x"], c.Ints("shifts"), c.Ints("dims"))],
        ["flip"] = c => [Op.Flip(c["x"], c.Ints("dims"))],
        ["repeat"] = c => [Op.Repeat(c["x"], c.Ints("repeats"))],
        ["repeat_interleave"] = c => [RepeatInterleave(c["x"], c.Int("dim"), c.Int("repeats"))],
        ["diagonal"] = c => [Diagonal(c["x"], c.Int("offset"))],
        ["tril"] = c => [Triangle(c["x"], (row, column) => column - row <= c.Int("diagonal"))],
        ["triu"] = c => [Triangle(c["x"], (row, column) => column - row >= c.Int("diagonal"))],
        ["index_select"] = c => [Op.IndexSelect(c["x"], c.Int("dim"), c["i"])],
        ["gather"] = c => [Op.Gather(c["x"], c.Int("dim"), c["i"])],
        ["scatter"] = c => [Op.Scatter(c["x"], c.Int("dim"), c["i"], c["src"])],
        ["scatter_add"] = c => [Op.ScatterAdd(c["x"], c.Int("dim"), c["i"], c["src"])],
        ["index_add"] = c => [Op.IndexAdd(c["x"], c.Int("dim"), c["i"], c["src"])],
        ["one_hot"] = c => [Op.OneHot(c["i"], c.Int("num_classes"), DType.I64)],
        ["embedding"] = c => [Embedding(c["w"], c["i"], c.Has("padding_idx") ? c.Int("padding_idx") : -1)],
        ["masked_select"] = c => [MaskedSelect(c["x"], c["m"])],
        ["window_partition"] = c => [Op.WindowPartition(c["x"], c.Int("window"))],
        ["window_reverse"] = c => [Op.WindowReverse(c["x"], c.Int("window"), c.Int("h"), c.Int("w"))],
    };

    private static Tensor Flatten(Tensor x, int start, int end)
    {
        int[] sizes = x.Shape.ToArray();
        return Op.Reshape(x, new Shape([.. sizes[..start], (int)x.Shape.CountOf(start, end + 1), .. sizes[(end + 1)..]]));
    }

    private static Tensor Slice(Tensor x, int[][] slices)
    {
        for (int axis = 0; axis < slices.Length; axis++)
            x = Op.Slice(x, axis, slices[axis][0], Math.Max(slices[axis][0], slices[axis][1]), slices[axis][2]);
        return x;
    }

    private static Tensor Select(Tensor x, int axis, int index) =>
        Op.Reshape(Op.Slice(x, axis, index, index + 1), x.Shape.Without(axis));

    /// <summary>A border that mirrors, repeats the edge or wraps around picks elements that are there by their index.</summary>
    private static Tensor Pad(Tensor x, string mode, int[] pads, double value)
    {
        if (mode == "constant")
            return Op.Pad(x, pads, value);
        for (int i = 0; i < pads.Length; i += 2)
        {
            int axis = x.Shape.Rank - 1 - (i / 2), size = x.Shape[axis];
            long Source(int at) => mode switch
            {
                "reflect" => size - 1 - Math.Abs(size - 1 - Math.Abs(at)),
                "replicate" => Math.Clamp(at, 0, size - 1),
                "circular" => (at + size) % size,
                _ => throw new ArgumentException($"no case had the mode {mode}"),
            };
            long[] index = [.. Enumerable.Range(-pads[i], size + pads[i] + pads[i + 1]).Select(Source)];
            x = Op.IndexSelect(x, axis, x.Step!.From(index, [index.Length]));
        }

        return x;
    }

    /// <summary>The elements (i, i + offset) of the last two axes, for an offset of 0 or more.</summary>
    private static Tensor Diagonal(Tensor x, int offset)
    {
        int rows = x.Shape[^2], columns = x.Shape[^1], count = Math.Min(rows, columns - offset);
        var flat = Op.Reshape(x, x.Shape.Without(-1).With(-1, rows * columns));
        return Op.Slice(flat, -1, offset, offset + ((count - 1) * (columns + 1)) + 1, columns + 1);
    }

    private static Tensor Triangle(Tensor x, Func<int, int, bool> keeps)
    {
        int rows = x.Shape[^2], columns = x.Shape[^1];
        bool[] kept = [.. Enumerable.Range(0, rows * columns).Select(i => keeps(i / columns, i % columns))];
        return Op.Where(x.Step!.From(kept, [rows, columns]), x, x.Step.Zeros([], x.DType));
    }

    private static Tensor Embedding(Tensor table, Tensor index, int padding)
    {
        if (padding >= 0)
        {
            bool[] padded = [.. Enumerable.Range(0, table.Shape[0]).Select(row => row == padding)];
            table = Op.Where(table.Step!.From(padded, [padded.Length, 1]), table.Detach(), table);
        }

        var rows = Op.IndexSelect(table, 0, Op.Reshape(index, [(int)index.Count]));
        return Op.Reshape(rows, [.. index.Shape, table.Shape[1]]);
    }

    private static Tensor MaskedSelect(Tensor x, Tensor mask)
    {
        long[] places = [.. mask.ToArray<bool>().Select((set, i) => (set, i)).Where(at => at.set).Select(at => (long)at.i)];
        return Op.IndexSelect(Op.Reshape(x, [(int)x.Count]), 0, x.Step!.From(places, [places.Length]));
    }

    private static Tensor RepeatInterleave(Tensor x, int axis, int repeats)
    {
        var wide = Op.Expand(Op.Reshape(x, x.Shape.Insert(axis + 1, 1)), x.Shape.Insert(axis + 1, repeats));
        return Op.Reshape(wide, x.Shape.With(axis, x.Shape[axis] * repeats));
    }
}
