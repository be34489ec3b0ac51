using System.CommandLine;
using DtoKd.Models;
using DtoKd.Training.Data;

namespace DtoKd.Cli.Options;

/// <summary>How photographs of <c>imagefolder:FOLDER</c> are prepared for a network.</summary>
internal sealed class ImageFolderSettings
{
    private const string Kind = "imagefolder", Prefix = $"{Kind}:", Folders = "folders";
    private const int ImageNetClasses = 1000;

    private readonly Option<int> _size = Parsing.Whole<int>("--image-size", "imagefolder: height and width of the images [224]");

    private readonly Option<double> _crop = Parsing.Real(
        "--crop-pct", "imagefolder: share of the shorter side that stays [0.9 for --model deit_* and swin_*, else 0.875]");

    private readonly Option<string> _labels = Parsing.Text(
        "--labels",
        "FILE",
        $"imagefolder: ImageNet class of each image, as JSON, or '{Folders}' [{ImageFolderOptions.LabelsName} in or above the folder, "
            + "if --model is made for ImageNet]");

    public void AddTo(Command command)
    {
        command.Options.Add(_size);
        command.Options.Add(_crop);
        command.Options.Add(_labels);
    }

    /// <exception cref="UsageException">An option is given for images of one size.</exception>
    public ImageFolderOptions Read(ParseResult parsed, string source, string? model)
    {
        string kind = DataSource.Parse(source).Name;
        Option? idle = kind == Kind ? null : new Option[] { _size, _crop, _labels }.FirstOrDefault(option => parsed.GetResult(option) is not null);
        if (idle is not null)
            throw new UsageException($"{idle.Name} is for {Kind}, the data is {kind}");
        // As the networks' authors evaluate them.
        bool transformer = model is not null
            && (model.StartsWith("deit_", StringComparison.Ordinal) || model.StartsWith("swin_", StringComparison.Ordinal));
        var usual = new ImageFolderOptions();
        return new ImageFolderOptions(
            parsed.GetResult(_size) is null ? usual.Size : parsed.GetValue(_size),
            parsed.GetResult(_crop) is not null ? parsed.GetValue(_crop) : transformer ? 0.9 : usual.CropFraction,
            parsed.GetValue(_labels) switch
            {
                null => Found(source, model),
                Folders => null,
                var file => file,
            });
    }

    private static string? Found(string source, string? model)
    {
        if (model is null || !source.StartsWith(Prefix, StringComparison.Ordinal)
            || Zoo.Find(model).Native.Classes != ImageNetClasses)
            return null;
        string folder = Path.GetFullPath(source[Prefix.Length..]);
        return new[] { folder, Path.GetDirectoryName(folder) ?? folder }
            .Select(place => Path.Combine(place, ImageFolderOptions.LabelsName))
            .FirstOrDefault(File.Exists);
    }
}
