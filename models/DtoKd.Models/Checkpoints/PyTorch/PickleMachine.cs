using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace DtoKd.Models.Checkpoints.PyTorch;

/// <summary>
/// Reads one pickle (protocols 2 to 5) without running anything: names are looked up in <see cref="PickleGlobals"/>, a fixed list,
/// and everything else is refused by its name.
/// </summary>
/// <remarks>
/// Work and memory are in proportion to the bytes read: no operation repeats, none allocates by a number that the file gives
/// without having that many bytes, and what can grow by sharing is counted (<see cref="Spend"/>).
/// </remarks>
internal ref struct PickleMachine
{
    /// <summary>Bytes that may be allocated per byte read where values are shared.</summary>
    private const long BytesPerByte = 32;

    /// <summary>Bytes that may be allocated in any case.</summary>
    private const long FreeBytes = 1 << 16;

    /// <summary>Writers number the memo one by one; a gap this large they do not leave.</summary>
    private const int MaxMemoGap = 256;

    private static readonly object[] SmallNumbers = [.. Enumerable.Range(0, 256).Select(i => (object)(long)i)];
    private static readonly object True = true;
    private static readonly object False = false;

    private readonly ReadOnlySpan<byte> _data;
    private readonly string _where;
    private readonly Func<PickleTuple, TorchStorage> _storage;
    private readonly List<object?> _stack = [];

    // Heights of the stack.
    private readonly Stack<int> _marks = [];

    // Values by the numbers that they were put away under; null where there is none yet.
    private readonly List<object?> _memo = [];
    private int _puts;

    // The next byte, and the one that the instruction began with.
    private int _at;
    private int _opAt;
    private long _spent;

    /// <summary>A machine in front of the first byte.</summary>
    /// <param name="data">A pickle, with anything behind it.</param>
    /// <param name="where">File and part, for messages.</param>
    /// <param name="storage">Makes the storage that a persistent id describes.</param>
    internal PickleMachine(ReadOnlySpan<byte> data, string where, Func<PickleTuple, TorchStorage> storage)
    {
        _data = data;
        _where = where;
        _storage = storage;
    }

    /// <summary>How many bytes were read.</summary>
    internal readonly int Consumed => _at;

    /// <summary>Runs to the end of the pickle.</summary>
    /// <returns>The value that it holds.</returns>
    /// <exception cref="InvalidDataException">It is damaged, or names something that is not allowed.</exception>
    internal object? Run()
    {
        while (true)
        {
            _opAt = _at;
            byte op = Byte();
            if (op == '.')
                return Pop();
            Step(op);
        }
    }

    /// <summary>Counts bytes about to be allocated that the file did not pay for byte by byte.</summary>
    internal void Spend(long bytes)
    {
        _spent += bytes;
        if (_spent > BytesPerByte * _at + FreeBytes)
            throw Error("the pickle repeats shared values until they take far more memory than the file");
    }

    internal readonly InvalidDataException Error(string message) => new($"{_where}: byte {_opAt}: {message}");

    /// <summary>Runs one instruction; behind each stands its name in Python's pickletools.</summary>
    private void Step(byte op)
    {
        switch (op)
        {
            case 0x80: Protocol(Byte()); break; // PROTO
            case 0x95: Frame(); break; // FRAME

            case (byte)'N': Push(null); break; // NONE
            case 0x88: Push(True); break; // NEWTRUE
            case 0x89: Push(False); break; // NEWFALSE
            case (byte)'K': Push(SmallNumbers[Byte()]); break; // BININT1
            case (byte)'M': Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); break; // BININT2
            case (byte)'J': Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4))); break; // BININT
            case (byte)'G': Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); break; // BINFLOAT
            case 0x8A: Push(Integer(Take(Byte()))); break; // LONG1
            case 0x8B: throw Error("an integer of more than 255 bytes"); // LONG4

            case 0x8C: Push(Text(Take(Byte()))); break; // SHORT_BINUNICODE
            case (byte)'X': Push(Text(Take(Length4()))); break; // BINUNICODE
            case 0x8D: Push(Text(Take(Length8()))); break; // BINUNICODE8
            // What Python 2 wrote for text; bytes above 127 are somebody's 8-bit alphabet.
            case (byte)'U': Push(Encoding.Latin1.GetString(Take(Byte()))); break; // SHORT_BINSTRING
            case (byte)'T': Push(Encoding.Latin1.GetString(Take(Length4()))); break; // BINSTRING
            case (byte)'C': Push(Take(Byte()).ToArray()); break; // SHORT_BINBYTES
            case (byte)'B': Push(Take(Length4()).ToArray()); break; // BINBYTES
            case 0x8E or 0x96: Push(Take(Length8()).ToArray()); break; // BINBYTES8, BYTEARRAY8

            case (byte)'(': _marks.Push(_stack.Count); break; // MARK
            case (byte)'0': Pop(); break; // POP
            case (byte)'1': DropMarked(MarkedFrom()); break; // POP_MARK
            case (byte)'2': Push(Peek()); break; // DUP
            case (byte)')': Push(PickleTuple.Empty); break; // EMPTY_TUPLE
            case (byte)'t': MarkedTuple(); break; // TUPLE
            case 0x85: Tuple(1); break; // TUPLE1
            case 0x86: Tuple(2); break; // TUPLE2
            case 0x87: Tuple(3); break; // TUPLE3

            case (byte)']' or 0x8F: Push(new PickleList()); break; // EMPTY_LIST, EMPTY_SET
            case (byte)'l' or 0x91: MarkedList(); break; // LIST, FROZENSET
            case (byte)'a': Append(); break; // APPEND
            case (byte)'e' or 0x90: AppendMarked(); break; // APPENDS, ADDITEMS
            case (byte)'}': Push(new PickleDict()); break; // EMPTY_DICT
            case (byte)'d': MarkedDict(); break; // DICT
            case (byte)'s': SetItem(); break; // SETITEM
            case (byte)'u': SetMarked(); break; // SETITEMS

            case (byte)'q': Put(Byte()); break; // BINPUT
            case (byte)'r': Put(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))); break; // LONG_BINPUT
            case 0x94: Put(_memo.Count); break; // MEMOIZE
            case (byte)'h': Get(Byte()); break; // BINGET
            case (byte)'j': Get(BinaryPrimitives.ReadUInt32LittleEndian(Take(4))); break; // LONG_BINGET

            case (byte)'c': Push(Global(Line(), Line())); break; // GLOBAL
            case 0x93: StackGlobal(); break; // STACK_GLOBAL
            case (byte)'i': throw Refuse($"{Line()}.{Line()}", "an object of pickle protocol 0"); // INST
            case (byte)'o': throw Refuse(NameOf(MarkedFrom()), "an object of pickle protocol 1"); // OBJ
            case (byte)'R' or 0x81: Call(); break; // REDUCE, NEWOBJ
            case 0x92: throw Refuse(NameOf(_stack.Count - 3), "an object with keyword arguments"); // NEWOBJ_EX
            case (byte)'b': Build(); break; // BUILD
            case (byte)'Q': PersistentId(); break; // BINPERSID

            default: throw Error($"opcode 0x{op:X2} is not one of those that protocols 2 to 5 write for checkpoints");
        }
    }

    private readonly void Protocol(byte version)
    {
        if (version is < 2 or > 5)
            throw Error($"pickle protocol {version}; known are 2 to 5");
    }

    private void Frame()
    {
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(Take(8));
        if (length > (ulong)(_data.Length - _at))
            throw Error($"a frame of {length} bytes, but {_data.Length - _at} are left; the pickle is cut short");
    }

    private byte Byte() => Take(1)[0];

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _data.Length - _at)
            throw Error($"{count} bytes are needed, but {_data.Length - _at} are left; the pickle is cut short");
        var taken = _data.Slice(_at, count);
        _at += count;
        return taken;
    }

    private int Length4() => Length(BinaryPrimitives.ReadUInt32LittleEndian(Take(4)));

    private int Length8() => Length(BinaryPrimitives.ReadUInt64LittleEndian(Take(8)));

    private readonly int Length(ulong length) => length <= (ulong)(_data.Length - _at)
        ? (int)length
        : throw Error($"{length} bytes are needed, but {_data.Length - _at} are left; the pickle is cut short");

    private readonly string Text(ReadOnlySpan<byte> bytes) => System.Text.Unicode.Utf8.IsValid(bytes)
        ? Encoding.UTF8.GetString(bytes)
        : throw Error("a text that is not valid UTF-8");

    private string Line()
    {
        int end = _data[_at..].IndexOf((byte)'\n');
        var line = end < 0 ? throw Error("a name without its end; the pickle is cut short") : Text(Take(end));
        _at++;
        return line;
    }

    private static object Integer(ReadOnlySpan<byte> bytes)
    {
        var value = new BigInteger(bytes);
        return value >= long.MinValue && value <= long.MaxValue ? (object)(long)value : value;
    }

    private readonly void Push(object? value) => _stack.Add(value);

    private readonly int Floor => _marks.Count == 0 ? 0 : _marks.Peek();

    private readonly object? Peek() => _stack.Count > Floor ? _stack[^1] : throw Error("a value is taken from an empty stack");

    private readonly object? Pop()
    {
        object? value = Peek();
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private readonly int MarkedFrom() => _marks.Count > 0 ? _marks.Pop() : throw Error("a mark is missing");

    private readonly void DropMarked(int from) => _stack.RemoveRange(from, _stack.Count - from);

    private readonly void MarkedTuple()
    {
        int from = MarkedFrom();
        object?[] items = [.. _stack[from..]];
        DropMarked(from);
        Push(new PickleTuple(items));
    }

    private readonly void Tuple(int count)
    {
        var items = new object?[count];
        for (int i = count - 1; i >= 0; i--)
            items[i] = Pop();
        Push(new PickleTuple(items));
    }

    private readonly void MarkedList()
    {
        int from = MarkedFrom();
        var list = new PickleList();
        for (int i = from; i < _stack.Count; i++)
            list.Add(_stack[i]);
        DropMarked(from);
        Push(list);
    }

    private readonly void Append()
    {
        object? item = Pop();
        (Peek() as PickleList ?? throw Error("an element is added to what is no list")).Add(item);
    }

    private readonly void AppendMarked()
    {
        int from = MarkedFrom();
        var list = from > Floor ? _stack[from - 1] as PickleList : null;
        if (list is null)
            throw Error("elements are added to what is no list");
        for (int i = from; i < _stack.Count; i++)
            list.Add(_stack[i]);
        DropMarked(from);
    }

    private readonly void MarkedDict()
    {
        int from = MarkedFrom();
        var dict = new PickleDict();
        AddPairs(dict, from);
        Push(dict);
    }

    private readonly void SetItem()
    {
        object? value = Pop(), key = Pop();
        (Peek() as PickleDict ?? throw Error("a key is set in what is no dictionary")).Add(key, value);
    }

    private readonly void SetMarked()
    {
        int from = MarkedFrom();
        var dict = from > Floor ? _stack[from - 1] as PickleDict : null;
        AddPairs(dict ?? throw Error("keys are set in what is no dictionary"), from);
    }

    private readonly void AddPairs(PickleDict dict, int from)
    {
        if ((_stack.Count - from) % 2 != 0)
            throw Error("a key without a value");
        for (int i = from; i < _stack.Count; i += 2)
            dict.Add(_stack[i], _stack[i + 1]);
        DropMarked(from);
    }

    private void Put(long index)
    {
        if (index > _puts + MaxMemoGap)
            throw Error($"memo index {index} after {_puts} entries");
        while (_memo.Count <= index)
            _memo.Add(null);
        _memo[(int)index] = Peek();
        _puts++;
    }

    private readonly void Get(long index) =>
        Push(index < _memo.Count ? _memo[(int)index] : throw Error($"memo index {index} was never set"));

    private readonly PickleGlobal Global(string module, string name) =>
        PickleGlobals.Find($"{module}.{name}") ?? throw Refuse($"{module}.{name}", null);

    private readonly void StackGlobal()
    {
        object? name = Pop(), module = Pop();
        Push(module is string m && name is string n ? Global(m, n) : throw Error("a class whose module and name are not texts"));
    }

    private readonly string NameOf(int index) =>
        index >= 0 && index < _stack.Count && _stack[index] is PickleGlobal global ? global.Name : "an unnamed class";

    private readonly InvalidDataException Refuse(string name, string? why) => Error(
        $"refuses {Quoting.OneLine(name)}: {(why is null ? "" : why + "; ")}only tensors, containers and plain values are read, and "
        + "nothing in a file is ever run; save the state_dict alone");

    private void Call()
    {
        var arguments = Pop() as PickleTuple ?? throw Error("a call whose arguments are not a tuple");
        var function = Pop() as PickleGlobal ?? throw Error("a call of what is no function");
        Push(PickleGlobals.Call(ref this, function, arguments.Items));
    }

    private readonly void PersistentId() =>
        Push(_storage(Pop() as PickleTuple ?? throw Error("a persistent id that is not a tuple")));

    private void Build()
    {
        object? state = Pop();
        PickleGlobals.Build(ref this, Peek(), state);
    }
}
