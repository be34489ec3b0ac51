using System.CommandLine;
using System.Globalization;
using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Engine.Gpu;

namespace DtoKd.Cli.Options;

/// <summary>Where to compute. On the processor nothing of it changes a result, only the time.</summary>
internal sealed class DeviceOptions
{
    private const int MostThreads = 1024;
    private const string Processor = "cpu", Card = "cuda", Automatic = "auto";

    private readonly Option<int> _threads =
        Parsing.Whole<int>("--threads", $"cpu: threads that compute; results do not depend on it [{Environment.ProcessorCount}]");

    private readonly Option<string> _simd = Parsing.Text(
        "--simd", "LEVEL", $"cpu: vectors, zen5, zen4, avx512, avx2 or portable [{Name(Simd.Best)}, or what {Simd.Variable} says]");

    private readonly Option<string> _device = Parsing.Text(
        "--device", "NAME", "cpu, cuda or cuda:N, or auto: the first CUDA device that can be used, else the cpu [cpu]");

    private readonly Option<string> _precision = Parsing.Text(
        "--matmul-precision", "LEVEL", "cuda: products in single precision (highest), TF32 (high) or bf16 (medium) [highest]");

    public void AddTo(Command command)
    {
        command.Options.Add(_device);
        command.Options.Add(_threads);
        command.Options.Add(_simd);
        command.Options.Add(_precision);
    }

    /// <summary>Opens the device that was asked for; what <c>auto</c> chose is written to the standard error.</summary>
    /// <exception cref="UsageException">A device or level that is not there, or that cannot be used.</exception>
    public Device Open(ParseResult parsed, Host host)
    {
        string name = parsed.GetValue(_device) ?? Processor;
        bool mayBeCpu = name is Processor or Automatic, mayBeCard = name != Processor;
        foreach (Option option in mayBeCpu ? [] : new Option[] { _threads, _simd })
        {
            if (parsed.GetResult(option) is not null)
                throw new UsageException($"{option.Name} is for the cpu, the device is {name}");
        }

        var precision = Precision(parsed.GetValue(_precision));
        if (precision != MatmulPrecision.Highest && !mayBeCard)
            throw new UsageException($"{_precision.Name} is for cuda; the cpu multiplies in single precision");
        if (name == Processor)
            return OpenCpu(parsed);
        if (name != Automatic)
            return OpenCard(IndexOf(name), precision, host);
        var cards = GpuInfo.List(out string? problem);
        var usable = cards.FirstOrDefault(card => card.Problem is null);
        host.Error.WriteLine(usable is null
            ? $"device: cpu ({problem ?? cards[0].Problem})"
            : $"device: {usable.DeviceName}, {usable.Name}");
        return usable is null ? OpenCpu(parsed) : OpenCard(usable.Index, precision, host);
    }

    /// <summary>A level's name as <see cref="Simd.Parse"/> takes it.</summary>
    public static string Name(SimdLevel level) => level.ToString().ToLowerInvariant();

    /// <exception cref="UsageException">No machine has so many threads.</exception>
    public static void RequireThreads(int threads)
    {
        if (threads is < 1 or > MostThreads)
            throw new UsageException($"--threads is {threads}; it has to be in 1 .. {MostThreads}");
    }

    private CpuDevice OpenCpu(ParseResult parsed)
    {
        int? threads = parsed.GetResult(_threads) is null ? null : parsed.GetValue(_threads);
        if (threads is { } count)
            RequireThreads(count);
        return new CpuDevice(threads, parsed.GetValue(_simd) is { } level ? Simd.Parse(level) : null);
    }

    private static GpuDevice OpenCard(int index, MatmulPrecision precision, Host host)
    {
        try
        {
            var device = GpuDevice.Cuda(index);
            device.MatmulPrecision = precision;
            TuningFile.Use(device, host);
            return device;
        }
        catch (NotSupportedException failure)
        {
            throw new UsageException(failure.Message);
        }
    }

    private static int IndexOf(string name)
    {
        if (name == Card)
            return 0;
        return name.StartsWith($"{Card}:", StringComparison.Ordinal)
            && int.TryParse(name.AsSpan(Card.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int index)
            ? index
            : throw new UsageException($"unknown device '{name}'; known are {Processor}, {Card}, {Card}:N, {Automatic}");
    }

    private static MatmulPrecision Precision(string? level) => level switch
    {
        null or "highest" => MatmulPrecision.Highest,
        "high" => MatmulPrecision.High,
        "medium" => MatmulPrecision.Medium,
        _ => throw new UsageException($"unknown precision '{level}'; known are highest, high, medium"),
    };
}
