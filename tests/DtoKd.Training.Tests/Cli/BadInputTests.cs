using System.Buffers.Binary;
using DtoKd.Tests;

namespace DtoKd.Training.Tests.Cli;

/// <summary>Whatever is wrong with the input is one line that says what, exit code 2, and nothing left behind.</summary>
public sealed class BadInputTests : IDisposable
{
    private const uint ImagesMagic = 0x803, LabelsMagic = 0x801;

    private readonly TemporaryFolder _temp = new();

    public static TheoryData<string, string> BadArguments => new()
    {
        { "", "name a verb: distill, train, eval" },
        { "distil", "unknown verb 'distil'; did you mean distill? See 'dtokd --help'" },
        { "help", "unknown verb 'help'; known are distill, train, eval" },
        { "bench", "name a verb: gemm, copy, step" },
        { "bench gem 2 2 2", "unknown verb 'gem'; did you mean gemm? See 'dtokd bench --help'" },
        { "bench gemm 4 4", "gemm needs M N K; K is missing (terms of a sum); see 'dtokd bench gemm --help'" },
        { "bench gemm 4 4 x", "K takes a whole number, not 'x'; see 'dtokd bench gemm --help'" },
        { "bench gemm 4 0 4", "N is 0; it has to be in 1 .. 16777216" },
        { "bench gemm 4 2147483647 4", "N is 2147483647; it has to be in 1 .. 16777216" },
        { "bench step deit_micro 2 --drop-path NaN", "--drop-path is NaN; it has to be at least 0 and below 1" },
        { "bench step deit_micro 16777216", "16777216 images do not fit into one array; at most 14266 do" },
        { "bench balance --parameters 536870913", "--parameters is 536870913; it has to be in 1 .. 536870912" },
        { "bench copy 8192", "a block of 8192 MiB does not fit into one tensor; at most 8191 MiB do" },
        { "bench op dropout 16777216", "a batch of 16777216 gives dropout inputs of 2538325671936 elements; at most 2147483647 fit" },
        { "bench op softmac 2", "unknown operation 'softmac'; did you mean softmax?" },
        { "inspect", "inspect needs FILE; FILE is missing" },
        { "convert a.safetensors", "convert needs IN OUT; OUT is missing" },
        { "verify --json same --html ./same", "--json and --html both name ./same; each needs a file of its own" },
        { "verify --threads 99999999", "--threads is 99999999; it has to be in 1 .. 1024" },
        { "distill digits", "'digits' belongs to no option" },
        { "distill --epoch 3", "unknown option '--epoch'; did you mean --epochs? See 'dtokd distill --help'" },
        { "train --teacher regnety_micro", "unknown option '--teacher'; known are --data, --model" },
        { "distill --epochs", "--epochs needs N; see 'dtokd distill --help'" },
        { "distill --teacher", "--teacher needs NAME|FILE,..." },
        { "distill --epochs three", "--epochs takes a whole number, not 'three'" },
        { "distill --epochs 0", "--epochs is 0; it has to be at least 1" },
        { "distill --epochs 1 --epochs 2", "--epochs is given more than once" },
        { "distill --epochs 9999999999", "--epochs takes a whole number, not '9999999999'" },
        { "distill --batch-size 1", "--batch-size is 1; it has to be at least 2" },
        { "distill --lr 0,001", "--lr takes a number, not '0,001'" },
        { "distill --lr NaN", "--lr is NaN" },
        { "distill --lr Infinity", "--lr is Infinity" },
        { "distill --lr -1", "--lr is -1" },
        { "distill --seed -1", "--seed takes a whole number, 0 or more, not '-1'" },
        { "distill --clip-grad much", "--clip-grad takes a number or none, not 'much'" },
        { "distill --flip maybe", "--flip takes true or false, not 'maybe'; see 'dtokd distill --help'" },
        { "distill --opt adam", "unknown optimiser 'adam'; known are adamw, sgd" },
        { "distill --method exact,", "--method takes names with commas between them, not 'exact,'" },
        { "distill --method exact --method best", "unknown method 'best'; known are none, fixed" },
        { "distill --method best", "unknown method 'best'; known are none, fixed, exact, exact-features, amortised" },
        { "distill --method amortized", "unknown method 'amortized'; did you mean amortised or" },
        { "distill --method fixed --alpha 1,-1,1", "--alpha is -1; it has to be 0 or more" },
        { "distill --method fixed --alpha 1,NaN,1", "--alpha is NaN; it has to be 0 or more" },
        { "distill --method fixed --alpha 0,0,0", "--alpha is 0 for every objective" },
        {
            "train --epochs 3 --warmup-epochs 3",
            "--warmup-epochs is 3 and --epochs 3: nothing would be left after the warm-up; give a shorter one or more epochs"
        },
        { "distill --teacher-epochs 4 --warmup-epochs 4.5", "--warmup-epochs is 4.5 and --teacher-epochs 4: nothing would be left after the warm-up" },
        { "distill --batch-size 64 --accumulate 65", "--accumulate is 65; it has to be at most the 64 images of a batch (--batch-size)" },
        { "distill --teacher a.pth,b.pth --teacher-lr 1", "--teacher-lr changes nothing: the teachers are checkpoints" },
        { "distill --teacher a.pth --teacher-epochs 1", "--teacher-epochs changes nothing: the teachers are checkpoints" },
        { "distill --drop-path 1", "--drop-path is 1; it has to be at least 0 and below 1" },
        { "distill --shift 8", "--shift is 8; images of 8 x 8 pixels" },
        { "distill --method exact,exact", "a method is named twice" },
        { "distill --method fixed --alpha 1,2", "3 objectives expected, got 2" },
        { "distill --method fixed --alpha 1,b,3", "--alpha takes numbers with commas between them, not '1,b,3'" },
        { "distill --method exact --alpha 1,2,3", "--alpha is for the method 'fixed'" },
        { "distill --student vgg16", "unknown model 'vgg16'; known are deit_micro" },
        { "distill --student regnety_mikro", "unknown model 'regnety_mikro'; did you mean regnety_micro?" },
        { "distill --student deit_tiny", "did you mean deit_tiny_patch16_224 or deit_tiny_vkd_patch16_224 or deit_tiny_distilled_patch16_224?" },
        { "distill --teacher vgg16", "unknown model or file 'vgg16'; known are deit_micro" },
        { "distill --teacher-model vgg16", "unknown model 'vgg16'; known are deit_micro" },
        { "distill --teacher nowhere.safetensors", "there is no file nowhere.safetensors; " },
        { "distill --teacher ./nowhere/", "there is no file ./nowhere/; " },
        { "distill --teacher no/where.pth", "there is no file no/where.pth: there is no folder " },
        { "train --model deit_tiny_patch16_224", "8 x 8" },
        { "distill --data digitz", "unknown data 'digitz'; known are digits, mnist:FOLDER" },
        { "distill --data mnist", "unknown data 'mnist'; known are digits, mnist:FOLDER" },
        { "distill --data mnist:/no/such/folder", "/no/such/folder: there is no such folder" },
        { "distill --data cifar10:/no/such/folder", "/no/such/folder: there is no such folder" },
        { "distill --threads 0", "--threads is 0" },
        { "distill --simd sse", "unknown SIMD level 'sse'" },
        { "distill --device gpu", "unknown device 'gpu'; known are cpu, cuda, cuda:N, auto" },
        { "distill --device cuda:-1", "unknown device 'cuda:-1'" },
        { "distill --device cuda:99", "cuda:99: " },
        { "distill --device cuda --threads 2", "--threads is for the cpu, the device is cuda" },
        { "tune deit_micro_distilled 8", "tune is for cuda (--device cuda)" },
        { "distill --matmul-precision high", "--matmul-precision is for cuda" },
        { "distill --device auto --matmul-precision half", "unknown precision 'half'; known are highest, high, medium" },
    };

