namespace DtoKd.Models.Checkpoints;

/// <summary>What of a checkpoint is taken into a network.</summary>
public sealed record LoadOptions
{
    /// <summary>Whether to take the average of the weights over the training run where the file has both.</summary>
    public bool Average { get; init; }

    /// <summary>Whether to leave the classifier as it is, for other classes than the file's.</summary>
    public bool DropHead { get; init; }

    /// <summary>Rows and columns of the network's patches, for position embeddings of another image size; a square when null.</summary>
    public (int Rows, int Columns)? Grid { get; init; }
}
