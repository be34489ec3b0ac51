using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace DtoKd.Models.Checkpoints.PyTorch;

/// <summary>The classes and functions that may be named in a pickle, and what stands for calling them.</summary>
internal static class PickleGlobals
{
    private const int MaxRank = 64;

    private static readonly FrozenDictionary<string, PickleGlobal> Known = Table().ToFrozenDictionary(global => global.Name);

    /// <summary>An allowed name; null for any other.</summary>
    internal static PickleGlobal? Find(string name) => Known.GetValueOrDefault(name);

    /// <summary>The value that a call stands for.</summary>
    internal static object? Call(ref PickleMachine machine, PickleGlobal function, object?[] arguments)
    {
        switch (function.Kind)
        {
            case GlobalKind.Dict: return Dict(ref machine, arguments);
            case GlobalKind.Namespace when arguments.Length == 0: return new PickleDict();
            case GlobalKind.List when arguments.Length == 0: return new PickleList();
            case GlobalKind.List when arguments is [PickleList items]: return items;
            case GlobalKind.Size when arguments is [PickleTuple sizes]: return sizes;
            case GlobalKind.Size when arguments.Length == 0: return PickleTuple.Empty;
            case GlobalKind.Parameter when arguments is [TorchTensor tensor, ..]: return tensor;
            case GlobalKind.Tensor: return Tensor(ref machine, arguments);
            case GlobalKind.Text: return Text(ref machine, function, arguments);
            case GlobalKind.Bytes when arguments is [string text, "latin1" or "latin-1"]: return Bytes(ref machine, text);
            case GlobalKind.Bytes when arguments.Length == 0: return Array.Empty<byte>();
            case GlobalKind.NumpyType when arguments is [string code, ..]: return new NumpyType(code);
            case GlobalKind.NumpyScalar when arguments is [NumpyType type, byte[] bytes]:
                return NumpyScalar(type.Code, bytes) ?? throw machine.Error($"a NumPy number of type {Quoting.Quote(type.Code)}");
            default: throw machine.Error($"{function.Name} is called with arguments that it does not take");
        }
    }

    /// <summary>Sets an object's attributes: kept for a namespace, of no use for a dictionary (PyTorch's <c>_metadata</c>).</summary>
    internal static void Build(ref PickleMachine machine, object? target, object? state)
    {
        switch (target)
        {
            case PickleDict { Pairs.Count: 0 } space when state is PickleDict attributes:
                machine.Spend(32L * attributes.Pairs.Count);
                foreach (var (key, value) in attributes.Pairs)
                {
                    if (key is not "_metadata")
                        space.Add(key, value);
                }
                break;
            case PickleDict:
                break;
            case NumpyType when state is PickleTuple { Items: [_, string order, ..] }:
                if (order is not ("<" or "|" or "="))
                    throw machine.Error("a NumPy number that is not little-endian");
                break;
            default:
                throw machine.Error("attributes are set on an object that has none");
        }
    }

