using System.Text;
using System.Text.Json;
using DtoKd.Models.Checkpoints;
using DtoKd.Tests;

namespace DtoKd.Models.Tests.Checkpoints;

public sealed class SafetensorsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Writes_the_bytes_that_were_worked_out_by_hand()
    {
        // 107 bytes of JSON, padded with blanks to 112 = 0x70; then 1.0f, -2.0f and the byte 7.
        const string json =
            """{"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}""";
        const int padded = 0x70;
        byte[] expected =
        [
            padded, 0, 0, 0, 0, 0, 0, 0, .. Encoding.ASCII.GetBytes(json.PadRight(padded)),
            0x00, 0x00, 0x80, 0x3F, 0x00, 0x00, 0x00, 0xC0, 7,
        ];
        var writer = new SafetensorsWriter();
        writer.Add("b", SafetensorsType.U8, [], new byte[] { 7 });
        writer.Add("w", [2, 1], new[] { 1f, -2f });
        writer.Write(_folder["golden"]);
        Assert.Equal(expected, File.ReadAllBytes(_folder["golden"]));

        using var reader = SafetensorsReader.Open(_folder.Write("by-hand", expected));
        Assert.Equal(["w", "b"], reader.Entries.Select(e => e.Name));
        Assert.Equal([1f, -2f], reader.ReadFloat32("w"));
        Assert.Equal([7L], reader.ReadInt64("b"));
        Assert.Equal([2L, 1L], reader["w"].Shape);
        Assert.Equal(8 + padded, reader["w"].Offset);
        Assert.Empty(reader["b"].Shape);
    }

    [Fact]
    public void The_bytes_do_not_depend_on_the_order_of_the_calls()
    {
        var names = Enumerable.Range(0, 20).Select(i => $"layer.{i}").ToArray();
        byte[] Write(IEnumerable<string> order, bool metadataFirst)
        {
            var writer = new SafetensorsWriter();
            if (metadataFirst)
                writer.SetMetadata("a", "1");
            writer.SetMetadata("b", "2");
            foreach (string name in order)
            {
                var type = name.Length % 2 == 0 ? SafetensorsType.F16 : SafetensorsType.I8;
                writer.Add(name, type, [2], new byte[2 * type.ByteWidth()]);
            }
            writer.SetMetadata("a", "1");
            var stream = new MemoryStream();
            writer.WriteTo(stream);
            return stream.ToArray();
        }
        Assert.Equal(Write(names, true), Write(names.Reverse(), false));
    }

    [Fact]
    public void Every_type_comes_back_as_it_was()
    {
        var samples = new (SafetensorsType Type, byte[] Bytes, double[] Values)[]
        {
            (SafetensorsType.F64, Bytes(BitConverter.GetBytes, -0.1, 1e300, double.NaN), [-0.1, 1e300, double.NaN]),
            (SafetensorsType.F32, Bytes(BitConverter.GetBytes, 1.5f, float.PositiveInfinity), [1.5, double.PositiveInfinity]),
            // IEEE half: 1 = 3C00, -2 = C000, largest = 7BFF = 65504, smallest subnormal = 0001 = 2^-24.
            (SafetensorsType.F16, Bytes(BitConverter.GetBytes, (ushort)0x3C00, (ushort)0xC000, (ushort)0x7BFF, (ushort)1),
                [1, -2, 65504, 1.0 / (1 << 24)]),
            // bfloat16 is the top of a single: 1 = 3F80, -2 = C000, 3.140625 = 4049.
            (SafetensorsType.BF16, Bytes(BitConverter.GetBytes, (ushort)0x3F80, (ushort)0xC000, (ushort)0x4049),
                [1, -2, 3.140625]),
            (SafetensorsType.I64, Bytes(BitConverter.GetBytes, long.MinValue, 5L), [-9223372036854775808.0, 5]),
            (SafetensorsType.I32, Bytes(BitConverter.GetBytes, int.MaxValue, -1), [2147483647, -1]),
            (SafetensorsType.I16, Bytes(BitConverter.GetBytes, short.MinValue), [-32768]),
            (SafetensorsType.I8, [0x80, 0x7F, 0xFF], [-128, 127, -1]),
            (SafetensorsType.U8, [0, 255], [0, 255]),
            (SafetensorsType.Bool, [0, 1, 1], [0, 1, 1]),
        };
        Assert.Equal(Enum.GetValues<SafetensorsType>(), samples.Select(s => s.Type));

        var writer = new SafetensorsWriter();
        foreach (var (type, bytes, values) in samples)
            writer.Add($"tensor é {type}", type, [values.Length], bytes);
        writer.SetMetadata("format", "pt");
        writer.SetMetadata("quote \"", "line\nbreak");
        writer.Write(_folder["all"]);

        using var reader = SafetensorsReader.Open(_folder["all"]);
        Assert.Equal("pt", reader.Metadata["format"]);
        Assert.Equal("line\nbreak", reader.Metadata["quote \""]);
        Assert.Equal(samples.Length, reader.Entries.Count);
        foreach (var (type, bytes, values) in samples)
        {
            string name = $"tensor é {type}";
            Assert.Equal(type, reader[name].Type);
            Assert.Equal(0, reader[name].Offset % type.ByteWidth());
            Assert.Equal(bytes, reader.ReadBytes(name));
            Assert.Equal(values, reader.ReadFloat64(name));
            Assert.Equal(values.Select(v => (float)v), reader.ReadFloat32(name));
            if (type is SafetensorsType.F64 or SafetensorsType.F32 or SafetensorsType.F16 or SafetensorsType.BF16)
            {
                var e = Assert.Throws<InvalidDataException>(() => reader.ReadInt64(name));
                Assert.Contains("integers were expected", e.Message);
            }
            else
            {
                Assert.Equal(values.Select(v => (long)v), reader.ReadInt64(name));
            }
        }
    }

    [Fact]
    public void Empty_files_scalars_and_zero_sizes_are_legal()
    {
        new SafetensorsWriter().Write(_folder["nothing"]);
        using (var nothing = SafetensorsReader.Open(_folder["nothing"]))
            Assert.Empty(nothing.Entries);

        var writer = new SafetensorsWriter();
        writer.Add("scalar", [], new[] { 2.5 });
        writer.Add("zero.a", [0], Array.Empty<float>());
        writer.Add("zero.b", [3, 0, 2], Array.Empty<double>());
        writer.Add("zero.c", SafetensorsType.Bool, [0, long.MaxValue], Array.Empty<byte>());
        writer.Write(_folder["small"]);
        using var reader = SafetensorsReader.Open(_folder["small"]);
        Assert.Equal([2.5], reader.ReadFloat64("scalar"));
        Assert.Empty(reader.ReadFloat32("zero.a"));
        Assert.Equal([3L, 0L, 2L], reader["zero.b"].Shape);
        Assert.Equal([0L, long.MaxValue], reader["zero.c"].Shape);
    }

    [Fact]
    public void A_file_can_be_replaced_while_its_old_content_is_being_read()
    {
        var first = new SafetensorsWriter();
        first.Add("x", [1], new[] { 1f });
        first.Write(_folder["x"]);
        using var reader = SafetensorsReader.Open(_folder["x"]);
        var second = new SafetensorsWriter();
        second.Add("x", SafetensorsType.F32, [1], stream => stream.Write(BitConverter.GetBytes(reader.ReadFloat32("x")[0] + 1)));
        second.Write(_folder["x"]);
        Assert.Equal([1f], reader.ReadFloat32("x"));
        using var again = SafetensorsReader.Open(_folder["x"]);
        Assert.Equal([2f], again.ReadFloat32("x"));
    }

    [Fact]
    public void A_writer_that_fails_or_is_cancelled_leaves_the_old_file()
    {
        var good = new SafetensorsWriter();
        good.Add("x", [1], new[] { 1f });
        good.Write(_folder["x"]);
        byte[] before = File.ReadAllBytes(_folder["x"]);

        var shortOne = new SafetensorsWriter();
        shortOne.Add("x", SafetensorsType.F32, [2], stream => stream.Write(new byte[7]));
        Assert.Equal("tensor 'x' needs 8 bytes, but 7 were written",
            Assert.Throws<InvalidOperationException>(() => shortOne.Write(_folder["x"])).Message);
        using var cancelled = new CancellationTokenSource();
        var half = new SafetensorsWriter();
        half.Add("a", SafetensorsType.F32, [1], stream => { stream.Write(new byte[4]); cancelled.Cancel(); });
        half.Add("b", [1], new[] { 1f });
        Assert.Throws<OperationCanceledException>(() => half.Write(_folder["x"], cancelled.Token));

        Assert.Equal(before, File.ReadAllBytes(_folder["x"]));
        Assert.Single(Directory.GetFiles(_folder.FullName));
    }

    [Fact]
    public void The_writer_refuses_names_and_sizes_that_would_make_a_bad_file()
    {
        var writer = new SafetensorsWriter();
        writer.Add("x", [1], new[] { 1f });
        Assert.Contains("added twice", Assert.Throws<ArgumentException>(() => writer.Add("x", [1], new[] { 1f })).Message);
        Assert.Contains("reserved",
            Assert.Throws<ArgumentException>(() => writer.Add("__metadata__", [1], new[] { 1f })).Message);
        Assert.Equal("tensor 'y' of shape [2, 3] needs 24 bytes, but 20 are given",
            Assert.Throws<ArgumentException>(() => writer.Add("y", [2, 3], new float[5])).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.Add("z", SafetensorsType.U8, [-1], _ => { }));
    }

    [Fact]
    public void Asking_for_the_wrong_tensor_or_size_says_so()
    {
        var writer = new SafetensorsWriter();
        writer.Add("head.weight", [2, 3], new float[6]);
        writer.Write(_folder["x"]);
        var reader = SafetensorsReader.Open(_folder["x"]);
        Assert.True(reader.Contains("head.weight"));
        Assert.EndsWith("x: there is no tensor 'head.bias'",
            Assert.Throws<InvalidDataException>(() => reader.ReadFloat32("head.bias")).Message);
        Assert.EndsWith("tensor 'head.weight' of shape [2, 3] has 6 elements, but 5 were expected",
            Assert.Throws<InvalidDataException>(() => reader.CopyTo("head.weight", new float[5])).Message);
        reader.Dispose();
        reader.Dispose();
        Assert.Throws<ObjectDisposedException>(() => reader.ReadFloat32("head.weight"));
    }

    [Fact]
    public void Reads_the_fixtures_of_the_operations()
    {
        using var reader = SafetensorsReader.Open(SharedFiles.Require("fixtures/ops.safetensors"));
        using var json = JsonDocument.Parse(File.ReadAllBytes(SharedFiles.Require("fixtures/ops.json")));
        Assert.NotEmpty(reader.Metadata);
        // Softmax rows sum to one: a fact about the values that a wrong offset or type would break.
        int checkedRows = 0;
        foreach (var entry in reader.Entries.Where(e => e.Name.StartsWith("softmax.") && e.Name.EndsWith(".out.0")))
        {
            Assert.Equal(SafetensorsType.F32, entry.Type);
            float sum = reader.ReadFloat32(entry.Name).Sum();
            Assert.Equal(Math.Round(sum), sum, 3);
            checkedRows++;
        }
        Assert.NotEqual(0, checkedRows);
        foreach (var entry in reader.Entries)
            Assert.Equal(entry.ByteCount, reader.ReadBytes(entry.Name).Length);
    }

    [Fact]
    public void Writing_the_fixtures_again_gives_the_bytes_their_Python_writer_gave()
    {
        string path = SharedFiles.Require("fixtures/ops.safetensors");
        using var reader = SafetensorsReader.Open(path);
        var writer = new SafetensorsWriter();
        foreach (var entry in reader.Entries)
            writer.Add(entry.Name, entry.Type, entry.Shape.ToArray(), reader.ReadBytes(entry.Name));
        foreach (var (key, value) in reader.Metadata)
            writer.SetMetadata(key, value);
        writer.Write(_folder["again"]);
        Assert.True(File.ReadAllBytes(path).AsSpan().SequenceEqual(File.ReadAllBytes(_folder["again"])));
    }

    private static byte[] Bytes<T>(Func<T, byte[]> bytes, params T[] values) => values.SelectMany(bytes).ToArray();
}
