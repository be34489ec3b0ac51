using System.Buffers.Binary;
using System.Text;
using DtoKd.Models.Checkpoints;
using DtoKd.Models.Tests.Checkpoints.PyTorch;
using DtoKd.Tests;

namespace DtoKd.Models.Tests.Checkpoints;

/// <summary>
/// Damaged files of every format: read, or refused with <see cref="InvalidDataException"/>, and never at the price of memory out of
/// proportion to the file. All in memory and from a fixed seed.
/// </summary>
public sealed class CheckpointFuzzTests
{
    private const int MutantsPerFormat = 25_000;

    /// <summary>Bytes allocated to open a file: at most so many of the first per byte of it, and the second.</summary>
    private const int BytesPerByte = 64;
    private const int FreeBytes = 256 << 10;

    private static readonly long[] Extremes =
        [0, 1, -1, 8, 127, 128, 255, 256, short.MaxValue, ushort.MaxValue, int.MaxValue, int.MinValue, uint.MaxValue, 1L << 32,
         1L << 40, long.MaxValue, long.MinValue, long.MaxValue - 7, 100_000_000];

    [Theory]
    [InlineData("safetensors", 2026_1)]
    [InlineData("zip", 2026_2)]
    [InlineData("legacy", 2026_3)]
    [InlineData("index", 2026_4)]
    public void Mutants_are_read_or_refused_in_one_line(string format, int seed)
    {
        byte[][] seeds = Seeds(format), tokens = Tokens(format);
        byte[] shard = Safetensors(1);
        var random = new Random(seed);
        int read = 0, refused = 0;
        for (int i = 0; i < MutantsPerFormat; i++)
        {
            byte[] mutant = Mutate(seeds, tokens, random);
            string? failure = Try(mutant, shard, ref read, ref refused);
            Assert.True(failure is null, $"{format} mutant {i}: {failure}\n{Convert.ToBase64String(mutant)}");
        }
        // Damage to the elements alone is harmless, most other is not: both must occur often, or nothing is shown.
        Assert.InRange(read, MutantsPerFormat / 100, MutantsPerFormat);
        Assert.InRange(refused, MutantsPerFormat / 10, MutantsPerFormat);
    }

