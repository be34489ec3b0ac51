namespace DtoKd.Training.Logging;

/// <summary>What <see cref="HtmlReport"/> shows: what was compared, and the records of all runs.</summary>
public sealed record RunSummary
{
    /// <summary>Heading of the page.</summary>
    public required string Title { get; init; }

    /// <summary>The data set.</summary>
    public required string DataSet { get; init; }

    /// <summary>The teacher networks; none where nothing was distilled.</summary>
    public IReadOnlyList<TeacherResult> Teachers { get; init; } = [];

    /// <summary>The student network, the same in all runs.</summary>
    public required string Student { get; init; }

    /// <summary>The seed of all runs, or the first one.</summary>
    public required ulong Seed { get; init; }

    /// <summary>With how many seeds each method ran.</summary>
    public int Seeds { get; init; } = 1;

    /// <summary>When the runs were started.</summary>
    public required DateTimeOffset Date { get; init; }

    /// <summary>Version of the program.</summary>
    public required string Version { get; init; }

    /// <summary>The records of all runs; runs are shown in the order of their first record.</summary>
    public required Metrics Metrics { get; init; }
}

/// <summary>A network that students learned from.</summary>
/// <param name="Name">Its name, as in the names of objectives.</param>
/// <param name="Top1">Its top-1 in [0, 1]: something to compare the students with.</param>
public sealed record TeacherResult(string Name, double Top1);
