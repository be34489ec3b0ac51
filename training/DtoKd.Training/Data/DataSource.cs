namespace DtoKd.Training.Data;

/// <summary>The two parts of a data set.</summary>
/// <param name="Train">What is learned from.</param>
/// <param name="Test">What is held out.</param>
public sealed record DataSplit(ImageDataset Train, ImageDataset Test);

/// <summary>Where images come from, as it is written on the command line: <c>digits</c> or <c>NAME:FOLDER</c>.</summary>
public sealed class DataSource
{
    private static readonly Kind[] Kinds =
    [
        new("digits", false, (_, _) => Digits.Load()),
        new("mnist", true, (folder, _) => Idx(folder, Mnist)),
        new("fashion-mnist", true, (folder, _) => Idx(folder, FashionMnist)),
        new("cifar10", true,
            (folder, _) => new DataSplit(Cifar10Format.ReadTrain(folder, Cifar10), Cifar10Format.ReadTest(folder, Cifar10))),
        new("imagefolder", true, ImageFolder.Read),
    ];

    private readonly Kind _kind;
    private readonly string _folder;

    private DataSource(Kind kind, string folder)
    {
        _kind = kind;
        _folder = folder;
    }

    /// <summary>The ways to name a source, for help texts.</summary>
    public static string KnownForms { get; } = string.Join(", ", Kinds.Select(k => k.NeedsFolder ? $"{k.Name}:FOLDER" : k.Name));

    /// <summary>The names of all data sets, without folders.</summary>
    public static IReadOnlyList<string> KnownNames { get; } = [.. Kinds.Select(kind => kind.Name)];

    /// <summary>The data set's name, without the folder.</summary>
    public string Name => _kind.Name;

    // The means and deviations are those commonly used with these data sets.
    private static ImageFormat Mnist => new("mnist", Digits.Format.ClassNames, 1, 28, 28, 255, [0.1307f], [0.3081f]);

    private static ImageFormat FashionMnist => new(
        "fashion-mnist",
        ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"],
        1, 28, 28, 255, [0.2860f], [0.3530f]);

    private static ImageFormat Cifar10 => new(
        "cifar10",
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
        3, Cifar10Format.Side, Cifar10Format.Side, 255, [0.4914f, 0.4822f, 0.4465f], [0.2470f, 0.2435f, 0.2616f]);

    /// <summary>Understands a source without reading it.</summary>
    /// <param name="text">One of <see cref="KnownForms"/>.</param>
    /// <returns>The source.</returns>
    /// <exception cref="InvalidDataException">It is none of them; the message lists them.</exception>
    public static DataSource Parse(string text)
    {
        int colon = text.IndexOf(':');
        string name = colon < 0 ? text : text[..colon], folder = colon < 0 ? "" : text[(colon + 1)..];
        var kind = Array.Find(Kinds, k => k.Name == name);
        if (kind is null || kind.NeedsFolder != (folder.Length > 0))
            throw new InvalidDataException($"unknown data '{text}'; known are {KnownForms}");
        return new DataSource(kind, folder);
    }

    /// <summary>Reads the images.</summary>
    /// <param name="folders">How photographs in folders are prepared; the others have one size.</param>
    /// <returns>The training and the test part.</returns>
    /// <exception cref="InvalidDataException">A folder or file is missing or damaged; the message names it.</exception>
    public DataSplit Load(ImageFolderOptions? folders = null) => _kind.Load(_folder, folders ?? new ImageFolderOptions());

    private static DataSplit Idx(string folder, ImageFormat format) =>
        new(IdxFormat.Read(folder, "train", format), IdxFormat.Read(folder, "t10k", format));

    private sealed record Kind(string Name, bool NeedsFolder, Func<string, ImageFolderOptions, DataSplit> Load);
}