    public void Dispose() => _temp.Dispose();

    [Theory]
    [MemberData(nameof(BadArguments))]
    public void Wrong_arguments_are_refused_before_a_folder_is_made(string arguments, string expected)
    {
        string[] args = arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        AssertRefused(expected, args is ["distill" or "train", ..] ? [args[0], "--output", _temp["run"], .. args[1..]] : args);
        Assert.False(Directory.Exists(_temp["run"]));
    }

    [Fact]
    public void An_empty_text_is_no_value()
    {
        AssertRefused("--data takes a SRC, not ''", "distill", "--data", "");
        AssertRefused("--resume takes a DIR, not ''", "distill", "--resume", "");
        AssertRefused("FILE is empty (checkpoint", "inspect", "");
        AssertRefused("MODEL is empty (network of the zoo)", "bench", "step", "", "2");
    }

    [Fact]
    public void A_name_that_is_not_UTF8_is_refused_as_it_would_be_another_files() =>
        AssertRefused("'a\uFFFD.pth' is not UTF-8, and only names in UTF-8 can be opened", "inspect", "a\uFFFD.pth");

    [Fact]
    public void A_device_is_no_place_for_a_result() =>
        AssertRefused("cannot write /dev/null: a file would take the device's place", "toy", "--html", "/dev/null");

