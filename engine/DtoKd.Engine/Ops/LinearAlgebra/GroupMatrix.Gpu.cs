using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>A row-major matrix of doubles in scratch memory that one group works on.</summary>
internal struct GroupMatrix(ArrayView<double> data, long first, int rows, int columns)
{
    public ArrayView<double> Data = data;
    public long First = first;
    public int Rows = rows, Columns = columns;

    public readonly int Count => Rows * Columns;

    public readonly double this[int row, int column]
    {
        get => Data[First + (row * Columns) + column];
        set => Data[First + (row * Columns) + column] = value;
    }

    /// <summary>Reads a matrix of floats; all threads of the group, as below.</summary>
    public readonly void Load(ArrayView<float> from, long at)
    {
        for (int i = Group.IdxX; i < Count; i += Group.DimX)
            Data[First + i] = from[at + i];
        Group.Barrier();
    }

    /// <summary>Writes it as floats.</summary>
    public readonly void Store(ArrayView<float> to, long at)
    {
        for (int i = Group.IdxX; i < Count; i += Group.DimX)
            to[at + i] = (float)Data[First + i];
    }

    /// <summary>The identity.</summary>
    public readonly void SetIdentity()
    {
        for (int i = Group.IdxX; i < Count; i += Group.DimX)
            Data[First + i] = i / Columns == i % Columns ? 1 : 0;
        Group.Barrier();
    }
}

/// <summary>A determinant, and the first column without a pivot other than zero, or -1.</summary>
internal struct Elimination
{
    public double Determinant;
    public int Singular;
}

/// <summary>
/// <see cref="SmallMatrices"/> by a group: every function is the same textbook loop, its innermost ones shared out over the threads.
/// All threads of the group call it with the same matrices.
/// </summary>
internal static class GroupMatrices
{
    /// <summary>Gaussian elimination with partial pivoting: b becomes a^-1 b, a is destroyed.</summary>
    public static Elimination Eliminate(GroupMatrix a, GroupMatrix b)
    {
        int n = a.Rows;
        double determinant = 1;
        for (int k = 0; k < n; k++)
        {
            // Every thread looks for itself: the numbers come from the cache, and there is nothing to agree on.
            int pivot = k;
            double largest = a[k, k];
            for (int i = k + 1; i < n; i++)
            {
                double next = a[i, k];
                if (IntrinsicMath.Abs(next) > IntrinsicMath.Abs(largest))
                    (pivot, largest) = (i, next);
            }

            Group.Barrier();
            if (largest == 0)
                return new Elimination { Determinant = 0, Singular = k };
            if (pivot != k)
            {
                Swap(a, pivot, k);
                Swap(b, pivot, k);
                determinant = -determinant;
                Group.Barrier();
            }

            determinant *= largest;
            int right = n - k - 1, width = right + b.Columns;
            for (int e = Group.IdxX; e < right * width; e += Group.DimX)
            {
                int row = e / width, column = e - (row * width);
                row += k + 1;
                double factor = -a[row, k] / largest;
                if (column < right)
                    a[row, k + 1 + column] += factor * a[k, k + 1 + column];
                else
                    b[row, column - right] += factor * b[k, column - right];
            }

            Group.Barrier();
        }

        // A thread for each column.
        for (int column = Group.IdxX; column < b.Columns; column += Group.DimX)
        {
            for (int k = n - 1; k >= 0; k--)
            {
                double rest = b[k, column];
                for (int j = k + 1; j < n; j++)
                    rest -= a[k, j] * b[j, column];
                b[k, column] = rest / a[k, k];
            }
        }

        Group.Barrier();
        return new Elimination { Determinant = determinant, Singular = -1 };
    }

