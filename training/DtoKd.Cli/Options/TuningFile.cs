using DtoKd.Engine.Gpu;
using DtoKd.Models.Checkpoints;

namespace DtoKd.Cli.Options;

/// <summary>What <c>dtokd tune</c> found, for every later run.</summary>
internal static class TuningFile
{
    /// <summary>The variable that names another file, or none if it is empty.</summary>
    public const string Variable = "DTOKD_TUNING";

    /// <summary>The file; null for none.</summary>
    public static string? Path => Environment.GetEnvironmentVariable(Variable) switch
    {
        null => System.IO.Path.Combine(
            Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify), "dtokd", "products.json"),
        "" => null,
        var path => path,
    };

    /// <summary>Gives a device what was found for it; a file that cannot be read costs a line on the standard error, and speed.</summary>
    public static void Use(GpuDevice device, Host host)
    {
        if (Path is not { } path || !File.Exists(path))
            return;
        string? problem;
        try
        {
            problem = ProductTuning.Use(device, File.ReadAllBytes(path));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            problem = exception.Message;
        }

        if (problem is not null)
            host.Error.WriteLine($"{path} is not used ({problem}): dtokd tune writes it anew");
    }

    /// <summary>Throws where <see cref="Add"/> would not be able to write; makes the folder if need be.</summary>
    public static void RequireWritable(string path)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!);
        AtomicFile.RequireWritable(path);
    }

    /// <summary>Adds what was found for a device.</summary>
    public static void Add(GpuDevice device, string path)
    {
        byte[]? before = File.Exists(path) ? File.ReadAllBytes(path) : null;
        AtomicFile.Write(path, stream => stream.Write(ProductTuning.Add(device, before)));
    }
}
