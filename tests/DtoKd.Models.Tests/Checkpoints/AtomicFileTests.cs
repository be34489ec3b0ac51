using DtoKd.Models.Checkpoints;
using DtoKd.Tests;

namespace DtoKd.Models.Tests.Checkpoints;

public sealed class AtomicFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Replaces_the_old_content_and_leaves_nothing_else_in_the_folder()
    {
        string path = _folder.Write("state", [9, 9, 9]);
        AtomicFile.Write(path, stream => stream.Write([1, 2]));
        Assert.Equal([1, 2], File.ReadAllBytes(path));
        Assert.Equal([path], Directory.GetFileSystemEntries(_folder.FullName));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(10)]
    [InlineData(1_000_000)]
    public void Keeps_the_old_file_when_the_writer_fails_after_any_number_of_bytes(int written)
    {
        string path = _folder.Write("state", [9, 9, 9]);
        var e = Assert.Throws<IOException>(() => AtomicFile.Write(path, stream =>
        {
            stream.Write(new byte[written]);
            throw new IOException("No space left on device");
        }));
        Assert.Equal("No space left on device", e.Message);
        Assert.Equal([9, 9, 9], File.ReadAllBytes(path));
        Assert.Equal([path], Directory.GetFileSystemEntries(_folder.FullName));
    }

    [Fact]
    public void Names_the_file_and_not_the_temporary_one_when_the_disk_is_full()
    {
        string path = _folder["state"];
        var e = Assert.Throws<IOException>(() => AtomicFile.Write(
            path, stream => throw new IOException($"No space left on device : '{((FileStream)stream).Name}'")));
        Assert.Equal($"cannot write {path}: No space left on device", e.Message);
        Assert.Empty(Directory.GetFileSystemEntries(_folder.FullName));
    }

    [Fact]
    public void Removes_the_temporary_file_when_the_rename_fails()
    {
        string path = _folder["taken"];
        Directory.CreateDirectory(path);
        Assert.ThrowsAny<Exception>(() => AtomicFile.Write(path, stream => stream.WriteByte(1)));
        Assert.Equal([path], Directory.GetFileSystemEntries(_folder.FullName));
    }

    [Fact]
    public void Says_that_the_folder_is_missing()
    {
        string path = _folder["no/such/state"];
        var e = Assert.Throws<DirectoryNotFoundException>(() => AtomicFile.Write(path, stream => stream.WriteByte(1)));
        Assert.Equal($"cannot write {path}: there is no folder {_folder["no/such"]}", e.Message);
        Assert.Equal(e.Message, Assert.Throws<DirectoryNotFoundException>(() => AtomicFile.RequireWritable(path)).Message);
    }

    [Fact]
    public void Follows_symbolic_links()
    {
        string path = _folder.Write("state", [9, 9, 9]), link = _folder["latest"], another = _folder["another"];
        File.CreateSymbolicLink(link, "state");
        File.CreateSymbolicLink(another, link);
        AtomicFile.Write(another, stream => stream.Write([1, 2]));
        Assert.Equal([1, 2], File.ReadAllBytes(path));
        Assert.Equal("state", new FileInfo(link).LinkTarget);
        Assert.Equal(link, new FileInfo(another).LinkTarget);
        Assert.Equal(3, Directory.GetFileSystemEntries(_folder.FullName).Length);
    }

    [Fact]
    public void Refuses_to_take_a_devices_place()
    {
        var e = Assert.Throws<UnauthorizedAccessException>(() => AtomicFile.RequireWritable("/dev/null"));
        Assert.Contains("cannot write /dev/null: a file would take the device's place", e.Message);
    }

    [Fact]
    public void Says_beforehand_that_a_folder_is_in_the_way()
    {
        var e = Assert.Throws<UnauthorizedAccessException>(() => AtomicFile.RequireWritable(_folder.FullName));
        Assert.Equal($"{_folder.FullName} is a folder; a file is needed", e.Message);
    }

    [Fact]
    public void Asking_leaves_nothing_behind_and_an_old_file_as_it_was()
    {
        AtomicFile.RequireWritable(_folder["new"]);
        Assert.Empty(Directory.GetFileSystemEntries(_folder.FullName));
        string path = _folder.Write("state", [9, 9, 9]);
        AtomicFile.RequireWritable(path);
        Assert.Equal([9, 9, 9], File.ReadAllBytes(path));
        Assert.Equal([path], Directory.GetFileSystemEntries(_folder.FullName));
    }
}