    [Theory]
    [InlineData("eval --data digits", "--checkpoint")]
    [InlineData("eval --checkpoint x.safetensors --data digits", "there is no file x.safetensors; ")]
    [InlineData("inspect /no/such/x.pth", "there is no file /no/such/x.pth: there is no folder /no/such; name a safetensors or .pth file that is there")]
    [InlineData("eval --checkpoint x.safetensors --data digits --batch-size 0", "--batch-size is 0")]
    [InlineData("eval --checkpoint x --data digits --image-size 32", "--image-size is for imagefolder, the data is digits")]
    [InlineData("eval --checkpoint x --data mnist:. --labels folders", "--labels is for imagefolder, the data is mnist")]
    [InlineData("eval --checkpoint x --data imagefolder:. --image-size x", "--image-size takes a whole number, not 'x'")]
    [InlineData("eval --checkpoint x --data imagefolder:. --crop-pct NaN", "images of 224 pixels, NaN of the shorter side")]
    [InlineData("eval --checkpoint x --data imagefolder:. --crop-pct 0", "0 of the shorter side: expected 1 to 8192 pixels (--image-size) and a share from 0.01 to 1")]
    [InlineData("eval --checkpoint x --data imagefolder:. --image-size 100000", "images of 100000 pixels")]
    [InlineData("distill --resume /no/such/run", "the run folder /no/such/run does not exist")]
    public void What_is_asked_for_has_to_be_there(string arguments, string expected) =>
        AssertRefused(expected, arguments.Split(' '));

    [Theory]
    [InlineData("verify --json")]
    [InlineData("verify --html")]
    [InlineData("toy --html")]
    [InlineData("convert nowhere.safetensors")]
    public void Where_the_result_goes_is_looked_at_before_it_is_worked_out(string arguments)
    {
        // AssertRefused wants no output either: a table would have come first.
        AssertRefused($"cannot write {_temp["no/result"]}: there is no folder {_temp["no"]}", [.. arguments.Split(' '), _temp["no/result"]]);
        AssertRefused($"{_temp.FullName} is a folder", [.. arguments.Split(' '), _temp.FullName]);
    }

    [Fact]
    public void Where_a_checkpoint_is_not_those_that_are_near_are_named()
    {
        string file = _temp.Write("a.pth", [1]);
        AssertRefused($"there is no file {_temp["b"]}; in {_temp.FullName} there are a.pth", "inspect", _temp["b"]);
        AssertRefused($"there is no file {file}/b: {file} is a file, not a folder", "inspect", $"{file}/b");
        File.CreateSymbolicLink(_temp["link"], "nowhere");
        AssertRefused($"there is no file {_temp["link"]}: the link leads to nowhere, which is not there", "inspect", _temp["link"]);
        Directory.CreateDirectory(_temp["run/checkpoints/exact"]);
        AssertRefused("; name a safetensors or .pth file that is there", "inspect", _temp["run/nowhere"]);
        _temp.Write("run/checkpoints/exact/best.safetensors", [1]);
        AssertRefused("; in ", "inspect", _temp["run"]);
        AssertRefused(" there are checkpoints/exact/best.safetensors", "inspect", _temp["run"]);
    }

    [Fact]
    public void A_teacher_is_a_file_or_folder_that_is_there_unless_a_network_has_the_name()
    {
        // The working folder is shared by all tests: a name of nobody else's.
        string name = Path.GetFileName(_temp.FullName);
        Directory.CreateDirectory(name);
        try
        {
            AssertRefused($"{name}: the folder has no model.safetensors.index.json", "distill", "--teacher", name, "--output", _temp["run"]);
        }
        finally
        {
            Directory.Delete(name);
        }

        AssertRefused($"unknown model or file '{name}'", "distill", "--teacher", name, "--output", _temp["run"]);
    }

