using System.Buffers.Binary;
using static DtoKd.Models.Tests.Checkpoints.PyTorch.PickleBytes;

namespace DtoKd.Models.Tests.Checkpoints.PyTorch;

public sealed class TorchHostileTests
{
    private static byte[] Zero => Number(0);

    /// <summary>A name, a pickle without protocol and stop, and what the message must say.</summary>
    public static IEnumerable<TheoryDataRow<byte[], string>> Pickles()
    {
        static TheoryDataRow<byte[], string> Row(string name, string message, params object[] parts) =>
            new(Pickle(parts), message) { TestDisplayName = name };
        byte[] shell = Text("echo");

        yield return Row("GLOBAL", "byte 2: refuses os.system: only tensors", "cos\nsystem\n(", shell, "tR");
        yield return Row("GLOBAL posix", "refuses posix.system: ", "cposix\nsystem\n(", shell, "tR");
        yield return Row("GLOBAL never called", "refuses builtins.eval: ", "cbuiltins\neval\n");
        yield return Row("GLOBAL of protocol 2", "refuses __builtin__.exec: ", "c__builtin__\nexec\n");
        yield return Row("STACK_GLOBAL", "refuses builtins.eval: ", Text("builtins"), Text("eval"), 0x93, "(", shell, "tR");
        yield return Row("STACK_GLOBAL of memo", "refuses os.system: ", Text("system"), "q\0", Text("os"), "q\u0001", "h\u0001h\0", 0x93);
        yield return Row("INST", "refuses os.system: an object of pickle protocol 0", "(", shell, "ios\nsystem\n");
        yield return Row("OBJ", "refuses collections.OrderedDict: an object of pickle protocol 1", "(ccollections\nOrderedDict\n", shell, "o");
        yield return Row("OBJ of refused", "refuses os.system: ", "(cos\nsystem\n", shell, "o");
        yield return Row("NEWOBJ", "refuses subprocess.Popen: ", "csubprocess\nPopen\n(", shell, "t", 0x81);
        yield return Row("NEWOBJ_EX", "refuses argparse.Namespace: an object with keyword", "cargparse\nNamespace\n)}", 0x92);
        yield return Row("a dotted name", "refuses torch.serialization.os.system: ", "ctorch.serialization\nos.system\n");
        yield return Row("a part of a known name", "refuses collections.OrderedDict.fromkeys: ", "ccollections\nOrderedDict.fromkeys\n");
        yield return Row("a storage in bytes", "refuses torch.storage._load_from_bytes: ", "ctorch.storage\n_load_from_bytes\n(C\0tR");
        yield return Row("a whole module", "refuses torch.nn.modules.linear.Linear: ", "ctorch.nn.modules.linear\nLinear\n)", 0x81);
        yield return Row("a name on two lines", "refuses a?b.c?d: ", "ca\rb\nc\rd\n");
        yield return Row("getattr", "refuses builtins.getattr: ", "cbuiltins\ngetattr\n");
        yield return Row("EXT1", "opcode 0x82 is not one of those", 0x82, 1);
        yield return Row("text integers", "opcode 0x49 is not one of those", "I1\n");
        yield return Row("buffers", "opcode 0x97 is not one of those", 0x97);

        yield return Row("a call of a text", "a call of what is no function", Text("x"), ")R");
        yield return Row("a call without a tuple", "a call whose arguments are not a tuple", "ccollections\nOrderedDict\n]R");
        yield return Row("a type is called", "builtins.int is called with arguments that it does not take", "cbuiltins\nint\n)R");
        yield return Row("a storage is called", "torch.FloatStorage is called with", "ctorch\nFloatStorage\n)R");
        yield return Row("BUILD of a list", "attributes are set on an object that has none", "]}b");
        yield return Row("BUILD of a class", "attributes are set on an object that has none", "ccollections\nOrderedDict\n}b");

        yield return Row("an empty stack", "a value is taken from an empty stack", "0");
        yield return Row("a pop below a mark", "a value is taken from an empty stack", "N(0");
        yield return Row("a missing mark", "a mark is missing", "Nt");
        yield return Row("a list that is below a mark", "elements are added to what is no list", "](N(Ne");
        yield return Row("SETITEM of a list", "a key is set in what is no dictionary", "]NNs");
        yield return Row("SETITEMS of an odd number", "a key without a value", "}(Nu");
        yield return Row("an unset memo", "memo index 3 was never set", "h\u0003");
        yield return Row("a far memo", "memo index 4294967295 after 0 entries", "Nr", new byte[] { 255, 255, 255, 255 });
        yield return Row("a long text", "4294967295 bytes are needed, but", "X", new byte[] { 255, 255, 255, 255 });
        yield return Row("a longer text", "18446744073709551615 bytes are needed, but", 0x8D, Enumerable.Repeat((byte)255, 8).ToArray());
        yield return Row("a long integer", "an integer of more than 255 bytes", 0x8B, new byte[] { 255, 255, 255, 127 });
        yield return Row("a negative integer length", "an integer of more than 255 bytes", 0x8B, new byte[] { 255, 255, 255, 255 });
        yield return Row("an integer cut short", "255 bytes are needed, but 1 are left", 0x8A, 255);
        yield return Row("a frame cut short", "a frame of 100 bytes, but", 0x95, new byte[] { 100, 0, 0, 0, 0, 0, 0, 0 });
        yield return Row("protocol 6", "pickle protocol 6; known are 2 to 5", 0x80, 6);
        yield return Row("a broken text", "a text that is not valid UTF-8", "X", new byte[] { 1, 0, 0, 0, 255 });
        yield return Row("a name without end", "a name without its end", "cos");
        yield return Row("NumPy of the other order", "not little-endian", "cnumpy\ndtype\n", Text("f8"), 0x85, "RK\u0003", Text(">"), 0x86, "b");

        yield return Row("a cycle", "values are nested more than 64 deep, or contain themselves", "]q\0h\0a");
        yield return Row("a cycle of dictionaries", "values are nested more than 64 deep", "}q\0", Text("a"), "h\0s");
        yield return Row("depth", "values are nested more than 64 deep",
            string.Concat(Enumerable.Repeat("]", 100_000)), string.Concat(Enumerable.Repeat("a", 99_999)));
        yield return Row("a memo bomb", "shared values are repeated", "]q\0", Bomb());
        yield return Row("repeated keys", "take far more memory than the file", "(", Text(new string('k', 1000)), "q\0K\u00010}",
            string.Concat(Enumerable.Repeat("h\0h\0", 2)), "0000",
            "]q\u0001", "}(h\0", Tensor(Zero, Tuple(), Tuple()), "uq\u00020(",
            string.Concat(Enumerable.Repeat("h\u0002", 300)), "t");
        yield return Row("copied dictionaries", "take far more memory than the file", "}q\0(", string.Concat(Enumerable.Repeat("NN", 5000)),
            "u(", string.Concat(Enumerable.Repeat("ccollections\nOrderedDict\nh\0\u0085R", 50)), "t");
        yield return Row("a key of bytes", "a key that is neither text nor number", "}C\u0001xNs");

        yield return Row("too far", "a tensor reaches element 4 of storage '0', which has 4", Tensor(Zero, Tuple(5), Tuple(1)));
        yield return Row("too far by an offset", "a tensor reaches element 4 of storage '0'", Tensor(Number(1), Tuple(2, 2), Tuple(2, 1)));
        yield return Row("an empty one too far", "a tensor reaches element 5 of storage '0'", Tensor(Number(5), Tuple(0), Tuple(1)));
        yield return Row("a huge stride", "a tensor whose size overflows", Tensor(Zero, Tuple(3), Tuple(long.MaxValue)));
        yield return Row("a huge size", "a tensor whose size overflows", Tensor(Zero, Tuple(1L << 32, 1L << 32), Tuple(0, 0)));
        yield return Row("a huge offset", "a tensor whose size overflows", Tensor(Number(long.MaxValue), Tuple(2), Tuple(1)));
        yield return Row("a negative offset", "a tensor reaches element", Tensor(Number(-1), Tuple(2), Tuple(1)));
        yield return Row("a negative stride", "a stride that is not an integer in 0", Tensor(Number(3), Tuple(2), Tuple(-1)));
        yield return Row("a negative size", "a size that is not an integer in 0", Tensor(Zero, Tuple(-2), Tuple(1)));
        yield return Row("sizes and strides", "a tensor with 2 sizes and 1 strides", Tensor(Zero, Tuple(1, 2), Tuple(1)));
        yield return Row("many axes", "a tensor of 65 axes", Tensor(Zero, Tuple(new long[65]), Tuple(new long[65])));
        yield return Row("an expanded one", "repeats its elements (a stride of 0) until it is larger than the file",
            Tensor(Zero, Tuple(1L << 40), Tuple(0)));
        yield return Row("a short storage", "storage '0' of 5 F32 elements has only 16 bytes", Tensor(Zero, Tuple(1), Tuple(1), count: 5));
        yield return Row("a huge storage", "elements has only 16 bytes", Tensor(Zero, Tuple(1), Tuple(1), count: long.MaxValue));
        yield return Row("a negative storage", "does not describe a storage", Tensor(Zero, Tuple(1), Tuple(1), count: -1));
        yield return Row("a complex storage", "refuses torch.ComplexFloatStorage: ", Tensor(Zero, Tuple(1), Tuple(1), "ComplexFloatStorage"));
        yield return Row("an id of a text", "a persistent id that is not a tuple", Text("0"), "Q");
        yield return Row("two of a name", "tensor 'a' appears twice", "}",
            Text("a"), Tensor(Zero, Tuple(1), Tuple(1)), "s", Text("a"), Tensor(Zero, Tuple(1), Tuple(1)), "s");
    }

