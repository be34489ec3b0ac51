using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// A thread takes whole images: the perceptron between the two readings of an image is so small that the image is still near the core,
/// and its matrices are too.
/// </summary>
internal sealed unsafe class SqueezeExciteCpu : ISqueezeExciteKernels
{
    // Rows of a weight's gradient that a task makes.
    private const int RowsPerTask = 64;

    public void Forward(SqueezeExciteInputs inputs, Tensor bias1, Tensor bias2, Tensor y)
    {
        var job = new Job(inputs) { Bias1 = bias1.Pointer<float>(), Bias2 = bias2.Pointer<float>(), Y = y.Pointer<float>() };
        var device = (CpuDevice)y.Device;
        device.Team.For(inputs.Images, device.Vectors switch
        {
            LaneKind.Lane512 => job.Forward<Lane512>,
            LaneKind.Lane256 => job.Forward<Lane256>,
            _ => job.Forward<LaneVector>,
        });
    }

    public void InputGradient(SqueezeExciteInputs inputs, Tensor dy, Tensor excited, Tensor squeezed, GradTarget? dx)
    {
        var job = new Job(inputs)
        {
            Y = dy.Pointer<float>(),
            Excited = excited.Pointer<float>(),
            Squeezed = squeezed.Pointer<float>(),
            Dx = dx is { } target ? target.Tensor.Pointer<float>() : null,
            Accumulate = dx is { Accumulate: true },
        };
        var device = (CpuDevice)dy.Device;
        device.Team.For(inputs.Images, device.Vectors switch
        {
            LaneKind.Lane512 => job.Backward<Lane512>,
            LaneKind.Lane256 => job.Backward<Lane256>,
            _ => job.Backward<LaneVector>,
        });
    }

    public void LayerGradient(Tensor results, Tensor inputs, GradTarget? weight, GradTarget? bias)
    {
        int images = results.Shape[0], outputs = results.Shape[1], length = inputs.Shape[1];
        float* d = results.Pointer<float>(), x = inputs.Pointer<float>();
        var device = (CpuDevice)results.Device;
        device.Team.ForRange(outputs, RowsPerTask, (start, end) =>
        {
            if (weight is { } matrix)
            {
                Gemm.RunSerial(
                    device.Simd, (int)(end - start), length, images, new MatrixView(d + start, 1, outputs), new MatrixView(x, length),
                    matrix.Tensor.Pointer<float>() + (start * length), length, new GemmEpilogue { Accumulate = matrix.Accumulate });
            }

            for (long o = start; o < end && bias is not null; o++)
            {
                float* to = bias.Value.Tensor.Pointer<float>() + o;
                double sum = bias.Value.Accumulate ? *to : 0;
                for (int n = 0; n < images; n++)
                    sum += d[((long)n * outputs) + o];
                *to = (float)sum;
            }
        });
    }

    /// <summary>The images of one pass, each a block of its own.</summary>
    private sealed class Job(SqueezeExciteInputs inputs)
    {
        private readonly int _channels = inputs.Channels;
        private readonly int _squeezed = inputs.Squeezed;
        private readonly long _plane = inputs.Plane;
        private readonly float* _x = inputs.X.Pointer<float>();
        private readonly float* _weight1 = inputs.Weight1.Pointer<float>();
        private readonly float* _weight2 = inputs.Weight2.Pointer<float>();
        private readonly float* _mean = inputs.Mean.Pointer<float>();
        private readonly float* _hidden = inputs.Hidden.Pointer<float>();
        private readonly float* _gate = inputs.Gate.Pointer<float>();

        public float* Bias1 { get; init; }

        public float* Bias2 { get; init; }

        /// <summary>The result, or its gradient.</summary>
        public float* Y { get; init; }

        public float* Excited { get; init; }

        public float* Squeezed { get; init; }

        public float* Dx { get; init; }

        public bool Accumulate { get; init; }

        public void Forward<V>(int image)
            where V : unmanaged, IFloatLane<V>
        {
            long at = image * _channels * _plane;
            float* mean = _mean + ((long)image * _channels), hidden = _hidden + ((long)image * _squeezed);
            float* gate = _gate + ((long)image * _channels);
            for (int c = 0; c < _channels; c++)
            {
                float* plane = _x + at + (c * _plane);
                mean[c] = (float)(LaneRow.Sum<V, Element<V>>(default, plane, plane, _plane) / _plane);
            }

            Layer<V>(_weight1, Bias1, mean, _channels, hidden, _squeezed);
            for (int s = 0; s < _squeezed; s++)
                hidden[s] = Math.Max(0, hidden[s]);
            Layer<V>(_weight2, Bias2, hidden, _squeezed, gate, _channels);
            for (int c = 0; c < _channels; c += V.Width)
                LaneRow.Store(Op.SigmoidFormula.Of(LaneRow.Load<V>(gate + c, _channels - c)), gate + c, _channels - c);

            for (int c = 0; c < _channels; c++)
                Scale<V>(_x + at + (c * _plane), gate[c], 0, Y + at + (c * _plane), add: false);
        }

