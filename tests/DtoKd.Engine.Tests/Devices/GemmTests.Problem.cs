using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Devices;

public sealed unsafe partial class GemmTests
{
    /// <summary>Random operands in padded memory, and the check of a result against the product in double precision.</summary>
    private sealed class Problem
    {
        private const int Margin = 40;

        private readonly int _m;
        private readonly int _n;
        private readonly int _k;
        private readonly Layout _aLayout;
        private readonly Layout _bLayout;
        private readonly float[] _a;
        private readonly float[] _b;
        private readonly float[] _c;
        private readonly float[] _bias;
        private readonly float[] _companion;

        public Problem(int m, int n, int k, int seed, Layout aLayout = Layout.Rows, Layout bLayout = Layout.Rows)
        {
            (_m, _n, _k, _aLayout, _bLayout) = (m, n, k, aLayout, bLayout);
            var random = new Random(seed);
            _a = Values(random, m * k);
            _b = Values(random, k * n);
            _c = Values(random, m * n);
            _bias = Values(random, n);
            _companion = Values(random, 2 * Margin + m * CStride);
        }

        public bool Accumulate { get; init; }

        public bool HasBias { get; init; }

        /// <summary>Whether each tile is multiplied by a companion once it is complete.</summary>
        public bool HasFinish { get; init; }

        /// <summary>Steps along K that lie side by side; 0 for all.</summary>
        public int Run { get; init; }

        public float Outside { get; init; } = Canary;

        private int CStride => _n + 3;

        public int IndexOfC(int i, int j) => Margin + i * CStride + j;

        public void CheckSerial(SimdLevel simd) => Check(Serial(simd));

        public float[] Serial(SimdLevel simd) => Compute((a, b, c, cStride, epilogue) =>
            Gemm.RunSerial(simd, _m, _n, _k, a, b, c, cStride, epilogue));

        /// <summary>Runs a product and returns C with its surroundings.</summary>
        public float[] Compute(Call call)
        {
            var (aMemory, aRow, aColumn) = Run > 0 ? PlaceRuns((line, step) => _a[(line * _k) + step], _m) : Place(_a, _m, _k, _aLayout);
            var (bMemory, bRow, bColumn) = Run > 0 ? PlaceRuns((line, step) => _b[(step * _n) + line], _n) : Place(_b, _k, _n, _bLayout);
            if (Run > 0)
                (bRow, bColumn) = (bColumn, bRow);
            float[] cMemory = new float[2 * Margin + _m * CStride];
            Array.Fill(cMemory, Canary);
            for (int i = 0; i < _m; i++)
            {
                for (int j = 0; j < _n; j++)
                    cMemory[IndexOfC(i, j)] = Accumulate ? _c[i * _n + j] : float.NaN;
            }

            fixed (float* a = aMemory, b = bMemory, c = cMemory, bias = _bias, companion = _companion)
            {
                var epilogue = new GemmEpilogue
                {
                    Accumulate = Accumulate,
                    Bias = HasBias ? bias : null,
                    Finish = HasFinish ? &MultiplyTile : null,
                    Companion = HasFinish ? companion + Margin : null,
                };
                call(
                    new MatrixView(a + Margin, aRow, aColumn) { RunLength = Run, RunStride = RunStride(_m) },
                    new MatrixView(b + Margin, bRow, bColumn) { RunLength = Run, RunStride = RunStride(_n) },
                    c + Margin,
                    CStride,
                    epilogue);
            }

            return cMemory;
        }

        private static void MultiplyTile(in FinishedTile tile)
        {
            for (int i = 0; i < tile.Rows; i++)
            {
                for (int j = 0; j < tile.Columns; j++)
                    tile.C[(i * tile.Stride) + j] *= tile.Companion[(i * tile.Stride) + j];
            }
        }

        public void Check(float[] memory)
        {
            int next = 0;
            for (int i = 0; i < _m; i++)
            {
                for (int j = 0; j < _n; j++)
                {
                    for (; next < IndexOfC(i, j); next++)
                        Assert.Equal(Canary, memory[next]);
                    double sum = 0, magnitude = 0;
                    for (int p = 0; p < _k; p++)
                    {
                        double term = (double)_a[i * _k + p] * _b[p * _n + j];
                        sum += term;
                        magnitude += Math.Abs(term);
                    }

                    Add(Accumulate, _c[i * _n + j]);
                    Add(HasBias, _bias[j]);
                    double factor = HasFinish ? _companion[IndexOfC(i, j)] : 1;
                    sum *= factor;
                    magnitude *= Math.Abs(factor);
                    double error = Math.Abs(memory[next] - sum);
                    if (!(error <= Tolerance * magnitude))
                    {
                        Assert.Fail($"{_m}x{_n}x{_k} {_aLayout}/{_bLayout}: C[{i},{j}] is {memory[next]}, not {sum} " +
                            $"(error {error:E1}, magnitude {magnitude:E1})");
                    }

                    next++;

                    void Add(bool present, float value)
                    {
                        sum += present ? value : 0;
                        magnitude += present ? Math.Abs(value) : 0;
                    }
                }
            }

            for (; next < memory.Length; next++)
                Assert.Equal(Canary, memory[next]);
        }

        private int RunStride(int lines) => (lines * (Run + 2)) + 9;

        /// <summary>Lines along K, cut into runs that lie one behind the other.</summary>
        private (float[] Memory, int LineStride, int StepStride) PlaceRuns(Func<int, int, float> value, int lines)
        {
            int runs = (_k + Run - 1) / Run;
            float[] memory = new float[(2 * Margin) + (runs * RunStride(lines))];
            Array.Fill(memory, Outside);
            for (int line = 0; line < lines; line++)
            {
                for (int step = 0; step < _k; step++)
                    memory[Margin + (step / Run * RunStride(lines)) + (line * (Run + 2)) + (step % Run)] = value(line, step);
            }

            return (memory, Run + 2, 1);
        }

        private (float[] Memory, int RowStride, int ColumnStride) Place(float[] values, int rows, int columns, Layout layout)
        {
            var (rowStride, columnStride) = layout switch
            {
                Layout.Rows => (columns + 5, 1),
                Layout.Columns => (1, rows + 3),
                _ => (3 * columns + 2, 3),
            };
            float[] memory = new float[2 * Margin + rows * rowStride + columns * columnStride];
            Array.Fill(memory, Outside);
            for (int i = 0; i < rows; i++)
            {
                for (int j = 0; j < columns; j++)
                    memory[Margin + i * rowStride + j * columnStride] = values[i * columns + j];
            }

            return (memory, rowStride, columnStride);
        }
    }
}
