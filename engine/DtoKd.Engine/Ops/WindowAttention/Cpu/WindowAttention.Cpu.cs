using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Windows are read from the map and written to it where they lie, in groups of as many heads as a vector has lanes. A piece of work
/// is some neighbouring groups, of which each is fetched while the one before it is computed; backward it sums their gradients of the
/// table on the way.
/// </summary>
internal sealed unsafe class WindowAttentionCpu
{
    /// <summary>
    /// What scores are multiplied by besides, in queries and table, so that their exponentials are powers of two: 1 / ln 2.
    /// </summary>
    public const float ScoreUnit = 1.44269504f;

    // Enough for 16 threads, and so few that most groups have one before them.
    private const int EnoughPieces = 16;

    [ThreadStatic]
    private static float[]? _scratch;

    [ThreadStatic]
    private static float[]? _sums;

    private readonly CpuDevice _device;
    private readonly int _lanes;
    private readonly long _groupsPerPiece;

    public WindowAttentionCpu(WindowLayout layout, Tensor qkv, int heads)
    {
        _device = (CpuDevice)qkv.Device;
        _lanes = _device.Vectors switch
        {
            LaneKind.Lane512 => Lane512.Width,
            LaneKind.Lane256 => Lane256.Width,
            _ => LaneVector.Width,
        };
        (Layout, Heads) = (layout, heads);
        Qkv = qkv.Pointer<float>();
        Size = qkv.Shape[3] / 3;
        Scale = (float)(1 / Math.Sqrt(Depth));
        Windows = (long)qkv.Shape[0] * layout.Windows;
        Groups = ((Windows * heads) + _lanes - 1) / _lanes;
        _groupsPerPiece = Math.Max(1, (Groups + EnoughPieces - 1) / EnoughPieces);
        Pieces = (int)((Groups + _groupsPerPiece - 1) / _groupsPerPiece);
    }

    public WindowLayout Layout { get; }

    public int Heads { get; }

    /// <summary>The numbers of all heads together.</summary>
    public int Size { get; }

    /// <summary>The numbers of a head.</summary>
    public int Depth => Size / Heads;

    /// <summary>The factor of the products of queries and keys.</summary>
    public float Scale { get; }

    /// <summary>[B, H, W, 3 <see cref="Size"/>].</summary>
    public float* Qkv { get; }

    /// <summary>Windows of all images.</summary>
    public long Windows { get; }

    /// <summary>Groups of heads of windows.</summary>
    public long Groups { get; }

    /// <summary>Into how many pieces the groups are cut, of which each has its sum of the table's gradients.</summary>
    public int Pieces { get; }

    /// <summary>Columns of the spread table, in which a vector can be read from every head on.</summary>
    public int TableStride => Heads + _lanes - 1;

    /// <summary>The shape of what the forward pass saves: two vectors for each token of a group.</summary>
    public Shape SavedShape => [checked((int)Groups), Layout.Tokens, 2, _lanes];

    /// <summary>Room in the calling thread's scratch.</summary>
    public static float* Scratch(long length) => PackBuffers.Aligned(ref _scratch, length);

    /// <summary>
    /// Writes the table once more [rows, <see cref="TableStride"/>], with its columns repeating and its numbers in units of scores.
    /// </summary>
    public void SpreadTable(Tensor table, Tensor spread)
    {
        if (!_device.Computes)
            return;
        float* from = table.Pointer<float>(), to = spread.Pointer<float>();
        for (int row = 0; row < Layout.TableRows; row++, from += Heads)
        {
            for (int column = 0, head = 0; column < TableStride; column++, head = head + 1 == Heads ? 0 : head + 1)
                *to++ = from[head] * ScoreUnit;
        }
    }

