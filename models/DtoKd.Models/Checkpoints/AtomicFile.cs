namespace DtoKd.Models.Checkpoints;

/// <summary>Replaces a file as a whole, or leaves the old one as it was.</summary>
public static class AtomicFile
{
    private const int BufferBytes = 1 << 16;

    // A rename takes the place of /dev/null as of any other name.
    private const string Devices = "/dev";

    /// <summary>
    /// Writes to a new file in the same folder, flushes it to the disk and renames it over <paramref name="path"/>. Whatever
    /// goes wrong on the way (an exception in <paramref name="write"/>, a full disk), the file that was there is untouched and
    /// the temporary file is removed. Where the path is a symbolic link, all of this befalls the file that it leads to.
    /// </summary>
    /// <param name="path">The file to make or replace; its folder must exist.</param>
    /// <param name="write">Writes the content, from first to last byte, into the (seekable) stream it is given.</param>
    /// <exception cref="IOException">The folder is missing or the disk is full.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written to, or the path is that of a folder.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        string target = Target(path);
        var stream = Begin(path, target);
        string temporary = stream.Name;
        try
        {
            using (stream)
            {
                write(stream);
                // Before the rename: otherwise a power cut could leave the new name on an empty file.
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, target, overwrite: true);
        }
        catch (Exception failure)
        {
            File.Delete(temporary);
            if (failure is IOException && failure.Message.Contains(temporary, StringComparison.Ordinal))
                throw Renamed(failure, temporary, path);
            throw;
        }
    }

    /// <summary>
    /// Throws what <see cref="Write"/> would, and leaves nothing behind: to be asked before the work whose result is written.
    /// </summary>
    /// <param name="path">The file that will be made or replaced.</param>
    /// <exception cref="IOException">The folder is missing.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written to, or the path is that of a folder.</exception>
    public static void RequireWritable(string path)
    {
        using var stream = Begin(path, Target(path));
        File.Delete(stream.Name);
    }

    /// <summary>The full name of what is replaced.</summary>
    private static string Target(string path)
    {
        string full = Path.GetFullPath(path);
        // Asking a file that is not there where it leads to is an error.
        return new FileInfo(full).LinkTarget is null ? full : File.ResolveLinkTarget(full, returnFinalTarget: true)!.FullName;
    }

    /// <summary>The temporary file.</summary>
    private static FileStream Begin(string path, string full)
    {
        if (Directory.Exists(full))
            throw new UnauthorizedAccessException($"{path} is a folder; a file is needed");
        string folder = Path.GetDirectoryName(full)!;
        if (folder == Devices)
            throw new UnauthorizedAccessException($"cannot write {path}: a file would take the device's place; name a file elsewhere");
        if (!Directory.Exists(folder))
            throw new DirectoryNotFoundException($"cannot write {path}: there is no folder {folder}");
        // The same folder, because a rename is atomic only within one file system; a random part, because two processes may
        // write the same target.
        string temporary = $"{full}.{Path.GetRandomFileName()}.tmp";
        try
        {
            return new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, BufferBytes);
        }
        catch (UnauthorizedAccessException)
        {
            throw new UnauthorizedAccessException($"cannot write {path}: the folder {folder} may not be written to");
        }
        catch (IOException failure)
        {
            throw Renamed(failure, temporary, path);
        }
    }

    /// <summary>The failure by the name that was asked for: nobody knows the temporary file's.</summary>
    private static IOException Renamed(Exception failure, string temporary, string path) =>
        new($"cannot write {path}: {failure.Message.Replace($" : '{temporary}'", "", StringComparison.Ordinal)}", failure);
}
