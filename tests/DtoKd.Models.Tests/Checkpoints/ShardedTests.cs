using System.Text;
using DtoKd.Models.Checkpoints;
using DtoKd.Tests;

namespace DtoKd.Models.Tests.Checkpoints;

public sealed class ShardedTests : IDisposable
{
    private const string Index = "model.safetensors.index.json";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Tensors_are_spread_by_name_and_read_back_through_the_folder_or_the_index()
    {
        var writer = Tensors(1);
        // 8 and 8 bytes fill a file; 40 bytes are above the limit and stay alone.
        string index = ShardedWriter.Write(_folder.FullName, writer, 16);
        Assert.Equal(["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors", Index],
            Files());
        foreach (string path in (string[])[_folder.FullName, index])
        {
            using var reader = CheckpointReader.Open(path);
            Assert.Equal("sharded safetensors", reader.Format);
            Assert.Equal(["a", "b", "c", "d"], reader.Entries.Select(entry => entry.Name).Order());
            Assert.Equal("60", reader.Metadata["total_size"]);
            Assert.Equal("pt", reader.Metadata["format"]);
            Assert.Equal([1f, 2f], reader.ReadFloat32("a"));
            Assert.Equal([5L], reader.ReadInt64("b"));
            Assert.Equal(Enumerable.Range(0, 5).Select(i => (double)i), reader.ReadFloat64("c"));
            Assert.Equal([1f], reader.ReadFloat32("d"));
            Assert.True(reader.Contains("d"));
            Assert.False(reader.Contains("e"));
            Assert.Throws<InvalidDataException>(() => reader["e"]);
        }
        using var second = SafetensorsReader.Open(_folder["model-00001-of-00003.safetensors"]);
        Assert.Equal(["a", "b"], second.Entries.Select(entry => entry.Name).Order());
    }

    [Fact]
    public void A_new_checkpoint_replaces_the_old_one_and_a_failed_one_leaves_it()
    {
        ShardedWriter.Write(_folder.FullName, Tensors(1), 16);
        string[] before = Files();
        var failing = Tensors(2);
        failing.Add("z", SafetensorsType.F32, [1], _ => throw new IOException("disk full"));
        Assert.Throws<IOException>(() => ShardedWriter.Write(_folder.FullName, failing, 16));
        Assert.Equal(before, Files());
        using (var old = CheckpointReader.Open(_folder.FullName))
            Assert.Equal([1f, 2f], old.ReadFloat32("a"));

        ShardedWriter.Write(_folder.FullName, Tensors(2), 16);
        using (var replaced = CheckpointReader.Open(_folder.FullName))
            Assert.Equal([2f, 2f], replaced.ReadFloat32("a"));
        Assert.Equal(4, Files().Length);
        Assert.Contains("model-2-00001-of-00003.safetensors", Files());
    }

    [Fact]
    public void The_index_is_what_others_write()
    {
        ShardedWriter.Write(_folder.FullName, Tensors(1), 1000);
        Assert.Equal("""
            {
              "metadata": {
                "total_size": 60
              },
              "weight_map": {
                "a": "model-00001-of-00001.safetensors",
                "b": "model-00001-of-00001.safetensors",
                "c": "model-00001-of-00001.safetensors",
                "d": "model-00001-of-00001.safetensors"
              }
            }
            """, File.ReadAllText(_folder[Index]));
    }

    [Theory]
    [InlineData("""{"weight_map":{"a":"../x.safetensors"}}""", "'../x.safetensors', which is no file beside the index")]
    [InlineData("""{"weight_map":{"a":"/etc/passwd"}}""", "'/etc/passwd', which is no file beside the index")]
    [InlineData("""{"weight_map":{"a":"sub\\x"}}""", "which is no file beside the index")]
    [InlineData("""{"weight_map":{"a":"C:x"}}""", "which is no file beside the index")]
    [InlineData("""{"weight_map":{"a":".."}}""", "which is no file beside the index")]
    [InlineData("""{"weight_map":{"a":""}}""", "which is no file beside the index")]
    [InlineData("""{"weight_map":{"a":"x\u0000"}}""", "which is no file beside the index")]
    [InlineData("""{"weight_map":{"a":"gone"}}""", "the file 'gone' is missing beside the index")]
    [InlineData("""{"weight_map":{"a":7}}""", "offset 15: the file of tensor 'a' is not a string")]
    [InlineData("""{"weight_map":{"w":"one","w":"one"}}""", "tensor 'w' appears twice")]
    [InlineData("""{"weight_map":{"w":"one"},"weight_map":{}}""", "weight_map appears twice")]
    [InlineData("""{"weight_map":{"w":"one","v":"one"}}""", "tensor 'v' is not in 'one', where the index has it")]
    [InlineData("""{"weight_map":{"u":"two"}}""", "tensor 'v' is in 'two', but the index does not say so")]
    [InlineData("""{"weight_map":{"w":"bad"}}""", "too few for the 8-byte header length")]
    [InlineData("""{"weight_map":[]}""", "weight_map is not an object")]
    [InlineData("""{"metadata":{}}""", "the JSON has no weight_map")]
    [InlineData("""{"weight_map":{}""", "the index is not valid JSON")]
    [InlineData("""{"weight_map":{}}x""", "the index is not valid JSON")]
    [InlineData("""{"weight_map":{"\ud800":"one"}}""", "a string of the index is not valid Unicode")]
    public void Refuses_a_bad_index_and_says_why(string json, string message)
    {
        Write("one", "w");
        Write("two", "u", "v");
        _folder.Write("bad", [1, 2, 3]);
        string path = _folder.Write(Index, Encoding.UTF8.GetBytes(json));
        var e = Assert.Throws<InvalidDataException>(() => CheckpointReader.Open(path));
        Assert.Contains(message, e.Message);
        Assert.DoesNotContain('\n', e.Message);
    }

    [Fact]
    public void An_index_with_more_in_it_is_read()
    {
        Write("one", "w");
        _folder.Write(Index, """
             {"metadata":{"total_size":4,"text":"t","nested":{"x":[1]}},"other":[{"a":1}],"weight_map":{"w":"one"}}
            """u8);
        using var reader = CheckpointReader.Open(_folder.FullName);
        Assert.Equal("t", reader.Metadata["text"]);
        Assert.Equal([1f], reader.ReadFloat32("w"));
    }

    [Fact]
    public void A_folder_without_a_checkpoint_says_so() =>
        Assert.Contains("the folder has no model.safetensors.index.json and no model.safetensors",
            Assert.Throws<InvalidDataException>(() => CheckpointReader.Open(_folder.FullName)).Message);

    private static SafetensorsWriter Tensors(float first)
    {
        var writer = new SafetensorsWriter();
        writer.SetMetadata("format", "pt");
        writer.Add("d", [1], new[] { 1f });
        writer.Add("a", [2], new[] { first, 2f });
        writer.Add("b", [1], new[] { 5L });
        writer.Add("c", [5], new double[] { 0, 1, 2, 3, 4 });
        return writer;
    }

    private string[] Files() => [.. Directory.GetFiles(_folder.FullName).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal)];

    private void Write(string file, params string[] names)
    {
        var writer = new SafetensorsWriter();
        foreach (string name in names)
            writer.Add(name, [1], new[] { 1f });
        writer.Write(_folder[file]);
    }
}
