using System.CommandLine;
using System.Globalization;
using DtoKd.Training.Data;
using DtoKd.Training.Loop;

namespace DtoKd.Cli.Options;

/// <summary>An option that takes the place of one default of an experiment.</summary>
internal abstract class Setting
{
    public abstract Option Option { get; }

    public bool IsGiven(ParseResult parsed) => parsed.GetResult(Option) is { Implicit: false };

    /// <summary>The settings with this one as it was given; as they are when it was not.</summary>
    public abstract ExperimentSettings Apply(ExperimentSettings settings, ParseResult parsed);

    /// <summary>Why this one changes nothing among the settings; null if it does.</summary>
    public abstract string? Idle(ExperimentSettings settings);

    /// <summary>Makes a setting; its help ends with the default, which may depend on the data.</summary>
    /// <param name="option">How it is typed.</param>
    /// <param name="get">Its value among the settings.</param>
    /// <param name="set">Puts a value among them.</param>
    /// <param name="idle">Why it changes nothing among the settings, null if it does; not given where it always does.</param>
    public static Setting Of<T>(
        Option<T> option,
        Func<ExperimentSettings, object?> get,
        Func<ExperimentSettings, T, ExperimentSettings> set,
        Func<ExperimentSettings, string?>? idle = null)
    {
        option.Description += $" [{Default(get)}]";
        return new Typed<T>(option, set, idle ?? (_ => null));
    }

    private static string Default(Func<ExperimentSettings, object?> get)
    {
        var byValue = DataSource.KnownNames.GroupBy(name => Text(get(ExperimentSettings.DefaultsFor(name)))).ToList();
        if (byValue.Count == 1)
            return byValue[0].Key;
        var named = byValue.SkipLast(1).Select(group => $"{string.Join(", ", group)}: {group.Key}");
        return $"{string.Join("; ", named)}; others: {byValue[^1].Key}";
    }

    private static string Text(object? value) => value switch
    {
        null => "none",
        bool flag => flag ? "true" : "false",
        IEnumerable<string> list => list.Any() ? string.Join(",", list) : "none",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };

    private sealed class Typed<T>(
        Option<T> option, Func<ExperimentSettings, T, ExperimentSettings> set, Func<ExperimentSettings, string?> idle) : Setting
    {
        public override Option Option => option;

        public override ExperimentSettings Apply(ExperimentSettings settings, ParseResult parsed) =>
            IsGiven(parsed) ? set(settings, parsed.GetValue(option)!) : settings;

        public override string? Idle(ExperimentSettings settings) => idle(settings);
    }
}
