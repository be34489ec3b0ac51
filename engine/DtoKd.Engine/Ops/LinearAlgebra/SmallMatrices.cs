using System.Numerics.Tensors;

namespace DtoKd.Engine;

/// <summary>
/// Row-major n x n matrices of doubles, one at a time. They are small where they occur (a projection of features), so there are
/// no blocks and no threads: every function is its textbook loop over rows.
/// </summary>
internal static unsafe class SmallMatrices
{
    // |A| <= 1/2 leaves a remainder below 2^-15 / 15! = 2e-17 after this degree.
    public const int TaylorDegree = 14;
    public const double TaylorNorm = 0.5;

    /// <summary>
    /// Gaussian elimination with partial pivoting: b becomes a^-1 b, a is destroyed.
    /// </summary>
    /// <param name="a">n x n.</param>
    /// <param name="n">The order.</param>
    /// <param name="b">n x columns right-hand sides.</param>
    /// <param name="columns">How many; 0 for the determinant alone.</param>
    /// <param name="singular">The first column without a pivot other than zero, or -1.</param>
    /// <returns>The determinant.</returns>
    public static double Eliminate(double* a, int n, double* b, int columns, out int singular)
    {
        double determinant = 1;
        for (int k = 0; k < n; k++)
        {
            int pivot = k;
            for (int i = k + 1; i < n; i++)
            {
                if (Math.Abs(a[(i * n) + k]) > Math.Abs(a[(pivot * n) + k]))
                    pivot = i;
            }

            if (a[(pivot * n) + k] == 0)
            {
                singular = k;
                return 0;
            }

            if (pivot != k)
            {
                Swap(a + (pivot * n), a + (k * n), n);
                Swap(b + (pivot * columns), b + (k * columns), columns);
                determinant = -determinant;
            }

            double* row = a + (k * n);
            determinant *= row[k];
            for (int i = k + 1; i < n; i++)
            {
                double factor = -a[(i * n) + k] / row[k];
                AddScaled(a + (i * n) + k, row + k, factor, n - k);
                AddScaled(b + (i * columns), b + (k * columns), factor, columns);
            }
        }

        for (int k = n - 1; k >= 0; k--)
        {
            double* solution = b + (k * columns);
            for (int j = k + 1; j < n; j++)
                AddScaled(solution, b + (j * columns), -a[(k * n) + j], columns);
            for (int c = 0; c < columns; c++)
                solution[c] /= a[(k * n) + k];
        }

        singular = -1;
        return determinant;
    }

    /// <summary>The lower L with L L^T = (a + a^T) / 2, in place of a, zeros above the diagonal.</summary>
    /// <param name="a">n x n.</param>
    /// <param name="n">The order.</param>
    /// <param name="failed">The first pivot that is not positive, or 1.</param>
    /// <returns>Its column, or -1.</returns>
    public static int Cholesky(double* a, int n, out double failed)
    {
        failed = 1;
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j <= i; j++)
            {
                double rest = 0.5 * (a[(i * n) + j] + a[(j * n) + i]);
                for (int k = 0; k < j; k++)
                    rest -= a[(i * n) + k] * a[(j * n) + k];
                if (j < i)
                {
                    a[(i * n) + j] = rest / a[(j * n) + j];
                    continue;
                }

                if (!(rest > 0))
                {
                    failed = rest;
                    return i;
                }

                a[(i * n) + i] = Math.Sqrt(rest);
            }
        }

        // Cleared at the end only: until then it is the other half of the symmetric part.
        for (int i = 0; i < n; i++)
            new Span<double>(a + (i * n) + i + 1, n - i - 1).Clear();
        return -1;
    }

    /// <summary>
    /// y = exp(a) by scaling and squaring (Higham: "Functions of matrices", 2008, chapter 10): the Taylor polynomial at a / 2^s,
    /// squared s times. Not a number throughout where a is not finite.
    /// </summary>
    /// <param name="a">n x n; destroyed.</param>
    /// <param name="y">The result.</param>
    /// <param name="work">Room for n x n.</param>
    /// <param name="n">The order.</param>
    public static void Exp(double* a, double* y, double* work, int n)
    {
        var result = new Span<double>(y, n * n);
        double norm = RowSumNorm(a, n);
        if (!double.IsFinite(norm))
        {
            result.Fill(double.NaN);
            return;
        }

        int squarings = norm > TaylorNorm ? (int)Math.Ceiling(Math.Log2(norm / TaylorNorm)) : 0;
        // Powers of two, in two factors since 2^-s alone may be zero.
        double half = Math.ScaleB(1, -(squarings / 2)), rest = Math.ScaleB(1, -(squarings - (squarings / 2)));
        for (int i = 0; i < n * n; i++)
            a[i] = a[i] * half * rest;

        Identity(y, n);
        for (int k = TaylorDegree; k >= 1; k--)
        {
            // Horner: y = I + a y / k.
            Multiply(a, y, work, n);
            for (int i = 0; i < n * n; i++)
                y[i] = work[i] / k;
            for (int i = 0; i < n; i++)
                y[(i * n) + i] += 1;
        }

        for (int s = 0; s < squarings; s++)
        {
            Multiply(y, y, work, n);
            new Span<double>(work, n * n).CopyTo(result);
        }
    }

    /// <summary>Determinants of what is left when row i and column j are crossed out, with the signs of a chessboard.</summary>
    /// <param name="a">n x n.</param>
    /// <param name="y">The cofactors, n x n.</param>
    /// <param name="work">Room for n x n.</param>
    /// <param name="n">The order.</param>
    public static void Cofactors(double* a, double* y, double* work, int n)
    {
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
            {
                double* to = work;
                for (int row = 0; row < n; row++)
                {
                    for (int column = 0; column < n; column++)
                    {
                        if (row != i && column != j)
                            *to++ = a[(row * n) + column];
                    }
                }

                y[(i * n) + j] = ((i + j) % 2 == 0 ? 1 : -1) * Eliminate(work, n - 1, null, 0, out _);
            }
        }
    }

    /// <summary>y = I.</summary>
    public static void Identity(double* y, int n)
    {
        new Span<double>(y, n * n).Clear();
        for (int i = 0; i < n; i++)
            y[(i * n) + i] = 1;
    }

    private static void Multiply(double* a, double* b, double* y, int n)
    {
        new Span<double>(y, n * n).Clear();
        for (int i = 0; i < n; i++)
        {
            for (int k = 0; k < n; k++)
                AddScaled(y + (i * n), b + (k * n), a[(i * n) + k], n);
        }
    }

    private static double RowSumNorm(double* a, int n)
    {
        double norm = 0;
        for (int i = 0; i < n; i++)
            norm = Math.Max(norm, TensorPrimitives.SumOfMagnitudes(new ReadOnlySpan<double>(a + (i * n), n)));
        return norm;
    }

    private static void Swap(double* x, double* y, int count)
    {
        for (int i = 0; i < count; i++)
            (x[i], y[i]) = (y[i], x[i]);
    }

    private static void AddScaled(double* target, double* source, double factor, int count)
    {
        var sum = new Span<double>(target, count);
        TensorPrimitives.MultiplyAdd(new ReadOnlySpan<double>(source, count), factor, sum, sum);
    }
}
