namespace DtoKd.Training.Loop;

/// <summary>
/// Everything that decides what an experiment computes; written as <c>config.json</c> beside its results. The number of
/// threads is not among it: it changes the time only.
/// </summary>
public sealed record ExperimentSettings
{
    private const double UsualWarmupShare = 0.25;

    /// <summary>The images, as <see cref="Data.DataSource.Parse"/> takes them.</summary>
    public string Data { get; init; } = "digits";

    /// <summary>
    /// The teachers: networks of the zoo, which are trained first, or paths of checkpoints. Empty when nothing is distilled.
    /// </summary>
    public IReadOnlyList<string> Teachers { get; init; } = [];

    /// <summary>The networks in the teachers' checkpoints, one for each, if the files do not say; empty if they do.</summary>
    public IReadOnlyList<string> TeacherModels { get; init; } = [];

    /// <summary>The network that is trained.</summary>
    public required string Student { get; init; }

    /// <summary>How its objectives are weighed; one student is trained for each.</summary>
    public required IReadOnlyList<string> Methods { get; init; }

    /// <summary>Passes over the training images for each student.</summary>
    public int Epochs { get; init; }

    /// <summary>Passes over the training images for the teacher.</summary>
    public int TeacherEpochs { get; init; }

    /// <summary>Images in a step.</summary>
    public int BatchSize { get; init; }

    /// <summary><c>adamw</c> or <c>sgd</c> (momentum 0.9).</summary>
    public string Optimiser { get; init; } = "adamw";

    /// <summary>The rate after the warm-up.</summary>
    public double LearningRate { get; init; }

    /// <summary>The teacher's rate after the warm-up.</summary>
    public double TeacherLearningRate { get; init; }

    /// <summary>Weight decay of parameters of two or more axes.</summary>
    public double WeightDecay { get; init; } = 0.05;

    /// <summary>Epochs in which the rate rises from zero.</summary>
    public double WarmupEpochs { get; init; }

    /// <summary>
    /// The share of a training that the warm-up takes at most, so that a usual length suits a short training too; null where a
    /// length was asked for, and one that does not fit is refused.
    /// </summary>
    public double? WarmupShare { get; init; }

    /// <summary>The largest norm of the gradient, after mixing; null for no clipping.</summary>
    public double? ClipNorm { get; init; } = 1;

    /// <summary>The largest norm of each objective's gradient, before mixing; null for no clipping.</summary>
    public double? ClipEach { get; init; }

    /// <summary>In how many parts a batch is computed, to save memory; see <see cref="TrainerOptions.Accumulate"/>.</summary>
    public int Accumulate { get; init; } = 1;

    /// <summary>The share of a label given to all classes evenly.</summary>
    public double LabelSmoothing { get; init; }

    /// <summary>The rate of the student's stochastic depth; null for the network's own, <see cref="Models.ZooEntry.DropPath"/>.</summary>
    public double? DropPath { get; init; }

    /// <summary>What softens both answers in the KL objective.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Pairs of feature maps compared, from the deepest.</summary>
    public int FeatureScales { get; init; } = 3;

    /// <summary>The largest side of the grid that feature maps are averaged to.</summary>
    public int FeatureGrid { get; init; } = 1;

    /// <summary>
    /// The weights of the method <c>fixed</c>, in the order feature (of each teacher), task, kl (of each teacher); null for even
    /// ones.
    /// </summary>
    public IReadOnlyList<double>? Alpha { get; init; }

    /// <summary>Pixels by which training images are moved at random.</summary>
    public int Shift { get; init; }

    /// <summary>Whether training images are mirrored at random.</summary>
    public bool Flip { get; init; }

    /// <summary>Every so many steps gradients are compared even where the method does not need it; 0 for never.</summary>
    public int DiagnosticsEvery { get; init; } = 10;

    /// <summary>Decides first values, order of images, augmentation and dropout.</summary>
    public ulong Seed { get; init; }

    /// <summary>
    /// Students for each method: with the seeds <see cref="Seed"/>, Seed + 1 and so on, all of the same teachers. Of these the
    /// first has the first seed, the second the next, and so on.
    /// </summary>
    public int Seeds { get; init; } = 1;

