using DtoKd.Training.Logging;

namespace DtoKd.Training.Loop;

/// <summary>Is told what an experiment is doing, to show it.</summary>
public interface IRunObserver
{
    /// <summary>A network begins to be trained, or goes on.</summary>
    /// <param name="run">Its name: <c>teacher</c> or the method.</param>
    /// <param name="network">The network's name in the zoo.</param>
    /// <param name="parameters">Its trained values.</param>
    /// <param name="stepsDone">Steps done in earlier runs.</param>
    /// <param name="totalSteps">Steps in all.</param>
    void RunStarted(string run, string network, long parameters, long stepsDone, long totalSteps);

    /// <summary>A step was done.</summary>
    void StepDone(in StepRecord step, int images);

    /// <summary>An epoch was done and the network evaluated.</summary>
    void EpochDone(in EpochRecord epoch);

    /// <summary>A network is trained.</summary>
    void RunFinished(string run);
}