    [Theory]
    [MemberData(nameof(Pickles))]
    public void Refuses_in_one_line_and_never_runs_anything(byte[] pickle, string message)
    {
        var e = Assert.Throws<InvalidDataException>(() => Open(ZipOf(pickle)));
        Assert.StartsWith("made.pt: ", e.Message);
        Assert.Contains(message, e.Message);
        Assert.DoesNotContain('\n', e.Message);
        Assert.DoesNotContain('\r', e.Message);
    }

    /// <summary>What comes first, what is repeated, and what comes last.</summary>
    public static TheoryData<string, string, string> Repeated => new()
    {
        { "", "]", "" }, { "", "}", "" }, { "", "(", "" }, { "", "]\u0094", "" }, { "N", "\u0094", "" }, { "N", "2", "" }, { "N", "\u0085", "" },
        { "", "}NNs", "" }, { "", "]Na", "" }, { "](", "]Na", "e" }, { "](", "K\u0007", "e" }, { "](", "X\u0001\0\0\0x", "e" },
        { "](", "\u008a\u0001\u0007", "e" }, { "](", "G\0\0\0\0\0\0\0\0", "e" }, { "}(", "K\u0001]Na", "u" },
        { "ccollections\nOrderedDict\nq\0(", "h\0)R", "l" }, { "ctorch\nSize\nq\0(", "h\0)R", "l" },
        { "c__builtin__\nset\nq\0(", "h\0)R", "l" }, { "cargparse\nNamespace\nq\0(", "h\0)\u0081}b", "l" },
    };