    /// <summary>The lower L with L L^T = (a + a^T) / 2, in place of a, zeros above the diagonal.</summary>
    /// <param name="a">n x n.</param>
    /// <param name="failed">The first pivot that is not positive.</param>
    /// <returns>Its column, or -1.</returns>
    public static int Cholesky(GroupMatrix a, ref double failed)
    {
        int n = a.Rows;
        for (int e = Group.IdxX; e < n * n; e += Group.DimX)
        {
            int row = e / n, column = e - (row * n);
            // Both halves are read by the thread that writes the lower one.
            if (column <= row)
                a[row, column] = 0.5 * (a[row, column] + a[column, row]);
        }

        Group.Barrier();
        for (int j = 0; j < n; j++)
        {
            double pivot = a[j, j];
            Group.Barrier();
            if (!(pivot > 0))
            {
                failed = pivot;
                return j;
            }

            double root = Ptx.Sqrt(pivot);
            for (int row = j + Group.IdxX; row < n; row += Group.DimX)
                a[row, j] = row == j ? root : a[row, j] / root;
            Group.Barrier();
            int right = n - j - 1;
            for (int e = Group.IdxX; e < right * right; e += Group.DimX)
            {
                int row = e / right, column = e - (row * right);
                if (column <= row)
                    a[j + 1 + row, j + 1 + column] -= a[j + 1 + row, j] * a[j + 1 + column, j];
            }

            Group.Barrier();
        }

        for (int e = Group.IdxX; e < n * n; e += Group.DimX)
        {
            int row = e / n, column = e - (row * n);
            if (column > row)
                a[row, column] = 0;
        }

        Group.Barrier();
        return -1;
    }

    /// <summary>exp(a) by scaling and squaring, as on the CPU.</summary>
    /// <param name="a">n x n; destroyed.</param>
    /// <param name="y">Room for n x n.</param>
    /// <param name="work">As much.</param>
    /// <returns>The one of y and work that has the result.</returns>
    public static GroupMatrix Exp(GroupMatrix a, GroupMatrix y, GroupMatrix work)
    {
        // In floats, which the numbers came from: it decides no more than how often is squared.
        float norm = 0;
        for (int row = Group.IdxX; row < a.Rows; row += Group.DimX)
        {
            double sum = 0;
            for (int column = 0; column < a.Columns; column++)
                sum += IntrinsicMath.Abs(a[row, column]);
            norm = Ptx.Max(norm, (float)sum);
        }

        norm = GroupFold.Of<Op.LargerOf>(norm);
        // No number and infinity are no less than infinity: the result is not a number throughout.
        int squarings = 0;
        double scale = norm < float.PositiveInfinity ? 1 : double.NaN;
        for (; norm * scale > SmallMatrices.TaylorNorm; scale *= 0.5)
            squarings++;
        for (int i = Group.IdxX; i < a.Count; i += Group.DimX)
            a.Data[a.First + i] *= scale;
        y.SetIdentity();
        for (int k = SmallMatrices.TaylorDegree; k >= 1; k--)
        {
            // Horner: y = I + a y / k.
            Multiply(a, y, work, k, 1);
            (y, work) = (work, y);
        }

        for (int s = 0; s < squarings; s++)
        {
            Multiply(y, y, work, 1, 0);
            (y, work) = (work, y);
        }

        return y;
    }

    /// <summary>y = a b / divisor + diagonal I.</summary>
    private static void Multiply(GroupMatrix a, GroupMatrix b, GroupMatrix y, double divisor, double diagonal)
    {
        int n = a.Rows;
        for (int e = Group.IdxX; e < n * n; e += Group.DimX)
        {
            int row = e / n, column = e - (row * n);
            double sum = 0;
            for (int k = 0; k < n; k++)
                sum += a[row, k] * b[k, column];
            y[row, column] = (sum / divisor) + (row == column ? diagonal : 0);
        }

        Group.Barrier();
    }

    private static void Swap(GroupMatrix a, int row, int other)
    {
        for (int column = Group.IdxX; column < a.Columns; column += Group.DimX)
            (a[row, column], a[other, column]) = (a[other, column], a[row, column]);
    }
}
