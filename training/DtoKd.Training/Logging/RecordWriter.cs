using System.Text.Json;

namespace DtoKd.Training.Logging;

/// <summary>Writes records as JSON objects.</summary>
internal sealed class RecordWriter(Utf8JsonWriter json)
{
    public void Write(in StepRecord record)
    {
        Begin("step"u8, record.Run, record.Epoch, record.Step);
        Write("losses"u8, record.Losses);
        Write("weights"u8, record.Weights);
        Write("coefficients"u8, record.Coefficients);
        Write("cosine"u8, record.Cosine);
        Write("normRatio"u8, record.NormRatio);
        if (record.Conflict is { } conflict)
            json.WriteBoolean("conflict"u8, conflict);
        if (record.Clamped is { } clamped)
            json.WriteBoolean("clamped"u8, clamped);
        if (record.DroppedObjective is { } dropped)
            json.WriteString("droppedObjective"u8, dropped);
        Write("normOfMixed"u8, record.NormOfMixed);
        Write("gradNorm"u8, record.GradNorm);
        Write("learningRate"u8, record.LearningRate);
        Write("milliseconds"u8, record.Milliseconds);
        json.WriteEndObject();
    }

    public void Write(in EpochRecord record)
    {
        Begin("epoch"u8, record.Run, record.Epoch, record.Step);
        Write("trainLosses"u8, record.TrainLosses);
        Write("top1"u8, record.Top1);
        Write("imagesPerSecond"u8, record.ImagesPerSecond);
        Write("seconds"u8, record.Seconds);
        Write("conflictShare"u8, record.ConflictShare);
        Write("clampedShare"u8, record.ClampedShare);
        json.WriteEndObject();
    }

    private void Begin(ReadOnlySpan<byte> kind, string run, int epoch, long step)
    {
        json.WriteStartObject();
        json.WriteString("kind"u8, kind);
        json.WriteString("run"u8, run);
        json.WriteNumber("epoch"u8, epoch);
        json.WriteNumber("step"u8, step);
    }

    private void Write(ReadOnlySpan<byte> name, NamedValues values)
    {
        if (values.Count == 0)
            return;
        json.WriteStartObject(name);
        for (int i = 0; i < values.Count; i++)
        {
            json.WritePropertyName(values.Names[i]);
            WriteNumber(values.Values[i]);
        }
        json.WriteEndObject();
    }

    private void Write(ReadOnlySpan<byte> name, double? value)
    {
        if (value is not { } number)
            return;
        json.WritePropertyName(name);
        WriteNumber(number);
    }

    private void WriteNumber(double value)
    {
        if (double.IsFinite(value))
            json.WriteNumberValue(value);
        else
            json.WriteStringValue(double.IsNaN(value) ? "NaN"u8 : value > 0 ? "Infinity"u8 : "-Infinity"u8);
    }
}
