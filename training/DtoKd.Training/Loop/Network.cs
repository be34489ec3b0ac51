using DtoKd.Engine;
using DtoKd.Models;
using DtoKd.Models.Checkpoints;
using DtoKd.Training.Data;

namespace DtoKd.Training.Loop;

/// <summary>A network of the zoo with its parameters, and what else is trained beside it, in an arena of their own.</summary>
public sealed class Network : IDisposable
{
    private const string ModelKey = "dtokd.model";

    // What is trained beside the network, such as projectors, is not part of its checkpoint.
    private const string Beside = "beside.";

    private Network(Device device, string name, ImageSpec spec, double? dropPath = null)
    {
        Name = name;
        Arena = new ParameterArena(device);
        Model = Zoo.Create(name, Arena.Root, spec, dropPath);
    }

    /// <summary>The name in the zoo.</summary>
    public string Name { get; }

    /// <summary>What of its checkpoint was translated, fitted or left out when it was read, one line each.</summary>
    public IReadOnlyList<string> Notes { get; private set; } = [];

    /// <summary>All parameters.</summary>
    public ParameterArena Arena { get; }

    /// <summary>The network.</summary>
    public VisionModel Model { get; }

    /// <summary>Makes a new network.</summary>
    /// <param name="device">Where its parameters live.</param>
    /// <param name="name">Its name in the zoo.</param>
    /// <param name="images">What it is built for.</param>
    /// <param name="seed">Decides its first values.</param>
    /// <param name="declareBeside">Declares what is trained beside it.</param>
    /// <param name="dropPath">The rate of its stochastic depth, see <see cref="Zoo.Create"/>.</param>
    /// <exception cref="ArgumentException">The name is unknown, the images do not fit, or it has no stochastic depth.</exception>
    public static Network Create(
        Device device,
        string name,
        ImageFormat images,
        ulong seed,
        Action<VisionModel, ParameterScope>? declareBeside = null,
        double? dropPath = null)
    {
        var network = new Network(device, name, SpecOf(images), dropPath);
        declareBeside?.Invoke(network.Model, network.Arena.Root[Beside[..^1]]);
        network.Arena.Seal(seed);
        return network;
    }

    /// <summary>Checks that a network can be built for given images; nothing is allocated.</summary>
    /// <inheritdoc cref="Create"/>
    public static void Check(Device device, string name, ImageFormat images, double? dropPath = null) =>
        new Network(device, name, SpecOf(images), dropPath).Dispose();

    /// <summary>Opens a checkpoint of any known format that holds a network.</summary>
    /// <exception cref="InvalidDataException">The file is damaged, or the state of a run, whose parameters have no names.</exception>
    /// <inheritdoc cref="CheckpointReader.Open"/>
    public static CheckpointReader OpenCheckpoint(string path)
    {
        var file = CheckpointReader.Open(path);
        if (!TrainingState.IsIn(file))
            return file;
        file.Dispose();
        throw new InvalidDataException($"{path} is the state of a run, for --resume; {TrainingState.Beside(path)}");
    }

    /// <summary>Reads a network from a checkpoint.</summary>
    /// <param name="device">Where its parameters live.</param>
    /// <param name="path">A checkpoint of any known format and naming.</param>
    /// <param name="name">Its name in the zoo; the one noted in the file when null.</param>
    /// <param name="images">What it is built for.</param>
    /// <param name="options">What of the file is taken.</param>
    /// <exception cref="InvalidDataException">The file is damaged, names no network or another one, or does not fit it.</exception>
    public static Network Load(Device device, string path, string? name, ImageFormat images, LoadOptions? options = null)
    {
        using var file = OpenCheckpoint(path);
        if (name is null)
        {
            if (!file.Metadata.TryGetValue(ModelKey, out name))
                throw new InvalidDataException($"{path} does not say which network it holds; name it (--model, of a teacher --teacher-model)");
        }

        var network = Create(device, name, images, seed: 0);
        try
        {
            if (file.Metadata.TryGetValue(ModelKey, out string? noted) && noted != name)
                throw new InvalidDataException($"{path} holds the network {noted}, not {name}");
            options ??= new LoadOptions();
            network.Notes = ModelFile.Load(file, network.Arena, options with { Grid = options.Grid ?? GridOf(network.Model) });
            return network;
        }
        catch
        {
            network.Dispose();
            throw;
        }
    }

    /// <summary>Writes the network, without what is trained beside it.</summary>
    public void Save(string path) =>
        ModelFile.Save(
            path,
            Arena,
            new Dictionary<string, string> { ["format"] = "pt", [ModelKey] = Name },
            name => !name.StartsWith(Beside, StringComparison.Ordinal));

    /// <summary>Returns the parameters to the pool.</summary>
    public void Dispose() => Arena.Dispose();

    private static (int Rows, int Columns)? GridOf(VisionModel model) =>
        model is DeiT ? (model.Features[0].Height, model.Features[0].Width) : null;

    private static ImageSpec SpecOf(ImageFormat images) => new(images.Channels, images.Height, images.Width, images.ClassNames.Count);
}
