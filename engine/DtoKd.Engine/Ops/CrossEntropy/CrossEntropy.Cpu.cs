using System.Runtime.CompilerServices;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Blocks of whole rows. The logarithms of the softmax are never stored: a row is read for its maximum, its sum and its loss
/// while it is in the first cache.
/// </summary>
internal sealed unsafe class CrossEntropyCpu : ICrossEntropyKernels
{
    private const long Grain = 8192;

    public void Forward(
        Tensor x, Tensor targets, Tensor? weight, Tensor loss, Tensor max, Tensor logSum, CrossEntropyTerms terms)
    {
        var device = (CpuDevice)x.Device;
        var job = new Job(x, targets, weight, loss, max, logSum, null, null, terms);
        device.Team.ForRange(terms.Rows, RowsPerBlock(terms), device.Vectors switch
        {
            LaneKind.Lane512 => job.Forward<Lane512>,
            LaneKind.Lane256 => job.Forward<Lane256>,
            _ => job.Forward<LaneVector>,
        });
    }

    public void Backward(
        Tensor dy,
        Tensor x,
        Tensor targets,
        Tensor? weight,
        Tensor max,
        Tensor logSum,
        Tensor? dx,
        Tensor? dtargets,
        CrossEntropyTerms terms)
    {
        var device = (CpuDevice)x.Device;
        var job = new Job(x, targets, weight, dy, max, logSum, dx, dtargets, terms);
        device.Team.ForRange(terms.Rows, RowsPerBlock(terms), device.Vectors switch
        {
            LaneKind.Lane512 => job.Backward<Lane512>,
            LaneKind.Lane256 => job.Backward<Lane256>,
            _ => job.Backward<LaneVector>,
        });
    }

    private static long RowsPerBlock(CrossEntropyTerms terms) => Math.Max(1, Grain / Math.Max(1, terms.Classes));

    private sealed class Job
    {
        private readonly CrossEntropyTerms _terms;
        private readonly float* _x;
        private readonly long* _labels;
        private readonly float* _probabilities;
        private readonly float* _weight;
        private readonly double _weightSum;
        private readonly float* _loss;
        private readonly float* _max;
        private readonly float* _logSum;
        private readonly float* _dx;
        private readonly float* _dtargets;

        // "loss" is the result in the forward pass and its gradient in the backward pass.
        public Job(
            Tensor x,
            Tensor targets,
            Tensor? weight,
            Tensor loss,
            Tensor max,
            Tensor logSum,
            Tensor? dx,
            Tensor? dtargets,
            CrossEntropyTerms terms)
        {
            _terms = terms;
            _x = x.Pointer<float>();
            if (targets.DType == DType.I64)
                _labels = targets.Pointer<long>();
            else
                _probabilities = targets.Pointer<float>();
            _weight = weight is null ? null : weight.Pointer<float>();
            _weightSum = weight is null ? terms.Classes : 0;
            for (int i = 0; weight is not null && i < terms.Classes; i++)
                _weightSum += _weight[i];
            _loss = loss.Pointer<float>();
            _max = max.Pointer<float>();
            _logSum = logSum.Pointer<float>();
            _dx = dx is null ? null : dx.Pointer<float>();
            _dtargets = dtargets is null ? null : dtargets.Pointer<float>();
        }

        public void Forward<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            int classes = _terms.Classes;
            for (long row = start; row < end; row++)
            {
                float* x = _x + (row * classes);
                float max = LaneRow.Max<V>(x, classes);
                double logSum = Math.Log(LaneRow.Sum<V, ShiftedExp<V>>(new(V.Of(max), V.Of(1)), x, x, classes));
                _max[row] = max;
                _logSum[row] = (float)logSum;
                _loss[row] = (float)(_labels == null ? SoftLoss<V>(x, row, max, logSum) : Loss<V>(x, _labels[row], max, logSum));
            }
        }

        public void Backward<V>(long start, long end)
            where V : unmanaged, IFloatLane<V>
        {
            int classes = _terms.Classes;
            for (long row = start; row < end; row++)
            {
                long at = row * classes;
                if (_labels == null)
                {
                    double sum = LaneRow.Sum<V, Element<V>>(default, _probabilities + at, _probabilities + at, classes);
                    double total = (_terms.Certain * sum) + _terms.Smoothing;
                    SoftRow<V>(_x + at, _probabilities + at, At(_dx, at), At(_dtargets, at), row, total);
                }
                else if (_dx != null)
                {
                    Row<V>(_x + at, _dx + at, row, _labels[row]);
                }
            }
        }

