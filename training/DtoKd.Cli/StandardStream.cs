using System.Text;

namespace DtoKd.Cli;

/// <summary>
/// A standard stream of the process, which whoever started it may have closed. A pipe whose reader has gone is no failure: what is
/// written to it is lost, as the runtime does it, and the work goes on.
/// </summary>
/// <param name="stream">The stream that is written to.</param>
/// <param name="failed">What becomes of a failure to write.</param>
internal sealed class StandardStream(Stream stream, Action<Exception> failed) : Stream
{
    /// <summary>The standard output; where it cannot be written to, the program fails.</summary>
    public static TextWriter Output(Stream stream) => Writer(stream, failure => throw new IOException(
        failure is UnauthorizedAccessException
            ? "the standard output is closed; direct it to /dev/null if nobody is to read it"
            : $"cannot write to the standard output: {failure.Message}",
        failure));

    /// <summary>The standard error; where it cannot be written to there is nobody to tell, and the exit code says the rest.</summary>
    public static TextWriter Error(Stream stream) => Writer(stream, _ => { });

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        try
        {
            stream.Write(buffer);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            failed(failure);
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush() => stream.Flush();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    private static StreamWriter Writer(Stream stream, Action<Exception> failed) =>
        new(new StandardStream(stream, failed), new UTF8Encoding(false)) { AutoFlush = true };
}
