namespace DtoKd.Models;

/// <summary>Follows the size of the map from stage to stage of a convolutional network and lists the features.</summary>
internal sealed class StageMaps(ImageSpec spec)
{
    private readonly List<FeatureInfo> _features = [];
    private int _height = spec.Height;
    private int _width = spec.Width;

    public IReadOnlyList<FeatureInfo> Features => _features;

    /// <summary>A padded convolution of that stride: its map is the input's over the stride, rounded up.</summary>
    public void Shrink(int stride) => (_height, _width) = ((_height + stride - 1) / stride, (_width + stride - 1) / stride);

    /// <summary>A stage that ends with a map of that many channels.</summary>
    public void Add(string name, int channels, int stride)
    {
        Shrink(stride);
        _features.Add(new FeatureInfo(name, channels, _height, _width));
    }
}
