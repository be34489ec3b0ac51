using DtoKd.Training.Balancing;
using DtoKd.Training.Data;
using DtoKd.Training.Loop;

namespace DtoKd.Cli.Options;

/// <summary>The options for an experiment's settings, by the names that timm and DeiT's scripts have made common.</summary>
internal static class Settings
{
    public const string AllMethods = "all";

    public static Setting Data() => Setting.Of(
        Parsing.Text("--data", "SRC", $"images: {DataSource.KnownForms}"),
        settings => settings.Data,
        (settings, value) => settings with { Data = value });

    public static Setting Student(string option) => Setting.Of(
        Parsing.Text(option, "NAME", "network to train, one of those below"),
        settings => settings.Student,
        (settings, value) => settings with { Student = value });

    /// <summary>What training has with and without a teacher.</summary>
    public static IReadOnlyList<Setting> Training() =>
    [
        Setting.Of(
            Parsing.Whole<int>("--epochs", "passes over the training images"),
            settings => settings.Epochs,
            (settings, value) => settings with { Epochs = value }),
        Setting.Of(
            Parsing.Whole<int>("--batch-size", "images in a step"),
            settings => settings.BatchSize,
            (settings, value) => settings with { BatchSize = value }),
        Setting.Of(
            Parsing.Text("--opt", "adamw|sgd", "optimiser; sgd has momentum 0.9"),
            settings => settings.Optimiser,
            (settings, value) => settings with { Optimiser = value }),
        Setting.Of(
            Parsing.Real("--lr", "learning rate after the warm-up; falls to zero along a cosine"),
            settings => settings.LearningRate,
            (settings, value) => settings with { LearningRate = value }),
        Setting.Of(
            Parsing.Real("--weight-decay", "of parameters of two or more axes"),
            settings => settings.WeightDecay,
            (settings, value) => settings with { WeightDecay = value }),
        Setting.Of(
            Parsing.Real("--warmup-epochs", "epochs, or a part of one, in which the rate rises from zero; if not given, at most a quarter"),
            settings => settings.WarmupEpochs,
            (settings, value) => settings with { WarmupEpochs = value, WarmupShare = null }),
        Setting.Of(
            Parsing.Bound("--clip-grad", "largest norm of the gradient, after mixing"),
            settings => settings.ClipNorm,
            (settings, value) => settings with { ClipNorm = double.IsPositiveInfinity(value) ? null : value }),
        Setting.Of(
            Parsing.Whole<int>("--accumulate", "parts a batch is computed in, one after the other, to save memory"),
            settings => settings.Accumulate,
            (settings, value) => settings with { Accumulate = value }),
        Setting.Of(
            Parsing.Real("--smoothing", "share of a label given to all classes evenly"),
            settings => settings.LabelSmoothing,
            (settings, value) => settings with { LabelSmoothing = value }),
        Setting.Of(
            Parsing.Real("--drop-path", "share of samples that skip the student's last block in training, less in earlier ones"),
            settings => (object?)settings.DropPath ?? "the network's own",
            (settings, value) => settings with { DropPath = value }),
        Setting.Of(
            Parsing.Whole<int>("--shift", "pixels by which training images are moved at random"),
            settings => settings.Shift,
            (settings, value) => settings with { Shift = value }),
        Setting.Of(
            Parsing.Toggle("--flip", "mirror training images at random; --flip false for not to"),
            settings => settings.Flip,
            (settings, value) => settings with { Flip = value != "false" }),
        Setting.Of(
            Parsing.Whole<ulong>("--seed", "decides first values, order of images, augmentation and dropout"),
            settings => settings.Seed,
            (settings, value) => settings with { Seed = value }),
    ];

    /// <summary>What only distillation has.</summary>
    public static IReadOnlyList<Setting> Distillation() =>
    [
        Setting.Of(
            Parsing.Texts(
                "--teacher",
                "NAME|FILE,...",
                "network that is trained first, or a checkpoint's file or folder (./NAME if it has a network's name); several by commas or given again"),
            settings => settings.Teachers,
            (settings, value) => settings with { Teachers = value }),
        Setting.Of(
            Parsing.Texts("--teacher-model", "NAME,...", "network in each teacher's checkpoint, if the files do not say"),
            settings => settings.TeacherModels,
            (settings, value) => settings with { TeacherModels = value }),
        Setting.Of(
            Parsing.Texts(
                "--method", "NAME,...", $"how the objectives are weighed, of those below; one student for each; or {AllMethods}"),
            settings => settings.Methods,
            (settings, value) => settings with { Methods = Methods(value) }),
        Setting.Of(
            Parsing.Whole<int>("--seeds", "students for each method, with this many seeds from --seed on; the same teachers for all"),
            settings => settings.Seeds,
            (settings, value) => settings with { Seeds = value }),
        Setting.Of(
            Parsing.Bound("--clip-each", "largest norm of each objective's gradient, before mixing; a backward pass for each"),
            settings => settings.ClipEach,
            (settings, value) => settings with { ClipEach = double.IsPositiveInfinity(value) ? null : value }),
        Setting.Of(
            Parsing.Whole<int>("--teacher-epochs", "passes over the training images for each teacher"),
            settings => settings.TeacherEpochs,
            (settings, value) => settings with { TeacherEpochs = value },
            WithoutTraining),
        Setting.Of(
            Parsing.Real("--teacher-lr", "the teachers' learning rate"),
            settings => settings.TeacherLearningRate,
            (settings, value) => settings with { TeacherLearningRate = value },
            WithoutTraining),
        Setting.Of(
            Parsing.Real("--temperature", "softens both answers in the objective 'kl'"),
            settings => settings.Temperature,
            (settings, value) => settings with { Temperature = value }),
        Setting.Of(
            Parsing.Whole<int>("--feature-scales", "pairs of feature maps compared, from the deepest; fewer if a network has fewer"),
            settings => settings.FeatureScales,
            (settings, value) => settings with { FeatureScales = value }),
        Setting.Of(
            Parsing.Whole<int>("--feature-grid", "largest side of the grid that feature maps are averaged to"),
            settings => settings.FeatureGrid,
            (settings, value) => settings with { FeatureGrid = value }),
        Setting.Of(
            Parsing.Reals("--alpha", "weights of the method 'fixed': feature of each teacher, task, kl of each teacher"),
            settings => settings.Alpha ?? (object)"even",
            (settings, value) => settings with { Alpha = value }),
        Setting.Of(
            Parsing.Whole<int>(
                "--diagnostics-every", "steps between comparisons of gradients that the method does not need; 0: never"),
            settings => settings.DiagnosticsEvery,
            (settings, value) => settings with { DiagnosticsEvery = value }),
    ];

    private static string? WithoutTraining(ExperimentSettings settings) =>
        Experiment.TrainsTeachers(settings) ? null : "the teachers are checkpoints, which are not trained";

    private static IReadOnlyList<string> Methods(IReadOnlyList<string> names) =>
        names is [AllMethods]
            ? [.. BalancerRegistry.Distinct.Select(entry => entry.Name)]
            : [.. names.Select(name => name.ToLowerInvariant())];
}
