using DtoKd.Training.Logging;

namespace DtoKd.Training.Loop;

/// <summary>Opens the metrics file of a folder for one run after the other.</summary>
internal sealed class MetricsLogs(RunFolder folder)
{
    /// <summary>Opens it for a run that has done some steps; what the file says of later ones is dropped.</summary>
    public MetricsLog Open(string run, long stepsDone) =>
        File.Exists(folder.Metrics) ? MetricsLog.Resume(folder.Metrics, run, stepsDone) : MetricsLog.Create(folder.Metrics);
}
