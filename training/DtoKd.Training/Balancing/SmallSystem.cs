namespace DtoKd.Training.Balancing;

/// <summary>Symmetric systems of as many unknowns as there are objectives, without allocation.</summary>
internal static class SmallSystem
{
    /// <summary>Solves A x = b for a symmetric positive definite A by Cholesky's factorisation.</summary>
    /// <param name="a">[n, n] row-major; the lower half is overwritten by the factor.</param>
    /// <param name="x">[n], b on entry and x on exit; undefined when the result is false.</param>
    /// <param name="least">The least pivot that counts as positive.</param>
    /// <returns>Whether A is positive definite by that measure.</returns>
    public static bool Solve(Span<double> a, Span<double> x, double least)
    {
        int n = x.Length;
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j <= i; j++)
            {
                double sum = a[i * n + j];
                for (int u = 0; u < j; u++)
                    sum -= a[i * n + u] * a[j * n + u];
                if (i == j && !(sum >= least))
                    return false;
                a[i * n + j] = i == j ? Math.Sqrt(sum) : sum / a[j * n + j];
            }
        }

        for (int i = 0; i < n; i++)
        {
            for (int u = 0; u < i; u++)
                x[i] -= a[i * n + u] * x[u];
            x[i] /= a[i * n + i];
        }

        for (int i = n - 1; i >= 0; i--)
        {
            for (int u = i + 1; u < n; u++)
                x[i] -= a[u * n + i] * x[u];
            x[i] /= a[i * n + i];
        }

        return true;
    }

    /// <summary>Eigenvalues and eigenvectors of a symmetric matrix by Jacobi's rotations.</summary>
    /// <param name="a">[n, n] row-major; on exit the eigenvalues are on the diagonal.</param>
    /// <param name="vectors">[n, n] row-major, receives the eigenvectors as columns.</param>
    /// <param name="n">The size.</param>
    public static void Eigen(Span<double> a, Span<double> vectors, int n)
    {
        vectors.Clear();
        double size = 0;
        for (int i = 0; i < n; i++)
        {
            vectors[i * n + i] = 1;
            for (int j = 0; j < n; j++)
                size += a[i * n + j] * a[i * n + j];
        }

        // Convergence is quadratic: a matrix of this size needs fewer than ten sweeps.
        for (int sweep = 0; sweep < 60; sweep++)
        {
            double beside = 0;
            for (int i = 0; i < n; i++)
            {
                for (int j = 0; j < i; j++)
                    beside += a[i * n + j] * a[i * n + j];
            }

            if (beside <= 1e-34 * size)
                return;
            for (int p = 0; p < n - 1; p++)
            {
                for (int q = p + 1; q < n; q++)
                    Rotate(a, vectors, n, p, q);
            }
        }
    }

    /// <summary>One rotation, which makes the entry (p, q) zero.</summary>
    private static void Rotate(Span<double> a, Span<double> vectors, int n, int p, int q)
    {
        double entry = a[p * n + q];
        if (entry == 0)
            return;
        double theta = (a[q * n + q] - a[p * n + p]) / (2 * entry);
        double t = (theta < 0 ? -1 : 1) / (Math.Abs(theta) + Math.Sqrt(theta * theta + 1));
        double c = 1 / Math.Sqrt(t * t + 1), s = t * c;
        for (int k = 0; k < n; k++)
            (a[k * n + p], a[k * n + q]) = Turned(a[k * n + p], a[k * n + q]);
        for (int k = 0; k < n; k++)
            (a[p * n + k], a[q * n + k]) = Turned(a[p * n + k], a[q * n + k]);
        for (int k = 0; k < n; k++)
            (vectors[k * n + p], vectors[k * n + q]) = Turned(vectors[k * n + p], vectors[k * n + q]);

        (double, double) Turned(double x, double y) => (c * x - s * y, s * x + c * y);
    }
}
