namespace DtoKd.Training.Data;

/// <summary>
/// A file's bytes for a decoder that takes the end of the file for zeros: one that goes on asking for more is stopped, for some
/// damaged files would keep it busy for ever.
/// </summary>
internal sealed class EndingStream(byte[] bytes) : MemoryStream(bytes, writable: false)
{
    // Decoders read a block or two ahead.
    private const int MostReadsBeyond = 1 << 16;

    private int _beyond;

    /// <inheritdoc/>
    public override int ReadByte()
    {
        int value = base.ReadByte();
        return value < 0 ? Beyond(value) : value;
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count)
    {
        int read = base.Read(buffer, offset, count);
        return read == 0 ? Beyond(read) : read;
    }

    private int Beyond(int result) =>
        ++_beyond <= MostReadsBeyond ? result : throw new InvalidDataException("the file ends too early");
}
