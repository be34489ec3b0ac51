using System.Text;
using System.Text.Json;
using DtoKd.Models.Checkpoints;

namespace DtoKd.Training.Logging;

/// <summary>The records of a <c>metrics.jsonl</c>, in the order they were written.</summary>
/// <param name="Steps">The steps of all runs.</param>
/// <param name="Epochs">The epochs of all runs.</param>
public sealed record Metrics(IReadOnlyList<StepRecord> Steps, IReadOnlyList<EpochRecord> Epochs);

/// <summary>Reads what <see cref="MetricsLog"/> wrote.</summary>
public static class MetricsFile
{
    /// <summary>Reads a file. A last line that was cut off, as a killed run leaves it, is passed over.</summary>
    /// <exception cref="InvalidDataException">Another line is not a record; the message has its number.</exception>
    public static Metrics Read(string path)
    {
        var steps = new List<StepRecord>();
        var epochs = new List<EpochRecord>();
        var parser = new Parser();
        Scan(path, (_, line) =>
        {
            string kind = line.GetProperty("kind").GetString() ?? "";
            if (kind == "step")
                steps.Add(parser.Step(line));
            else if (kind == "epoch")
                epochs.Add(parser.Epoch(line));
            else
                throw new FormatException($"unknown kind '{kind}'");
        });
        return new Metrics(steps, epochs);
    }

    /// <summary>Rewrites a file with the lines that <paramref name="keep"/> (given run and step) says yes to.</summary>
    internal static void Keep(string path, Func<string, long, bool> keep) => AtomicFile.Write(path, stream =>
    {
        using var writer = new StreamWriter(stream, new UTF8Encoding(false), leaveOpen: true) { NewLine = "\n" };
        Scan(path, (text, line) =>
        {
            if (keep(line.GetProperty("run").GetString()!, line.GetProperty("step").GetInt64()))
                writer.WriteLine(text);
        });
    });

    private static void Scan(string path, Action<string, JsonElement> visit)
    {
        using var lines = new StreamReader(InputFile.Open(path));
        string? next = lines.ReadLine();
        for (int number = 1; next is { } text; number++)
        {
            next = lines.ReadLine();
            try
            {
                using var line = JsonDocument.Parse(text);
                visit(text, line.RootElement);
            }
            catch (JsonException) when (next is null)
            {
                return;
            }
            catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException
                or KeyNotFoundException or ArgumentException)
            {
                throw new InvalidDataException($"{path}, line {number}: not a metrics record ({e.Message.Split(" LineNumber")[0]}); without this line the file can be read", e);
            }
        }
    }

    /// <summary>Turns lines into records that share their names: a run has millions of lines and a handful of names.</summary>
    private sealed class Parser
    {
        private readonly List<string[]> _nameLists = [];
        private string _run = "";

        public StepRecord Step(JsonElement line) => new()
        {
            Run = Run(line),
            Step = line.GetProperty("step").GetInt64(),
            Epoch = line.GetProperty("epoch").GetInt32(),
            Losses = Values(line, "losses"),
            Weights = Values(line, "weights"),
            Coefficients = Values(line, "coefficients"),
            Cosine = Values(line, "cosine"),
            NormRatio = Values(line, "normRatio"),
            Conflict = Flag(line, "conflict"),
            Clamped = Flag(line, "clamped"),
            DroppedObjective = line.TryGetProperty("droppedObjective", out var dropped) ? dropped.GetString() : null,
            NormOfMixed = Number(line, "normOfMixed"),
            GradNorm = Number(line, "gradNorm"),
            LearningRate = Number(line.GetProperty("learningRate")),
            Milliseconds = Number(line.GetProperty("milliseconds")),
        };

        public EpochRecord Epoch(JsonElement line) => new()
        {
            Run = Run(line),
            Epoch = line.GetProperty("epoch").GetInt32(),
            Step = line.GetProperty("step").GetInt64(),
            TrainLosses = Values(line, "trainLosses"),
            Top1 = Number(line, "top1"),
            ImagesPerSecond = Number(line.GetProperty("imagesPerSecond")),
            Seconds = Number(line.GetProperty("seconds")),
            ConflictShare = Number(line, "conflictShare"),
            ClampedShare = Number(line, "clampedShare"),
        };

        private string Run(JsonElement line)
        {
            var run = line.GetProperty("run");
            if (!run.ValueEquals(_run))
                _run = run.GetString() ?? throw new FormatException("'run' is null");
            return _run;
        }

        private NamedValues Values(JsonElement line, string name)
        {
            if (!line.TryGetProperty(name, out var element))
                return default;
            int count = element.EnumerateObject().Count();
            var names = new string[count];
            var values = new double[count];
            int i = 0;
            foreach (var property in element.EnumerateObject())
            {
                names[i] = property.Name;
                values[i++] = Number(property.Value);
            }
            string[]? known = _nameLists.Find(list => list.AsSpan().SequenceEqual(names));
            if (known is null)
                _nameLists.Add(known = names);
            return new NamedValues(known, values);
        }

        private static bool? Flag(JsonElement line, string name) =>
            line.TryGetProperty(name, out var element) ? element.GetBoolean() : null;

        private static double? Number(JsonElement line, string name) =>
            line.TryGetProperty(name, out var element) ? Number(element) : null;

        private static double Number(JsonElement element) => element.ValueKind != JsonValueKind.String
            ? element.GetDouble()
            : element.GetString() switch
            {
                "NaN" => double.NaN,
                "Infinity" => double.PositiveInfinity,
                "-Infinity" => double.NegativeInfinity,
                var text => throw new FormatException($"'{text}' is no number"),
            };
    }
}
