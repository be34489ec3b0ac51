using DtoKd.Engine;
using DtoKd.Models;
using DtoKd.Training.Balancing;
using DtoKd.Training.Data;
using DtoKd.Training.Distillation;
using DtoKd.Training.Logging;
using DtoKd.Training.Optim;

namespace DtoKd.Training.Loop;

/// <summary>
/// One or more teachers, trained or loaded, and the same student for each method once with each seed, with the same budget;
/// everything is written to one folder. Without a teacher it is plain training.
/// </summary>
public sealed class Experiment
{
    private readonly ExperimentSettings _settings;
    private readonly Device _device;
    private readonly IRunObserver _observer;
    private readonly DataSplit _data;
    private readonly IReadOnlyList<TeacherSource> _teachers;

    /// <summary>Reads the data and checks that all fits together: a wrong name is found before a folder is made.</summary>
    /// <param name="settings">What to do.</param>
    /// <param name="device">Where to compute.</param>
    /// <param name="observer">Is told of the progress.</param>
    /// <exception cref="ArgumentException">A setting is out of range or names something unknown.</exception>
    /// <exception cref="InvalidDataException">Data or the teacher's checkpoint are missing or damaged.</exception>
    public Experiment(ExperimentSettings settings, Device device, IRunObserver observer)
    {
        Check(settings);
        _settings = settings;
        _teachers = TeacherSource.Of(settings);
        _device = device;
        _observer = observer;
        _data = DataSource.Parse(settings.Data).Load();
        var (height, width) = (_data.Train.Format.Height, _data.Train.Format.Width);
        if (settings.Shift >= Math.Min(height, width))
            throw new ArgumentException($"--shift is {settings.Shift}; images of {height} x {width} pixels would lie outside of themselves");
        CheckNetworks();
    }

    /// <summary>
    /// Whether to stop at the first operation that gives NaN or infinity, with its name. It changes no result, so it is no
    /// setting: a stopped run can go on with it.
    /// </summary>
    public bool DetectAnomaly { get; init; }

    /// <summary>Checks settings without reading data: a wrong name is found before a folder is made.</summary>
    /// <exception cref="ArgumentException">A setting is out of range or names something unknown.</exception>
    public static void Check(ExperimentSettings settings)
    {
        settings.Validate();
        DataSource.Parse(settings.Data);
        Zoo.Find(settings.Student);
        // In the order of the objectives: each teacher's features, the task, each teacher's KL.
        int teachers = TeacherSource.Of(settings).Count, task = teachers, objectives = (2 * teachers) + 1;
        if (settings.Methods.Count == 0)
            throw new ArgumentException("no method is named");
        var names = settings.Methods.Select(method => NewBalancer(settings, method, objectives, task, settings.Seed).Name).ToHashSet();
        if (names.Count < settings.Methods.Count)
            throw new ArgumentException($"a method is named twice: {string.Join(", ", settings.Methods)}");
        if (settings.Alpha is not null && !settings.Methods.Contains("fixed"))
            throw new ArgumentException("--alpha is for the method 'fixed', which is not among the methods");
        if (settings.Methods.Any(Distils) && settings.Teachers.Count == 0)
            throw new ArgumentException($"method '{settings.Methods.First(Distils)}' needs a teacher");
        if (settings.Methods.Any(Distils) && TrainsTeachers(settings))
            settings.RequireWarmup("teacher-epochs", settings.TeacherEpochs);
    }

    /// <summary>Whether a teacher is trained first; checkpoints are not.</summary>
    /// <exception cref="ArgumentException">A teacher is unknown.</exception>
    public static bool TrainsTeachers(ExperimentSettings settings) => TeacherSource.Of(settings).Any(source => !source.IsFile);