    [Theory]
    [MemberData(nameof(Repeated))]
    public void Memory_stays_in_proportion_to_the_file(string first, string repeated, string last)
    {
        byte[] file = ZipOf(Pickle(first, string.Concat(Enumerable.Repeat(repeated, 200_000 / repeated.Length)), last));
        long before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            Open(file).Dispose();
        }
        catch (InvalidDataException)
        {
            // Refused is as good, if it was as cheap.
        }
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 192L * file.Length);
    }

    [Fact]
    public void Long_texts_that_many_lists_share_are_not_joined()
    {
        byte[] pickle = Pickle(Text(new string('x', 100_000)), "q\0}q\u0001(", Join([.. Enumerable.Range(0, 200).SelectMany(i => (object[])
            [Number(i), "(", string.Concat(Enumerable.Repeat("h\0", 16)), "t"])]), "u");
        byte[] file = ZipOf(pickle);
        long before = GC.GetAllocatedBytesForCurrentThread();
        using var reader = Open(file);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 16L * file.Length);
        Assert.Empty(reader.Metadata);
    }

    [Fact]
    public void The_older_format_refuses_the_same()
    {
        foreach (var row in Pickles())
            Assert.Throws<InvalidDataException>(() => Open(LegacyOf(row.Data.Item1)));
    }

    [Fact]
    public void The_files_that_these_are_made_of_are_read()
    {
        byte[] pickle = Pickle("}", Text("w"), Tensor(Number(1), Tuple(1, 3), Tuple(7, 1)), "s");
        foreach (byte[] file in (byte[][])[ZipOf(pickle), LegacyOf(pickle)])
        {
            using var reader = Open(file);
            Assert.Equal([1L, 3L], reader["w"].Shape);
            Assert.Equal([0f, 0f, 0f], reader.ReadFloat32("w"));
        }
        using var nothing = Open(LegacyOf(Pickle("}"), storage: false));
        Assert.Empty(nothing.Entries);
    }

    [Fact]
    public void Numbers_of_NumPy_and_text_of_Python_2_are_read()
    {
        using var reader = Open(ZipOf(Pickle("}(U\u0003accG", BitConverter.GetBytes(0.5).Reverse().ToArray(),
            Text("best"), "cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(", Text("f8"), "K\0K\u0001tR(K\u0003", Text("<"), "NNNtb",
            "c_codecs\nencode\n(", Text("\0\0\0\0\0\0\u00f8\u003f"), Text("latin1"), "tR", "tR", "u")));
        Assert.Equal("0.5", reader.Metadata["acc"]);
        Assert.Equal("1.5", reader.Metadata["best"]);
    }

    [Fact]
    public void Zip_archives_that_are_not_what_PyTorch_writes_are_refused()
    {
        byte[] pickle = Pickle("}");
        Refused("has no data.pkl", Zip(("x/y", pickle)));
        Refused("has several data.pkl", Zip(("a/data.pkl", pickle), ("b/data.pkl", pickle)));
        Refused("TorchScript", Zip(("a/data.pkl", pickle), ("a/constants.pkl", pickle)));
        Refused("not little-endian", Zip(("a/data.pkl", pickle), ("a/byteorder", "big"u8.ToArray())));
        Refused("storage '0' is not in the archive", Zip(("a/data.pkl", Pickle(Tensor(Zero, Tuple(1), Tuple(1))))));
        byte[] good = ZipOf(pickle);
        Refused("no directory at its end; the file is cut short", good[..^30]);
        Refused("no directory at its end", good[..4]);
        int central = good.AsSpan().IndexOf("PK\u0001\u0002"u8), end = good.AsSpan().LastIndexOf("PK\u0005\u0006"u8);
        Refused("is compressed", Changed(good, central + 10, 8, 0));
        Refused("is compressed", Changed(good, central + 20, 1));
        Refused("is encrypted", Changed(good, central + 8, 1));
        Refused("lacks its 64-bit sizes", Changed(good, central + 42, 255, 255, 255, 255));
        Refused("behind the data", Changed(good, central + 42, 254, 255, 255, 255));
        Refused("does not start as it should", Changed(good, central + 42, 1));
        Refused("reaches behind the data", Changed(good, central + 20, 255, 255, 0, 0, 255, 255, 0, 0));
        Refused("does not fit into the file", Changed(good, end + 10, 255, 255));
        Refused("does not fit into the file", Changed(good, end + 16, 255, 255, 255, 255));
        Refused("does not start as it should", Changed(good, end + 16, (byte)(good[end + 16] - 1)));
    }

    [Fact]
    public void Sizes_of_64_bits_are_read()
    {
        byte[] good = ZipOf(Pickle(Tensor(Zero, Tuple(4), Tuple(1))));
        int first = good.AsSpan().IndexOf("PK\u0001\u0002"u8), end = good.AsSpan().LastIndexOf("PK\u0005\u0006"u8);
        int nameEnd = first + 46 + BinaryPrimitives.ReadUInt16LittleEndian(good.AsSpan(first + 28));
        // The extra field 1: 24 bytes with size, packed size and place, where the 32 bits of each say "see there".
        byte[] extra = new byte[28];
        extra[0] = 1;
        extra[2] = 24;
        good.AsSpan(first + 24, 4).CopyTo(extra.AsSpan(4));
        good.AsSpan(first + 20, 4).CopyTo(extra.AsSpan(12));
        good.AsSpan(first + 42, 4).CopyTo(extra.AsSpan(20));
        byte[] wide = [.. good[..nameEnd], .. extra, .. good[nameEnd..]];
        wide.AsSpan(first + 20, 8).Fill(255);
        wide.AsSpan(first + 42, 4).Fill(255);
        wide[first + 30] = 28;
        wide[end + 28 + 12] += 28;
        using (var reader = Open(wide))
            Assert.Equal(new float[4], reader.ReadFloat32("tensor"));
        Refused("lacks its 64-bit sizes", Changed(wide, nameEnd + 2, 16));
        Refused("reaches behind the data", Changed(Changed(wide, nameEnd + 11, 127), nameEnd + 19, 127));
        Refused("behind the data", Changed(wide, nameEnd + 27, 127));
    }

    [Fact]
    public void A_view_of_a_storage_in_the_older_format_starts_where_it_says()
    {
        byte[] View(long offset, long count) => LegacyOf(Pickle("ctorch._utils\n_rebuild_tensor\n((", Text("storage"), "ctorch\nFloatStorage\n",
            Text("0"), Text("cpu"), Number(4), "(", Text("1"), Number(offset), Number(count), "ttQ", Zero, Tuple(2), Tuple(1), "tR"));
        byte[] file = View(1, 3);
        BitConverter.TryWriteBytes(file.AsSpan(file.Length - 12), 7f);
        using (var reader = Open(file))
            Assert.Equal([7f, 0f], reader.ReadFloat32("tensor"));
        Refused("a tensor reaches element 1 of storage '0', which has 1", View(1, 1));
        Refused("a view reaches beyond storage '0'", View(2, 3));
        Refused("a view reaches beyond storage '0'", View(long.MaxValue, long.MaxValue));
        Refused("a view reaches beyond storage '0'", View(-1, 2));
    }

    [Fact]
    public void Files_of_the_older_format_that_do_not_add_up_are_refused()
    {
        byte[] pickle = Pickle(Tensor(Zero, Tuple(1), Tuple(1)));
        byte[] good = LegacyOf(pickle);
        Refused("another magic number", Changed(good, 6, 0));
        Refused("another magic number", Pickle("N"));
        Refused("the file is cut short", good[..^20]);
        Refused("has only 15 bytes", good[..^1]);
        Refused("1 bytes behind the last storage", [.. good, 0]);
        Refused("storage '0' has 5 elements, the object says 4", Changed(good, good.Length - 24, 5));
        Refused("storage '0' has -1 elements", Changed(good, good.Length - 24, 255, 255, 255, 255, 255, 255, 255, 255));
        Refused("names one that the object does not have", LegacyOf(Pickle("}")));
        Refused("is not in the list of storages", LegacyOf(pickle, storage: false));
        Refused("described in two ways", LegacyOf(Pickle("(", Tensor(Zero, Tuple(1), Tuple(1)),
            Tensor(Zero, Tuple(1), Tuple(1), count: 3), "t")));
    }

    [Theory]
    [InlineData("version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer")]
    [InlineData("<!DOCTYPE html>", "a web page")]
    [InlineData("", "the file is empty")]
    [InlineData("GIF89a..", "no known format (it starts with 474946383961")]
    public void Other_contents_are_named(string content, string message) => Refused(message, Join(content));

    [Fact]
    public void The_oldest_format_is_named()
    {
        byte[] tar = new byte[1024];
        "ustar"u8.CopyTo(tar.AsSpan(257));
        tar[0] = (byte)'s';
        Refused("this is a tar archive", tar);
    }

    private static void Refused(string message, byte[] file) =>
        Assert.Contains(message, Assert.Throws<InvalidDataException>(() => Open(file)).Message);

    private static byte[] Changed(byte[] file, int at, params byte[] bytes)
    {
        byte[] changed = [.. file];
        bytes.CopyTo(changed, at);
        return changed;
    }

    /// <summary>Lists of two of the list before: 2^40 of the first.</summary>
    private static byte[] Bomb()
    {
        var parts = new List<object>();
        for (int i = 0; i < 40; i++)
            parts.AddRange(["]q", i + 1, "(h", i, "h", i, "e"]);
        return Join([.. parts]);
    }
}
