using DtoKd.Engine;
using DtoKd.Training.Loop;

namespace DtoKd.Cli;

/// <summary>Turns an exception into one line and an exit code.</summary>
internal static class Failure
{
    /// <summary>Set to 1, the stack trace is written too.</summary>
    public const string TraceVariable = "DTOKD_TRACE";

    /// <summary>Writes the line and returns the exit code.</summary>
    /// <param name="failure">What went wrong.</param>
    /// <param name="error">Where to write it.</param>
    /// <param name="hint">What to do about it; starts with a lower-case letter.</param>
    public static int Report(Exception failure, TextWriter error, string? hint = null)
    {
        var (code, text) = failure switch
        {
            UsageException or InvalidDataException => (ExitCode.BadInput, failure.Message),
            FileNotFoundException or DirectoryNotFoundException or UnauthorizedAccessException =>
                (ExitCode.BadInput, failure.Message),
            ArgumentException argument => (ExitCode.BadInput, WithoutParameter(argument)),
            TrainingDivergedException or AnomalyException or IOException => (ExitCode.Failed, failure.Message),
            // These name the operation and the device, or the largest owners of its memory.
            NotSupportedException or InsufficientMemoryException => (ExitCode.Failed, failure.Message),
            OutOfMemoryException => (ExitCode.Failed, "out of memory; a smaller --batch-size needs less"),
            _ => (
                ExitCode.Failed,
                $"internal error: {failure.GetType().Name}: {failure.Message} ({TraceVariable}=1 shows where)"),
        };
        if (hint is not null)
            text += $"; {hint}";
        error.WriteLine($"{Application.Name}: {text.ReplaceLineEndings(" ")}");
        if (Environment.GetEnvironmentVariable(TraceVariable) == "1")
            error.WriteLine(failure);
        return code;
    }

    /// <summary>The message without the name of a parameter, which says nothing to a user.</summary>
    private static string WithoutParameter(ArgumentException failure) =>
        failure.ParamName is null ? failure.Message : failure.Message.Replace($" (Parameter '{failure.ParamName}')", "");
}
