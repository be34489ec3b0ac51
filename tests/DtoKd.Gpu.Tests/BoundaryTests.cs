using System.Text.RegularExpressions;

namespace DtoKd.Gpu.Tests;

public partial class BoundaryTests
{
    [Fact]
    public void ILGPU_is_known_to_the_device_and_its_kernels_only()
    {
        var root = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(root.FullName, "DtoKd.Pure.sln")))
            root = root.Parent!;
        var sources = new[] { "engine", "models", "training" }
            .SelectMany(house => Directory.EnumerateFiles(Path.Combine(root.FullName, house), "*.cs", SearchOption.AllDirectories))
            .Select(file => Path.GetRelativePath(root.FullName, file))
            .Where(file => !file.Split(Path.DirectorySeparatorChar).Contains("obj") && !OfGpu().IsMatch(file))
            .ToArray();
        Assert.NotEmpty(sources);
        Assert.DoesNotContain(sources, file => UsesIlgpu().IsMatch(File.ReadAllText(Path.Combine(root.FullName, file))));
    }

    [GeneratedRegex(@"Devices.Gpu.|\.Gpu\.")]
    private static partial Regex OfGpu();

    [GeneratedRegex(@"\b(using|global::)\s*ILGPU\b|\bILGPU\.")]
    private static partial Regex UsesIlgpu();
}
