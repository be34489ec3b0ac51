using System.Text.Json;
using DtoKd.Models.Checkpoints;
using StbImageSharp;

namespace DtoKd.Training.Data;

/// <summary>How photographs in folders become images of one size, and where their classes come from.</summary>
/// <param name="Size">Height and width of the images in pixels.</param>
/// <param name="CropFraction">The share of the shorter side that stays when the middle is cut out, in (0, 1].</param>
/// <param name="Labels">
/// A JSON file that gives each image's ImageNet-1k class: <c>{"images": [{"file": ..., "imagenet1k_index": ...}]}</c>, files
/// relative to it. Null: the classes are the sub-folders.
/// </param>
public sealed record ImageFolderOptions(int Size = 224, double CropFraction = 0.875, string? Labels = null)
{
    /// <summary>The file's usual name.</summary>
    public const string LabelsName = "labels.json";
}

/// <summary>
/// Photographs (JPEG, PNG) in one sub-folder per class, sorted by ordinal name; below <c>train</c> and <c>val</c> or <c>test</c> if
/// the folder has these. Each is decoded when it is asked for, so that memory does not grow with their number.
/// </summary>
internal static class ImageFolder
{
    private const int ImageNetClasses = 1000;

    // Beyond these, arrays would not hold what is computed on the way.
    private const int LargestSide = 8192;
    private const double LeastShare = 0.01;

    private static readonly string[] _extensions = [".jpg", ".jpeg", ".png"];

    private static readonly byte[] _jpegStart = [0xFF, 0xD8], _pngStart = [0x89, (byte)'P', (byte)'N', (byte)'G'];

    /// <summary>Lists the images; a folder without parts is both the training and the test part.</summary>
    /// <exception cref="InvalidDataException">No folder, no image, or labels that do not fit.</exception>
    public static DataSplit Read(string folder, ImageFolderOptions options)
    {
        DataFile.RequireFolder(folder);
        if (options.Size is < 1 or > LargestSide || !(options.CropFraction is >= LeastShare and <= 1))
        {
            throw new ArgumentException(FormattableString.Invariant($"images of {options.Size} pixels, {options.CropFraction} of the shorter side: ")
                + FormattableString.Invariant($"expected 1 to {LargestSide} pixels (--image-size) and a share from {LeastShare} to 1 (--crop-pct)"));
        }

        string? train = Part(folder, "train"), test = Part(folder, "val") ?? Part(folder, "test");
        string first = train ?? test ?? folder, second = test ?? train ?? folder;
        var names = options.Labels is null
            ? Classes(first)
            : [.. Enumerable.Range(0, ImageNetClasses).Select(index => $"{index}")];
        var format = new ImageFormat(
            "imagefolder", names, 3, options.Size, options.Size, byte.MaxValue, [0.485f, 0.456f, 0.406f], [0.229f, 0.224f, 0.225f]);
        var data = List(first, format, options);
        return new DataSplit(data, second == first ? data : List(second, format, options));
    }

    private static string? Part(string folder, string name) =>
        Directory.Exists(Path.Combine(folder, name)) ? Path.Combine(folder, name) : null;

    private static string[] Classes(string folder)
    {
        string[] names = [.. Directory.GetDirectories(folder).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
        return names.Length > 0
            ? names
            : throw new InvalidDataException($"{folder}: there are no sub-folders; expected one for each class, with its images");
    }

    private static ImageDataset List(string folder, ImageFormat format, ImageFolderOptions options)
    {
        var known = options.Labels is null ? null : ReadLabels(options.Labels);
        var files = new List<string>();
        var labels = new List<int>();
        foreach (string name in Classes(folder))
        {
            int index = format.ClassNames.ToList().IndexOf(name);
            if (known is null && index < 0)
                throw new InvalidDataException($"{Path.Combine(folder, name)}: there is no class of that name in the training part");
            foreach (string file in Images(Path.Combine(folder, name)))
            {
                if (known is not null && !known.TryGetValue(Path.GetFullPath(file), out index))
                    throw new InvalidDataException($"{options.Labels}: there is no entry for {file}");
                files.Add(file);
                labels.Add(index);
            }
        }
        if (files.Count == 0)
            throw new InvalidDataException($"{folder}: there are no images ({string.Join(", ", _extensions)}) in its sub-folders");
        return new ImageDataset(format, index => Decode(files[index], options), [.. labels]);
    }

    private static IEnumerable<string> Images(string folder)
    {
        DataFile.RequireFolder(folder);
        return Directory
            .GetFiles(folder)
            .Where(file => _extensions.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase))
            .Order(StringComparer.Ordinal);
    }

    private static byte[] Decode(string file, ImageFolderOptions options)
    {
        byte[] bytes = InputFile.ReadAllBytes(file);
        ImageResult image;
        try
        {
            // Grey and 16-bit images become three bytes; transparency is dropped.
            image = ImageResult.FromStream(new EndingStream(bytes), ColorComponents.RedGreenBlue);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // The decoder's own reasons may be any bytes.
            bool begins = bytes.AsSpan().StartsWith(_jpegStart) || bytes.AsSpan().StartsWith(_pngStart);
            throw new InvalidDataException(
                $"{file}: {(begins ? "the image cannot be decoded: the file is damaged or cut short" : "not a JPEG or PNG image")}; mend or remove it", e);
        }
        int shorter = (int)(options.Size / options.CropFraction);
        return ImageResize.ShorterSideThenCrop(image.Data, image.Height, image.Width, shorter, options.Size);
    }

    private static Dictionary<string, int> ReadLabels(string path)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        try
        {
            using var json = JsonDocument.Parse(InputFile.ReadAllBytes(path));
            if (Member(json.RootElement, "images", JsonValueKind.Array) is not { } images)
                throw Unexpected("there is no list 'images'");
            var labels = new Dictionary<string, int>();
            foreach (var (number, image) in images.EnumerateArray().Index())
            {
                if (Member(image, "file", JsonValueKind.String)?.GetString() is not { Length: > 0 } file)
                    throw Unexpected($"image {number} has no name 'file'");
                if (Member(image, "imagenet1k_index", JsonValueKind.Number) is not { } index || !index.TryGetInt32(out int label))
                    throw Unexpected($"{file} has no whole number 'imagenet1k_index'");
                if (label is < 0 or >= ImageNetClasses)
                    throw new InvalidDataException($"{path}: imagenet1k_index {label} of {file} is not in 0..{ImageNetClasses - 1}");
                labels[Path.GetFullPath(Path.Combine(folder, file))] = label;
            }
            return labels;
        }
        catch (JsonException e)
        {
            throw Unexpected($"line {e.LineNumber + 1} is not JSON");
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException)
        {
            // Half of a surrogate pair, or a null character.
            throw Unexpected($"a name is no text that a file can have: {e.Message}");
        }

        InvalidDataException Unexpected(string what) =>
            new($"{path}: {what}; expected {{\"images\": [{{\"file\": \"...\", \"imagenet1k_index\": 0}}, ...]}}");
    }

    private static JsonElement? Member(JsonElement element, string name, JsonValueKind kind) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var member) && member.ValueKind == kind ? member : null;
}
