using System.Globalization;

namespace DtoKd.Training.Logging;

/// <summary>The names of runs when each method is trained with several seeds: <c>exact@3</c>.</summary>
public static class RunName
{
    /// <summary>The name of one run.</summary>
    /// <param name="method">The method.</param>
    /// <param name="seed">Its seed.</param>
    public static string Of(string method, ulong seed) => string.Create(CultureInfo.InvariantCulture, $"{method}@{seed}");

    /// <summary>The method of a run; the whole name where it has no seed.</summary>
    /// <param name="run">The name of a run.</param>
    public static string MethodOf(string run) => run.LastIndexOf('@') is var at and > 0 ? run[..at] : run;
}