    /// <summary>Settings that suit a data set: what <c>distill</c> and <c>train</c> use where nothing else is said.</summary>
    /// <param name="dataName">The data set's name, without the folder.</param>
    public static ExperimentSettings DefaultsFor(string dataName) => dataName switch
    {
        "digits" => new()
        {
            Student = "regnety_nano",
            Teachers = ["regnety_micro"],
            Methods = ["none", "fixed", "amortised", "exact"],
            Epochs = 15,
            TeacherEpochs = 12,
            BatchSize = 64,
            LearningRate = 5e-3,
            TeacherLearningRate = 5e-3,
            WarmupEpochs = 2,
            WarmupShare = UsualWarmupShare,
            Shift = 1,
        },
        _ => new()
        {
            Student = "regnety_nano",
            Teachers = ["regnety_micro"],
            Methods = ["exact"],
            Epochs = 10,
            TeacherEpochs = 2,
            BatchSize = 64,
            LearningRate = 4e-3,
            TeacherLearningRate = 4e-3,
            WarmupEpochs = 0.25,
            WarmupShare = UsualWarmupShare,
            Shift = dataName == "cifar10" ? 4 : 0,
            Flip = dataName is "cifar10" or "fashion-mnist",
        },
    };

    /// <summary>Epochs of warm-up in a training of so many epochs.</summary>
    public double WarmupOf(int epochs) => WarmupShare is { } most ? Math.Min(WarmupEpochs, most * epochs) : WarmupEpochs;

    /// <summary>Checks what can be checked without looking at data or files.</summary>
    /// <exception cref="ArgumentException">A value is out of range; the message names it.</exception>
    public void Validate()
    {
        Require(Epochs >= 1, "epochs", Epochs, "at least 1");
        Require(BatchSize >= 2, "batch-size", BatchSize, "at least 2");
        Require(LearningRate > 0, "lr", LearningRate, "a positive number");
        Require(WeightDecay >= 0, "weight-decay", WeightDecay, "0 or more");
        Require(WarmupEpochs >= 0, "warmup-epochs", WarmupEpochs, "0 or more");
        RequireWarmup("epochs", Epochs);
        Require(ClipNorm is null or > 0, "clip-grad", ClipNorm ?? 0, "a positive number");
        Require(ClipEach is null or > 0, "clip-each", ClipEach ?? 0, "a positive number");
        Require(Accumulate >= 1, "accumulate", Accumulate, "at least 1");
        Require(Accumulate <= BatchSize, "accumulate", Accumulate, $"at most the {BatchSize} images of a batch (--batch-size)");
        Require(Seeds >= 1, "seeds", Seeds, "at least 1");
        Require(LabelSmoothing is >= 0 and < 1, "smoothing", LabelSmoothing, "at least 0 and below 1");
        Require(DropPath is null or (>= 0 and < 1), "drop-path", DropPath ?? 0, "at least 0 and below 1");
        Require(Temperature > 0, "temperature", Temperature, "a positive number");
        Require(FeatureScales >= 1, "feature-scales", FeatureScales, "at least 1");
        Require(FeatureGrid >= 1, "feature-grid", FeatureGrid, "at least 1");
        Require(Shift >= 0, "shift", Shift, "0 or more");
        Require(DiagnosticsEvery >= 0, "diagnostics-every", DiagnosticsEvery, "0 or more");
        if (Teachers.Count > 0)
        {
            Require(TeacherEpochs >= 1, "teacher-epochs", TeacherEpochs, "at least 1");
            Require(TeacherLearningRate > 0, "teacher-lr", TeacherLearningRate, "a positive number");
        }

        foreach (double weight in Alpha ?? [])
            Require(weight >= 0, "alpha", weight, "0 or more");
        if (Alpha is not null && Alpha.All(weight => weight == 0))
            throw new ArgumentException("--alpha is 0 for every objective; one has to be more");
        if (Optimiser is not ("adamw" or "sgd"))
            throw new ArgumentException($"unknown optimiser '{Optimiser}'; known are adamw, sgd");
    }

    /// <summary>Refuses a warm-up that a training would not outlast.</summary>
    /// <exception cref="ArgumentException">It is not shorter; the message names both.</exception>
    internal void RequireWarmup(string option, int epochs)
    {
        if (WarmupOf(epochs) >= epochs)
        {
            throw new ArgumentException(FormattableString.Invariant(
                $"--warmup-epochs is {WarmupEpochs} and --{option} {epochs}: nothing would be left after the warm-up; give a shorter one or more epochs"));
        }
    }

    private static void Require(bool holds, string option, double value, string expected)
    {
        if (!holds || !double.IsFinite(value))
            throw new ArgumentException(FormattableString.Invariant($"--{option} is {value}; it has to be {expected}"));
    }
}
