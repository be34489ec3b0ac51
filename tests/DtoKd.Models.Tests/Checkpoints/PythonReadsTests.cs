using System.ComponentModel;
using System.Diagnostics;
using DtoKd.Models.Checkpoints;
using DtoKd.Tests;

namespace DtoKd.Models.Tests.Checkpoints;

/// <summary>A file written here, opened by a reader that shares nothing with this code (<c>tests/oracle/read_safetensors.py</c>).</summary>
public sealed class PythonReadsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_file_written_here_is_what_Python_reads()
    {
        var writer = new SafetensorsWriter();
        writer.SetMetadata("format", "pt");
        writer.Add("head.weight", [2, 3], new[] { 1.5f, 2, 3, 4, 5, 6 });
        writer.Add("scalar", [], new[] { -0.1 });
        writer.Add("steps", [1], new[] { long.MinValue });
        writer.Add("half", SafetensorsType.F16, [1], new byte[] { 0, 0x3C });
        writer.Add("mask", SafetensorsType.Bool, [2], new byte[] { 1, 0 });
        writer.Add("é", SafetensorsType.U8, [1, 1], new byte[] { 255 });
        writer.Write(_folder["written"]);
        Assert.Equal(
            """
            half F16 [1] 1.0 2
            head.weight F32 [2, 3] 1.5 24
            mask BOOL [2] True 2
            scalar F64 [] -0.1 8
            steps I64 [1] -9223372036854775808 8
            é U8 [1, 1] 255 1
            {"format": "pt"} 45

            """.ReplaceLineEndings("\n"), Python(_folder["written"]).ReplaceLineEndings("\n"));
    }

    private static string Python(string path)
    {
        string script = Path.Combine(AppContext.BaseDirectory, "oracle", "read_safetensors.py");
        var start = new ProcessStartInfo("python3", [script, path])
        {
            RedirectStandardOutput = true, StandardOutputEncoding = System.Text.Encoding.UTF8,
        };
        start.Environment["PYTHONIOENCODING"] = "utf-8";
        try
        {
            using var process = Process.Start(start)!;
            string text = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            Assert.Equal(0, process.ExitCode);
            return text;
        }
        catch (Win32Exception)
        {
            Assert.Skip("needs python3");
            return "";
        }
    }
}
