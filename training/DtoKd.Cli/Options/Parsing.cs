using System.CommandLine;
using System.Globalization;
using System.Numerics;

namespace DtoKd.Cli.Options;

/// <summary>Makes options whose values are read the same way on every machine, and whose errors name the option.</summary>
internal static class Parsing
{
    /// <summary>A text that is not empty.</summary>
    public static Option<string> Text(string name, string placeholder, string description) => Parsed(
        name,
        placeholder,
        description,
        $"a {placeholder}",
        (string text, out string value) =>
        {
            value = text;
            return text.Length > 0;
        });

    /// <summary>A text that is not empty and stands by its place.</summary>
    public static Argument<string> TextArgument(string name, string description) => new(name)
    {
        Description = description,
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (text.Length == 0)
                result.AddError($"{name} is empty ({description})");
            return text;
        },
    };

    public static Option<T> Whole<T>(string name, string description)
        where T : IBinaryInteger<T>, IMinMaxValue<T> =>
        Parsed(
            name,
            "N",
            description,
            T.IsNegative(T.MinValue) ? "a whole number" : "a whole number, 0 or more",
            (string text, out T value) => T.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out value!));

    /// <summary>Texts with commas between them, or the option given several times; the name of a file or folder that is there may have commas in it.</summary>
    public static Option<IReadOnlyList<string>> Texts(string name, string placeholder, string description) => new(name)
    {
        Description = description,
        HelpName = placeholder,
        Arity = ArgumentArity.OneOrMore,
        CustomParser = result =>
        {
            string[] texts = [.. result.Tokens.SelectMany(token =>
                Path.Exists(token.Value) ? [token.Value] : token.Value.Split(',', StringSplitOptions.TrimEntries))];
            if (Array.Exists(texts, string.IsNullOrEmpty))
                result.AddError($"{name} takes names with commas between them, not '{string.Join(' ', result.Tokens)}'");
            return texts;
        },
    };

    /// <summary>A whole number that stands by its place.</summary>
    public static Argument<int> WholeArgument(string name, string description) => new(name)
    {
        Description = description,
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (!int.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out int value))
                result.AddError($"{name} takes a whole number, not '{text}'");
            return value;
        },
    };

    public static Option<double> Real(string name, string description) =>
        Parsed<double>(name, "X", description, "a number", TryReal);

    /// <summary>A bound, or <c>none</c>, which is infinity.</summary>
    public static Option<double> Bound(string name, string description) => Parsed(
        name,
        "X|none",
        description,
        "a number or none",
        (string text, out double value) =>
        {
            bool isNumber = TryReal(text, out value);
            if (text == "none")
                value = double.PositiveInfinity;
            return isNumber || text == "none";
        });

    /// <summary>Numbers with commas between them.</summary>
    public static Option<IReadOnlyList<double>?> Reals(string name, string description) => Parsed(
        name,
        "X,X,...",
        description,
        "numbers with commas between them",
        (string text, out IReadOnlyList<double>? values) =>
        {
            var numbers = new List<double>();
            foreach (string part in text.Split(','))
            {
                if (TryReal(part, out double number))
                    numbers.Add(number);
            }

            values = numbers;
            return numbers.Count == text.Count(c => c == ',') + 1;
        });

    /// <summary>
    /// <c>true</c> or <c>false</c>; true without either. It is read as a text, because after an option of a truth value the parser would
    /// take any other word for an argument by its place.
    /// </summary>
    public static Option<string> Toggle(string name, string description)
    {
        var option = Parsed(
            name,
            "true|false",
            description,
            "true or false",
            (string text, out string value) => (value = text.Length == 0 ? "true" : text.ToLowerInvariant()) is "true" or "false");
        option.Arity = ArgumentArity.ZeroOrOne;
        return option;
    }

    private static bool TryReal(string text, out double value) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value);

    private static Option<T> Parsed<T>(string name, string placeholder, string description, string expected, TryParse<T> parse) =>
        new(name)
        {
            Description = description,
            HelpName = placeholder,
            CustomParser = result =>
            {
                string text = result.Tokens is [var token, ..] ? token.Value : "";
                if (!parse(text, out var value))
                    result.AddError($"{name} takes {expected}, not '{text}'");
                return value;
            },
        };

    private delegate bool TryParse<T>(string text, out T value);
}
