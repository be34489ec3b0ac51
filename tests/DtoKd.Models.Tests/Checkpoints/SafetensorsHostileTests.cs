using System.Buffers.Binary;
using System.Text;
using DtoKd.Models.Checkpoints;
using DtoKd.Tests;

namespace DtoKd.Models.Tests.Checkpoints;

public sealed class SafetensorsHostileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>A header, bytes of data behind it, and what the message must say.</summary>
    public static TheoryData<string, int, string> BadHeaders => new()
    {
        { "", 0, "offset 8: the header does not start with '{'" },
        { " {}", 0, "offset 8: the header does not start with '{'" },
        { "[]", 0, "offset 8: the header does not start with '{'" },
        { "{", 0, "the header is not valid JSON" },
        { "{}x", 0, "the header is not valid JSON" },
        { "{}{}", 0, "the header is not valid JSON" },
        { """{"a":[[[[[[1]]]]]]}""", 0, "tensor 'a' is not described by an object" },
        { """{"a":null}""", 0, "offset 9: tensor 'a' is not described by an object" },
        { """{"a":{}}""", 0, "tensor 'a' has no dtype" },
        { """{"a":{"dtype":"F32","data_offsets":[0,0]}}""", 0, "tensor 'a' has no shape" },
        { """{"a":{"dtype":"F32","shape":[0]}}""", 0, "tensor 'a' has no data_offsets" },
        { """{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}""", 4, "tensor 'a' has dtype 'F31'; known are F64, F32" },
        { """{"a":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}""", 4, "tensor 'a' has dtype 'f32'; known are F64, F32" },
        { """{"a":{"dtype":3,"shape":[1],"data_offsets":[0,4]}}""", 4, "tensor 'a' has a dtype that is not a string" },
        { """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}""", 4, "tensor 'a' has the unknown key 'x'" },
        { """{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1, "tensor 'a' has a key twice" },
        { """{"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}}""", 1, "tensor 'a' has a shape that is not an array" },
        { """{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}""", 1, "a shape entry that is not an integer in 0..2^63-1" },
        { """{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}""", 1, "a shape entry that is not an integer" },
        { """{"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}}""", 1, "a shape entry that is not an integer" },
        { """{"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}}""", 1, "a shape entry that is not an integer" },
        { """{"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}}""", 1,
            "a shape entry that is not an integer" },
        { """{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}""", 0, "overflows 64 bits" },
        { """{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}""", 0, "overflows 64 bits" },
        { """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}""", 1, "data_offsets that are not [begin, end]" },
        { """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}""", 1, "data_offsets that are not [begin, end]" },
        { """{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}""", 1, "data_offsets that are not [begin, end]" },
        { """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4,
            "tensor 'a' of 2 F32 elements needs 8 bytes, but data_offsets [0, 4] give it 4" },
        { """{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}""", 8,
            "tensor 'a' ends at byte 9 of the data, but the file has only 8; it is cut short" },
        { """{"a":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}}""", 8, "it is cut short" },
        { """{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}""", 9,
            "offset 69: 1 bytes behind the last tensor belong to no tensor" },
        { "{}", 5, "offset 10: 5 bytes behind the last tensor belong to no tensor" },
        { """{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""", 2, "1 bytes before tensor 'a' belong to no tensor" },
        { """{"a":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}}""", 1, "1 bytes before tensor 'a' belong to no tensor" },
        { """{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}""", 3,
            "tensor 'b' overlaps the one before it by 1 bytes" },
        { """{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", 2,
            "tensor 'b' overlaps the one before it by 2 bytes" },
        { """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}""", 3,
            "1 bytes before tensor 'b' belong to no tensor" },
        { """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""", 2,
            "offset 61: tensor 'a' appears twice" },
        { """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""", 2,
            "tensor 'a' appears twice" },
        { """{"__metadata__":{},"__metadata__":{}}""", 0, "__metadata__ appears twice" },
        { """{"__metadata__":{"a":"1","a":"2"}}""", 0, "__metadata__ key 'a' appears twice" },
        { """{"__metadata__":{"a":1}}""", 0, "__metadata__ value of 'a' is not a string" },
        { """{"__metadata__":{"a":{}}}""", 0, "__metadata__ value of 'a' is not a string" },
        { """{"__metadata__":"x"}""", 0, "__metadata__ is not an object of strings" },
        { """{"\ud800":{}}""", 0, "a string of the header is not valid Unicode" },
        { """{"a":{"\ud800":1}}""", 0, "a string of the header is not valid Unicode" },
        { """{"a":{"dtype":"\ud800"}}""", 0, "a string of the header is not valid Unicode" },
        { """{"line\nbreak":1}""", 0, "tensor 'line?break' is not described" },
    };

    [Theory]
    [MemberData(nameof(BadHeaders))]
    public void Refuses_a_bad_header_and_says_where_and_why(string json, int data, string message)
    {
        byte[] bytes = FileOf(Encoding.UTF8.GetBytes(json), data);
        var e = Assert.Throws<InvalidDataException>(() => ReadAll(_folder.Write("bad.safetensors", bytes)));
        Assert.StartsWith(_folder["bad.safetensors"] + ": offset ", e.Message);
        Assert.Contains(message, e.Message);
        Assert.DoesNotContain('\n', e.Message);
    }

    [Theory]
    [InlineData(new byte[0], "offset 0: the file has 0 bytes, too few for the 8-byte header length")]
    [InlineData(new byte[] { 1, 0, 0, 0, 0, 0, 0 }, "offset 0: the file has 7 bytes, too few")]
    [InlineData(new byte[] { 3, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x7D }, "header length 3 does not fit into the file of 10 bytes")]
    [InlineData(new byte[] { 0, 0xE1, 0xF5, 5, 0, 0, 0, 0 }, "header length 100000000 does not fit into the file of 8 bytes")]
    [InlineData(new byte[] { 1, 0xE1, 0xF5, 5, 0, 0, 0, 0 }, "header length 100000001 is above the format's limit")]
    [InlineData(new byte[] { 255, 255, 255, 255, 255, 255, 255, 255 }, "header length 18446744073709551615 is above")]
    [InlineData(new byte[] { 3, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0xFF, 0x7D }, "offset 8: the header is not valid UTF-8")]
    public void Refuses_a_bad_start(byte[] bytes, string message)
    {
        var e = Assert.Throws<InvalidDataException>(() => ReadAll(_folder.Write("bad", bytes)));
        Assert.Contains(message, e.Message);
    }

    [Fact]
    public void Blanks_behind_the_header_and_escaped_keys_are_legal()
    {
        const string json = "{\"a\" : {\"d\\u0074ype\":\"U8\",\n\"shape\":[ 1 ],\t\"data_offsets\":[0,1]}}\r\n \t";
        using var reader = SafetensorsReader.Open(_folder.Write("odd", FileOf(Encoding.UTF8.GetBytes(json), 1)));
        Assert.Equal([0L], reader.ReadInt64("a"));
    }

    [Fact]
    public void Reads_tensors_that_are_not_aligned()
    {
        const string json =
            """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F64","shape":[1],"data_offsets":[1,9]}}""";
        byte[] bytes = FileOf(Encoding.UTF8.GetBytes(json), 9);
        BinaryPrimitives.WriteDoubleLittleEndian(bytes.AsSpan(bytes.Length - 8), Math.PI);
        using var reader = SafetensorsReader.Open(_folder.Write("odd", bytes));
        Assert.Equal([Math.PI], reader.ReadFloat64("b"));
        Assert.Equal([(float)Math.PI], reader.ReadFloat32("b"));
    }

    [Fact]
    public void A_long_header_costs_little_more_memory_than_it_has_bytes()
    {
        var json = new StringBuilder("{");
        for (int i = 0; i < 20_000; i++)
            json.Append(i == 0 ? "" : ",").Append($$"""  "{{i:x}}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}""");
        byte[] bytes = FileOf(Encoding.UTF8.GetBytes(json.Append('}').ToString()), 0);
        string path = _folder.Write("long", bytes);
        long before = GC.GetAllocatedBytesForCurrentThread();
        using var reader = SafetensorsReader.Open(path);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 10L * bytes.Length);
        Assert.Equal(20_000, reader.Entries.Count);
    }

    private static void ReadAll(string path)
    {
        using var reader = SafetensorsReader.Open(path);
        foreach (var entry in reader.Entries)
        {
            reader.ReadBytes(entry.Name);
            reader.ReadFloat32(entry.Name);
        }
    }

    private static byte[] FileOf(byte[] json, int dataBytes)
    {
        var file = new byte[8 + json.Length + dataBytes];
        BinaryPrimitives.WriteInt64LittleEndian(file, json.Length);
        json.CopyTo(file, 8);
        return file;
    }
}