    /// <summary>Runs, or goes on with, everything and writes the report.</summary>
    /// <param name="folder">Where results go, and where those of a stopped run are found.</param>
    /// <param name="cancellation">Stops after the step under way, with its state saved.</param>
    /// <returns>What was measured.</returns>
    /// <exception cref="OperationCanceledException">The experiment was stopped.</exception>
    /// <exception cref="TrainingDivergedException">A loss was not finite.</exception>
    /// <exception cref="AnomalyException">An operation gave NaN or infinity, and anomalies are looked for.</exception>
    /// <exception cref="InvalidDataException">A checkpoint is damaged or does not fit.</exception>
    public RunSummary Run(RunFolder folder, CancellationToken cancellation = default)
    {
        var date = DateTimeOffset.UtcNow;
        var loop = new RunLoop(_device, folder, new MetricsLogs(folder), _observer);
        var teachers = new List<Network>();
        try
        {
            foreach (var source in _settings.Methods.Any(Distils) ? _teachers : [])
                teachers.Add(ReadyTeacher(loop, source, cancellation));
            // Seed by seed: what is stopped early has every method with the seeds it came to.
            for (int i = 0; i < _settings.Seeds; i++)
            {
                foreach (string method in _settings.Methods)
                    TrainStudent(loop, method, _settings.Seed + (ulong)i, teachers, cancellation);
            }

            var summary = Summary(MetricsFile.Read(folder.Metrics), teachers, date);
            HtmlReport.Write(folder.Report, summary);
            return summary;
        }
        finally
        {
            foreach (var teacher in teachers)
                teacher.Dispose();
        }
    }

    private static bool Distils(string method) => method != "none";

    private static Balancer NewBalancer(ExperimentSettings settings, string method, int objectives, int task, ulong seed) =>
        BalancerRegistry.Create(
            method,
            new BalancerOptions
            {
                Objectives = objectives,
                Task = task,
                Alpha = objectives > 1 ? settings.Alpha : null,
                Seed = seed,
            });

    /// <summary>Whether the networks fit the images, and the teachers' checkpoints their networks.</summary>
    private void CheckNetworks()
    {
        Network.Check(_device, _settings.Student, _data.Train.Format, _settings.DropPath);
        if (!_settings.Methods.Any(Distils))
            return;
        foreach (var teacher in _teachers)
        {
            if (teacher.IsFile)
                Network.Load(_device, teacher.Name, teacher.Model, _data.Train.Format).Dispose();
            else
                Network.Check(_device, teacher.Name, _data.Train.Format);
        }
    }

    private Network ReadyTeacher(RunLoop loop, TeacherSource source, CancellationToken cancellation)
    {
        Network teacher;
        if (source.IsFile)
        {
            teacher = Network.Load(_device, source.Name, source.Model, _data.Train.Format);
        }
        else
        {
            teacher = Network.Create(_device, source.Name, _data.Train.Format, source.Seed);
            try
            {
                Train(
                    loop,
                    source.Run,
                    teacher,
                    new ClassificationTask(teacher.Model, _settings.LabelSmoothing),
                    NewBalancer(_settings, "none", objectives: 1, task: 0, source.Seed),
                    source.Seed,
                    _settings.TeacherEpochs,
                    _settings.TeacherLearningRate,
                    cancellation);
            }
            catch
            {
                teacher.Dispose();
                throw;
            }
        }

        teacher.Arena.Freeze();
        return teacher;
    }

