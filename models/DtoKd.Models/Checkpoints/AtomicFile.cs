namespace DtoKd.Models.Checkpoints;

/// <summary>Replaces a file as a whole, or leaves the old one as it was.</summary>
public static class AtomicFile
{
    private const int BufferBytes = 1 << 16;

    /// <summary>
    /// Writes to a new file in the same folder, flushes it to the disk and renames it over <paramref name="path"/>. Whatever
    /// goes wrong on the way (an exception in <paramref name="write"/>, a full disk), the file that was there is untouched and
    /// the temporary file is removed.
    /// </summary>
    /// <param name="path">The file to make or replace; its folder must exist.</param>
    /// <param name="write">Writes the content, from first to last byte, into the (seekable) stream it is given.</param>
    /// <exception cref="IOException">The folder is missing or the disk is full.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        string full = Path.GetFullPath(path);
        // The same folder, because a rename is atomic only within one file system; a random part, because two processes may
        // write the same target.
        string temporary = $"{full}.{Path.GetRandomFileName()}.tmp";
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, BufferBytes))
            {
                write(stream);
                // Before the rename: otherwise a power cut could leave the new name on an empty file.
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, full, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }
}
