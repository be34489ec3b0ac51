using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>Blocks one after the other.</summary>
internal static class BlockChain
{
    /// <summary>
    /// Applies each block to what the one before made, which is let go of as soon as it has been read: without a tape its memory
    /// serves the next block, with one it is freed, or written over, as the backward pass leaves it behind.
    /// </summary>
    public static Tensor Chain<TBlock>(this IEnumerable<TBlock> blocks, Tensor x, Func<TBlock, Tensor, Tensor> forward)
    {
        var first = x;
        foreach (var block in blocks)
        {
            var y = forward(block, x);
            if (x != first && x != y)
                x.Dispose();
            x = y;
        }

        return x;
    }
}
