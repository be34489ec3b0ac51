using System.Globalization;
using System.Text;

namespace DtoKd.Training.Logging;

/// <summary>
/// Where a run keeps what it writes:
/// <code>
/// runs/20260131-093000-digits/
///   config.json      the resolved configuration
///   metrics.jsonl    one line per step and epoch, of all students
///   report.html      the curves
///   checkpoints/     one folder per student
///   run.lock         while a process writes to the run
/// </code>
/// </summary>
public sealed class RunFolder
{
    private readonly Dictionary<string, string> _students = new(StringComparer.OrdinalIgnoreCase);

    private RunFolder(string path) => FullPath = path;

    /// <summary>The folder, as an absolute path.</summary>
    public string FullPath { get; }

    /// <summary>Path of the resolved configuration.</summary>
    public string Config => Path.Combine(FullPath, "config.json");

    /// <summary>Path of the metrics of all students.</summary>
    public string Metrics => Path.Combine(FullPath, "metrics.jsonl");

    /// <summary>Path of the page with the curves.</summary>
    public string Report => Path.Combine(FullPath, "report.html");

    /// <summary>Path of the folder that holds one folder per student.</summary>
    public string Checkpoints => Path.Combine(FullPath, "checkpoints");

    /// <summary>Makes the folder of a new run.</summary>
    /// <param name="name">What the run is about; becomes part of the folder's name.</param>
    /// <param name="output">The folder to use; null for <c>runs/&lt;UTC time&gt;-&lt;name&gt;</c>.</param>
    /// <param name="clock">The clock that gives the time.</param>
    /// <exception cref="InvalidDataException">There is something at that place already.</exception>
    public static RunFolder Create(string name, string? output = null, TimeProvider? clock = null)
    {
        if (output is null)
        {
            var now = (clock ?? TimeProvider.System).GetUtcNow();
            string first = Path.Combine("runs", now.ToString("yyyyMMdd-HHmmss-", CultureInfo.InvariantCulture) + FileName(name));
            output = first;
            // Another run of the same second.
            for (int number = 2; Path.Exists(output); number++)
                output = string.Create(CultureInfo.InvariantCulture, $"{first}-{number}");
        }
        string path = Path.GetFullPath(output);
        if (File.Exists(path))
            throw new InvalidDataException($"the run folder {output} is a file; name another one");
        if (Directory.Exists(path) && Directory.EnumerateFileSystemEntries(path).Any())
            throw new InvalidDataException($"the run folder {output} is not empty; name another one or resume that run");
        Directory.CreateDirectory(path);
        return new RunFolder(path);
    }

    /// <summary>Opens the folder of an earlier run, to resume it or to write its report again.</summary>
    /// <exception cref="InvalidDataException">There is no run in it.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be read.</exception>
    public static RunFolder Open(string path)
    {
        var folder = new RunFolder(Path.GetFullPath(path));
        if (File.Exists(folder.FullPath))
            throw new InvalidDataException($"{path} is a file; name the run's folder, where config.json is");
        if (!Directory.Exists(folder.FullPath))
            throw new InvalidDataException($"the run folder {path} does not exist");
        if (File.Exists(folder.Config))
            return folder;
        if (IsClosed(folder.FullPath))
            throw new UnauthorizedAccessException($"the run folder {path} may not be read");
        throw new InvalidDataException($"the folder {path} holds no run: it has no config.json");
    }

    /// <summary>
    /// Moves the report aside if the metrics it was made of are gone, which the next one could not show.
    /// </summary>
    /// <returns>Where it is now; null if it was not moved.</returns>
    public string? KeepReport()
    {
        if (File.Exists(Metrics) || !File.Exists(Report))
            return null;
        string kept = Path.Combine(FullPath, "report-earlier.html");
        for (int number = 2; Path.Exists(kept); number++)
            kept = Path.Combine(FullPath, string.Create(CultureInfo.InvariantCulture, $"report-earlier-{number}.html"));
        File.Move(Report, kept);
        return kept;
    }

    /// <summary>Keeps every other process, and caller, from writing to this run until the result is disposed of.</summary>
    /// <exception cref="InvalidDataException">Somebody does.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written to.</exception>
    public IDisposable Hold()
    {
        string name = Path.Combine(FullPath, "run.lock");
        try
        {
            // The operating system lets go of it when the process is killed, so that a file which is left over is no obstacle.
            return new FileStream(name, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
        }
        catch (UnauthorizedAccessException failure)
        {
            throw new UnauthorizedAccessException($"the run folder {FullPath} may not be written to", failure);
        }
        catch (IOException failure) when (File.Exists(name))
        {
            throw new InvalidDataException($"another process is at work in the run folder {FullPath}; wait for its end, or stop it", failure);
        }
    }

    /// <summary>Makes the folder for one student's checkpoints, if need be, and returns its path.</summary>
    /// <param name="student">The student's (method's) name.</param>
    /// <exception cref="ArgumentException">The name falls on the folder of another student.</exception>
    public string CheckpointsOf(string student)
    {
        string name = FileName(student);
        if (!_students.TryAdd(name, student) && _students[name] != student)
            throw new ArgumentException($"'{student}' and '{_students[name]}' would share the folder {name}", nameof(student));
        return Directory.CreateDirectory(Path.Combine(Checkpoints, name)).FullName;
    }

    /// <summary>Whether a folder may not be listed, or it may but seems to hold no file of those it lists.</summary>
    private static bool IsClosed(string folder)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries(folder, "config.json").Any();
        }
        catch (UnauthorizedAccessException)
        {
            return true;
        }
    }

    /// <summary>A name that every file system takes: letters, digits, dots, underscores, plus signs and single hyphens.</summary>
    internal static string FileName(string name)
    {
        var result = new StringBuilder();
        foreach (char c in name)
        {
            if (char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '+')
                result.Append(c);
            else if (result.Length > 0 && result[^1] != '-')
                result.Append('-');
        }
        string trimmed = result.ToString().Trim('-', '.');
        return trimmed.Length > 0 ? trimmed : "run";
    }
}