    /// <summary>Writes the result and what <see cref="Backward"/> needs.</summary>
    /// <param name="table">As <see cref="SpreadTable"/> wrote it.</param>
    /// <param name="y">Contiguous.</param>
    /// <param name="saved">[<see cref="SavedShape"/>].</param>
    public void Forward(Tensor table, Tensor y, Tensor saved)
    {
        if (!_device.Computes)
            return;
        var job = new ForwardJob(this, table.Pointer<float>(), y.Pointer<float>(), saved.Pointer<float>());
        _device.Team.ForRange(Groups, _groupsPerPiece, _device.Vectors switch
        {
            LaneKind.Lane512 => job.Run<Lane512>,
            LaneKind.Lane256 => job.Run<Lane256>,
            _ => job.Run<LaneVector>,
        });
    }

    /// <summary>Adds up the gradients that have a target.</summary>
    /// <param name="table">As <see cref="SpreadTable"/> wrote it.</param>
    /// <param name="saved">As <see cref="Forward"/> wrote it.</param>
    /// <param name="dy">Contiguous.</param>
    /// <param name="dQkv">Of the product's shape, or null.</param>
    /// <param name="dTable">[<see cref="Pieces"/>, rows of the table, heads], or null.</param>
    public void Backward(Tensor table, Tensor saved, Tensor dy, GradTarget? dQkv, Tensor? dTable)
    {
        if (!_device.Computes)
            return;
        var job = new BackwardJob(
            this, table.Pointer<float>(), saved.Pointer<float>(), dy.Pointer<float>(), dQkv, dTable is null ? null : dTable.Pointer<float>());
        _device.Team.ForRange(Pieces, 1, _device.Vectors switch
        {
            LaneKind.Lane512 => job.Run<Lane512>,
            LaneKind.Lane256 => job.Run<Lane256>,
            _ => job.Run<LaneVector>,
        });
    }

    // Where the saved vectors of a group begin.
    private long SavedAt(long group) => group * Layout.Tokens * 2 * _lanes;

    private sealed class ForwardJob(WindowAttentionCpu op, float* table, float* y, float* saved)
    {
        public void Run<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            var lanes = new WindowLanes<V>(op, backward: false, start, end, y);
            for (long group = start; group < end; group++)
                lanes.Forward(group, table, y, saved + op.SavedAt(group));
        }
    }

    private sealed class BackwardJob(WindowAttentionCpu op, float* table, float* saved, float* dy, GradTarget? dQkv, float* dTable)
    {
        private readonly float* _dQkv = dQkv is { } target ? target.Tensor.Pointer<float>() : null;
        private readonly bool _accumulate = dQkv is { Accumulate: true };

        public void Run<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            for (long piece = start; piece < end; piece++)
                Piece<V>(piece);
        }

        private void Piece<V>(long piece)
            where V : unmanaged, IFloatLane<V>
        {
            float* sums = null;
            if (dTable != null)
            {
                int length = op.Layout.TableRows * op.TableStride;
                sums = PackBuffers.Aligned(ref _sums, length);
                new Span<float>(sums, length).Clear();
            }

            long first = piece * op._groupsPerPiece, last = Math.Min(op.Groups, first + op._groupsPerPiece);
            var lanes = new WindowLanes<V>(op, backward: true, first, last, dy);
            for (long group = first; group < last; group++)
                lanes.Backward(group, table, saved + op.SavedAt(group), dy, _dQkv, _accumulate, sums);
            if (sums != null)
                Collect(sums, dTable + (piece * op.Layout.TableRows * op.Heads));
        }

        /// <summary>Adds up the columns that belong to the same head.</summary>
        private void Collect(float* sums, float* table)
        {
            for (int row = 0; row < op.Layout.TableRows; row++, sums += op.TableStride, table += op.Heads)
            {
                new Span<float>(table, op.Heads).Clear();
                for (int column = 0, head = 0; column < op.TableStride; column++, head = head + 1 == op.Heads ? 0 : head + 1)
                    table[head] += sums[column];
            }
        }
    }
}
