using DtoKd.Models;

namespace DtoKd.Training.Loop;

/// <summary>Where one of an experiment's teachers comes from.</summary>
/// <param name="Name">A network of the zoo, which is trained first, or the path of a checkpoint's file or folder.</param>
/// <param name="IsFile">Which of both it is.</param>
/// <param name="Model">The network in the checkpoint; null if the file has to say.</param>
/// <param name="Run">The name of the run that trains it.</param>
/// <param name="Seed">The seed of that run.</param>
internal sealed record TeacherSource(string Name, bool IsFile, string? Model, string Run, ulong Seed)
{
    /// <summary>The teachers of an experiment.</summary>
    /// <exception cref="ArgumentException">A network is unknown, or networks are named that belong to no checkpoint.</exception>
    public static IReadOnlyList<TeacherSource> Of(ExperimentSettings settings)
    {
        foreach (string model in settings.TeacherModels)
            Zoo.Find(model);
        int files = settings.Teachers.Count(LooksLikeFile);
        if (settings.TeacherModels.Count > 0 && settings.TeacherModels.Count != files)
        {
            throw new ArgumentException(
                $"--teacher-model names {settings.TeacherModels.Count} network(s) for {files} checkpoint(s) among the teachers; name one for each");
        }

        var sources = new List<TeacherSource>();
        int file = 0;
        foreach (var (i, name) in settings.Teachers.Index())
        {
            bool isFile = LooksLikeFile(name);
            if (!isFile && !IsNetwork(name))
                throw new ArgumentException(KnownNames.Unknown("model or file", name, Zoo.Entries.Select(entry => entry.Name)));
            string? model = isFile && settings.TeacherModels.Count > 0 ? settings.TeacherModels[file++] : null;
            string run = settings.Teachers.Count == 1 ? "teacher" : $"teacher-{i + 1}";
            sources.Add(new TeacherSource(name, isFile, model, run, settings.Seed + (ulong)i));
        }

        return sources;
    }

    /// <summary>What the teachers are called in names of objectives: their networks' names, numbered where one is there twice.</summary>
    public static IReadOnlyList<string> Labels(IReadOnlyList<Network> teachers)
    {
        var seen = new Dictionary<string, int>();
        return [.. teachers.Select(teacher =>
        {
            int count = seen[teacher.Name] = seen.GetValueOrDefault(teacher.Name) + 1;
            return count == 1 ? teacher.Name : $"{teacher.Name}-{count}";
        })];
    }

    /// <summary>A network's name is the network, also where a file or folder has it: that one is meant by ./NAME.</summary>
    private static bool LooksLikeFile(string teacher) =>
        !IsNetwork(teacher) && (teacher.AsSpan().IndexOfAny("./\\") >= 0 || Path.Exists(teacher));

    private static bool IsNetwork(string name) => Zoo.Entries.Any(entry => entry.Name == name);
}
