using System.Text;
using DtoKd.Training.Data;

namespace DtoKd.Training.Tests.Data;

public sealed class ImageFolderTests : IDisposable
{
    // 1 x 1 grey PNG, value 0, as Pillow writes it.
    private static readonly byte[] Png = Convert.FromBase64String("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==");

    // Pillow 9.4: resize((13, 10), BICUBIC), then crop((2, 1, 10, 9)), channel after channel.
    private const string FromPillow = "667873878A68779EAA6592969991849296977B91877C509CAC769C868F9F8F867F587F7EA26EA486A1825F74B28A778E"
        + "8B81767DC2B4A9999CA8B7AB5F707E8E86A78772A28D98997079626A63996888A2808062777169AE95B1789E839C95A4"
        + "AF8A699E6C7797797F68B8A07E5781A1A8A1A2958C8279816573818D9AAA9DA18E7684857A838078767E7F7C797F6DA6"
        + "A2896E768C666B889E9188849B80A6A993577E785D8F8A999080976C69B38F79877C6F695B61639DA464695D6D77878F";

    private readonly string _folder = Directory.CreateTempSubdirectory("dtokd-images-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Resizing_and_cropping_give_Pillows_bytes()
    {
        const int Height = 17, Width = 23;
        var pixels = new byte[Height * Width * 3];
        for (int i = 0; i < pixels.Length; i++)
        {
            int x = i / 3 % Width, y = i / 3 / Width;
            pixels[i] = (byte)(x * 37 + y * 59 + i % 3 * 83 + x * y * 7);
        }
        Assert.Equal(FromPillow, Convert.ToHexString(ImageResize.ShorterSideThenCrop(pixels, Height, Width, 10, 8)));
    }

    [Fact]
    public void Sub_folders_are_classes_and_grey_becomes_three_channels()
    {
        Put("val/b/1.png", Png);
        Put("val/a/2.PNG", Png);
        Put("val/a/notes.txt", [1]);
        var split = Load();
        Assert.Equal(["a", "b"], split.Test.Format.ClassNames);
        Assert.Equal([0, 1], split.Test.Labels.ToArray());
        Assert.Equal(3 * 4 * 4, split.Test.Pixels(1).Length);
        Assert.Same(split.Train, split.Test);
    }

    [Fact]
    public void Labels_of_ImageNet_come_from_a_file()
    {
        Put("a/1.png", Png);
        string labels = Put("labels.json", "{\"images\": [{\"file\": \"a/1.png\", \"imagenet1k_index\": 7}]}"u8.ToArray());
        var test = DataSource.Parse($"imagefolder:{_folder}").Load(new ImageFolderOptions(4, 1, labels)).Test;
        Assert.Equal(1000, test.Format.ClassNames.Count);
        Assert.Equal([7], test.Labels.ToArray());
    }

    [Fact]
    public void A_file_that_ends_before_its_frame_does_not_keep_the_decoder_busy()
    {
        // Start of image, and a segment that is longer than the file.
        string file = Put("a/short.jpg", [0xFF, 0xD8, 0xFF, 0xE1, 0x30, 0x30, 0xFF, 0xD9]);
        var data = Load().Test;
        Assert.StartsWith(file, Assert.Throws<InvalidDataException>(() => data.Pixels(0).Length).Message);
    }

    [Fact]
    public void What_is_no_image_is_named()
    {
        Assert.Contains("no sub-folders", Assert.Throws<InvalidDataException>(() => Load()).Message);
        Directory.CreateDirectory(Path.Combine(_folder, "a"));
        Assert.Contains("no images", Assert.Throws<InvalidDataException>(() => Load()).Message);
        string text = Put("a/text.jpg", "not a photograph"u8.ToArray());
        var data = Load().Test;
        Assert.Equal(
            $"{text}: not a JPEG or PNG image; mend or remove it", Assert.Throws<InvalidDataException>(() => data.Pixels(0).Length).Message);
    }

    [Theory]
    [InlineData("", "line 1 is not JSON; expected {\"images\": [{\"file\": \"...\", \"imagenet1k_index\": 0}, ...]}")]
    [InlineData("[]", "there is no list 'images'")]
    [InlineData("{\"images\": {}}", "there is no list 'images'")]
    [InlineData("{\"images\": [\"a/1.png\"]}", "image 0 has no name 'file'")]
    [InlineData("{\"images\": [{\"file\": null, \"imagenet1k_index\": 7}]}", "image 0 has no name 'file'")]
    [InlineData("{\"images\": [{\"file\": \"a\\u0000\", \"imagenet1k_index\": 7}]}", "a name is no text that a file can have")]
    [InlineData("{\"images\": [{\"file\": \"a\\ud800\", \"imagenet1k_index\": 7}]}", "a name is no text that a file can have")]
    [InlineData("{\"images\": [{\"file\": \"a/1.png\"}]}", "a/1.png has no whole number 'imagenet1k_index'")]
    [InlineData("{\"images\": [{\"file\": \"a/1.png\", \"imagenet1k_index\": \"7\"}]}", "a/1.png has no whole number 'imagenet1k_index'")]
    [InlineData("{\"images\": [{\"file\": \"a/1.png\", \"imagenet1k_index\": 7.5}]}", "a/1.png has no whole number 'imagenet1k_index'")]
    [InlineData("{\"images\": [{\"file\": \"a/1.png\", \"imagenet1k_index\": 1000}]}", "imagenet1k_index 1000 of a/1.png is not in 0..999")]
    [InlineData("{\"images\": [{\"file\": \"a/2.png\", \"imagenet1k_index\": 7}]}", "there is no entry for ")]
    public void Labels_that_cannot_be_used_are_named(string json, string expected)
    {
        Put("a/1.png", Png);
        string labels = Put("labels.json", Encoding.UTF8.GetBytes(json));
        var load = () => DataSource.Parse($"imagefolder:{_folder}").Load(new ImageFolderOptions(4, 1, labels));
        Assert.StartsWith($"{labels}: {expected}", Assert.Throws<InvalidDataException>(load).Message);
    }

    private DataSplit Load() => DataSource.Parse($"imagefolder:{_folder}").Load(new ImageFolderOptions(4, 1));

    private string Put(string name, byte[] content)
    {
        string path = Path.Combine(_folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, content);
        return path;
    }
}
