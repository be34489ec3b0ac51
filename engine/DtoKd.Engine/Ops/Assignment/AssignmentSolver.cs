namespace DtoKd.Engine;

/// <summary>
/// The assignment problem by shortest augmenting paths (Crouse: "On implementing 2D rectangular assignment algorithms", 2016):
/// n searches of n m operations each for an n by m matrix.
/// </summary>
internal static class AssignmentSolver
{
    private const int None = -1;

    /// <summary>The column of each row.</summary>
    /// <param name="cost">The cost of row i and column j at i rowStride + j columnStride: no NaN or negative infinity.</param>
    /// <param name="rows">At most <paramref name="columns"/>.</param>
    /// <param name="columns">The number of columns.</param>
    /// <param name="rowStride">The distance of rows.</param>
    /// <param name="columnStride">The distance of columns.</param>
    /// <exception cref="ArgumentException">A row has infinite cost with all columns that could be its own.</exception>
    public static int[] Solve(ReadOnlySpan<double> cost, int rows, int columns, int rowStride, int columnStride)
    {
        // Potentials u and v keep cost - u - v at 0 for pairs and at 0 or more for the others.
        var u = new double[rows];
        var v = new double[columns];
        var columnOf = new int[rows];
        var rowOf = new int[columns];
        Array.Fill(columnOf, None);
        Array.Fill(rowOf, None);
        var distance = new double[columns];
        var previous = new int[columns];
        var reached = new bool[columns];

        for (int start = 0; start < rows; start++)
        {
            Array.Fill(distance, double.PositiveInfinity);
            Array.Clear(reached);
            // Dijkstra from a row without partner over alternating paths, until a column without partner.
            int row = start, sink = None;
            double shortest = 0;
            while (sink == None)
            {
                int nearest = None;
                for (int j = 0; j < columns; j++)
                {
                    if (reached[j])
                        continue;
                    double through = shortest + cost[(row * rowStride) + (j * columnStride)] - u[row] - v[j];
                    if (through < distance[j])
                    {
                        distance[j] = through;
                        previous[j] = row;
                    }

                    // Of equally near columns, one without partner ends the search.
                    if (nearest == None || distance[j] < distance[nearest]
                        || (distance[j] == distance[nearest] && rowOf[j] == None && rowOf[nearest] != None))
                    {
                        nearest = j;
                    }
                }

                if (nearest == None || double.IsPositiveInfinity(distance[nearest]))
                    throw new ArgumentException($"linear_sum_assignment: row or column {start} has no partner of finite cost");
                shortest = distance[nearest];
                reached[nearest] = true;
                if (rowOf[nearest] == None)
                    sink = nearest;
                else
                    row = rowOf[nearest];
            }

            u[start] += shortest;
            for (int j = 0; j < columns; j++)
            {
                if (!reached[j] || j == sink)
                    continue;
                u[rowOf[j]] += shortest - distance[j];
                v[j] -= shortest - distance[j];
            }

            // Along the path every row takes the column it was reached through.
            for (int column = sink; column != None;)
            {
                int owner = previous[column];
                rowOf[column] = owner;
                (columnOf[owner], column) = (column, columnOf[owner]);
            }
        }

        return columnOf;
    }
}