    private static IEnumerable<PickleGlobal> Table()
    {
        foreach (string builtins in (string[])["builtins", "__builtin__"])
        {
            yield return new($"{builtins}.dict", GlobalKind.Dict);
            yield return new($"{builtins}.list", GlobalKind.List);
            yield return new($"{builtins}.set", GlobalKind.List);
            yield return new($"{builtins}.frozenset", GlobalKind.List);
            yield return new($"{builtins}.bytes", GlobalKind.Bytes);
            foreach (string name in (string[])["int", "float", "bool", "str", "tuple"])
                yield return new($"{builtins}.{name}", GlobalKind.Name);
        }
        yield return new("_codecs.encode", GlobalKind.Bytes);
        yield return new("collections.OrderedDict", GlobalKind.Dict);
        yield return new("collections.defaultdict", GlobalKind.Dict);
        yield return new("collections.Counter", GlobalKind.Dict);
        yield return new("argparse.Namespace", GlobalKind.Namespace);
        // Settings as Swin keeps them: a dictionary with methods.
        yield return new("yacs.config.CfgNode", GlobalKind.Namespace);
        foreach (string path in (string[])["PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"])
            yield return new($"pathlib.{path}", GlobalKind.Text);
        yield return new("torch.device", GlobalKind.Text);
        yield return new("torch.Size", GlobalKind.Size);
        yield return new("torch._utils._rebuild_tensor", GlobalKind.Tensor);
        yield return new("torch._utils._rebuild_tensor_v2", GlobalKind.Tensor);
        yield return new("torch._utils._rebuild_parameter", GlobalKind.Parameter);
        yield return new("torch._utils._rebuild_parameter_with_state", GlobalKind.Parameter);
        yield return new("numpy.dtype", GlobalKind.NumpyType);
        yield return new("numpy.core.multiarray.scalar", GlobalKind.NumpyScalar);
        yield return new("numpy._core.multiarray.scalar", GlobalKind.NumpyScalar);
        foreach (var (storage, type) in ((string, SafetensorsType)[])
            [
                ("Double", SafetensorsType.F64), ("Float", SafetensorsType.F32), ("Half", SafetensorsType.F16),
                ("BFloat16", SafetensorsType.BF16), ("Long", SafetensorsType.I64), ("Int", SafetensorsType.I32),
                ("Short", SafetensorsType.I16), ("Char", SafetensorsType.I8), ("Byte", SafetensorsType.U8),
                ("Bool", SafetensorsType.Bool),
            ])
        {
            yield return new($"torch.{storage}Storage", GlobalKind.Storage, type);
            yield return new($"torch.cuda.{storage}Storage", GlobalKind.Storage, type);
        }
        foreach (string name in (string[])
            ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"])
            yield return new($"torch.{name}", GlobalKind.Name);
    }

    private static PickleDict Dict(ref PickleMachine machine, object?[] arguments)
    {
        // The first argument may be the type of missing values (defaultdict); pairs come as a list, in Python 2, or as a dictionary.
        var dict = new PickleDict();
        foreach (object? argument in arguments)
        {
            switch (argument)
            {
                case null or PickleGlobal:
                    break;
                case PickleDict other:
                    machine.Spend(32L * other.Pairs.Count);
                    foreach (var (key, value) in other.Pairs)
                        dict.Add(key, value);
                    break;
                case PickleList pairs:
                    machine.Spend(32L * pairs.Items.Count);
                    foreach (object? pair in pairs.Items)
                    {
                        var items = pair is PickleTuple tuple ? tuple.Items : (pair as PickleList)?.Items;
                        if (items is not [var key, var value])
                            throw machine.Error("a dictionary is made of what are no pairs");
                        dict.Add(key, value);
                    }
                    break;
                default:
                    throw machine.Error("a dictionary is made of what are no pairs");
            }
        }
        return dict;
    }

    private static TorchTensor Tensor(ref PickleMachine machine, object?[] arguments)
    {
        if (arguments is not [TorchStorage storage, long offset, PickleTuple size, PickleTuple stride, ..])
            throw machine.Error("a tensor that is not described by storage, offset, size and stride");
        long[] shape = Numbers(ref machine, size, "size"), strides = Numbers(ref machine, stride, "stride");
        if (shape.Length != strides.Length)
            throw machine.Error($"a tensor with {shape.Length} sizes and {strides.Length} strides");
        long count = 1, last = offset;
        try
        {
            foreach (long dimension in shape)
                count = checked(count * dimension);
            for (int axis = 0; axis < shape.Length && count > 0; axis++)
                last = checked(last + (shape[axis] - 1) * strides[axis]);
        }
        catch (OverflowException)
        {
            throw machine.Error("a tensor whose size overflows 64 bits");
        }
        if (offset < 0 || (count > 0 ? last >= storage.Count : offset > storage.Count))
        {
            throw machine.Error($"a tensor reaches element {(count > 0 ? last : offset)} of storage {Quoting.Quote(storage.Key)}, "
                + $"which has {storage.Count}");
        }
        return new TorchTensor(storage, offset, shape, strides, count);
    }

    private static long[] Numbers(ref PickleMachine machine, PickleTuple tuple, string what)
    {
        if (tuple.Items.Length > MaxRank)
            throw machine.Error($"a tensor of {tuple.Items.Length} axes; the most are {MaxRank}");
        machine.Spend(24 + 8 * tuple.Items.Length);
        var numbers = new long[tuple.Items.Length];
        for (int i = 0; i < numbers.Length; i++)
        {
            numbers[i] = tuple.Items[i] is long number and >= 0
                ? number
                : throw machine.Error($"a tensor with a {what} that is not an integer in 0..2^63-1");
        }
        return numbers;
    }

    private static string Text(ref PickleMachine machine, PickleGlobal function, object?[] arguments)
    {
        string separator = function.Name == "torch.device" ? ":" : "/";
        var text = new StringBuilder();
        foreach (object? argument in arguments)
        {
            string part = argument switch
            {
                string s => s,
                long n => n.ToString(CultureInfo.InvariantCulture),
                _ => throw machine.Error($"{function.Name} is called with arguments that it does not take"),
            };
            machine.Spend(4L * part.Length);
            // The root of an absolute path is a part of its own.
            text.Append(text.Length == 0 || text.Equals("/") ? "" : separator).Append(part);
        }
        return text.ToString();
    }

    private static byte[] Bytes(ref PickleMachine machine, string text)
    {
        machine.Spend(text.Length);
        return Encoding.Latin1.GetBytes(text);
    }

    private static object? NumpyScalar(string code, byte[] bytes) => (code, bytes.Length) switch
    {
        ("f8", 8) => BinaryPrimitives.ReadDoubleLittleEndian(bytes),
        ("f4", 4) => (double)BinaryPrimitives.ReadSingleLittleEndian(bytes),
        ("f2", 2) => (double)BinaryPrimitives.ReadHalfLittleEndian(bytes),
        ("i8", 8) => BinaryPrimitives.ReadInt64LittleEndian(bytes),
        ("i4", 4) => (long)BinaryPrimitives.ReadInt32LittleEndian(bytes),
        ("i2", 2) => (long)BinaryPrimitives.ReadInt16LittleEndian(bytes),
        ("i1", 1) => (long)(sbyte)bytes[0],
        ("u1", 1) => (long)bytes[0],
        ("b1", 1) => bytes[0] != 0,
        _ => null,
    };
}
