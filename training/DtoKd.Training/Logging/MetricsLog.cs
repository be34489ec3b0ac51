using System.Buffers;
using System.Text;
using System.Text.Json;

namespace DtoKd.Training.Logging;

/// <summary>
/// Writes <c>metrics.jsonl</c>: one JSON object per line, a step or an epoch of a run. Lines reach the file when an epoch is
/// written, every 64 KiB, on <see cref="Flush"/> and on <see cref="Dispose"/>.
/// </summary>
/// <remarks>
/// JSON has no word for a number that is not finite; such a value is written as the string <c>"NaN"</c>, <c>"Infinity"</c> or
/// <c>"-Infinity"</c>, which JavaScript's <c>Number</c> and Python's <c>float</c> both read. What was not measured is absent.
/// Not safe for several threads.
/// </remarks>
public sealed class MetricsLog : IDisposable
{
    private const int BufferBytes = 1 << 16;

    private readonly FileStream _file;

    // A Utf8JsonWriter over a stream flushes that stream after every record; over a buffer of ours it does not.
    private readonly ArrayBufferWriter<byte> _buffer = new(2 * BufferBytes);
    private readonly Utf8JsonWriter _json;
    private readonly RecordWriter _records;

    private MetricsLog(string path, FileMode mode)
    {
        _file = new FileStream(path, mode, FileAccess.Write, FileShare.Read, bufferSize: 0);
        _json = new Utf8JsonWriter(_buffer);
        _records = new RecordWriter(_json);
    }

    /// <summary>Starts a new file.</summary>
    /// <exception cref="IOException">The file exists or cannot be made.</exception>
    public static MetricsLog Create(string path) => new(path, FileMode.CreateNew);

    /// <summary>
    /// Goes on with a file, or starts it when there is none. A run that was killed may have logged steps after its last
    /// checkpoint: the lines of <paramref name="run"/> beyond <paramref name="step"/> are dropped first, and so is a last line
    /// that was cut off.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="run">The run that is resumed; the lines of other runs stay.</param>
    /// <param name="step">Steps done at the checkpoint that is resumed from.</param>
    /// <exception cref="InvalidDataException">A line before the last is not a record; the file is left as it was.</exception>
    public static MetricsLog Resume(string path, string run, long step)
    {
        if (File.Exists(path))
            MetricsFile.Keep(path, (lineRun, lineStep) => lineRun != run || lineStep <= step);
        return new MetricsLog(path, FileMode.Append);
    }

    /// <summary>The line of an epoch, without its end.</summary>
    public static string Line(in EpochRecord record)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
            new RecordWriter(json).Write(record);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>Writes a step.</summary>
    public void Write(in StepRecord record)
    {
        _records.Write(record);
        End();
    }

    /// <summary>Writes an epoch and hands everything so far to the operating system.</summary>
    public void Write(in EpochRecord record)
    {
        _records.Write(record);
        End();
        Flush();
    }

    /// <summary>Hands everything written so far to the operating system.</summary>
    /// <exception cref="IOException">The disk is full; what was pending is lost, the lines before it are not.</exception>
    public void Flush()
    {
        try
        {
            _file.Write(_buffer.WrittenSpan);
        }
        finally
        {
            // Also after a failure, so that nothing is written twice: at most the last line is cut off.
            _buffer.ResetWrittenCount();
        }
    }

    /// <summary>Flushes and closes the file.</summary>
    public void Dispose()
    {
        using (_file)
        using (_json)
            Flush();
    }

    private void End()
    {
        _json.Flush();
        _json.Reset();
        _buffer.Write("\n"u8);
        if (_buffer.WrittenCount >= BufferBytes)
            Flush();
    }
}