    private void TrainStudent(
        RunLoop loop, string method, ulong seed, IReadOnlyList<Network> teachers, CancellationToken cancellation)
    {
        Lesson[] lessons = [];
        void DeclareProjectors(VisionModel model, ParameterScope beside)
        {
            if (Distils(method))
                lessons = [.. TeacherSource.Labels(teachers).Zip(teachers, (label, teacher) => LessonOf(label, teacher, model, beside))];
        }

        using var student = Network.Create(_device, _settings.Student, _data.Train.Format, seed, DeclareProjectors, _settings.DropPath);
        TrainingTask task = lessons.Length == 0
            ? new ClassificationTask(student.Model, _settings.LabelSmoothing)
            : new DistillationTask(student.Model, lessons, _settings.Temperature, _settings.LabelSmoothing);
        var balancer = NewBalancer(_settings, method, task.Objectives.Count, task.Task, seed);
        // The balancer's name says which reading ran. Without a teacher no methods are compared: the run goes by the name of
        // what is trained.
        string run = _settings.Teachers.Count == 0 ? _settings.Student : balancer.Name;
        if (_settings.Seeds > 1)
            run = RunName.Of(run, seed);
        Train(loop, run, student, task, balancer, seed, _settings.Epochs, _settings.LearningRate, cancellation);

        Lesson LessonOf(string label, Network teacher, VisionModel model, ParameterScope beside)
        {
            var scope = beside["projectors"];
            var projectors = new FeatureProjectors(
                teachers.Count == 1 ? scope : scope[label],
                model.Features,
                teacher.Model.Features,
                _settings.FeatureScales,
                _settings.FeatureGrid);
            return new Lesson(label, new Teacher(teacher.Model), projectors);
        }
    }

    private void Train(
        RunLoop loop,
        string run,
        Network network,
        TrainingTask task,
        Balancer balancer,
        ulong seed,
        int epochs,
        double learningRate,
        CancellationToken cancellation)
    {
        // A last batch of a few images would give batch norm poor statistics and the step a noisy gradient: it is left out.
        var plan = new BatchPlan(_data.Train.Count, _settings.BatchSize, seed, dropLast: true);
        long warmup = (long)(_settings.WarmupOf(epochs) * plan.BatchesPerEpoch);
        using Optimiser optimiser = _settings.Optimiser == "sgd"
            ? new Sgd(network.Arena, momentum: 0.9, _settings.WeightDecay)
            : new AdamW(network.Arena, _settings.WeightDecay);
        using var trainer = new Trainer(
            _device,
            network.Arena,
            task,
            balancer,
            optimiser,
            new CosineSchedule(learningRate, (long)epochs * plan.BatchesPerEpoch, warmup),
            new BatchLoader(_data.Train, plan, new Augmentation(_settings.Shift, _settings.Flip)),
            new TrainerOptions
            {
                Seed = seed,
                ClipNorm = _settings.ClipNorm,
                ClipEach = _settings.ClipEach,
                Accumulate = _settings.Accumulate,
                DiagnosticsEvery = _settings.DiagnosticsEvery,
                DetectAnomaly = DetectAnomaly,
            });
        loop.Run(run, network, trainer, plan, epochs, _data.Test, cancellation);
    }

    private RunSummary Summary(Metrics metrics, IReadOnlyList<Network> teachers, DateTimeOffset date) => new()
    {
        Title = $"{(_settings.Teachers.Count == 0 ? "Training" : "Distillation")} on {_data.Train.Format.Name}",
        DataSet = $"{_data.Train.Format.Name}: {_data.Train.Count} training and {_data.Test.Count} test images",
        Teachers = [.. teachers.Zip(TeacherSource.Labels(teachers), _teachers).Select(teacher => new TeacherResult(
            teacher.Second, Top1(teacher.First, teacher.Third.Run, metrics)))],
        Student = _settings.Student,
        Seed = _settings.Seed,
        Seeds = _settings.Seeds,
        Date = date,
        Version = typeof(Experiment).Assembly.GetName().Version?.ToString(3) ?? "",
        Metrics = new Metrics(
            [.. metrics.Steps.Where(step => !IsTeacher(step.Run))], [.. metrics.Epochs.Where(epoch => !IsTeacher(epoch.Run))]),
    };

    private bool IsTeacher(string run) => _teachers.Any(teacher => teacher.Run == run);

    private double Top1(Network teacher, string run, Metrics metrics) =>
        metrics.Epochs.LastOrDefault(epoch => epoch.Run == run).Top1
        ?? Evaluation.Top1(_device, teacher.Model, _data.Test, _settings.BatchSize);
}