    private static string? Try(byte[] mutant, byte[] shard, ref int read, ref int refused)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            using var reader = CheckpointFormat.Open(new FileBytes("mutant", mutant), name => name.StartsWith("model-")
                ? new FileBytes(name, shard)
                : throw new FileNotFoundException(name));
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            if (allocated > FreeBytes + (long)BytesPerByte * mutant.Length)
                return $"{allocated} bytes were allocated to open {mutant.Length}";
            foreach (var entry in reader.Entries.Take(8))
            {
                // The elements must be readable where the description says they are.
                reader.ReadBytes(entry.Name);
                reader.ReadFloat32(entry.Name);
            }
            read++;
            return null;
        }
        catch (InvalidDataException e)
        {
            refused++;
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            if (allocated > FreeBytes + (long)BytesPerByte * mutant.Length)
                return $"{allocated} bytes were allocated to refuse {mutant.Length}: {e.Message}";
            return e.Message.Contains('\n') ? $"the message has two lines: {e.Message}" : null;
        }
        catch (Exception e)
        {
            return e.ToString();
        }
    }

    private static byte[][] Seeds(string format) => format switch
    {
        "safetensors" => [Safetensors(1), Safetensors(2)],
        "zip" => [PickleBytes.ZipOf(Small()), .. Fixtures("zip2"), .. Fixtures("zip4")],
        "legacy" => [PickleBytes.LegacyOf(Small()), .. Fixtures("legacy2"), .. Fixtures("legacy4")],
        _ =>
        [
            """
            {"metadata":{"total_size":60,"a":"b"},"weight_map":{"blocks.0.attn.qkv.weight":"model-1","scalar":"model-1","empty":"model-1",
            "half":"model-1","mask":"model-1"}}
            """u8.ToArray(),
            """{"weight_map":{"scalar":"model-1"}}"""u8.ToArray(),
        ],
    };

    /// <summary>What a format is made of, so that mutants get past the first checks.</summary>
    private static byte[][] Tokens(string format) => format is "zip" or "legacy"
        ? [.. ((string[])
            [
                "(", ".", "0", "1", "2", "N", "]", "}", ")", "t", "a", "e", "s", "u", "d", "l", "b", "R", "Q", "\u0081", "\u0085", "\u0086",
                "\u0087", "\u0089", "\u008f", "\u0090", "\u0093", "\u0094", "q\0", "h\0", "h\u0001", "h\u0005", "h\u0010", "r\0\0\0\u0001",
                "cos\nsystem\n", "ccollections\nOrderedDict\n", "ctorch._utils\n_rebuild_tensor_v2\n", "ctorch\nFloatStorage\n", "]q\0h\0a",
                "K\u00ff", "\u008a\u0008", "X\u0001\0\0\0x", "\u008b\u00ff\u00ff\u00ff\u00ff", "PK\u0001\u0002", "PK\u0003\u0004", "PK\u0005\u0006", "PK\u0006\u0006",
                "PK\u0006\u0007", "data.pkl", "cargparse\nNamespace\n)\u0081}b",
            ]).Select(token => Encoding.Latin1.GetBytes(token))]
        : [.. ((string[])
            [
                "{", "}", "[", "]", ",", ":", "\"", "0", "-1", "9223372036854775807", "F64", "U8", "\\u0000", "\0", "1e9", "\\ud800", "../",
                "model-1", "\"weight_map\":{", "\"__metadata__\":{",
            ]).Select(token => Encoding.Latin1.GetBytes(token))];

    private static IEnumerable<byte[]> Fixtures(string kind) => ((string[])["views", "training", "types", "parameters"])
        .Select(name => Path.Combine(SharedFiles.Require("fixtures/torch"), $"{name}.{kind}.pt")).Where(File.Exists).Select(File.ReadAllBytes);

    private static byte[] Small() => PickleBytes.Pickle(
        "}(", PickleBytes.Text("w"), PickleBytes.Tensor(PickleBytes.Number(0), PickleBytes.Tuple(2, 2), PickleBytes.Tuple(1, 2)), "u");

    private static byte[] Safetensors(int version)
    {
        var writer = new SafetensorsWriter();
        if (version == 2)
            writer.SetMetadata("format", "pt");
        writer.Add("blocks.0.attn.qkv.weight", [12, 8], Enumerable.Range(1, 96).Select(i => 1f / i).ToArray());
        writer.Add("scalar", [], new[] { 1.0 });
        writer.Add("empty", [0, 5], Array.Empty<long>());
        writer.Add("half", SafetensorsType.F16, [2, 2], new byte[8]);
        writer.Add("mask", SafetensorsType.Bool, [3], new byte[3]);
        var stream = new MemoryStream();
        writer.WriteTo(stream);
        return stream.ToArray();
    }

    private static byte[] Mutate(byte[][] seeds, byte[][] tokens, Random random)
    {
        var bytes = seeds[random.Next(seeds.Length)].ToList();
        for (int edits = random.Next(1, 4); edits > 0 && bytes.Count > 0; edits--)
        {
            int at = Position(bytes, random), left = bytes.Count - at;
            switch (random.Next(9))
            {
                case 0: bytes[at] = (byte)random.Next(256); break;
                case 1: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 2: bytes.RemoveRange(at, Math.Min(random.Next(1, 9), left)); break;
                case 3: bytes.InsertRange(at, tokens[random.Next(tokens.Length)]); break;
                case 4: bytes.InsertRange(at, bytes.GetRange(at / 2, Math.Min(random.Next(40), left))); break;
                case 5: bytes[at] = (byte)"0123456789"[random.Next(10)]; break;
                case 6: Overwrite(bytes, at, Number(random)); break;
                case 7: Overwrite(bytes, at, Part(seeds[random.Next(seeds.Length)], random)); break;
                // Cutting leaves little to damage, so it is rarer.
                case 8 when random.Next(4) == 0: bytes.RemoveRange(at, left); break;
                case 8: Overwrite(bytes, at, tokens[random.Next(tokens.Length)]); break;
            }
        }
        byte[] mutant = [.. bytes];
        // Half of the safetensors mutants get a header length that fits again, to reach the checks behind it.
        if (mutant.Length > 9 && mutant[8] == '{' && random.Next(2) == 0)
        {
            int end = Array.LastIndexOf(mutant, (byte)'}');
            if (end > 8)
                BinaryPrimitives.WriteInt64LittleEndian(mutant, end + 1 - 8);
        }
        return mutant;
    }

    /// <summary>Anywhere, but rarely among the zeros that fill a file up.</summary>
    private static int Position(List<byte> bytes, Random random)
    {
        int at = random.Next(bytes.Count);
        for (int tries = 0; tries < 6 && bytes[at] == 0; tries++)
            at = random.Next(bytes.Count);
        return at;
    }

    private static byte[] Number(Random random)
    {
        var number = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(number, Extremes[random.Next(Extremes.Length)]);
        return number[..(1 << random.Next(4))];
    }

    private static byte[] Part(byte[] seed, Random random)
    {
        int at = random.Next(seed.Length);
        return seed[at..Math.Min(seed.Length, at + random.Next(60))];
    }

    private static void Overwrite(List<byte> bytes, int at, byte[] with)
    {
        for (int i = 0; i < with.Length && at + i < bytes.Count; i++)
            bytes[at + i] = with[i];
    }
}
