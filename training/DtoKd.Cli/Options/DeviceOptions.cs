using System.CommandLine;
using DtoKd.Engine.Cpu;

namespace DtoKd.Cli.Options;

/// <summary>Where to compute. Nothing of it changes a result, only the time.</summary>
internal sealed class DeviceOptions
{
    private const int MostThreads = 1024;

    private readonly Option<int> _threads =
        Parsing.Whole<int>("--threads", $"threads that compute; results do not depend on it [{Environment.ProcessorCount}]");

    private readonly Option<string> _simd = Parsing.Text(
        "--simd", "LEVEL", $"vector width: avx512, avx2 or portable [{Name(Simd.Widest)}, or what {Simd.Variable} says]");

    private readonly Option<string> _device = Parsing.Text("--device", "NAME", "cpu [cpu]");

    public void AddTo(Command command)
    {
        command.Options.Add(_device);
        command.Options.Add(_threads);
        command.Options.Add(_simd);
    }

    /// <exception cref="UsageException">A device or level that is not there.</exception>
    public CpuDevice Open(ParseResult parsed)
    {
        if (parsed.GetValue(_device) is { } device and not "cpu")
            throw new UsageException($"unknown device '{device}'; known is cpu");
        int? threads = parsed.GetResult(_threads) is null ? null : parsed.GetValue(_threads);
        if (threads is < 1 or > MostThreads)
            throw new UsageException($"--threads is {threads}; it has to be in 1 .. {MostThreads}");
        return new CpuDevice(threads, parsed.GetValue(_simd) is { } level ? Simd.Parse(level) : null);
    }

    /// <summary>A level's name as <see cref="Simd.Parse"/> takes it.</summary>
    public static string Name(SimdLevel level) => level.ToString().ToLowerInvariant();
}