        private static float* At(float* start, long offset) => start == null ? null : start + offset;

        private double LabelWeight(long label) => _weight == null ? 1 : _weight[label];

        private double Loss<V>(float* x, long label, float max, double logSum)
            where V : unmanaged, IFloatLane<V>
        {
            if (label == _terms.IgnoreIndex)
                return 0;
            double loss = _terms.Certain * LabelWeight(label) * (logSum - ((double)x[label] - max));
            if (_terms.Smoothing == 0)
                return loss;
            double shifted = _weight == null
                ? LaneRow.Sum<V, Deviation<V>>(new(V.Of(max)), x, x, _terms.Classes)
                : LaneRow.Sum<V, CentredProduct<V>>(new(V.Of(max)), x, _weight, _terms.Classes);
            return loss + (_terms.Uniform * ((_weightSum * logSum) - shifted));
        }

        private double SoftLoss<V>(float* x, long row, float max, double logSum)
            where V : unmanaged, IFloatLane<V>
        {
            var term = new SoftTerm<V>(V.Of(max), V.Of(logSum), V.Of(_terms.Certain), V.Of(_terms.Uniform));
            return LaneRow.Sum<V, SoftTerm<V>>(term, x, _probabilities + (row * _terms.Classes), _terms.Classes);
        }

        private void Row<V>(float* x, float* dx, long row, long label)
            where V : unmanaged, IFloatLane<V>
        {
            int classes = _terms.Classes;
            if (label == _terms.IgnoreIndex)
            {
                new Span<float>(dx, classes).Clear();
                return;
            }

            double g = _loss[row], certain = _terms.Certain * LabelWeight(label);
            V total = V.Of(g * (certain + (_terms.Uniform * _weightSum))), uniform = V.Of(g * _terms.Uniform);
            V max = V.Of(_max[row]), logSum = V.Of(_logSum[row]);
            float* weight = _weight;
            long i = 0;
            for (; i + V.Width <= classes; i += V.Width)
                Slopes(x + i, weight == null ? null : weight + i, dx + i, max, logSum, total, uniform, V.Width);
            if (i < classes)
                Slopes(x + i, weight == null ? null : weight + i, dx + i, max, logSum, total, uniform, classes - i);
            dx[label] -= (float)(g * certain);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Slopes<V>(float* x, float* weight, float* dx, V max, V logSum, V total, V uniform, long left)
            where V : unmanaged, IFloatLane<V>
        {
            var p = LaneMath.ExpOfNegative(LaneRow.Load<V>(x, left) - max - logSum);
            var q = weight == null ? uniform : uniform * LaneRow.Load<V>(weight, left);
            LaneRow.Store((p * total) - q, dx, left);
        }

        private void SoftRow<V>(float* x, float* t, float* dx, float* dt, long row, double total)
            where V : unmanaged, IFloatLane<V>
        {
            int classes = _terms.Classes;
            V g = V.Of(_loss[row]), sum = V.Of(total), max = V.Of(_max[row]), logSum = V.Of(_logSum[row]);
            V certain = V.Of(_terms.Certain), uniform = V.Of(_terms.Uniform);
            for (long i = 0; i < classes; i += V.Width)
            {
                long left = classes - i;
                var logP = LaneRow.Load<V>(x + i, left) - max - logSum;
                if (dx != null)
                {
                    var q = V.MultiplyAdd(certain, LaneRow.Load<V>(t + i, left), uniform);
                    LaneRow.Store(g * ((LaneMath.ExpOfNegative(logP) * sum) - q), dx + i, left);
                }

                if (dt != null)
                    LaneRow.Store(-(g * certain * logP), dt + i, left);
            }
        }
    }

    /// <summary>(certain t + uniform) (logSum - (x - max)).</summary>
    private readonly struct SoftTerm<V>(V max, V logSum, V certain, V uniform) : ITerm<V>
        where V : unmanaged, IFloatLane<V>
    {
        public V Of(V x, V t) => V.MultiplyAdd(certain, t, uniform) * (logSum - (x - max));
    }
}