    [Fact]
    public void A_pipe_is_no_checkpoint()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs /dev/fd");
        using var pipe = new System.IO.Pipes.AnonymousPipeServerStream(System.IO.Pipes.PipeDirection.Out);
        string name = $"/dev/fd/{pipe.ClientSafePipeHandle.DangerousGetHandle()}";
        AssertRefused($"{name} is a pipe; a checkpoint is read from any place: write it to a file first", "inspect", name);
    }

    [Fact]
    public void A_file_that_may_not_be_read_is_named()
    {
        string file = _temp.Write("a.pth", [1]);
        Assert.SkipWhen(OperatingSystem.IsWindows() || Environment.IsPrivilegedProcess, "permissions bind neither root nor Windows");
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(file, UnixFileMode.None);
            Directory.CreateDirectory(_temp["folder/class"], UnixFileMode.None);
        }

        AssertRefused($"{file} may not be read; give the permission", "inspect", file);
        AssertRefused($"{_temp["folder/class"]}: the folder may not be read", "train", "--data", $"mnist:{_temp["folder/class"]}");
        AssertRefused($"{_temp["folder/class"]}: the folder may not be read", "train", "--data", $"imagefolder:{_temp["folder"]}");
        Directory.Delete(_temp["folder/class"]);
    }

    [Fact]
    public void A_run_folder_with_something_in_it_is_not_touched()
    {
        string file = _temp.Write("notes.txt", [1, 2, 3]);
        AssertRefused("is not empty", "distill", "--output", _temp.FullName);
        AssertRefused("is a file", "distill", "--output", file);
        AssertRefused("cannot make the run folder", "distill", "--output", Path.Combine(file, "run"));
        Assert.Equal([file], Directory.GetFileSystemEntries(_temp.FullName));
    }

    [Fact]
    public void A_folder_without_a_run_cannot_be_gone_on_with() =>
        AssertRefused("holds no run", "distill", "--resume", _temp.FullName);

    [Fact]
    public void A_damaged_configuration_is_named()
    {
        string config = _temp.Write("config.json", "{\n\"epochs\": }"u8);
        AssertRefused($"{config}: line 2: epochs cannot have this value; put it right", "distill", "--resume", _temp.FullName);
        _temp.Write("config.json", "{ \"student\": \"x\", \"methods\": [], \"epoch\": 1 }"u8);
        AssertRefused($"{config}: line 1: there is no setting 'epoch'; put it right", "distill", "--resume", _temp.FullName);
        _temp.Write("config.json", ""u8);
        AssertRefused($"{config}: line 1 is not JSON; put it right", "distill", "--resume", _temp.FullName);
        _temp.Write("config.json", "{\n\"student\": \"x\",\n}"u8);
        AssertRefused($"{config}: line 3 is not JSON; put it right", "distill", "--resume", _temp.FullName);
        _temp.Write("config.json", "{}"u8);
        AssertRefused($"{config}: settings are missing: 'student', 'methods'; put it right", "distill", "--resume", _temp.FullName);
    }

    [Theory]
    [InlineData("--epochs", "3")]
    [InlineData("--output", "elsewhere")]
    public void Settings_beside_a_run_to_go_on_with_are_refused(string option, string value) =>
        AssertRefused($"{option} cannot be given beside --resume", "distill", "--resume", _temp.FullName, option, value);

    [Fact]
    public void A_folder_without_the_files_names_those_looked_for() => AssertRefused("train-images-idx3-ubyte", TrainOnTemp);

    [Fact]
    public void A_truncated_file_is_named_with_the_offset()
    {
        WriteTraining(images: [.. Header(ImagesMagic, 2, 8, 8), .. new byte[100]], labels: [.. Header(LabelsMagic, 2), 0, 1]);
        AssertRefused(
            "train-images-idx3-ubyte: the part with 2 images of 8 x 8 pixels is cut short: 128 bytes expected from offset 16",
            TrainOnTemp);
    }

    [Fact]
    public void A_file_of_another_kind_is_known_by_its_magic_number()
    {
        WriteTraining(images: [.. Header(0x89504E47, 2, 8, 8), .. new byte[128]], labels: [.. Header(LabelsMagic, 2), 0, 1]);
        AssertRefused("magic number 0x89504E47 at offset 0", TrainOnTemp);
    }

    [Fact]
    public void A_label_that_is_no_class_is_named_with_its_image()
    {
        WriteTraining(images: [.. Header(ImagesMagic, 2, 8, 8), .. new byte[128]], labels: [.. Header(LabelsMagic, 2), 0, 10]);
        AssertRefused("label 10 of image 1 is not in 0..9", TrainOnTemp);
    }

    [Fact]
    public void A_teacher_that_is_no_checkpoint_is_refused_before_a_folder_is_made()
    {
        string teacher = _temp.Write("teacher.safetensors", [1, 2, 3]);
        AssertRefused(teacher, "distill", "--teacher", teacher, "--output", _temp["run"]);
        Assert.False(Directory.Exists(_temp["run"]));
    }

    internal static void AssertRefused(string expected, params string[] args)
    {
        var result = Dtokd.Run(args);
        Assert.Equal(2, result.ExitCode);
        Assert.Equal("", result.Output);
        Assert.Contains(expected, result.Error);
        Assert.StartsWith("dtokd: ", result.Error);
        Assert.DoesNotContain("   at ", result.Error);
        Assert.DoesNotContain("Parameter '", result.Error);
        Assert.Single(result.Error.TrimEnd('\n').Split('\n'));
    }

    private string[] TrainOnTemp => ["train", "--data", $"mnist:{_temp.FullName}", "--output", _temp["run"]];

    private void WriteTraining(byte[] images, byte[] labels)
    {
        _temp.Write("train-images-idx3-ubyte", images);
        _temp.Write("train-labels-idx1-ubyte", labels);
    }

    private static byte[] Header(params uint[] numbers) =>
        [.. numbers.SelectMany(number => BitConverter.GetBytes(BinaryPrimitives.ReverseEndianness(number)))];
}