        public void Backward<V>(int image)
            where V : unmanaged, IFloatLane<V>
        {
            long at = image * _channels * _plane;
            float* gate = _gate + ((long)image * _channels), hidden = _hidden + ((long)image * _squeezed);
            float* excited = Excited + ((long)image * _channels), squeezed = Squeezed + ((long)image * _squeezed);
            new Span<float>(squeezed, _squeezed).Clear();
            for (int c = 0; c < _channels; c++)
            {
                float* dy = Y + at + (c * _plane), x = _x + at + (c * _plane);
                double sum = LaneRow.Sum<V, Product<V>>(default, dy, x, _plane);
                excited[c] = (float)(sum * gate[c] * (1 - gate[c]));
                AddTimes<V>(_weight2 + ((long)c * _squeezed), excited[c], squeezed, _squeezed);
            }

            for (int s = 0; s < _squeezed; s++)
                squeezed[s] = hidden[s] > 0 ? squeezed[s] : 0;
            if (Dx == null)
                return;

            float* means = PackBuffers.A(_channels);
            new Span<float>(means, _channels).Clear();
            for (int s = 0; s < _squeezed; s++)
                AddTimes<V>(_weight1 + ((long)s * _channels), squeezed[s], means, _channels);
            for (int c = 0; c < _channels; c++)
                Scale<V>(Y + at + (c * _plane), gate[c], means[c] / _plane, Dx + at + (c * _plane), Accumulate);
        }

        /// <summary>to = weight x + bias, four rows at a time: they share the loads of x.</summary>
        private static void Layer<V>(float* weight, float* bias, float* x, int inputs, float* to, int outputs)
            where V : unmanaged, IFloatLane<V>
        {
            for (int o = 0; o < outputs; o += 4)
            {
                // Of fewer than four rows that are left the last is computed again.
                int last = outputs - 1, second = Math.Min(o + 1, last), third = Math.Min(o + 2, last), fourth = Math.Min(o + 3, last);
                float* w0 = weight + ((long)o * inputs), w1 = weight + ((long)second * inputs);
                float* w2 = weight + ((long)third * inputs), w3 = weight + ((long)fourth * inputs);
                V s0 = V.Of(0), s1 = s0, s2 = s0, s3 = s0;
                for (int i = 0; i < inputs; i += V.Width)
                {
                    int left = inputs - i;
                    var value = LaneRow.Load<V>(x + i, left);
                    s0 = V.MultiplyAdd(LaneRow.Load<V>(w0 + i, left), value, s0);
                    s1 = V.MultiplyAdd(LaneRow.Load<V>(w1 + i, left), value, s1);
                    s2 = V.MultiplyAdd(LaneRow.Load<V>(w2 + i, left), value, s2);
                    s3 = V.MultiplyAdd(LaneRow.Load<V>(w3 + i, left), value, s3);
                }

                to[o] = (float)V.Sum(s0) + bias[o];
                to[second] = (float)V.Sum(s1) + bias[second];
                to[third] = (float)V.Sum(s2) + bias[third];
                to[fourth] = (float)V.Sum(s3) + bias[fourth];
            }
        }

        /// <summary>to (+)= from factor + shift, for a plane.</summary>
        private void Scale<V>(float* from, float factor, float shift, float* to, bool add)
            where V : unmanaged, IFloatLane<V>
        {
            V f = V.Broadcast(factor), s = V.Broadcast(shift);
            for (long i = 0; i < _plane; i += V.Width)
            {
                var value = V.MultiplyAdd(LaneRow.Load<V>(from + i, _plane - i), f, s);
                LaneRow.Store(add ? value + LaneRow.Load<V>(to + i, _plane - i) : value, to + i, _plane - i);
            }
        }

        /// <summary>sums += row factor.</summary>
        private static void AddTimes<V>(float* row, float factor, float* sums, int count)
            where V : unmanaged, IFloatLane<V>
        {
            var f = V.Broadcast(factor);
            for (int i = 0; i < count; i += V.Width)
            {
                var sum = V.MultiplyAdd(LaneRow.Load<V>(row + i, count - i), f, LaneRow.Load<V>(sums + i, count - i));
                LaneRow.Store(sum, sums + i, count - i);
            }
        }
    }
}
